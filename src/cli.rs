//! The command line: a table of flags, from which parsing, usage and warnings come.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain;
use crate::fault::{ADDRESSES, Fault};
use crate::patience::LONGEST_TIMEOUT;
use crate::send;
use crate::settings::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_RECIPIENTS, DEFAULT_MAX_SIZE, DEFAULT_TIMEOUT, Settings,
};
use crate::stages::stage10_extensions::KEYWORDS;
use crate::stages::{self, STAGES, Stage};
use crate::terminal::printable;
use crate::users::Login;
use crate::wait;

/// The address of the server unless the user chooses another: on this machine only, and on a port
/// that needs no privilege.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:2525";

/// In place of an address: the listening socket is standard input (chapter 12).
pub const LISTEN_STDIN: &str = "stdin";

/// The Maildir unless the user chooses another.
pub const DEFAULT_MAILDIR: &str = "mail";

/// The stage from which on mail is stored.
pub const STAGE_OF_MAILDIR: usize = 8;

/// The stage from which on strangers have limits.
pub const STAGE_OF_LIMITS: usize = 9;

/// The stage from which on EHLO has keywords.
pub const STAGE_OF_EXTENSIONS: usize = 10;

/// The stage from which on clients may log in.
pub const STAGE_OF_AUTH: usize = 11;

/// The stage from which on a proxy may say who the client is.
pub const STAGE_OF_PROXY: usize = 12;

/// The stage that faults are on top of (chapter 14).
pub const STAGE_OF_FAULTS: usize = STAGE_OF_PROXY;

/// A request to the program, as the arguments make it.
#[derive(Debug)]
pub enum Request {
    /// Print [`usage`].
    Help,
    /// Print the version.
    Version,
    /// Run a stage's server.
    Serve(Box<Serve>),
    /// Print the usage of another command (chapter 13).
    Usage(String),
    /// Send a mail (chapter 13).
    Send(Box<send::Request>),
    /// Wait for a mail (chapter 13).
    Wait(Box<wait::Request>),
}

/// A server to run.
#[derive(Debug)]
pub struct Serve {
    /// `ADDRESS:PORT`. The address may be a name; port 0 takes a free one.
    pub listen: String,
    /// The stage to run.
    pub stage: &'static Stage,
    /// Where mail is stored; `None` to drop it. The stages that store none ignore it.
    pub maildir: Option<PathBuf>,
    /// The most clients at a time, if the user has chosen that.
    pub max_connections: Option<usize>,
    /// The file of those who may log in.
    pub users: Option<PathBuf>,
    /// Whether a program before this one speaks TLS with the clients.
    pub tls_in_front: bool,
    /// Flags without a meaning at this stage, in a sentence each.
    pub warnings: Vec<String>,
    /// The settings of the conversation itself. Their Maildir isn't opened yet.
    pub settings: Settings,
}

/// One flag.
struct Flag {
    name: &'static str,
    /// The name of its value in the usage, for a flag that takes one.
    value: Option<&'static str>,
    /// The first stage that knows it; before that it is a warning.
    from_stage: usize,
    /// Its description in the usage.
    help: &'static str,
    /// Its default value in the usage; empty if there is none.
    default: fn() -> String,
    /// Sets what the flag says; the value is empty for a flag that takes none. The error is the end
    /// of a sentence that begins with the flag's name.
    set: fn(&mut Serve, &str) -> Result<(), String>,
}

