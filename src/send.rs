//! The command `send`: one mail, from a file or from standard input (chapter 13).
//!
//! It shows the conversation as the server does, then says on a line for each recipient what became
//! of the mail. A script reads the exit code.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::address::addresses;
use crate::cli::{self, DEFAULT_LISTEN, UsageError, name_and_value, next, usage_lines};
use crate::client::{self, Client, Error, Outcome, Timeouts, in_one_line};
use crate::domain::is_host_name;
use crate::header::{self, Field};
use crate::machine;
use crate::mail::Envelope;
use crate::terminal::{printable, printable_beginning};
use crate::trace;
use crate::transcript::Transcript;
use crate::words::encoded;

/// The exit codes and what they mean. Those from 64 up are of `sysexits.h`, as sendmail uses them.
pub const EXIT_CODES: [(u8, &str); 9] = [
    (ALL, "every recipient was accepted"),
    (USAGE, "the command line makes no sense"),
    (SOME, "some recipients were accepted"),
    (
        UNKNOWN,
        "the whole mail was sent and the reply didn't come: it may have arrived",
    ),
    (UNFIT, "the mail can't be sent as it is"),
    (NO_INPUT, "the mail can't be read"),
    (FOR_GOOD, "refused for good"),
    (FOR_NOW, "nothing arrived; try again later"),
    (NO_LOGIN, "the login was refused"),
];

const ALL: u8 = 0;
const USAGE: u8 = 2;
const SOME: u8 = 3;
const UNKNOWN: u8 = 4;
const UNFIT: u8 = 65;
const NO_INPUT: u8 = 66;
const FOR_GOOD: u8 = 69;
/// The exit code for what may go better later.
pub const FOR_NOW: u8 = 75;
const NO_LOGIN: u8 = 77;

/// The variable that has the password. On a command line, every user of the machine could see it.
pub const PASSWORD: &str = "SMTP_PASSWORD";

/// The variable that has the server, for callers of `sendmail`, who can't name one.
pub const SERVER: &str = "SEND_SERVER";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// A name or an address, and a port.
    pub server: String,
    /// The sender on the envelope. It is empty for the null path.
    pub sender: String,
    /// The recipients on the envelope.
    pub recipients: Vec<String>,
    /// Whether the recipients in the header get the mail too.
    pub asks_header: bool,
    /// The subject of a message that comes without a header section.
    pub subject: String,
    /// Our own name, for EHLO.
    pub host_name: String,
    /// The name to log in with; the password is in [`PASSWORD`].
    pub user: Option<String>,
    /// The file with the message; standard input if there is none.
    pub file: Option<PathBuf>,
    /// Whether to say EHLO and QUIT only.
    pub is_probe: bool,
    /// Whether to show no conversation.
    pub is_quiet: bool,
    /// Whether the program is called as sendmail.
    pub is_sendmail: bool,
    /// Whether a line with a lone dot ends the message.
    pub ends_at_dot: bool,
}

impl Default for Request {
    fn default() -> Request {
        let host_name = machine::host_name().filter(|name| is_host_name(name));
        let host_name = host_name.unwrap_or_else(|| "localhost".to_string());
        // cron sets LOGNAME only.
        let user = env::var("USER").or_else(|_| env::var("LOGNAME")).ok();
        let user = user.filter(|user| !user.is_empty());
        let user = user.unwrap_or_else(|| "postmaster".to_string());
        Request {
            server: env::var(SERVER).unwrap_or_else(|_| DEFAULT_LISTEN.to_string()),
            sender: format!("{user}@{host_name}"),
            recipients: Vec::new(),
            asks_header: false,
            subject: "A mail from scratch".to_string(),
            host_name,
            user: None,
            file: None,
            is_probe: false,
            is_quiet: false,
            is_sendmail: false,
            ends_at_dot: false,
        }
    }
}

/// The flags and what they do.
const FLAGS: [(&str, &str); 9] = [
    ("--to ADDRESS", "a recipient; may be given again"),
    ("-t", "send it to those in To, Cc and Bcc as well"),
    (
        "--from ADDRESS",
        "the sender (default: you, at this machine)",
    ),
    (
        "--server ADDRESS:PORT",
        "the server (default: the one in SEND_SERVER, or 127.0.0.1:2525)",
    ),
    (
        "--subject TEXT",
        "the subject of a mail without a header section",
    ),
    (
        "--helo NAME",
        "the name to give in EHLO (default: this machine's)",
    ),
    (
        "--user NAME",
        "log in; the password is in the variable SMTP_PASSWORD",
    ),
    (
        "--probe",
        "say EHLO and QUIT only, to see whether a server is there",
    ),
    ("--quiet", "don't show the conversation"),
];

