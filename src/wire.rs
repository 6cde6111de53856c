//! Lines in, replies out, and when to flush (chapter 2).
//!
//! TCP carries bytes, not lines and not messages: one read may bring half a command or twenty.
//! [`Wire`] turns them into lines, so that everything above reads whole lines.
//!
//! The one rule about writing: **replies leave just before the thread would wait for the client**,
//! and not earlier. A client that sends ten commands in one segment (pipelining, RFC 2920) gets ten
//! replies in one segment, and nobody ever waits for a reply that sits in a buffer.
//!
//! At a first reading, [`Wire::read_line`], [`Wire::reply`] and [`Wire::flush`] are enough. What
//! the buffer does while a message flows belongs to chapter 6, [`Wire::close`] to chapter 7,
//! timeouts and bare LFs to chapter 9; the rest makes busy servers cheaper.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::patience::{self, Patience};
use crate::reply::Reply;
use crate::transcript::{self, Transcript};

/// The longest command line in octets, CRLF included (4.5.3.1.4). An extension that adds to a
/// command adds to this limit; no chapter so far offers one.
pub const MAX_COMMAND_LINE: usize = 512;

/// The longest AUTH command in octets, CRLF included. RFC 4954, section 4 has 12,288 octets for the
/// lines of base64 that follow; some clients send the first of them with the command.
pub const MAX_AUTH_LINE: usize = 12_288;

/// The size of the input buffer while commands are read: room for two of the longest.
const COMMAND_BUFFER: usize = 1024;

/// The size of the input buffer when a message begins: most mails of text fit in one read.
const FIRST_DATA_BUFFER: usize = 4 * 1024;

/// What the input buffer grows to while a large message flows: fewer reads, fewer system calls.
const LARGEST_DATA_BUFFER: usize = 64 * 1024;

/// Replies that wait beyond this many octets are sent at once, so that a flood of tiny commands
/// can't pile up large answers in memory.
const MAX_WAITING_REPLIES: usize = 4096;

/// How long a client that was told goodbye may take to close its side; twice that if it goes on
/// sending.
const LONGEST_GOODBYE: Duration = Duration::from_secs(1);

/// A yield that took longer than this found the processors busy with something else. See
/// [`Wire::let_others_run`].
const LONG_YIELD: Duration = Duration::from_millis(1);

/// How many times a thread then waits without yielding first.
const WAITS_AFTER_LONG_YIELD: u32 = 10;

/// How a line ended. RFC 5321 knows CRLF only (2.3.8); a bare LF is what a person's `nc` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// CR and LF: the line end of SMTP.
    CrLf,
    /// LF alone.
    Lf,
}

impl LineEnd {
    /// In octets.
    fn length(self) -> usize {
        match self {
            LineEnd::CrLf => 2,
            LineEnd::Lf => 1,
        }
    }
}

/// What [`Wire::read_line`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line.
    Whole(LineEnd),
    /// A line over the limit. It has been skipped to its end: the next read is the next line.
    TooLong,
    /// The client has closed its side. An unfinished last line is no line.
    Closed,
}

/// Both directions of one connection.
///
/// It is a [`BufRead`] for what the client sends. Any read that has to wait sends the waiting
/// replies first.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    transcript: Transcript,
    input: Vec<u8>,
    /// The part of `input` that is received and not yet consumed.
    unread: Range<usize>,
    /// Replies that wait to be sent.
    output: Vec<u8>,
    /// How many times still to wait without yielding first.
    waits_without_yield: u32,
    /// Whether a bare LF ends a line.
    bare_lf_ends_line: bool,
    /// Whether it has been told already that it doesn't.
    bare_lf_told: bool,
    /// How long the client may keep us waiting.
    patience: Patience,
}

impl Wire {
    /// The wire over `stream`. Lines and replies are shown in `transcript`.
    pub fn new(stream: TcpStream, transcript: Transcript) -> Wire {
        Wire {
            stream,
            transcript,
            input: Vec::new(),
            unread: 0..0,
            output: Vec::new(),
            waits_without_yield: 0,
            bare_lf_ends_line: true,
            bare_lf_told: false,
            patience: Patience::endless(),
        }
    }

