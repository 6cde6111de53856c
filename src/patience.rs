//! How long a client may keep us waiting (chapter 9).
//!
//! A timeout for each read is not enough: a client that sends a byte a second never meets it. Every
//! wait has a *deadline* instead, and each read may take only the time that is left until then.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least rate at which a message must arrive in the long run, in octets per second. A client
/// on a bad line is faster; one that sends a byte a second has no message to deliver.
pub const LEAST_DATA_RATE: u32 = 500;

/// The longest timeout that may be set.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// A stream that fails when its client takes too long.
///
/// Until a [limit](PatientStream::limit) is set it waits for ever, as the stream alone does.
///
/// A clone has a clock of its own. Only the wire makes one, and drops the old one.
#[derive(Clone, Debug)]
pub struct PatientStream {
    stream: Arc<TcpStream>,
    timeout: Option<Duration>,
    /// When the current wait is over. The first read of the wait sets it.
    deadline: Option<Instant>,
    /// Whether octets that arrive move the deadline.
    earning: bool,
    /// The read timeout that the socket has now: setting it again would cost a system call.
    read_timeout: Option<Duration>,
}

impl PatientStream {
    /// Wraps `stream`, without a limit.
    pub fn new(stream: TcpStream) -> PatientStream {
        PatientStream {
            stream: Arc::new(stream),
            timeout: None,
            deadline: None,
            earning: false,
            read_timeout: None,
        }
    }

    /// Returns the stream itself, past all deadlines.
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }

    /// Sets the longest wait: more than zero, and [`LONGEST_TIMEOUT`] at most.
    ///
    /// A read beyond it fails with [`io::ErrorKind::TimedOut`]. So does a write, with
    /// [`io::ErrorKind::WouldBlock`], if the client doesn't fetch its replies.
    ///
    /// # Errors
    /// The socket refuses the timeout.
    pub fn limit(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = timeout.min(LONGEST_TIMEOUT);
        self.stream.set_write_timeout(Some(timeout))?;
        self.timeout = Some(timeout);
        Ok(())
    }

    /// Begins the wait for a line.
    ///
    /// The line has the whole timeout, from its first read to its line end.
    pub fn expect_line(&mut self) {
        self.deadline = None;
        self.earning = false;
    }

    /// Begins the wait for a message.
    ///
    /// It may take longer than the timeout while it keeps coming: each octet buys the time that it
    /// takes at [`LEAST_DATA_RATE`]. A pause may last for the timeout at most.
    pub fn expect_message(&mut self) {
        self.deadline = None;
        self.earning = true;
    }

    /// Gives a refused message no more time than it has left.
    ///
    /// Otherwise a client could keep us busy for ever with a message that we don't want.
    pub fn hurry(&mut self) {
        self.earning = false;
    }

    /// Limits the next read to the rest of the wait, which begins now if it hasn't yet.
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert(now + timeout);
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(took_too_long());
        }
        if self.read_timeout != Some(left) {
            self.stream.set_read_timeout(Some(left))?;
            self.read_timeout = Some(left);
        }
        Ok(())
    }

    /// Says whether the timeout is over for what has begun at `start`.
    fn has_expired(&self, start: Instant) -> bool {
        self.timeout
            .is_some_and(|timeout| start.elapsed() >= timeout)
    }

    /// Moves the deadline for octets of a message that have arrived.
    fn earn(&mut self, octets: usize) {
        if let (Some(timeout), Some(deadline), true) = (self.timeout, self.deadline, self.earning) {
            let later = deadline + Duration::from_secs(octets as u64) / LEAST_DATA_RATE;
            // Beyond the whole timeout nothing is saved up: the next read begins a new wait.
            self.deadline = Some(later).filter(|&later| later < Instant::now() + timeout);
        }
    }
}

impl Read for PatientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(timeout) = self.timeout {
                self.set_read_timeout(timeout)?;
            }
            return match self.get_ref().read(buffer) {
                // A signal, such as the one that continues a stopped process. The deadline stays.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // What a timeout of the socket is called depends on the system.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(took_too_long()),
                Ok(length) => {
                    self.earn(length);
                    Ok(length)
                }
                error => error,
            };
        }
    }
}

impl Write for PatientStream {
    /// Writes once. A short write that has waited for the whole timeout is an error. Another one was
    /// cut short by a signal, such as the one that continues a stopped process.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let start = Instant::now();
        match self.get_ref().write(buffer) {
            Ok(length) if length < buffer.len() && self.has_expired(start) => Err(not_fetched()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(not_fetched()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.get_ref().flush()
    }
}

fn took_too_long() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client took too long")
}

fn not_fetched() -> io::Error {
    let problem = "the client doesn't fetch its replies";
    io::Error::new(io::ErrorKind::WouldBlock, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(1000);

    /// Makes a stream with a limit, and its client.
    fn connected() -> (PatientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut stream = PatientStream::new(stream);
        stream.limit(TIMEOUT).unwrap();
        (stream, client)
    }

    /// Reads octets with so many seconds left. Returns the seconds left after that.
    fn left_after(
        stream: &mut PatientStream,
        client: &mut TcpStream,
        left: u64,
        octets: usize,
    ) -> u64 {
        stream.deadline = Some(Instant::now() + Duration::from_secs(left));
        client.write_all(&vec![b'x'; octets]).unwrap();
        stream.read_exact(&mut vec![0; octets]).unwrap();
        stream.set_read_timeout(TIMEOUT).unwrap();
        let timeout = stream.stream.read_timeout().unwrap().unwrap();
        timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)
    }

    #[test]
    fn a_line_may_take_until_its_deadline_and_the_next_has_the_whole_timeout() {
        let (mut stream, mut client) = connected();
        stream.expect_line();
        assert_eq!(left_after(&mut stream, &mut client, 10, 1000), 10);
        stream.expect_line();
        stream.set_read_timeout(TIMEOUT).unwrap();
        assert_eq!(stream.stream.read_timeout().unwrap(), Some(TIMEOUT));
    }

    #[test]
    fn a_read_after_the_deadline_fails_at_once() {
        let (mut stream, _client) = connected();
        stream.deadline = Some(Instant::now());
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_octet_of_a_message_buys_its_time_at_the_least_rate() {
        let (mut stream, mut client) = connected();
        stream.expect_message();
        let octets = 20 * LEAST_DATA_RATE as usize;
        assert_eq!(left_after(&mut stream, &mut client, 10, octets), 30);
    }

    #[test]
    fn a_message_buys_at_most_the_whole_timeout() {
        let (mut stream, mut client) = connected();
        stream.expect_message();
        let left = TIMEOUT.as_secs() - 1;
        let octets = 20 * LEAST_DATA_RATE as usize;
        let whole = TIMEOUT.as_secs();
        assert_eq!(left_after(&mut stream, &mut client, left, octets), whole);
    }

    #[test]
    fn a_refused_message_buys_nothing_and_the_next_one_does() {
        let (mut stream, mut client) = connected();
        let octets = 20 * LEAST_DATA_RATE as usize;
        stream.expect_message();
        stream.hurry();
        assert_eq!(left_after(&mut stream, &mut client, 10, octets), 10);
        stream.expect_message();
        assert_eq!(left_after(&mut stream, &mut client, 10, octets), 30);
    }

    #[test]
    fn a_timeout_is_capped_at_one_day() {
        let (mut stream, _client) = connected();
        stream.limit(Duration::MAX).unwrap();
        assert_eq!(stream.timeout, Some(LONGEST_TIMEOUT));
    }
}
