//! The accept loop: one thread per connection (chapter 1).
//!
//! A thread is the simplest way to serve many clients at once: the code of a conversation reads in
//! the order in which things happen, and a client that says nothing holds up nobody but its own
//! thread. How many there may be is for chapter 9 to say ([`crate::places`]).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::connection::{Connection, Converse, attend};
use crate::places::{Place, Places, turn_away};
use crate::settings::Settings;
use crate::terminal;
use crate::transcript::Transcript;

/// The stack of a connection's thread, in bytes. The standard library's default is 2 MiB of address
/// space. Measured after whole sessions with large and strange messages, a thread has touched 12
/// KiB of it, 16 KiB without optimisation; a panic that prints where it happened takes less than 32
/// KiB. This is twice that. Only what is touched takes memory.
const STACK_SIZE: usize = 64 * 1024;

/// How long the loop rests after an accept that failed. An error such as "too many open files"
/// stays until some client leaves; without the rest the loop would spin on it.
const REST_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Accepts clients for ever and gives each a thread for `converse`.
///
/// While [`Settings::max_connections`] are connected, one more hears 421 and is sent away. No client
/// can end the loop. An accept or a thread that fails is reported, once per run of
/// failures, and the next client is served.
pub fn serve(listener: &TcpListener, settings: Settings, converse: Converse) -> ! {
    let mut places = Places::new(settings.max_connections);
    let settings = Arc::new(settings);
    let mut number = 0;
    let mut failing = false;
    loop {
        let served = accept(listener, number + 1, &settings).and_then(|connection| {
            number += 1;
            match places.take() {
                Some(place) => start_thread(number, place, connection, converse),
                None => {
                    attend(connection, turn_away);
                    Ok(())
                }
            }
        });
        if let Err(error) = &served {
            if !failing {
                terminal::error(format_args!("cannot serve a client: {error}"));
            }
            thread::sleep(REST_AFTER_ERROR);
        }
        failing = served.is_err();
    }
}

/// Waits for the next client, which gets this number.
fn accept(listener: &TcpListener, number: u64, settings: &Arc<Settings>) -> io::Result<Connection> {
    let (stream, peer) = listener.accept()?;
    Ok(Connection {
        stream,
        peer,
        transcript: Transcript::new(number, settings.quiet),
        settings: Arc::clone(settings),
    })
}

/// Serves a client on its own thread, which gives `place` back.
fn start_thread(
    number: u64,
    place: Place,
    connection: Connection,
    converse: Converse,
) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name(format!("client {number}"))
        .stack_size(STACK_SIZE);
    builder.spawn(move || {
        attend(connection, converse);
        drop(place);
    })?;
    Ok(())
}
