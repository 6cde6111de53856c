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
//! byte string, `C: b"caf\xc3\xa9"`: nothing a client sends reaches the terminal with its control
//! bytes intact, because a terminal obeys them.
//!
//! With the cargo feature `log` the same lines go through the `log` crate instead.

use std::borrow::Cow;
use std::fmt;

/// Shows the conversation of one connection.
#[derive(Clone, Debug)]
pub struct Transcript {
    connection: u64,
    shown: bool,
}

impl Transcript {
    /// The transcript of connection number `connection`, which shows nothing if `quiet`.
    pub fn new(connection: u64, quiet: bool) -> Transcript {
        Transcript {
            connection,
            shown: !quiet,
        }
    }

    /// Shows a line the client sent, given without its line end.
    ///
    /// What follows `AUTH PLAIN` is a password, whether or not we understand the command.
    pub fn client(&self, line: &[u8]) {
        if self.shown {
            match secret_start(line) {
                Some(start) => self.show("C: ", &(printable(&line[..start]) + "...")),
                None => self.show("C: ", &printable(line)),
            }
        }
    }

    /// Shows a line the server sends, given without its line end.
    pub fn server(&self, line: &[u8]) {
        if self.shown {
            self.show("S: ", &printable(line));
        }
    }

    /// Shows, in braces, what isn't a line: who comes, who goes, what happened to the mail.
    ///
    /// Whatever comes from the client must have been through [`printable`].
    pub fn narrate(&self, what: fmt::Arguments<'_>) {
        if self.shown {
            self.show("", &format!("{{{what}}}"));
        }
    }

    fn show(&self, speaker: &str, text: &str) {
        output::conversation(self.connection, speaker, text);
    }
}

/// Tells the operator about something that went wrong on our side, quiet or not.
pub fn error(what: fmt::Arguments<'_>) {
    output::error(what);
}

/// What can be shown of bytes that a stranger sent: text as it is, anything else as a Rust byte
/// string. A tab is text; no other control character is.
///
/// ```
/// use smtp_from_scratch::transcript::printable;
///
/// assert_eq!(printable(b"HELO client.example"), "HELO client.example");
/// assert_eq!(printable("Grüße".as_bytes()), "Grüße");
/// assert_eq!(printable(b"\x1b[2J"), r#"b"\x1b[2J""#);
/// assert_eq!(printable(b"caf\xe9"), r#"b"caf\xe9""#);
/// ```
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && c != '\t') => Cow::Borrowed(text),
        _ => Cow::Owned(format!("b\"{}\"", bytes.escape_ascii())),
    }
}

/// Where the secret begins in an AUTH command: after the mechanism, the initial response
/// (RFC 4954, section 4).
fn secret_start(line: &[u8]) -> Option<usize> {
    let line_start = line
        .iter()
        .position(|&byte| byte != b' ' && byte != b'\t')?;
    let verb = line.get(line_start..line_start + 5)?;
    if !verb.eq_ignore_ascii_case(b"AUTH ") {
        return None;
    }
    let argument_start = line_start + verb.len();
    let argument = &line[argument_start..];
    let mechanism_start = argument.iter().position(|&byte| byte != b' ')?;
    let mechanism_end = argument[mechanism_start..]
        .iter()
        .position(|&byte| byte == b' ')?;
    Some(argument_start + mechanism_start + mechanism_end + 1)
}

/// Where the lines go: to the terminal. A terminal that is gone (`cargo run | head -1`) is no
/// reason to stop serving, so what can't be written is let go: `println!` would panic.
#[cfg(not(feature = "log"))]
mod output {
    use std::fmt;
    use std::io::{self, IsTerminal, Write};
    use std::sync::OnceLock;

    pub fn conversation(connection: u64, speaker: &str, text: &str) {
        // Green for the server, cyan for the client, dim for the narrator: on a terminal only,
        // and not where the user asked for none (https://no-color.org).
        static COLOURED: OnceLock<bool> = OnceLock::new();
        let coloured = *COLOURED
            .get_or_init(|| io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
        let (start, end) = match (coloured, speaker) {
            (false, _) => ("", ""),
            (true, "S: ") => ("\x1b[32m", "\x1b[0m"),
            (true, "C: ") => ("\x1b[36m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[0m"),
        };
        // One lock for the whole line: two clients may talk at once, their letters may not mix.
        let _ = writeln!(
            io::stdout().lock(),
            "[{connection}] {start}{speaker}{text}{end}"
        );
    }

    pub fn error(what: fmt::Arguments<'_>) {
        let _ = writeln!(io::stderr().lock(), "error: {what}");
    }
}

#[cfg(feature = "log")]
mod output {
    use std::fmt;

    pub fn conversation(connection: u64, speaker: &str, text: &str) {
        log::info!(target: "smtp_from_scratch::conversation", "[{connection}] {speaker}{text}");
    }

    pub fn error(what: fmt::Arguments<'_>) {
        log::error!(target: "smtp_from_scratch::server", "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of_auth(line: &str) -> Option<&str> {
        secret_start(line.as_bytes()).map(|start| &line[..start])
    }

    #[test]
    fn what_follows_the_auth_mechanism_is_a_secret() {
        assert_eq!(shown_of_auth("AUTH PLAIN AGFkYQ=="), Some("AUTH PLAIN "));
        assert_eq!(shown_of_auth("auth  login  YWRh"), Some("auth  login "));
        assert_eq!(shown_of_auth("  AUTH PLAIN x"), Some("  AUTH PLAIN "));
    }

    #[test]
    fn auth_without_an_initial_response_has_no_secret() {
        for line in ["AUTH", "AUTH ", "AUTH LOGIN", "AUTHOR PLAIN x", "", " "] {
            assert_eq!(shown_of_auth(line), None, "{line:?}");
        }
    }

    #[test]
    fn unicode_control_characters_are_escaped_too() {
        // U+009B is CSI, the one-character form of ESC [.
        assert_eq!(printable("\u{9b}2J".as_bytes()), r#"b"\xc2\x9b2J""#);
    }
}
