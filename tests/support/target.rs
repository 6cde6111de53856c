//! Servers to play against: our stages, a server that already runs, or an animal of the zoo.

use std::cell::Cell;
use std::env;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use smtp_from_scratch::cli::{STAGE_OF_EXTENSIONS, STAGE_OF_MAILDIR};
use smtp_from_scratch::connection::{Connection, Converse};
use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::server;
use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::STAGES;
use smtp_from_scratch::users::{Login, Users};
use smtp_from_scratch::{fault, faulty};

use super::animal::Ears;
use super::maildir::{ScratchMaildir, StoredFile, as_in_a_file};
use super::program::{self, Server, serving};
use super::scratch::ScratchFolder;
use super::zoo::{self, Mistake};
use super::{by_default, is_built_to, skipped};

const PATIENCE: Duration = Duration::from_secs(5);

/// The users of all tests with `--users`, as its file has them. Only these have a flag.
pub const USERS: &str = "ada:s3cret\nbob:tr0ub4dor&3:\u{fc}\n";

/// Names a server that listens.
pub struct Target {
    pub address: SocketAddr,
    /// Its name in a failure message.
    pub name: String,
    /// The command that starts it; empty for a running server.
    pub command: String,
    /// Whether the texts of the replies are ours. Elsewhere only the codes count.
    pub texts_count: bool,
    /// The time to wait for a reply. A test that passes never waits so long.
    pub patience: Duration,
    /// What an animal shows on its terminal.
    pub shown: Option<Receiver<String>>,
    /// The program that serves here, until the test ends.
    process: Option<Server>,
    mails: Mails,
}

/// Finds the mails that a server has stored.
enum Mails {
    /// The server doesn't report them.
    Unknown,
    /// The server sends each to the test.
    Sent(Mutex<Receiver<Mail>>),
    /// The server has a Maildir.
    InMaildir(ScratchMaildir),
}

impl Target {
    /// Names a server that already runs.
    pub fn running(address: SocketAddr, texts_count: bool) -> Target {
        Target {
            address,
            name: format!("the server at {address}"),
            command: String::new(),
            texts_count,
            patience: patience(),
            shown: None,
            process: None,
            mails: Mails::Unknown,
        }
    }

    /// Says whether [`Target::stored`] returns mails.
    pub fn reports_mails(&self) -> bool {
        !matches!(self.mails, Mails::Unknown)
    }

    /// Returns the mails stored since the last call.
    ///
    /// It is `None` for a server that doesn't report its mails: one that already runs, or a program before
    /// stage 8. All others store a mail before its 250 is sent, so after the conversation there is nothing
    /// to wait for.
    pub fn stored(&self) -> Option<Vec<Mail>> {
        match &self.mails {
            Mails::Unknown => None,
            Mails::Sent(mails) => {
                let mails = mails.lock().expect("nobody panics with the lock");
                Some(mails.try_iter().collect())
            }
            Mails::InMaildir(maildir) => {
                let files = maildir.take();
                Some(files.iter().map(StoredFile::mail).collect())
            }
        }
    }

    /// Returns the messages of [`Target::stored`], for our own servers.
    pub fn stored_messages(&self) -> Vec<Vec<u8>> {
        let mails = self.stored().expect("our own server reports its mails");
        mails.into_iter().map(|mail| mail.message).collect()
    }

    /// Returns a mail as this server stores it.
    ///
    /// In a file it differs a little.
    pub fn as_stored(&self, mail: &Mail) -> Mail {
        let mut mail = mail.clone();
        if let Mails::InMaildir(_) = self.mails {
            mail.message = as_in_a_file(&mail.message);
        }
        mail
    }

    /// Returns the Maildir of our own server, from stage 8 on.
    pub fn maildir(&self) -> &ScratchMaildir {
        match &self.mails {
            Mails::InMaildir(maildir) => maildir,
            _ => panic!("{} has no Maildir", self.name),
        }
    }
}

/// Returns the address in `SMTP_SERVER`, if that is set.
pub fn external() -> Option<SocketAddr> {
    let address = env::var("SMTP_SERVER").ok()?;
    assert!(
        program::chosen().is_none(),
        "SMTP_SERVER and SMTP_PROGRAM are both set: choose one"
    );
    let mut resolved = address
        .to_socket_addrs()
        .unwrap_or_else(|error| panic!("SMTP_SERVER={address}: {error}; it is HOST:PORT"));
    Some(resolved.next().expect("a name has an address"))
}

