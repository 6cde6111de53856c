//! Stage 6: DATA, the message itself.
//!
//! The client says DATA, the server answers 354, and from then on lines are not commands: they are
//! the message, up to a line that is nothing but a dot (RFC 5321, 4.1.1.4). A line of the message
//! that begins with a dot is sent with one dot more (it is *stuffed*), and the server takes that
//! one off again (4.5.2).
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: HELO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: DATA
//! S: 503 RCPT first
//! C: RCPT TO:<bob@example.com>
//! S: 250 OK
//! C: DATA
//! S: 354 Start mail input; end with <CRLF>.<CRLF>
//! C: Subject: dots
//! C:
//! C: The next line has one dot and is not the end.
//! C: ..
//! C: .
//! S: 250 OK
//! C: DATA
//! S: 503 MAIL first
//! ```
//!
//! With its 250 the server takes the responsibility for the mail (4.2.5), so the mail must be with
//! whoever keeps it *before* that. At this stage that is the terminal, where
//! [`Transcript::mail`](crate::transcript::Transcript::mail) shows it.
//!
//! What the quick version gets wrong:
//!
//! - **`.\n` ends the message.** Mail travels over several servers. A sender can put a lone dot
//!   between two bare LFs into a message: the first server sees text and passes it on; a sloppy one
//!   behind it sees the end, and takes the rest for commands, a second mail that the first server
//!   never checked. That is SMTP smuggling (CVE-2023-51764). The rule here: *the message ends the
//!   way its DATA command did.* After `DATA` CR LF, only CR LF `.` CR LF is an end. After `DATA`
//!   LF, which is a person at a plain `nc`, a dot between LFs is. See [`DataReader`].
//! - **Leaving the stuffed dots in**, or taking dots off the middle of a line.
//! - **Not reading a message that is refused.** After 354 the client sends, whatever we think of
//!   it. A message that is too large is read to its end and forgotten, or its lines would be run as
//!   commands. (How long that may take is for a later stage to say.)
//! - **The end of the connection is the end of the message.** A client that dies in the middle of a
//!   message has not sent it. Nothing is delivered (4.1.1.10).
//! - **`String`.** Mail is bytes: Latin-1, binary attachments. So are header fields.
//! - **A `HashMap` of header fields.** `Received:` comes many times, and the order counts.
//!
//! The chapter, with every piece explained: [docs/06-data.md](../../../../../docs/06-data.md).

use std::io::{self, BufRead};
use std::ops::ControlFlow;

use crate::command::{Command, Verb};
use crate::mail::Mail;
use crate::reply::{self, Reply};
use crate::session::Session;
use crate::stages::stage05_rcpt::{self, NEED_MAIL};
use crate::transcript;
use crate::wire::{LineEnd, Wire};

/// 354: now the message.
pub const START_MAIL_INPUT: Reply = Reply::new(354, "Start mail input; end with <CRLF>.<CRLF>");

/// 503: DATA without a recipient (3.3).
pub const NEED_RCPT: Reply = Reply::new(503, "RCPT first");

/// 552: over `--max-size` (4.5.3.1.9).
pub const TOO_MUCH_MAIL_DATA: Reply = Reply::new(552, "Too much mail data");

/// 451: nobody could keep the mail; the client may try again (4.2.5).
pub const NOT_KEPT: Reply = Reply::new(451, "The mail could not be kept, try again later");

/// Answers DATA.
///
/// # Errors
/// Those of the connection; that the client left within the message is one of them.
pub fn answer(session: &mut Session, command: &Command) -> io::Result<ControlFlow<()>> {
    match command.verb {
        Verb::Data => data(session, command, collect),
        _ => stage05_rcpt::answer(session, command),
    }
}

/// Receives the message of a mail after the 354, and says what became of it. The message ends the
/// way the DATA command did.
pub type Receive = fn(&mut Session, Mail, LineEnd) -> io::Result<Reply>;

/// The whole of DATA, in the order in which it happens: 354, the message, and what became of it.
///
/// # Errors
/// Those of the connection.
pub fn data(
    session: &mut Session,
    command: &Command,
    receive: Receive,
) -> io::Result<ControlFlow<()>> {
    let mail = match take_transaction(&mut session.mail, command.argument) {
        Ok(mail) => mail,
        Err(refusal) => return session.reply(&refusal),
    };
    session.wire.reply(&START_MAIL_INPUT)?;
    let reply = receive(session, mail, command.line_end)?;
    session.reply(&reply)
}

