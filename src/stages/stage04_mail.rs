//! Stage 4: MAIL, which opens a mail transaction.
//!
//! A *mail transaction* is what it takes to hand over one mail: MAIL, RCPT for each recipient, DATA
//! with the message (RFC 5321, 3.3). `MAIL FROM:` carries the *reverse-path*: where to report it if
//! the mail can't be delivered. It is the sender on the envelope, not the `From:` of the letter, and
//! the two may differ.
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: MAIL FROM:<ada@example.org>
//! S: 503 HELO or EHLO first
//! C: HELO client.example
//! S: 250 localhost
//! C: MAIL FROM:ada
//! S: 501 Not a path; it looks like <user@example.org>
//! C: MAIL FROM:<ada@example.org> X-COLOUR=blue
//! S: 555 Parameter not recognized
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: MAIL FROM:<>
//! S: 503 A mail is already open
//! ```
//!
//! From here on order matters, and 503 says that a command came out of order (4.1.4).
//! A command that is refused changes nothing: the session is where it was.
//!
//! The path itself follows a grammar (4.1.2), which is [`crate::path`]. Parameters may follow it
//! ([`crate::parameter`]), and 555 refuses those that EHLO didn't offer (4.1.1.11).
//!
//! What the quick version gets wrong:
//!
//! - **`split(':')[1]`.** It panics on `MAIL` without a colon. A tutorial's server that dies of one
//!   short line from a stranger is the rule, not the exception.
//! - **Removing `<` and `>` wherever they are.** `"a>b"@example.org` is an address. So is
//!   `<@relay.example:ada@example.org>`, where the mailbox begins after the colon: the part before
//!   it is an old *source route*.
//! - **Refusing addresses that exist.** A list's address for bounces is longer than 64 octets, a
//!   container is called `my_project_web_1`, and some phones have two dots in a row.
//! - **No sender, no mail.** `MAIL FROM:<>` is the null reverse-path. Every bounce (a report that a
//!   mail couldn't be delivered) has it, so that bounces don't bounce for ever (4.5.5).
//! - **A second MAIL replaces the first.** It must be refused, and the first stays (4.1.4).
//!
//! The chapter, with every piece explained: [docs/04-mail.md](../../../../../docs/04-mail.md).

use crate::command::{Command, Verb};
use crate::mail::Envelope;
use crate::parameter;
use crate::path;
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage03_commands;

/// 503: MAIL from a client that hasn't said its name.
pub const NEED_HELO: Reply = Reply::new(503, "HELO or EHLO first");

/// 503: MAIL while a transaction is open.
pub const MAIL_IS_OPEN: Reply = Reply::new(503, "A mail is already open");

/// 501: an argument that doesn't begin with `FROM:`.
pub const NEED_FROM: Reply = Reply::new(501, "Syntax: MAIL FROM:<user@example.org>");

/// Reads the parameters of MAIL, given as text (chapter 10).
///
/// What they say goes into the envelope. The error is the refusal for the client.
pub type Accept = fn(&Settings, &mut Envelope, &str) -> Result<(), Reply>;

/// Answers MAIL.
///
/// # Errors
/// The command is refused.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Mail => {
            let greeted = session.client_name.is_some();
            Ok(mail(
                greeted,
                &mut session.transaction,
                &session.settings,
                command.argument,
                no_parameter,
            )?)
        }
        _ => stage03_commands::answer(session, command),
    }
}

/// Opens a transaction, if the client may and its argument is valid.
///
/// ```
/// use smtp_from_scratch::settings::Settings;
/// use smtp_from_scratch::stages::stage04_mail::{MAIL_IS_OPEN, mail, no_parameter};
///
/// let settings = Settings::default();
/// let mut transaction = None;
/// let mut mail = |argument| mail(true, &mut transaction, &settings, argument, no_parameter);
/// assert_eq!(mail("FROM:<ada@example.org>").unwrap().code, 250);
/// assert_eq!(mail("FROM:<>"), Err(MAIL_IS_OPEN));
/// assert_eq!(transaction.unwrap().reverse_path, "ada@example.org");
/// ```
///
/// # Errors
/// The refusal. The transaction is as it was.
pub fn mail(
    greeted: bool,
    transaction: &mut Option<Envelope>,
    settings: &Settings,
    argument: &str,
    accept: Accept,
) -> Result<Reply, Reply> {
    if !greeted {
        return Err(NEED_HELO);
    }
    if transaction.is_some() {
        return Err(MAIL_IS_OPEN);
    }
    let (path, parameters) = path::reverse_path(after_word("FROM:", argument).ok_or(NEED_FROM)?)?;
    let mut envelope = Envelope {
        reverse_path: path.mailbox.to_string(),
        ..Envelope::default()
    };
    accept(settings, &mut envelope, parameters)?;
    *transaction = Some(envelope);
    Ok(reply::OK)
}

/// Accepts no parameter: EHLO offers none.
///
/// # Errors
/// Those of [`parameter::none_offered`].
pub fn no_parameter(_: &Settings, _: &mut Envelope, parameters: &str) -> Result<(), Reply> {
    parameter::none_offered(parameters)
}

/// Returns what follows `word` in the argument, ignoring case (2.4).
pub fn after_word<'a>(word: &str, argument: &'a str) -> Option<&'a str> {
    let (start, rest) = argument.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::UNKNOWN_PARAMETER;
    use crate::path::NOT_A_PATH;

    /// Opens a transaction where EHLO offers no parameter.
    fn mail(
        greeted: bool,
        transaction: &mut Option<Envelope>,
        argument: &str,
    ) -> Result<Reply, Reply> {
        let settings = Settings::default();
        super::mail(greeted, transaction, &settings, argument, no_parameter)
    }

    fn begun(argument: &str) -> Option<String> {
        let mut transaction = None;
        let _ = mail(true, &mut transaction, argument);
        transaction.map(|envelope| envelope.reverse_path)
    }

    #[test]
    fn from_may_be_in_any_case_and_spaces_may_follow_its_colon() {
        for good in [
            "FROM:<a@b.c>",
            "from:<a@b.c>",
            "From:  <a@b.c>",
            "FROM: a@b.c",
        ] {
            assert_eq!(begun(good).as_deref(), Some("a@b.c"), "{good}");
        }
    }

    #[test]
    fn a_refused_mail_command_opens_nothing() {
        for (bad, refusal) in [
            ("", NEED_FROM),
            ("FROM", NEED_FROM),
            ("FROM <a@b.c>", NEED_FROM),
            ("TO:<a@b.c>", NEED_FROM),
            ("<a@b.c>", NEED_FROM),
            ("FROM:", NOT_A_PATH),
            ("FROM:<", NOT_A_PATH),
            ("FROM:<a@b.c> SIZE=1", UNKNOWN_PARAMETER),
        ] {
            let mut transaction = None;
            assert_eq!(mail(true, &mut transaction, bad), Err(refusal), "{bad}");
            assert_eq!(transaction, None, "{bad}");
        }
    }

    #[test]
    fn order_is_checked_before_the_argument() {
        assert_eq!(mail(false, &mut None, ""), Err(NEED_HELO));
        let mut open = Some(Envelope::default());
        assert_eq!(mail(true, &mut open, ""), Err(MAIL_IS_OPEN));
        assert_eq!(open, Some(Envelope::default()));
    }
}
