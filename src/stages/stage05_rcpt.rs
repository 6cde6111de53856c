//! Stage 5: RCPT, once for each recipient.
//!
//! `RCPT TO:` carries a *forward-path*: whom the mail is for. A mail for three people is one MAIL,
//! three RCPT and one message; each recipient is accepted or refused by itself (RFC 5321, 3.3).
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: HELO client.example
//! S: 250 localhost
//! C: RCPT TO:<bob@example.com>
//! S: 503 MAIL first
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: RCPT TO:<bob@example.com>
//! S: 250 OK
//! C: RCPT TO:<nobody>
//! S: 501 Not a path; it looks like <user@example.org>
//! C: RCPT TO:<Postmaster>
//! S: 250 OK
//! ```
//!
//! The refused recipient left the other two standing. `<Postmaster>` is the one mailbox without a
//! domain: every mail server has one, in upper and lower case alike (4.1.1.3, 4.5.1).
//!
//! The recipients come from here and from nowhere else. The `To:` and `Cc:` that people see are part
//! of the letter; a blind copy is a RCPT that no header field mentions (7.2).
//!
//! What the quick version gets wrong:
//!
//! - **Keeping one recipient.** `to = address` instead of `to.push(address)`: the last one gets the
//!   mail, and the others were promised it with a 250.
//! - **250 before MAIL.** Then a mail comes into being that nobody sent (3.3: 503).
//! - **`<>` as a recipient.** The null path is for senders (4.1.2).
//! - **No limit.** Every recipient is memory that a stranger fills. Beyond the limit the reply is 452,
//!   "later", and those accepted before stay accepted: the client delivers the rest with another
//!   transaction. A hundred must fit (4.5.3.1.8, 4.5.3.1.10).
//!
//! The chapter, with every piece explained: [docs/05-rcpt.md](../../../../../docs/05-rcpt.md).

use std::io;
use std::ops::ControlFlow;

use crate::command::{Command, Verb};
use crate::mail::Mail;
use crate::parameter;
use crate::path;
use crate::reply::{self, Reply};
use crate::session::Session;
use crate::stages::stage04_mail::{self, after_word};

/// 503: a recipient before there is a mail.
pub const NEED_MAIL: Reply = Reply::new(503, "MAIL first");

/// 501: the argument doesn't begin with the word that the command needs.
pub const NEED_TO: Reply = Reply::new(501, "It goes RCPT TO:<user@example.org>");

/// 452: one more than `--max-recipients` (4.5.3.1.10).
pub const TOO_MANY_RECIPIENTS: Reply = Reply::new(452, "Too many recipients");

/// Answers RCPT.
///
/// # Errors
/// Those of the connection.
pub fn answer(session: &mut Session, command: &Command) -> io::Result<ControlFlow<()>> {
    match command.verb {
        Verb::Rcpt => {
            let max_recipients = session.settings.max_recipients;
            // Accepted or refused, the client gets the reply.
            let (Ok(reply) | Err(reply)) =
                rcpt(session.mail.as_mut(), command.argument, max_recipients);
            session.reply(&reply)
        }
        _ => stage04_mail::answer(session, command),
    }
}

/// Adds a recipient to the transaction, if there is one and the argument is sound.
///
/// ```
/// use smtp_from_scratch::mail::Mail;
/// use smtp_from_scratch::stages::stage05_rcpt::{NEED_MAIL, rcpt};
///
/// assert_eq!(rcpt(None, "TO:<bob@example.com>", 100), Err(NEED_MAIL));
///
/// let mut mail = Mail::default();
/// assert_eq!(rcpt(Some(&mut mail), "TO:<bob@example.com>", 100).unwrap().code, 250);
/// assert!(mail.forward_paths.iter().eq(["bob@example.com"]));
/// ```
///
/// # Errors
/// The refusal. The recipients are as they were.
pub fn rcpt(
    transaction: Option<&mut Mail>,
    argument: &str,
    max_recipients: usize,
) -> Result<Reply, Reply> {
    let mail = transaction.ok_or(NEED_MAIL)?;
    let (forward_path, parameters) =
        path::forward_path(after_word("TO:", argument).ok_or(NEED_TO)?)?;
    parameter::none_offered(parameters)?;
    if mail.forward_paths.len() >= max_recipients {
        return Err(TOO_MANY_RECIPIENTS);
    }
    mail.forward_paths.push(forward_path.mailbox);
    Ok(reply::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::UNKNOWN_PARAMETER;
    use crate::path::NO_PATH;

    #[test]
    fn a_refused_recipient_leaves_the_others_standing() {
        let mut mail = Mail::default();
        assert_eq!(rcpt(Some(&mut mail), "TO:<a@b.c>", 2), Ok(reply::OK));
        for (bad, refusal) in [
            ("", NEED_TO),
            ("FROM:<a@b.c>", NEED_TO),
            ("TO:", NO_PATH),
            ("TO:<>", NO_PATH),
            ("TO:<a@b.c> NOTIFY=NEVER", UNKNOWN_PARAMETER),
        ] {
            assert_eq!(rcpt(Some(&mut mail), bad, 2), Err(refusal), "{bad}");
        }
        assert_eq!(rcpt(Some(&mut mail), "to: <d@e.f>", 2), Ok(reply::OK));
        assert!(mail.forward_paths.iter().eq(["a@b.c", "d@e.f"]));
    }

    #[test]
    fn one_recipient_too_many_is_452() {
        let mut mail = Mail::default();
        for _ in 0..100 {
            assert_eq!(rcpt(Some(&mut mail), "TO:<a@b.c>", 100), Ok(reply::OK));
        }
        assert_eq!(
            rcpt(Some(&mut mail), "TO:<a@b.c>", 100),
            Err(TOO_MANY_RECIPIENTS)
        );
        assert_eq!(mail.forward_paths.len(), 100);
    }
}
