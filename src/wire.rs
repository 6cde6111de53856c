//! Lines in, replies out, and when to flush (chapter 2).
//!
//! TCP carries bytes, not lines and not messages: one read may bring half a command or twenty.
//! [`Wire`] turns them into lines, so that everything above reads whole lines.
//!
//! The one rule about writing: **replies leave just before the thread would wait for the client**,
//! and not earlier, unless very many of them wait. A client that sends ten commands in one segment
//! (pipelining, RFC 2920) gets ten replies in one segment, and nobody ever waits for a reply that
//! sits in a buffer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::patience::PatientStream;
use crate::reply::Reply;
use crate::transcript::Transcript;

/// The longest command line in octets, CRLF included (4.5.3.1.4).
pub const MAX_COMMAND_LINE: usize = 512;

/// The size of the input buffer while commands are read. A longer line comes in pieces.
const COMMAND_BUFFER: usize = 2 * MAX_COMMAND_LINE;

/// The size of the input buffer when a message begins: most messages of text fit in one read.
const FIRST_DATA_BUFFER: usize = 4 * 1024;

/// The largest input buffer, for a large message: fewer reads, fewer system calls.
const LARGEST_DATA_BUFFER: usize = 64 * 1024;

/// Replies that wait beyond this many octets are sent at once, so that a flood of tiny commands
/// can't pile up large answers in memory.
const MAX_WAITING_REPLIES: usize = 4096;

/// How a line ended.
///
/// RFC 5321 knows CRLF only (2.3.8); a person's `nc` sends a bare LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// CR and LF: the line end of SMTP.
    CrLf,
    /// LF alone.
    Lf,
}

impl LineEnd {
    /// Returns its length in octets.
    pub fn length(self) -> usize {
        match self {
            LineEnd::CrLf => 2,
            LineEnd::Lf => 1,
        }
    }
}

/// The outcome of [`Wire::read_line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line.
    Whole(LineEnd),
    /// A line over the limit. It has been skipped to its end: the next read is the next line.
    TooLong,
    /// The client has closed its side. An unfinished last line doesn't count.
    Closed,
}

/// Both directions of one connection.
///
/// A read that has to wait sends the waiting replies first.
#[derive(Debug)]
pub struct Wire {
    stream: PatientStream,
    transcript: Transcript,
    input: Vec<u8>,
    /// The part of `input` that is received and not yet consumed.
    unread: Range<usize>,
    /// Replies that wait to be sent.
    output: Vec<u8>,
    /// Whether a line ends at CRLF only.
    crlf_only: bool,
}

impl Wire {
    /// Makes a wire over `stream`. Lines and replies are shown in `transcript`.
    pub fn new(stream: TcpStream, transcript: Transcript) -> Wire {
        Wire {
            stream: PatientStream::new(stream),
            transcript,
            input: Vec::new(),
            unread: 0..0,
            output: Vec::new(),
            crlf_only: false,
        }
    }

    /// Returns the transcript of this conversation.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Returns the stream below, to set how long it waits (chapter 9).
    pub fn patience(&mut self) -> &mut PatientStream {
        &mut self.stream
    }

    /// Ends lines at CRLF only, as the RFC asks (2.3.8; chapter 9).
    ///
    /// From here on a bare LF is a byte like any other.
    pub fn require_crlf(&mut self) {
        self.crlf_only = true;
    }

    /// Reads one line of at most `limit` octets, line end included.
    ///
    /// It is put into `line` without its line end; what was there before is gone, and the memory is
    /// reused. Of a line that is too long or unfinished, `line` has the beginning.
    ///
    /// # Errors
    /// The connection broke.
    pub fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Line> {
        line.clear();
        let mut length = 0;
        let mut last_byte = 0;
        let ended = loop {
            let received = self.fill_buf()?;
            if received.is_empty() {
                break None;
            }
            let piece = up_to_line_feed(received);
            let room = limit - line.len();
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            let line_end = line_end(last_byte, piece);
            last_byte = piece[piece.len() - 1];
            let consumed = piece.len();
            length += consumed;
            self.consume(consumed);
            match line_end {
                Some(LineEnd::Lf) if self.crlf_only => {}
                Some(_) => break line_end,
                None => {}
            }
        };
        let found = match ended {
            None => Line::Closed,
            Some(_) if length > limit => Line::TooLong,
            Some(line_end) => {
                line.truncate(length - line_end.length());
                Line::Whole(line_end)
            }
        };
        self.show(line, found);
        Ok(found)
    }

