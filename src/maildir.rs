//! Where mail is kept: a Maildir, one file for each mail (chapter 8).
//!
//! A Maildir is a folder with three folders in it. A mail is written to a file in `tmp`, and when
//! it is whole and safe on the disk, it is renamed into `new`, where mail readers look. From there
//! a reader moves it to `cur`. Nothing is ever locked: a file that stands in `new` is complete, and
//! no two files ever have the same name. It is D. J. Bernstein's invention, for qmail, and
//! described at <https://cr.yp.to/proto/maildir.html>.
//!
//! There is no lock to leave behind and nothing to repair: whenever the server is killed, what is
//! in `new` is whole, and what is in `tmp` is nobody's.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::machine;

/// Whatever lies in `tmp` for longer than this is what a crash left behind: the Maildir page gives
/// a delivery 24 hours, and a leftover 36.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(36 * 60 * 60);

/// So many octets are collected before they are written to the file: a small mail is one write.
/// More than twice as many are never held.
const BLOCK: usize = 8 * 1024;

/// A Maildir that is there and can be written to.
#[derive(Debug)]
pub struct Maildir {
    directory: PathBuf,
    /// The machine's name as file names have it.
    host: String,
    /// The largest file that this process may write, in octets.
    largest_file: u64,
}

/// How many drafts this process has made so far.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

impl Maildir {
    /// Opens the Maildir at `directory` and makes what is missing of it. What crashes left in its
    /// `tmp` is removed once it is older than [`LEFTOVER_AGE`].
    ///
    /// `hostname` goes into the names of files where the machine doesn't tell its own.
    ///
    /// # Errors
    /// It can't be made, or nothing can be written there.
    pub fn open(directory: PathBuf, hostname: &str) -> io::Result<Maildir> {
        // With the dot, every path has a parent.
        let path = Path::new(".").join(&directory);
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        for name in ["tmp", "new", "cur"] {
            private_directories().create(path.join(name))?;
        }
        Directory::open(&path)?.sync()?;
        // The name of what was made is in the directory above it.
        for above in missing.iter().filter_map(|path| path.parent()) {
            Directory::open(above)?.sync()?;
        }
        let maildir = Maildir {
            host: harmless(&machine::host_name().unwrap_or_else(|| hostname.to_string())),
            largest_file: machine::largest_file(),
            directory,
        };
        maildir.remove_leftovers(SystemTime::now())?;
        // Whether mail can be kept is best known before the first mail. A mail reader passes over
        // names that begin with a dot.
        let draft = maildir.draft()?;
        let probe = maildir.new_mail().join(format!(".{}", draft.name));
        fs::rename(&draft.path, &probe)?;
        fs::remove_file(&probe)?;
        drop(draft);
        Ok(maildir)
    }

    /// The folder where finished mails appear.
    pub fn new_mail(&self) -> PathBuf {
        self.directory.join("new")
    }

