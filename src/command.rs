//! A command: a verb and its argument (chapter 3).

use crate::reply::Reply;
pub use crate::verb::Verb;
use crate::wire::{LineEnd, MAX_COMMAND_LINE};

/// The longest AUTH command in octets, CRLF included. RFC 4954, section 4 has 12,288 octets for the
/// lines of base64 that follow; some clients send the first of them with the command.
pub const MAX_AUTH_LINE: usize = 12_288;

/// The longest line that is read, in octets: that of the command with the most to say.
pub const MAX_LINE: usize = MAX_AUTH_LINE;

/// 500: an unknown verb, or no command at all.
pub const UNRECOGNIZED: Reply = Reply::new(500, "Command not recognized");

/// 500: a line over the limit of its command (4.5.3.1.4, 4.5.3.1.9).
pub const LINE_TOO_LONG: Reply = Reply::new(500, "Line too long");

/// 500: a byte outside printable ASCII. Commands are ASCII, and other bytes get "500 syntax error -
/// invalid character" (2.4). Control characters are ASCII and no better.
pub const INVALID_CHARACTER: Reply = Reply::new(500, "Syntax error - invalid character");

/// Reads a command from a line, given without its line end.
pub type Parse = for<'line> fn(&'line [u8], LineEnd) -> Result<Command<'line>, Reply>;

/// One command, as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'line> {
    /// The first word of the line.
    pub verb: Verb,
    /// The rest of the line, printable ASCII, without spaces around it. It may be empty. Where EHLO
    /// has offered it, an address in it may be UTF-8 (chapter 10).
    pub argument: &'line str,
    /// How the line ended. DATA needs to know: the message ends the way its command did, or, after
    /// an LF, in either way.
    pub line_end: LineEnd,
}

impl Command<'_> {
    /// Reads a command from a line, given without its line end.
    ///
    /// White space around the line is dropped; 4.1.1 asks for that at the end.
    ///
    /// ```
    /// use smtp_from_scratch::command::{Command, Verb, UNRECOGNIZED};
    /// use smtp_from_scratch::wire::LineEnd;
    ///
    /// let command = Command::parse(b"mail FROM:<ada@example.org>", LineEnd::CrLf).unwrap();
    /// assert_eq!(command.verb, Verb::Mail);
    /// assert_eq!(command.argument, "FROM:<ada@example.org>");
    ///
    /// assert_eq!(Command::parse(b"MAILFROM:<ada@example.org>", LineEnd::CrLf), Err(UNRECOGNIZED));
    /// ```
    ///
    /// # Errors
    /// 500: an unknown verb, an empty line, a byte outside printable ASCII, a line too long for its
    /// command. For a bad byte, 4.1.2 asks for 501 and 2.4 for 500; we look at the bytes before we
    /// know the command.
    pub fn parse(line: &[u8], line_end: LineEnd) -> Result<Command<'_>, Reply> {
        Command::parse_by(line, line_end, is_printable_ascii, max_line)
    }

    /// Reads a command by other rules: which characters a line may have, and how many octets (chapter 10).
    ///
    /// # Errors
    /// Those of [`Command::parse`].
    pub fn parse_by(
        line: &[u8],
        line_end: LineEnd,
        is_valid: fn(char) -> bool,
        max_line: fn(Verb) -> usize,
    ) -> Result<Command<'_>, Reply> {
        let text = std::str::from_utf8(line).map_err(|_| INVALID_CHARACTER)?;
        let text = text.trim_matches([' ', '\t']);
        if !text.chars().all(is_valid) {
            return Err(INVALID_CHARACTER);
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let verb = Verb::parse(word).ok_or(UNRECOGNIZED)?;
        if line.len() + line_end.length() > max_line(verb) {
            return Err(LINE_TOO_LONG);
        }
        Ok(Command {
            verb,
            argument: rest.trim_start_matches(' '),
            line_end,
        })
    }
}

/// Says whether a character is printable ASCII.
pub fn is_printable_ascii(character: char) -> bool {
    matches!(character, ' '..='~')
}

/// Returns the longest line of a command in octets, CRLF included.
pub fn max_line(verb: Verb) -> usize {
    match verb {
        Verb::Auth => MAX_AUTH_LINE,
        _ => MAX_COMMAND_LINE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[u8]) -> Result<(Verb, &str), Reply> {
        Command::parse(line, LineEnd::CrLf).map(|command| (command.verb, command.argument))
    }

    #[test]
    fn a_verb_may_be_in_any_case() {
        for line in ["QUIT", "quit", "QuIt"] {
            assert_eq!(parse(line.as_bytes()), Ok((Verb::Quit, "")), "{line}");
        }
    }

    #[test]
    fn white_space_around_the_line_is_dropped() {
        assert_eq!(
            parse(b"  HELO   client.example \t"),
            Ok((Verb::Helo, "client.example"))
        );
    }

    #[test]
    fn the_case_of_an_argument_is_kept() {
        assert_eq!(
            parse(b"rcpt TO:<Smith@Example.org>"),
            Ok((Verb::Rcpt, "TO:<Smith@Example.org>"))
        );
    }

    #[test]
    fn a_line_without_a_known_verb_is_refused_with_500() {
        for line in [
            "",
            " ",
            ".",
            "HELOclient",
            "STARTTLS",
            "MAIL:",
            "GET / HTTP/1.1",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(UNRECOGNIZED), "{line:?}");
        }
    }

    #[test]
    fn a_line_over_the_limit_of_its_verb_is_refused_with_500() {
        for (verb, limit) in [("NOOP", 512), ("auth", 12_288)] {
            let mut line = format!("{verb} {}", "x".repeat(limit - verb.len() - 3));
            assert!(parse(line.as_bytes()).is_ok(), "{verb}");
            line.push('x');
            assert_eq!(parse(line.as_bytes()), Err(LINE_TOO_LONG), "{verb}");
        }
    }

    #[test]
    fn a_byte_outside_printable_ascii_is_refused_with_500() {
        let lines: [&[u8]; 7] = [
            b"\0",
            b"NOOP \0",
            b"NOOP \x7f",
            b"NOOP \x1b[2J",
            b"NOOP\tx",
            b"NOOP \xff",
            "NOOP ü".as_bytes(),
        ];
        for line in lines {
            assert_eq!(
                parse(line),
                Err(INVALID_CHARACTER),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
