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

use crate::header;
use crate::mail::Mail;

/// How much of a mail is shown: so many recipients, header fields and lines of the body.
const SHOWN_LINES: usize = 20;

/// How much of one of them is shown, in octets.
const SHOWN_OCTETS: usize = 500;

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

    /// Shows a line the client sent, given without its line end and [without its
    /// secrets](without_secrets).
    pub fn client(&self, line: &[u8]) {
        if self.shown {
            self.show("C: ", &printable(without_secrets(line)));
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

    /// Whether anything is shown at all.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Shows a finished mail: envelope, header fields and body, the first lines of each.
    pub fn mail(&self, mail: &Mail) {
        if !self.shown {
            return;
        }
        let (section, body) = header::split(&mail.message);
        let fields = header::fields(section)
            .map(|field| [field.name, b": ", beginning(&field.value)].concat().into());
        let lines = body
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| header::without_line_end(line).into());
        let recipients = mail.forward_paths.iter();

        self.some("mail from: ", [mail.reverse_path.as_bytes().into()]);
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
            let shown = beginning(&line);
            let more = if shown.len() < line.len() { "..." } else { "" };
            self.narrate(format_args!("{label}{}{more}", printable(shown)));
        }
        if lines.next().is_some() {
            self.narrate(format_args!("{label}and more"));
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
/// string. A tab is text; no other control character is, nor one that can't be seen.
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
        Ok(text) if text.chars().all(is_plain) => Cow::Borrowed(text),
        _ => Cow::Owned(format!("b\"{}\"", bytes.escape_ascii())),
    }
}

/// Whether a terminal may draw this character: no control character, and none that is invisible or
/// turns the direction of what stands around it.
fn is_plain(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}'
    );
    character == '\t' || !(character.is_control() || invisible)
}

/// What may be shown of a line that a client sent: of an AUTH command nothing but the verb. What
/// follows is a password (RFC 4954, section 4), whether or not we understand the command, and a
/// client that gets a space or a line end wrong sends its password all the same.
///
/// ```
/// use smtp_from_scratch::transcript::without_secrets;
///
/// assert_eq!(without_secrets(b"AUTH PLAIN AGFkYQBzZWNyZXQ="), b"AUTH ...");
/// assert_eq!(without_secrets(b"AUTHOR ada"), b"AUTHOR ada");
/// ```
pub fn without_secrets(line: &[u8]) -> &[u8] {
    if is_auth(line) { b"AUTH ..." } else { line }
}

/// Whether a line is an AUTH command, or would be one if its client had made no mistake.
pub fn is_auth(line: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let word_start = line.iter().position(is_letter).unwrap_or(line.len());
    let word = line[word_start..].split(|byte| !is_letter(byte)).next();
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"))
}

/// As much of a line as is shown, and no half of a character at its end.
fn beginning(line: &[u8]) -> &[u8] {
    let Some(cut) = line.get(..SHOWN_OCTETS) else {
        return line;
    };
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
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
        let coloured = *COLOURED.get_or_init(|| {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            io::stdout().is_terminal() && !unwanted
        });
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

    #[test]
    fn the_beginning_of_a_line_ends_between_two_characters() {
        let line = "ü".repeat(SHOWN_OCTETS);
        assert_eq!(beginning(line.as_bytes()).len(), SHOWN_OCTETS);
        let line = format!("x{line}");
        assert_eq!(beginning(line.as_bytes()).len(), SHOWN_OCTETS - 1);
        let latin_1 = [0xfc; SHOWN_OCTETS + 1];
        assert_eq!(beginning(&latin_1).len(), SHOWN_OCTETS);
        assert_eq!(beginning(b"caf\xe9"), b"caf\xe9");
    }

    #[test]
    fn of_an_auth_command_only_the_verb_is_shown() {
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
        ] {
            assert_eq!(without_secrets(line.as_bytes()), b"AUTH ...", "{line:?}");
        }
    }

    #[test]
    fn other_commands_are_shown_whole() {
        for line in ["AUTHOR PLAIN x", "MAIL FROM:<a@b.c> AUTH=<>", "", " ", "\r"] {
            assert_eq!(
                without_secrets(line.as_bytes()),
                line.as_bytes(),
                "{line:?}"
            );
        }
    }

    #[test]
    fn unicode_control_and_format_characters_are_escaped_too() {
        // U+009B is CSI, the one-character form of ESC [. U+202E writes from right to left.
        assert_eq!(printable("\u{9b}2J".as_bytes()), r#"b"\xc2\x9b2J""#);
        assert_eq!(printable("\u{202e}".as_bytes()), r#"b"\xe2\x80\xae""#);
    }
}
