//! Stage 10: EHLO has keywords, and each is a promise.
//!
//! A client that says EHLO asks what the server can do beyond plain SMTP (RFC 5321, 2.2.1). The reply
//! has several lines: our name, then a keyword on each. With the keyword `SIZE` a client may say
//! `SIZE=` in its MAIL. Without it, it must not; 555 refuses what wasn't offered (4.1.1.11).
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! S: 250-localhost
//! S: 250-PIPELINING
//! S: 250-SIZE 26214400
//! S: 250-8BITMIME
//! S: 250-ENHANCEDSTATUSCODES
//! S: 250-SMTPUTF8
//! S: 250 HELP
//! C: MAIL FROM:<ada@example.org> SIZE=26214401
//! S: 552 5.3.4 Too much mail data
//! C: MAIL FROM:<zoë@example.org>
//! S: 550 5.6.7 A sender in UTF-8 needs SMTPUTF8
//! C: MAIL FROM:<zoë@example.org> BODY=8BITMIME SMTPUTF8
//! S: 250 2.1.0 OK
//! C: RCPT TO:<bob@bücher.example>
//! S: 250 2.1.5 OK
//! C: HELO client.example
//! S: 250 localhost
//! C: MAIL FROM:<ada@example.org> SIZE=1000
//! S: 555 Parameter not recognized
//! ```
//!
//! | keyword | the promise | who keeps it |
//! | --- | --- | --- |
//! | `PIPELINING` (RFC 2920) | commands may come many at a time | [`crate::wire`] |
//! | `SIZE` (RFC 1870) | a size too large is refused before the message is sent | `size`, and DATA for what really comes |
//! | `8BITMIME` (RFC 6152) | the message's bytes stay as they are | [`crate::data`] |
//! | `ENHANCEDSTATUSCODES` (RFC 2034, 3463) | a refusal has a second code, for programs | [`status_code`] |
//! | `SMTPUTF8` (RFC 6531) | addresses may be UTF-8 | [`parse`], [`accept`], `admit`, and [`crate::path`] |
//! | `HELP` (4.1.1.8) | an answer to HELP | [`answer`] |
//!
//! Four of them were kept before they had a name. HELO takes all of it back: whatever EHLO changes
//! is in one value, [`Dialect`].
//!
//! What the quick version gets wrong:
//!
//! - **A keyword copied from another server's reply.** A client believes it. One that hears `CHUNKING`
//!   sends BDAT.
//! - **`SIZE=` believed.** It is an estimate. The limit holds for what really comes.
//! - **The eighth bit.** `8BITMIME` and a buffer that drops it: every *é* is gone.
//! - **Status codes everywhere.** Not in the greeting, not in the answer to EHLO, not in a 354 (RFC 2034,
//!   section 3). Section 4 wants them after HELO too; here HELO is plain SMTP.
//! - **UTF-8 let through.** A server behind this one, without the extension, can't take that address.
//!
//! The chapter, with every piece explained:
//! [docs/10-extensions.md](../../../../../docs/10-extensions.md).