    /// Where this conversation is shown.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// From here on a bare LF is a byte like any other, and only CR LF ends a line (2.3.8).
    pub fn end_lines_by_the_letter(&mut self) {
        self.bare_lf_ends_line = false;
    }

    /// From here on the client may keep us waiting no longer than `timeout`, or reading fails with
    /// [`io::ErrorKind::TimedOut`].
    ///
    /// A line has this long from the moment when we first wait for it to its line end: one that
    /// comes in a byte a second gains nothing by it. A message may not pause for longer, and each
    /// octet of it buys no more time than it takes at
    /// [`LEAST_DATA_RATE`](patience::LEAST_DATA_RATE). Replies that the client doesn't fetch make
    /// sending fail, after twice this time at the latest.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.patience = Patience::limited(timeout, &self.stream)?;
        Ok(())
    }

    /// The message that comes in is refused: see [`Patience::hurry`].
    pub fn hurry(&mut self) {
        self.patience.hurry();
    }

    /// Reads one line of at most `limit` octets, its line end counted, into `line`, without the
    /// line end. `line` is emptied first; its memory is used again. Of a line that is too long or
    /// unfinished it has the beginning. The limit of an AUTH command is [`MAX_AUTH_LINE`] at least.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Line> {
        line.clear();
        self.patience.begin();
        let mut too_long = false;
        let mut last_byte = 0;
        let found = loop {
            let received = self.fill_buf()?;
            if received.is_empty() {
                if !line.is_empty() {
                    self.transcript.client(line);
                }
                self.transcript
                    .narrate(format_args!("the client closes its side"));
                return Ok(Line::Closed);
            }
            let line_feed = received.iter().position(|&byte| byte == b'\n');
            let piece = &received[..line_feed.map_or(received.len(), |at| at + 1)];
            too_long |= !push_within(line, piece, limit);
            let before = piece.len().checked_sub(2).map_or(last_byte, |at| piece[at]);
            last_byte = piece[piece.len() - 1];
            let length = piece.len();
            self.consume(length);
            let line_end = match (line_feed, before) {
                (None, _) => continue,
                (Some(_), b'\r') => LineEnd::CrLf,
                (Some(_), _) if self.bare_lf_ends_line => LineEnd::Lf,
                (Some(_), _) => {
                    self.tell_of_bare_lf();
                    continue;
                }
            };
            if too_long {
                break Line::TooLong;
            }
            line.truncate(line.len() - line_end.length());
            break Line::Whole(line_end);
        };
        // If this was DATA, its message is what is waited for next.
        self.patience.begin();
        self.transcript.client(line);
        if found == Line::TooLong {
            let limit = line.len();
            self.transcript
                .narrate(format_args!("the line goes on beyond {limit} octets"));
        }
        Ok(found)
    }

    /// Says, once, why a client that ends its lines in LF gets no answer.
    fn tell_of_bare_lf(&mut self) {
        if !self.bare_lf_told {
            self.transcript
                .narrate(format_args!("a bare LF ends no line of this client's"));
        }
        self.bare_lf_told = true;
    }

    /// Puts a reply in line to be sent. This is the only way anything is said to a client.
    ///
    /// # Errors
    /// Those of the connection, if so many replies wait that they are sent now.
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
    /// Those of the connection.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.send();
        self.output.clear();
        sent
    }

    /// Writes all of the output, within the timeout, or twice that for a client that fetches a
    /// little.
    fn send(&mut self) -> io::Result<()> {
        let Some(timeout) = self.patience.timeout() else {
            return self.stream.write_all(&self.output);
        };
        let start = Instant::now();
        let mut rest = self.output.as_slice();
        while !rest.is_empty() {
            rest = match self.stream.write(rest) {
                Ok(length) if length == rest.len() || start.elapsed() < timeout => &rest[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => rest,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {
                    let problem = "the client doesn't fetch its replies";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, problem));
                }
            };
        }
        Ok(())
    }

    /// Sends the replies that wait and ends the conversation from our side.
    ///
    /// To close a connection while bytes lie in it unread is to break it: TCP then sends a reset,
    /// which takes back the replies that are still on their way. So what a client still sends is
    /// read and forgotten, for a moment.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(Some(LONGEST_GOODBYE))?;
        let start = Instant::now();
        let mut forgotten = [0; COMMAND_BUFFER];
        // An end, a timeout, a broken connection: whatever comes, it is over.
        while start.elapsed() < LONGEST_GOODBYE
            && matches!(self.stream.read(&mut forgotten), Ok(length) if length > 0)
        {}
        Ok(())
    }

    /// The same for a client for which nobody has time: of what it sends, only what has come
    /// already is read.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn close_at_once(&mut self) -> io::Result<()> {
        self.flush()?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_nonblocking(true)?;
        let _ = self.stream.read(&mut [0; COMMAND_BUFFER]);
        Ok(())
    }

    /// Like [`BufRead::fill_buf`], for message data: the buffer is larger, and while reads come
    /// back full, it grows. The next command that is waited for finds it small again.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn fill_data_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            let last_read_was_full = self.unread.end == self.input.len();
            let size = match self.input.len() {
                small if small < FIRST_DATA_BUFFER => FIRST_DATA_BUFFER,
                size if last_read_was_full => (size * 4).min(LARGEST_DATA_BUFFER),
                size => size,
            };
            self.resize_input(size);
            self.receive()?;
            self.patience.data_received(self.unread.len());
        }
        Ok(&self.input[self.unread.clone()])
    }

    /// Changes the size of the input buffer, of which nothing may be unread.
    fn resize_input(&mut self, size: usize) {
        if self.input.len() != size {
            self.input = vec![0; size];
        }
    }

    /// Waits for the client: the replies leave first.
    fn receive(&mut self) -> io::Result<()> {
        // After a reply only: then the client's next command is likely on its way.
        if !self.output.is_empty() {
            self.flush()?;
            self.let_others_run();
        }
        let length = loop {
            self.patience.before_read(&self.stream)?;
            match self.stream.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a timeout of the socket is called depends on the system.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(patience::kept_waiting());
                }
                result => break result?,
            }
        };
        self.unread = 0..length;
        Ok(())
    }

    /// Gives the processor to whoever else is ready, before this thread goes to sleep.
    ///
    /// A busy client's next command is often there when the thread comes back, and then it need not
    /// sleep at all: to fall asleep and be woken from another processor costs more than to answer
    /// RCPT. With twenty busy clients that is a third of the server's processor time. But where
    /// other programs keep the processors busy a yield costs their whole time slice, so a thread
    /// that sees this stops yielding for a while.
    fn let_others_run(&mut self) {
        if self.waits_without_yield > 0 {
            self.waits_without_yield -= 1;
            return;
        }
        let start = Instant::now();
        thread::yield_now();
        if start.elapsed() > LONG_YIELD {
            self.waits_without_yield = WAITS_AFTER_LONG_YIELD;
        }
    }
}