    fn show(&mut self, line: &[u8], found: Line) {
        if found != Line::Closed || !line.is_empty() {
            self.transcript.client(line);
        }
        match found {
            Line::Whole(_) => {}
            Line::TooLong => self.transcript.narrate(format_args!(
                "the line goes on beyond {} octets",
                line.len()
            )),
            Line::Closed => self
                .transcript
                .narrate(format_args!("the client closes its side")),
        }
    }

    /// Adds a reply to those that wait to be sent.
    ///
    /// A client hears nothing in any other way.
    ///
    /// # Errors
    /// The connection broke, while many waiting replies were sent.
    pub fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let start = self.output.len();
        write!(self.output, "{reply}\r\n")?;
        self.transcript
            .server(&self.output[start..self.output.len() - 2]);
        if self.output.len() > MAX_WAITING_REPLIES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends the replies that wait, all in one write.
    ///
    /// # Errors
    /// The connection broke.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.output);
        self.output.clear();
        sent
    }

    /// Sends the replies that wait and ends the conversation from our side.
    ///
    /// Closing a connection while bytes lie in it unread breaks it: TCP then sends a reset, which
    /// takes back the replies that are still on their way. So what the client still sends is read
    /// and dropped, for as long as `patience` lasts. Without patience there is one read, which
    /// doesn't wait.
    ///
    /// # Errors
    /// The connection broke.
    pub fn close(&mut self, patience: Duration) -> io::Result<()> {
        self.flush()?;
        let mut stream = self.stream.get_ref();
        stream.shutdown(Shutdown::Write)?;
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                stream.set_nonblocking(true)?;
            } else {
                stream.set_read_timeout(Some(left))?;
            }
            match stream.read(&mut [0; COMMAND_BUFFER]) {
                Ok(1..) if !left.is_zero() => {}
                // The end, a timeout, a broken connection: whatever it is, it is over.
                _ => return Ok(()),
            }
        }
    }

    /// Returns the bytes that are received and not yet consumed.
    ///
    /// It waits until there are some. None at all means that the client has closed its side.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            self.receive(COMMAND_BUFFER)?;
        }
        Ok(&self.input[self.unread.clone()])
    }

    /// Returns the bytes of a message that are received and not yet consumed (chapter 6).
    ///
    /// It waits as reading a line does, with a larger buffer, which grows while reads fill it. The
    /// next command finds it small again.
    ///
    /// # Errors
    /// The connection broke.
    pub fn fill_data_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            let last_read_was_full = self.unread.end == self.input.len();
            self.receive(match self.input.len() {
                small if small < FIRST_DATA_BUFFER => FIRST_DATA_BUFFER,
                size if last_read_was_full => (size * 4).min(LARGEST_DATA_BUFFER),
                size => size,
            })?;
        }
        Ok(&self.input[self.unread.clone()])
    }

    /// Drops the first `amount` bytes of those that were received.
    pub fn consume(&mut self, amount: usize) {
        self.unread.start += amount;
    }

    /// Waits for the client. The replies leave first.
    fn receive(&mut self, size: usize) -> io::Result<()> {
        self.flush()?;
        if self.input.len() != size {
            self.input = vec![0; size];
        }
        let length = loop {
            match self.stream.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread = 0..length;
        Ok(())
    }
}

/// Cuts `received` after its first LF, if it has one.
fn up_to_line_feed(received: &[u8]) -> &[u8] {
    let line_feed = received.iter().position(|&byte| byte == b'\n');
    &received[..line_feed.map_or(received.len(), |at| at + 1)]
}

