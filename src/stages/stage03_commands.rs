//! Stage 3: commands, and the first two of them, HELO and EHLO.
//!
//! A command is a line: a verb of four letters and, after a space, its argument
//! ([`crate::command`]). The client sends one, the server sends one reply, and so on until the
//! client leaves: RFC 5321, 4.3.1 calls it an alternating dialogue. [`talk`] is that dialogue, and
//! every later stage uses it.
//!
//! The first command is HELO, or EHLO from a client that knows of extensions, which are for a later
//! day (3.2, 4.1.1.1). With it the client says its name. A client that says it once more starts
//! over: from stage 4 on, a mail in progress is dropped.
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: HELO client.example
//! S: 250 localhost
//! C: helo again.example
//! S: 250 localhost
//! C: HELO
//! S: 501 Your name, please: HELO client.example
//! C: MAIL FROM:<ada@example.org>
//! S: 502 Command not implemented
//! C: HULLO client.example
//! S: 500 Command not recognized
//! ```
//!
//! The three refusals are three different things. 500: the command is unknown (4.2.4, 4.3.2). 501:
//! the command is known, its argument is wrong. 502: the command is known and its chapter is still
//! to come.
//!
//! What the quick version gets wrong:
//!
//! - **Caring about case.** `helo` is `HELO` (2.4).
//! - **Ending the session at a bad line.** The RFC forbids it (3.8): answer 500 and go on. That
//!   holds for an empty line, for bytes other than text, and for a line that is too long; the last
//!   is skipped to its end, or its tail would be taken for the next command.
//! - **Checking the name in HELO.** Real machines call themselves `host.(none)`, `[::1]` and
//!   `Bob's-MacBook.local`. A name proves nothing, so refusing one only loses mail.
//! - **`line[4..]`.** It panics on a short line, and in the middle of a character. `split_once`
//!   doesn't.
//! - **Writing each reply at once.** A client may send several commands in one segment, the unit in
//!   which TCP carries bytes. Their replies leave together when the server has nothing left to
//!   read, and not before ([`crate::wire`]).
//! - **Taking HELO for a formality.** A second one is a reset (4.1.4).
//!
//! The chapter, with every piece explained:
//! [docs/03-commands.md](../../../../../docs/03-commands.md).

use std::io;
use std::time::Duration;

use crate::command::{Command, LINE_TOO_LONG, MAX_LINE, Verb};
use crate::connection::Connection;
use crate::reply::{Failure, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage02_greeting::greeting;
use crate::wire::Line;

/// A stage's answer to one command.
///
/// It returns the reply, which the conversation loop sends.
pub type Answer = fn(&mut Session, &Command) -> Result<Reply, Failure>;

/// One turn of the dialogue: a line is read, and answered.
///
/// The line goes into the buffer. `None` means that the client has closed its side.
pub type Exchange = fn(&mut Session, &mut Vec<u8>, Answer) -> io::Result<Option<Reply>>;

/// What EHLO offers: a line for each keyword, for the reply (chapter 10).
pub type Keywords = fn(&Settings) -> Vec<String>;

/// 501: a HELO or EHLO without a name.
pub const NEED_NAME: Reply = Reply::new(501, "Your name, please: HELO client.example");

/// 502: a known command that no stage so far handles (4.2.4).
pub const NOT_IMPLEMENTED: Reply = Reply::new(502, "Command not implemented");

/// How long a client may take to close its side after the last reply.
pub const LONGEST_GOODBYE: Duration = Duration::from_secs(1);

/// Holds the conversation with one client, answered by `answer`.
///
/// # Errors
/// The connection broke.
pub fn converse(connection: Connection, answer: Answer) -> io::Result<()> {
    talk(&mut Session::new(connection), answer, exchange)
}

/// Greets the client and answers its lines, until one side leaves.
///
/// # Errors
/// The connection broke.
pub fn talk(session: &mut Session, answer: Answer, exchange: Exchange) -> io::Result<()> {
    session.wire.reply(&greeting(&session.settings.hostname))?;
    let mut line = Vec::new();
    while let Some(reply) = exchange(session, &mut line, answer)? {
        session.wire.reply(&reply)?;
        if reply.ends_conversation() {
            return session.wire.close(LONGEST_GOODBYE);
        }
    }
    Ok(())
}

/// Reads a line and has it answered.
///
/// # Errors
/// The connection broke.
pub fn exchange(
    session: &mut Session,
    line: &mut Vec<u8>,
    answer: Answer,
) -> io::Result<Option<Reply>> {
    let found = session.wire.read_line(line, MAX_LINE)?;
    respond(session, line, found, answer)
}

/// Has a line answered, if it is a command. Otherwise the reply says what is wrong.
///
/// # Errors
/// The connection broke.
pub fn respond(
    session: &mut Session,
    line: &[u8],
    found: Line,
    answer: Answer,
) -> io::Result<Option<Reply>> {
    let command = match found {
        Line::Whole(line_end) => (session.parse)(line, line_end),
        Line::TooLong => Err(LINE_TOO_LONG),
        Line::Closed => return Ok(None),
    };
    let command = command.map_err(Failure::from);
    match command.and_then(|command| answer(session, &command)) {
        Ok(reply) | Err(Failure::Refused(reply)) => Ok(Some(reply)),
        Err(Failure::Broken(error)) => Err(error),
    }
}

/// Answers HELO and EHLO. The other verbs of the protocol get 502.
///
/// # Errors
/// The command is refused.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Helo | Verb::Ehlo => Ok(hello(session, command, |_| Vec::new())?),
        _ => Err(NOT_IMPLEMENTED.into()),
    }
}

/// Begins the session anew for a client that says its name.
///
/// The reply has our name. After EHLO, `keywords` follow, one on a line (4.1.1.1).
///
/// # Errors
/// 501: there is no name. The session is as it was.
pub fn hello(session: &mut Session, command: &Command, keywords: Keywords) -> Result<Reply, Reply> {
    session.client_name = Some(client_name(command.argument)?.to_string());
    session.esmtp = command.verb == Verb::Ehlo;
    session.transaction = None;
    let mut lines = vec![session.settings.hostname.clone()];
    if session.esmtp {
        lines.extend(keywords(&session.settings));
    }
    Ok(Reply::with_text(250, lines.join("\n")))
}

/// Finds the client's name, the first word of the argument.
///
/// 4.1.1.1 asks for a domain or an address literal, and warns servers that more text may follow.
/// Real clients send whatever their machine is called, and a name proves nothing, so any is
/// accepted.
///
/// ```
/// use smtp_from_scratch::stages::stage03_commands::{NEED_NAME, client_name};
///
/// assert_eq!(client_name("client.example"), Ok("client.example"));
/// assert_eq!(client_name("[127.0.0.1] a laptop"), Ok("[127.0.0.1]"));
/// assert_eq!(client_name(""), Err(NEED_NAME));
/// ```
///
/// # Errors
/// 501: there is no name.
pub fn client_name(argument: &str) -> Result<&str, Reply> {
    match argument.split(' ').next() {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(NEED_NAME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_accepted() {
        for name in [
            "client.example",
            "[127.0.0.1]",
            "[IPv6:::1]",
            // Without the tag that 4.1.3 asks for.
            "[::1]",
            "fe80::1c2d",
            // From a machine whose domain isn't set.
            "host.(none)",
            "my_container",
            "Bob's-MacBook.local",
        ] {
            assert_eq!(client_name(name), Ok(name));
        }
    }
}