/// Returns the time to wait for a reply of a server that already runs: `SMTP_PATIENCE` in seconds.
fn patience() -> Duration {
    env::var("SMTP_PATIENCE").map_or(PATIENCE, |seconds| {
        let number = seconds.parse().ok().filter(|&number| number > 0);
        Duration::from_secs(
            number.unwrap_or_else(|| panic!("SMTP_PATIENCE={seconds}: it is in seconds")),
        )
    })
}

/// Starts a stage's server on a free port, for this test alone.
///
/// With `SMTP_PROGRAM` set that program is the server.
pub fn start(number: usize, adjust: impl FnOnce(&mut Settings)) -> Target {
    match program::chosen() {
        Some(program) => start_program(&program.path, number, adjust),
        None => start_behind(number, adjust, STAGES[number - 1].converse),
    }
}

fn start_program(path: &Path, number: usize, adjust: impl FnOnce(&mut Settings)) -> Target {
    let folder = ScratchFolder::new();
    let users = folder.path().join("users");
    let flags = flags(adjust, &users).expect("each setting has a flag");
    write_users(&users, USERS);
    let mut command = serving(&["--quiet", "--stage", &number.to_string()]);
    command.args(&flags);
    let mails = if number >= STAGE_OF_MAILDIR {
        let maildir = ScratchMaildir::new();
        command.arg("--maildir").arg(maildir.path());
        Mails::InMaildir(maildir)
    } else {
        Mails::Unknown
    };
    let server = Server::spawned(command);
    let path = path.display();
    Target {
        address: server
            .address
            .parse()
            .expect("the first line has an address"),
        name: format!("stage {number} of {path}"),
        command: [format!("{path} --stage {number}"), flags.join(" ")]
            .join(" ")
            .trim_end()
            .to_string(),
        texts_count: true,
        patience: PATIENCE,
        shown: None,
        process: Some(server),
        mails,
    }
}

/// Writes a file for `--users`, which only its owner may read.
pub fn write_users(file: &Path, users: &str) {
    fs::write(file, users).expect("a file for the users");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let yours_alone = fs::Permissions::from_mode(0o600);
        fs::set_permissions(file, yours_alone).expect("it is ours");
    }
}

/// Lets only [`USERS`] send mail.
pub fn with_users(settings: &mut Settings) {
    settings.login = Login::Users(Users::parse(USERS).expect("they are users"));
}

/// Returns the flags that make these settings, or `None` if one of the settings has no flag.
///
/// If they have users, these are [`USERS`], and `users` is the file with them.
fn flags(adjust: impl FnOnce(&mut Settings), users: &Path) -> Option<Vec<String>> {
    let mut settings = Settings::default();
    adjust(&mut settings);
    if settings.inbox.is_some() || settings.maildir.is_some() {
        return None;
    }
    let seconds = |settings: &Settings| settings.timeout.as_millis().div_ceil(1000);
    let default = Settings::default();
    let mut flags = Vec::new();
    for (flag, value, default) in [
        (
            "--hostname",
            settings.hostname.clone(),
            default.hostname.clone(),
        ),
        (
            "--max-connections",
            settings.max_connections.to_string(),
            default.max_connections.to_string(),
        ),
        (
            "--max-recipients",
            settings.max_recipients.to_string(),
            default.max_recipients.to_string(),
        ),
        (
            "--max-size",
            settings.max_size.to_string(),
            default.max_size.to_string(),
        ),
        (
            "--timeout",
            seconds(&settings).to_string(),
            seconds(&default).to_string(),
        ),
    ] {
        if value != default {
            flags.extend([flag.to_string(), value]);
        }
    }
    for domain in settings.domains {
        flags.extend(["--domain".to_string(), domain]);
    }
    for keyword in settings.without {
        flags.extend(["--without".to_string(), keyword]);
    }
    let login = match settings.login {
        Login::Nobody => None,
        Login::Any => Some(["--login".to_string(), "any".to_string()]),
        Login::Users(_) => Some(["--users".to_string(), users.display().to_string()]),
    };
    flags.extend(login.into_iter().flatten());
    flags.extend(settings.proxy.then(|| "--proxy".to_string()));
    for fault in &settings.faults {
        flags.extend(["--fault".to_string(), fault.spec.clone()]);
    }
    if settings.fault_addresses {
        flags.extend(["--fault".to_string(), fault::ADDRESSES.to_string()]);
    }
    Some(flags)
}

