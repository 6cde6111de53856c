//! Stage 8: the mail is stored.
//!
//! A 250 at the end of DATA is a promise: from here on the mail is the server's, and it must not be
//! lost because of anything short of the loss of the disk (RFC 5321, 4.2.5, 6.1). So the mail is
//! written to a file, the file is synced, it gets its name, the name is synced, and only then does
//! the server say 250.
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
//! header of 4.4 ([`crate::trace`]). DATA gets another way to receive: the stage that introduced it
//! collects the whole message in memory, and twenty clients with 25 MB each make that half a
//! gigabyte. Here each block goes from the wire to the file, whatever the message's size. The file
//! is made before the 354, so a client hears of a full disk before it sends anything.
//!
//! What the quick version gets wrong:
//!
//! - **250, and the mail is in the page cache.** `write` returns when the system has the bytes, not
//!   when the disk has them. A power cut takes the last half minute with it, promises and all.
//! - **Syncing the file and not its name.** The name is in the directory, and the directory needs a
//!   sync of its own.
//! - **Writing into the folder where readers look.** They find half a mail. It is written elsewhere
//!   and renamed: a rename happens at once or not at all.
//! - **A file name made of what the client said.** `../../.ssh/authorized_keys` is a fine address
//!   to some.
//! - **The disk is full, and the session dies**, or says 250. The answer is 452, and the client
//!   tries again later.
//! - **Our fields on top of a message that has none.** `Hello Bob` would be one more of them, and
//!   mail programs would see no body. An empty line goes between.
//! - **The message in memory**, times the number of clients.
//! - **`Return-Path` from the `From:` of the letter.** It is the envelope's sender, and empty for a
//!   bounce.
//!
//! The chapter, with every piece explained:
//! [docs/08-maildir.md](../../../../../docs/08-maildir.md).

use std::io::{self, ErrorKind};
use std::time::SystemTime;

use crate::command::{Command, Verb};
use crate::data::read_message;
use crate::header;
use crate::mail::Envelope;
use crate::maildir::Draft;
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::stages::stage06_data::{self, NOT_STORED, START_MAIL_INPUT, TOO_MUCH_MAIL_DATA};
use crate::stages::stage07_quit;
use crate::terminal::printable;
use crate::trace::{self, Arrival, Protocol};
use crate::transcript::Transcript;
use crate::wire::LineEnd;

/// 452: the disk is full, or a quota or the limit on a file's size is reached (4.2.3).
pub const NO_STORAGE: Reply = Reply::new(452, "Insufficient system storage, try again later");

/// The longest header section of a message, in octets. Mail programs read all of it at once, so one
/// of several megabytes is an attack on them; the longest honest ones have some tens of thousands.
pub const MAX_HEADER_SECTION: usize = 1024 * 1024;

/// 552: over [`MAX_HEADER_SECTION`].
pub const TOO_MUCH_HEADER: Reply = Reply::new(552, "Too much header");

/// The most `Received:` fields of a message. Each server on its way adds one, so one with many goes
/// in circles, and grows. The RFC asks for a limit of at least 100 (6.3).
pub const MAX_RECEIVED: usize = 100;

/// 554: over [`MAX_RECEIVED`] (6.3).
pub const MAIL_GOES_IN_CIRCLES: Reply =
    Reply::new(554, "Too many Received fields, this mail goes in circles");

/// How much of a message is held in memory to be shown, in octets.
const SHOWN_BEGINNING: usize = 16 * 1024;

/// Answers DATA.
///
/// # Errors
/// The command or the message is refused, or the connection broke.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Data => stage06_data::data(session, command, store),
        _ => stage07_quit::answer(session, command),
    }
}

/// Stores the message while it comes in. 250 means that it is safe.
///
/// # Errors
/// The message is refused, before the 354 or after it, or the connection broke.
pub fn store(
    session: &mut Session,
    envelope: Envelope,
    line_end: LineEnd,
) -> Result<Reply, Failure> {
    let mut incoming = Incoming::begin(session, envelope)?;
    session.wire.reply(&START_MAIL_INPUT)?;
    read_message(&mut session.wire, line_end, |content| {
        incoming.take(content)
    })?;
    Ok(incoming.deliver()?)
}

/// A message on its way into the Maildir.
struct Incoming {
    envelope: Envelope,
    transcript: Transcript,
    max_size: usize,
    /// The file. There is none with `--discard`, and none after a refusal.
    draft: Option<Draft>,
    /// The size so far in octets.
    size: usize,
    /// The beginning of the message, if it will be shown.
    shown: Vec<u8>,
    /// The first line, until there is enough of it to judge it by.
    first_line: Option<Vec<u8>>,
    /// What there has been of the header section.
    section: header::Section,
}

impl Incoming {
    /// Begins the file.
    fn begin(session: &Session, envelope: Envelope) -> Result<Incoming, Reply> {
        let transcript = session.wire.transcript().clone();
        let begun = begin_draft(session, &envelope);
        Ok(Incoming {
            draft: begun.map_err(|error| not_stored(&transcript, &error))?,
            envelope,
            transcript,
            max_size: session.settings.max_size,
            size: 0,
            shown: Vec::new(),
            first_line: Some(Vec::new()),
            section: header::Section::default(),
        })
    }

    /// Takes a piece of the message, cut anywhere.
    ///
    /// A refusal removes the file and frees the space.
    fn take(&mut self, content: &[u8]) -> Result<(), Reply> {
        let taken = self.add(content);
        if taken.is_err() {
            self.draft = None;
        }
        taken
    }