use crate::command::{self, Command, INVALID_CHARACTER, LINE_TOO_LONG, Parse, UNRECOGNIZED, Verb};
use crate::mail::Envelope;
use crate::parameter::{self, NOT_A_PARAMETER, Parameter, UNKNOWN_PARAMETER};
use crate::path::{NOT_A_PATH, PATH_TOO_LONG, Path};
use crate::reply::{self, Failure, NO_ARGUMENT_TAKEN, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage03_commands::{self, Keywords, NOT_IMPLEMENTED};
use crate::stages::stage04_mail::{self, Accept, MAIL_IS_OPEN, NEED_FROM, NEED_HELO};
use crate::stages::stage05_rcpt::{self, NEED_MAIL, NEED_TO, TOO_MANY_RECIPIENTS};
use crate::stages::stage06_data::{NEED_RCPT, NOT_STORED, TOO_MUCH_MAIL_DATA};
use crate::stages::stage08_maildir::{MAIL_GOES_IN_CIRCLES, NO_STORAGE, TOO_MUCH_HEADER};
use crate::stages::stage09_limits;
use crate::wire::{LineEnd, Status};

/// The keywords of EHLO, in the order of its reply.
pub const KEYWORDS: &[&str] = &[
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "ENHANCEDSTATUSCODES",
    "SMTPUTF8",
    "HELP",
];

/// How many octets the parameters may add to a MAIL command: SIZE 26 (RFC 1870, section 3), BODY 17
/// (RFC 6152, section 2), SMTPUTF8 10 (RFC 6531, 3.1).
pub const MAIL_PARAMETERS: usize = 26 + 17 + 10;

/// How many octets SMTPUTF8 may add to VRFY and EXPN (RFC 6531, 3.1).
const SMTPUTF8_PARAMETER: usize = 10;

/// Verbs of extensions that EHLO doesn't offer. They are known, and aren't carried out (4.2.4).
const NOT_OFFERED: [&str; 3] = ["STARTTLS", "BDAT", "ETRN"];

/// 501: a SIZE that isn't 1 to 20 digits (RFC 1870, section 3).
pub const NOT_A_SIZE: Reply = Reply::new(501, "Not a size; it looks like SIZE=1000");

/// 501: a BODY of neither kind (RFC 6152, section 2).
pub const NOT_A_BODY: Reply = Reply::new(501, "Not a body type; it is BODY=7BIT or BODY=8BITMIME");

/// 501: SMTPUTF8 with a value (RFC 6531, 3.4).
pub const NO_VALUE_TAKEN: Reply = Reply::new(501, "SMTPUTF8 takes no value");

/// 550: a sender in UTF-8, of a mail without SMTPUTF8 (RFC 6531, 3.5).
pub const SENDER_NEEDS_SMTPUTF8: Reply = Reply::new(550, "A sender in UTF-8 needs SMTPUTF8");

/// 553: a recipient in UTF-8, of a mail without SMTPUTF8 (RFC 6531, 3.5).
pub const RECIPIENT_NEEDS_SMTPUTF8: Reply = Reply::new(553, "A recipient in UTF-8 needs SMTPUTF8");

/// 501: VRFY without a name (4.1.1.6).
pub const NEED_USER: Reply = Reply::new(501, "Whom? VRFY bob");

/// 252: VRFY must be there, and need not tell (3.5.3, 7.3).
pub const NOT_VERIFIED: Reply = Reply::new(252, "RCPT will tell, VRFY does not");

/// 214: the answer to HELP (4.1.1.8).
pub const HELP: Reply = Reply::new(
    214,
    "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP\n\
     RFC 5321 says what they do",
);

/// What EHLO changes for the commands after it, as plain functions. HELO takes it back.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What EHLO offers.
    pub keywords: Keywords,
    /// How a line is read.
    pub parse: Parse,
    /// The enhanced status code of a reply, if that keyword is offered.
    pub status: Status,
}

/// The dialect of this stage.
const ESMTP: Dialect = Dialect {
    keywords,
    parse,
    status: status_code,
};

/// Answers EHLO with keywords, MAIL and RCPT with what they offer, and VRFY and HELP.
///
/// # Errors
/// The command is refused.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    match command.verb {
        Verb::Helo | Verb::Ehlo => Ok(hello(session, command, ESMTP)?),
        Verb::Mail => Ok(mail(session, command, accept)?),
        Verb::Rcpt => Ok(rcpt(session, command)?),
        Verb::Vrfy if command.argument.is_empty() => Err(NEED_USER.into()),
        Verb::Vrfy => Ok(NOT_VERIFIED),
        Verb::Help if is_offered("HELP", &session.settings) => Ok(HELP),
        _ => stage09_limits::answer(session, command),
    }
}

/// Answers HELO and EHLO, and changes the dialect to plain SMTP or to this one.
///
/// # Errors
/// 501: there is no name. The session is as it was.
pub fn hello(session: &mut Session, command: &Command, dialect: Dialect) -> Result<Reply, Reply> {
    let reply = stage03_commands::hello(session, command, dialect.keywords)?;
    session.parse = match session.esmtp {
        true => dialect.parse,
        false => Command::parse,
    };
    session.wire.set_status(match has_status_codes(session) {
        true => dialect.status,
        false => |_| None,
    });
    Ok(reply)
}

/// Says whether replies have enhanced status codes.
fn has_status_codes(session: &Session) -> bool {
    session.esmtp && is_offered("ENHANCEDSTATUSCODES", &session.settings)
}

