//! The start of the program: everything before the first client.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{
    self, LISTEN_STDIN, Request, STAGE_OF_AUTH, STAGE_OF_FAULTS, STAGE_OF_LIMITS, STAGE_OF_MAILDIR,
    STAGE_OF_PROXY, Serve,
};
use crate::faulty;
use crate::machine;
use crate::maildir::Maildir;
use crate::send;
use crate::server;
use crate::settings::{DEFAULT_MAX_CONNECTIONS, Settings};
use crate::stages::Stage;
use crate::stages::stage11_auth;
use crate::terminal::printable;
use crate::users::{Login, Users};
use crate::wait;

/// Runs the program on its arguments, given without its own name.
///
/// Serving ends only by an error. The exit code is 0 after `--help` and `--version`, 2 for arguments
/// that make no sense, 1 for a server that can't start.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parsed = match is_sendmail() {
        true => cli::parse_as_sendmail(arguments),
        false => cli::parse(arguments),
    };
    match parsed {
        Ok(Request::Help) => print(&cli::usage()),
        Ok(Request::Version) => print(concat!(
            "smtp-from-scratch ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        Ok(Request::Usage(usage)) => print(&usage),
        Ok(Request::Send(request)) => {
            start_log();
            ExitCode::from(send::run(&request))
        }
        Ok(Request::Wait(request)) => ExitCode::from(wait::run(&request)),
        Ok(Request::Serve(request)) => {
            let problem = match start(*request) {
                Ok((listener, settings, stage)) => {
                    let has_faults =
                        stage.number >= STAGE_OF_FAULTS && faulty::is_wanted(&settings);
                    let converse = if has_faults {
                        faulty::converse
                    } else {
                        stage.converse
                    };
                    server::serve(&listener, settings, converse)
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

/// Says whether the program was started under the name of sendmail.
fn is_sendmail() -> bool {
    let name = env::args_os().next().unwrap_or_default();
    Path::new(&name).file_stem() == Some("sendmail".as_ref())
}

/// Returns the usage of the command that was given.
fn usage() -> String {
    let command = env::args_os().nth(1).unwrap_or_default();
    match command.to_str() {
        Some("send") => send::usage(),
        Some("wait") => wait::usage(),
        _ if is_sendmail() => send::usage(),
        _ => cli::usage(),
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
    limit_connections(&mut request, machine::most_connections())?;
    let bound =
        listener(&request.listen).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| cannot_listen(&request.listen, &error))?;
    open_users(&mut request, address)?;
    open_maildir(&mut request)?;
    warn_of_strangers(&mut request, address);
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
    if let Some(maildir) = &request.settings.maildir {
        let place = maildir.new_mail();
        let place = place.to_string_lossy();
        text += &format!("mail is stored in {}\n", printable(place.as_bytes()));
    }
    if takes_any_login(request) {
        text += "clients may log in, with any name and any password (--login any)\n";
    }
    let has_faults = stage.number >= STAGE_OF_FAULTS;
    for fault in request.settings.faults.iter().filter(|_| has_faults) {
        text += &format!("a fault on purpose: {}\n", fault.spec);
    }
    if has_faults && request.settings.fault_addresses {
        text += "addresses choose faults, such as rcpt-550@example.com (--fault addresses)\n";
    }
    if has_proxy(request) {
        text += "each client begins with a PROXY header, or is closed (--proxy)\n";
    }
    text
}

/// Binds the address, or takes the socket that is there.
fn listener(listen: &str) -> io::Result<TcpListener> {
    match listen {
        LISTEN_STDIN => listener_at_stdin(),
        address => TcpListener::bind(address),
    }
}

/// Takes the listening socket that is standard input.
#[cfg(unix)]
fn listener_at_stdin() -> io::Result<TcpListener> {
    use std::os::fd::AsFd;

    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    if TcpStream::from(socket.try_clone()?).peer_addr().is_ok() {
        return Err(io::Error::other("it is the connection of one client"));
    }
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(false)?;
    Ok(listener)
}

/// Refuses: elsewhere, standard input is no socket.
#[cfg(not(unix))]
fn listener_at_stdin() -> io::Result<TcpListener> {
    Err(io::Error::from(ErrorKind::Unsupported))
}

/// Says what is wrong and what to do.
fn cannot_listen(listen: &str, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        _ if listen == LISTEN_STDIN => {
            "Standard input must be a listening socket. systemd hands one over, with StandardInput=socket and Accept=no"
        }
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

/// Opens the Maildir, if the stage stores mail and the user wants it.
///
/// # Errors
/// Mail can't be stored there.
fn open_maildir(request: &mut Serve) -> Result<(), String> {
    if request.stage.number < STAGE_OF_MAILDIR {
        return Ok(());
    }
    let Some(directory) = &request.maildir else {
        let warning = "mail is accepted and dropped (--discard)";
        request.warnings.push(warning.to_string());
        return Ok(());
    };
    let opened = Maildir::open(directory.clone(), &request.settings.hostname);
    let maildir = opened.map_err(|error| cannot_store(directory, &error))?;
    if !maildir.syncs_names() {
        request.warnings.push(names_not_synced(directory));
    }
    request.settings.maildir = Some(maildir);
    Ok(())
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

/// Decides how many clients there may be at a time.
///
/// It is the user's choice, or the default, or `most`, which is all that the machine has room for.
///
/// # Errors
/// It can't hold as many as the user has chosen, or none at all.
fn limit_connections(request: &mut Serve, most: usize) -> Result<(), String> {
    let chosen = request.max_connections;
    let wanted = chosen.unwrap_or(DEFAULT_MAX_CONNECTIONS);
    if most < wanted {
        let problem = format!(
            "this machine has room for {most} connections, not {wanted}: each takes an open file (ulimit -n) and \
             some memory maps (sysctl vm.max_map_count)"
        );
        if most == 0 || chosen.is_some() {
            return Err(format!(
                "{problem}. Raise them, or choose a lower --max-connections."
            ));
        }
        request.warnings.push(problem);
    }
    request.settings.max_connections = wanted.min(most);
    Ok(())
}

/// Opens the file of users, if the stage has AUTH and the user wants it.
///
/// # Errors
/// The file can't be used.
fn open_users(request: &mut Serve, address: SocketAddr) -> Result<(), String> {
    if request.stage.number < STAGE_OF_AUTH {
        return Ok(());
    }
    let Some(file) = &request.users else {
        if takes_any_login(request) && others_reach(request, address) {
            let reached = reached(request, address);
            request.warnings.push(format!(
                "anyone who reaches {reached} may log in, with any name and any password (--login any)"
            ));
        }
        return Ok(());
    };
    let users = Users::open(file).map_err(|problem| format!("the file {file:?} {problem}."))?;
    request.settings.login = Login::Users(users);
    if !stage11_auth::is_offered(&request.settings) {
        let warning = "AUTH is left out, so nobody can send mail (--without and --users)";
        request.warnings.push(warning.to_string());
    } else if others_reach(request, address) && !request.tls_in_front {
        let reached = reached(request, address);
        request.settings.without.push("AUTH".to_string());
        request.warnings.push(format!(
            "AUTH is not offered, so nobody can send mail: passwords would cross the network to {reached} in the \
             clear. If a program in front speaks TLS with the clients, say --tls-in-front"
        ));
    }
    Ok(())
}

/// Says whether clients may log in with any name and any password.
fn takes_any_login(request: &Serve) -> bool {
    let (stage, settings) = (request.stage.number, &request.settings);
    let is_offered = stage >= STAGE_OF_AUTH && stage11_auth::is_offered(settings);
    is_offered && matches!(settings.login, Login::Any)
}

/// Says whether other machines can reach an address, themselves or through a proxy.
fn others_reach(request: &Serve, address: SocketAddr) -> bool {
    has_proxy(request) || !address.ip().to_canonical().is_loopback()
}

/// Says whether clients come through a proxy.
fn has_proxy(request: &Serve) -> bool {
    request.settings.proxy && request.stage.number >= STAGE_OF_PROXY
}

/// Names what others reach: the address, or the proxy in front of it.
fn reached(request: &Serve, address: SocketAddr) -> String {
    match has_proxy(request) {
        true => format!("the proxy in front of {address}"),
        false => address.to_string(),
    }
}

/// Warns of an address that others reach, where mail for every domain is accepted.
fn warn_of_strangers(request: &mut Serve, address: SocketAddr) {
    let accepts_all = request.settings.domains.is_empty() || request.stage.number < STAGE_OF_LIMITS;
    let from_anyone = !request.settings.login.is_needed();
    if from_anyone && accepts_all && others_reach(request, address) {
        let reached = reached(request, address);
        request.warnings.push(format!(
            "anyone who reaches {reached} may send mail here, for any recipient. \
             To accept mail for your own domain only, from stage {STAGE_OF_LIMITS} on: --domain example.com"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    /// The limit that comes of a choice, on a machine with room for `most`.
    fn limit(chosen: &str, most: usize) -> Option<usize> {
        let arguments = chosen.split_whitespace().map(OsString::from);
        let Ok(Request::Serve(mut request)) = cli::parse(arguments) else {
            panic!("{chosen}");
        };
        limit_connections(&mut request, most).ok()?;
        Some(request.settings.max_connections)
    }

    #[test]
    fn the_machine_limits_the_number_of_connections() {
        assert_eq!(limit("", 5000), Some(DEFAULT_MAX_CONNECTIONS));
        assert_eq!(limit("", 40), Some(40));
        assert_eq!(limit("--max-connections 40", 40), Some(40));
        assert_eq!(limit("--max-connections 5000", 5000), Some(5000));
        assert_eq!(limit("--max-connections 41", 40), None);
        assert_eq!(limit("", 0), None);
    }
}
