//! Servers to play against: our stages, a server that is running already, or an animal of the zoo.

use std::cell::Cell;
use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::RangeBounds;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::server::{self, Connection, Converse};
use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::STAGES;

use super::maildir::{KeptFile, ScratchMaildir, with_lf};
use super::zoo::{self, Mistake};

const PATIENCE: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Target {
    pub address: SocketAddr,
    /// Who it is, in a failure message.
    pub name: String,
    /// How a person starts the same server; empty for one that is running.
    pub command: String,
    /// Whether reply texts are ours. Elsewhere only the codes count.
    pub texts_count: bool,
    /// How long to wait for a reply that doesn't come. It is never waited out when all is well.
    pub patience: Duration,
    mails: Mails,
}

/// How the mails are found that a server has kept.
enum Mails {
    /// It doesn't tell.
    Untold,
    /// It hands each to the test.
    Handed(Mutex<Receiver<Mail>>),
    /// It has a Maildir.
    InMaildir(ScratchMaildir),
}

impl Target {
    /// A server that is running already.
    pub fn running(address: SocketAddr, texts_count: bool) -> Target {
        Target {
            address,
            name: format!("the server at {address}"),
            command: String::new(),
            texts_count,
            patience: PATIENCE,
            mails: Mails::Untold,
        }
    }

    /// The mails kept since the last call. `None` if this server doesn't tell.
    ///
    /// A mail is kept before its 250 is sent, so after the conversation it is here: no waiting.
    pub fn kept(&self) -> Option<Vec<Mail>> {
        match &self.mails {
            Mails::Untold => None,
            Mails::Handed(mails) => {
                let mails = mails.lock().expect("nobody panics with the lock");
                Some(mails.try_iter().collect())
            }
            Mails::InMaildir(maildir) => {
                let files = maildir.take();
                Some(files.iter().map(KeptFile::mail).collect())
            }
        }
    }

    /// What a mail looks like once this server has kept it: in a file a line ends in LF.
    pub fn as_kept(&self, mail: &Mail) -> Mail {
        let mut mail = mail.clone();
        if let Mails::InMaildir(_) = self.mails {
            mail.message = with_lf(&mail.message);
        }
        mail
    }

    /// The Maildir of one of our own servers of stage 8 and later.
    pub fn maildir(&self) -> &ScratchMaildir {
        match &self.mails {
            Mails::InMaildir(maildir) => maildir,
            _ => panic!("{} has no Maildir", self.name),
        }
    }
}

/// The server in `SMTP_SERVER`, if that is set.
pub fn external() -> Option<SocketAddr> {
    let address = std::env::var("SMTP_SERVER").ok()?;
    let mut resolved = address
        .to_socket_addrs()
        .unwrap_or_else(|error| panic!("SMTP_SERVER={address}: {error}; it is HOST:PORT"));
    Some(resolved.next().expect("a name has an address"))
}

/// Starts a stage's server on a free port, for this test alone.
pub fn start(number: usize, adjust: impl FnOnce(&mut Settings)) -> Target {
    start_behind(number, adjust, STAGES[number - 1].converse)
}

/// Starts the server of stage 9, to which every client seems to call from another machine.
pub fn start_for_strangers() -> Target {
    fn from_afar(mut connection: Connection) -> std::io::Result<()> {
        // An address of nobody's (RFC 5737).
        connection.peer.set_ip([192, 0, 2, 1].into());
        (STAGES[8].converse)(connection)
    }
    start_behind(9, |_| (), from_afar)
}

fn start_behind(number: usize, adjust: impl FnOnce(&mut Settings), converse: Converse) -> Target {
    let (listener, address) = free_port();
    let mut settings = Settings {
        quiet: true,
        ..Settings::default()
    };
    let mails = if number >= 8 {
        let maildir = ScratchMaildir::new();
        settings.maildir = Some(maildir.open());
        Mails::InMaildir(maildir)
    } else {
        let (sender, mails) = channel();
        let sender = Mutex::new(sender);
        settings.keep = Box::new(move |mail, _| {
            let sender = sender.lock().expect("nobody panics with the lock");
            // A test that is over doesn't listen any more.
            let _ = sender.send(mail.clone());
            Ok(())
        });
        Mails::Handed(Mutex::new(mails))
    };
    adjust(&mut settings);
    thread::spawn(move || server::serve(&listener, settings, converse));
    Target {
        address,
        name: format!("stage {number}"),
        command: format!("cargo run -- --stage {number}"),
        texts_count: true,
        patience: PATIENCE,
        mails,
    }
}

/// Starts a server with one classic mistake.
pub fn start_animal(mistake: Mistake) -> Target {
    let (listener, address) = free_port();
    let (kept, mails) = channel();
    thread::spawn(move || zoo::serve(&listener, mistake, &kept));
    Target {
        address,
        name: format!("the zoo's {mistake:?}"),
        command: String::new(),
        texts_count: false,
        // Some animals fall silent; the others answer at once.
        patience: match mistake {
            Mistake::None | Mistake::NoneInEcho => PATIENCE,
            _ => Duration::from_secs(1),
        },
        mails: Mails::Handed(Mutex::new(mails)),
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

/// Runs `test` with an animal of the zoo in the place of every stage.
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

/// Whom to play against: the animal, the running server, or each of our stages in the range.
pub fn targets(stages: &(impl RangeBounds<usize> + Debug)) -> Vec<Target> {
    if let Some(animal) = ANIMAL.get() {
        return vec![start_animal(animal)];
    }
    if let Some(address) = external() {
        return vec![Target::running(address, false)];
    }
    started(stages, |_| ())
}

/// Each of our stages in the range, with the settings that `adjust` makes.
pub fn started(
    stages: &(impl RangeBounds<usize> + Debug),
    adjust: impl Fn(&mut Settings),
) -> Vec<Target> {
    let numbers = (1..=STAGES.len()).filter(|number| stages.contains(number));
    let targets: Vec<Target> = numbers.map(|number| start(number, &adjust)).collect();
    assert!(!targets.is_empty(), "there is no stage in {stages:?}");
    targets
}
