//! The accept loop: one thread per connection (chapter 1).
//!
//! A thread is the simplest way to serve many clients at once: the code of a conversation reads in
//! the order in which things happen, and a client that says nothing holds up nobody but its own
//! thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::settings::Settings;
use crate::transcript::{self, Transcript};

/// The stack of a connection's thread, in bytes. The standard library's default is 2 MiB; our
/// deepest call needs a small part of this, and address space isn't free when there are thousands.
const STACK_SIZE: usize = 128 * 1024;

/// How long the loop rests after an accept that failed. An error such as "too many open files"
/// stays until some client leaves; without the rest the loop would spin on it.
const REST_AFTER_ERROR: Duration = Duration::from_millis(50);

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

/// Accepts clients for ever and gives each a thread of its own that runs `converse`.
///
/// Nothing that happens to one client ends the loop: an accept or a thread that fails is reported,
/// once while it goes on failing, and the next client is served.
pub fn serve(listener: &TcpListener, settings: Settings, converse: Converse) -> ! {
    let settings = Arc::new(settings);
    let mut number: u64 = 0;
    let mut failing = false;
    loop {
        let started = listener.accept().and_then(|(stream, peer)| {
            number += 1;
            let connection = Connection {
                stream,
                peer,
                transcript: Transcript::new(number, settings.quiet),
                settings: Arc::clone(&settings),
            };
            thread::Builder::new()
                .name(format!("client {number}"))
                .stack_size(STACK_SIZE)
                .spawn(move || attend(connection, converse))
        });
        match started {
            Ok(_) => failing = false,
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
