//! Stage 6: DATA, the message itself.
//!
//! The client says DATA, the server answers 354, and from then on lines are not commands: they are
//! the message, up to a line that is nothing but a dot (RFC 5321, 4.1.1.4). A line of the message
//! that begins with a dot is sent with one dot more (it is *stuffed*), and the server takes that
//! one off again (4.5.2).
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: HELO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: DATA
//! S: 503 RCPT first
//! C: RCPT TO:<bob@example.com>
//! S: 250 OK
//! C: DATA
//! S: 354 Start mail input; end with <CRLF>.<CRLF>
//! C: Subject: dots
//! C:
//! C: The next line has one dot and is not the end.
//! C: ..
//! C: .
//! S: 250 OK
//! C: DATA
//! S: 503 MAIL first
//! ```
//!
//! With its 250 the server takes the responsibility for the mail (4.2.5), so the mail must be where
//! it belongs *before* that. At this stage it belongs on the terminal, where
//! [`Transcript::message`](crate::transcript::Transcript::message) shows it.
//!
//! What the quick version gets wrong:
//!
//! - **`.\n` ends the message.** Mail travels over several servers. A sender can put a lone dot
//!   between two bare LFs into a message: the first server sees text and passes it on; a sloppy one
//!   behind it sees the end, and takes the rest for commands, a second mail that the first server
//!   never checked. That is SMTP smuggling (CVE-2023-51764). The rule here: *the message ends the
//!   way its DATA command did.* After `DATA` CR LF, only CR LF `.` CR LF is an end. After `DATA`
//!   LF, which is a person at a plain `nc`, a dot between LFs is. The machine is [`crate::data`].
//! - **Silence when the two don't match.** A client that says DATA CR LF and then ends its lines in
//!   LF waits for a reply that can't come. Rightly so; but its owner should be told why.
//! - **Leaving the stuffed dots in**, or taking dots off the middle of a line.
//! - **Not reading a message that is refused.** After 354 the client sends, whatever we think of
//!   it. A message that is too large is read to its end and dropped, or its lines would be run as
//!   commands. How long that may take is for a later stage to say.
//! - **The end of the connection is the end of the message.** A client that dies in the middle of a
//!   message has not sent it. Nothing is delivered (4.1.1.10).
//! - **`String`.** Mail is bytes: Latin-1, binary attachments. So are header fields.
//! - **A `HashMap` of header fields.** `Received:` comes many times, and the order counts.
//!
//! The chapter, with every piece explained: [docs/06-data.md](../../../../../docs/06-data.md).

use crate::command::{Command, Verb};
use crate::data::read_message;
use crate::mail::{Envelope, Mail};
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::stages::stage05_rcpt::{self, NEED_MAIL};
use crate::wire::LineEnd;

/// 354: now the message.
pub const START_MAIL_INPUT: Reply = Reply::new(354, "Start mail input; end with <CRLF>.<CRLF>");

/// 503: DATA without a recipient (3.3).
pub const NEED_RCPT: Reply = Reply::new(503, "RCPT first");

/// 552: over `--max-size` (4.5.3.1.9).
pub const TOO_MUCH_MAIL_DATA: Reply = Reply::new(552, "Too much mail data");

/// 451: the message can't be stored now; the client may try again (4.2.5).
pub const NOT_STORED: Reply = Reply::new(451, "The mail could not be stored, try again later");

/// Receives a message: says 354, reads it, and returns the reply.
///
/// The line end is that of the DATA command, and the message ends the same way. The 354 is sent from
/// within, and so is the refusal of a message whose end doesn't come in time.
pub type Receive = fn(&mut Session, Envelope, LineEnd) -> Result<Reply, Failure>;

/// Answers DATA.
///
/// # Errors
/// The command or the message is refused, or the connection broke. A client that leaves within its
/// message has broken the connection.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Data => data(session, command, collect),
        _ => stage05_rcpt::answer(session, command),
    }
}

