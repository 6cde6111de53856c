//! Secrets that clients tell a server, to be looked for in all that it prints.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use smtp_from_scratch::base64::encode;

pub const NAME: &str = "Xk3vQ9pLw2ZtYb";
pub const PASSWORD: &str = "mR7yHc4sBd8NfGk";
const WRONG: &str = "Jq5uTg1aVe6WoDi";

/// How long a piece of a secret must be to be recognized.
const PIECE: usize = 8;

/// The time to wait for a reply. A server that works answers at once, or a second after a wrong login.
const PATIENCE: Duration = Duration::from_secs(20);

/// The response of PLAIN.
pub fn triple(identity: &str, password: &str) -> String {
    encode(format!("{identity}\0{NAME}\0{password}").as_bytes())
}

/// Lists everything that must not be shown.
fn secrets() -> Vec<String> {
    let plain = [NAME, PASSWORD, WRONG].map(str::to_string);
    let encoded = [NAME, PASSWORD, WRONG].map(|secret| encode(secret.as_bytes()));
    let triples = [
        triple("", PASSWORD),
        triple("", WRONG),
        triple(NAME, PASSWORD),
        triple("eve", PASSWORD),
    ];
    [&plain[..], &encoded, &triples].concat()
}

/// Checks that no piece of a secret is in these lines.
///
/// # Panics
/// One is. The message names it.
pub fn are_not_in(shown: &[String]) {
    for secret in secrets() {
        for start in 0..=secret.len() - PIECE {
            let piece = &secret[start..start + PIECE];
            if let Some(line) = shown.iter().find(|line| line.contains(piece)) {
                panic!("a secret is shown: {piece}, of {secret}, in the line {line:?}");
            }
        }
    }
}

/// Lists sessions in which a response looks like a command.
///
/// Where no response was asked for, it is one.
pub fn disguised() -> Vec<Vec<u8>> {
    let name = encode(NAME.as_bytes());
    let right = triple("", PASSWORD);
    let sessions = [
        format!("AUTH PLAIN\r\nNOOP {right}"),
        format!("AUTH LOGIN\r\nQUIT {name}"),
        format!("AUTH LOGIN\r\n{name}\r\nRCPT TO:<{PASSWORD}>"),
        format!("AUTH LOGIN {name}\r\nMAIL FROM:<{PASSWORD}@b.c>"),
        format!("AUTH LOGIN {name}\r\nAUTH PLAIN {right}"),
        format!("AUTH LOGIN\r\n{name}\r\nPOST /{PASSWORD} HTTP/1.1"),
    ];
    let sessions = sessions.map(|lines| format!("EHLO c\r\n{lines}\r\nNOOP\r\n").into_bytes());
    sessions.to_vec()
}