/// Starts the last stage, where every client seems to be on another machine.
///
/// Its texts don't count: they are those of its own chapter.
pub fn start_for_other_machines() -> Target {
    fn from_another_machine(mut connection: Connection) -> io::Result<()> {
        // An address for documentation, which no machine has (RFC 5737).
        connection.peer.set_ip([192, 0, 2, 1].into());
        (STAGES[STAGES.len() - 1].converse)(connection)
    }
    Target {
        texts_count: false,
        ..start_behind(STAGES.len(), by_default, from_another_machine)
    }
}

/// Makes every attempt to store a mail fail, up to stage 7.
pub fn stores_nothing(settings: &mut Settings) {
    let (inbox, _) = channel();
    settings.inbox = Some(inbox);
}

fn start_behind(number: usize, adjust: impl FnOnce(&mut Settings), converse: Converse) -> Target {
    let (listener, address) = free_port();
    let mut settings = Settings {
        quiet: true,
        ..Settings::default()
    };
    let mails = if number >= STAGE_OF_MAILDIR {
        let maildir = ScratchMaildir::new();
        settings.maildir = Some(maildir.open());
        Mails::InMaildir(maildir)
    } else {
        let (sender, mails) = channel();
        settings.inbox = Some(sender);
        Mails::Sent(Mutex::new(mails))
    };
    adjust(&mut settings);
    let converse = match faulty::is_wanted(&settings) {
        true => faulty::converse,
        false => converse,
    };
    thread::spawn(move || server::serve(&listener, settings, converse));
    Target {
        address,
        name: format!("stage {number}"),
        command: format!("cargo run -- --stage {number}"),
        texts_count: true,
        patience: PATIENCE,
        shown: None,
        process: None,
        mails,
    }
}

/// Starts a server with one classic mistake.
pub fn start_animal(mistake: Mistake) -> Target {
    let (listener, address) = free_port();
    let (stored, mails) = channel();
    let (shows, shown) = channel();
    let ears = Ears {
        stored,
        shown: shows,
    };
    thread::spawn(move || zoo::serve(&listener, mistake, &ears));
    Target {
        address,
        name: format!("the zoo's {mistake:?}"),
        command: String::new(),
        texts_count: false,
        // Some animals never answer; the others answer at once.
        patience: match mistake {
            Mistake::None | Mistake::NoneInEcho => PATIENCE,
            _ => Duration::from_secs(1),
        },
        shown: Some(shown),
        process: None,
        mails: Mails::Sent(Mutex::new(mails)),
    }
}

fn free_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, address)
}

thread_local! {
    static ANIMAL: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Runs `test` with an animal in place of every stage.
pub fn with_animal(animal: Mistake, test: impl FnOnce()) {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            ANIMAL.set(None);
        }
    }
    let _leave = Leave;
    ANIMAL.set(Some(animal));
    test();
}

/// Starts the animal, if the test is about one.
pub fn animal() -> Option<Target> {
    ANIMAL.get().map(start_animal)
}

/// Chooses the animal, the running server, or our stages in the range.
pub fn targets(stages: &(impl RangeBounds<usize> + Debug)) -> Vec<Target> {
    if let Some(address) = external() {
        return vec![Target::running(address, false)];
    }
    started(stages, by_default)
}

/// Starts our stages in the range, with settings made by `adjust`. The animal has its own settings.
///
/// Of a program that can't be started so, it returns none, and reports the test as skipped.
///
/// From stage 10 on the replies to a client that has said EHLO have enhanced status codes, and EHLO's own
/// has several lines. Chapter 10's tests look at them. In a test that begins with an earlier stage only
/// the codes count there, as they do on another server.
pub fn started(
    stages: &(impl RangeBounds<usize> + Debug),
    adjust: impl Fn(&mut Settings),
) -> Vec<Target> {
    if let Some(animal) = animal() {
        return vec![animal];
    }
    let numbers = || (1..=STAGES.len()).filter(|number| stages.contains(number));
    let first = numbers().next();
    let first = first.unwrap_or_else(|| panic!("there is no stage in {stages:?}"));
    if !is_built_to(first) {
        return Vec::new();
    }
    if program::chosen().is_some() && flags(&adjust, Path::new("users")).is_none() {
        skipped("it needs a setting that has no flag");
        return Vec::new();
    }
    let numbers = numbers().filter(|&number| number <= program::last_stage());
    let started = numbers.map(|number| Target {
        texts_count: first >= STAGE_OF_EXTENSIONS || number < STAGE_OF_EXTENSIONS,
        ..start(number, &adjust)
    });
    started.collect()
}
