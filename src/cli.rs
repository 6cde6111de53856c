//! The command line: `serve` and its flags, usage, errors.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::domain;
use crate::maildir::Maildir;
use crate::patience::LONGEST_TIMEOUT;
use crate::server;
use crate::settings::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_RECIPIENTS, DEFAULT_MAX_SIZE, DEFAULT_TIMEOUT, Settings,
};
use crate::stages::{self, STAGES, Stage};
use crate::transcript::printable;

/// Where the server listens unless told otherwise: on this machine only, and on a port that needs
/// no privilege.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:2525";

/// The Maildir where mail is kept unless told otherwise.
pub const DEFAULT_MAILDIR: &str = "mail";

/// The flags that mean nothing to the first stages, and the stage from which on they do.
const LATER_FLAGS: [(&str, usize); 4] = [
    ("--maildir", STAGE_OF_MAILDIR),
    ("--discard", STAGE_OF_MAILDIR),
    ("--timeout", STAGE_OF_LIMITS),
    ("--domain", STAGE_OF_LIMITS),
];

/// The stage from which on mail is kept.
const STAGE_OF_MAILDIR: usize = 8;

/// The stage from which on strangers have limits.
const STAGE_OF_LIMITS: usize = 9;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// Print [`usage`].
    Help,
    /// Print the version.
    Version,
    /// Run a stage's server.
    Serve(Box<Serve>),
}

/// What `serve` needs to know.
#[derive(Debug)]
pub struct Serve {
    /// `ADDRESS:PORT`. The address may be a name; port 0 takes a free one.
    pub listen: String,
    /// The stage to run.
    pub stage: &'static Stage,
    /// Where mail is kept; `None` to forget it. The stages that keep none don't look at it.
    pub maildir: Option<PathBuf>,
    /// The most clients at a time, if the user has chosen that.
    pub max_connections: Option<usize>,
    /// Flags that mean nothing at this stage, in a sentence each.
    pub warnings: Vec<String>,
    /// Everything that the conversation itself depends on. Its Maildir isn't opened yet.
    pub settings: Settings,
}

/// Arguments that make no sense, in one sentence that names the one at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Runs the program on its arguments, given without its own name. Serving ends only by an error.
///
/// The exit code is 0 after `--help` and `--version`, 2 for arguments that make no sense, 1 for a
/// server that can't start.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(arguments) {
        Ok(Request::Help) => print(&usage()),
        Ok(Request::Version) => print(concat!(
            "smtp-from-scratch ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        Ok(Request::Serve(request)) => {
            let problem = match start(*request) {
                Ok((listener, settings, stage)) => {
                    server::serve(&listener, settings, stage.converse)
                }
                Err(problem) => problem,
            };
            let _ = writeln!(io::stderr(), "error: {problem}");
            ExitCode::from(1)
        }
        Err(error) => {
            let _ = write!(io::stderr(), "error: {error}\n\n{}", usage());
            ExitCode::from(2)
        }
    }
}

