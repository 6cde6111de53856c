//! Stage 9: strangers at the door.
//!
//! So far the server trusted everybody with its time and its threads, and with much of its memory. Here
//! what is left gets a limit, and a client beyond one is told so: by 421 and the end of the connection
//! where it can't go on (RFC 5321, 3.8, 4.2.3), by an ordinary refusal where it can. All limits, old
//! and new, are in the table.
//!
//! ```smtp --domain example.com
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: RCPT TO:<bob@elsewhere.example>
//! S: 550 5.7.1 Not a domain of ours, and we do not relay
//! C: RCPT TO:<bob@EXAMPLE.COM>
//! S: 250 OK
//! C: RCPT TO:<Postmaster>
//! S: 250 OK
//! ```
//!
//! | what | limit | flag | beyond it |
//! | --- | --- | --- | --- |
//! | clients at a time | 1,000 | `--max-connections` | 421 |
//! | waiting for a line, for more of a message | 5 minutes | `--timeout` | 421 |
//! | message data | 500 octets a second | | 421 |
//! | a reply that isn't fetched | 5 minutes | `--timeout` | closed without a word |
//! | the goodbye, for what a client still sends | 1 second | | closed |
//! | refused commands since the last accepted mail | 20 | | 421 |
//! | a command line, an AUTH line | 512, 12,288 octets | | 500 |
//! | a domain, a path | 255, 256 octets | | 501 |
//! | recipients of a mail | 1,000, and 64 KiB | `--max-recipients` | 452 |
//! | a message, its header section | 25 MiB, 1 MiB | `--max-size` | 552 |
//! | `Received:` fields | 100 | | 554 |
//! | recipients of other domains | | `--domain` | 550 |
//!
//! The accept loop counts the clients ([`crate::places`]), [`crate::patience`] measures the time.
//! This stage says how much, and what happens then.
//!
//! What the quick version gets wrong:
//!
//! - **A timeout for each read.** A client that sends a byte a second never meets it. The time is
//!   for the whole line; of a message, each octet buys a little of it.
//! - **A thread for everybody.** Beyond some ten thousand no memory map is left for one more, and the
//!   standard library aborts the process: every client is gone. The count comes before the thread.
//! - **`accept` failed, so try again at once.** When no file is left, it fails until a client
//!   leaves, and the loop burns a processor.
//! - **Mail for everybody.** A server that takes mail for other domains is expected to pass it on,
//!   and one that does is found and used for spam within the day. This one never passes anything
//!   on.
//! - **Being kind to a bare LF.** To a person at a netcat on the same machine it is kindness. From
//!   elsewhere it is the stuff of smuggling, and only CR LF ends a line there.
//! - **500 to an HTTP request.** Any web page can have its reader's browser send one to
//!   `127.0.0.1:2525`, with SMTP commands in its body. After 500 these would be run. A request line
//!   ends the conversation.
//!
//! The chapter, with every piece explained: [docs/09-limits.md](../../../../../docs/09-limits.md).

use std::io;

use crate::command::{Command, MAX_LINE, Verb};
use crate::connection::Connection;
use crate::mail::Envelope;
use crate::path::Path;
use crate::reply::{Failure, Reply, not_available};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage03_commands::{self, Answer};
use crate::stages::stage05_rcpt::{self, TOO_MANY_RECIPIENTS};
use crate::stages::stage06_data;
use crate::stages::stage08_maildir;
use crate::wire::{Line, LineEnd};

/// How many commands of a client may be refused for good before it is sent away. A client that
/// makes so many mistakes guesses addresses, or speaks another protocol. 7.8 leaves the number to
/// us; the 421 is that of 3.8 and 4.2.3.
pub const MAX_REFUSALS: u32 = 20;

/// How much of a client's recipients is remembered, in octets. The longest paths have 256, of which
/// a hundred must fit (4.5.3.1.3, 4.5.3.1.8); a thousand of the usual length fit as well. A
/// thousand of the longest, from a thousand clients, would be a quarter of a gigabyte.
pub const MAX_FORWARD_PATHS: usize = 64 * 1024;