/// Finds the line end of a piece that comes after the byte `before`.
fn line_end(before: u8, piece: &[u8]) -> Option<LineEnd> {
    match (before, piece) {
        (_, [.., b'\r', b'\n']) | (b'\r', [b'\n']) => Some(LineEnd::CrLf),
        (_, [.., b'\n']) => Some(LineEnd::Lf),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A wire and the client at its other end.
    fn connected() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        (Wire::new(stream, Transcript::new(1, true)), client)
    }

    #[test]
    fn replies_wait_until_the_wire_would_wait_for_the_client() {
        let (mut wire, mut client) = connected();
        client.write_all(b"one\r\ntwo\r\n").unwrap();
        let mut line = Vec::new();
        for _ in 0..2 {
            wire.read_line(&mut line, 512).unwrap();
            wire.reply(&crate::reply::OK).unwrap();
        }
        assert_eq!(wire.output, b"250 OK\r\n250 OK\r\n");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(wire.read_line(&mut line, 512).unwrap(), Line::Closed);
        assert_eq!(wire.output, b"");
    }

    #[test]
    fn nothing_is_unread_when_the_connection_is_closed() {
        let (mut wire, mut client) = connected();
        client.write_all(&[b'x'; 5000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        wire.close(Duration::from_secs(5)).unwrap();
        assert_eq!(wire.stream.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_line_may_have_the_limit_and_a_longer_one_is_skipped() {
        let (mut wire, mut client) = connected();
        client
            .write_all(b"123456\r\n1234567\r\n1234567\nNOOP\r\n")
            .unwrap();
        let mut line = Vec::new();
        for (expected, content) in [
            (Line::Whole(LineEnd::CrLf), &b"123456"[..]),
            (Line::TooLong, b"1234567\r"),
            (Line::Whole(LineEnd::Lf), b"1234567"),
            (Line::Whole(LineEnd::CrLf), b"NOOP"),
        ] {
            assert_eq!(wire.read_line(&mut line, 8).unwrap(), expected);
            assert_eq!(line, content);
        }
    }

    #[test]
    fn without_patience_closing_does_not_wait() {
        let (mut wire, mut client) = connected();
        client.write_all(b"QUIT\r\n").unwrap();
        wire.fill_buf().unwrap();
        // The client stays, and says nothing.
        wire.close(Duration::ZERO).unwrap();
    }

    #[test]
    fn a_line_end_is_found_wherever_the_network_has_cut() {
        for (before, piece, found) in [
            (0, &b"NOOP\r\n"[..], Some(LineEnd::CrLf)),
            (b'\r', b"\n", Some(LineEnd::CrLf)),
            (b'\r', b"x\n", Some(LineEnd::Lf)),
            (0, b"\n", Some(LineEnd::Lf)),
            (0, b"NOOP\r", None),
            (b'\r', b"NOOP", None),
        ] {
            let shown = piece.escape_ascii();
            assert_eq!(line_end(before, piece), found, "{before} {shown}");
        }
    }

    #[test]
    fn waiting_replies_are_bounded() {
        let (mut wire, _client) = connected();
        for _ in 0..10_000 {
            wire.reply(&crate::reply::OK).unwrap();
            assert!(wire.output.len() <= MAX_WAITING_REPLIES);
        }
    }

    #[test]
    fn the_buffer_grows_while_data_flows_and_is_small_for_commands() {
        let (mut wire, mut client) = connected();
        let sender = std::thread::spawn(move || {
            client
                .write_all(&vec![b'x'; 4 * LARGEST_DATA_BUFFER])
                .unwrap();
            client.write_all(b"\r\n").unwrap();
            client
        });
        let mut left = 4 * LARGEST_DATA_BUFFER;
        let mut largest = 0;
        while left > 0 {
            let length = wire.fill_data_buf().unwrap().len().min(left);
            assert!((FIRST_DATA_BUFFER..=LARGEST_DATA_BUFFER).contains(&wire.input.len()));
            largest = largest.max(wire.input.len());
            wire.consume(length);
            left -= length;
        }
        assert!(largest > FIRST_DATA_BUFFER);
        let mut client = sender.join().unwrap();
        let mut line = Vec::new();
        assert_eq!(
            wire.read_line(&mut line, 512).unwrap(),
            Line::Whole(LineEnd::CrLf)
        );
        client.write_all(b"NOOP\r\n").unwrap();
        assert_eq!(
            wire.read_line(&mut line, 512).unwrap(),
            Line::Whole(LineEnd::CrLf)
        );
        assert_eq!(
            (line.as_slice(), wire.input.len()),
            (&b"NOOP"[..], COMMAND_BUFFER)
        );
    }
}