/// Adds `piece` to `line`, as far as the limit of this line allows. Says whether it was all of it.
fn push_within(line: &mut Vec<u8>, piece: &[u8], limit: usize) -> bool {
    let whole = line.len() + piece.len();
    let fitting = piece.len().min(MAX_AUTH_LINE.max(limit) - line.len());
    line.extend_from_slice(&piece[..fitting]);
    if !transcript::is_auth(line) {
        line.truncate(limit);
    }
    line.len() == whole
}

impl BufRead for Wire {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            self.resize_input(COMMAND_BUFFER);
            self.receive()?;
        }
        Ok(&self.input[self.unread.clone()])
    }

    fn consume(&mut self, amount: usize) {
        self.unread.start = (self.unread.start + amount).min(self.unread.end);
    }
}

impl Read for Wire {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(target)?;
        self.consume(length);
        Ok(length)
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
    fn a_wire_can_be_read_as_bytes() {
        let (mut wire, mut client) = connected();
        client.write_all(&[b'x'; 3000]).unwrap();
        drop(client);
        let mut received = Vec::new();
        wire.read_to_end(&mut received).unwrap();
        assert_eq!(received, [b'x'; 3000]);
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
        wire.close().unwrap();
        assert_eq!(wire.stream.read(&mut [0]).unwrap(), 0);
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