/// Takes the transaction out of the session, if it is ready for its message. However the message
/// ends, the session is then without a transaction (4.1.1.4).
///
/// # Errors
/// The refusal. The transaction is as it was.
pub fn take_transaction(transaction: &mut Option<Mail>, argument: &str) -> Result<Mail, Reply> {
    let mail = transaction.as_ref().ok_or(NEED_MAIL)?;
    if mail.forward_paths.is_empty() {
        return Err(NEED_RCPT);
    }
    if !argument.is_empty() {
        return Err(reply::NO_ARGUMENT_TAKEN);
    }
    transaction.take().ok_or(NEED_MAIL)
}

/// Collects the message in memory, and has it kept.
fn collect(session: &mut Session, mut mail: Mail, line_end: LineEnd) -> io::Result<Reply> {
    let max_size = session.settings.max_size;
    let received = read_message(&mut session.wire, line_end, |content| {
        if mail.message.len() + content.len() > max_size {
            mail.message = Vec::new();
            return Err(TOO_MUCH_MAIL_DATA);
        }
        mail.message.extend_from_slice(content);
        Ok(())
    })?;
    Ok(match received {
        Ok(()) => keep(session, &mail),
        Err(refusal) => refusal,
    })
}

/// Reads the message off the wire, up to its end, and hands its content to `take` in pieces.
///
/// Once `take` has refused the message, the rest is read to its end all the same, and forgotten. The
/// refusal is then what comes back.
///
/// # Errors
/// Those of the connection; that the client left within the message is one of them.
pub fn read_message(
    wire: &mut Wire,
    line_end: LineEnd,
    mut take: impl FnMut(&[u8]) -> Result<(), Reply>,
) -> io::Result<Result<(), Reply>> {
    let mut reader = DataReader::new(line_end);
    let mut received = Ok(());
    let mut size: u64 = 0;
    loop {
        let block = match (wire.fill_data_buf(), &received) {
            (Ok(block), _) => block,
            // It may be that we only lost patience: then the client hears what there was to say.
            (Err(error), Err(refusal)) => {
                wire.reply(refusal)?;
                return Err(error);
            }
            (Err(error), Ok(())) => return Err(error),
        };
        if block.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the client left before the end of its message, which is dropped",
            ));
        }
        let used = reader.read(block, |content| {
            size += content.len() as u64;
            if received.is_ok() {
                received = take(content);
            }
        });
        wire.consume(used);
        if reader.at_end() {
            wire.transcript()
                .narrate(format_args!("a message of {size} octets"));
            return Ok(received);
        }
        if received.is_err() {
            wire.hurry();
        }
    }
}

/// Finds the end of the message and takes off the stuffed dots, block by block, wherever the
/// network has cut.
///
/// ```text
/// after        "."     CR      LF          another byte
/// LineStart    Dot     Cr      Text *      Text
/// Text         Text    Cr      Text *      Text
/// Cr           Text    Cr      LineStart   Text
/// Dot          Text    DotCr   Text **     Text          the dot was stuffing: dropped
/// DotCr        Text    Cr      End         Text          the same, and the CR was content
/// ```
///
/// That is for a DATA command that ended in CR LF: an LF without its CR is a byte like any other,
/// and no message can be smuggled. After one that ended in a bare LF, an LF alone ends a line:
/// `*` is LineStart then, and `**` is End.
///
/// ```
/// use smtp_from_scratch::stages::stage06_data::DataReader;
/// use smtp_from_scratch::wire::LineEnd;
///
/// let mut reader = DataReader::new(LineEnd::CrLf);
/// let mut message = Vec::new();
/// let wire = b"Hi\r\n..\n.\n\r\n.\r\nQUIT\r\n";
/// let used = reader.read(wire, |content| message.extend_from_slice(content));
/// assert!(reader.at_end());
/// assert_eq!(message, b"Hi\r\n.\n.\n\r\n");
/// assert_eq!(&wire[used..], b"QUIT\r\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DataReader {
    state: State,
    line_end: LineEnd,
}

/// What the last bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A line end, or nothing yet: the next byte begins a line.
    LineStart,
    /// Something within a line.
    Text,
    /// A CR within a line.
    Cr,
    /// A dot at the start of a line. It is held back: it is stuffing, or half of an end.
    Dot,
    /// A dot at the start of a line and a CR. Both are held back.
    DotCr,
    /// The end of the message.
    End,
}

impl DataReader {
    /// A reader for the message after a DATA command that ended in `line_end`.
    pub fn new(line_end: LineEnd) -> DataReader {
        DataReader {
            state: State::LineStart,
            line_end,
        }
    }