    fn add(&mut self, content: &[u8]) -> Result<(), Reply> {
        self.size += content.len();
        if self.size > self.max_size {
            return Err(TOO_MUCH_MAIL_DATA);
        }
        self.section.read(content);
        within_limits(&self.section)?;
        if self.transcript.is_shown() {
            let room = SHOWN_BEGINNING - self.shown.len();
            let shown = &content[..content.len().min(room)];
            self.shown.extend_from_slice(shown);
        }
        let Some(mut beginning) = self.first_line.take() else {
            return self.write(content);
        };
        beginning.extend_from_slice(content);
        if !beginning.contains(&b'\n') && beginning.len() <= header::MAX_HEADER_LINE {
            self.first_line = Some(beginning);
            return Ok(());
        }
        self.add_beginning(&beginning)
    }

    /// Adds the first line, and what has come after it.
    ///
    /// Before a line that isn't a field, an empty line ends our own header.
    fn add_beginning(&mut self, beginning: &[u8]) -> Result<(), Reply> {
        if !header::begins_with_section(beginning) {
            self.write(b"\r\n")?;
        }
        self.write(beginning)
    }

    fn write(&mut self, content: &[u8]) -> Result<(), Reply> {
        match &mut self.draft {
            Some(draft) => draft
                .write(content)
                .map_err(|error| not_stored(&self.transcript, &error)),
            None => Ok(()),
        }
    }

    /// Makes the message safe, and promises that it is.
    fn deliver(mut self) -> Result<Reply, Reply> {
        if let Some(beginning) = self.first_line.take() {
            self.add_beginning(&beginning)?;
        }
        let transcript = self.transcript;
        transcript.message(&self.envelope, &self.shown);
        let Some(draft) = self.draft else {
            return Ok(reply::OK);
        };
        let queued = format!("OK, queued as {}", draft.id());
        let delivered = draft.deliver();
        let path = delivered.map_err(|error| not_stored(&transcript, &error))?;
        let path = path.to_string_lossy();
        transcript.narrate(format_args!("stored in: {}", printable(path.as_bytes())));
        Ok(Reply::with_text(250, queued))
    }
}

/// Makes the file with its trace header. There is none with `--discard`.
///
/// The header is written at once, so a full disk is noticed before the 354.
fn begin_draft(session: &Session, envelope: &Envelope) -> io::Result<Option<Draft>> {
    let Some(maildir) = &session.settings.maildir else {
        return Ok(None);
    };
    let mut draft = maildir.draft()?;
    let arrival = Arrival {
        client_name: session.client_name.as_deref().unwrap_or_default(),
        peer: session.peer,
        hostname: &session.settings.hostname,
        protocol: match (session.esmtp, envelope.smtputf8, session.logged_in) {
            (false, _, _) => Protocol::Smtp,
            (true, false, false) => Protocol::Esmtp,
            (true, true, false) => Protocol::Utf8Smtp,
            (true, false, true) => Protocol::Esmtpa,
            (true, true, true) => Protocol::Utf8Smtpa,
        },
        id: draft.id(),
        time: SystemTime::now(),
    };
    let trace = trace::header(envelope, &arrival);
    draft.write(trace.as_bytes())?;
    draft.flush()?;
    Ok(Some(draft))
}

/// Says whether the header section may be as it is.
fn within_limits(section: &header::Section) -> Result<(), Reply> {
    if section.length() > MAX_HEADER_SECTION {
        return Err(TOO_MUCH_HEADER);
    }
    if section.received() > MAX_RECEIVED {
        return Err(MAIL_GOES_IN_CIRCLES);
    }
    Ok(())
}

/// Reports an error to the operator, and returns the client's refusal.
fn not_stored(transcript: &Transcript, error: &io::Error) -> Reply {
    transcript.error(format_args!("the message cannot be stored: {error}"));
    refusal_for(error.kind())
}

/// Returns the refusal for an error of the file system.
///
/// The client tries again later, so whatever it is may be mended by then.
///
/// ```
/// use smtp_from_scratch::stages::stage06_data::NOT_STORED;
/// use smtp_from_scratch::stages::stage08_maildir::{NO_STORAGE, refusal_for};
/// use std::io::ErrorKind;
///
/// assert_eq!(refusal_for(ErrorKind::StorageFull), NO_STORAGE);
/// assert_eq!(refusal_for(ErrorKind::NotFound), NOT_STORED);
/// ```
pub fn refusal_for(error: ErrorKind) -> Reply {
    match error {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => NO_STORAGE,
        _ => NOT_STORED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_space_is_answered_with_452_and_everything_else_with_451() {
        for (kind, reply) in [
            (ErrorKind::StorageFull, NO_STORAGE),
            (ErrorKind::QuotaExceeded, NO_STORAGE),
            (ErrorKind::FileTooLarge, NO_STORAGE),
            (ErrorKind::ReadOnlyFilesystem, NOT_STORED),
            (ErrorKind::PermissionDenied, NOT_STORED),
        ] {
            assert_eq!(refusal_for(kind), reply, "{kind}");
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
    fn a_message_may_have_a_hundred_received_fields() {
        let mut section = header::Section::default();
        section.read("Received: from a\r\n".repeat(MAX_RECEIVED).as_bytes());
        assert_eq!(within_limits(&section), Ok(()));
        section.read(b"Received:\r\n");
        assert_eq!(within_limits(&section), Err(MAIL_GOES_IN_CIRCLES));
    }
}