    /// Begins a mail: an empty file in `tmp`, which nobody else has and only this user may read.
    /// Unless the draft is [delivered](Draft::deliver), the file is removed with it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn draft(&self) -> io::Result<Draft<'_>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or(Duration::ZERO);
        let id = format!(
            "M{}P{}Q{}",
            now.subsec_micros(),
            process::id(),
            DRAFTS.fetch_add(1, Ordering::Relaxed)
        );
        let name = format!("{}.{id}.{}", now.as_secs(), self.host);
        let path = self.directory.join("tmp").join(&name);
        Ok(Draft {
            file: private_file(&path).map_err(|error| at(&path, &error))?,
            maildir: self,
            id,
            name,
            path,
            collected: Vec::new(),
            length: 0,
            ends_in_cr: false,
        })
    }

    /// Removes what lies in `tmp` for so long that nobody can be writing it any more.
    fn remove_leftovers(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(self.directory.join("tmp"))? {
            let entry = entry?;
            // Another server on this Maildir may have been faster.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let age = now.duration_since(metadata.modified()?).unwrap_or_default();
            if metadata.is_file() && age > LEFTOVER_AGE {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// A mail that is being written.
#[derive(Debug)]
pub struct Draft<'maildir> {
    maildir: &'maildir Maildir,
    file: File,
    id: String,
    /// Of the file: the time, the id, the host, with dots between them.
    name: String,
    /// Where the file is so far.
    path: PathBuf,
    /// What isn't in the file yet.
    collected: Vec<u8>,
    /// How much is in the file, in octets.
    length: u64,
    /// Whether the content so far ends in a CR, which is held back: an LF may follow.
    ends_in_cr: bool,
}

impl Draft<'_> {
    /// What tells this mail from all others of this server. It is part of the file's name, and no
    /// more than letters and digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds a piece of the mail, cut anywhere. CR LF becomes LF, the line end of files; everything
    /// else is written as it is.
    ///
    /// # Errors
    /// Those of the file system; no space left is one of them.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        for block in content.chunks(BLOCK) {
            self.collect(block);
            if self.collected.len() >= BLOCK {
                self.write_out()?;
            }
        }
        Ok(())
    }

    /// Adds a block to what is collected.
    fn collect(&mut self, mut content: &[u8]) {
        if self.ends_in_cr && !content.starts_with(b"\n") {
            self.collected.push(b'\r');
        }
        self.ends_in_cr = false;
        while let Some(at) = content.iter().position(|&byte| byte == b'\r') {
            self.collected.extend_from_slice(&content[..at]);
            content = &content[at + 1..];
            match content.first() {
                Some(b'\n') => {}
                Some(_) => self.collected.push(b'\r'),
                None => self.ends_in_cr = true,
            }
        }
        self.collected.extend_from_slice(content);
    }

    /// Writes what is collected to the file.
    fn write_out(&mut self) -> io::Result<()> {
        self.length += self.collected.len() as u64;
        // To write beyond a limit on the size of files (`ulimit -f`) is no error: the system sends
        // a signal, SIGXFSZ, and that is the end of the process.
        if self.length > self.maildir.largest_file {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(&self.collected)?;
        self.collected.clear();
        Ok(())
    }

    /// Finishes the mail: when this comes back, it is in `new`, and it stays there through a crash
    /// and a power cut. Returns where.
    ///
    /// # Errors
    /// Those of the file system. Then there is nothing in `new`.
    pub fn deliver(mut self) -> io::Result<PathBuf> {
        if self.ends_in_cr {
            self.collected.push(b'\r');
        }
        self.write_out()?;
        let folder = self.maildir.new_mail();
        // Opened first: if this fails, nothing has happened yet.
        let new_mail = Directory::open(&folder).map_err(|error| at(&folder, &error))?;
        // The order is the point: first the content is safe, then it gets its name in `new`, then
        // the name is safe.
        self.file.sync_all()?;
        let delivered = folder.join(&self.name);
        // To rename is to replace what is there, and what is there was promised.
        if delivered.exists() {
            return Err(at(&delivered, &io::ErrorKind::AlreadyExists.into()));
        }
        fs::rename(&self.path, &delivered).map_err(|error| at(&delivered, &error))?;
        if let Err(error) = new_mail.sync() {
            let _ = fs::remove_file(&delivered);
            return Err(error);
        }
        self.path = PathBuf::new();
        Ok(delivered)
    }
}

impl Drop for Draft<'_> {
    /// Removes the file of a draft that wasn't delivered.
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The error with the place where it happened, for the operator to read.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes a file for this user alone, where there is none yet.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a directory and what is missing above it, for this user alone.
fn private_directories() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// A directory whose names can be made safe: to sync a file is to sync what is in it, not the name
/// that leads to it.
struct Directory(Option<File>);

impl Directory {
    fn open(path: &Path) -> io::Result<Directory> {
        // Elsewhere a directory can't be opened.
        let file = cfg!(unix).then(|| File::open(path)).transpose()?;
        Ok(Directory(file))
    }

    /// When this comes back, what was renamed here or made here is on the disk.
    fn sync(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), File::sync_all)
    }
}

