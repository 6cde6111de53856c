//! The real binary as a server, and its clients.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{self, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use smtp_from_scratch::stages::STAGES;

use super::scratch::ScratchFolder;

/// A program with our command line, to be tested in place of ours.
pub struct Program {
    pub path: PathBuf,
    /// How many stages it has.
    pub stages: usize,
}

/// Returns the program in `SMTP_PROGRAM`, if that is set.
///
/// # Panics
/// The variables contradict each other.
pub fn chosen() -> Option<Program> {
    let stages = env::var("SMTP_STAGE").ok();
    let Some(path) = env::var_os("SMTP_PROGRAM") else {
        assert!(
            stages.is_none(),
            "SMTP_STAGE is the last stage of SMTP_PROGRAM, which isn't set"
        );
        return None;
    };
    let last = STAGES.len();
    let stages = stages.map_or(last, |text| {
        let number = text.parse().ok();
        number
            .filter(|number| (1..=last).contains(number))
            .unwrap_or_else(|| panic!("SMTP_STAGE={text}: it is a number from 1 to {last}"))
    });
    // Its working directory will be another one.
    let path =
        path::absolute(&path).unwrap_or_else(|error| panic!("SMTP_PROGRAM={path:?}: {error}"));
    Some(Program { path, stages })
}

/// Returns the last stage of the program.
pub fn last_stage() -> usize {
    chosen().map_or(STAGES.len(), |program| program.stages)
}

/// Runs the program in `SMTP_PROGRAM`, or else the one that `cargo test` built.
pub fn program() -> Command {
    match chosen() {
        Some(program) => Command::new(program.path),
        None => Command::new(env!("CARGO_BIN_EXE_smtp-from-scratch")),
    }
}

/// Holds a running server, which is killed after the test.
pub struct Server {
    pub child: Child,
    /// The address in its first line.
    pub address: String,
    /// The other lines, of standard output and of standard error.
    pub printed: Receiver<String>,
    /// Its working directory. Its mail is stored there unless the arguments say otherwise.
    pub folder: ScratchFolder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time to wait for a line. A server that works prints it at once.
const PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        Server::spawned(serving(arguments))
    }

    pub fn spawned(mut command: Command) -> Server {
        let folder = ScratchFolder::new();
        command.current_dir(folder.path());
        let (mut child, stdout, address) = spawn(command);
        let (sender, printed) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        pass_on(stdout, sender.clone());
        pass_on(stderr, sender);
        Server {
            child,
            address,
            printed,
            folder,
        }
    }

    pub fn connect(&self) -> Client {
        Client::connected(&self.address)
    }

    /// Sends all lines at once, and returns all replies.
    pub fn talk(&self, lines: &[u8]) -> String {
        let mut client = self.connect();
        client.says(lines);
        let mut replies = String::new();
        client.0.read_to_string(&mut replies).unwrap();
        replies
    }

    /// Reads the server's memory in KiB, if the system is Linux.
    ///
    /// `VmRSS:` is its present size, and `VmHWM:` the largest so far.
    pub fn memory_kib(&self, what: &str) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(what))?;
        line.split_whitespace().next()?.parse().ok()
    }

    pub fn next_line(&self) -> String {
        let line = self.printed.recv_timeout(PATIENCE);
        line.expect("the server prints another line")
    }

    /// Returns the next lines, up to one with one of `ends`.
    pub fn lines_until(&self, ends: &[&str]) -> Vec<String> {
        let mut lines = vec![self.next_line()];
        while !ends.iter().any(|end| lines[lines.len() - 1].contains(end)) {
            lines.push(self.next_line());
        }
        lines
    }
}

