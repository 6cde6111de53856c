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

use std::borrow::Cow;
use std::fmt;
use std::mem;

use crate::header;
use crate::mail::Envelope;
use crate::terminal::{self, beginning, printable, printable_beginning};
use crate::verb::Verb;

/// How many recipients, header fields and lines of the body of a message are shown.
const SHOWN_LINES: usize = 20;

/// How much of one of them is shown, in octets.
const SHOWN_OCTETS: usize = 500;

/// How much of a client's line is shown, in octets.
const SHOWN_COMMAND: usize = 512;

/// Shows the conversation of one connection.
#[derive(Clone, Debug)]
pub struct Transcript {
    connection: u64,
    shown: bool,
    /// Whether the client's next line may be a secret.
    after_auth: bool,
    /// Whether it is a secret for certain.
    is_secret: bool,
}

impl Transcript {
    /// Makes the transcript of connection number `connection`, which shows nothing if `quiet`.
    pub fn new(connection: u64, quiet: bool) -> Transcript {
        Transcript {
            connection,
            shown: !quiet,
            after_auth: false,
            is_secret: false,
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
    /// sends its password all the same. So do clients that never read our refusal, in the lines
    /// after it. These are hidden until one of them begins with a known verb.
    ///
    /// ```
    /// use smtp_from_scratch::transcript::Transcript;
    ///
    /// let mut transcript = Transcript::new(1, true);
    /// assert_eq!(transcript.without_secrets(b"NOOP"), b"NOOP");
    /// assert_eq!(transcript.without_secrets(b"AUTH LOGIN"), b"AUTH ...");
    /// assert_eq!(transcript.without_secrets(b"c2VjcmV0"), b"...");
    /// assert_eq!(transcript.without_secrets(b"QUIT"), b"QUIT");
    /// ```
    pub fn without_secrets<'line>(&mut self, line: &'line [u8]) -> &'line [u8] {
        if mem::take(&mut self.is_secret) {
            self.after_auth = true;
            return b"...";
        }
        if is_auth(line) {
            self.after_auth = true;
            return b"AUTH ...";
        }
        self.after_auth &= !begins_with_verb(line);
        if self.after_auth { b"..." } else { line }
    }

    /// Hides the client's next line, whatever it looks like (chapter 11).
    pub fn hide_next_line(&mut self) {
        self.is_secret = true;
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

    /// Shows the first lines of envelope, header fields and body.
    ///
    /// A long message may be given by its beginning.
    pub fn message(&self, envelope: &Envelope, message: &[u8]) {
        if !self.shown {
            return;
        }
        let (section, body) = header::split(message);
        let fields = header::fields(section).map(|field| {
            [field.name, b": ", beginning(&field.value, SHOWN_OCTETS)]
                .concat()
                .into()
        });
        let lines = body
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| header::without_line_end(line).into());
        let recipients = envelope.forward_paths.iter();

        self.some("mail from: ", [envelope.reverse_path.as_bytes().into()]);
        self.some(
            "mail for:  ",
            recipients.map(|mailbox| mailbox.as_bytes().into()),
        );
        self.some("header:    ", fields);
        self.some("body:      ", lines);
    }

    /// Shows the first of many lines, and whether there are more.
    fn some<'a>(&self, label: &str, lines: impl IntoIterator<Item = Cow<'a, [u8]>>) {
        let mut lines = lines.into_iter();
        for line in lines.by_ref().take(SHOWN_LINES) {
            let shown = printable_beginning(&line, SHOWN_OCTETS);
            self.narrate(format_args!("{label}{shown}"));
        }
        if lines.next().is_some() {
            self.narrate(format_args!("{label}and more"));
        }
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

/// Says whether the first word of a line is a known verb, in capitals or in small letters.
///
/// A verb of both may be a name in base64.
fn begins_with_verb(line: &[u8]) -> bool {
    let word = line.trim_ascii().split(|&byte| byte == b' ').next();
    let word = word.and_then(|word| std::str::from_utf8(word).ok());
    word.is_some_and(|word| {
        let is_mixed = word.contains(char::is_lowercase) && word.contains(char::is_uppercase);
        Verb::parse(word).is_some() && !is_mixed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines as a new transcript shows them.
    fn without_secrets(lines: &[&str]) -> Vec<String> {
        let mut transcript = Transcript::new(1, true);
        let shown = lines.iter().map(|line| {
            let shown = transcript.without_secrets(line.as_bytes());
            String::from_utf8(shown.to_vec()).unwrap()
        });
        shown.collect()
    }

    #[test]
    fn only_the_verb_of_an_auth_command_is_shown() {
        for line in [
            "AUTH PLAIN AGFkYQ==",
            "auth  login  YWRh",
            " \tAUTH PLAIN x",
            "AUTH\tPLAIN x",
            "\rAUTH PLAIN x",
            "\0AUTH PLAIN x",
            "\u{feff}AUTH PLAIN x",
            "AUTH=PLAIN x",
            "AUTH secret",
            "AUTH",
            "AUTHPLAIN x",
            "NOOP\nAUTH PLAIN x",
            "EHLO x\rAUTH PLAIN x",
            "\x1b[AAUTH PLAIN x",
            "EHLO client.exampleAUTH PLAIN x",
            "NOOP auth login x",
        ] {
            assert_eq!(without_secrets(&[line]), ["AUTH ..."], "{line:?}");
        }
    }

    #[test]
    fn lines_after_auth_are_hidden_until_a_known_verb() {
        for auth in ["AUTH LOGIN", "AUTH PLAIN", "AUTH LOGIN dXNlcg=="] {
            assert_eq!(
                without_secrets(&[
                    auth,
                    "dXNlcg==",
                    "c2VjcmV0",
                    "",
                    "*",
                    "caf\u{e9}",
                    // A name of three octets in base64.
                    "eHlO",
                    "noop",
                    "x"
                ]),
                [
                    "AUTH ...", "...", "...", "...", "...", "...", "...", "noop", "x"
                ]
            );
        }
        assert_eq!(
            without_secrets(&["AUTH LOGIN", "MAIL FROM:<a@b.c>", "AUTH LOGIN", "x"]),
            ["AUTH ...", "MAIL FROM:<a@b.c>", "AUTH ...", "..."]
        );
    }

    #[test]
    fn a_line_that_is_a_secret_is_hidden_even_if_it_looks_like_a_verb() {
        let mut transcript = Transcript::new(1, true);
        transcript.hide_next_line();
        assert_eq!(transcript.without_secrets(b"NOOP"), b"...");
        assert_eq!(transcript.without_secrets(b"c2VjcmV0"), b"...");
        assert_eq!(transcript.without_secrets(b"NOOP"), b"NOOP");
    }

    #[test]
    fn other_commands_are_shown_whole() {
        for line in ["MAIL FROM:<a@b.c> AUTH=<>", "", " ", "\r"] {
            assert_eq!(without_secrets(&[line]), [line], "{line:?}");
        }
    }
}