/// The reason in the 421 for a client that keeps us waiting.
pub const TOO_SLOW: &str = "You took too long";

/// 550: a recipient of another domain (3.6.2, 7.9). 5.7.1 says that it is a matter of policy (RFC
/// 3463).
pub const NOT_OUR_DOMAIN: Reply =
    Reply::new(550, "5.7.1 Not a domain of ours, and we do not relay");

/// Holds the conversation with a client that may be anybody.
///
/// # Errors
/// The connection broke.
pub fn converse(connection: Connection, answer: Answer) -> io::Result<()> {
    hold(&mut Session::new(connection), answer)
}

/// Holds the conversation of a session that has just begun.
///
/// # Errors
/// The connection broke.
pub fn hold(session: &mut Session, answer: Answer) -> io::Result<()> {
    session.wire.patience().limit(session.settings.timeout)?;
    // A plain netcat ends its lines in LF. On this machine it is nearly always a person or an
    // application; a relay that is here ends its DATA in CR LF.
    if !session.peer.is_loopback() {
        session.wire.require_crlf();
    }
    match stage03_commands::talk(session, answer, exchange_within_limits) {
        // A client that doesn't fetch its replies is another error: there is no use in one more.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            session.wire.transcript().narrate(format_args!("{error}"));
            let too_slow = not_available(&session.settings.hostname, TOO_SLOW);
            session.wire.reply(&too_slow)?;
            session.wire.close(stage03_commands::LONGEST_GOODBYE)
        }
        ended => ended,
    }
}

/// Does what stage 3's `exchange` does, within the limits of this stage.
///
/// A client that takes too long is an error. One that makes too many mistakes hears 421, and so does
/// one that speaks HTTP.
///
/// # Errors
/// The connection broke, or the client took too long.
pub fn exchange_within_limits(
    session: &mut Session,
    line: &mut Vec<u8>,
    answer: Answer,
) -> io::Result<Option<Reply>> {
    session.wire.patience().expect_line();
    let found = session.wire.read_line(line, MAX_LINE)?;
    if is_http_request(line, found) {
        let hostname = &session.settings.hostname;
        return Ok(Some(not_available(hostname, "This is SMTP, not HTTP")));
    }
    let Some(reply) = stage03_commands::respond(session, line, found, answer)? else {
        return Ok(None);
    };
    if reply.code >= 500 {
        session.refusals += 1;
    }
    if session.refusals < MAX_REFUSALS {
        return Ok(Some(reply));
    }
    session.wire.reply(&reply)?;
    let hostname = &session.settings.hostname;
    Ok(Some(not_available(hostname, "Too many errors")))
}

/// Answers RCPT and DATA with the limits of this stage.
///
/// For DATA, stage 6 checks the order and calls `receive` below, which calls stage 8's `store`.
///
/// # Errors
/// The command or the message is refused, or the connection broke.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Rcpt => {
            let transaction = session.transaction.as_mut();
            let argument = command.argument;
            Ok(stage05_rcpt::rcpt(
                transaction,
                &session.settings,
                argument,
                admit_ours,
            )?)
        }
        Verb::Data => stage06_data::data(session, command, receive),
        _ => stage08_maildir::answer(session, command),
    }
}

/// Admits recipients of our domains until there are too many.
///
/// # Errors
/// 550: another domain. 452: too many, or too many octets of them.
pub fn admit_ours(settings: &Settings, envelope: &Envelope, path: &Path) -> Result<(), Reply> {
    if !is_ours(path, &settings.domains) {
        return Err(NOT_OUR_DOMAIN);
    }
    let octets: usize = envelope.forward_paths.iter().map(String::len).sum();
    if octets > MAX_FORWARD_PATHS {
        return Err(TOO_MANY_RECIPIENTS);
    }
    stage05_rcpt::within_max_recipients(settings, envelope, path)
}

/// Says whether a path is of one of these domains.
///
/// Case doesn't count. `<Postmaster>` belongs to every server (4.5.1), and without domains every
/// path is ours.
fn is_ours(path: &Path, domains: &[String]) -> bool {
    let is_same = |domain: &String| domain.eq_ignore_ascii_case(path.domain);
    domains.is_empty() || path.domain.is_empty() || domains.iter().any(is_same)
}

