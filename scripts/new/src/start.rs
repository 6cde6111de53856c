//! The start of the program: everything before the first client.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use crate::cli::{self, Request, Serve};
use crate::server;
use crate::settings::Settings;
use crate::stages::Stage;

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

/// Listens, and says so on the terminal.
///
/// # Errors
/// Why the server can't start and what to do, in a sentence or two.
fn start(request: Serve) -> Result<(TcpListener, Settings, &'static Stage), String> {
    start_log();
    let bound = TcpListener::bind(&request.listen)
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| cannot_listen(&request.listen, &error))?;
    let _ = io::stdout().write_all(hello(&request, address).as_bytes());
    for warning in &request.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok((listener, request.settings, request.stage))
}

/// Makes the server's first line, and unless it is to be quiet, a description of it.
fn hello(request: &Serve, address: SocketAddr) -> String {
    let mut text = format!("listening on {address}\n");
    if request.settings.quiet {
        return text;
    }
    let reached_at = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let stage = request.stage;
    text += &format!(
        "stage {} ({}): {}. To talk to it: nc {reached_at} {}\n",
        stage.number,
        stage.name,
        stage.title,
        address.port()
    );
    text
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
