//! How long a client may keep us waiting (chapter 9).
//!
//! A timeout for each read is not enough: a client that sends a byte a second never meets it. What
//! is waited for has a *deadline* instead, and each read may wait only for what is left until then.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The least rate at which message data must come in the long run, in octets per second. A client
/// on a bad line is faster; one that sends a byte a second has no mail to deliver.
pub const LEAST_DATA_RATE: u32 = 500;

/// The longest timeout there is.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Patience with one client.
#[derive(Debug)]
pub struct Patience {
    /// How long the client may keep us waiting; `None` is for ever.
    timeout: Option<Duration>,
    /// When the time is up for what is waited for. If `None`, the next wait sets it.
    deadline: Option<Instant>,
    /// Whether message data that comes in no longer moves the deadline.
    hurried: bool,
    /// What the socket was last told to wait for a read.
    read_timeout: Option<Duration>,
}

impl Patience {
    /// Waits for ever.
    pub fn endless() -> Patience {
        Patience {
            timeout: None,
            deadline: None,
            hurried: false,
            read_timeout: None,
        }
    }

    /// Waits no longer than `timeout`, which is more than zero, and [`LONGEST_TIMEOUT`] at most.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn limited(timeout: Duration, stream: &TcpStream) -> io::Result<Patience> {
        let timeout = timeout.min(LONGEST_TIMEOUT);
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Patience {
            timeout: Some(timeout),
            read_timeout: Some(timeout),
            ..Patience::endless()
        })
    }

    /// How long the client may keep us waiting; `None` is for ever.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// From here on something else is waited for: the next line, or the message.
    pub fn begin(&mut self) {
        self.deadline = None;
        self.hurried = false;
    }

    /// Tells the socket how long the next read may wait, if that has changed.
    ///
    /// # Errors
    /// [`kept_waiting`] if the time is up.
    pub fn before_read(&mut self, stream: &TcpStream) -> io::Result<()> {
        let Some(timeout) = self.timeout else {
            return Ok(());
        };
        let left = match self.deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => {
                self.deadline = Some(Instant::now() + timeout);
                timeout
            }
        };
        if left.is_zero() {
            return Err(kept_waiting());
        }
        if self.read_timeout != Some(left) {
            stream.set_read_timeout(Some(left))?;
            self.read_timeout = Some(left);
        }
        Ok(())
    }

    /// Gives the client time for the `octets` of message data that have just come in: as long as
    /// they take at the least rate, so that whoever is faster than that has the whole timeout
    /// again.
    pub fn data_received(&mut self, octets: usize) {
        let (Some(timeout), Some(deadline), false) = (self.timeout, self.deadline, self.hurried)
        else {
            return;
        };
        let earned = Duration::from_secs(octets as u64) / LEAST_DATA_RATE;
        let deadline = deadline + earned;
        let is_latest = deadline >= Instant::now() + timeout;
        self.deadline = (!is_latest).then_some(deadline);
    }

    /// The message that comes in is refused. What is left of it must come before the deadline as it
    /// is: nobody can keep us busy for ever with a message that we have refused.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }
}

/// The client kept us waiting for too long: an error of the kind [`io::ErrorKind::TimedOut`].
pub fn kept_waiting() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client keeps us waiting")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(1000);

    fn stream() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    }

    /// As if so much of the time were left.
    fn with_time_left(seconds: u64, stream: &TcpStream) -> Patience {
        let mut patience = Patience::limited(TIMEOUT, stream).unwrap();
        patience.deadline = Some(Instant::now() + Duration::from_secs(seconds));
        patience
    }

    /// The socket's timeout in whole seconds, rounded up.
    fn told(stream: &TcpStream) -> u64 {
        let timeout = stream.read_timeout().unwrap().unwrap();
        timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)
    }

    #[test]
    fn a_read_may_wait_until_the_deadline_and_the_next_line_has_the_whole_time() {
        let stream = stream();
        let mut patience = with_time_left(10, &stream);
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), 10);
        patience.begin();
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), TIMEOUT.as_secs());
    }

    #[test]
    fn after_the_deadline_nothing_is_waited_for() {
        let stream = stream();
        let mut patience = with_time_left(0, &stream);
        let error = patience.before_read(&stream).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_octet_buys_its_time_at_the_least_rate() {
        let stream = stream();
        let mut patience = with_time_left(10, &stream);
        patience.data_received(20 * LEAST_DATA_RATE as usize);
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), 30);
    }

    #[test]
    fn much_data_buys_no_more_than_the_whole_time() {
        let stream = stream();
        let mut patience = with_time_left(10, &stream);
        patience.data_received(10_000 * LEAST_DATA_RATE as usize);
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), TIMEOUT.as_secs());
    }

    #[test]
    fn a_refused_message_buys_nothing_and_the_next_one_does() {
        let stream = stream();
        let mut patience = with_time_left(10, &stream);
        patience.hurry();
        patience.data_received(20 * LEAST_DATA_RATE as usize);
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), 10);
        patience.begin();
        patience.deadline = Some(Instant::now() + Duration::from_secs(10));
        patience.data_received(20 * LEAST_DATA_RATE as usize);
        patience.before_read(&stream).unwrap();
        assert_eq!(told(&stream), 30);
    }

    #[test]
    fn no_timeout_is_too_long() {
        let stream = stream();
        let mut patience = Patience::limited(Duration::MAX, &stream).unwrap();
        patience.before_read(&stream).unwrap();
        assert_eq!(patience.timeout(), Some(LONGEST_TIMEOUT));
    }
}
