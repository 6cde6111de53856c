//! The command `wait`: waits until a mail has come (chapter 13).
//!
//! It looks into the Maildir and nowhere else, so it doesn't matter whether the mail comes before it
//! starts, while it looks, or later, or whether a mail program has moved it from `new` to `cur`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cli::{self, DEFAULT_MAILDIR, UsageError, name_and_value, next, usage_lines};
use crate::header::{self, Field};
use crate::send::FOR_NOW;
use crate::terminal::{printable, printable_beginning};
use crate::words;

/// How long to rest before looking again. The standard library can't be told when a file appears.
const REST: Duration = Duration::from_millis(20);

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the mail is stored.
    pub maildir: PathBuf,
    /// The recipient on the envelope, which the server writes into `Delivered-To:`.
    pub recipient: Option<String>,
    /// The sender on the envelope, which the server writes into `Return-Path:`.
    pub sender: Option<String>,
    /// A part of the subject.
    pub subject: Option<String>,
    /// The mails that count.
    pub since: Since,
    /// How long to wait.
    pub timeout: Duration,
}

/// From when on a mail counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// All that are there, and all that come.
    Ever,
    /// Those that aren't there yet.
    Now,
    /// Those from this time on, in whole seconds.
    Time(SystemTime),
}

/// The flags and what they do.
const FLAGS: [(&str, &str); 6] = [
    ("--maildir DIR", "where mail is stored (default: ./mail)"),
    ("--to ADDRESS", "a mail for this recipient"),
    ("--from ADDRESS", "a mail from this sender"),
    ("--subject TEXT", "a mail with this in its subject"),
    (
        "--since now|SECONDS",
        "only mail that comes from now on, or from that time on, as date +%s prints it",
    ),
    ("--timeout SECONDS", "how long to wait (default: 10)"),
];

/// Returns the text that `wait --help` prints.
pub fn usage() -> String {
    let mut text = "usage: smtp-from-scratch wait [flags]\n\n\
                    Waits until a mail that fits is there, prints the path of its file, and exits\n\
                    with 0. After the time it says what did come, and exits with 75.\n\n"
        .to_string();
    for (flag, help) in FLAGS {
        text += &usage_lines(flag, help);
    }
    text
}

/// Reads the arguments after `wait`.
///
/// # Errors
/// What is wrong with the first argument that makes no sense.
pub fn parse(
    mut arguments: impl Iterator<Item = Result<String, UsageError>>,
) -> Result<cli::Request, UsageError> {
    let mut request = Request {
        maildir: PathBuf::from(DEFAULT_MAILDIR),
        recipient: None,
        sender: None,
        subject: None,
        since: Since::Ever,
        timeout: Duration::from_secs(10),
    };
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let (name, attached) = name_and_value(&argument);
        let value = || attached.map_or_else(|| next(&mut arguments, name), Ok);
        match name {
            "--help" | "-h" => return Ok(cli::Request::Usage(usage())),
            "--maildir" => request.maildir = PathBuf::from(value()?),
            "--to" => request.recipient = Some(value()?),
            "--from" => request.sender = Some(value()?),
            "--subject" => request.subject = Some(value()?),
            "--since" => {
                request.since = match value()?.as_str() {
                    "now" => Since::Now,
                    time => Since::Time(UNIX_EPOCH + seconds(name, time)?),
                }
            }
            "--timeout" => request.timeout = seconds(name, &value()?)?,
            _ => {
                let shown = printable(argument.as_bytes());
                return Err(UsageError(format!("wait knows no {shown}")));
            }
        }
    }
    Ok(cli::Request::Wait(Box::new(request)))
}

fn seconds(flag: &str, text: &str) -> Result<Duration, UsageError> {
    // More would overflow a time.
    let number = text.parse().ok().filter(|&number| number < 1 << 40);
    let seconds = number.map(Duration::from_secs);
    seconds.ok_or_else(|| UsageError(format!("{flag} takes a number of seconds, not {text:?}")))
}