    /// Whether the end of the message has been read.
    pub fn at_end(&self) -> bool {
        self.state == State::End
    }

    /// Reads `block`, the next bytes from the wire, and hands the message's own bytes among them
    /// to `content`, in order and in pieces as large as can be.
    ///
    /// Returns how many bytes were used: the whole block, or up to the end of the message and with
    /// it.
    pub fn read(&mut self, block: &[u8], mut content: impl FnMut(&[u8])) -> usize {
        use State::{Cr, Dot, DotCr, End, LineStart, Text};

        let bare_lf = self.line_end == LineEnd::Lf;
        let first_of_line_end = if bare_lf { b'\n' } else { b'\r' };
        // Where the bytes begin that are content and not handed on yet.
        let mut pending = 0;
        let mut at = 0;
        while at < block.len() && self.state != End {
            if self.state == Text {
                // Within a line nothing can happen before the line end.
                at += find(first_of_line_end, &block[at..]);
                if at == block.len() {
                    break;
                }
            }
            let byte = block[at];
            self.state = match (self.state, byte) {
                (LineStart, b'.') => {
                    content(&block[pending..at]);
                    pending = at + 1;
                    Dot
                }
                (Dot, b'\r') => {
                    pending = at + 1;
                    DotCr
                }
                (DotCr, b'\n') => End,
                (Dot, b'\n') if bare_lf => End,
                (Cr, b'\n') => LineStart,
                (_, b'\n') if bare_lf => LineStart,
                (before, _) => {
                    if before == DotCr {
                        content(b"\r");
                    }
                    if byte == b'\r' { Cr } else { Text }
                }
            };
            at += 1;
        }
        if self.state != End {
            content(&block[pending..]);
        }
        at
    }
}

/// The index of the first `byte` in `block`, or the length of the block.
///
/// The compiler turns the test of 32 bytes, which has no early exit, into a few vector
/// instructions.
fn find(byte: u8, block: &[u8]) -> usize {
    let absent = |chunk: &&[u8]| {
        !chunk
            .iter()
            .fold(false, |found, &other| found | (other == byte))
    };
    let skipped = 32 * block.chunks_exact(32).take_while(absent).count();
    let rest = &block[skipped..];
    skipped
        + rest
            .iter()
            .position(|&other| other == byte)
            .unwrap_or(rest.len())
}

