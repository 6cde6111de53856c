//! Stage 8: the mail is kept.
//!
//! A 250 at the end of DATA is a promise: from here on the mail is the server's, and it must not be
//! lost because of anything short of the loss of the disk (RFC 5321, 4.2.5, 6.1). So the mail is
//! written to a file, the file is synced, it gets its name, the name is synced, and only then the
//! server says 250.
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org>
//! S: 250 OK
//! C: RCPT TO:<bob@example.com>
//! S: 250 OK
//! C: DATA
//! S: 354 Start mail input; end with <CRLF>.<CRLF>
//! C: Subject: hello
//! C:
//! C: Hello Bob.
//! C: .
//! S: 250 OK, queued as ...
//! C: QUIT
//! S: 221 localhost Service closing transmission channel
//! {the server closes the connection}
//! ```
//!
//! The file is one of a Maildir ([`crate::maildir`]), and on top of the message it has the trace
//! header of 4.4 ([`crate::trace`]). DATA is answered anew here: the stage that introduced it
//! collects the whole message in memory, and twenty clients with 25 MB each make that half a
//! gigabyte. Here each block goes from the wire to the file, whatever the message's size.
//!
//! What the quick version gets wrong:
//!
//! - **250, and the mail is in the page cache.** `write` returns when the system has the bytes, not
//!   when the disk has them. A power cut takes the last half minute with it, promises and all.
//! - **Syncing the file and not its name.** The name is in the directory, and that is synced by
//!   itself.
//! - **Writing into the folder where readers look.** They find half a mail. It is written elsewhere
//!   and renamed: a rename happens at once or not at all.
//! - **A file name made of what the client said.** `../../.ssh/authorized_keys` is a fine address
//!   to some.
//! - **The disk is full, and the session dies**, or says 250. It is 452, and the client tries again
//!   later.
//! - **The message in memory**, times the number of clients.
//! - **`Return-Path` from the `From:` of the letter.** It is the envelope's sender, and empty for a
//!   bounce.
//!
//! The chapter, with every piece explained:
//! [docs/08-maildir.md](../../../../../docs/08-maildir.md).

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use crate::command::{Command, Verb};
use crate::header;
use crate::mail::Mail;
use crate::maildir::{Draft, Maildir};
use crate::reply::{self, Reply};
use crate::session::Session;
use crate::stages::stage06_data::{self, NOT_KEPT, TOO_MUCH_MAIL_DATA};
use crate::stages::stage07_quit;
use crate::trace::{self, Arrival};
use crate::transcript::{self, Transcript, printable};
use crate::wire::LineEnd;

/// The longest header section of a message, in octets. Mail programs read all of it at once, so one
/// of several megabytes is an attack on them; the longest honest ones have some tens of thousands.
pub const MAX_HEADER_SECTION: usize = 1024 * 1024;

/// The most `Received:` fields of a message. Each server on its way adds one, so one with many goes
/// in circles, and grows. The RFC asks for a limit of at least 100 (6.3).
pub const MAX_RECEIVED: usize = 100;

/// 452: the disk is full, or the operator's limits are reached (4.2.3).
pub const NO_STORAGE: Reply = Reply::new(452, "Insufficient system storage, try again later");

/// 552: over [`MAX_HEADER_SECTION`].
pub const TOO_MUCH_HEADER: Reply = Reply::new(552, "Too much header");

/// 554: over [`MAX_RECEIVED`] (6.3).
pub const MAIL_GOES_IN_CIRCLES: Reply =
    Reply::new(554, "Too many Received fields, this mail goes in circles");

/// How much of a message is kept in memory to be shown, in octets.
const SHOWN_BEGINNING: usize = 16 * 1024;

/// Answers DATA.
///
/// # Errors
/// Those of the connection; that the client left within the message is one of them.
pub fn answer(session: &mut Session, command: &Command) -> io::Result<ControlFlow<()>> {
    match command.verb {
        Verb::Data => stage06_data::data(session, command, store),
        _ => stage07_quit::answer(session, command),
    }
}

/// Writes the message to the Maildir while it comes in, and says 250 when it is safe there.
fn store(session: &mut Session, mut mail: Mail, line_end: LineEnd) -> io::Result<Reply> {
    let settings = Arc::clone(&session.settings);
    let mut draft = match &settings.maildir {
        Some(maildir) => begin(maildir, &mail, session).map(Some),
        None => Ok(None),
    };
    let mut section = header::Section::default();
    let mut size: usize = 0;
    let is_shown = session.wire.transcript().is_shown();
    let received = stage06_data::read_message(&mut session.wire, line_end, |content| {
        size += content.len();
        if is_shown {
            let room = SHOWN_BEGINNING - mail.message.len();
            let shown = &content[..content.len().min(room)];
            mail.message.extend_from_slice(shown);
        }
        let added = match &mut draft {
            Ok(_) if size > settings.max_size => Err(TOO_MUCH_MAIL_DATA),
            Ok(draft) => add(content, draft.as_mut(), &mut section),
            Err(refusal) => Err(refusal.clone()),
        };
        if let Err(refusal) = &added {
            // With its draft goes its file, and others have the room.
            draft = Err(refusal.clone());
        }
        added
    })?;
    let transcript = session.wire.transcript();
    let finished = received.and(draft).and_then(|draft| {
        transcript.mail(&mail);
        draft.map_or(Ok(reply::OK), |draft| deliver(draft, transcript))
    });
    if finished.is_ok() {
        // A client that delivers mail is forgiven its mistakes (chapter 9).
        session.refusals = 0;
    }
    // Kept or not, the client gets the reply.
    let (Ok(reply) | Err(reply)) = finished;
    Ok(reply)
}

