//! The real binary as a server: started on a free port, listened to, killed when the test is over.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::maildir::ScratchFolder;

/// The program, as `cargo test` built it.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_smtp-from-scratch"))
}

/// A running server. It is killed when the test is over.
pub struct Server {
    pub child: Child,
    /// Where it listens, from its first line.
    pub address: String,
    /// What it prints after the first line, on standard output and on standard error.
    pub printed: Receiver<String>,
    /// Where it runs, and keeps its mail unless the arguments say otherwise.
    pub folder: ScratchFolder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line that a server prints is there at once, or something is wrong.
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

    /// Sends everything at once and hears everything, to the end of the connection.
    pub fn talk(&self, lines: &[u8]) -> String {
        let mut client = self.connect();
        client.says(lines);
        let mut replies = String::new();
        client.0.read_to_string(&mut replies).unwrap();
        replies
    }

    /// How much memory it holds (`VmRSS`), or has held at most (`VmHWM`), in KiB. `None` where the
    /// system doesn't tell in Linux's way.
    pub fn memory_kib(&self, what: &str) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(what))?;
        line.split_whitespace().next()?.parse().ok()
    }

    pub fn next_line(&self) -> String {
        let line = self.printed.recv_timeout(PATIENCE);
        line.expect("the server prints another line")
    }

    /// The next lines, up to the first in which one of `ends` is found.
    pub fn lines_until(&self, ends: &[&str]) -> Vec<String> {
        let mut lines = vec![self.next_line()];
        while !ends.iter().any(|end| lines[lines.len() - 1].contains(end)) {
            lines.push(self.next_line());
        }
        lines
    }
}

/// The program as a server, on a free port unless the arguments say where.
pub fn serving(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

/// The program as a server that may have only so much of something, in the words of the shell's `ulimit`.
#[cfg(unix)]
pub fn serving_within(limit: &str, arguments: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_smtp-from-scratch");
    let script =
        format!("ulimit {limit}; exec '{program}' --quiet --listen 127.0.0.1:0 {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    command
}

/// Starts a server and reads the first line that it prints.
pub fn spawn(mut command: Command) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = command
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let address = first.strip_prefix("listening on ").expect("the first line");
    let address = address.trim_end().to_string();
    (child, stdout, address)
}

/// Hands on every line, without what the logger of the feature `log` puts in front.
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

/// A client of such a server.
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    pub fn connected(address: impl ToSocketAddrs) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    /// A client in the middle of a session: the server waits for its message.
    pub fn within_data(address: impl ToSocketAddrs) -> Client {
        let mut client = Client::connected(address);
        client.says(b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client.hears_codes(&["220", "250", "250", "250", "354"]);
        client
    }

    pub fn says(&self, bytes: &[u8]) {
        self.0.get_ref().write_all(bytes).unwrap();
    }

    /// Waits, while the server has nothing to say.
    pub fn hears_nothing_for(&mut self, pause: Duration) {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(pause)).unwrap();
        let silence = stream.read(&mut [0]).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    pub fn hears(&mut self) -> String {
        let mut line = String::new();
        if let Err(error) = self.0.read_line(&mut line) {
            panic!("the server says nothing: {error}");
        }
        line.trim_end().to_string()
    }

    /// Hears a line for each code, in this order.
    pub fn hears_codes(&mut self, codes: &[&str]) {
        for code in codes {
            let line = self.hears();
            assert!(line.starts_with(code), "expected {code}, heard {line:?}");
        }
    }
}
