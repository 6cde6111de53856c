//! Lines in, replies out, and when to flush (chapter 2).
//!
//! TCP carries bytes, not lines and not messages: one read may bring half a command or twenty.
//! [`Wire`] turns them into lines, so that everything above reads whole lines.
//!
//! The one rule about writing: **replies leave just before the thread would wait for the client**,
//! and not earlier, unless very many of them wait. A client that sends ten commands in one segment
//! (pipelining, RFC 2920) gets ten replies in one segment, and nobody ever waits for a reply that
//! sits in a buffer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::patience::PatientStream;
use crate::reply::Reply;
use crate::transcript::Transcript;

/// The longest command line in octets, CRLF included (4.5.3.1.4).
pub const MAX_COMMAND_LINE: usize = 512;

/// The size of the input buffer: two of the longest command lines. What is longer comes in pieces.
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

/// Finds the enhanced status code of a reply, if it has one (chapter 10).
pub type Status = fn(&Reply) -> Option<&'static str>;

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
    /// The stream, with a buffer for what is received and not yet consumed.
    input: BufReader<PatientStream>,
    /// Replies that wait to be sent.
    output: Vec<u8>,
    transcript: Transcript,
    /// Whether a line ends at CRLF only.
    crlf_only: bool,
    /// Finds the enhanced status code of a reply.
    status: Status,
    /// Whether the last read filled the whole buffer.
    last_read_was_full: bool,
}

impl Wire {
    /// Makes a wire over `stream`. Lines and replies are shown in `transcript`.
    pub fn new(stream: TcpStream, transcript: Transcript) -> Wire {
        // Replies leave in whole batches. Without this, TCP would hold back the second small batch until
        // the client acknowledges the first, which many clients delay by 40 ms.
        let _ = stream.set_nodelay(true);
        Wire {
            input: BufReader::with_capacity(COMMAND_BUFFER, PatientStream::new(stream)),
            output: Vec::new(),
            transcript,
            crlf_only: false,
            status: |_| None,
            last_read_was_full: false,
        }
    }

    /// Adds a reply to those that wait to be sent.
    ///
    /// A client hears nothing in any other way.
    ///
    /// # Errors
    /// The connection broke, while many waiting replies were sent.
    pub fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let text = match (self.status)(reply) {
            Some(status) => reply.with_status(status).to_string(),
            None => reply.to_string(),
        };
        for line in text.split("\r\n") {
            self.transcript.server(line.as_bytes());
        }
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
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
        let sent = self.input.get_mut().write_all(&self.output);
        self.output.clear();
        sent
    }

    /// Returns the bytes that are received and not yet consumed.
    ///
    /// It waits until there are some. None at all means that the client has closed its side.
    pub fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill(COMMAND_BUFFER)
    }

    /// Reads one line of at most `limit` octets, line end included.
    ///
    /// It is put into `line` without its line end; what was there before is gone, and the memory is
    /// reused. Of a line that is too long or unfinished, `line` has the beginning.
    ///
    /// # Errors
    /// The connection broke.
    pub fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Line> {
        let ended = self.collect_line(line, limit + 1)?;
        let found = if !ended {
            Line::Closed
        } else if line.len() > limit {
            Line::TooLong
        } else {
            Line::Whole(take_off_line_end(line))
        };
        line.truncate(limit);
        self.show(line, found);
        Ok(found)
    }

    /// Reads one line and shows none of it, since it is a secret (chapter 11).
    ///
    /// # Errors
    /// The connection broke.
    pub fn read_secret(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Line> {
        self.transcript.hide_next_line();
        self.read_line(line, limit)
    }

    /// Consumes the next line, and collects the first `most` octets of it.
    ///
    /// Returns whether it has an end.
    fn collect_line(&mut self, line: &mut Vec<u8>, most: usize) -> io::Result<bool> {
        line.clear();
        let mut last = b' ';
        loop {
            let received = self.fill_buf()?;
            let line_feed = received.iter().position(|&byte| byte == b'\n');
            let piece = &received[..line_feed.map_or(received.len(), |at| at + 1)];
            let room = most - line.len();
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            let is_crlf = piece.ends_with(b"\r\n") || (last == b'\r' && piece == b"\n");
            let Some(&byte) = piece.last() else {
                return Ok(false);
            };
            last = byte;
            let length = piece.len();
            self.input.consume(length);
            if is_crlf || line_feed.is_some() && !self.crlf_only {
                return Ok(true);
            }
        }
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

    /// Returns the transcript of this conversation.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Drops the first `amount` bytes of those that were received.
    pub fn consume(&mut self, amount: usize) {
        self.input.consume(amount);
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
        let mut stream = self.input.get_ref().get_ref();
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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The end, a timeout, a broken connection: whatever it is, it is over.
                _ => return Ok(()),
            }
        }
    }

    /// Returns the stream below, to set how long it waits (chapter 9).
    pub fn patience(&mut self) -> &mut PatientStream {
        self.input.get_mut()
    }

    /// Ends lines at CRLF only, as the RFC asks (2.3.8; chapter 9).
    ///
    /// From here on a bare LF is a byte like any other, and the transcript says so once.
    pub fn require_crlf(&mut self) {
        if !self.crlf_only {
            self.crlf_only = true;
            self.transcript
                .narrate(format_args!("only CR LF ends a line of this client"));
        }
    }

    /// Adds to each reply from here on the enhanced status code that `status` finds for it (chapter 10).
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Returns the bytes of a message that are received and not yet consumed.
    ///
    /// It waits as reading a line does, with a larger buffer, which grows while reads fill it. The
    /// next command finds it small again.
    ///
    /// # Errors
    /// The connection broke.
    pub fn fill_data_buf(&mut self) -> io::Result<&[u8]> {
        let size = match self.input.capacity() {
            COMMAND_BUFFER => FIRST_DATA_BUFFER,
            size if self.last_read_was_full => (size * 4).min(LARGEST_DATA_BUFFER),
            size => size,
        };
        self.fill(size)
    }

    /// Waits for the client if nothing is left in the buffer. The replies leave first.
    fn fill(&mut self, size: usize) -> io::Result<&[u8]> {
        if self.input.buffer().is_empty() {
            self.flush()?;
            if self.input.capacity() != size {
                let stream = self.input.get_ref().clone();
                self.input = BufReader::with_capacity(size, stream);
            }
            let length = self.input.fill_buf()?.len();
            self.last_read_was_full = length == size;
        }
        Ok(self.input.buffer())
    }
}

/// Takes the line end off a line that has one.
fn take_off_line_end(line: &mut Vec<u8>) -> LineEnd {
    line.pop();
    if !line.ends_with(b"\r") {
        return LineEnd::Lf;
    }
    line.pop();
    LineEnd::CrLf
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};

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
        assert_eq!(wire.input.get_mut().read(&mut [0]).unwrap(), 0);
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
            assert!((FIRST_DATA_BUFFER..=LARGEST_DATA_BUFFER).contains(&wire.input.capacity()));
            largest = largest.max(wire.input.capacity());
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
            (line.as_slice(), wire.input.capacity()),
            (&b"NOOP"[..], COMMAND_BUFFER)
        );
    }
}
