//! Stage 12: behind a proxy, which says who the client really is.
//!
//! A program in front of the server speaks TLS with the clients, or shares them among several servers. To
//! the server, every client then comes from that program: 127.0.0.1 in `Received:`, and all the
//! kindness that chapter 9 has for its own machine. With `--proxy` the program says in a line of its own
//! for whom it speaks ([`crate::proxy`]). That line comes before the greeting. RFC 5321 knows nothing
//! of it, and the client never sees it.
//!
//! ```smtp --proxy
//! C: PROXY TCP4 192.0.2.7 198.51.100.1 51234 25
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! S: 250 ...
//! C: b"NOOP\n"
//! C: b"NOOP\r\n"
//! S: 500 5.5.2 Syntax error - invalid character
//! C: PROXY TCP4 127.0.0.1 198.51.100.1 51234 25
//! S: 500 5.5.2 Command not recognized
//! ```
//!
//! What the quick version gets wrong:
//!
//! - **The line is taken if it is there.** Then a client that reaches the port directly sends one of its own,
//!   and is whoever it likes. With the flag the line must be there, and without it, it is a command like
//!   any other.
//! - **A second line is believed.** A client can send one through the proxy. Only the first counts.
//! - **127.0.0.1 is a friend.** Behind a proxy it is everybody, whatever address the line has.
//! - **A wrong line is answered.** Who speaks there isn't known. The connection is closed, and the
//!   terminal says why.
//! - **No clock.** The line has the time of a command.
//!
//! The chapter, with every piece explained: [docs/12-proxy.md](../../../../../docs/12-proxy.md).

use std::io;
use std::time::Duration;

use crate::connection::Connection;
use crate::proxy::{self, Client, MAX_HEADER};
use crate::session::Session;
use crate::stages::stage03_commands::Answer;
use crate::stages::stage09_limits;
use crate::terminal::printable_beginning;
use crate::wire::Wire;

/// Holds the conversation with a client, behind a proxy if the settings say so.
///
/// # Errors
/// The connection broke, or the proxy took too long.
pub fn converse(connection: Connection, answer: Answer) -> io::Result<()> {
    let mut session = Session::new(connection);
    if session.settings.proxy {
        session.wire.patience().limit(session.settings.timeout)?;
        let line = first_line(&mut session.wire)?;
        let client = match client(&line) {
            Ok(client) => client,
            Err(reason) => {
                let transcript = session.wire.transcript();
                transcript.narrate(format_args!("{reason}"));
                return session.wire.close(Duration::ZERO);
            }
        };
        introduce(&mut session, client);
    }
    stage09_limits::hold(&mut session, answer)
}

/// Reads the first line, up to its LF, and not an octet more than a header may have.
///
/// What follows it stays where it is: it is the client's.
fn first_line(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while line.len() < MAX_HEADER && !line.ends_with(b"\n") {
        let Some(&octet) = wire.fill_buf()?.first() else {
            break;
        };
        line.push(octet);
        wire.consume(1);
    }
    Ok(line)
}

/// Finds the client in the first line, given with its line end. The error says why the connection is closed.
///
/// ```
/// use smtp_from_scratch::proxy::Client;
/// use smtp_from_scratch::stages::stage12_proxy::client;
///
/// assert_eq!(client(b"PROXY UNKNOWN\r\n"), Ok(Client::Unknown));
/// assert_eq!(client(b"EHLO client.example\r\n"), Err("no PROXY header".to_string()));
/// ```
pub fn client(line: &[u8]) -> Result<Client, String> {
    let header = line.strip_suffix(b"\r\n");
    if let Some(client) = header.and_then(proxy::header) {
        return Ok(client);
    }
    Err(if line.starts_with(b"PROXY") {
        let shown = printable_beginning(header.unwrap_or(line), MAX_HEADER);
        format!("a wrong PROXY header: {shown}")
    } else if line == b"\r\n" {
        "no PROXY header; version 2 begins with an empty line, and we speak version 1".to_string()
    } else {
        "no PROXY header".to_string()
    })
}

/// Puts the client in the place of the proxy.
///
/// It is a stranger, whatever its address is: to the proxy, our own machine is somewhere else.
fn introduce(session: &mut Session, client: Client) {
    let transcript = session.wire.transcript();
    match client {
        Client::At(address) => {
            transcript.narrate(format_args!("the proxy speaks for {address}"));
            session.peer = address.ip().to_canonical();
        }
        Client::Unknown => transcript.narrate(format_args!("the proxy doesn't say for whom")),
    }
    session.wire.require_crlf();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_header_is_told_apart() {
        for (line, reason) in [
            (&b""[..], "no PROXY header"),
            (b"EHLO x\r\n", "no PROXY header"),
            (
                b"PROXY UNKNOWN\n",
                r#"a wrong PROXY header: b"PROXY UNKNOWN\n""#,
            ),
            (b"PROXY UNKNOWN", "a wrong PROXY header: PROXY UNKNOWN"),
            (b"PROXY TCP4 x\r\n", "a wrong PROXY header: PROXY TCP4 x"),
            (
                b"\r\n",
                "no PROXY header; version 2 begins with an empty line, and we speak version 1",
            ),
        ] {
            assert_eq!(client(line), Err(reason.to_string()));
        }
    }
}