/// Prints to a terminal that may be gone already (`--help | head -1`).
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Reads the arguments.
///
/// ```
/// use smtp_from_scratch::cli::{Request, parse};
///
/// let arguments = ["--stage", "4", "--listen=localhost:3333"];
/// let Ok(Request::Serve(serve)) = parse(arguments.iter().map(Into::into)) else { panic!() };
/// assert_eq!(serve.stage.name, "mail");
/// assert_eq!(serve.listen, "localhost:3333");
/// ```
///
/// # Errors
/// The first argument that makes no sense.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut arguments = arguments.map(|argument| {
        let wrong = |raw: OsString| UsageError(format!("{} is not UTF-8", raw.to_string_lossy()));
        argument.into_string().map_err(wrong)
    });
    let mut serve = Serve {
        listen: DEFAULT_LISTEN.to_string(),
        stage: &STAGES[STAGES.len() - 1],
        maildir: Some(PathBuf::from(DEFAULT_MAILDIR)),
        max_connections: None,
        warnings: Vec::new(),
        settings: Settings {
            keep: Box::new(|mail, transcript| {
                transcript.mail(mail);
                Ok(())
            }),
            ..Settings::default()
        },
    };
    let mut given: Vec<String> = Vec::new();
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_string())),
            _ => (argument.as_str(), None),
        };
        given.push(flag.to_string());
        let takes_value = !matches!(
            flag,
            "--help" | "-h" | "--version" | "-V" | "--quiet" | "--discard"
        );
        if let (false, Some(_)) = (takes_value, &attached) {
            return Err(UsageError(format!("{flag} takes no value")));
        }
        let mut value = || match attached.clone() {
            Some(value) => Ok(value),
            None => arguments
                .next()
                .unwrap_or_else(|| Err(UsageError(format!("{flag} needs a value")))),
        };
        match flag {
            "serve" => {}
            "--help" | "-h" => return Ok(Request::Help),
            "--version" | "-V" => return Ok(Request::Version),
            "--quiet" => serve.settings.quiet = true,
            "--listen" => serve.listen = listen_address(value()?)?,
            "--stage" => serve.stage = stage(&value()?)?,
            "--hostname" => serve.settings.hostname = host_name(flag, value()?)?,
            "--maildir" => serve.maildir = Some(directory(value()?)?),
            "--discard" => serve.maildir = None,
            "--domain" => serve.settings.domains.push(host_name(flag, value()?)?),
            "--max-connections" => serve.max_connections = Some(at_least_one(flag, &value()?)?),
            "--timeout" => serve.settings.timeout = timeout(flag, &value()?)?,
            "--max-size" => serve.settings.max_size = at_least_one(flag, &value()?)?,
            "--max-recipients" => serve.settings.max_recipients = at_least_one(flag, &value()?)?,
            _ if flag.starts_with('-') => {
                let flag = printable(flag.as_bytes());
                return Err(UsageError(format!("{flag} is not a flag of this program")));
            }
            _ => {
                return Err(UsageError(format!(
                    "{flag:?} is not a command; there is only serve"
                )));
            }
        }
    }
    check_together(&given, &mut serve)?;
    Ok(Request::Serve(Box::new(serve)))
}

/// Checks the flags that were given against each other and against the stage.
fn check_together(given: &[String], serve: &mut Serve) -> Result<(), UsageError> {
    let is_given = |flag: &str| given.iter().any(|given| given == flag);
    if is_given("--discard") && is_given("--maildir") {
        return Err(UsageError(
            "--discard and --maildir contradict each other: mail is forgotten or kept".to_string(),
        ));
    }
    let number = serve.stage.number;
    for (flag, first) in LATER_FLAGS {
        if is_given(flag) && number < first {
            let warning =
                format!("{flag} means nothing to stage {number}, only from stage {first} on");
            serve.warnings.push(warning);
        }
    }
    Ok(())
}

fn listen_address(text: String) -> Result<String, UsageError> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text),
        _ => Err(UsageError(format!(
            "--listen takes ADDRESS:PORT, such as {DEFAULT_LISTEN}, not {text:?}"
        ))),
    }
}

fn stage(text: &str) -> Result<&'static Stage, UsageError> {
    let last = STAGES.len();
    stages::find(text).ok_or_else(|| {
        UsageError(format!(
            "--stage takes a number from 1 to {last} or a name from the list below, not {text:?}"
        ))
    })
}

fn host_name(flag: &str, text: String) -> Result<String, UsageError> {
    if domain::is_host_name(&text) {
        Ok(text)
    } else {
        Err(UsageError(format!(
            "{flag} takes a domain or an address literal, such as mail.example or [127.0.0.1], not {text:?}"
        )))
    }
}

fn directory(text: String) -> Result<PathBuf, UsageError> {
    if text.is_empty() {
        return Err(UsageError("--maildir takes a directory".to_string()));
    }
    Ok(PathBuf::from(text))
}

