//! The message on the wire: where it ends, and which of its bytes are content (chapter 6).

use std::io;

use crate::reply::{Failure, Reply};
use crate::wire::{LineEnd, Wire};

/// How many octets of a message are handled at a time, so that the buffer for their content stays small.
const LONGEST_BLOCK: usize = 8 * 1024;

/// Finds the end of the message and takes off the stuffed dots.
///
/// It reads block by block, wherever the network has cut:
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
/// The table is for a DATA command that ended in CR LF: an LF without its CR is a byte like any other,
/// and no message can be smuggled. After one that ended in a bare LF, an LF alone ends a line:
/// `*` is LineStart then, and `**` is End.
///
/// ```
/// use smtp_from_scratch::data::DataReader;
/// use smtp_from_scratch::wire::LineEnd;
///
/// let mut reader = DataReader::new(LineEnd::CrLf);
/// let mut message = Vec::new();
/// let wire = b"Hi\r\n..\n.\n\r\n.\r\nQUIT\r\n";
/// let used = reader.read(wire, &mut message);
/// assert!(reader.at_end());
/// assert_eq!(message, b"Hi\r\n.\n.\n\r\n");
/// assert_eq!(&wire[used..], b"QUIT\r\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DataReader {
    state: State,
    line_end: LineEnd,
}

/// The meaning of the last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A line end, or nothing yet: the next byte begins a line.
    LineStart,
    /// Something within a line.
    Text,
    /// A CR within a line.
    Cr,
    /// A dot at the start of a line. It is held back: it is stuffing, or the first half of the end.
    Dot,
    /// A dot at the start of a line and a CR. Both are held back.
    DotCr,
    /// The end of the message.
    End,
}

impl DataReader {
    /// Makes a reader for a message whose DATA command ended in `line_end`.
    pub fn new(line_end: LineEnd) -> DataReader {
        DataReader {
            state: State::LineStart,
            line_end,
        }
    }

    /// Says whether the end of the message has been read.
    pub fn at_end(&self) -> bool {
        self.state == State::End
    }

    /// Reads `block`, the next bytes from the wire, and adds the message's own bytes to `content`.
    ///
    /// Returns how many bytes of the block were used: all of them, or those up to the end of the
    /// message.
    pub fn read(&mut self, block: &[u8], content: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < block.len() && self.state != State::End {
            if matches!(self.state, State::LineStart | State::Text | State::Cr) {
                // Only a dot means anything: lines without one are content, line ends and all.
                let lines = &block[at..];
                let lines = &lines[..find(b'.', lines)];
                content.extend_from_slice(lines);
                self.state = self.after(lines);
                at += lines.len();
                if at == block.len() {
                    break;
                }
            }
            self.step(block[at], content);
            at += 1;
        }
        at
    }

    /// Goes on by one byte.
    fn step(&mut self, byte: u8, content: &mut Vec<u8>) {
        use State::{Cr, Dot, DotCr, End, LineStart, Text};

        let bare_lf = self.line_end == LineEnd::Lf;
        let before = self.state;
        self.state = match (before, byte) {
            (LineStart, b'.') => Dot,
            (Dot, b'\r') => DotCr,
            (DotCr, b'\n') => End,
            (Dot, b'\n') if bare_lf => End,
            (Cr, b'\n') => LineStart,
            (_, b'\n') if bare_lf => LineStart,
            (_, b'\r') => Cr,
            _ => Text,
        };
        if matches!(self.state, Dot | DotCr | End) {
            return;
        }
        if before == DotCr {
            content.push(b'\r');
        }
        content.push(byte);
    }

    /// Returns the state after bytes without a dot.
    fn after(&self, lines: &[u8]) -> State {
        match (lines, self.line_end) {
            ([], _) => self.state,
            ([.., b'\r'], _) => State::Cr,
            ([.., b'\r', b'\n'], _) | ([.., b'\n'], LineEnd::Lf) => State::LineStart,
            ([b'\n'], LineEnd::CrLf) if self.state == State::Cr => State::LineStart,
            _ => State::Text,
        }
    }

    /// Reads `block`, and says whether the message ends in there.
    fn ends_within(&mut self, block: &[u8]) -> bool {
        if self.at_end() {
            return false;
        }
        self.read(block, &mut Vec::new());
        self.at_end()
    }
}

/// Writes a message to the wire: every line ends in CRLF, and a dot at the start of one is doubled
/// (2.3.8, 4.5.2; chapter 13).
///
/// A CR or an LF alone becomes CRLF. Then [`DataReader`] gives back what was written.
///
/// ```
/// use smtp_from_scratch::data::DataWriter;
///
/// let mut writer = DataWriter::default();
/// let mut wire = Vec::new();
/// writer.write(b"Hi\n.\nBye", &mut wire);
/// writer.end(&mut wire);
/// assert_eq!(wire, b"Hi\r\n..\r\nBye\r\n.\r\n");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DataWriter {
    /// Whether something of a line has been written, and not yet its end.
    within_line: bool,
    /// Whether the last octet was a CR.
    after_cr: bool,
}

impl DataWriter {
    /// Adds the next piece of the message to `wire`.
    pub fn write(&mut self, content: &[u8], wire: &mut Vec<u8>) {
        for &byte in content {
            match byte {
                // The CR before it was the line end already.
                b'\n' if self.after_cr => {}
                b'\r' | b'\n' => wire.extend_from_slice(b"\r\n"),
                b'.' if !self.within_line => wire.extend_from_slice(b".."),
                _ => wire.push(byte),
            }
            self.within_line = !matches!(byte, b'\r' | b'\n');
            self.after_cr = byte == b'\r';
        }
    }