/// Hands the mail to whoever keeps it, and only then says so.
fn keep(session: &Session, mail: &Mail) -> Reply {
    match (session.settings.keep)(mail, session.wire.transcript()) {
        Ok(()) => reply::OK,
        Err(error) => {
            transcript::error(format_args!("a mail could not be kept: {error}"));
            NOT_KEPT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message is once read in blocks of `block_size`, and what follows it.
    fn read(wire: &[u8], line_end: LineEnd, block_size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut reader = DataReader::new(line_end);
        let mut message = Vec::new();
        let mut at = 0;
        while !reader.at_end() && at < wire.len() {
            let block = &wire[at..wire.len().min(at + block_size)];
            at += reader.read(block, |content| message.extend_from_slice(content));
        }
        reader.at_end().then(|| (message, wire[at..].to_vec()))
    }

    fn assert_read(wire: &[u8], line_end: LineEnd, message: &[u8], rest: &[u8]) {
        for block_size in [1, 2, 3, 5, 32, 33, wire.len().max(1)] {
            let expected = Some((message.to_vec(), rest.to_vec()));
            let found = read(wire, line_end, block_size);
            let shown = wire.escape_ascii();
            assert_eq!(found, expected, "{shown} in blocks of {block_size}");
        }
    }

    fn assert_no_end(wire: &[u8], line_end: LineEnd) {
        for block_size in [1, 2, 3, wire.len()] {
            let shown = wire.escape_ascii();
            assert_eq!(read(wire, line_end, block_size), None, "{shown}");
        }
    }

    #[test]
    fn the_message_ends_at_a_line_with_one_dot() {
        assert_read(
            b"Hi\r\n.\r\nQUIT\r\n",
            LineEnd::CrLf,
            b"Hi\r\n",
            b"QUIT\r\n",
        );
        assert_read(b".\r\n", LineEnd::CrLf, b"", b"");
        assert_read(b"\r\n.\r\n", LineEnd::CrLf, b"\r\n", b"");
    }

    #[test]
    fn the_first_dot_of_a_line_is_taken_off() {
        assert_read(
            b"..\r\n.x\r\n...\r\na.\r\n.\rb\r\n.\r\n",
            LineEnd::CrLf,
            b".\r\nx\r\n..\r\na.\r\n\rb\r\n",
            b"",
        );
        assert_read(b"..\n.x\n.\n", LineEnd::Lf, b".\nx\n", b"");
    }

    #[test]
    fn after_a_crlf_data_command_no_other_line_end_makes_an_end() {
        for smuggled in [
            &b"x\n.\n"[..],
            b"x\n.\r\n",
            b"x\r.\r",
            b"x\r.\r\n",
            b"x\r\n.\n",
            b"x\r\n.\r",
            b"x\r\n.\r\r\n",
            b"x\r\n\0.\r\n",
            b"x\n\n.\n\n",
            b"x\n\r.\n\r",
        ] {
            assert_no_end(smuggled, LineEnd::CrLf);
        }
        assert_read(
            b"a\n.\nb\n.\r\nc\r\n.\r\n",
            LineEnd::CrLf,
            b"a\n.\nb\n.\r\nc\r\n",
            b"",
        );
        assert_read(b"\r\n.\r\r\n.\r\n", LineEnd::CrLf, b"\r\n\r\r\n", b"");
        assert_read(b".\n.\r\n\r\n.\r\n", LineEnd::CrLf, b"\n.\r\n\r\n", b"");
    }

    #[test]
    fn after_an_lf_data_command_either_line_end_makes_an_end() {
        for end in [&b"x\n.\n"[..], b"x\n.\r\n", b"x\r\n.\n", b"x\r\n.\r\n"] {
            let message = &end[..end.iter().position(|&byte| byte == b'.').unwrap()];
            assert_read(&[end, b"QUIT\n"].concat(), LineEnd::Lf, message, b"QUIT\n");
        }
        assert_no_end(b"x\r.\r", LineEnd::Lf);
        assert_no_end(b"x\n.\r", LineEnd::Lf);
        assert_read(b".\rx\n.\n", LineEnd::Lf, b"\rx\n", b"");
    }

    #[test]
    fn every_byte_is_content() {
        let all: Vec<u8> = (0..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
        let wire = [&all[..], b"\r\n", &all, b"\r\n.\r\n"].concat();
        assert_read(&wire, LineEnd::CrLf, &wire[..wire.len() - 3], b"");
    }

    /// The rule once more, in the slowest and plainest way: split into lines, look at each.
    fn by_lines(wire: &[u8], line_end: LineEnd) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut message = Vec::new();
        let mut rest = wire;
        loop {
            let is_end = |at: &usize| {
                rest[*at] == b'\n' && (line_end == LineEnd::Lf || rest[..*at].ends_with(b"\r"))
            };
            let (line, after) = rest.split_at((0..rest.len()).find(is_end)? + 1);
            rest = after;
            match line {
                b".\r\n" => return Some((message, rest.to_vec())),
                b".\n" if line_end == LineEnd::Lf => return Some((message, rest.to_vec())),
                _ => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
            }
        }
    }

    #[test]
    fn every_short_sequence_of_line_ends_and_dots_is_read_by_the_rule() {
        let alphabet = b"\r\n.x";
        for code in 0..4_usize.pow(8) {
            let wire: Vec<u8> = (0..8)
                .map(|place| alphabet[code >> (2 * place) & 3])
                .collect();
            for line_end in [LineEnd::CrLf, LineEnd::Lf] {
                let expected = by_lines(&wire, line_end);
                let shown = wire.escape_ascii();
                assert_eq!(read(&wire, line_end, 8), expected, "{shown} {line_end:?}");
                assert_eq!(read(&wire, line_end, 1), expected, "{shown} {line_end:?}");
            }
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..100 {
            let mut block = vec![b'x'; length];
            assert_eq!(find(b'\r', &block), length);
            for at in (0..length).rev() {
                block[at] = b'\r';
                assert_eq!(find(b'\r', &block), at);
            }
        }
    }

    #[test]
    fn data_needs_a_recipient_and_no_argument() {
        assert_eq!(take_transaction(&mut None, ""), Err(NEED_MAIL));

        let mut transaction = Some(Mail::default());
        assert_eq!(take_transaction(&mut transaction, ""), Err(NEED_RCPT));

        let mut mail = Mail::default();
        mail.forward_paths.push("bob@example.com");
        transaction = Some(mail.clone());
        assert_eq!(
            take_transaction(&mut transaction, "now"),
            Err(reply::NO_ARGUMENT_TAKEN)
        );
        assert_eq!(transaction, Some(mail.clone()), "a refusal changes nothing");

        assert_eq!(take_transaction(&mut transaction, ""), Ok(mail));
        assert_eq!(transaction, None);
    }
}
