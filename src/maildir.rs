//! Where mail is stored: a Maildir, one file for each message (chapter 8).
//!
//! A Maildir is a folder with three folders in it. A message is written to a file in `tmp`. When it
//! is whole and safe on the disk, it is renamed into `new`, where mail readers look. From there a
//! reader moves it to `cur`. Nothing is ever locked: a file in `new` is complete, and no two files
//! ever have the same name. It is D. J. Bernstein's invention, for qmail, and described at
//! <https://cr.yp.to/proto/maildir.html>.
//!
//! There is no lock to leave behind and nothing to repair. Whenever the server is killed, the files
//! in `new` are whole, and those in `tmp` belong to nobody.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::machine;

/// The age at which a file in `tmp` is a leftover of a crash: the Maildir page gives a delivery 24
/// hours, and a leftover 36.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(36 * 60 * 60);

/// How many octets are collected before they are written to the file: a small message is one write,
/// after its header. At most twice as many are held.
const BLOCK: usize = 8 * 1024;

/// A Maildir that exists and can be written to.
#[derive(Debug)]
pub struct Maildir {
    directory: PathBuf,
    /// The machine's name as file names have it.
    host: String,
    /// The largest file that this process may write, in octets.
    largest_file: u64,
    /// Whether names are synced. Some shared file systems can't.
    syncs_names: bool,
}

/// How many drafts this process has made so far.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

impl Maildir {
    /// Opens the Maildir at `directory` and creates the parts that are missing.
    ///
    /// Files that crashes left in its `tmp` are removed once they are older than [`LEFTOVER_AGE`].
    /// `hostname` goes into the names of files if the machine's own name is unknown.
    ///
    /// # Errors
    /// It can't be created, or a message can't be stored there. The error names the place.
    pub fn open(directory: PathBuf, hostname: &str) -> io::Result<Maildir> {
        // With the dot, every path has a parent.
        let path = Path::new(".").join(&directory);
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        for name in ["tmp", "new", "cur"] {
            let folder = path.join(name);
            let created = private_directories().create(&folder);
            created.map_err(|error| at(&folder, &error))?;
        }
        // The name of a new directory is in the directory above it.
        let above = missing.iter().filter_map(|path| path.parent());
        let mut syncs_names = true;
        for directory in above.chain([path.as_path()]) {
            syncs_names &= sync_names(directory)?;
        }
        let mut maildir = Maildir {
            host: safe_in_file_name(&machine::host_name().unwrap_or_else(|| hostname.to_string())),
            largest_file: machine::largest_file(),
            directory,
            syncs_names,
        };
        maildir.remove_leftovers(SystemTime::now())?;
        maildir.syncs_names &= maildir.probe()?;
        Ok(maildir)
    }

    /// Returns the folder where finished messages appear.
    pub fn new_mail(&self) -> PathBuf {
        self.directory.join("new")
    }

    /// Says whether a delivered message survives a power cut.
    ///
    /// It does where the name of its file can be synced. Some shared and network folders can't do
    /// that.
    pub fn syncs_names(&self) -> bool {
        self.syncs_names
    }