/// Lists what EHLO offers, a line for each keyword.
///
/// ```
/// use smtp_from_scratch::settings::Settings;
/// use smtp_from_scratch::stages::stage10_extensions::keywords;
///
/// let mut settings = Settings { max_size: 1000, ..Settings::default() };
/// assert_eq!(keywords(&settings)[..3], ["PIPELINING", "SIZE 1000", "8BITMIME"]);
/// settings.without = vec!["size".to_string()];
/// assert_eq!(keywords(&settings)[..2], ["PIPELINING", "8BITMIME"]);
/// ```
pub fn keywords(settings: &Settings) -> Vec<String> {
    let offered = KEYWORDS.iter().filter(|name| is_offered(name, settings));
    let line = |&name: &&str| match name {
        "SIZE" => format!("SIZE {}", settings.max_size),
        _ => name.to_string(),
    };
    offered.map(line).collect()
}

/// Says whether EHLO offers a keyword, given in capitals.
///
/// Without 8BITMIME there is no SMTPUTF8 either (RFC 6531, 3.1).
pub fn is_offered(keyword: &str, settings: &Settings) -> bool {
    let is_left_out = |keyword: &str| {
        let mut without = settings.without.iter();
        without.any(|name| name.eq_ignore_ascii_case(keyword))
    };
    !is_left_out(keyword) && (keyword != "SMTPUTF8" || !is_left_out("8BITMIME"))
}

/// Reads a command from a line in which addresses may be UTF-8, and MAIL may have parameters.
///
/// # Errors
/// Those of [`Command::parse`].
pub fn parse(line: &[u8], line_end: LineEnd) -> Result<Command<'_>, Reply> {
    parse_within(line, line_end, max_line)
}

/// Reads a command as [`parse`] does, with these longest lines.
///
/// # Errors
/// Those of [`Command::parse`].
pub fn parse_within(
    line: &[u8],
    line_end: LineEnd,
    max_line: fn(Verb) -> usize,
) -> Result<Command<'_>, Reply> {
    let parsed = Command::parse_by(line, line_end, is_printable, max_line);
    if parsed == Err(UNRECOGNIZED) && is_not_offered(line) {
        return Err(NOT_IMPLEMENTED);
    }
    let command = parsed?;
    let has_address = matches!(
        command.verb,
        Verb::Mail | Verb::Rcpt | Verb::Vrfy | Verb::Expn
    );
    if !has_address && !command.argument.is_ascii() {
        return Err(INVALID_CHARACTER);
    }
    Ok(command)
}

/// Says whether a line is the command of an extension that isn't offered.
fn is_not_offered(line: &[u8]) -> bool {
    let word = line.trim_ascii().split(|&byte| byte == b' ').next();
    let is_same = |verb: &&str| word.is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()));
    NOT_OFFERED.iter().any(is_same)
}

/// Says whether a character is printable ASCII, or beyond ASCII and neither a control character nor a line
/// end.
fn is_printable(character: char) -> bool {
    let is_line_end = matches!(character, '\u{2028}' | '\u{2029}');
    let is_beyond = !character.is_ascii() && !character.is_control() && !is_line_end;
    command::is_printable_ascii(character) || is_beyond
}

/// Returns the longest line of a command in octets, CRLF included.
pub fn max_line(verb: Verb) -> usize {
    command::max_line(verb)
        + match verb {
            Verb::Mail => MAIL_PARAMETERS,
            Verb::Vrfy | Verb::Expn => SMTPUTF8_PARAMETER,
            _ => 0,
        }
}

/// Answers MAIL. After EHLO, `accept` reads its parameters.
///
/// # Errors
/// The refusal. The transaction is as it was.
pub fn mail(session: &mut Session, command: &Command, accept: Accept) -> Result<Reply, Reply> {
    let greeted = session.client_name.is_some();
    let accept = match session.esmtp {
        true => accept,
        false => stage04_mail::no_parameter,
    };
    let answered = stage04_mail::mail(
        greeted,
        &mut session.transaction,
        &session.settings,
        command.argument,
        accept,
    );
    with_path_status(session, answered, "2.1.0", "5.1.7")
}

/// Answers RCPT.
fn rcpt(session: &mut Session, command: &Command) -> Result<Reply, Reply> {
    let answered = stage05_rcpt::rcpt(
        session.transaction.as_mut(),
        &session.settings,
        command.argument,
        admit,
    );
    with_path_status(session, answered, "2.1.5", "5.1.3")
}

