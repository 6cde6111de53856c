//! The accept loop: one thread per connection (chapter 1).
//!
//! A thread is the simplest way to serve many clients at once: the code of a conversation reads in
//! the order in which things happen, and a client that says nothing holds up nobody but its own
//! thread. How many there may be is for chapter 9 to say ([`crate::places`]). A thread whose client
//! has gone waits for another one (*Fast*).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};
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

/// How many threads may wait for a client. Each keeps some 10 KiB.
const MOST_IDLE: usize = 64;

/// A client and its place.
type Client = (Connection, Place);

/// Where a thread that waits leaves the sender of its next client.
type Idle = SyncSender<Sender<Client>>;

/// Accepts clients for ever and gives each a thread for `converse`.
///
/// While [`Settings::max_connections`] are connected, one more hears 421 and is sent away. No client
/// can end the loop. An accept or a thread that fails is reported, once per run of
/// failures, and the next client is served.
pub fn serve(listener: &TcpListener, settings: Settings, converse: Converse) -> ! {
    let mut places = Places::new(settings.max_connections);
    let settings = Arc::new(settings);
    let (idle, waiting): (Idle, _) = mpsc::sync_channel(MOST_IDLE);
    let mut number = 0;
    let mut failing = false;
    loop {
        let served = accept(listener, number + 1, &settings).and_then(|connection| {
            number += 1;
            match places.take() {
                Some(place) => match waiting.try_recv() {
                    Ok(thread) => {
                        // Whoever left this sender waits for a client, so it can't fail.
                        let _ = thread.send((connection, place));
                        Ok(())
                    }
                    Err(_) => start_thread((connection, place), idle.clone(), converse),
                },
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

/// Starts a thread that begins with this client.
fn start_thread(client: Client, idle: Idle, converse: Converse) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name("clients".to_string())
        .stack_size(STACK_SIZE);
    builder.spawn(move || serve_one_after_another(client, &idle, converse))?;
    Ok(())
}

/// Serves a client and those that come after it. Each gives its place back.
fn serve_one_after_another(first: Client, idle: &Idle, converse: Converse) {
    let mut next = Some(first);
    while let Some((connection, place)) = next {
        attend(connection, converse);
        drop(place);
        next = wait_for_client(idle);
    }
}

/// Waits for the next client. `None` if enough threads wait already.
///
/// As a part of its caller it would make the stack of every conversation larger by a page.
#[inline(never)]
fn wait_for_client(idle: &Idle) -> Option<Client> {
    let (sender, client) = mpsc::channel();
    idle.try_send(sender).ok()?;
    client.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// A client, its place, and its own side of the connection.
    fn connected() -> (Client, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let settings = Arc::new(Settings {
            quiet: true,
            ..Settings::default()
        });
        let connection = accept(&listener, 1, &settings).unwrap();
        ((connection, Places::new(1).take().unwrap()), client)
    }

    /// A conversation that tells the client which thread it has.
    fn tell_thread(mut connection: Connection) -> io::Result<()> {
        write!(connection.stream, "{:?}", thread::current().id())
    }

    fn told(mut client: TcpStream) -> String {
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        told
    }

    #[test]
    fn a_thread_serves_one_client_after_another() {
        let (idle, waiting) = mpsc::sync_channel(1);
        let (first, first_client) = connected();
        let (second, second_client) = connected();
        start_thread(first, idle, tell_thread).unwrap();
        let thread: Sender<Client> = waiting.recv().unwrap();
        thread.send(second).unwrap();
        assert_eq!(told(first_client), told(second_client));
        // It waits again.
        waiting.recv().unwrap();
    }

    #[test]
    fn a_thread_ends_where_enough_others_wait() {
        let (idle, _waiting) = mpsc::sync_channel(0);
        assert!(wait_for_client(&idle).is_none());
    }
}