    /// Adds the end of the message: the end of its last line, if that is missing, and a dot.
    pub fn end(self, wire: &mut Vec<u8>) {
        if self.within_line {
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
    }
}

/// Returns the size of a message as SIZE has it: each line end is CRLF, and no dot is doubled (RFC
/// 1870, section 5).
pub fn size(message: &[u8]) -> u64 {
    let count = |end: &[u8]| {
        message
            .windows(end.len())
            .filter(|&bytes| bytes == end)
            .count()
    };
    let alone = count(b"\r") + count(b"\n") - 2 * count(b"\r\n");
    let missing = match message {
        [] | [.., b'\r' | b'\n'] => 0,
        _ => 2,
    };
    (message.len() + alone + missing) as u64
}

/// Reads a message off the wire and hands its content to `take`, in pieces.
///
/// # Errors
/// `take` refused the message. Its rest has been read and dropped: otherwise its lines would be run as
/// commands. Or the connection broke, which a client does that leaves within its message.
pub fn read_message(
    wire: &mut Wire,
    line_end: LineEnd,
    mut take: impl FnMut(&[u8]) -> Result<(), Reply>,
) -> Result<(), Failure> {
    let mut reader = DataReader::new(line_end);
    // Reads along as if DATA had ended in LF, to notice a client that waits in vain.
    let mut lenient_reader = DataReader::new(LineEnd::Lf);
    let is_shown = wire.transcript().is_shown();
    let mut content = Vec::new();
    let mut size = 0_u64;
    let mut taken = Ok(());
    while !reader.at_end() {
        let block = match wire.fill_data_buf() {
            Ok(block) => block,
            Err(error) => {
                // The client took too long, and is still there to hear what became of its message.
                if let (io::ErrorKind::TimedOut, Err(refusal)) = (error.kind(), &taken) {
                    let _ = wire.reply(refusal);
                }
                return Err(error.into());
            }
        };
        if block.is_empty() {
            return Err(cut_off().into());
        }
        let block = &block[..block.len().min(LONGEST_BLOCK)];
        content.clear();
        let used = reader.read(block, &mut content);
        let waits_in_vain = is_shown && lenient_reader.ends_within(block) && !reader.at_end();
        wire.consume(used);
        if waits_in_vain {
            wire.transcript().narrate(format_args!(
                "a dot between bare LFs does not end this message: DATA ended in CR LF, so only CR LF . CR LF does"
            ));
        }
        size += content.len() as u64;
        if taken.is_ok() {
            taken = take(&content);
            if taken.is_err() {
                wire.patience().hurry();
            }
        }
    }
    wire.transcript()
        .narrate(format_args!("a message of {size} octets"));
    Ok(taken?)
}

/// The error of a client that leaves within its message.
fn cut_off() -> io::Error {
    let problem = "the client left before the end of its message, which is dropped";
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

/// Finds the first `byte` in `block`. Returns its index, or the length.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `wire` in blocks. Returns the message and the rest.
    fn read(wire: &[u8], line_end: LineEnd, block_size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut reader = DataReader::new(line_end);
        let mut message = Vec::new();
        let mut at = 0;
        while !reader.at_end() && at < wire.len() {
            let block = &wire[at..wire.len().min(at + block_size)];
            at += reader.read(block, &mut message);
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

    /// Reads by the rule in the plainest way: line by line.
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
    fn a_dot_between_bare_lfs_is_noticed_once_wherever_the_network_has_cut() {
        let wire = b"Hello Bob.\n.\nQUIT\n.\n";
        for size in 1..=wire.len() {
            let mut reader = DataReader::new(LineEnd::Lf);
            let noticed = wire.chunks(size).filter(|block| reader.ends_within(block));
            assert_eq!(noticed.count(), 1, "in blocks of {size}");
        }
    }

    /// Writes `message` in blocks, with its end.
    fn written(message: &[u8], block_size: usize) -> Vec<u8> {
        let mut writer = DataWriter::default();
        let mut wire = Vec::new();
        for block in message.chunks(block_size) {
            writer.write(block, &mut wire);
        }
        writer.end(&mut wire);
        wire
    }

    /// Makes every line end CRLF, the slow way.
    fn in_crlf(message: &str) -> String {
        let in_lf = message.replace("\r\n", "\n").replace('\r', "\n");
        let missing = if in_lf.is_empty() || in_lf.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        (in_lf + missing).replace('\n', "\r\n")
    }

    #[test]
    fn reader_and_writer_undo_each_other() {
        // Numbers that look like chance and are the same each time.
        let mut state = 1_u32;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % limit
        };
        for _ in 0..1000 {
            let length = below(40);
            let pieces = [
                ".", "\r", "\n", "\r\n", "\r\n.", "x", "\0", "From ", "\u{e9}",
            ];
            let message: String = (0..length).map(|_| pieces[below(pieces.len())]).collect();
            let wire = written(message.as_bytes(), 1 + below(9));
            let expected = in_crlf(&message).into_bytes();
            assert_eq!(
                size(message.as_bytes()),
                expected.len() as u64,
                "{message:?}"
            );
            let with_more = [&wire[..], b"QUIT\r\n"].concat();
            assert_read(&with_more, LineEnd::CrLf, &expected, b"QUIT\r\n");
        }
    }

    #[test]
    fn a_dot_is_doubled_at_the_start_of_a_line_only() {
        for block_size in [1, 2, 100] {
            assert_eq!(
                written(b".a.\n.\r\n\r..", block_size),
                b"..a.\r\n..\r\n\r\n...\r\n.\r\n"
            );
            assert_eq!(written(b"", block_size), b".\r\n");
        }
    }
}
