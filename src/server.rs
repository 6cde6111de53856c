//! The accept loop: one thread per connection (chapter 1), and how many of them (chapter 9).
//!
//! A thread is the simplest way to serve many clients at once: the code of a conversation reads in
//! the order in which things happen, and a client that says nothing holds up nobody but its own
//! thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::machine;
use crate::reply;
use crate::settings::Settings;
use crate::transcript::{self, Transcript};
use crate::wire::Wire;

/// The stack of a connection's thread, in bytes. The standard library's default is 2 MiB of address
/// space. Measured after whole sessions with large and strange messages, a thread has touched 12
/// KiB of it, 16 KiB without optimisation; a panic that prints where it happened takes less than 32
/// KiB. This is twice that. Only what is touched takes memory.
const STACK_SIZE: usize = 64 * 1024;

/// How long the loop rests after an accept that failed. An error such as "too many open files"
/// stays until some client leaves; without the rest the loop would spin on it.
const REST_AFTER_ERROR: Duration = Duration::from_millis(50);

/// How many pieces of memory a connection's thread may have mapped: its stack, the stack on which
/// it would report that the first has overflowed, and a guard page for each. And one to
/// spare.
const MAPS_PER_THREAD: u64 = 5;

/// How many pieces of memory we leave for everything that isn't a connection's thread.
const OTHER_MAPS: u64 = 1000;

/// How many descriptors we leave for everything that isn't a connection: our own three and the
/// listener, and the files of mails that are just being written. (A mail that finds none left is
/// 451.)
const OTHER_DESCRIPTORS: u64 = 24;

/// How many connections this machine can hold, by its own limits.
///
/// To be out of descriptors is only an error of `accept`. But a thread that finds no memory maps
/// left for its stack's guard makes the standard library end the whole process.
pub fn most_connections() -> usize {
    let by_descriptors = machine::open_files().saturating_sub(OTHER_DESCRIPTORS);
    let by_maps = machine::memory_maps().saturating_sub(OTHER_MAPS) / MAPS_PER_THREAD;
    usize::try_from(by_descriptors.min(by_maps)).unwrap_or(usize::MAX)
}

/// One client, as the accept loop hands it to its thread.
#[derive(Debug)]
pub struct Connection {
    /// The two-way stream of bytes between the client and us.
    pub stream: TcpStream,
    /// Where the client calls from.
    pub peer: SocketAddr,
    /// Where the conversation is shown.
    pub transcript: Transcript,
    /// What the operator decided.
    pub settings: Arc<Settings>,
}

/// A server, as a stage provides it: the whole conversation with one client, from its first byte to
/// its last. An error means that the connection broke; the server itself goes on.
pub type Converse = fn(Connection) -> io::Result<()>;

/// Accepts clients for ever and gives each a thread of its own that runs `converse`. While there
/// are as many as [`Settings::max_connections`], one more hears 421 and is sent away.
///
/// Nothing that happens to one client ends the loop: an accept or a thread that fails is reported,
/// once while it goes on failing, and the next client is served.
pub fn serve(listener: &TcpListener, settings: Settings, converse: Converse) -> ! {
    let settings = Arc::new(settings);
    // Every connection's thread holds one of these, until it ends, however it ends.
    let place = Arc::new(());
    let mut number: u64 = 0;
    let mut failing = false;
    loop {
        let taken_in = listener.accept().and_then(|(stream, peer)| {
            number += 1;
            let connection = Connection {
                stream,
                peer,
                transcript: Transcript::new(number, settings.quiet),
                settings: Arc::clone(&settings),
            };
            if Arc::strong_count(&place) > settings.max_connections {
                attend(connection, turn_away);
                return Ok(());
            }
            let place = Arc::clone(&place);
            thread::Builder::new()
                .name(format!("client {number}"))
                .stack_size(STACK_SIZE)
                .spawn(move || {
                    attend(connection, converse);
                    drop(place);
                })
                .map(drop)
        });
        match taken_in {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    transcript::error(format_args!("cannot take in a client: {error}"));
                }
                failing = true;
                thread::sleep(REST_AFTER_ERROR);
            }
        }
    }
}

/// Tells a client that there is no room for it. It has no thread, so nothing here may wait.
fn turn_away(connection: Connection) -> io::Result<()> {
    let hostname = &connection.settings.hostname;
    let full = reply::not_available(hostname, "Too many connections");
    let mut wire = Wire::new(connection.stream, connection.transcript);
    wire.reply(&full)?;
    wire.close_at_once()
}

/// The life of one connection's thread.
fn attend(connection: Connection, converse: Converse) {
    let transcript = connection.transcript.clone();
    transcript.narrate(format_args!("{} connects", connection.peer));
    // We write whole batches of replies. Without this, TCP would hold the second small batch back
    // until the client acknowledges the first, which many put off for 40 ms.
    let _ = connection.stream.set_nodelay(true);
    match converse(connection) {
        Ok(()) => transcript.narrate(format_args!("the server closes the connection")),
        Err(error) => transcript.narrate(format_args!("the connection broke: {error}")),
    }
}