/// Runs the program as a server.
///
/// It listens on a free port unless the arguments have another.
pub fn serving(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

/// Runs the program as a server within a limit of `ulimit`.
#[cfg(unix)]
pub fn serving_within(limit: &str, arguments: &str) -> Command {
    let script = format!("ulimit {limit}; exec \"$0\" --quiet --listen 127.0.0.1:0 {arguments}");
    let mut command = Command::new("sh");
    command
        .args([OsStr::new("-c"), script.as_ref()])
        .arg(program().get_program());
    command
}

/// Starts a server and reads the address in its first line.
///
/// # Panics
/// The program isn't such a server.
pub fn spawn(mut command: Command) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = command
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, first) = channel();
    thread::spawn(move || {
        let mut first = String::new();
        let _ = stdout.read_line(&mut first);
        let _ = sender.send((stdout, first));
    });
    let mut printed = match first.recv_timeout(PATIENCE) {
        Ok((stdout, first)) => match first.strip_prefix("listening on ") {
            Some(address) => return (child, stdout, address.trim_end().to_string()),
            None => first,
        },
        Err(_) => "and prints nothing".to_string(),
    };
    let _ = child.kill();
    let _ = child.wait();
    if printed.is_empty() {
        // It has ended, so its last words are there.
        let _ = child.stderr.unwrap().read_to_string(&mut printed);
    }
    panic!(
        "a server's first line is `listening on ADDRESS:PORT`. Not so here:\n$ {command:?}\n{printed}"
    );
}

/// Passes every line on, without the prefix of the feature `log`.
fn pass_on(lines: impl BufRead + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let shown = line.split_once("smtp_from_scratch::conversation] ");
            let shown = shown.map_or(line.as_str(), |(_, shown)| shown);
            if sender.send(shown.to_string()).is_err() {
                return;
            }
        }
    });
}

/// Holds a client's connection to a server.
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    pub fn connected(address: impl ToSocketAddrs) -> Client {
        Client::patient(address, PATIENCE)
    }

    /// Connects a client that waits so long for a line.
    pub fn patient(address: impl ToSocketAddrs, patience: Duration) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        Client(BufReader::new(stream))
    }

    /// Opens a session with EHLO.
    pub fn greeted(address: impl ToSocketAddrs) -> Client {
        let mut client = Client::connected(address);
        client.says(b"EHLO c\r\n");
        client.hears_codes(&["220", "250"]);
        client
    }

    /// Opens a session up to the 354.
    pub fn within_data(address: impl ToSocketAddrs) -> Client {
        let mut client = Client::connected(address);
        client.says(b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client.hears_codes(&["220", "250", "250", "250", "354"]);
        client
    }

    /// Brings a mail of an open session up to its 354.
    pub fn begins_a_mail(&mut self) {
        self.says_data("354");
    }

    /// Brings a mail of an open session up to DATA, answered with `code`.
    pub fn says_data(&mut self, code: &str) {
        self.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        self.hears_codes(&["250", "250", code]);
    }

    /// Sends a mail within an open session, answered with `code`.
    pub fn sends_a_mail(&mut self, code: &str) {
        self.begins_a_mail();
        self.says(b"hi\r\n.\r\n");
        self.hears_codes(&[code]);
    }

    pub fn says(&self, bytes: &[u8]) {
        self.0.get_ref().write_all(bytes).unwrap();
    }

    /// Waits, and fails if the server sends anything meanwhile.
    pub fn hears_nothing_for(&mut self, pause: Duration) {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(pause)).unwrap();
        let silence = stream.read(&mut [0]).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Reads the next line, without its line end.
    pub fn hears(&mut self) -> String {
        self.hears_whole_line().trim_end().to_string()
    }

    /// Reads the next line, line end included.
    pub fn hears_whole_line(&mut self) -> String {
        let mut line = String::new();
        if let Err(error) = self.0.read_line(&mut line) {
            panic!("the server says nothing: {error}");
        }
        line
    }

    /// Reads a reply for each code, in this order. It may have several lines.
    pub fn hears_codes(&mut self, codes: &[&str]) {
        for code in codes {
            loop {
                let line = self.hears();
                assert!(line.starts_with(code), "expected {code}, heard {line:?}");
                if line.as_bytes().get(3) != Some(&b'-') {
                    break;
                }
            }
        }
    }
}