/// Returns the text that `send --help` prints.
pub fn usage() -> String {
    let mut text = "usage: smtp-from-scratch send --to ADDRESS [flags] [FILE]\n       \
                    sendmail [-t] [-i] [-f ADDRESS] [ADDRESS]...\n\n\
                    Sends the mail in FILE, or on standard input. If it has no header section,\n\
                    it gets one. Under the name sendmail, the program takes what sendmail takes.\n\n"
        .to_string();
    for (flag, help) in FLAGS {
        text += &usage_lines(flag, help);
    }
    text += "\nexit codes:\n";
    for (code, meaning) in EXIT_CODES {
        text += &format!("  {code:2}  {meaning}\n");
    }
    text
}

/// Reads the arguments after `send`.
///
/// # Errors
/// What is wrong with the first argument that makes no sense.
pub fn parse(
    mut arguments: impl Iterator<Item = Result<String, UsageError>>,
) -> Result<cli::Request, UsageError> {
    let mut request = Request::default();
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let (name, attached) = name_and_value(&argument);
        let value = || attached.map_or_else(|| next(&mut arguments, name), Ok);
        match name {
            "--help" | "-h" => return Ok(cli::Request::Usage(usage())),
            "--to" => request.recipients.push(bare(&value()?)),
            "-t" => request.asks_header = true,
            "--from" => request.sender = bare(&value()?),
            "--server" => request.server = value()?,
            "--subject" => request.subject = value()?,
            "--helo" => request.host_name = value()?,
            "--user" => request.user = Some(value()?),
            "--probe" => request.is_probe = true,
            "--quiet" => request.is_quiet = true,
            file if !file.starts_with('-') && request.file.is_none() => {
                request.file = Some(PathBuf::from(&argument));
            }
            _ => {
                let shown = printable(argument.as_bytes());
                return Err(UsageError(format!("send knows no {shown}")));
            }
        }
    }
    checked(request)
}

/// Reads the arguments of a program called sendmail, as PHP, cron and git give them.
///
/// # Errors
/// What is wrong with the first argument that makes no sense.
pub fn parse_as_sendmail(
    mut arguments: impl Iterator<Item = Result<String, UsageError>>,
) -> Result<cli::Request, UsageError> {
    let mut request = Request {
        is_quiet: true,
        is_sendmail: true,
        ends_at_dot: true,
        ..Request::default()
    };
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        match argument.as_str() {
            "-t" => request.asks_header = true,
            "-i" | "-oi" => request.ends_at_dot = false,
            "-ti" | "-it" => {
                request.asks_header = true;
                request.ends_at_dot = false;
            }
            "-f" | "-r" => request.sender = bare(&next(&mut arguments, &argument)?),
            // The sender's name, how to report, how to queue, how the body is encoded.
            "-F" | "-o" | "-O" | "-B" | "-N" | "-R" | "-V" | "-L" => {
                next(&mut arguments, &argument)?;
            }
            "-bm" | "-v" | "-m" | "-n" | "-G" | "-U" => {}
            "--" => {
                for recipient in arguments.by_ref() {
                    request.recipients.push(bare(&recipient?));
                }
            }
            other => match other.split_at_checked(2) {
                Some(("-f" | "-r", sender)) => request.sender = bare(sender),
                Some(("-F" | "-o" | "-O" | "-B" | "-N" | "-R" | "-V" | "-L", _)) => {}
                _ if other.starts_with('-') => {
                    let shown = printable(other.as_bytes());
                    return Err(UsageError(format!("sendmail knows no {shown} here")));
                }
                _ => request.recipients.push(bare(other)),
            },
        }
    }
    request.sender = at_home(&request, request.sender.clone());
    checked(request)
}

/// Takes the brackets off an address.
fn bare(address: &str) -> String {
    let inner = address
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    inner.unwrap_or(address).to_string()
}

/// Checks what no single argument shows.
fn checked(request: Request) -> Result<cli::Request, UsageError> {
    if request.recipients.is_empty() && !request.asks_header && !request.is_probe {
        let problem = "a mail needs a recipient, such as --to bob@example.com";
        return Err(UsageError(problem.to_string()));
    }
    if request.subject.contains(|letter: char| letter.is_control()) {
        return Err(UsageError("--subject takes one line".to_string()));
    }
    let port = request.server.rsplit_once(':').map(|(_, port)| port);
    if port.is_none_or(|port| port.parse::<u16>().is_err()) {
        let shown = printable(request.server.as_bytes());
        return Err(UsageError(format!(
            "--server takes ADDRESS:PORT, not {shown}"
        )));
    }
    Ok(cli::Request::Send(Box::new(request)))
}

