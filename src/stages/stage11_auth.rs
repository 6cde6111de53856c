//! Stage 11: AUTH, by which a client says who it is.
//!
//! A server for a company's own people asks for a name and a password before it takes mail. AUTH
//! carries them (RFC 4954), in one of two forms. `PLAIN` sends both at once (RFC 4616). `LOGIN` asks for
//! one after the other; it was never standardized, and every client has it. With its 334 the server says
//! that the next line is not a command, as it does with the 354 of DATA.
//!
//! ```smtp --login any
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! S: 250-localhost
//! S: 250-PIPELINING
//! S: 250-SIZE 26214400
//! S: 250-8BITMIME
//! S: 250-ENHANCEDSTATUSCODES
//! S: 250-SMTPUTF8
//! S: 250-HELP
//! S: 250 AUTH PLAIN LOGIN
//! C: AUTH LOGIN
//! S: 334 VXNlcm5hbWU6
//! C: YWRh
//! S: 334 UGFzc3dvcmQ6
//! C: *
//! S: 501 5.7.0 Login cancelled
//! C: AUTH PLAIN AGFkYQBzM2NyZXQ=
//! S: 235 2.7.0 Welcome
//! C: AUTH PLAIN AGFkYQBzM2NyZXQ=
//! S: 503 5.5.1 Logged in already
//! C: MAIL FROM:<ada@example.org> AUTH=<>
//! S: 250 2.1.0 OK
//! ```
//!
//! The letters are base64 ([`crate::base64`]), which anybody can read: `VXNlcm5hbWU6` is `Username:`.
//! So AUTH over a plain connection keeps no secret. Two flags turn it on. `--login any` accepts every name
//! and every password, for an application whose settings have some. `--users FILE` accepts those of the
//! file, and MAIL needs a login first. On an address that others reach, AUTH is then offered only if
//! `--tls-in-front` says that a program before us speaks TLS.
//!
//! What the quick version gets wrong:
//!
//! - **The password in the log.** In a line that was refused, in one that was cut, in one that looks like a
//!   command.
//! - **LOGIN asks for the name twice.** A client may have sent it with the command.
//! - **Base64 that takes anything.** A line with a typing error logs in as somebody.
//! - **PLAIN's first part.** It is whose mail it is to be, not who logs in, and nearly always empty.
//! - **Another answer for a wrong name.** It tells a stranger which names there are.
//! - **`==`.** It stops at the first wrong letter, and the time tells which that was.
//! - **A line after the 334 is a command.** It is a response, even `QUIT`. Only `*` means something else.
//! - **Trust in an address.** Behind a proxy, everybody comes from 127.0.0.1.
//!
//! RFC 5321 has no word about AUTH. The chapter, with every piece explained:
//! [docs/11-auth.md](../../../../../docs/11-auth.md).

use std::io;
use std::thread;
use std::time::Duration;

