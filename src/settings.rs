//! What the one who runs the server decides: its name, its limits, and who keeps the mail (chapter 1).

use std::fmt;
use std::io;

use crate::mail::Mail;
use crate::transcript::Transcript;

/// How many octets a message may have: 25 MiB, as the large providers have it. 4.5.3.1.7 asks for
/// at least 64K, and for as few restrictions as one can afford.
pub const DEFAULT_MAX_SIZE: usize = 25 * 1024 * 1024;

/// How many recipients one message may have. 4.5.3.1.8 asks for at least 100.
pub const DEFAULT_MAX_RECIPIENTS: usize = 1000;

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
    /// Who takes the finished mail.
    pub keep: Box<Keep>,
}

impl Default for Settings {
    /// `localhost`, the default limits, the conversation shown, the mail forgotten.
    fn default() -> Settings {
        Settings {
            hostname: "localhost".to_string(),
            max_size: DEFAULT_MAX_SIZE,
            max_recipients: DEFAULT_MAX_RECIPIENTS,
            quiet: false,
            keep: Box::new(|_, _| Ok(())),
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
            .finish_non_exhaustive()
    }
}