/// Admits recipients as stage 9 does, and UTF-8 only in a mail with SMTPUTF8.
fn admit(settings: &Settings, envelope: &Envelope, path: &Path) -> Result<(), Reply> {
    if !path.mailbox.is_ascii() && !envelope.smtputf8 {
        return Err(RECIPIENT_NEEDS_SMTPUTF8);
    }
    stage09_limits::admit_ours(settings, envelope, path)
}

/// Reads the parameters of MAIL.
///
/// # Errors
/// The refusal of the first that is wrong.
pub fn accept(settings: &Settings, envelope: &mut Envelope, text: &str) -> Result<(), Reply> {
    accept_each(settings, envelope, text, accept_one)
}

/// How one parameter of MAIL is read.
pub type AcceptOne = fn(&Settings, &mut Envelope, &Parameter) -> Result<(), Reply>;

/// Has each parameter of MAIL read by `accept_one`.
///
/// A sender in UTF-8 needs SMTPUTF8 among them.
///
/// # Errors
/// 501: not a parameter by the grammar, wherever it stands. Otherwise the refusal of the first that
/// is wrong. 550: a sender in UTF-8, without SMTPUTF8.
pub fn accept_each(
    settings: &Settings,
    envelope: &mut Envelope,
    text: &str,
    accept_one: AcceptOne,
) -> Result<(), Reply> {
    parameter::read_each(text, |parameter| accept_one(settings, envelope, parameter))?;
    if !envelope.reverse_path.is_ascii() && !envelope.smtputf8 {
        return Err(SENDER_NEEDS_SMTPUTF8);
    }
    Ok(())
}

/// Reads one parameter of MAIL, if EHLO has offered it.
///
/// # Errors
/// 555: it wasn't offered. 501: its value is wrong. 552: the size is too large.
pub fn accept_one(
    settings: &Settings,
    envelope: &mut Envelope,
    parameter: &Parameter,
) -> Result<(), Reply> {
    let offered = |keyword| is_offered(keyword, settings);
    match parameter.keyword.to_ascii_uppercase().as_str() {
        "SIZE" if offered("SIZE") => size(parameter.value, settings.max_size),
        "BODY" if offered("8BITMIME") => body(parameter.value),
        "SMTPUTF8" if offered("SMTPUTF8") => match parameter.value {
            Some(_) => Err(NO_VALUE_TAKEN),
            None => {
                envelope.smtputf8 = true;
                Ok(())
            }
        },
        _ => Err(UNKNOWN_PARAMETER),
    }
}

/// Refuses a message that will be too large (RFC 1870, section 6.1).
///
/// Twenty digits may be more than 64 bits hold.
fn size(value: Option<&str>, max_size: usize) -> Result<(), Reply> {
    let is_size = |text: &&str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    match value.filter(is_size).map(str::parse::<u128>) {
        Some(Ok(size)) if size > max_size as u128 => Err(TOO_MUCH_MAIL_DATA),
        Some(Ok(_)) => Ok(()),
        _ => Err(NOT_A_SIZE),
    }
}

/// Checks the kind of the message (RFC 6152, section 2). Either kind is stored as it comes.
fn body(value: Option<&str>) -> Result<(), Reply> {
    let is = |kind: &str| value.is_some_and(|value| value.eq_ignore_ascii_case(kind));
    match is("7BIT") || is("8BITMIME") {
        true => Ok(()),
        false => Err(NOT_A_BODY),
    }
}

/// Adds the status code of an answer to MAIL or RCPT that is about its path.
fn with_path_status(
    session: &Session,
    answered: Result<Reply, Reply>,
    valid: &str,
    invalid: &str,
) -> Result<Reply, Reply> {
    if !has_status_codes(session) {
        return answered;
    }
    match answered {
        Err(reply) if reply == NOT_A_PATH || reply == PATH_TOO_LONG => {
            Err(reply.with_status(invalid))
        }
        answered => answered.map(|reply| reply.with_status(valid)),
    }
}