use crate::base64;
use crate::command::{Command, MAX_AUTH_LINE, Verb};
use crate::mail::Envelope;
use crate::parameter::Parameter;
use crate::reply::{Failure, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage03_commands::NOT_IMPLEMENTED;
use crate::stages::stage09_limits::MAX_REFUSALS;
use crate::stages::stage10_extensions::{self, Dialect};
use crate::wire::{Line, LineEnd};

/// How many octets the parameter AUTH may add to a MAIL command (RFC 4954, section 3).
pub const AUTH_PARAMETER: usize = 500;

/// How long a client that has guessed wrong must wait.
pub const PAUSE: Duration = Duration::from_secs(1);

/// The failed login that ends the conversation, if there was no other mistake.
pub const MAX_FAILED_LOGINS: u32 = 3;

/// 235: the client has logged in.
pub const WELCOME: Reply = Reply::new(235, "Welcome");

/// 334: `Username:`, in base64.
pub const ASK_NAME: Reply = Reply::new(334, "VXNlcm5hbWU6");

/// 334: `Password:`, in base64.
pub const ASK_PASSWORD: Reply = Reply::new(334, "UGFzc3dvcmQ6");

/// 334: for PLAIN the server has nothing to ask. The space after the code must be there.
pub const GO_AHEAD: Reply = Reply::new(334, "");

/// 503: AUTH from a client that hasn't said EHLO.
pub const NEED_EHLO: Reply = Reply::new(503, "EHLO first");

/// 503: AUTH a second time (RFC 4954, section 4).
pub const LOGGED_IN_ALREADY: Reply = Reply::new(503, "Logged in already");

/// 503: AUTH while a transaction is open (RFC 4954, section 4).
pub const NOT_WITHIN_A_MAIL: Reply = Reply::new(503, "Not while a mail is open");

/// 501: AUTH without a mechanism.
pub const NEED_MECHANISM: Reply = Reply::new(501, "How? AUTH PLAIN or AUTH LOGIN");

/// 504: another mechanism (RFC 4954, section 4).
pub const NO_SUCH_MECHANISM: Reply = Reply::new(504, "Only AUTH PLAIN and AUTH LOGIN");

/// 501: the client has sent `*` after a 334 (RFC 4954, section 4).
pub const CANCELLED: Reply = Reply::new(501, "Login cancelled");

/// 501: base64 with a mistake in it, or a response that isn't what its mechanism asks for.
pub const NOT_A_RESPONSE: Reply = Reply::new(501, "Not a valid response");

/// 500: a response over the limit, which is that of the AUTH command (RFC 4954, section 4).
pub const RESPONSE_TOO_LONG: Reply = Reply::new(500, "Response too long");

/// 535: the name or the password is wrong, or the client wants to act for somebody else. The reply
/// doesn't say which.
pub const WRONG_LOGIN: Reply = Reply::new(535, "The name or the password is wrong");

/// 530: mail needs a login first (RFC 4954, section 6).
pub const NEED_LOGIN: Reply = Reply::new(530, "Log in first");

/// 501: the parameter AUTH without an address (RFC 4954, section 5).
pub const NOT_AN_IDENTITY: Reply = Reply::new(
    501,
    "Not an address; it looks like AUTH=<> or AUTH=ada@example.org",
);

/// The dialect of this stage.
const ESMTP_WITH_AUTH: Dialect = Dialect {
    keywords,
    parse,
    status: status_code,
};

/// Answers AUTH, and EHLO and MAIL with what it changes.
///
/// # Errors
/// The command is refused, or the connection broke.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Helo | Verb::Ehlo => Ok(stage10_extensions::hello(
            session,
            command,
            ESMTP_WITH_AUTH,
        )?),
        Verb::Mail if needs_login(session) => Err(NEED_LOGIN.into()),
        Verb::Mail => Ok(stage10_extensions::mail(session, command, accept)?),
        Verb::Auth => auth(session, command.argument),
        _ => stage10_extensions::answer(session, command),
    }
}

/// Says whether the client must log in before its MAIL.
///
/// Before HELO the answer is that of stage 4, 503.
fn needs_login(session: &Session) -> bool {
    session.settings.login.is_needed() && !session.logged_in && session.client_name.is_some()
}

/// Says whether EHLO offers AUTH.
pub fn is_offered(settings: &Settings) -> bool {
    settings.login.is_offered() && stage10_extensions::is_offered("AUTH", settings)
}

/// Lists what EHLO offers, a line for each keyword.
pub fn keywords(settings: &Settings) -> Vec<String> {
    let mut keywords = stage10_extensions::keywords(settings);
    if is_offered(settings) {
        keywords.push("AUTH PLAIN LOGIN".to_string());
    }
    keywords
}

/// Reads a command from a line, in which MAIL may have the parameter AUTH as well.
fn parse(line: &[u8], line_end: LineEnd) -> Result<Command<'_>, Reply> {
    stage10_extensions::parse_within(line, line_end, |verb| {
        stage10_extensions::max_line(verb)
            + match verb {
                Verb::Mail => AUTH_PARAMETER,
                _ => 0,
            }
    })
}

/// Reads the parameters of MAIL.
fn accept(settings: &Settings, envelope: &mut Envelope, text: &str) -> Result<(), Reply> {
    stage10_extensions::accept_each(settings, envelope, text, accept_one)
}

/// Reads one parameter of MAIL, if EHLO has offered it.
fn accept_one(
    settings: &Settings,
    envelope: &mut Envelope,
    parameter: &Parameter,
) -> Result<(), Reply> {
    match parameter.keyword.eq_ignore_ascii_case("AUTH") && is_offered(settings) {
        true => identity(parameter.value),
        false => stage10_extensions::accept_one(settings, envelope, parameter),
    }
}

