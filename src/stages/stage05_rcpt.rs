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
//! The refused recipient left the other one as it was. `<Postmaster>` is the only mailbox without a
//! domain: every mail server has one, in upper and lower case alike (4.1.1.3, 4.5.1).
//!
//! The recipients come from here and from nowhere else. The `To:` and `Cc:` that people see are part
//! of the letter; a blind copy is a RCPT that no header field mentions (7.2).
//!
//! What the quick version gets wrong:
//!
//! - **Remembering one recipient.** `to = address` instead of `to.push(address)`: the last one gets
//!   the mail, and the others were promised it with a 250.
//! - **250 before MAIL.** It would make a mail that nobody sent (3.3: 503).
//! - **`<>` as a recipient.** The null path is for senders (4.1.2).
//! - **No limit.** Every recipient is memory that a stranger fills. Beyond the limit the reply is 452,
//!   "later", and those accepted before stay accepted: the client delivers the rest with another
//!   transaction. A hundred must fit (4.5.3.1.8, 4.5.3.1.10).
//!
//! The chapter, with every piece explained: [docs/05-rcpt.md](../../../../../docs/05-rcpt.md).

use crate::command::{Command, Verb};
use crate::mail::Envelope;
use crate::parameter;
use crate::path::{self, Path};
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage04_mail::{self, after_word};

/// 503: a recipient before there is a transaction.
pub const NEED_MAIL: Reply = Reply::new(503, "MAIL first");

/// 501: an argument that doesn't begin with `TO:`.
pub const NEED_TO: Reply = Reply::new(501, "Syntax: RCPT TO:<user@example.org>");

/// 452: one more than `--max-recipients` (4.5.3.1.10).
pub const TOO_MANY_RECIPIENTS: Reply = Reply::new(452, "Too many recipients");

/// Decides whether a valid path may be a recipient.
///
/// The error is the refusal for the client.
pub type Admit = fn(&Settings, &Envelope, &Path) -> Result<(), Reply>;

/// Answers RCPT.
///
/// # Errors
/// The command is refused.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Rcpt => {
            let transaction = session.transaction.as_mut();
            Ok(rcpt(
                transaction,
                &session.settings,
                command.argument,
                within_max_recipients,
            )?)
        }
        _ => stage04_mail::answer(session, command),
    }
}

/// Adds a recipient to the transaction, if `admit` allows it.
///
/// ```
/// use smtp_from_scratch::mail::Envelope;
/// use smtp_from_scratch::settings::Settings;
/// use smtp_from_scratch::stages::stage05_rcpt::{NEED_MAIL, within_max_recipients, rcpt};
///
/// let settings = Settings::default();
/// assert_eq!(rcpt(None, &settings, "TO:<bob@example.com>", within_max_recipients), Err(NEED_MAIL));
///
/// let mut envelope = Envelope::default();
/// let reply = rcpt(Some(&mut envelope), &settings, "TO:<bob@example.com>", within_max_recipients);
/// assert_eq!(reply.unwrap().code, 250);
/// assert_eq!(envelope.forward_paths, ["bob@example.com"]);
/// ```
///
/// # Errors
/// The refusal: for the order, for the argument, and then what `admit` says. The recipients are as
/// they were.
pub fn rcpt(
    transaction: Option<&mut Envelope>,
    settings: &Settings,
    argument: &str,
    admit: Admit,
) -> Result<Reply, Reply> {
    let envelope = transaction.ok_or(NEED_MAIL)?;
    let (path, parameters) = path::forward_path(after_word("TO:", argument).ok_or(NEED_TO)?)?;
    parameter::none_offered(parameters)?;
    admit(settings, envelope, &path)?;
    envelope.forward_paths.push(path.mailbox.to_string());
    Ok(reply::OK)
}

/// Admits every recipient until there are too many.
///
/// # Errors
/// 452: the transaction has [`Settings::max_recipients`] already.
pub fn within_max_recipients(
    settings: &Settings,
    envelope: &Envelope,
    _: &Path,
) -> Result<(), Reply> {
    if envelope.forward_paths.len() >= settings.max_recipients {
        return Err(TOO_MANY_RECIPIENTS);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::UNKNOWN_PARAMETER;
    use crate::path::NOT_A_PATH;

    /// Answers RCPT with this argument, where there may be `most` recipients.
    fn add(envelope: &mut Envelope, most: usize, argument: &str) -> Result<Reply, Reply> {
        let settings = Settings {
            max_recipients: most,
            ..Settings::default()
        };
        rcpt(Some(envelope), &settings, argument, within_max_recipients)
    }

    #[test]
    fn a_refused_recipient_leaves_the_others_as_they_were() {
        let mut envelope = Envelope::default();
        assert_eq!(add(&mut envelope, 2, "TO:<a@b.c>"), Ok(reply::OK));
        for (bad, refusal) in [
            ("", NEED_TO),
            ("FROM:<a@b.c>", NEED_TO),
            ("TO:", NOT_A_PATH),
            ("TO:<>", NOT_A_PATH),
            ("TO:<a@b.c> NOTIFY=NEVER", UNKNOWN_PARAMETER),
        ] {
            assert_eq!(add(&mut envelope, 2, bad), Err(refusal), "{bad}");
        }
        assert_eq!(add(&mut envelope, 2, "to: <d@e.f>"), Ok(reply::OK));
        assert_eq!(envelope.forward_paths, ["a@b.c", "d@e.f"]);
    }

    #[test]
    fn a_recipient_over_the_limit_is_refused_with_452_after_501_and_555() {
        let mut envelope = Envelope::default();
        for _ in 0..100 {
            assert_eq!(add(&mut envelope, 100, "TO:<a@b.c>"), Ok(reply::OK));
        }
        for (argument, refusal) in [
            ("TO:<a@b.c>", TOO_MANY_RECIPIENTS),
            ("TO:<bad>", NOT_A_PATH),
            ("TO:<a@b.c> FOO=1", UNKNOWN_PARAMETER),
        ] {
            assert_eq!(
                add(&mut envelope, 100, argument),
                Err(refusal),
                "{argument}"
            );
        }
        assert_eq!(envelope.forward_paths.len(), 100);
    }
}