    /// Begins a message with an empty file in `tmp`.
    ///
    /// Only this user may read it. Unless the draft is [delivered](Draft::deliver), dropping it
    /// removes the file.
    ///
    /// # Errors
    /// The file can't be created.
    pub fn draft(&self) -> io::Result<Draft> {
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
            path,
            left_tmp: false,
            new_mail: self.new_mail(),
            name,
            id,
            collected: Vec::new(),
            ends_in_cr: false,
            length: 0,
            largest_file: self.largest_file,
            syncs_names: self.syncs_names,
        })
    }

    /// Removes files from `tmp` that are too old for a delivery.
    fn remove_leftovers(&self, now: SystemTime) -> io::Result<()> {
        let tmp = self.directory.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(|error| at(&tmp, &error))? {
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

    /// Tries the folders out: stores an empty message and removes it.
    ///
    /// Its name begins with a dot, which mail readers pass over. Returns whether the name could be
    /// synced.
    fn probe(&self) -> io::Result<bool> {
        let draft = self.draft()?;
        let probe = self.new_mail().join(format!(".{}", draft.name));
        fs::rename(&draft.path, &probe).map_err(|error| at(&probe, &error))?;
        let synced = sync_names(&self.new_mail());
        fs::remove_file(&probe).map_err(|error| at(&probe, &error))?;
        synced
    }
}

/// A message that is being written.
#[derive(Debug)]
pub struct Draft {
    file: File,
    /// The place of the file in `tmp`.
    path: PathBuf,
    /// Whether the file has left `tmp`.
    left_tmp: bool,
    /// The folder where it will be delivered.
    new_mail: PathBuf,
    /// The name of the file: the time, the id, the host, with dots between them.
    name: String,
    id: String,
    /// The octets that are not in the file yet.
    collected: Vec<u8>,
    /// Whether the content so far ends in a CR, which is held back: an LF may follow.
    ends_in_cr: bool,
    /// How many octets are in the file, or on their way to it.
    length: u64,
    largest_file: u64,
    syncs_names: bool,
}

impl Draft {
    /// Returns the id of this message: letters and digits.
    ///
    /// No other message of this process has it. It is part of the file's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds a piece of the message, cut anywhere.
    ///
    /// CR LF becomes LF, the line end of files; everything else is written as it is.
    ///
    /// # Errors
    /// The file can't be written; no space left is one of the reasons.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        for block in content.chunks(BLOCK) {
            self.collect(block);
            if self.collected.len() >= BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Collects a block, with LF in place of CR LF.
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

    /// Writes the collected octets to the file.
    ///
    /// # Errors
    /// The file can't be written; a full disk is noticed here.
    pub fn flush(&mut self) -> io::Result<()> {
        self.length += self.collected.len() as u64;
        // Writing beyond a limit on the size of files (`ulimit -f`) is not an error: the system
        // sends a signal, SIGXFSZ, and that ends the process.
        if self.length > self.largest_file {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(&self.collected)?;
        self.collected.clear();
        Ok(())
    }

    /// Finishes the message and returns its place in `new`.
    ///
    /// When this returns, the message stays there through a crash and a power cut (but see
    /// [`Maildir::syncs_names`]).
    ///
    /// # Errors
    /// The message can't be stored safely. If it has its name in `new` already, that is removed
    /// again, as far as the file system still allows it.
    pub fn deliver(mut self) -> io::Result<PathBuf> {
        if self.ends_in_cr {
            self.collected.push(b'\r');
        }
        self.flush()?;
        // Opened first: if this fails, nothing has happened yet.
        let folder = Directory::open(&self.new_mail)?;
        // The order is the point: first the content is safe, then it gets its name in `new`, then
        // the name is safe.
        self.file.sync_all()?;
        let destination = self.new_mail.join(&self.name);
        // A rename replaces the file that is there, and that one was promised.
        if destination.exists() {
            return Err(at(&destination, &ErrorKind::AlreadyExists.into()));
        }
        fs::rename(&self.path, &destination).map_err(|error| at(&destination, &error))?;
        self.left_tmp = true;
        if self.syncs_names {
            if let Err(error) = folder.sync() {
                let _ = fs::remove_file(&destination);
                return Err(at(&self.new_mail, &error));
            }
        }
        Ok(destination)
    }
}

impl Drop for Draft {
    /// Removes the file of a draft that wasn't delivered.
    fn drop(&mut self) {
        if !self.left_tmp {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Adds the place where an error happened, for the operator to read.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Creates a file for this user alone, where there is none yet.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Prepares directories for this user alone.
fn private_directories() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// A directory whose names can be synced.
///
/// Syncing a file syncs its content, not the name that leads to it.
struct Directory(Option<File>);

impl Directory {
    fn open(path: &Path) -> io::Result<Directory> {
        // Only on Unix can a directory be opened.
        let file = cfg!(unix).then(|| File::open(path)).transpose();
        Ok(Directory(file.map_err(|error| at(path, &error))?))
    }

    /// Waits until the names in this directory are on the disk.
    fn sync(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), File::sync_all)
    }
}

/// Syncs the names in a directory. Returns whether that is possible.
fn sync_names(directory: &Path) -> io::Result<bool> {
    let synced = Directory::open(directory)?.sync();
    can_sync(synced).map_err(|error| {
        let problem = format!("cannot sync {}: {error}", directory.display());
        io::Error::new(error.kind(), problem)
    })
}

/// Tells a file system that can't sync from one that failed.
fn can_sync(synced: io::Result<()>) -> io::Result<bool> {
    match synced {
        Ok(()) => Ok(true),
        // EINVAL, and EOPNOTSUPP or ENOSYS.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Makes a machine's name fit for file names.
///
/// `/` and `:` are written as the Maildir page says, and other characters beyond plain text as `_`.
fn safe_in_file_name(host: &str) -> String {
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

    /// A folder of one test, removed when the test is over.
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
    fn a_message_is_in_tmp_until_it_is_delivered_and_then_in_new() {
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
    fn a_dropped_draft_leaves_nothing() {
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
    fn a_draft_holds_a_bounded_amount_in_memory() {
        let folder = Folder::new("bounded");
        let maildir = folder.open();
        let mut draft = maildir.draft().unwrap();
        for size in [1, 1000, BLOCK - 1, BLOCK, 10 * BLOCK] {
            draft.write(&vec![b'x'; size]).unwrap();
            assert!(draft.collected.capacity() <= 2 * BLOCK);
        }
    }

    #[test]
    fn a_file_over_the_limit_is_an_error_before_it_is_a_signal() {
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
    fn without_its_name_in_new_a_message_is_nowhere() {
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
    fn a_draft_never_opens_a_file_that_exists() {
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
    fn a_maildir_on_two_file_systems_is_an_error() {
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
    fn a_delivered_message_is_never_replaced() {
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
    fn missing_directories_are_created() {
        let folder = Folder::new("deep");
        let directory = folder.0.join("a/b/mail");
        for _ in 0..2 {
            let maildir = Maildir::open(directory.clone(), "localhost").unwrap();
            maildir.draft().unwrap().deliver().unwrap();
        }
        assert_eq!(fs::read_dir(directory.join("new")).unwrap().count(), 2);
    }

    #[test]
    fn leftovers_in_tmp_are_removed_after_36_hours() {
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
        // As after a clock was turned back.
        let file = File::create(folder.0.join("mail/tmp/future")).unwrap();
        file.set_modified(now + LEFTOVER_AGE).unwrap();
        drop(maildir);
        folder.open();
        assert!(!folder.0.join("mail/tmp/old").exists());
        assert_eq!(folder.count("tmp"), 3);
    }

    #[test]
    fn a_file_system_that_cannot_sync_a_directory_is_told_from_one_that_fails() {
        // What fsync answers on a directory of some FUSE and network file systems.
        for cannot in [ErrorKind::InvalidInput, ErrorKind::Unsupported] {
            assert!(!can_sync(Err(cannot.into())).unwrap(), "{cannot}");
        }
        for fails in [ErrorKind::StorageFull, ErrorKind::Other] {
            assert_eq!(can_sync(Err(fails.into())).unwrap_err().kind(), fails);
        }
        assert!(can_sync(Ok(())).unwrap());
    }

    #[test]
    fn a_file_in_the_place_of_the_maildir_is_an_error() {
        let folder = Folder::new("no-place");
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.0.join("mail"), "a file").unwrap();
        assert!(Maildir::open(folder.0.join("mail"), "localhost").is_err());
    }

    #[test]
    fn the_name_of_a_host_is_made_safe_in_a_file_name() {
        assert_eq!(safe_in_file_name("mail.example"), "mail.example");
        assert_eq!(safe_in_file_name("../a:b"), "..\\057a\\072b");
        assert_eq!(safe_in_file_name("[IPv6:::1]"), "[IPv6\\072\\072\\0721]");
        assert_eq!(safe_in_file_name("a b\nü"), "a_b__");
    }
}