/// Checks the parameter AUTH: who has handed the mail in, or `<>` if that is unknown.
///
/// It is for servers that pass mail on to others they trust. Every server with AUTH must accept it
/// (RFC 4954, section 5), and we have no use for it.
fn identity(value: Option<&str>) -> Result<(), Reply> {
    let mut parts = value.ok_or(NOT_AN_IDENTITY)?.split('+');
    // A `+` and two hexadecimal digits stand for one octet (RFC 3461, section 4).
    parts.next();
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    let is_octet = |part: &str| part.len() >= 2 && part.bytes().take(2).all(is_hex);
    match parts.all(is_octet) {
        true => Ok(()),
        false => Err(NOT_AN_IDENTITY),
    }
}

/// Answers AUTH with a 235 for a client that has logged in.
///
/// The line that follows a 334 is a response, whatever it looks like.
fn auth(session: &mut Session, argument: &str) -> Result<Reply, Failure> {
    may_log_in(session)?;
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial.trim_start_matches(' '))),
        None => (argument, None),
    };
    let is_right = match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => plain(session, initial)?,
        "LOGIN" => login(session, initial)?,
        "" => return Err(NEED_MECHANISM.into()),
        _ => return Err(NO_SUCH_MECHANISM.into()),
    };
    if !is_right {
        return failed(session);
    }
    session.logged_in = true;
    Ok(WELCOME)
}

/// Says whether this is the time for a login.
fn may_log_in(session: &Session) -> Result<(), Reply> {
    if !is_offered(&session.settings) {
        return Err(NOT_IMPLEMENTED);
    }
    if !session.esmtp {
        return Err(NEED_EHLO);
    }
    if session.logged_in {
        return Err(LOGGED_IN_ALREADY);
    }
    if session.transaction.is_some() {
        return Err(NOT_WITHIN_A_MAIL);
    }
    Ok(())
}

/// Logs in by PLAIN: name and password in one response (RFC 4616).
fn plain(session: &mut Session, initial: Option<&str>) -> Result<bool, Failure> {
    let response = response(session, &GO_AHEAD, initial)?;
    let [identity, name, password] = plain_parts(&response)?;
    let is_own = identity.is_empty() || identity == name;
    Ok(session.settings.login.accepts(name, password) & is_own)
}

/// Takes the response of PLAIN apart: on whose behalf the client acts, the name, the password.
///
/// The first is empty for one's own (RFC 4616, section 2).
///
/// ```
/// use smtp_from_scratch::stages::stage11_auth::plain_parts;
///
/// assert_eq!(plain_parts(b"\0ada\0s3cret").unwrap(), [&b""[..], b"ada", b"s3cret"]);
/// assert!(plain_parts(b"ada\0s3cret").is_err());
/// ```
///
/// # Errors
/// 501: there aren't three parts.
pub fn plain_parts(response: &[u8]) -> Result<[&[u8]; 3], Reply> {
    let parts: Vec<&[u8]> = response.split(|&byte| byte == 0).collect();
    parts.try_into().map_err(|_| NOT_A_RESPONSE)
}

/// Logs in by LOGIN: the name, then the password.
fn login(session: &mut Session, initial: Option<&str>) -> Result<bool, Failure> {
    let name = response(session, &ASK_NAME, initial)?;
    let password = response(session, &ASK_PASSWORD, None)?;
    Ok(session.settings.login.accepts(&name, &password))
}

/// Returns the client's response: the one that came with the command, or else the line after a 334.
///
/// # Errors
/// 501: it isn't base64, or it is a `*`, which cancels. 500: it is too long. Or the connection broke.
fn response(
    session: &mut Session,
    challenge: &Reply,
    initial: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    if let Some(text) = initial {
        // An empty response that comes with the command is written so (RFC 4954, section 4).
        let text = if text == "=" { "" } else { text };
        return Ok(base64::decode(text.as_bytes()).ok_or(NOT_A_RESPONSE)?);
    }
    session.wire.reply(challenge)?;
    session.wire.patience().expect_line();
    let mut line = Vec::new();
    match session.wire.read_secret(&mut line, MAX_AUTH_LINE)? {
        Line::Whole(_) if line == b"*" => Err(CANCELLED.into()),
        Line::Whole(_) => Ok(base64::decode(&line).ok_or(NOT_A_RESPONSE)?),
        Line::TooLong => Err(RESPONSE_TOO_LONG.into()),
        Line::Closed => Err(cut_off().into()),
    }
}