/// Answers DATA with what becomes of the message that `receive` receives.
///
/// Once it is called, the transaction is over, however that ends (4.1.1.4). A refusal before that
/// changes nothing.
///
/// # Errors
/// The command or the message is refused, or the connection broke.
pub fn data(session: &mut Session, command: &Command, receive: Receive) -> Result<Reply, Failure> {
    let envelope = take_transaction(&mut session.transaction, command.argument)?;
    receive(session, envelope, command.line_end)
}

/// Takes the transaction out of the session, if it has a recipient.
///
/// ```
/// use smtp_from_scratch::mail::Envelope;
/// use smtp_from_scratch::stages::stage06_data::{NEED_RCPT, take_transaction};
///
/// let mut transaction = Some(Envelope::default());
/// assert_eq!(take_transaction(&mut transaction, ""), Err(NEED_RCPT));
/// assert!(transaction.is_some());
/// ```
///
/// # Errors
/// The refusal. The transaction is as it was.
pub fn take_transaction(
    transaction: &mut Option<Envelope>,
    argument: &str,
) -> Result<Envelope, Reply> {
    let envelope = transaction.as_ref().ok_or(NEED_MAIL)?;
    if envelope.forward_paths.is_empty() {
        return Err(NEED_RCPT);
    }
    if !argument.is_empty() {
        return Err(reply::NO_ARGUMENT_TAKEN);
    }
    transaction.take().ok_or(NEED_MAIL)
}

/// Collects the message in memory and shows it.
fn collect(session: &mut Session, envelope: Envelope, line_end: LineEnd) -> Result<Reply, Failure> {
    session.wire.reply(&START_MAIL_INPUT)?;
    let max_size = session.settings.max_size;
    let mut message = Vec::new();
    read_message(&mut session.wire, line_end, |content| {
        if message.len() + content.len() > max_size {
            message = Vec::new();
            return Err(TOO_MUCH_MAIL_DATA);
        }
        message.extend_from_slice(content);
        Ok(())
    })?;
    session.wire.transcript().message(&envelope, &message);
    if let Some(inbox) = &session.settings.inbox {
        let mail = Mail { envelope, message };
        inbox.send(mail).map_err(|_| NOT_STORED)?;
    }
    Ok(reply::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::settings::Settings;
    use crate::stages::stage03_commands;
    use crate::transcript::Transcript;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::{Arc, mpsc};
    use std::thread;

    #[test]
    fn data_needs_a_recipient_and_no_argument() {
        assert_eq!(take_transaction(&mut None, ""), Err(NEED_MAIL));

        let mut transaction = Some(Envelope::default());
        assert_eq!(take_transaction(&mut transaction, ""), Err(NEED_RCPT));

        let envelope = Envelope {
            forward_paths: vec!["bob@example.com".to_string()],
            ..Envelope::default()
        };
        transaction = Some(envelope.clone());
        assert_eq!(
            take_transaction(&mut transaction, "now"),
            Err(reply::NO_ARGUMENT_TAKEN)
        );
        assert_eq!(
            transaction,
            Some(envelope.clone()),
            "a refusal changes nothing"
        );

        assert_eq!(take_transaction(&mut transaction, ""), Ok(envelope));
        assert_eq!(transaction, None);
    }

    #[test]
    fn a_mail_that_was_sent_is_in_the_inbox() {
        let (inbox, mails) = mpsc::channel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = thread::spawn(move || {
            let (stream, peer) = listener.accept().unwrap();
            let connection = Connection {
                stream,
                peer,
                transcript: Transcript::new(1, true),
                settings: Arc::new(Settings {
                    inbox: Some(inbox),
                    ..Settings::default()
                }),
            };
            stage03_commands::converse(connection, answer)
        });
        let sent = b"HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nHi\r\n..\r\n.\r\n";
        client.write_all(sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.join().unwrap().unwrap();

        let mail = mails.recv().unwrap();
        assert_eq!(mail.envelope.reverse_path, "a@b.c");
        assert_eq!(mail.envelope.forward_paths, ["d@e.f"]);
        assert_eq!(mail.message, b"Hi\r\n.\r\n");
    }
}
