//! The command line: `serve` and its flags, usage, errors.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use crate::domain;
use crate::server;
use crate::settings::{DEFAULT_MAX_RECIPIENTS, DEFAULT_MAX_SIZE, Settings};
use crate::stages::{self, STAGES, Stage};
use crate::transcript::printable;

/// Where the server listens unless told otherwise: on this machine only, and on a port that needs
/// no privilege.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:2525";

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// Print [`usage`].
    Help,
    /// Print the version.
    Version,
    /// Run a stage's server.
    Serve(Serve),
}

/// What `serve` needs to know.
#[derive(Debug)]
pub struct Serve {
    /// `ADDRESS:PORT`. The address may be a name; port 0 takes a free one.
    pub listen: String,
    /// The stage to run.
    pub stage: &'static Stage,
    /// Everything that the conversation itself depends on.
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
            let problem = serve(request);
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
        settings: Settings {
            keep: Box::new(|mail, transcript| {
                transcript.mail(mail);
                Ok(())
            }),
            ..Settings::default()
        },
    };
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_string())),
            _ => (argument.as_str(), None),
        };
        let takes_value = !matches!(flag, "--help" | "-h" | "--version" | "-V" | "--quiet");
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
            "--hostname" => serve.settings.hostname = hostname(value()?)?,
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
    Ok(Request::Serve(serve))
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

fn hostname(text: String) -> Result<String, UsageError> {
    if domain::is_host_name(&text) {
        Ok(text)
    } else {
        Err(UsageError(format!(
            "--hostname takes a domain or an address literal, such as mail.example or [127.0.0.1], not {text:?}"
        )))
    }
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
  --max-size BYTES       the largest message taken (default {DEFAULT_MAX_SIZE})
  --max-recipients N     the most recipients of a mail (default {DEFAULT_MAX_RECIPIENTS})
  --quiet                keep the conversation off the terminal; for a program that
                         starts the server and doesn't read on what it prints
  -h, --help             print this
  -V, --version          print the version

stages:
"
    );
    for stage in STAGES {
        text += &format!("  {} {:9} {}\n", stage.number, stage.name, stage.title);
    }
    text
}

/// Listens and serves. Comes back only with the reason why it couldn't start.
fn serve(request: Serve) -> String {
    start_log();
    let bound = TcpListener::bind(&request.listen)
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = match bound {
        Ok(bound) => bound,
        Err(error) => return cannot_listen(&request.listen, &error),
    };
    let mut hello = format!("listening on {address}\n");
    if !request.settings.quiet {
        let Stage {
            number,
            name,
            title,
            ..
        } = request.stage;
        hello += &format!(
            "stage {number} ({name}): {title}. To talk to it: nc {} {}\n",
            address.ip(),
            address.port()
        );
    }
    let _ = io::stdout().write_all(hello.as_bytes());
    server::serve(&listener, request.settings, request.stage.converse)
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