/// The error of a client that leaves within its login.
fn cut_off() -> io::Error {
    let problem = "the client left before the end of its login";
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

/// Refuses a login, after a pause.
///
/// It counts as several mistakes, so that the client is sent away after the third.
fn failed(session: &mut Session) -> Result<Reply, Failure> {
    // Nothing waits in the buffer while this thread waits.
    session.wire.flush()?;
    thread::sleep(PAUSE);
    session.refusals += MAX_REFUSALS / MAX_FAILED_LOGINS;
    Err(WRONG_LOGIN.into())
}

/// The status codes of this stage's replies (RFC 4954, sections 4 and 6).
const STATUS_CODES: &[(&str, Reply)] = &[
    ("2.7.0", WELCOME),
    ("5.5.1", NEED_EHLO),
    ("5.5.1", LOGGED_IN_ALREADY),
    ("5.5.1", NOT_WITHIN_A_MAIL),
    ("5.5.2", NOT_A_RESPONSE),
    ("5.5.4", NEED_MECHANISM),
    ("5.5.4", NO_SUCH_MECHANISM),
    ("5.5.4", NOT_AN_IDENTITY),
    ("5.5.6", RESPONSE_TOO_LONG),
    ("5.7.0", CANCELLED),
    ("5.7.0", NEED_LOGIN),
    ("5.7.8", WRONG_LOGIN),
];

/// Finds the enhanced status code of a reply.
pub fn status_code(reply: &Reply) -> Option<&'static str> {
    let known = STATUS_CODES.iter().find(|(_, known)| known == reply);
    match known {
        Some((status, _)) => Some(status),
        None => stage10_extensions::status_code(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompts_ask_for_name_and_password() {
        for (prompt, question) in [(ASK_NAME, "Username:"), (ASK_PASSWORD, "Password:")] {
            assert_eq!(prompt.text, base64::encode(question.as_bytes()));
        }
        assert_eq!(GO_AHEAD.to_string(), "334 ");
    }

    #[test]
    fn a_response_of_plain_has_three_parts() {
        let parts = |response: &'static str| plain_parts(response.as_bytes());
        assert_eq!(
            parts("sam\0ada\0s3cret"),
            Ok([&b"sam"[..], b"ada", b"s3cret"])
        );
        assert_eq!(parts("\0\0"), Ok([&b""[..]; 3]));
        for bad in ["", "ada", "ada\0s3cret", "\0ada\0s3cret\0"] {
            assert_eq!(parts(bad), Err(NOT_A_RESPONSE), "{bad:?}");
        }
    }

    #[test]
    fn the_parameter_auth_is_an_address_or_empty_brackets() {
        for good in ["<>", "ada@example.org", "e+3Dmc2@example.com", "+2B"] {
            assert_eq!(identity(Some(good)), Ok(()), "{good}");
        }
        for bad in ["+", "ada+3", "ada+3d", "ada+zz", "+2B+"] {
            assert_eq!(identity(Some(bad)), Err(NOT_AN_IDENTITY), "{bad}");
        }
        assert_eq!(identity(None), Err(NOT_AN_IDENTITY));
    }

    #[test]
    fn a_mail_command_may_be_longer_by_the_parameter_auth() {
        let mut line = format!("MAIL {}", "x".repeat(1065 - 7));
        assert!(parse(line.as_bytes(), LineEnd::CrLf).is_ok());
        line.push('x');
        assert!(parse(line.as_bytes(), LineEnd::CrLf).is_err());
    }

    #[test]
    fn three_failed_logins_are_too_many_mistakes_and_two_are_not() {
        let of_each = MAX_REFUSALS / MAX_FAILED_LOGINS + 1;
        assert!(MAX_FAILED_LOGINS * of_each >= MAX_REFUSALS);
        assert!((MAX_FAILED_LOGINS - 1) * of_each < MAX_REFUSALS);
    }

    #[test]
    fn a_status_code_is_of_the_class_of_its_reply() {
        for (status, reply) in STATUS_CODES {
            let class = reply.code.to_string().remove(0);
            assert!(status.starts_with(class), "{status} {reply}");
        }
    }
}
