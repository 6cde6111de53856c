//! Plays a conversation over a real socket, and tells where it differs.

use std::cell::RefCell;
use std::env;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::conversation::{Conversation, Step};
use super::one_by_one;
use super::target::Target;

/// Selects how the client's lines are cut into segments.
///
/// TCP has no message boundaries, so the replies must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Each line by itself, after the reply to the one before.
    LineByLine,
    /// As many commands in one segment as pipelining allows (RFC 2920, 3.1).
    OneSegment,
    /// Those segments, cut before, within and after each line end.
    AroundLineEnds,
    /// Each byte by itself.
    ByteByByte,
}

/// Lists every split. The plain one comes first: when only a later one fails, the cut is the cause.
pub const SPLITS: [Split; 4] = [
    Split::LineByLine,
    Split::OneSegment,
    Split::AroundLineEnds,
    Split::ByteByByte,
];

/// Plays the conversation.
///
/// # Errors
/// The story of the conversation, up to the place where it went differently, as the reader sees it.
pub fn play(target: &Target, conversation: &Conversation, split: Split) -> Result<(), String> {
    if env::var_os("SMTP_SHOW").is_some() {
        if split == Split::LineByLine {
            show(conversation);
        }
        // Nobody can take this for a server that does well.
        let is_nobody = target.address == SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(is_nobody, "SMTP_SHOW is set: nothing was played");
        return Ok(());
    }
    let mut player = Player::connect(target).map_err(|error| nobody_there(target, &error))?;
    let played = player.play(conversation, split);
    if played.is_ok() && target.command.is_empty() {
        PREVIOUS.set(Some(player.story_of_the_last(target, split)));
    }
    played.map_err(|difference| {
        // A server that dies of the conversation before may still have accepted this client.
        if player.sent.is_empty() && player.heard_nothing() {
            if let Err(error) = Player::connect(target) {
                return nobody_there(target, &error);
            }
        }
        player.story(target, split, &difference)
    })
}