/// Lists what clients say that log in right and wrong, each in a session of its own.
pub fn sessions() -> Vec<Vec<u8>> {
    let name = encode(NAME.as_bytes());
    let password = encode(PASSWORD.as_bytes());
    let wrong = encode(WRONG.as_bytes());
    let (right, bad) = (triple("", PASSWORD), triple("", WRONG));
    let (own, other) = (triple(NAME, PASSWORD), triple("eve", PASSWORD));
    let long = right.repeat(800);
    let (half, rest) = right.split_at(right.len() / 2 + 1);
    let raw = format!("\0{NAME}\0{PASSWORD}");

    let mut sessions: Vec<String> = [
        // Right and wrong, on the line of AUTH and on lines of their own.
        format!("AUTH PLAIN {right}"),
        format!("AUTH PLAIN {own}"),
        format!("AUTH PLAIN {other}"),
        format!("AUTH PLAIN {bad}\r\n{bad}"),
        format!("AUTH PLAIN\r\n{right}"),
        format!("AUTH PLAIN\r\n{bad}\r\n{right}"),
        format!("AUTH LOGIN\r\n{name}\r\n{password}"),
        format!("AUTH LOGIN\r\n{name}\r\n{wrong}\r\n{password}"),
        format!("AUTH LOGIN {name}\r\n{password}"),
        format!("AUTH LOGIN {name}\r\n{wrong}\r\n*\r\n{password}"),
        // After a login.
        format!("AUTH PLAIN {right}\r\nAUTH PLAIN {right}\r\n{right}"),
        // Not encoded.
        format!("AUTH PLAIN {raw}\r\n{raw}"),
        format!("AUTH PLAIN\r\n{raw}\r\n{PASSWORD}"),
        format!("AUTH LOGIN\r\n{NAME}\r\n{PASSWORD}"),
        format!("AUTH LOGIN {NAME}\r\n{PASSWORD}"),
        // After a cancel.
        format!("AUTH LOGIN\r\n*\r\n{name}\r\n{password}\r\n{PASSWORD}"),
        format!("AUTH LOGIN\r\n{name}\r\n*\r\n{password}\r\n\r\n{PASSWORD}"),
        format!("AUTH PLAIN\r\n*\r\n{right}\r\n{PASSWORD}"),
        // After an AUTH that was refused.
        format!("AUTH CRAM-MD5 {right}\r\n{name}\r\n{password}"),
        format!("AUTH\r\n{name}\r\n{password}\r\n{PASSWORD}"),
        format!("AUTH {right}\r\n{PASSWORD}"),
        format!("HELO c\r\nAUTH LOGIN\r\n{name}\r\n{password}\r\nAUTH PLAIN {right}"),
        format!("MAIL FROM:<a@b.c>\r\nAUTH LOGIN {name}\r\n{password}\r\nAUTH PLAIN {right}"),
        // In pieces.
        format!("AUTH PLAIN {half}\r{rest}"),
        format!("AUTH PLAIN {half}\n{rest}"),
        format!("AUTH PLAIN {half} {rest}"),
        format!("AUTH PLAIN\r\n{half}\r{rest}"),
        format!("AUTH PLAIN\r\n{half}\n{rest}"),
        format!("AUTH PLAIN\r{right}"),
        format!("AUTH PLAIN\n{right}"),
        format!("AUTH LOGIN\r{name}\r{password}"),
        format!("AUTH LOGIN\n{name}\n{password}"),
        format!("AUTH LOGIN\r\n{name}\r{password}"),
        format!("NOOP\rAUTH PLAIN {right}"),
        // Too long.
        format!("AUTH PLAIN {long}\r\n{right}"),
        format!("AUTH PLAIN\r\n{long}\r\n{right}"),
        format!("AUTH LOGIN\r\n{long}\r\n{name}"),
        format!("AUTH LOGIN {name}\r\n{long}\r\n{password}"),
        // Mistyped.
        format!("auth  plain  {right}"),
        format!(" \tAUTH PLAIN {right}"),
        format!("AUTH\tPLAIN {right}"),
        format!("\0AUTH PLAIN {right}"),
        format!("\u{feff}AUTH PLAIN {right}"),
        format!("AUTHPLAIN {right}"),
        format!("AUTH=PLAIN {right}"),
        format!("AUTH PLAIN={right}"),
        format!("AUTH: {right}"),
        format!("AUTH PLAIN \u{fc}{right}"),
    ]
    .into_iter()
    .map(|lines| format!("EHLO c\r\n{lines}\r\nNOOP\r\n"))
    .collect();
    // Without EHLO, and without a line end.
    sessions.push(format!("AUTH LOGIN\r\n{name}\r\n{password}\r\n"));
    sessions.push(format!("AUTH PLAIN {right}"));
    // Cut off after every octet.
    for whole in [
        format!("AUTH PLAIN {right}"),
        format!("AUTH PLAIN\r\n{right}"),
        format!("AUTH LOGIN\r\n{name}\r\n{password}"),
    ] {
        let cut = (1..=whole.len()).map(|length| format!("EHLO c\r\n{}", &whole[..length]));
        sessions.extend(cut);
    }
    sessions.into_iter().map(String::into_bytes).collect()
}

/// Holds all sessions, several at a time, each to its end.
pub fn tell(address: &str, sessions: &[Vec<u8>]) {
    const CLIENTS: usize = 24;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for session in sessions.iter().skip(client).step_by(CLIENTS) {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.write_all(session).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    let mut replies = Vec::new();
                    stream.read_to_end(&mut replies).unwrap();
                    assert!(replies.starts_with(b"220 "), "{}", replies.escape_ascii());
                }
            });
        }
    });
}

/// Reads what a server shows of so many sessions, up to the end of each.
pub fn shown_of(sessions: usize, mut next_line: impl FnMut() -> String) -> Vec<String> {
    let mut shown = Vec::new();
    let mut ended = 0;
    while ended < sessions {
        let line = next_line();
        let ends = [
            "{the server closes the connection}",
            "{the connection broke: ",
        ];
        ended += usize::from(ends.iter().any(|end| line.contains(end)));
        shown.push(line);
    }
    shown
}
