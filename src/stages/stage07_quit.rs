//! Stage 7: RSET, NOOP and QUIT. The tutorial's finished server.
//!
//! Three small commands complete the set that a server must have (RFC 5321, 4.5.1), except for VRFY,
//! which asks about a mailbox and still gets its 502.
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: NOOP
//! S: 250 OK
//! C: HELO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: NOOP are you there?
//! S: 250 OK
//! C: RCPT TO:<bob@example.com>
//! S: 250 OK
//! C: RSET
//! S: 250 OK
//! C: RCPT TO:<bob@example.com>
//! S: 503 MAIL first
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: QUIT
//! S: 221 localhost Service closing transmission channel
//! {the server closes the connection}
//! ```
//!
//! - RSET drops the transaction and nothing else: the client need not say HELO again (4.1.1.5).
//! - NOOP does nothing, at any time, and lets a client see that the server is there (4.1.1.9).
//! - QUIT is the only polite end: the server says 221, with its name first, and closes (4.1.1.10).
//!   Until then a client may send as many mails as it likes over one connection.
//!
//! What the quick version gets wrong:
//!
//! - **RSET clears some of the state.** The sender goes, the recipients stay, and the next mail goes
//!   to people who were never meant to have it. Here the transaction is one value, and it goes whole.
//! - **NOOP resets**, because it was written as a copy of RSET. Clients send NOOP in mid-transaction.
//! - **RSET before HELO is refused.** All three are fine at any time (4.1.4,
//!   4.1.1.10).
//! - **QUIT closes at once.** The 221 must be on its way before the connection goes.
//! - **The mail is delivered at QUIT.** It was the client's until the 250, and ours from then on.
//!
//! The chapter, with every piece explained: [docs/07-quit.md](../../../../../docs/07-quit.md).

use crate::command::{Command, Verb};
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::stages::stage06_data;

/// Answers RSET, NOOP and QUIT.
///
/// # Errors
/// The command is refused.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        // 4.3.2: an argument where none is specified.
        Verb::Rset | Verb::Quit if !command.argument.is_empty() => {
            Err(reply::NO_ARGUMENT_TAKEN.into())
        }
        Verb::Rset => {
            session.transaction = None;
            Ok(reply::OK)
        }
        Verb::Noop => Ok(reply::OK),
        Verb::Quit => Ok(closing(&session.settings.hostname)),
        _ => stage06_data::answer(session, command),
    }
}

/// Makes the 221 that ends a conversation (4.2.3). Our name comes first.
///
/// ```
/// use smtp_from_scratch::stages::stage07_quit::closing;
///
/// let goodbye = closing("mail.example");
/// assert_eq!(goodbye.to_string(), "221 mail.example Service closing transmission channel");
/// ```
pub fn closing(hostname: &str) -> Reply {
    Reply::with_text(
        221,
        format!("{hostname} Service closing transmission channel"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MAX_DOMAIN;

    #[test]
    fn the_goodbye_fits_a_reply_line_with_the_longest_name() {
        let longest = "d".repeat(MAX_DOMAIN);
        assert!(closing(&longest).to_string().len() + 2 <= 512, "4.5.3.1.5");
    }
}