thread_local! {
    /// The story of the test's last conversation, in case that its server is gone after it.
    static PREVIOUS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Tells that a server can't be connected to, and what it did last.
fn nobody_there(target: &Target, error: &std::io::Error) -> String {
    let address = target.address;
    if error.kind() == ErrorKind::TimedOut {
        return format!("the server at {address} takes no more clients: {error}");
    }
    PREVIOUS.take().unwrap_or_else(|| {
        format!(
            "nobody listens on {address} (any more): {error}. Look at your server's terminal: it may \
             have died in an earlier test."
        )
    })
}

/// Prints a conversation in the notation, for `scripts/check.sh --list N --long`.
///
/// Each line begins with `|`, which tells it apart from what the test runner prints.
fn show(conversation: &Conversation) {
    let lines: Vec<String> = conversation.steps.iter().filter_map(written).collect();
    let mut text = String::new();
    for line in shortened(&lines) {
        let _ = writeln!(text, "|    {line}");
    }
    print!("\n{text}|\n");
}

/// Writes a step in the notation.
fn written(step: &Step) -> Option<String> {
    Some(match step {
        Step::Expect(pattern) => format!("S: {pattern}"),
        Step::ExpectBytes(bytes) => format!("S: b\"{}\"", bytes.escape_ascii()),
        Step::Send(bytes) => spoken(bytes),
        Step::ClientClosesItsSide => CLIENT_CLOSES.to_string(),
        Step::ServerCloses => CLOSED.to_string(),
        Step::Because(why) => format!("{{{why}}}"),
        Step::Place(_) => return None,
    })
}

/// Leaves out the middle of a long story, and of long lines.
fn shortened(lines: &[String]) -> Vec<String> {
    let left = lines.len().saturating_sub(STORY_START + STORY_END);
    let mut shortened: Vec<String> = lines.iter().map(|line| excerpt(line, 0).0).collect();
    if left > 0 {
        let middle = STORY_START..STORY_START + left;
        shortened.splice(middle, [format!("[... {left} lines ...]")]);
    }
    shortened
}

/// Marks the place where the server left the script.
struct Difference {
    /// The column of the caret below the last line of the story.
    column: usize,
    expected: String,
}

/// Holds the line that came, or the reason why none came.
enum Heard {
    /// The line with its line end.
    Line(Vec<u8>),
    /// The connection ended after these bytes.
    Closed(Vec<u8>, &'static str),
    /// Nothing came after these bytes within the target's patience.
    Silence(Vec<u8>),
}

struct Player {
    stream: TcpStream,
    texts_count: bool,
    received: Vec<u8>,
    /// The conversation so far, in the notation.
    story: Vec<String>,
    /// The segments sent so far.
    sent: Vec<Vec<u8>>,
    /// Where the last of them begins, which may be cut in pieces.
    last_segment: usize,
    client_closed: bool,
    because: Option<String>,
    /// How many replies came as expected since the reason was given.
    expected_since: usize,
    place: Option<String>,
}

impl Player {
    fn connect(target: &Target) -> std::io::Result<Player> {
        let stream = TcpStream::connect_timeout(&target.address, target.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(target.patience))?;
        Ok(Player {
            stream,
            texts_count: target.texts_count,
            received: Vec::new(),
            story: Vec::new(),
            sent: Vec::new(),
            last_segment: 0,
            client_closed: false,
            because: None,
            expected_since: 0,
            place: None,
        })
    }

    fn play(&mut self, conversation: &Conversation, split: Split) -> Result<(), Difference> {
        let pipelined = matches!(split, Split::OneSegment | Split::AroundLineEnds);
        let mut segment: Vec<&[u8]> = Vec::new();
        let mut expected = Vec::new();
        for step in &conversation.steps {
            match step {
                Step::Send(bytes) => {
                    segment.push(bytes);
                    if !pipelined || ends_a_group(bytes) {
                        self.send(&mut segment, split);
                    }
                }
                Step::ClientClosesItsSide => {
                    self.send(&mut segment, split);
                    self.expect_all(&mut expected)?;
                    self.story.push(CLIENT_CLOSES.to_string());
                    self.client_closed = true;
                    let _ = self.stream.shutdown(Shutdown::Write);
                }
                step => {
                    expected.push(step.clone());
                    if segment.is_empty() {
                        self.expect_all(&mut expected)?;
                    }
                }
            }
        }
        self.send(&mut segment, split);
        self.expect_all(&mut expected)?;
        self.expect_no_more()
    }

    /// Sends the segment. A server that is gone is noticed at the next read.
    fn send(&mut self, segment: &mut Vec<&[u8]>, split: Split) {
        if segment.is_empty() {
            return;
        }
        self.story.extend(segment.iter().map(|said| spoken(said)));
        let bytes = std::mem::take(segment).concat();
        let pieces: Vec<&[u8]> = match split {
            Split::LineByLine | Split::OneSegment => vec![&bytes],
            Split::AroundLineEnds => bytes
                .chunk_by(|&one, &next| !is_line_end(one) && !is_line_end(next))
                .collect(),
            Split::ByteByByte => bytes.chunks(1).collect(),
        };
        for piece in &pieces {
            let _ = self.stream.write_all(piece);
        }
        self.last_segment = self.sent.len();
        match split {
            // Nobody would type the bytes one by one.
            Split::ByteByByte => self.sent.push(bytes.clone()),
            _ => self.sent.extend(pieces.iter().map(|piece| piece.to_vec())),
        }
    }

    fn expect_all(&mut self, expected: &mut Vec<Step>) -> Result<(), Difference> {
        for step in expected.drain(..) {
            match step {
                Step::Because(why) => {
                    self.because = Some(why);
                    self.expected_since = 0;
                }
                Step::Place(place) => self.place = Some(place),
                Step::Expect(pattern) => {
                    self.expect_reply(&pattern)?;
                    self.expected_since += 1;
                }
                Step::ExpectBytes(bytes) => self.expect_bytes(&bytes)?,
                Step::ServerCloses => self.expect_close()?,
                Step::Send(_) | Step::ClientClosesItsSide => unreachable!("not expected"),
            }
        }
        Ok(())
    }

    fn expect_reply(&mut self, pattern: &str) -> Result<(), Difference> {
        let code = pattern.get(..3).filter(|code| code.parse::<u16>().is_ok());
        let separator = pattern.get(3..4);
        if !self.texts_count && code.is_some() && separator == Some("-") {
            // Other servers have other lines, so only the last line of the reply is compared.
            return Ok(());
        }
        let pattern = match code {
            Some(code) if !self.texts_count => format!("{code} ..."),
            _ => pattern.to_string(),
        };
        let whole_reply = code.is_some() && pattern.get(3..) == Some(" ...");
        loop {
            let line = match self.hear_line() {
                Heard::Line(line) => line,
                Heard::Closed(part, how) => return Err(self.nothing(&part, how, &pattern)),
                Heard::Silence(part) => return Err(self.nothing(&part, SILENCE, &pattern)),
            };
            let text = line
                .strip_suffix(b"\r\n")
                .unwrap_or(&line[..line.len() - 1]);
            self.story.push(format!("S: {}", shown(text)));
            let continues = whole_reply && text.get(3) == Some(&b'-');
            let wanted = if continues {
                format!("{}-...", &pattern[..3])
            } else {
                pattern.clone()
            };
            if let Err(column) = matches_pattern(text, &wanted) {
                return Err(Difference {
                    column: 3 + column,
                    expected: format!("S: {pattern}"),
                });
            }
            if !line.ends_with(b"\r\n") {
                return Err(Difference {
                    column: 3 + shown(text).len(),
                    expected: "CR LF at the end of this line, not a bare LF (2.3.8)".to_string(),
                });
            }
            if !continues {
                return Ok(());
            }
        }
    }

    fn nothing(&mut self, part: &[u8], how: &str, pattern: &str) -> Difference {
        if !part.is_empty() {
            self.story.push(format!("S: b\"{}\"", part.escape_ascii()));
        }
        self.story.push(how.to_string());
        Difference {
            column: 0,
            expected: match part {
                [] => format!("S: {pattern}"),
                _ => format!("S: {pattern}, with a line end (2.3.8)"),
            },
        }
    }

    fn expect_bytes(&mut self, expected: &[u8]) -> Result<(), Difference> {
        let end = loop {
            if self.received.len() >= expected.len() {
                break None;
            }
            if let Err(how) = self.hear() {
                break Some(how);
            }
        };
        let heard: Vec<u8> = self
            .received
            .drain(..expected.len().min(self.received.len()))
            .collect();
        self.story.push(format!("S: b\"{}\"", heard.escape_ascii()));
        if heard == expected {
            return Ok(());
        }
        let same = heard
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        let column = 5 + heard[..same].escape_ascii().to_string().len();
        if let Some(how) = end {
            self.story.push(how.to_string());
        }
        Err(Difference {
            column: if end.is_some() { 0 } else { column },
            expected: format!("S: b\"{}\"", expected.escape_ascii()),
        })
    }

    fn expect_close(&mut self) -> Result<(), Difference> {
        let expected = CLOSED;
        let difference = Difference {
            column: 0,
            expected: format!("{expected} and nothing before it"),
        };
        match self.hear_line() {
            Heard::Closed(part, CLOSED) if part.is_empty() => {
                self.story.push(expected.to_string());
                Ok(())
            }
            Heard::Closed(part, how) => {
                self.story.push(format!("S: b\"{}\"", part.escape_ascii()));
                self.story.push(how.to_string());
                Err(difference)
            }
            Heard::Line(bytes) | Heard::Silence(bytes) if !bytes.is_empty() => {
                self.story
                    .push(format!("S: {}", shown(bytes.trim_ascii_end())));
                Err(difference)
            }
            Heard::Line(_) | Heard::Silence(_) => {
                self.story.push(SILENCE.to_string());
                if self.client_closed {
                    self.because = Some(CLOSES_AS_WELL.to_string());
                }
                Err(difference)
            }
        }
    }

    /// Checks that nothing follows the last line of the script.
    ///
    /// Every command has exactly one reply (4.2), so the server is silent, and closes when the client
    /// does. A 421 on that occasion is legal.
    fn expect_no_more(&mut self) -> Result<(), Difference> {
        let Some(last_words) = self.last_words() else {
            return Ok(());
        };
        let expected = match last_words.as_str() {
            STAYS => {
                self.because = Some(CLOSES_AS_WELL.to_string());
                "the server closes the connection as well, and is ready for the next client"
            }
            _ => {
                // An older reason is that of another reply.
                if self.expected_since > 1 {
                    self.because = None;
                }
                "nothing more: every command gets exactly one reply (4.2)"
            }
        };
        self.story.push(last_words);
        Err(Difference {
            column: 0,
            expected: expected.to_string(),
        })
    }

    fn last_words(&mut self) -> Option<String> {
        self.client_closed = true;
        let _ = self.stream.shutdown(Shutdown::Write);
        loop {
            match self.hear_line() {
                Heard::Line(line) if line.starts_with(b"421") => {}
                Heard::Line(line) => return Some(format!("S: {}", shown(line.trim_ascii_end()))),
                Heard::Closed(part, _) if part.is_empty() => return None,
                Heard::Silence(part) if part.is_empty() => {
                    return Some(STAYS.to_string());
                }
                Heard::Closed(part, _) | Heard::Silence(part) => {
                    return Some(format!("S: b\"{}\"", part.escape_ascii()));
                }
            }
        }
    }

    fn hear_line(&mut self) -> Heard {
        loop {
            if let Some(at) = self.received.iter().position(|&byte| byte == b'\n') {
                return Heard::Line(self.received.drain(..=at).collect());
            }
            match self.hear() {
                Ok(()) => {}
                Err(SILENCE) => return Heard::Silence(std::mem::take(&mut self.received)),
                Err(how) => return Heard::Closed(std::mem::take(&mut self.received), how),
            }
        }
    }

    /// Waits for more bytes.
    fn hear(&mut self) -> Result<(), &'static str> {
        let mut block = [0; 4096];
        match self.stream.read(&mut block) {
            Ok(0) => Err(CLOSED),
            Ok(length) => {
                self.received.extend_from_slice(&block[..length]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(SILENCE),
                _ => Err("{the server breaks the connection off}"),
            },
        }
    }

    fn heard_nothing(&self) -> bool {
        self.received.is_empty() && !self.story.iter().any(|line| line.starts_with("S: "))
    }

    fn story(&self, target: &Target, split: Split, difference: &Difference) -> String {
        let mut story = format!(
            "the conversation went differently, with {}:\n\n",
            target.name
        );
        let (last, before) = match self.story.split_last() {
            Some((last, before)) => (last.as_str(), before),
            None => ("", &[][..]),
        };
        for line in shortened(before) {
            let _ = writeln!(story, "    {line}");
        }
        let (last, column) = excerpt(last, difference.column);
        let caret = " ".repeat(column);
        let expected = excerpt(&difference.expected, difference.column).0;
        let _ = writeln!(story, "    {last}\n    {caret}^ expected: {expected}\n");
        if let Some(place) = &self.place {
            let _ = writeln!(story, "where: {place}");
        }
        if let Some(why) = &self.because {
            let _ = writeln!(story, "why: {why}");
        }
        if let Some(cut) = split.in_words() {
            let _ = writeln!(
                story,
                "mind: the same lines went well one by one. This time they came {cut}. TCP has no \
                 message boundaries: one read is not one command, nor one line (chapters 1 and 3)."
            );
        }
        if self.heard_nothing() && !one_by_one() {
            story += "mind: not a word came. If your server takes one client at a time, it may be \
                     busy with another: the tests run side by side. One by one they run with \
                     `cargo test --test NAME -- --test-threads=1`.\n";
        }
        story + &self.recipe(target)
    }

    /// Tells a conversation that went well, but that the server didn't survive.
    fn story_of_the_last(&self, target: &Target, split: Split) -> String {
        let mut story = format!(
            "nobody listens on {} any more. The conversation before went well:\n\n",
            target.address
        );
        for line in shortened(&self.story) {
            let _ = writeln!(story, "    {line}");
        }
        let _ = writeln!(story, "    {{the client leaves}}\n");
        if let Some(cut) = split.in_words() {
            let _ = writeln!(story, "mind: this time the lines came {cut}.");
        }
        story + &self.recipe(target)
    }

    /// Writes the command to type. What came before the last segment needn't be sent line by line.
    fn recipe(&self, target: &Target) -> String {
        let (before, last) = self.sent.split_at(self.last_segment);
        let pieces = [&[before.concat()], last].concat();
        reproduce(target, &pieces, self.client_closed)
    }
}

impl Split {
    /// Names the cut, if it is an unusual one.
    fn in_words(self) -> Option<&'static str> {
        match self {
            Split::LineByLine => None,
            Split::OneSegment => Some("many in one segment (pipelining, RFC 2920)"),
            Split::AroundLineEnds => Some("cut before, within and after each line end"),
            Split::ByteByByte => Some("byte by byte"),
        }
    }
}

/// Limits the lines at each end of a long story.
const STORY_START: usize = 20;
const STORY_END: usize = 20;

/// Limits the characters of a long line.
const LONGEST_SHOWN: usize = 160;

/// Limits the octets of a command to paste into a shell.
const LONGEST_TYPED: usize = 2000;

const CLIENT_CLOSES: &str = "{the client closes its side}";
/// The reason of a difference after the client's last word, where the script has none.
const CLOSES_AS_WELL: &str =
    "once the client has closed its side nothing can follow, so the server closes too";
const CLOSED: &str = "{the server closes the connection}";
const STAYS: &str = "{the client has closed, and the server has not}";
const SILENCE: &str = "{the server says nothing for seconds}";

/// Tells whether the client must wait for the reply.
///
/// The list is that of RFC 2920, 3.1. HELO is missing there, since it offers no extensions, but it is the
/// same kind of command.
fn ends_a_group(command: &[u8]) -> bool {
    let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
    let waiting: [&[u8]; 8] = [
        b"EHLO", b"HELO", b"DATA", b"NOOP", b"QUIT", b"VRFY", b"EXPN", b"HELP",
    ];
    waiting.contains(&verb.as_slice())
}

/// Compares a line with a literal, or with a beginning and `...`.
///
/// # Errors
/// The index of the first byte that differs.
pub fn matches_pattern(text: &[u8], pattern: &str) -> Result<(), usize> {
    let (literal, open) = match pattern.strip_suffix("...") {
        Some(literal) => (literal, true),
        None => (pattern, false),
    };
    let same = text
        .iter()
        .zip(literal.as_bytes())
        .take_while(|(a, b)| a == b)
        .count();
    // 4.2: a client must also accept a code alone, without the space and the text.
    let bare_code = open && literal.len() == 4 && text.len() == 3 && same == 3;
    if bare_code || (same == literal.len() && (open || same == text.len())) {
        Ok(())
    } else {
        Err(same)
    }
}

fn shown(text: &[u8]) -> String {
    smtp_from_scratch::terminal::printable(text).into_owned()
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Writes a client's line in the notation.
fn spoken(bytes: &[u8]) -> String {
    match bytes.strip_suffix(b"\r\n") {
        Some(text) if text.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
            format!("C: {}", shown(text))
        }
        _ => format!("C: b\"{}\"", bytes.escape_ascii()),
    }
}

/// Cuts a long line around `column`.
///
/// Returns the cut line and the column within it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= LONGEST_SHOWN {
        return (line.to_string(), column);
    }
    let start = column.saturating_sub(LONGEST_SHOWN / 2);
    let before = if start > 0 { "[...] " } else { "" };
    let part: String = line.chars().skip(start).take(LONGEST_SHOWN).collect();
    let after = if start + LONGEST_SHOWN < length {
        " [...]"
    } else {
        ""
    };
    (
        format!("{before}{part}{after}"),
        column - start + before.len(),
    )
}