/// A machine's name as a part of file names: `/` and `:` are written as the Maildir page says, and
/// whatever else isn't plain text as `_`.
fn harmless(host: &str) -> String {
    let mut name = String::new();
    for character in host.chars() {
        match character {
            '/' => name += "\\057",
            ':' => name += "\\072",
            '!'..='~' => name.push(character),
            _ => name.push('_'),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, which is gone when the test is over.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("smtp-from-scratch-{}-{test}", process::id());
            let folder = Folder(std::env::temp_dir().join(name));
            let _ = fs::remove_dir_all(&folder.0);
            folder
        }

        fn open(&self) -> Maildir {
            Maildir::open(self.0.join("mail"), "localhost").unwrap()
        }

        fn count(&self, name: &str) -> usize {
            fs::read_dir(self.0.join("mail").join(name))
                .unwrap()
                .count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_mail_is_in_tmp_until_it_is_delivered_and_in_new_from_then_on() {
        let folder = Folder::new("delivered");
        let maildir = folder.open();
        let mut draft = maildir.draft().unwrap();
        draft.write(b"Hello Bob.\r\n").unwrap();
        assert_eq!((folder.count("tmp"), folder.count("new")), (1, 0));
        let path = draft.deliver().unwrap();
        assert_eq!((folder.count("tmp"), folder.count("new")), (0, 1));
        assert_eq!(fs::read(path).unwrap(), b"Hello Bob.\n");
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let folder = Folder::new("given-up");
        let maildir = folder.open();
        let mut draft = maildir.draft().unwrap();
        draft.write(&vec![b'x'; 2 * BLOCK]).unwrap();
        drop(draft);
        assert_eq!((folder.count("tmp"), folder.count("new")), (0, 0));
    }

    #[test]
    fn crlf_becomes_lf_wherever_it_is_cut_and_nothing_else_changes() {
        let folder = Folder::new("line-ends");
        let maildir = folder.open();
        let message = b"a\r\nb\rc\r\r\n\n\r\n\0\xff\r";
        for size in 1..=message.len() {
            let mut draft = maildir.draft().unwrap();
            for piece in message.chunks(size) {
                draft.write(piece).unwrap();
            }
            let path = draft.deliver().unwrap();
            let kept = fs::read(path).unwrap();
            assert_eq!(kept, b"a\nb\rc\r\n\n\n\0\xff\r", "in pieces of {size}");
        }
    }

    #[test]
    fn what_waits_to_be_written_is_bounded() {
        let folder = Folder::new("bounded");
        let maildir = folder.open();
        let mut draft = maildir.draft().unwrap();
        for size in [1, 1000, BLOCK - 1, BLOCK, 10 * BLOCK] {
            draft.write(&vec![b'x'; size]).unwrap();
            assert!(draft.collected.capacity() <= 2 * BLOCK);
        }
    }

    #[test]
    fn a_file_over_the_limit_is_an_error_and_no_signal() {
        let folder = Folder::new("limit");
        let maildir = Maildir {
            largest_file: 3,
            ..folder.open()
        };
        let mut draft = maildir.draft().unwrap();
        draft.write(b"123").unwrap();
        draft.deliver().unwrap();
        let mut draft = maildir.draft().unwrap();
        draft.write(b"1234").unwrap();
        let error = draft.deliver().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!((folder.count("tmp"), folder.count("new")), (0, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let folder = Folder::new("full");
        let maildir = folder.open();
        let mut draft = maildir.draft().unwrap();
        draft.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = draft.write(&vec![b'x'; BLOCK]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_mail_that_cannot_get_its_name_is_not_there_at_all() {
        let folder = Folder::new("no-name");
        let maildir = folder.open();
        fs::remove_dir(maildir.new_mail()).unwrap();
        let mut draft = maildir.draft().unwrap();
        draft.write(b"x").unwrap();
        assert!(draft.deliver().is_err());
        assert_eq!(folder.count("tmp"), 0);
        fs::create_dir(maildir.new_mail()).unwrap();
        maildir.draft().unwrap().deliver().unwrap();
    }

    #[test]
    fn no_draft_is_written_into_a_file_that_is_there() {
        let folder = Folder::new("exclusive");
        fs::create_dir(&folder.0).unwrap();
        let path = folder.0.join("draft");
        private_file(&path).unwrap();
        let error = private_file(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    /// A rename doesn't lead from one file system to another.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_maildir_from_which_no_mail_would_get_into_new_is_an_error() {
        use std::os::unix::fs::{MetadataExt, symlink};

        let folder = Folder::new("two-disks");
        drop(folder.open());
        let elsewhere = Folder(PathBuf::from(format!(
            "/dev/shm/{}-elsewhere",
            process::id()
        )));
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        if fs::create_dir(&elsewhere.0).is_err() || device(&elsewhere.0) == device(&folder.0) {
            return;
        }
        let tmp = folder.0.join("mail/tmp");
        fs::remove_dir(&tmp).unwrap();
        symlink(&elsewhere.0, &tmp).unwrap();
        assert!(Maildir::open(folder.0.join("mail"), "localhost").is_err());
    }

    #[test]
    fn no_mail_is_ever_replaced() {
        let folder = Folder::new("replaced");
        let maildir = folder.open();
        let draft = maildir.draft().unwrap();
        let promised = maildir.new_mail().join(&draft.name);
        fs::write(&promised, "promised").unwrap();
        let error = draft.deliver().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&promised).unwrap(), b"promised");
        assert_eq!(folder.count("tmp"), 0);
    }

    #[test]
    fn a_name_has_the_time_the_process_a_count_and_the_host() {
        let folder = Folder::new("name");
        let maildir = folder.open();
        let names = [(); 2].map(|()| maildir.draft().unwrap().name.clone());
        let counts = names.map(|name| {
            let (seconds, rest) = name.split_once('.').unwrap();
            let (id, host) = rest.split_once('.').unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            assert!(now.as_secs() - seconds.parse::<u64>().unwrap() < 60);
            let (micros, rest) = id.strip_prefix('M').unwrap().split_once('P').unwrap();
            assert!(micros.parse::<u32>().unwrap() < 1_000_000);
            let (process, count) = rest.split_once('Q').unwrap();
            assert_eq!(process.parse(), Ok(process::id()));
            assert_eq!(host, maildir.host);
            count.parse::<u64>().unwrap()
        });
        assert!(counts[1] > counts[0]);
    }

    #[test]
    fn a_maildir_is_made_with_all_that_is_missing_above_it() {
        let folder = Folder::new("deep");
        let directory = folder.0.join("a/b/mail");
        for _ in 0..2 {
            let maildir = Maildir::open(directory.clone(), "localhost").unwrap();
            maildir.draft().unwrap().deliver().unwrap();
        }
        assert_eq!(fs::read_dir(directory.join("new")).unwrap().count(), 2);
    }

    #[test]
    fn what_a_crash_left_is_removed_after_36_hours() {
        let folder = Folder::new("leftovers");
        let maildir = folder.open();
        let now = SystemTime::now();
        for (name, age) in [
            ("old", LEFTOVER_AGE + Duration::from_secs(60)),
            ("young", LEFTOVER_AGE - Duration::from_secs(60)),
        ] {
            let file = File::create(folder.0.join("mail/tmp").join(name)).unwrap();
            file.set_modified(now - age).unwrap();
        }
        fs::create_dir(folder.0.join("mail/tmp/folder")).unwrap();
        // A clock that was turned back.
        let file = File::create(folder.0.join("mail/tmp/future")).unwrap();
        file.set_modified(now + LEFTOVER_AGE).unwrap();
        drop(maildir);
        folder.open();
        assert!(!folder.0.join("mail/tmp/old").exists());
        assert_eq!(folder.count("tmp"), 3);
    }

    #[test]
    fn a_place_where_no_maildir_can_be_is_an_error() {
        let folder = Folder::new("no-place");
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.0.join("mail"), "a file").unwrap();
        assert!(Maildir::open(folder.0.join("mail"), "localhost").is_err());
    }

    #[test]
    fn the_name_of_a_host_does_no_harm_in_a_file_name() {
        assert_eq!(harmless("mail.example"), "mail.example");
        assert_eq!(harmless("../a:b"), "..\\057a\\072b");
        assert_eq!(harmless("[IPv6:::1]"), "[IPv6\\072\\072\\0721]");
        assert_eq!(harmless("a b\nü"), "a_b__");
    }
}