const FLAGS: &[Flag] = &[
    Flag {
        name: "--listen",
        value: Some("ADDRESS:PORT"),
        from_stage: 1,
        help: "where to listen; port 0 takes a free one, and the word stdin takes a listening socket from \
               systemd",
        default: || DEFAULT_LISTEN.to_string(),
        set: |serve, value| listen_address(value).map(|value| serve.listen = value),
    },
    Flag {
        name: "--stage",
        value: Some("N|NAME"),
        from_stage: 1,
        help: "which stage to run",
        default: || "the last".to_string(),
        set: |serve, value| stage(value).map(|value| serve.stage = value),
    },
    Flag {
        name: "--hostname",
        value: Some("NAME"),
        from_stage: 1,
        help: "the name that the server gives itself",
        default: || Settings::default().hostname,
        set: |serve, value| host_name(value).map(|value| serve.settings.hostname = value),
    },
    Flag {
        name: "--quiet",
        value: None,
        from_stage: 1,
        help: "keep the conversation off the terminal; for a program that starts the server and reads \
               only its first line",
        default: String::new,
        set: |serve, _| {
            serve.settings.quiet = true;
            Ok(())
        },
    },
    Flag {
        name: "--max-recipients",
        value: Some("N"),
        from_stage: 5,
        help: "the most recipients of a message",
        default: || DEFAULT_MAX_RECIPIENTS.to_string(),
        set: |serve, value| at_least_one(value).map(|value| serve.settings.max_recipients = value),
    },
    Flag {
        name: "--max-size",
        value: Some("BYTES"),
        from_stage: 6,
        help: "the largest message accepted",
        default: || DEFAULT_MAX_SIZE.to_string(),
        set: |serve, value| at_least_one(value).map(|value| serve.settings.max_size = value),
    },
    Flag {
        name: "--maildir",
        value: Some("DIR"),
        from_stage: STAGE_OF_MAILDIR,
        help: "where mail is stored, a file for each message; the folder is created if it is missing",
        default: || format!("./{DEFAULT_MAILDIR}"),
        set: |serve, value| match value {
            "" => Err("takes a directory".to_string()),
            _ => {
                serve.maildir = Some(PathBuf::from(value));
                Ok(())
            }
        },
    },
    Flag {
        name: "--discard",
        value: None,
        from_stage: STAGE_OF_MAILDIR,
        help: "accept mail and drop it",
        default: String::new,
        set: |serve, _| {
            serve.maildir = None;
            Ok(())
        },
    },
    Flag {
        name: "--domain",
        value: Some("NAME"),
        from_stage: STAGE_OF_LIMITS,
        help: "accept mail for this domain only; may be given again",
        default: || "every domain".to_string(),
        set: |serve, value| mail_domain(value).map(|value| serve.settings.domains.push(value)),
    },
    Flag {
        name: "--timeout",
        value: Some("SECONDS"),
        from_stage: STAGE_OF_LIMITS,
        help: "how long a client may keep the server waiting",
        default: || DEFAULT_TIMEOUT.as_secs().to_string(),
        set: |serve, value| timeout(value).map(|value| serve.settings.timeout = value),
    },
    Flag {
        name: "--max-connections",
        value: Some("N"),
        from_stage: 1,
        help: "the most clients at a time",
        default: || DEFAULT_MAX_CONNECTIONS.to_string(),
        set: |serve, value| at_least_one(value).map(|value| serve.max_connections = Some(value)),
    },
    Flag {
        name: "--without",
        value: Some("KEYWORD"),
        from_stage: STAGE_OF_EXTENSIONS,
        help: "leave this keyword out of the reply to EHLO, to see how a client does without; may be given \
               again",
        default: String::new,
        set: |serve, value| keyword(value).map(|value| serve.settings.without.push(value)),
    },
    Flag {
        name: "--login",
        value: Some("any"),
        from_stage: STAGE_OF_AUTH,
        help: "let clients log in, with any name and any password; they needn't",
        default: String::new,
        set: |serve, value| match value {
            "any" => {
                serve.settings.login = Login::Any;
                Ok(())
            }
            _ => Err(format!(
                "takes the word any, not {value:?}; for a file of users: --users"
            )),
        },
    },
    Flag {
        name: "--users",
        value: Some("FILE"),
        from_stage: STAGE_OF_AUTH,
        help: "take mail from these users only, who log in; a line name:password for each",
        default: String::new,
        set: |serve, value| match value {
            "" => Err("takes a file".to_string()),
            _ => {
                serve.users = Some(PathBuf::from(value));
                Ok(())
            }
        },
    },
    Flag {
        name: "--tls-in-front",
        value: None,
        from_stage: STAGE_OF_AUTH,
        help: "take the passwords of --users on an address that others reach: a program in front speaks TLS",
        default: String::new,
        set: |serve, _| {
            serve.tls_in_front = true;
            Ok(())
        },
    },
    Flag {
        name: "--proxy",
        value: None,
        from_stage: STAGE_OF_PROXY,
        help: "clients come through a proxy, which says in a PROXY header (version 1) who each is",
        default: String::new,
        set: |serve, _| {
            serve.settings.proxy = true;
            Ok(())
        },
    },
    Flag {
        name: "--fault",
        value: Some("SPEC"),
        from_stage: STAGE_OF_FAULTS,
        help: "let something go wrong, such as RCPT=550 or DATA=451:first 2; with the word addresses, a \
               recipient such as rcpt-550@example.com chooses; may be given again",
        default: String::new,
        set: |serve, value| match value {
            ADDRESSES => {
                serve.settings.fault_addresses = true;
                Ok(())
            }
            spec => Fault::parse(spec).map(|fault| serve.settings.faults.push(fault)),
        },
    },
];