fn timeout(flag: &str, text: &str) -> Result<Duration, UsageError> {
    let timeout = Duration::from_secs(at_least_one(flag, text)? as u64);
    if timeout > LONGEST_TIMEOUT {
        let longest = LONGEST_TIMEOUT.as_secs();
        return Err(UsageError(format!(
            "{flag} takes at most {longest} seconds, not {text}"
        )));
    }
    Ok(timeout)
}

fn at_least_one(flag: &str, text: &str) -> Result<usize, UsageError> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(UsageError(format!(
            "{flag} takes a whole number from 1 up, not {text:?}"
        ))),
    }
}

/// What `--help` prints.
pub fn usage() -> String {
    let mut text = format!(
        "\
smtp-from-scratch: an SMTP server told in stages

usage: smtp-from-scratch [serve] [flags]

  --listen ADDRESS:PORT  where to listen; port 0 takes a free one
                         (default {DEFAULT_LISTEN})
  --stage N|NAME         which stage to run (default: the last)
  --hostname NAME        the name the server gives itself (default localhost)
  --maildir DIR          where mail is kept, a file for each; it is made if it is
                         missing (from stage {STAGE_OF_MAILDIR} on; default ./{DEFAULT_MAILDIR})
  --discard              accept mail and forget it (from stage {STAGE_OF_MAILDIR} on)
  --domain NAME          take mail for this domain only; may be given again
                         (from stage {STAGE_OF_LIMITS} on; default: for every domain)
  --max-size BYTES       the largest message taken (default {DEFAULT_MAX_SIZE})
  --max-recipients N     the most recipients of a mail (default {DEFAULT_MAX_RECIPIENTS})
  --max-connections N    the most clients at a time (default {DEFAULT_MAX_CONNECTIONS})
  --timeout SECONDS      how long a client may keep the server waiting
                         (from stage {STAGE_OF_LIMITS} on; default {})
  --quiet                keep the conversation off the terminal; for a program that
                         starts the server and doesn't read on what it prints
  -h, --help             print this
  -V, --version          print the version

stages:
",
        DEFAULT_TIMEOUT.as_secs()
    );
    for stage in STAGES {
        text += &format!("  {} {:9} {}\n", stage.number, stage.name, stage.title);
    }
    text
}

/// Everything before the first client: listens, opens the Maildir, says so.
///
/// # Errors
/// Why the server can't start and what to do, in a sentence or two.
fn start(mut request: Serve) -> Result<(TcpListener, Settings, &'static Stage), String> {
    start_log();
    let settings = &mut request.settings;
    let most = server::most_connections();
    settings.max_connections = max_connections(request.max_connections, most)?;
    if settings.max_connections < DEFAULT_MAX_CONNECTIONS && request.max_connections.is_none() {
        request
            .warnings
            .push(too_many(DEFAULT_MAX_CONNECTIONS, most));
    }
    let bound = TcpListener::bind(&request.listen)
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| cannot_listen(&request.listen, &error))?;
    let keeps_mail = request.stage.number >= STAGE_OF_MAILDIR;
    if let (true, Some(directory)) = (keeps_mail, request.maildir) {
        let opened = Maildir::open(directory.clone(), &settings.hostname);
        settings.maildir = Some(opened.map_err(|error| cannot_keep(&directory, &error))?);
    }
    let takes_all = settings.domains.is_empty() || request.stage.number < STAGE_OF_LIMITS;
    if takes_all && !is_this_machine(address) {
        request.warnings.push(format!(
            "whoever reaches {address} may send mail here, for any recipient. \
             To take mail for your own domain only, from stage {STAGE_OF_LIMITS} on: --domain example.com"
        ));
    }
    let mut hello = format!("listening on {address}\n");
    if !settings.quiet {
        hello += &greeting(request.stage, address, settings, keeps_mail);
    } else if keeps_mail && settings.maildir.is_none() {
        request.warnings.push(FORGETTING.to_string());
    }
    let _ = io::stdout().write_all(hello.as_bytes());
    for warning in &request.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok((listener, request.settings, request.stage))
}

