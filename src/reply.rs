//! Replies: three digits and a text (chapter 2).
//!
//! The digits are for the client, the text is for the human who watches (4.2). The first digit
//! alone tells a client what to do: 2 done, 3 go on, 4 try again later, 5 don't try again (4.2.1).

use std::borrow::Cow;
use std::fmt;
use std::io;

/// One reply.
///
/// It is also the error type of every parser: the error *is* what the client hears.
///
/// ```
/// use smtp_from_scratch::reply::Reply;
///
/// const NEED_HELO: Reply = Reply::new(503, "HELO or EHLO first");
/// assert_eq!(NEED_HELO.to_string(), "503 HELO or EHLO first");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code: three digits, of which the first is 2 to 5 (4.2).
    pub code: u16,
    /// Printable ASCII, without CRLF. With code, space and CRLF it stays within the 512 octets
    /// of 4.5.3.1.5. If the reply has several lines, a line feed separates them, and each may have so
    /// many (chapter 10).
    pub text: Cow<'static, str>,
}

/// Why a command was not carried out (chapter 3).
///
/// Both kinds convert into it, so a handler can use `?` on a parser and on the connection alike.
#[derive(Debug)]
pub enum Failure {
    /// The command is refused. The client hears why, and the conversation goes on.
    Refused(Reply),
    /// The connection broke. A client that takes too long counts as that (chapter 9).
    Broken(io::Error),
}

/// 250: done. Most commands have no more to say.
pub const OK: Reply = Reply::new(250, "OK");

/// 501: an argument for a command that takes none (4.1.1, 4.3.2).
pub const NO_ARGUMENT_TAKEN: Reply = Reply::new(501, "This command takes no argument");

/// Makes the 421 with which a server ends the conversation (4.2.3, 3.8).
///
/// The server's name comes first, then `why` in a few words.
///
/// ```
/// use smtp_from_scratch::reply::not_available;
///
/// let goodbye = not_available("mail.example", "Too many errors");
/// assert_eq!(goodbye.to_string(), "421 mail.example Too many errors, closing transmission channel");
/// ```
pub fn not_available(hostname: &str, why: &str) -> Reply {
    Reply::with_text(
        421,
        format!("{hostname} {why}, closing transmission channel"),
    )
}

impl Reply {
    /// Makes a reply whose text is known at compile time.
    pub const fn new(code: u16, text: &'static str) -> Reply {
        Reply {
            code,
            text: Cow::Borrowed(text),
        }
    }

    /// Makes a reply whose text depends on the running server.
    pub fn with_text(code: u16, text: String) -> Reply {
        Reply {
            code,
            text: Cow::Owned(text),
        }
    }

    /// Adds an enhanced status code, such as `5.5.1`, to each line (RFC 2034; chapter 10).
    pub fn with_status(&self, status: &str) -> Reply {
        let text = format!("{status} {}", self.text);
        Reply::with_text(self.code, text.replace('\n', &format!("\n{status} ")))
    }

    /// Says whether the server closes the connection after this reply (4.1.1.10, 3.8).
    pub fn ends_conversation(&self) -> bool {
        matches!(self.code, 221 | 421)
    }
}

impl fmt::Display for Reply {
    /// Writes the reply as it is sent, without the last line end.
    ///
    /// A hyphen after the code says that there is another line (4.2.1).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            match lines.peek() {
                Some(_) => write!(formatter, "{}-{line}\r\n", self.code)?,
                None => write!(formatter, "{} {line}", self.code)?,
            }
        }
        Ok(())
    }
}

impl From<Reply> for Failure {
    fn from(refusal: Reply) -> Failure {
        Failure::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Broken(error)
    }
}
