//! How many clients may be connected at a time (chapter 9).
//!
//! Each client has a thread. Where the machine has no room for one more, the standard library may end
//! the whole process ([`most_connections`](crate::machine::most_connections) says why). So a client
//! is counted before it gets a thread: it takes one of a fixed number of places, or hears 421.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::reply::not_available;
use crate::wire::Wire;

/// A fixed number of places.
#[derive(Debug)]
pub struct Places {
    /// Every place in use holds a clone.
    counter: Arc<()>,
    most: usize,
}

/// A place in use.
///
/// Dropping it makes the place free, even if its thread panics.
#[derive(Debug)]
pub struct Place {
    _counter: Arc<()>,
}

impl Places {
    /// Makes `most` places, all of them free.
    ///
    /// ```
    /// use smtp_from_scratch::places::Places;
    ///
    /// let mut places = Places::new(1);
    /// let place = places.take();
    /// assert!(place.is_some());
    /// assert!(places.take().is_none());
    /// drop(place);
    /// assert!(places.take().is_some());
    /// ```
    pub fn new(most: usize) -> Places {
        Places {
            counter: Arc::new(()),
            most,
        }
    }

    /// Takes a place, if one is free.
    pub fn take(&mut self) -> Option<Place> {
        let in_use = Arc::strong_count(&self.counter) - 1;
        (in_use < self.most).then(|| Place {
            _counter: Arc::clone(&self.counter),
        })
    }
}

/// Tells a client that every place is taken (421), and hangs up.
///
/// It runs on the accepting thread, so it must not wait: a close without patience doesn't.
///
/// # Errors
/// The client is gone already.
pub fn turn_away(connection: Connection) -> io::Result<()> {
    let full = not_available(&connection.settings.hostname, "Too many connections");
    let mut wire = Wire::new(connection.stream, connection.transcript);
    wire.reply(&full)?;
    wire.close(Duration::ZERO)
}