/// Receives a message within its own time.
///
/// A client that delivers one is forgiven its mistakes.
fn receive(session: &mut Session, envelope: Envelope, line_end: LineEnd) -> Result<Reply, Failure> {
    session.wire.patience().expect_message();
    let reply = stage08_maildir::store(session, envelope, line_end)?;
    session.refusals = 0;
    Ok(reply)
}

/// Says whether a line belongs to an HTTP request, whatever its method.
///
/// The last word of such a line is the version (RFC 9112, section 3). Of a line that was cut the last
/// word is unknown; there the second word tells, a path or a URL. And every request has a field
/// `Host:`, in case its first line was cut too early.
///
/// ```
/// use smtp_from_scratch::stages::stage09_limits::is_http_request;
/// use smtp_from_scratch::wire::{Line, LineEnd};
///
/// let found = Line::Whole(LineEnd::CrLf);
/// assert!(is_http_request(b"POST / HTTP/1.1", found));
/// assert!(!is_http_request(b"NOOP HTTP/1.1", found));
/// ```
pub fn is_http_request(line: &[u8], found: Line) -> bool {
    let mut words = line.trim_ascii().split(|&byte| byte == b' ');
    let is_host_field = words
        .next()
        .unwrap_or_default()
        .eq_ignore_ascii_case(b"Host:");
    let target = words.next().unwrap_or_default();
    let version = words.next_back().unwrap_or_default();
    match found {
        Line::Whole(_) => is_host_field || version.starts_with(b"HTTP/"),
        Line::TooLong => target.starts_with(b"/") || target.starts_with(b"http"),
        Line::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    #[test]
    fn only_the_domains_given_are_ours() {
        let domains = ["example.com".to_string(), "[192.0.2.1]".to_string()];
        let is_ours = |text: &str| {
            let (path, _) = path::forward_path(text).unwrap();
            is_ours(&path, &domains)
        };
        for ours in [
            "<bob@example.com>",
            "bob@EXAMPLE.com",
            "<\"b@d\"@example.com>",
            "<bob@[192.0.2.1]>",
            "<@relay.example:bob@example.com>",
            "<postMASTER>",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "<bob@example.org>",
            "<bob@mail.example.com>",
            "<bob@example.com.evil.example>",
            "<bob@badexample.com>",
            "<\"bob@example.com\"@example.org>",
            "<bob%example.org@example.net>",
            "<@example.com:bob@example.org>",
            "<bob@[192.0.2.2]>",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn without_domains_every_recipient_is_ours() {
        let (path, _) = path::forward_path("<bob@anywhere.example>").unwrap();
        assert!(is_ours(&path, &[]));
    }

    #[test]
    fn an_http_request_is_recognized_by_its_version_or_its_overlong_target() {
        let whole = Line::Whole(LineEnd::CrLf);
        for (line, found, expected) in [
            ("GET / HTTP/1.1", whole, true),
            ("OPTIONS * HTTP/1.0", whole, true),
            ("CONNECT 127.0.0.1:2525 HTTP/1.1", whole, true),
            ("PRI * HTTP/2.0", whole, true),
            // A method may have any name.
            ("MAIL /FROM:<a@b.c> HTTP/1.1", whole, true),
            ("POST /xxx", Line::TooLong, true),
            ("GET http://127.0.0.1:2525/xxx", Line::TooLong, true),
            ("AUTH PLAIN xxx", Line::TooLong, false),
            ("Host: 127.0.0.1:2525", whole, true),
            ("NOOP / is a path", whole, false),
            ("HTTP/1.1", whole, false),
            ("HTTP/1.1 200 OK", whole, false),
            ("GET HTTP/1.1", whole, false),
            ("", whole, false),
            ("GET / HTTP/1.1", Line::Closed, false),
        ] {
            assert_eq!(is_http_request(line.as_bytes(), found), expected, "{line}");
        }
    }
}