/// Does what was asked for. Returns the exit code.
pub fn run(request: &Request) -> u8 {
    match attempt(request) {
        Ok(outcomes) => {
            for (recipient, outcome) in &outcomes {
                let line = format!("{}: {}", printable(recipient.as_bytes()), describe(outcome));
                let _ = match (request.is_sendmail, outcome) {
                    (false, _) => writeln!(io::stdout(), "{line}"),
                    // cron would send it as a mail.
                    (true, Outcome::Accepted(_)) => Ok(()),
                    // The standard output of PHP is a page that strangers read.
                    (true, _) => writeln!(io::stderr(), "{line}"),
                };
            }
            exit_code(&outcomes)
        }
        Err((code, problem)) => {
            let _ = writeln!(io::stderr(), "error: {}", printable(problem.as_bytes()));
            code
        }
    }
}

/// Sends the mail, and returns each recipient with what became of it. The error is an exit code and a
/// sentence.
fn attempt(request: &Request) -> Result<Vec<(String, Outcome)>, (u8, String)> {
    let failed = |error: Error| (code_of(&error), error.to_string());
    if request.is_probe {
        introduced(request)?.quit();
        return Ok(Vec::new());
    }
    let message = read_message(request).map_err(|error| (NO_INPUT, error.to_string()))?;
    let envelope = Envelope {
        reverse_path: request.sender.clone(),
        forward_paths: recipients(request, &message)?,
        smtputf8: false,
    };
    client::check_addresses(&envelope).map_err(failed)?;
    let message = completed(request, message);
    let mut client = introduced(request)?;
    let sent = client.send(&envelope, &message);
    client.quit();
    let outcomes = sent.map_err(failed)?;
    Ok(envelope.forward_paths.into_iter().zip(outcomes).collect())
}

/// Connects, says EHLO, and logs in if it should.
fn introduced(request: &Request) -> Result<Client, (u8, String)> {
    let login = match &request.user {
        Some(user) => {
            let missing = |_| (USAGE, format!("--user needs a password in {PASSWORD}"));
            Some((user, env::var(PASSWORD).map_err(missing)?))
        }
        None => None,
    };
    let failed = |error: Error| (code_of(&error), format!("{}: {error}", request.server));
    let transcript = Transcript::new(1, request.is_quiet);
    let client = Client::connect(&request.server, Timeouts::default(), transcript);
    let mut client = client.map_err(failed)?;
    client.hello(&request.host_name).map_err(failed)?;
    if let Some((user, password)) = login {
        let refused = |error: Error| {
            let code = match code_of(&error) {
                // The server is in trouble, and nothing was wrong with the password.
                FOR_NOW => FOR_NOW,
                _ => NO_LOGIN,
            };
            (
                code,
                format!("{}: the login failed: {error}", request.server),
            )
        };
        client.login(user, &password).map_err(refused)?;
    }
    Ok(client)
}

/// Reads the message from its file or from standard input. Its lines then end in LF.
fn read_message(request: &Request) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    match &request.file {
        Some(file) => {
            let at = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", file.display()))
            };
            message = fs::read(file).map_err(at)?;
        }
        None => {
            io::stdin().read_to_end(&mut message)?;
        }
    }
    let message = with_line_feeds(&message);
    if !request.ends_at_dot {
        return Ok(message);
    }
    let lines = message.split_inclusive(|&byte| byte == b'\n');
    let before_dot = lines.take_while(|line| header::without_line_end(line) != b".");
    Ok(before_dot.collect::<Vec<_>>().concat())
}

/// Ends every line in LF, also those that end in CR alone.
///
/// On the wire that will be a line end. If it weren't one here, a Bcc behind it would be overlooked.
fn with_line_feeds(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(message.len());
    let mut after_cr = false;
    for &byte in message {
        match byte {
            b'\n' if after_cr => {}
            b'\r' => lines.push(b'\n'),
            _ => lines.push(byte),
        }
        after_cr = byte == b'\r';
    }
    lines
}

/// Finds the recipients, in the request and, if it asks for that, in the header. Each is there once.
///
/// The error is an exit code and a sentence.
fn recipients(request: &Request, message: &[u8]) -> Result<Vec<String>, (u8, String)> {
    let mut recipients = request.recipients.clone();
    if request.asks_header {
        let (section, _) = header::split(message);
        let after = &message[section.len()..];
        if !after.is_empty() && !after.starts_with(b"\n") {
            // There may be a Bcc below it.
            let line = after
                .split(|&byte| byte == b'\n')
                .next()
                .unwrap_or_default();
            let shown = printable_beginning(line, 80);
            return Err((UNFIT, format!("a line in the header is no field: {shown}")));
        }
        let is_asked = |field: &Field| {
            let names = [&b"To"[..], b"Cc", b"Bcc"];
            names
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name))
        };
        for field in header::fields(section).filter(is_asked) {
            recipients.extend(addresses(&String::from_utf8_lossy(&field.value)));
        }
    }
    let recipients = recipients.into_iter().map(|path| at_home(request, path));
    let mut seen = HashSet::new();
    Ok(recipients
        .filter(|path| seen.insert(path.clone()))
        .collect())
}

