//! Sends mails over many connections at once, and prints how long each took. `scripts/bench.sh` compiles and runs it.
//!
//!     load ADDRESS CLIENTS MAILS OCTETS [PIPELINED]
//!
//! `smtp-source` has no times of single mails and doesn't pipeline, so this is for these two. One thread goes round
//! all connections and never sleeps, so a reply is seen within microseconds of its arrival, and what the numbers show
//! is the server. It wants a processor of its own. Each client sends its next mail as soon as the last one is
//! accepted. With PIPELINED, a message leaves together with the MAIL, RCPT and DATA of the next one (RFC 2920,
//! section 3.1).
//!
//! It prints two numbers: mails per second, and of the times from MAIL to the reply after the dot, the 99th percentile
//! in microseconds. A reply with another code than expected ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is sent next and which code each of its replies begins with.
struct Step {
    text: Vec<u8>,
    replies: Vec<&'static str>,
}

/// A connection, and how far it has come.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// The step whose replies are awaited.
    step: usize,
    /// How many of its replies have come.
    replies: usize,
    since: Instant,
}

/// What each client does: the steps, and the one that follows the last. The last one completes a mail.
fn conversation(octets: usize, pipelined: bool) -> (Vec<Step>, usize) {
    let step = |text: &[u8], replies: &[&'static str]| Step {
        text: text.to_vec(),
        replies: replies.to_vec(),
    };
    let mut message = b"Subject: load\r\n\r\n".to_vec();
    while message.len() < octets {
        message.extend_from_slice(&b"x".repeat(70));
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b".\r\n");
    let (from, to, data) = (
        b"MAIL FROM:<ada@example.org>\r\n",
        b"RCPT TO:<bob@example.com>\r\n",
        b"DATA\r\n",
    );
    if pipelined {
        let envelope = [&from[..], to, data].concat();
        let group = [message, envelope.clone()].concat();
        let steps = vec![
            step(&envelope, &["250", "250", "354"]),
            step(&group, &["250", "250", "250", "354"]),
        ];
        (steps, 1)
    } else {
        let steps = vec![
            step(from, &["250"]),
            step(to, &["250"]),
            step(data, &["354"]),
            step(&message, &["250"]),
        ];
        (steps, 0)
    }
}

/// Connects, says EHLO, and begins with the first mail.
fn connect(address: &str, first: &Step) -> Client {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("no delay");
    expect(&mut stream, "220 ");
    stream.write_all(b"EHLO load.example\r\n").expect("sent");
    expect(&mut stream, "250 ");
    stream.set_nonblocking(true).expect("nonblocking");
    let mut client = Client {
        stream,
        received: Vec::new(),
        step: 0,
        replies: 0,
        since: Instant::now(),
    };
    client.send(first);
    client
}

/// Reads lines up to one with this beginning.
fn expect(stream: &mut TcpStream, beginning: &str) {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).expect("a reply");
        line.push(byte[0]);
        if byte == *b"\n" {
            if line.starts_with(beginning.as_bytes()) {
                return;
            }
            line.clear();
        }
    }
}

impl Client {
    fn send(&mut self, step: &Step) {
        let mut rest = &step.text[..];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Goes on if a reply has come. Returns the time of a mail that was accepted.
    fn go_on(&mut self, steps: &[Step], after_last: usize) -> Option<Duration> {
        let mut buffer = [0; 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
        while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            let code = steps[self.step].replies[self.replies];
            let line = String::from_utf8_lossy(&line);
            assert!(line.starts_with(code), "{code} expected, and {line:?} came");
            self.replies += 1;
        }
        if self.replies < steps[self.step].replies.len() {
            return None;
        }
        self.replies = 0;
        self.step += 1;
        let done = (self.step == steps.len()).then(|| self.since.elapsed());
        if done.is_some() {
            self.step = after_last;
            self.since = Instant::now();
        }
        self.send(&steps[self.step]);
        done
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<usize>().expect("a number");
    let (steps, after_last) = conversation(number(3), arguments.len() > 4);
    let mut clients: Vec<Client> = (0..number(1))
        .map(|_| connect(&arguments[0], &steps[0]))
        .collect();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < number(2) {
        times.extend(
            clients
                .iter_mut()
                .filter_map(|client| client.go_on(&steps, after_last)),
        );
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort();
    println!("{rate:.0} {}", times[times.len() * 99 / 100].as_micros());
}
