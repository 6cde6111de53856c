//! What the one who runs the server decides: its name, its limits, who keeps the mail (chapter 1).

use std::fmt;
use std::io;
use std::time::Duration;

use crate::mail::Mail;
use crate::maildir::Maildir;
use crate::transcript::Transcript;

/// How many octets a message may have: 25 MiB, as the large providers have it. 4.5.3.1.7 asks for
/// at least 64K, and for as few restrictions as one can afford.
pub const DEFAULT_MAX_SIZE: usize = 25 * 1024 * 1024;

/// How many recipients one message may have. 4.5.3.1.8 asks for at least 100.
pub const DEFAULT_MAX_RECIPIENTS: usize = 1000;

/// How many clients may be connected at a time. There is a thread for each.
pub const DEFAULT_MAX_CONNECTIONS: usize = 1000;

/// How long a client may keep the server waiting: five minutes for the next command (4.5.3.2.7).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Takes a finished mail. An error says that it was not kept: the client hears 451 and tries again.
pub type Keep = dyn Fn(&Mail, &Transcript) -> io::Result<()> + Send + Sync;

/// One for the whole server; every connection shares it.
pub struct Settings {
    /// The name the server gives itself: a domain, or an address in brackets such as `[127.0.0.1]`
    /// (4.1.1.1).
    pub hostname: String,
    /// The size limit of one message in octets, line ends counted as they are sent.
    pub max_size: usize,
    /// The limit of recipients for one message.
    pub max_recipients: usize,
    /// Whether the conversation stays off the terminal.
    pub quiet: bool,
    /// Who takes the finished mail, up to stage 7.
    pub keep: Box<Keep>,
    /// Where mail is kept, from stage 8 on. Without one it is accepted and forgotten.
    pub maildir: Option<Maildir>,
    /// The most clients at a time.
    pub max_connections: usize,
    /// How long a client may keep us waiting, from stage 9 on: more than zero, a day at most.
    pub timeout: Duration,
    /// The domains whose mail is taken, from stage 9 on, in any case; with none, every domain's.
    pub domains: Vec<String>,
}

impl Default for Settings {
    /// `localhost`, the default limits, the conversation shown, every recipient taken, the mail
    /// forgotten.
    fn default() -> Settings {
        Settings {
            hostname: "localhost".to_string(),
            max_size: DEFAULT_MAX_SIZE,
            max_recipients: DEFAULT_MAX_RECIPIENTS,
            quiet: false,
            keep: Box::new(|_, _| Ok(())),
            maildir: None,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            timeout: DEFAULT_TIMEOUT,
            domains: Vec::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("hostname", &self.hostname)
            .field("max_size", &self.max_size)
            .field("max_recipients", &self.max_recipients)
            .field("quiet", &self.quiet)
            .field("maildir", &self.maildir)
            .field("max_connections", &self.max_connections)
            .field("timeout", &self.timeout)
            .field("domains", &self.domains)
            .finish_non_exhaustive()
    }
}
