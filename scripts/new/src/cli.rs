//! The command line: a table of flags, from which parsing, usage and warnings come.

use std::ffi::OsString;
use std::fmt;

use crate::settings::Settings;
use crate::stages::{self, STAGES, Stage};
use crate::terminal::printable;

/// The address of the server unless the user chooses another: on this machine only, and on a port
/// that needs no privilege.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:2525";

/// A request to the program, as the arguments make it.
#[derive(Debug)]
pub enum Request {
    /// Print [`usage`].
    Help,
    /// Print the version.
    Version,
    /// Run a stage's server.
    Serve(Box<Serve>),
}

/// A server to run.
#[derive(Debug)]
pub struct Serve {
    /// `ADDRESS:PORT`. The address may be a name; port 0 takes a free one.
    pub listen: String,
    /// The stage to run.
    pub stage: &'static Stage,
    /// Flags without a meaning at this stage, in a sentence each.
    pub warnings: Vec<String>,
    /// The settings of the conversation itself.
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
        help: "where to listen; port 0 takes a free one",
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
    let mut arguments = arguments.map(|argument| {
        let wrong = |raw: OsString| UsageError(format!("{} is not UTF-8", raw.to_string_lossy()));
        argument.into_string().map_err(wrong)
    });
    let mut serve = Serve {
        listen: DEFAULT_LISTEN.to_string(),
        stage: &STAGES[STAGES.len() - 1],
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
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_string())),
            _ => (argument.as_str(), None),
        };
        let flag = find(name)?;
        let value = match (flag.value, attached) {
            (Some(_), Some(value)) => value,
            (Some(_), None) => arguments
                .next()
                .unwrap_or_else(|| Err(UsageError(format!("{name} needs a value"))))?,
            (None, Some(_)) => return Err(UsageError(format!("{name} takes no value"))),
            (None, None) => String::new(),
        };
        (flag.set)(&mut serve, &value).map_err(|wrong| UsageError(format!("{name} {wrong}")))?;
        given.push(flag);
    }
    serve.warnings = warnings(&given, serve.stage.number);
    Ok(Request::Serve(Box::new(serve)))
}

/// Finds the flag with this name.
fn find(name: &str) -> Result<&'static Flag, UsageError> {
    FLAGS.iter().find(|flag| flag.name == name).ok_or_else(|| {
        UsageError(match name.starts_with('-') {
            true => format!(
                "{} is not a flag of this program",
                printable(name.as_bytes())
            ),
            false => format!("{name:?} is not a command; there is only serve"),
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
                    usage: smtp-from-scratch [serve] [flags]\n\n"
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
fn usage_lines(name: &str, description: &str) -> String {
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
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_string()),
        false => Err(format!("takes a name such as mail.example, not {text:?}")),
    }
}