/// The status codes of replies (RFC 3463, section 3). Those to MAIL and RCPT may have another.
const STATUS_CODES: &[(&str, Reply)] = &[
    ("2.0.0", reply::OK),
    ("2.0.0", HELP),
    // Other or undefined protocol status.
    ("2.5.0", NOT_VERIFIED),
    // Other or undefined mail system status; the mail system is full.
    ("4.3.0", NOT_STORED),
    ("4.3.1", NO_STORAGE),
    // Too many recipients.
    ("4.5.3", TOO_MANY_RECIPIENTS),
    // The message is too big for the system.
    ("5.3.4", TOO_MUCH_MAIL_DATA),
    ("5.3.4", TOO_MUCH_HEADER),
    // A loop.
    ("5.4.6", MAIL_GOES_IN_CIRCLES),
    // A command that is out of sequence or unsupported.
    ("5.5.1", NOT_IMPLEMENTED),
    ("5.5.1", NEED_HELO),
    ("5.5.1", MAIL_IS_OPEN),
    ("5.5.1", NEED_MAIL),
    ("5.5.1", NEED_RCPT),
    // A command that can't be understood.
    ("5.5.2", UNRECOGNIZED),
    ("5.5.2", LINE_TOO_LONG),
    ("5.5.2", INVALID_CHARACTER),
    ("5.5.2", NEED_FROM),
    ("5.5.2", NEED_TO),
    // An invalid argument.
    ("5.5.4", NO_ARGUMENT_TAKEN),
    ("5.5.4", NOT_A_PARAMETER),
    ("5.5.4", UNKNOWN_PARAMETER),
    ("5.5.4", NOT_A_SIZE),
    ("5.5.4", NOT_A_BODY),
    ("5.5.4", NO_VALUE_TAKEN),
    ("5.5.4", NEED_USER),
    // A mailbox beyond ASCII, where it isn't permitted (RFC 6531, 4.2).
    ("5.6.7", SENDER_NEEDS_SMTPUTF8),
    ("5.6.7", RECIPIENT_NEEDS_SMTPUTF8),
];