/// Waits for a mail. Returns the exit code.
pub fn run(request: &Request) -> u8 {
    let end = Instant::now() + request.timeout;
    let mut known: HashSet<OsString> = HashSet::new();
    if request.since == Since::Now {
        known.extend(mails(&request.maildir).iter().map(|path| id(path)));
    }
    let mut others = Vec::new();
    loop {
        // The clock comes first: what has come by then is still found.
        let is_last = Instant::now() >= end;
        for path in mails(&request.maildir) {
            if known.contains(&id(&path)) {
                continue;
            }
            // A mail that a mail program moves away at this moment is found at the next.
            let Ok(mail) = fs::read(&path) else { continue };
            known.insert(id(&path));
            if !is_recent(&path, request.since) {
                continue;
            }
            if fits(request, &mail) {
                let _ = writeln!(io::stdout(), "{}", path.display());
                return 0;
            }
            others.push(describe(&mail));
        }
        if is_last {
            let _ = writeln!(io::stderr(), "{}", missing(request, &others));
            return FOR_NOW;
        }
        thread::sleep(REST.min(end.saturating_duration_since(Instant::now())));
    }
}

/// Finds the files of all mails, in no order.
fn mails(maildir: &Path) -> Vec<PathBuf> {
    let folders = ["new", "cur"].map(|folder| maildir.join(folder));
    let entries = folders.iter().flat_map(fs::read_dir).flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Returns what stays of a file's name when a mail program moves it: in `cur`, a colon and letters follow.
fn id(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(':').next().unwrap_or_default().into()
}

/// Says whether a mail is from a time that counts.
fn is_recent(path: &Path, since: Since) -> bool {
    let Since::Time(since) = since else {
        return true;
    };
    // In whole seconds: the clock of a file system is behind by some milliseconds.
    let whole = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    };
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| whole(modified) >= whole(since))
}

/// Says whether a mail is the one that is waited for.
fn fits(request: &Request, mail: &[u8]) -> bool {
    let has = |name: &str, is_right: &dyn Fn(&str) -> bool| {
        values(mail, name).iter().any(|value| is_right(value))
    };
    let is_sender = |sender: &String| {
        let path = format!("<{}>", sender.trim_matches(['<', '>']));
        has("Return-Path", &|value| value.eq_ignore_ascii_case(&path))
    };
    let is_recipient = |recipient: &String| {
        has("Delivered-To", &|value| {
            value.eq_ignore_ascii_case(recipient)
        })
    };
    let is_subject = |subject: &String| has("Subject", &|value| value.contains(subject.as_str()));
    request.sender.as_ref().is_none_or(is_sender)
        && request.recipient.as_ref().is_none_or(is_recipient)
        && request.subject.as_ref().is_none_or(is_subject)
}

/// Returns the values of the fields with a name, in letters that a person can read.
fn values(mail: &[u8], name: &str) -> Vec<String> {
    let (section, _) = header::split(mail);
    let has_name = |field: &Field| field.name.eq_ignore_ascii_case(name.as_bytes());
    let fields = header::fields(section).filter(has_name);
    fields
        .map(|field| words::decoded(&String::from_utf8_lossy(&field.value)))
        .collect()
}

/// Describes a mail in a line.
fn describe(mail: &[u8]) -> String {
    let to = values(mail, "Delivered-To").join(", ");
    let subject = values(mail, "Subject").join(", ");
    let line = format!("to {to}: {subject}");
    printable_beginning(line.as_bytes(), 200).into_owned()
}

/// Says that nothing that fits has come, and what has.
fn missing(request: &Request, others: &[String]) -> String {
    let seconds = request.timeout.as_secs();
    let mut text = format!("no mail that fits in {seconds} seconds");
    if !request.maildir.join("new").is_dir() {
        let shown = printable(request.maildir.as_os_str().as_encoded_bytes()).into_owned();
        text += &format!("; there is no Maildir at {shown}");
    }
    for other in others.iter().rev().take(20) {
        text += &format!("\nanother mail, {other}");
    }
    text
}
