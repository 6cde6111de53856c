//! The terminal: what is written to it, and in which form (chapter 1).
//!
//! A terminal obeys the bytes that it is shown, and a stranger chooses them. So everything that a client
//! sends goes through [`printable`] first.
//!
//! With the cargo feature `log` the lines go through the `log` crate instead.

use std::borrow::Cow;

pub use output::{conversation, error};

/// Makes bytes from a stranger fit to be shown.
///
/// Text stays as it is; anything else becomes a Rust byte string. A tab is text, other control
/// characters and invisible ones are not.
///
/// ```
/// use smtp_from_scratch::terminal::printable;
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

/// Says whether a terminal may draw this character.
///
/// It may not draw a control character, an invisible one, or one that turns the direction of the
/// text around it.
fn is_plain(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}'
    );
    character == '\t' || !(character.is_control() || invisible)
}

/// Cuts a line after `most` octets, and not within a character.
pub fn beginning(line: &[u8], most: usize) -> &[u8] {
    let Some(cut) = line.get(..most) else {
        return line;
    };
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}

/// Does the same for the terminal, with dots for the rest.
pub fn printable_beginning(line: &[u8], most: usize) -> Cow<'_, str> {
    let shown = beginning(line, most);
    match shown.len() < line.len() {
        true => printable(shown) + "...",
        false => printable(shown),
    }
}

/// Writes to the terminal.
///
/// The server goes on without its terminal (`cargo run | head -1`), so errors are ignored;
/// `println!` would panic.
#[cfg(not(feature = "log"))]
mod output {
    use std::fmt;
    use std::io::{self, IsTerminal, Write};
    use std::sync::OnceLock;

    /// Writes a line of the conversation of one connection.
    pub fn conversation(connection: u64, speaker: &str, text: &str) {
        // Green for the server, cyan for the client, dim for the narrator: on a terminal only,
        // and not if the user wants no colours (https://no-color.org).
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
        // One lock for the whole line, so that the letters of two clients don't mix.
        let _ = writeln!(
            io::stdout().lock(),
            "[{connection}] {start}{speaker}{text}{end}"
        );
    }

    /// Reports a problem to the operator, quiet or not.
    pub fn error(what: fmt::Arguments<'_>) {
        // Standard error has no buffer. One write for the whole line, so that nothing comes in between.
        let line = format!("error: {what}\n");
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

#[cfg(feature = "log")]
mod output {
    use std::fmt;

    /// Logs a line of the conversation of one connection.
    pub fn conversation(connection: u64, speaker: &str, text: &str) {
        log::info!(target: "smtp_from_scratch::conversation", "[{connection}] {speaker}{text}");
    }

    /// Reports a problem to the operator.
    pub fn error(what: fmt::Arguments<'_>) {
        log::error!(target: "smtp_from_scratch::server", "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        for (line, shown) in [
            ("üü".as_bytes(), 4),
            ("üüü".as_bytes(), 4),
            ("xüüü".as_bytes(), 3),
            (&[0xfc; 5], 4), // Latin-1
            (b"caf", 3),
        ] {
            assert_eq!(beginning(line, 4).len(), shown, "{}", line.escape_ascii());
        }
        assert_eq!(printable_beginning(b"abcde", 4), "abcd...");
        assert_eq!(printable_beginning(b"abcd", 4), "abcd");
    }

    #[test]
    fn unicode_control_and_format_characters_are_escaped_too() {
        // U+009B is CSI, the one-character form of ESC [. U+202E writes from right to left.
        assert_eq!(printable("\u{9b}2J".as_bytes()), r#"b"\xc2\x9b2J""#);
        assert_eq!(printable("\u{202e}".as_bytes()), r#"b"\xe2\x80\xae""#);
    }
}