/// A sentence that names the argument at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads the arguments.
///
/// ```
/// use smtp_from_scratch::cli::{Request, parse};
///
/// let arguments = ["--stage", "1", "--listen=localhost:3333"];
/// let Ok(Request::Serve(serve)) = parse(arguments.iter().map(Into::into)) else { panic!() };
/// assert_eq!(serve.stage.name, "echo");
/// assert_eq!(serve.listen, "localhost:3333");
/// ```
///
/// # Errors
/// The first argument that makes no sense.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut arguments = arguments.map(text).peekable();
    match arguments.peek() {
        Some(Ok(word)) if word == "send" => return send::parse(arguments.skip(1)),
        Some(Ok(word)) if word == "wait" => return wait::parse(arguments.skip(1)),
        _ => {}
    }
    let mut serve = Serve {
        listen: DEFAULT_LISTEN.to_string(),
        stage: &STAGES[STAGES.len() - 1],
        maildir: Some(PathBuf::from(DEFAULT_MAILDIR)),
        max_connections: None,
        users: None,
        tls_in_front: false,
        warnings: Vec::new(),
        settings: Settings::default(),
    };
    let mut given: Vec<&Flag> = Vec::new();
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        match argument.as_str() {
            "serve" => continue,
            "--help" | "-h" => return Ok(Request::Help),
            "--version" | "-V" => return Ok(Request::Version),
            _ => {}
        }
        let (name, attached) = name_and_value(&argument);
        let flag = find(name)?;
        let value = match (flag.value, attached) {
            (Some(_), Some(value)) => value,
            (Some(_), None) => next(&mut arguments, name)?,
            (None, Some(_)) => return Err(UsageError(format!("{name} takes no value"))),
            (None, None) => String::new(),
        };
        (flag.set)(&mut serve, &value).map_err(|wrong| UsageError(format!("{name} {wrong}")))?;
        given.push(flag);
    }
    if is_given(&given, "--discard") && is_given(&given, "--maildir") {
        return Err(UsageError(
            "--discard and --maildir contradict each other: mail is dropped or stored".to_string(),
        ));
    }
    if is_given(&given, "--login") && is_given(&given, "--users") {
        return Err(UsageError(
            "--login any and --users contradict each other: any password is right, or only some are"
                .to_string(),
        ));
    }
    serve.warnings = warnings(&given, serve.stage.number);
    let has_auth = serve.stage.number >= STAGE_OF_AUTH;
    if has_auth && serve.tls_in_front && serve.users.is_none() {
        let warning = "--tls-in-front means nothing without --users";
        serve.warnings.push(warning.to_string());
    }
    Ok(Request::Serve(Box::new(serve)))
}

/// Reads the arguments of a program called sendmail (chapter 13).
///
/// # Errors
/// The first argument that makes no sense.
pub fn parse_as_sendmail(arguments: impl Iterator<Item = OsString>) -> Result<Request, UsageError> {
    send::parse_as_sendmail(arguments.map(text))
}

/// Splits `--name=value`.
pub fn name_and_value(argument: &str) -> (&str, Option<String>) {
    match argument.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value.to_string())),
        _ => (argument, None),
    }
}

/// Returns the value of a flag: the next argument.
///
/// # Errors
/// There is none.
pub fn next(
    arguments: &mut impl Iterator<Item = Result<String, UsageError>>,
    flag: &str,
) -> Result<String, UsageError> {
    arguments
        .next()
        .unwrap_or_else(|| Err(UsageError(format!("{flag} needs a value"))))
}

/// Reads an argument as text.
fn text(argument: OsString) -> Result<String, UsageError> {
    let wrong = |raw: OsString| UsageError(format!("{} is not UTF-8", raw.to_string_lossy()));
    argument.into_string().map_err(wrong)
}

/// Finds the flag with this name.
fn find(name: &str) -> Result<&'static Flag, UsageError> {
    FLAGS.iter().find(|flag| flag.name == name).ok_or_else(|| {
        UsageError(match name.starts_with('-') {
            true => format!(
                "{} is not a flag of this program",
                printable(name.as_bytes())
            ),
            false => format!("{name:?} is not a command; there are serve, send and wait"),
        })
    })
}