/// A draft with the trace header on top.
fn begin<'maildir>(
    maildir: &'maildir Maildir,
    mail: &Mail,
    session: &Session,
) -> Result<Draft<'maildir>, Reply> {
    let mut draft = maildir.draft().map_err(not_kept)?;
    let arrival = Arrival {
        client_name: session.client_name.as_deref().unwrap_or_default(),
        peer: session.peer,
        hostname: &session.settings.hostname,
        protocol: session.protocol,
        id: draft.id(),
        time: SystemTime::now(),
    };
    let trace = trace::header(mail, &arrival);
    draft.write(trace.as_bytes()).map_err(not_kept)?;
    Ok(draft)
}

/// Adds a piece of the message to the draft, if there is one, and the header section may grow by
/// it.
fn add(
    content: &[u8],
    draft: Option<&mut Draft>,
    section: &mut header::Section,
) -> Result<(), Reply> {
    // A message that begins with a space has no header. Its first line would continue ours.
    let continues_ours = section.length() == 0 && matches!(content, [b' ' | b'\t', ..]);
    section.read(content);
    within_limits(section)?;
    let Some(draft) = draft else {
        return Ok(());
    };
    if continues_ours {
        draft.write(b"\r\n").map_err(not_kept)?;
    }
    draft.write(content).map_err(not_kept)
}

/// Makes the mail safe, and promises that it is.
fn deliver(draft: Draft, transcript: &Transcript) -> Result<Reply, Reply> {
    let queued = format!("OK, queued as {}", draft.id());
    let path = draft.deliver().map_err(not_kept)?;
    let path = path.to_string_lossy();
    transcript.narrate(format_args!("kept in:   {}", printable(path.as_bytes())));
    Ok(Reply::with_text(250, queued))
}

/// Whether the header section may be as it is.
fn within_limits(section: &header::Section) -> Result<(), Reply> {
    if section.length() > MAX_HEADER_SECTION {
        return Err(TOO_MUCH_HEADER);
    }
    if section.received() > MAX_RECEIVED {
        return Err(MAIL_GOES_IN_CIRCLES);
    }
    Ok(())
}

/// Tells the operator that a mail can't be kept, and gives what the client hears. The client tries
/// again later, so whatever it is may be mended by then.
///
/// ```
/// use smtp_from_scratch::stages::stage06_data::NOT_KEPT;
/// use smtp_from_scratch::stages::stage08_maildir::{NO_STORAGE, not_kept};
/// use std::io;
///
/// assert_eq!(not_kept(io::ErrorKind::StorageFull.into()), NO_STORAGE);
/// assert_eq!(not_kept(io::ErrorKind::NotFound.into()), NOT_KEPT);
/// ```
pub fn not_kept(error: io::Error) -> Reply {
    transcript::error(format_args!("a mail could not be kept: {error}"));
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => NO_STORAGE,
        _ => NOT_KEPT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_do_with_room_is_452_and_everything_else_451() {
        for (kind, reply) in [
            (ErrorKind::StorageFull, NO_STORAGE),
            (ErrorKind::QuotaExceeded, NO_STORAGE),
            (ErrorKind::FileTooLarge, NO_STORAGE),
            (ErrorKind::ReadOnlyFilesystem, NOT_KEPT),
            (ErrorKind::PermissionDenied, NOT_KEPT),
        ] {
            assert_eq!(not_kept(kind.into()), reply, "{kind}");
        }
    }

    #[test]
    fn a_header_section_may_be_as_long_as_the_limit() {
        let mut section = header::Section::default();
        section.read(b"X: ");
        section.read(&vec![b'x'; MAX_HEADER_SECTION - 3]);
        assert_eq!(within_limits(&section), Ok(()));
        section.read(b"x");
        assert_eq!(within_limits(&section), Err(TOO_MUCH_HEADER));
    }

    #[test]
    fn a_mail_may_have_been_received_a_hundred_times() {
        let mut section = header::Section::default();
        section.read("Received: from a\r\n".repeat(MAX_RECEIVED).as_bytes());
        assert_eq!(within_limits(&section), Ok(()));
        section.read(b"Received:");
        assert_eq!(within_limits(&section), Err(MAIL_GOES_IN_CIRCLES));
    }
}