/// Writes the shell command that sends these pieces one by one, and closes the client's side if that matters.
pub fn reproduce(target: &Target, sent: &[Vec<u8>], closes: bool) -> String {
    let length: usize = sent.iter().map(Vec::len).sum();
    if length > LONGEST_TYPED {
        return format!("try it by hand: the client sent {length} octets, too many to type\n");
    }
    let (address, started) = match target.command.as_str() {
        "" => (target.address, String::new()),
        command => (([127, 0, 0, 1], 2525).into(), format!("    {command}\n")),
    };
    let typed: String = sent
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| format!("printf '{}'; sleep 1; ", for_printf(piece)))
        .collect();
    let piped = match typed.trim_end_matches("; ") {
        "" if closes => "sleep 1 | ".to_string(),
        "" => String::new(),
        typed => format!("(sleep 1; {typed}) | "),
    };
    let (nc, hint) = if closes {
        let hint = "; -N closes the client's side, and some netcats lack it";
        ("nc -N", hint)
    } else {
        ("nc", "")
    };
    let (ip, port) = (address.ip(), address.port());
    format!("try it by hand (Ctrl-C ends nc{hint}):\n{started}    {piped}{nc} {ip} {port}\n")
}

/// Writes bytes as a format of the shell's printf, within single quotes.
fn for_printf(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\r' => text += "\\r",
            b'\n' => text += "\\n",
            b'%' => text += "%%",
            b'\\' => text += "\\\\",
            b'\'' => text += "'\\''",
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}