/// Says of each given flag that the stage doesn't know that it means nothing.
fn warnings(given: &[&Flag], stage: usize) -> Vec<String> {
    let later = FLAGS.iter().filter(|flag| flag.from_stage > stage);
    let given = later.filter(|flag| is_given(given, flag.name));
    let sentence = |flag: &Flag| {
        let (name, first) = (flag.name, flag.from_stage);
        format!("{name} means nothing to stage {stage}, only from stage {first} on")
    };
    given.map(sentence).collect()
}

fn is_given(given: &[&Flag], name: &str) -> bool {
    given.iter().any(|flag| flag.name == name)
}

/// Returns the text that `--help` prints.
pub fn usage() -> String {
    let mut text = "smtp-from-scratch: an SMTP server told in stages\n\n\
                    usage: smtp-from-scratch [serve] [flags]\n       \
                    smtp-from-scratch send --help\n       \
                    smtp-from-scratch wait --help\n\n"
        .to_string();
    for flag in FLAGS {
        let name = format!("{} {}", flag.name, flag.value.unwrap_or_default());
        text += &usage_lines(&name, &description(flag));
    }
    text += &usage_lines("-h, --help", "print this");
    text += &usage_lines("-V, --version", "print the version");
    text += "\nstages:\n";
    for stage in STAGES {
        text += &format!("  {:2} {:10} {}\n", stage.number, stage.name, stage.title);
    }
    text
}

/// Describes a flag: its effect, its first stage, its default.
fn description(flag: &Flag) -> String {
    let mut notes = Vec::new();
    if flag.from_stage > 1 {
        notes.push(format!("from stage {} on", flag.from_stage));
    }
    let default = (flag.default)();
    if !default.is_empty() {
        notes.push(format!("default: {default}"));
    }
    match notes.is_empty() {
        true => flag.help.to_string(),
        false => format!("{} ({})", flag.help, notes.join("; ")),
    }
}

/// Breaks the description of a flag into lines of 80 columns.
pub fn usage_lines(name: &str, description: &str) -> String {
    const INDENT: usize = 25;
    let mut text = String::new();
    let mut line = format!("  {name:22}");
    for word in description.split(' ') {
        if line.len() > INDENT && line.len() + 1 + word.len() > 80 {
            text += &line;
            text += "\n";
            line = " ".repeat(INDENT - 1);
        }
        line.push(' ');
        line += word;
    }
    text + &line + "\n"
}

fn listen_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        None if text == LISTEN_STDIN => Ok(text.to_string()),
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_string())
        }
        _ => Err(format!(
            "takes ADDRESS:PORT, such as {DEFAULT_LISTEN}, not {text:?}"
        )),
    }
}

fn stage(text: &str) -> Result<&'static Stage, String> {
    let last = STAGES.len();
    stages::find(text).ok_or_else(|| {
        format!("takes a number from 1 to {last} or a name from the list below, not {text:?}")
    })
}

fn host_name(text: &str) -> Result<String, String> {
    match domain::is_host_name(text) {
        true => Ok(text.to_string()),
        false => Err(format!(
            "takes a domain or an address literal, such as mail.example or [127.0.0.1], not {text:?}"
        )),
    }
}

fn mail_domain(text: &str) -> Result<String, String> {
    match domain::is_mail_domain(text) {
        true => Ok(text.to_string()),
        false => host_name(text),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("takes a whole number from 1 up, not {text:?}")),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = Duration::from_secs(at_least_one(text)? as u64);
    if timeout > LONGEST_TIMEOUT {
        let longest = LONGEST_TIMEOUT.as_secs();
        return Err(format!("takes at most {longest} seconds, not {text}"));
    }
    Ok(timeout)
}

fn keyword(text: &str) -> Result<String, String> {
    let keywords = [KEYWORDS, &["AUTH"]].concat();
    match keywords
        .iter()
        .find(|known| known.eq_ignore_ascii_case(text))
    {
        Some(keyword) => Ok(keyword.to_string()),
        None => Err(format!(
            "takes one of {}, not {text:?}",
            keywords.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_a_day_is_accepted() {
        let day = ["--timeout", "86400"].map(OsString::from).into_iter();
        let Ok(Request::Serve(serve)) = parse(day) else {
            panic!("a day is not too long");
        };
        assert_eq!(serve.settings.timeout, LONGEST_TIMEOUT);
    }

    #[test]
    fn the_usage_fits_a_terminal_of_80_columns() {
        for line in usage().lines() {
            assert!(line.len() <= 80, "{line}");
        }
    }
}