/// As sendmail, makes an address of a name alone, such as `root`: it is a user of this machine.
fn at_home(request: &Request, path: String) -> String {
    match request.is_sendmail && !path.is_empty() && !path.contains('@') {
        true => format!("{path}@{}", request.host_name),
        false => path,
    }
}

/// Takes out what mustn't leave, and adds what is missing: all of the header section if there is none,
/// and as sendmail, what each one must have.
fn completed(request: &Request, message: Vec<u8>) -> Vec<u8> {
    let (section, _) = header::split(&message);
    let names: Vec<&[u8]> = header::fields(section).map(|field| field.name).collect();
    let own = own_fields(request, &message, SystemTime::now());
    if names.is_empty() && !message.starts_with(b"\n") {
        let section: String = own
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        return [section.as_bytes(), b"\n", &message].concat();
    }
    let is_missing = |name: &str| {
        let is_needed = ["From", "Date", "Message-ID"].contains(&name);
        is_needed
            && !names
                .iter()
                .any(|other| other.eq_ignore_ascii_case(name.as_bytes()))
    };
    let missing = own
        .iter()
        .filter(|(name, _)| request.is_sendmail && is_missing(name));
    let missing: String = missing
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    [missing.as_bytes(), &header::without(&message, b"Bcc")].concat()
}

/// Makes the fields of a message without any: those that it must have, and those that its reader misses
/// (RFC 5322, 3.6; RFC 2045, 4 to 6).
fn own_fields(request: &Request, body: &[u8], now: SystemTime) -> Vec<(&'static str, String)> {
    let host_name = &request.host_name;
    let sender = match request.sender.as_str() {
        "" => format!("MAILER-DAEMON@{host_name}"),
        sender => sender.to_string(),
    };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("<{}.{}@{host_name}>", since.as_micros(), process::id());
    let mut fields = vec![
        ("From", sender),
        ("To", request.recipients.join(",\n ")),
        ("Subject", encoded(&request.subject)),
        ("Date", trace::date(now)),
        ("Message-ID", id),
    ];
    if !body.is_ascii() {
        let charset = match std::str::from_utf8(body) {
            Ok(_) => "utf-8",
            Err(_) => "iso-8859-1",
        };
        fields.extend([
            ("MIME-Version", "1.0".to_string()),
            ("Content-Type", format!("text/plain; charset={charset}")),
            ("Content-Transfer-Encoding", "8bit".to_string()),
        ]);
    }
    fields
}

/// Says what became of the mail for one recipient.
fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(reply) => format!("accepted ({})", in_one_line(reply)),
        Outcome::Refused(reply) if reply.code < 500 => {
            format!("refused for now ({})", in_one_line(reply))
        }
        Outcome::Refused(reply) => format!("refused ({})", in_one_line(reply)),
        Outcome::Lost(why) => format!("not sent ({why})"),
        Outcome::Unknown(why) => format!("unknown, it may have arrived ({why})"),
    }
}

/// Sums up the outcomes.
fn exit_code(outcomes: &[(String, Outcome)]) -> u8 {
    let outcomes: Vec<&Outcome> = outcomes.iter().map(|(_, outcome)| outcome).collect();
    let is_accepted = |outcome: &&Outcome| matches!(outcome, Outcome::Accepted(_));
    let is_unknown = |outcome: &&Outcome| matches!(outcome, Outcome::Unknown(_));
    let is_for_good =
        |outcome: &&Outcome| matches!(outcome, Outcome::Refused(reply) if reply.code >= 500);
    if outcomes.iter().any(is_unknown) {
        UNKNOWN
    } else if outcomes.iter().all(is_accepted) {
        ALL
    } else if outcomes.iter().any(is_accepted) {
        SOME
    } else if outcomes.iter().all(is_for_good) {
        FOR_GOOD
    } else {
        FOR_NOW
    }
}

/// Finds the exit code for what ended the conversation before the mail.
fn code_of(error: &Error) -> u8 {
    match error {
        Error::Refused(reply) if reply.code >= 500 => FOR_GOOD,
        Error::Refused(_) | Error::Broken(_) => FOR_NOW,
        Error::Unfit(_) => UNFIT,
    }
}
