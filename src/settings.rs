//! The operator's decisions: the server's name, its limits, where mail is stored (chapter 1).

use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::fault::Fault;
use crate::mail::Mail;
use crate::maildir::Maildir;
use crate::users::Login;

/// How many octets a message may have: 25 MiB, as the large providers have it. 4.5.3.1.7 asks for
/// at least 64K, and for as few restrictions as one can afford.
pub const DEFAULT_MAX_SIZE: usize = 25 * 1024 * 1024;

/// How many recipients one message may have. 4.5.3.1.8 asks for at least 100.
pub const DEFAULT_MAX_RECIPIENTS: usize = 1000;

/// How many clients may be connected at a time. There is a thread for each.
pub const DEFAULT_MAX_CONNECTIONS: usize = 1000;

/// How long a client may keep the server waiting: five minutes for the next command (4.5.3.2.7).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The settings of a server. Every connection shares them.
#[derive(Debug)]
pub struct Settings {
    /// The name that the server gives itself: a domain, or an address in brackets such as
    /// `[127.0.0.1]` (4.1.1.1).
    pub hostname: String,
    /// Whether the conversation stays off the terminal.
    pub quiet: bool,
    /// The most clients at a time (chapter 9).
    pub max_connections: usize,
    /// The most recipients of one message (chapter 5).
    pub max_recipients: usize,
    /// The largest message in octets, line ends counted as they are sent (chapter 6).
    pub max_size: usize,
    /// Who gets each mail that stages 6 and 7 accept, for programs that want to see it: the tests.
    pub inbox: Option<Sender<Mail>>,
    /// Where mail is stored (chapter 8). Without a Maildir it is accepted and dropped.
    pub maildir: Option<Maildir>,
    /// How long a client may keep us waiting (chapter 9): more than zero, a day at most.
    pub timeout: Duration,
    /// The domains whose mail is accepted (chapter 9), in upper or lower case; with none, every
    /// domain's.
    pub domains: Vec<String>,
    /// The keywords that EHLO doesn't offer (chapter 10), in upper or lower case.
    pub without: Vec<String>,
    /// Who may log in (chapter 11).
    pub login: Login,
    /// Whether a proxy says who each client is (chapter 12).
    pub proxy: bool,
    /// What goes wrong on purpose (chapter 14).
    pub faults: Vec<Fault>,
    /// Whether addresses choose what goes wrong.
    pub fault_addresses: bool,
}

impl Default for Settings {
    /// `localhost`, the default limits, the conversation shown, every recipient accepted, mail
    /// dropped.
    fn default() -> Settings {
        Settings {
            hostname: "localhost".to_string(),
            quiet: false,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_recipients: DEFAULT_MAX_RECIPIENTS,
            max_size: DEFAULT_MAX_SIZE,
            inbox: None,
            maildir: None,
            timeout: DEFAULT_TIMEOUT,
            domains: Vec::new(),
            without: Vec::new(),
            login: Login::Nobody,
            proxy: false,
            faults: Vec::new(),
            fault_addresses: false,
        }
    }
}
