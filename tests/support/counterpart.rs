//! A server that plays its side of one conversation: what our client is tested on.
//!
//! The [notation](super::conversation) is the same, read from the other side: it says the lines with
//! `S:` and expects those with `C:`, byte for byte. `{silence}` waits until the client is gone, and
//! `{nothing more has come}` looks for what a client should send later.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::conversation::{Conversation, Step};

/// A server for one client.
pub struct Counterpart {
    /// Where it listens.
    pub address: String,
    thread: JoinHandle<Result<(), String>>,
}

impl Counterpart {
    /// Starts a server that plays this conversation.
    pub fn plays(text: &str) -> Counterpart {
        let conversation = Conversation::parse(text);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Counterpart {
            address: listener.local_addr().unwrap().to_string(),
            thread: thread::spawn(move || play(&listener.accept().unwrap().0, &conversation)),
        }
    }

    /// Waits for the end of the conversation.
    ///
    /// # Panics
    /// The client has sent something else.
    pub fn ends_content(self) {
        self.end().unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// Waits for the end of the conversation. The error says what else the client has sent.
    pub fn end(self) -> Result<(), String> {
        self.thread.join().unwrap()
    }
}

fn play(mut stream: &TcpStream, conversation: &Conversation) -> Result<(), String> {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    for step in &conversation.steps {
        match step {
            Step::Expect(line) => say(stream, format!("{line}\r\n").as_bytes()),
            Step::ExpectBytes(bytes) => say(stream, bytes),
            Step::Send(bytes) => {
                let mut heard = vec![0; bytes.len()];
                let whole = stream.read_exact(&mut heard);
                if whole.is_err() || heard != *bytes {
                    let (expected, heard) = (bytes.escape_ascii(), heard.escape_ascii());
                    return Err(format!(
                        "expected of the client: {expected}\nheard: {heard}"
                    ));
                }
            }
            Step::ServerCloses => stream.shutdown(Shutdown::Both).unwrap(),
            Step::Because(what) if what == "silence" => {
                let mut rest = Vec::new();
                // It may end in a reset.
                let _ = stream.read_to_end(&mut rest);
                if !rest.is_empty() {
                    return Err(format!("after the end: {}", rest.escape_ascii()));
                }
            }
            Step::Because(what) if what == "nothing more has come" => {
                stream.set_nonblocking(true).unwrap();
                let more = stream.peek(&mut [0]);
                stream.set_nonblocking(false).unwrap();
                if more.is_ok_and(|length| length > 0) {
                    return Err("the client didn't wait for the reply".to_string());
                }
            }
            Step::Because(_) | Step::Place(_) | Step::ClientClosesItsSide => {}
        }
    }
    Ok(())
}

/// Sends bytes to a client that may have left.
fn say(mut stream: &TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}
