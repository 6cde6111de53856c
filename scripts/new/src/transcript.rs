//! The live conversation on the terminal, in the notation of RFC 5321 and of this book (chapter 1).
//!
//! ```text
//! [1] {127.0.0.1:49152 connects}
//! [1] S: 220 localhost ESMTP ready
//! [1] C: HELO client.example
//! ```
//!
//! `S:` is what the server says, `C:` the client, braces narrate, and the number tells the
//! connections apart when several talk at once. A line that isn't plain text is shown as a Rust
//! byte string, `C: b"caf\xc3\xa9"` ([`printable`]).

use std::fmt;

use crate::terminal::{self, printable, printable_beginning};

/// How much of a client's line is shown, in octets.
const SHOWN_COMMAND: usize = 512;

/// Shows the conversation of one connection.
#[derive(Clone, Debug)]
pub struct Transcript {
    connection: u64,
    shown: bool,
}

impl Transcript {
    /// Makes the transcript of connection number `connection`, which shows nothing if `quiet`.
    pub fn new(connection: u64, quiet: bool) -> Transcript {
        Transcript {
            connection,
            shown: !quiet,
        }
    }

    /// Shows a line that the client sent, given without its line end.
    ///
    /// Its [secrets](Transcript::without_secrets) are hidden.
    pub fn client(&mut self, line: &[u8]) {
        if self.shown {
            let line = self.without_secrets(line);
            self.show("C: ", &printable_beginning(line, SHOWN_COMMAND));
        }
    }

    /// Hides the secrets in the client's next line.
    ///
    /// Of an AUTH command only the verb is shown. What follows is a password (RFC 4954, section 4),
    /// whether or not we understand the command; and a client that gets a space or a line end wrong
    /// sends its password all the same.
    pub fn without_secrets<'line>(&mut self, line: &'line [u8]) -> &'line [u8] {
        if is_auth(line) { b"AUTH ..." } else { line }
    }

    /// Shows a line that the server sends, given without its line end.
    pub fn server(&self, line: &[u8]) {
        if self.shown {
            self.show("S: ", &printable(line));
        }
    }

    /// Shows an event in braces: a client comes, a message is stored.
    ///
    /// Bytes from the client must have been through [`printable`].
    pub fn narrate(&self, what: fmt::Arguments<'_>) {
        if self.shown {
            self.show("", &format!("{{{what}}}"));
        }
    }

    /// Says whether anything is shown at all.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Reports a problem on our side to the operator, quiet or not.
    pub fn error(&self, what: fmt::Arguments<'_>) {
        terminal::error(format_args!("[{}] {what}", self.connection));
    }

    fn show(&self, speaker: &str, text: &str) {
        terminal::conversation(self.connection, speaker, text);
    }
}

/// Says whether a line is an AUTH command, or a mistyped one.
///
/// It may stand anywhere in the line: behind a bare CR or LF, what an arrow key has sent, or a command whose
/// line end was forgotten.
fn is_auth(line: &[u8]) -> bool {
    let is_auth_and_space =
        |five: &[u8]| five[..4].eq_ignore_ascii_case(b"AUTH") && b" \t".contains(&five[4]);
    let mut lines = line.split(|byte| matches!(byte, b'\r' | b'\n'));
    line.windows(5).any(is_auth_and_space)
        || lines.any(|line| {
            let start = line.iter().position(u8::is_ascii_alphabetic);
            let word = &line[start.unwrap_or(line.len())..];
            word.len() >= 4 && word[..4].eq_ignore_ascii_case(b"AUTH")
        })
}