/// Finds the enhanced status code of a reply (RFC 2034, RFC 3463).
///
/// The greeting and the answers to HELO and EHLO have none; nor has a 3xx (RFC 2034, section 3).
///
/// ```
/// use smtp_from_scratch::stages::stage03_commands::NEED_NAME;
/// use smtp_from_scratch::stages::stage04_mail::NEED_HELO;
/// use smtp_from_scratch::stages::stage10_extensions::status_code;
///
/// assert_eq!(status_code(&NEED_HELO), Some("5.5.1"));
/// assert_eq!(status_code(&NEED_NAME), None);
/// ```
pub fn status_code(reply: &Reply) -> Option<&'static str> {
    let is_about = |what: &str| reply.text.contains(what);
    match reply.code {
        221 => Some("2.0.0"),
        // The connection took too long; otherwise it is policy.
        421 if is_about(stage09_limits::TOO_SLOW) => Some("4.4.2"),
        421 if is_about("closing transmission channel") => Some("4.7.0"),
        250 if is_about("queued as") => Some("2.0.0"),
        _ => {
            let known = STATUS_CODES.iter().find(|(_, known)| known == reply);
            known.map(|(status, _)| *status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of these parameters, after a sender in ASCII.
    fn accepted(text: &str) -> Result<Envelope, Reply> {
        let mut envelope = Envelope::default();
        let settings = Settings {
            max_size: 1000,
            ..Settings::default()
        };
        accept(&settings, &mut envelope, text)?;
        Ok(envelope)
    }

    #[test]
    fn a_size_is_compared_however_many_digits_it_has() {
        let twenty_digits = "9".repeat(20);
        for (value, answer) in [
            ("0", Ok(())),
            ("1000", Ok(())),
            ("00000000000000001000", Ok(())),
            ("1001", Err(TOO_MUCH_MAIL_DATA)),
            // 2 to the 64th.
            ("18446744073709551616", Err(TOO_MUCH_MAIL_DATA)),
            (&twenty_digits, Err(TOO_MUCH_MAIL_DATA)),
            ("000000000000000001000", Err(NOT_A_SIZE)),
            ("-1", Err(NOT_A_SIZE)),
            ("+1", Err(NOT_A_SIZE)),
            ("1k", Err(NOT_A_SIZE)),
            ("1.0", Err(NOT_A_SIZE)),
        ] {
            let found = accepted(&format!("size={value}"));
            assert_eq!(found.map(|_| ()), answer, "{value}");
        }
        assert_eq!(accepted("SIZE"), Err(NOT_A_SIZE));
    }

    #[test]
    fn a_body_is_7bit_or_8bitmime_in_any_case() {
        for good in ["BODY=7BIT", "body=8bitmime", "Body=8BitMIME"] {
            assert!(accepted(good).is_ok(), "{good}");
        }
        for bad in ["BODY", "BODY=BINARYMIME", "BODY=8BIT"] {
            assert_eq!(accepted(bad), Err(NOT_A_BODY), "{bad}");
        }
    }

    #[test]
    fn smtputf8_takes_no_value_and_marks_the_envelope() {
        assert!(accepted("SIZE=1 smtputf8").unwrap().smtputf8);
        assert!(!accepted("SIZE=1 BODY=8BITMIME").unwrap().smtputf8);
        assert_eq!(accepted("SMTPUTF8=1"), Err(NO_VALUE_TAKEN));
    }

    #[test]
    fn a_word_that_is_no_parameter_is_refused_before_one_that_is_wrong() {
        assert_eq!(accepted("SIZE=9999 BODY="), Err(NOT_A_PARAMETER));
        assert_eq!(accepted("SIZE=9999 FOO=1"), Err(TOO_MUCH_MAIL_DATA));
        assert_eq!(accepted("FOO=1 SIZE=9999"), Err(UNKNOWN_PARAMETER));
    }

    #[test]
    fn a_keyword_that_is_left_out_takes_its_parameter_with_it() {
        for (keyword, parameter) in [
            ("SIZE", "SIZE=1"),
            ("8bitmime", "BODY=7BIT"),
            ("SMTPUTF8", "SMTPUTF8"),
            ("8BITMIME", "SMTPUTF8"),
        ] {
            let settings = Settings {
                without: vec![keyword.to_string()],
                ..Settings::default()
            };
            let answer = accept(&settings, &mut Envelope::default(), parameter);
            assert_eq!(answer, Err(UNKNOWN_PARAMETER), "{parameter}");
        }
    }

    #[test]
    fn only_commands_with_an_address_may_be_in_utf_8() {
        let parsed = |line: &str| parse(line.as_bytes(), LineEnd::CrLf).map(|command| command.verb);
        assert_eq!(parsed("MAIL FROM:<zoë@b.c>"), Ok(Verb::Mail));
        assert_eq!(parsed("RCPT TO:<zoë@b.c>"), Ok(Verb::Rcpt));
        assert_eq!(parsed("VRFY zoë"), Ok(Verb::Vrfy));
        assert_eq!(parsed("EHLO zoë"), Err(INVALID_CHARACTER));
        // A control character of ISO 8859, in UTF-8.
        assert_eq!(parsed("MAIL FROM:<a\u{9b}@b.c>"), Err(INVALID_CHARACTER));
        assert_eq!(parsed("MAIL FROM:<a\0@b.c>"), Err(INVALID_CHARACTER));
        assert_eq!(parsed("MAIL FROM:<a\u{2028}@b.c>"), Err(INVALID_CHARACTER));
    }

    #[test]
    fn a_verb_of_an_extension_that_is_not_offered_is_known() {
        for (line, refusal) in [
            ("starttls", NOT_IMPLEMENTED),
            (" BDAT 1000 LAST", NOT_IMPLEMENTED),
            ("BDATA", UNRECOGNIZED),
            ("X BDAT", UNRECOGNIZED),
        ] {
            let answer = parse(line.as_bytes(), LineEnd::CrLf);
            assert_eq!(answer, Err(refusal), "{line}");
        }
    }

    #[test]
    fn a_mail_command_may_be_as_long_as_its_parameters_make_it() {
        for (verb, longest) in [("MAIL", 565), ("VRFY", 522), ("RCPT", 512)] {
            let mut line = format!("{verb} {}", "x".repeat(longest - verb.len() - 3));
            assert!(parse(line.as_bytes(), LineEnd::CrLf).is_ok(), "{verb}");
            line.push('x');
            let answer = parse(line.as_bytes(), LineEnd::CrLf);
            assert_eq!(answer, Err(LINE_TOO_LONG), "{verb}");
        }
    }

    #[test]
    fn a_status_code_is_of_the_class_of_its_reply() {
        for (status, reply) in STATUS_CODES {
            let class = reply.code.to_string().remove(0);
            assert!(status.starts_with(class), "{status} {reply}");
        }
    }
}
