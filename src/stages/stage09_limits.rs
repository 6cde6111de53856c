//! Stage 9: strangers at the door.
//!
//! So far the server trusted everybody with its time, its memory and its threads. Here each of them
//! gets a limit, and a client beyond one is told so: by 421 and the end of the connection where it
//! can't go on (RFC 5321, 3.8, 4.2.3), by an ordinary refusal where it can.
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
//! | refused commands | 20 | | 421 |
//! | a command line, an AUTH line | 512, 12,288 octets | | 500 |
//! | recipients of a mail | 1,000, and 64 KiB | `--max-recipients` | 452 |
//! | a message, its header section | 25 MiB, 1 MiB | `--max-size` | 552 |
//! | `Received:` fields | 100 | | 554 |
//! | recipients of other domains | | `--domain` | 550 |
//!
//! The accept loop ([`crate::server`]) counts the clients, [`crate::patience`] measures the time.
//! This stage says how much, and what happens then.
//!
//! What the quick version gets wrong:
//!
//! - **A timeout for each read.** A client that sends a byte a second never meets it. The time is
//!   for the whole line; of a message, each octet buys a little of it.
//! - **A thread for everybody.** Beyond some ten thousand the system refuses one more, and the
//!   standard library aborts the process: every client is gone. The count comes before the thread.
//! - **`accept` failed, so try again at once.** Out of files it fails as long as the clients stay,
//!   and the loop burns a processor.
//! - **Mail for everybody.** A server that takes mail for other domains is expected to pass it on,
//!   and one that does is found and used for spam within the day. This one never passes anything
//!   on.
//! - **Being kind to a bare LF.** To a person at a netcat on the same machine it is kindness. From
//!   elsewhere it is the stuff of smuggling, and only CR LF ends a line there.
//!
//! The chapter, with every piece explained: [docs/09-limits.md](../../../../../docs/09-limits.md).

use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::command::{Command, Verb};
use crate::path;
use crate::reply::{self, Reply};
use crate::server::Connection;
use crate::session::Session;
use crate::stages::stage03_commands::{self, Answer};
use crate::stages::stage04_mail::after_word;
use crate::stages::stage05_rcpt::TOO_MANY_RECIPIENTS;
use crate::stages::stage08_maildir;

/// How many commands of a client may be refused for good before it is sent away. A client that
/// makes so many mistakes isn't one: it guesses addresses, or speaks another protocol. (7.8, which
/// leaves the number to us; 3.8 and 4.2.3 for the 421.)
pub const MAX_REFUSALS: u32 = 20;

/// How much of a client's recipients is remembered, in octets. The longest paths have 256, of which
/// a hundred must fit (4.5.3.1.3, 4.5.3.1.8); a thousand of the usual length fit as well. A
/// thousand of the longest, from a thousand clients, would be a quarter of a gigabyte.
pub const MAX_FORWARD_PATHS: usize = 64 * 1024;

/// 550: a recipient of another domain (3.6.2, 7.9; 5.7.1 says that it is a matter of policy, RFC
/// 3463).
pub const NOT_OUR_DOMAIN: Reply =
    Reply::new(550, "5.7.1 Not a domain of ours, and we do not relay");

/// The conversation with one client, who may be anybody, answered by `answer`.
///
/// # Errors
/// Those of the connection.
pub fn converse(connection: Connection, answer: Answer) -> io::Result<()> {
    let mut session = Session::new(connection);
    session.max_refusals = MAX_REFUSALS;
    session.wire.set_timeout(session.settings.timeout)?;
    if !may_end_lines_with_lf(session.peer) {
        session.wire.end_lines_by_the_letter();
    }
    match stage03_commands::talk(&mut session, answer) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            session.wire.transcript().narrate(format_args!("{error}"));
            let hostname = &session.settings.hostname;
            session
                .wire
                .reply(&reply::not_available(hostname, "You took too long"))?;
            session.wire.close()
        }
        ended => ended,
    }
}

/// Refuses recipients of other domains, and leaves everything else to the stages below.
///
/// # Errors
/// Those of the connection.
pub fn answer(session: &mut Session, command: &Command) -> io::Result<ControlFlow<()>> {
    match (command.verb, &session.mail) {
        (Verb::Rcpt, Some(_)) if !is_ours(command.argument, &session.settings.domains) => {
            session.reply(&NOT_OUR_DOMAIN)
        }
        (Verb::Rcpt, Some(mail)) if mail.forward_paths.octets() > MAX_FORWARD_PATHS => {
            session.reply(&TOO_MANY_RECIPIENTS)
        }
        _ => stage08_maildir::answer(session, command),
    }
}

/// Whether the argument of RCPT names a recipient of one of these `domains`, in any case.
/// `<Postmaster>` is everywhere at home (4.5.1). Without domains everybody is; and what is no path
/// at all is for the stage of RCPT to refuse.
///
/// ```
/// use smtp_from_scratch::stages::stage09_limits::is_ours;
///
/// let domains = ["example.com".to_string()];
/// assert!(is_ours("TO:<bob@Example.COM>", &domains));
/// assert!(!is_ours("TO:<bob@mail.example.com>", &domains));
/// assert!(is_ours("TO:<bob@mail.example.com>", &[]));
/// ```
pub fn is_ours(argument: &str, domains: &[String]) -> bool {
    let path = after_word("TO:", argument).map(path::forward_path);
    let Some(Ok((path, _))) = path else {
        return true;
    };
    match path.mailbox.rsplit_once('@') {
        Some((_, domain)) if !domains.is_empty() => {
            domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain))
        }
        _ => true,
    }
}

/// Whether this client may end its lines as a plain netcat does. It must be on this machine: nearly
/// always a person or an application. (A relay that is here ends its DATA in CR LF.)
fn may_end_lines_with_lf(peer: IpAddr) -> bool {
    peer.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_domain_of_ours_is_ours() {
        let domains = ["example.com".to_string(), "[192.0.2.1]".to_string()];
        for ours in [
            "<bob@example.com>",
            "bob@EXAMPLE.com",
            "<\"b@d\"@example.com>",
            "<bob@[192.0.2.1]>",
            "<@relay.example:bob@example.com>",
            "<postMASTER>",
            // No paths.
            "<bob>",
            "",
        ] {
            assert!(is_ours(&format!("TO:{ours}"), &domains), "{ours}");
        }
        for other in [
            "<bob@example.org>",
            "<bob@example.com.evil.example>",
            "<bob@badexample.com>",
            "<\"bob@example.com\"@example.org>",
            "<bob%example.org@example.net>",
            "<@example.com:bob@example.org>",
            "<bob@[192.0.2.2]>",
        ] {
            assert!(!is_ours(&format!("TO:{other}"), &domains), "{other}");
        }
    }
}
