//! The start of the program: everything before the first client.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{self, Request, STAGE_OF_LIMITS, STAGE_OF_MAILDIR, Serve};
use crate::machine;
use crate::maildir::Maildir;
use crate::server;
use crate::settings::{DEFAULT_MAX_CONNECTIONS, Settings};
use crate::stages::Stage;
use crate::transcript::printable;

/// Runs the program on its arguments, given without its own name.
///
/// Serving ends only by an error. The exit code is 0 after `--help` and `--version`, 2 for arguments
/// that make no sense, 1 for a server that can't start.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match cli::parse(arguments) {
        Ok(Request::Help) => print(&cli::usage()),
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
            let _ = write!(io::stderr(), "error: {error}\n\n{}", cli::usage());
            ExitCode::from(2)
        }
    }
}

/// Prints to a terminal that may be gone (`--help | head -1`).
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Listens, opens the Maildir, and says so on the terminal.
///
/// # Errors
/// Why the server can't start and what to do, in a sentence or two.
fn start(mut request: Serve) -> Result<(TcpListener, Settings, &'static Stage), String> {
    start_log();
    let settings = &mut request.settings;
    let warnings = &mut request.warnings;
    let most = machine::most_connections();
    settings.max_connections = max_connections(request.max_connections, most)?;
    if settings.max_connections < DEFAULT_MAX_CONNECTIONS && request.max_connections.is_none() {
        warnings.push(too_many(DEFAULT_MAX_CONNECTIONS, most));
    }
    let bound = TcpListener::bind(&request.listen)
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| cannot_listen(&request.listen, &error))?;
    let stores_mail = request.stage.number >= STAGE_OF_MAILDIR;
    if let (true, Some(directory)) = (stores_mail, request.maildir) {
        let opened = Maildir::open(directory.clone(), &settings.hostname);
        let maildir = opened.map_err(|error| cannot_store(&directory, &error))?;
        if !maildir.syncs_names() {
            warnings.push(names_not_synced(&directory));
        }
        settings.maildir = Some(maildir);
    }
    let accepts_all = settings.domains.is_empty() || request.stage.number < STAGE_OF_LIMITS;
    if accepts_all && !is_this_machine(address) {
        warnings.push(format!(
            "anyone who reaches {address} may send mail here, for any recipient. \
             To accept mail for your own domain only, from stage {STAGE_OF_LIMITS} on: --domain example.com"
        ));
    }
    let mut hello = format!("listening on {address}\n");
    if !settings.quiet {
        hello += &description(request.stage, address, settings, stores_mail);
    } else if stores_mail && settings.maildir.is_none() {
        warnings.push(DISCARDING.to_string());
    }
    let _ = io::stdout().write_all(hello.as_bytes());
    for warning in warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok((listener, request.settings, request.stage))
}

/// The effect of `--discard`.
const DISCARDING: &str = "mail is accepted and dropped (--discard)";

/// Describes the server, in the lines after the first.
fn description(
    stage: &Stage,
    address: SocketAddr,
    settings: &Settings,
    stores_mail: bool,
) -> String {
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
            text += &format!("mail is stored in {}\n", printable(new_mail.as_bytes()));
        }
        None if stores_mail => text += &format!("{DISCARDING}\n"),
        None => {}
    }
    text
}

/// Decides how many clients there may be at a time.
///
/// It is the user's choice, or the default, or `most`, which is all that the machine has room for.
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

/// Says how many connections the machine holds, and what limits them.
fn too_many(wanted: usize, most: usize) -> String {
    format!(
        "this machine has room for {most} connections, not {wanted}: each takes an open file (ulimit -n) and some \
         memory maps (sysctl vm.max_map_count)"
    )
}

/// Says whether only this machine can reach the address.
fn is_this_machine(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Warns that the names in a directory can't be synced.
fn names_not_synced(directory: &Path) -> String {
    format!(
        "the file system of {directory:?} cannot sync a directory. The server may crash and lose nothing, but after \
         a power cut mail may be missing for which a client has heard 250"
    )
}

fn cannot_store(directory: &Path, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "Make room there, or choose another",
        _ => "Choose a",
    };
    format!(
        "cannot store mail in {directory:?}: {error}. {what_to_do} directory that can be created and written to, \
         such as --maildir /tmp/mail, or --discard to store none."
    )
}

/// Says what is wrong and what to do.
fn cannot_listen(listen: &str, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        ErrorKind::AddrInUse => {
            "Another server has this port. Stop it, or choose another port, such as --listen 127.0.0.1:2526 (with cargo: cargo run -- --listen 127.0.0.1:2526)"
        }
        ErrorKind::PermissionDenied => {
            "Ports below 1024 need a privilege. Choose a higher one, such as --listen 127.0.0.1:2525"
        }
        ErrorKind::AddrNotAvailable => {
            "This machine has no such address. 127.0.0.1 is always there, 0.0.0.0 means all of them"
        }
        _ => "Choose an address of this machine with --listen, such as --listen 127.0.0.1:2525",
    };
    format!("cannot listen on {listen}: {error}. {what_to_do}.")
}

/// Starts the logger of the feature `log`, which writes to standard error.
///
/// RUST_LOG selects; without it everything is shown.
fn start_log() {
    #[cfg(feature = "log")]
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_limits_the_number_of_connections() {
        assert_eq!(max_connections(None, 5000), Ok(DEFAULT_MAX_CONNECTIONS));
        assert_eq!(max_connections(None, 40), Ok(40));
        assert_eq!(max_connections(Some(40), 40), Ok(40));
        assert_eq!(max_connections(Some(5000), 5000), Ok(5000));
        assert!(max_connections(Some(41), 40).is_err());
        assert!(max_connections(None, 0).is_err());
    }
}