/// What `--discard` does.
const FORGETTING: &str = "mail is accepted and forgotten (--discard)";

/// The lines after the first.
fn greeting(stage: &Stage, address: SocketAddr, settings: &Settings, keeps_mail: bool) -> String {
    let reached_at = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut text = format!(
        "stage {} ({}): {}. To talk to it: nc {reached_at} {}\n",
        stage.number,
        stage.name,
        stage.title,
        address.port()
    );
    match &settings.maildir {
        Some(maildir) => {
            let new_mail = maildir.new_mail();
            let new_mail = new_mail.to_string_lossy();
            text += &format!("mail is kept in {}\n", printable(new_mail.as_bytes()));
        }
        None if keeps_mail => text += &format!("{FORGETTING}\n"),
        None => {}
    }
    text
}

/// The most clients at a time: as many as the user has chosen, or the default, or fewer if the machine
/// holds no more than `most`.
///
/// # Errors
/// It can't hold as many as the user has chosen, or none at all.
fn max_connections(chosen: Option<usize>, most: usize) -> Result<usize, String> {
    let wanted = chosen.unwrap_or(DEFAULT_MAX_CONNECTIONS);
    if most == 0 || chosen.is_some_and(|chosen| chosen > most) {
        let problem = too_many(wanted, most);
        return Err(format!(
            "{problem}. Raise them, or choose a lower --max-connections."
        ));
    }
    Ok(wanted.min(most))
}

/// What the machine can't do, and what it takes.
fn too_many(wanted: usize, most: usize) -> String {
    format!(
        "this machine holds {most} connections, not {wanted}: each takes an open file (ulimit -n) and some \
         memory maps (sysctl vm.max_map_count)"
    )
}

/// Whether only this machine can reach the address.
fn is_this_machine(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn cannot_keep(directory: &std::path::Path, error: &io::Error) -> String {
    format!(
        "cannot keep mail in {directory:?}: {error}. Choose a directory that can be made and written to, \
         such as --maildir /tmp/mail, or --discard to keep none."
    )
}

/// One sentence about what is wrong and one about what to do.
fn cannot_listen(listen: &str, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "Another server has this port. Stop it, or choose another port, such as --listen 127.0.0.1:2526 (with cargo: cargo run -- --listen 127.0.0.1:2526)"
        }
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need a privilege. Choose a higher one, such as --listen 127.0.0.1:2525"
        }
        io::ErrorKind::AddrNotAvailable => {
            "This machine has no such address. 127.0.0.1 is always there, 0.0.0.0 means all of them"
        }
        _ => "Choose an address of this machine with --listen, such as --listen 127.0.0.1:2525",
    };
    format!("cannot listen on {listen}: {error}. {what_to_do}.")
}

/// With the feature `log`, everything that is shown goes through it, to standard error. RUST_LOG
/// selects; without it everything is shown.
fn start_log() {
    #[cfg(feature = "log")]
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_timeout_is_a_day() {
        let day = ["--timeout", "86400"].map(OsString::from).into_iter();
        let Ok(Request::Serve(serve)) = parse(day) else {
            panic!("a day is not too long");
        };
        assert_eq!(serve.settings.timeout, LONGEST_TIMEOUT);
    }

    #[test]
    fn there_are_never_more_connections_than_the_machine_holds() {
        assert_eq!(max_connections(None, 5000), Ok(DEFAULT_MAX_CONNECTIONS));
        assert_eq!(max_connections(None, 40), Ok(40));
        assert_eq!(max_connections(Some(40), 40), Ok(40));
        assert_eq!(max_connections(Some(5000), 5000), Ok(5000));
        assert!(max_connections(Some(41), 40).is_err());
        assert!(max_connections(None, 0).is_err());
    }
}
