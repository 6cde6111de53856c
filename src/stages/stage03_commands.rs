//! Stage 3: commands, and the first two of them, HELO and EHLO.
//!
//! A command is a line: a verb of four letters and, after a space, its argument
//! ([`crate::command`]). The client sends one, the server sends one reply, and so on until the
//! client leaves: RFC 5321, 4.3.1 calls it an alternating dialogue. [`converse`] is that dialogue,
//! and every later stage uses it.
//!
//! The first command is HELO, or EHLO from a client that knows of extensions, which are for a later
//! day (3.2, 4.1.1.1). With it the client says its name. A client that says it once more begins
//! anew: from stage 4 on, a mail that was begun is then forgotten.
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
//! The three refusals are three different things. 500: no command that we know (4.2.4, 4.3.2). 501:
//! the command is known, its argument is wrong. 502: the command is known and its chapter is still
//! to come.
//!
//! What the quick version gets wrong:
//!
//! - **Caring about case.** `helo` is `HELO` (2.4).
//! - **Ending the session at a bad line.** The RFC forbids it (3.8): answer 500 and go on. That
//!   holds for an empty line, for bytes that are no text, and for a line that is too long; the last
//!   is skipped to its end, or its tail would be taken for the next command.
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
use std::ops::ControlFlow;

use crate::command::{Command, LINE_TOO_LONG, Verb};
use crate::domain;
use crate::reply::Reply;
use crate::server::Connection;
use crate::session::{Protocol, Session};
use crate::stages::stage02_greeting::greeting;
use crate::wire::{Line, MAX_COMMAND_LINE};

/// A stage's answer to one command: it replies, and says whether the conversation goes on
/// (`Continue`) or this was its end (`Break`).
///
/// An error means that the connection broke.
pub type Answer = fn(&mut Session, &Command) -> io::Result<ControlFlow<()>>;

/// 501: a HELO or EHLO without a name, or with one that can't be a host's.
pub const NEED_NAME: Reply = Reply::new(501, "Your name, please: HELO client.example");

/// 502: a command that we know and that no stage so far handles (4.2.4).
pub const NOT_IMPLEMENTED: Reply = Reply::new(502, "Command not implemented");

/// The conversation with one client, answered by `answer`.
///
/// # Errors
/// Those of the connection.
pub fn converse(connection: Connection, answer: Answer) -> io::Result<()> {
    talk(&mut Session::new(connection), answer)
}

/// Greets, then reads a line and has it answered, until the client leaves or `answer` says that
/// this was the end.
///
/// # Errors
/// Those of the connection.
pub fn talk(session: &mut Session, answer: Answer) -> io::Result<()> {
    session.wire.reply(&greeting(&session.settings.hostname))?;
    let mut line = Vec::with_capacity(MAX_COMMAND_LINE);
    loop {
        let command = match session.wire.read_line(&mut line, MAX_COMMAND_LINE)? {
            Line::Whole(line_end) => Command::parse(&line, line_end),
            Line::TooLong => Err(LINE_TOO_LONG),
            Line::Closed => return Ok(()),
        };
        let then = match command {
            Ok(command) => answer(session, &command)?,
            Err(refusal) => session.reply(&refusal)?,
        };
        if then.is_break() {
            return session.wire.close();
        }
    }
}

/// Answers HELO and EHLO. The other verbs of the protocol get 502.
///
/// # Errors
/// Those of the connection.
pub fn answer(session: &mut Session, command: &Command) -> io::Result<ControlFlow<()>> {
    match command.verb {
        Verb::Helo | Verb::Ehlo => match client_name(command.argument) {
            Ok(name) => {
                session.client_name = Some(name.to_string());
                session.protocol = match command.verb {
                    Verb::Ehlo => Protocol::Esmtp,
                    _ => Protocol::Smtp,
                };
                session.mail = None;
                let hostname = session.settings.hostname.clone();
                session.reply(&Reply::with_text(250, hostname))
            }
            Err(refusal) => session.reply(&refusal),
        },
        _ => session.reply(&NOT_IMPLEMENTED),
    }
}

/// The name in the argument of HELO or EHLO.
///
/// 4.1.1.1 asks for a domain or an address literal, and warns servers that more text may follow.
/// Underscores break the RFC, and half the containers in the world have one in their name.
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
/// 501: no name, or none that a host could have.
pub fn client_name(argument: &str) -> Result<&str, Reply> {
    let name = argument.split(' ').next().unwrap_or_default();
    let in_host_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let plain =
        !name.is_empty() && name.len() <= domain::MAX_DOMAIN && name.bytes().all(in_host_name);
    if plain || domain::is_host_name(name) {
        Ok(name)
    } else {
        Err(NEED_NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_name_is_a_host_name_or_close_to_one() {
        for good in ["localhost", "my_host", "host.", "127.0.0.1", "[IPv6:::1]"] {
            assert_eq!(client_name(good), Ok(good));
        }
    }

    #[test]
    fn what_no_host_is_called_is_501() {
        let too_long = "d".repeat(domain::MAX_DOMAIN + 1);
        for bad in [
            "",
            "<>",
            "a@b",
            "[127.0.0.1",
            "[]",
            "a,b",
            "(comment)",
            &too_long,
        ] {
            assert_eq!(client_name(bad), Err(NEED_NAME), "{bad}");
        }
    }
}
