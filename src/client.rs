//! The other end of the wire: a client (chapter 13).
//!
//! A server waits until it is told what to do. A client decides: what a reply means for each
//! recipient, whether it is worth trying again, and whether a mail may have arrived although nobody
//! said so. [`Client`] holds one conversation. [`Client::send`] takes one mail through it and says
//! what became of each recipient.
//!
//! ```no_run
//! use smtp_from_scratch::client::{Client, Outcome, Timeouts};
//! use smtp_from_scratch::mail::Envelope;
//! use smtp_from_scratch::transcript::Transcript;
//!
//! # fn main() -> Result<(), smtp_from_scratch::client::Error> {
//! let envelope = Envelope {
//!     reverse_path: "ada@example.org".to_string(),
//!     forward_paths: vec!["bob@example.com".to_string()],
//!     ..Envelope::default()
//! };
//! let transcript = Transcript::new(1, false);
//! let mut client = Client::connect("127.0.0.1:2525", Timeouts::default(), transcript)?;
//! client.hello("client.example")?;
//! let outcomes = client.send(&envelope, b"Subject: lunch\n\nAt noon?\n")?;
//! client.quit();
//! assert!(matches!(outcomes[0], Outcome::Accepted(_)));
//! # Ok(())
//! # }
//! ```
//!
//! What the quick version gets wrong:
//!
//! - **A reply is a line, and a read.** The greeting may have several lines, one reply may come in
//!   two segments, and five in one.
//! - **250 is the yes.** So are 251 and 252. Only the first digit says yes or no (4.3.2).
//! - **One refused recipient, and the mail is given up.** Then the others don't get it. Or it is sent
//!   and called a success, and nobody learns of the one who didn't.
//! - **HELO, if EHLO fails.** Only where EHLO isn't known. After 421 nobody is there to hear it.
//! - **No reply after the dot? Send it again.** The server may have the mail, and then it has two
//!   (4.5.3.2.6, RFC 1047). The mail is neither sent nor not sent.
//! - **The message as it is.** A dot at the start of a line is lost, and a bare LF is a line end to one
//!   server and none to the next.
//! - **A timeout for each read.** A server that sends a byte a minute never meets it.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::base64;
use crate::data::{self, DataWriter};
use crate::domain::is_host_name;
use crate::mail::Envelope;
use crate::path::{Path, forward_path, reverse_path};
use crate::patience::PatientStream;
use crate::reply::Reply;
use crate::terminal::printable;
use crate::transcript::Transcript;

/// The most octets of a reply, all its lines together. 4.5.3.1.5 gives a line 512; some servers need
/// more of them than others.
pub const MAX_REPLY: u64 = 64 * 1024;

/// How many commands may be under way at a time, where the server offers PIPELINING. So many fit into
/// the buffers of TCP, so we are done with writing before we read, even if the server waits for us to
/// read its replies (RFC 2920, 3.1).
const MAX_GROUP: usize = 100;

/// How many octets of a message are written at a time.
const BLOCK: usize = 8 * 1024;

/// How long to wait for the server, in each phase (4.5.3.2).
///
/// A timeout is for a whole reply, and begins when we first wait for it.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection to one address.
    pub connect: Duration,
    /// For the greeting and for the reply to a command.
    pub command: Duration,
    /// For the 354.
    pub data: Duration,
    /// For the server to take a block of the message.
    pub block: Duration,
    /// For the reply to a message, which the server may search for viruses first.
    pub end: Duration,
    /// For the reply to QUIT, which changes nothing.
    pub quit: Duration,
}

impl Default for Timeouts {
    /// Returns those of 4.5.3.2. `connect` and `quit` aren't in the RFC.
    fn default() -> Timeouts {
        let minutes = |number: u64| Duration::from_secs(number * 60);
        Timeouts {
            connect: Duration::from_secs(30),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}

/// What became of a mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken it over.
    Accepted(Reply),
    /// The server has refused it: for now, if the code begins with a 4, or for good.
    Refused(Reply),
    /// The conversation broke before the whole message was sent. It may be tried again.
    Lost(String),
    /// The conversation broke after the whole message was sent. The server may have it.
    Unknown(String),
}

/// Why a conversation didn't go on.
#[derive(Debug)]
pub enum Error {
    /// The server refused, or closes the connection (421).
    Refused(Reply),
    /// The connection broke, or what came was no reply.
    Broken(io::Error),
    /// This can't be sent to this server as it is, and wasn't.
    Unfit(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Broken(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(reply) => formatter.write_str(&in_one_line(reply)),
            Error::Broken(error) => error.fmt(formatter),
            Error::Unfit(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// One conversation, from the client's side.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<PatientStream>,
    /// Commands that wait to be sent.
    output: Vec<u8>,
    timeouts: Timeouts,
    transcript: Transcript,
    /// Whether the server may still think of a mail that wasn't sent.
    is_open: bool,
    /// Whether the conversation broke, or the server has ended it.
    is_over: bool,
    /// What the server offers, in capitals, a line for each keyword.
    keywords: Vec<String>,
}

impl Client {
    /// Connects and reads the greeting. `server` is a name or an address, and a port.
    ///
    /// The addresses of a name are tried in turn until one answers.
    ///
    /// # Errors
    /// None of them answers, or the server greets with a refusal.
    pub fn connect(
        server: &str,
        timeouts: Timeouts,
        transcript: Transcript,
    ) -> Result<Client, Error> {
        let stream = connect_to_any(server, timeouts.connect, &transcript)?;
        let _ = stream.set_nodelay(true);
        let mut client = Client {
            stream: BufReader::new(PatientStream::new(stream)),
            output: Vec::new(),
            timeouts,
            transcript,
            is_open: false,
            is_over: false,
            keywords: Vec::new(),
        };
        let greeting = client.reply(timeouts.command)?;
        accepted(greeting)?;
        Ok(client)
    }

    /// Says EHLO, and HELO to a server that doesn't know EHLO (3.2).
    ///
    /// # Errors
    /// The server refused, or the connection broke. `name` isn't a domain or an address literal.
    pub fn hello(&mut self, name: &str) -> Result<(), Error> {
        if !is_host_name(name) {
            let shown = printable(name.as_bytes());
            return Err(Error::Unfit(format!("{shown} is no host name")));
        }
        let mut reply = self.exchange(&format!("EHLO {name}"))?;
        self.keywords.clear();
        if matches!(reply.code, 500 | 502) {
            reply = self.exchange(&format!("HELO {name}"))?;
        } else {
            let keywords = reply.text.split('\n').skip(1);
            // Some old servers write AUTH=PLAIN.
            self.keywords = keywords
                .map(|line| line.to_ascii_uppercase().replace('=', " "))
                .collect();
        }
        accepted(reply)?;
        Ok(())
    }

    /// Returns the words after a keyword that the server offers.
    pub fn offers(&self, keyword: &str) -> Option<Vec<&str>> {
        self.keywords.iter().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(keyword)).then(|| words.collect())
        })
    }

    /// Logs in, by PLAIN, or by LOGIN where there is only that (RFC 4954; chapter 11).
    ///
    /// # Errors
    /// The server refused, or offers neither, or the connection broke.
    pub fn login(&mut self, name: &str, password: &str) -> Result<(), Error> {
        let mechanisms = self.offers("AUTH").unwrap_or_default();
        let reply = if mechanisms.contains(&"PLAIN") {
            let secret = base64::encode(format!("\0{name}\0{password}").as_bytes());
            self.exchange(&format!("AUTH PLAIN {secret}"))?
        } else if mechanisms.contains(&"LOGIN") {
            let mut reply = self.exchange("AUTH LOGIN")?;
            for secret in [name, password] {
                if reply.code != 334 {
                    break;
                }
                self.transcript.hide_next_line();
                reply = self.exchange(&base64::encode(secret.as_bytes()))?;
            }
            reply
        } else {
            let problem = "the server offers neither AUTH PLAIN nor AUTH LOGIN";
            return Err(Error::Unfit(problem.to_string()));
        };
        accepted(reply)?;
        Ok(())
    }

    /// Sends a mail. Returns what became of it for each recipient, in their order.
    ///
    /// The message may have any line ends; the server gets CRLF. It goes out if at least one
    /// recipient is accepted. After an outcome other than `Accepted` and `Refused` the conversation is
    /// over, and so it is after a 421. Otherwise the next mail may follow.
    ///
    /// # Errors
    /// It can't be sent to this server as it is, or the conversation is over. Nothing of it has been
    /// sent.
    pub fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Vec<Outcome>, Error> {
        let commands = self.commands(envelope, message)?;
        if self.is_open {
            accepted(self.exchange("RSET")?)?;
        }
        let mut replies = Vec::new();
        let opened = self.open(&commands, &mut replies);
        let outcomes = outcomes_so_far(&replies, envelope.forward_paths.len());
        let is_wanted = outcomes.contains(&None);
        // The replies to MAIL, to each RCPT, and to DATA.
        let answer_to_data = replies.get(commands.len() - 1);
        let last = match (opened, answer_to_data) {
            (Err(error), _) => before_the_end(error),
            (Ok(()), Some(reply)) if reply.code / 100 == 3 => match is_wanted {
                true => self.transfer(message),
                false => {
                    self.send_nothing();
                    return Ok(outcomes.into_iter().flatten().collect());
                }
            },
            (Ok(()), Some(reply)) if reply.code >= 400 => Outcome::Refused(reply.clone()),
            (Ok(()), Some(reply)) => {
                Outcome::Lost(format!("the reply to DATA was {}", in_one_line(reply)))
            }
            // Nobody wants the message, so there was no DATA.
            (Ok(()), None) => return Ok(outcomes.into_iter().flatten().collect()),
        };
        self.is_over |= matches!(last, Outcome::Lost(_) | Outcome::Unknown(_));
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| last.clone()))
            .collect())
    }

    /// Says goodbye, if the conversation isn't over. What becomes of it makes no difference.
    pub fn quit(mut self) {
        if self.is_over {
            // Within a message, QUIT would be a line of it.
            return;
        }
        let quit = self.timeouts.quit;
        let _ = self.say("QUIT").and_then(|()| self.flush(quit));
        let _ = self.reply(quit);
    }

    /// Makes the commands for a mail, up to DATA.
    fn commands(&self, envelope: &Envelope, message: &[u8]) -> Result<Vec<String>, Error> {
        check_addresses(envelope)?;
        let mut mail = format!("MAIL FROM:<{}>", envelope.reverse_path);
        let size = data::size(message);
        if let Some(words) = self.offers("SIZE") {
            let most = words.first().and_then(|word| word.parse().ok());
            // 0 is no limit (RFC 1870, section 4).
            if let Some(most @ 1..) = most.filter(|&most| size > most) {
                return Err(Error::Unfit(format!(
                    "the message has {size} octets, and the server takes {most} at most"
                )));
            }
            mail += &format!(" SIZE={size}");
        }
        if !message.is_ascii() {
            self.require("8BITMIME", "the message has bytes beyond ASCII")?;
            mail += " BODY=8BITMIME";
        }
        let paths = envelope.forward_paths.iter();
        let is_ascii = paths
            .chain([&envelope.reverse_path])
            .all(|path| path.is_ascii());
        if envelope.smtputf8 || !is_ascii {
            self.require("SMTPUTF8", "an address has letters beyond ASCII")?;
            mail += " SMTPUTF8";
        }
        let recipients = envelope.forward_paths.iter();
        let mut commands = vec![mail];
        commands.extend(recipients.map(|path| format!("RCPT TO:<{path}>")));
        commands.push("DATA".to_string());
        Ok(commands)
    }

    /// Checks that the server offers what a mail needs.
    fn require(&self, keyword: &str, why: &str) -> Result<(), Error> {
        match self.offers(keyword) {
            Some(_) => Ok(()),
            None => Err(Error::Unfit(format!(
                "{why}, and the server doesn't offer {keyword}"
            ))),
        }
    }

    /// Sends the commands up to DATA, in groups where the server allows it, and reads every reply.
    ///
    /// It ends early where nobody is left who wants the message.
    fn open(&mut self, commands: &[String], replies: &mut Vec<Reply>) -> Result<(), Error> {
        let group = match self.offers("PIPELINING") {
            Some(_) => MAX_GROUP,
            None => 1,
        };
        for group in commands.chunks(group) {
            let is_only_data = group == ["DATA"];
            if is_only_data && replies[1..].iter().all(is_refusal) {
                break;
            }
            for command in group {
                self.say(command)?;
            }
            self.flush(self.timeouts.command)?;
            for command in group {
                let timeout = match command == "DATA" {
                    true => self.timeouts.data,
                    false => self.timeouts.command,
                };
                let reply = self.reply(timeout)?;
                if reply.code / 100 == 3 && command != "DATA" {
                    // Here only DATA asks for more. It may answer something else.
                    let reply = in_one_line(&reply);
                    return Err(not_smtp(format!("the reply to {command} was {reply}")).into());
                }
                replies.push(reply);
            }
            self.is_open = true;
            if is_refusal(&replies[0]) {
                break;
            }
        }
        Ok(())
    }

    /// Sends the message, and returns what became of it for those who want it.
    fn transfer(&mut self, message: &[u8]) -> Outcome {
        if let Err(error) = self.write_message(message) {
            self.is_over = true;
            // A server that had enough says why, and then closes.
            return match self.reply(self.timeouts.quit) {
                Ok(reply) if is_refusal(&reply) => Outcome::Refused(reply),
                Err(Error::Refused(reply)) => Outcome::Refused(reply),
                _ => before_the_end(error.into()),
            };
        }
        self.is_open = false;
        match self.reply(self.timeouts.end) {
            Ok(reply) if is_refusal(&reply) => Outcome::Refused(reply),
            Ok(reply) if reply.code / 100 == 2 => Outcome::Accepted(reply),
            Ok(reply) => Outcome::Unknown(format!(
                "the reply to the message was {}",
                in_one_line(&reply)
            )),
            Err(Error::Refused(reply)) => Outcome::Refused(reply),
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }

    /// Writes the message and its end.
    fn write_message(&mut self, message: &[u8]) -> io::Result<()> {
        let size = data::size(message);
        self.transcript
            .narrate(format_args!("the message, {size} octets"));
        let mut writer = DataWriter::default();
        for block in message.chunks(BLOCK) {
            writer.write(block, &mut self.output);
            self.flush(self.timeouts.block)?;
        }
        // A reply that is there already isn't the one to the dot. Without its end nothing is delivered.
        if self.has_input()? {
            return Err(not_smtp(
                "the server spoke or left before the end of the message".to_string(),
            ));
        }
        writer.end(&mut self.output);
        self.transcript.client(b".");
        self.flush(self.timeouts.block)
    }

    /// Says whether the server has said something, or closed the connection.
    fn has_input(&self) -> io::Result<bool> {
        let stream = self.stream.get_ref().get_ref();
        stream.set_nonblocking(true)?;
        let waits = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false)?;
        Ok(waits || !self.stream.buffer().is_empty())
    }

    /// Sends a message of nothing: every recipient was refused, and still the server has said 354 (RFC
    /// 2920, 3.1). What it replies makes no difference.
    fn send_nothing(&mut self) {
        let said = self.say(".").and_then(|()| self.flush(self.timeouts.block));
        if said.is_err() || self.reply(self.timeouts.command).is_err() {
            self.is_over = true;
        }
        self.is_open = false;
    }

    /// Sends one command and reads its reply.
    fn exchange(&mut self, command: &str) -> Result<Reply, Error> {
        self.say(command)?;
        self.flush(self.timeouts.command)?;
        self.reply(self.timeouts.command)
    }

    /// Adds a command to those that wait to be sent.
    fn say(&mut self, command: &str) -> io::Result<()> {
        if command.bytes().any(|byte| byte.is_ascii_control()) {
            let problem = "a command can't have control characters";
            return Err(io::Error::new(ErrorKind::InvalidInput, problem));
        }
        self.transcript.client(command.as_bytes());
        self.output.extend_from_slice(command.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Sends what waits.
    fn flush(&mut self, timeout: Duration) -> io::Result<()> {
        let stream = self.stream.get_mut();
        let sent = stream
            .limit(timeout)
            .and_then(|()| stream.write_all(&self.output));
        self.output.clear();
        sent.map_err(of_the_server)
    }

    /// Reads one reply, of as many lines as it has (4.2.1).
    ///
    /// A 421 is an error, since the server closes the connection.
    fn reply(&mut self, timeout: Duration) -> Result<Reply, Error> {
        let stream = self.stream.get_mut();
        stream.limit(timeout)?;
        stream.expect_line();
        let mut left = MAX_REPLY;
        let mut reply: Option<Reply> = None;
        loop {
            let line = self.read_line(&mut left)?;
            self.transcript.server(&line);
            let (code, text, is_last) = reply_line(&line).ok_or_else(|| {
                let shown = printable(&line);
                not_smtp(format!("the server sent no reply, but {shown}"))
            })?;
            let reply = match &mut reply {
                Some(reply) if reply.code != code => {
                    let first = reply.code;
                    return Err(not_smtp(format!("{first} and {code} in one reply")).into());
                }
                Some(reply) => {
                    reply.text = format!("{}\n{text}", reply.text).into();
                    reply
                }
                None => reply.insert(Reply {
                    code,
                    text: text.into(),
                }),
            };
            if is_last {
                return match code {
                    421 => {
                        self.is_over = true;
                        Err(Error::Refused(reply.clone()))
                    }
                    _ => Ok(reply.clone()),
                };
            }
        }
    }

    /// Reads one line, without its line end. `left` is how many octets it may have, and goes down.
    fn read_line(&mut self, left: &mut u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = self
            .stream
            .by_ref()
            .take(*left)
            .read_until(b'\n', &mut line);
        *left -= read.map_err(of_the_server)? as u64;
        if !line.ends_with(b"\n") {
            return Err(match *left {
                0 => not_smtp(format!("a reply of more than {MAX_REPLY} octets")),
                _ => io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"),
            });
        }
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
        Ok(line)
    }
}

/// Connects to the first address that answers.
fn connect_to_any(
    server: &str,
    timeout: Duration,
    transcript: &Transcript,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                transcript.narrate(format_args!("connected to {address}"));
                return Ok(stream);
            }
            Err(error) => {
                transcript.narrate(format_args!("no connection to {address}: {error}"));
                last = error;
            }
        }
    }
    Err(last)
}

/// Returns a reply that begins with a 2.
///
/// # Errors
/// Any other one.
fn accepted(reply: Reply) -> Result<Reply, Error> {
    match reply.code / 100 {
        2 => Ok(reply),
        _ => Err(Error::Refused(reply)),
    }
}

/// Splits a line of a reply into its code and its text, and says whether it is the last (4.2.1).
///
/// The text may be missing, and is made fit to be shown.
fn reply_line(line: &[u8]) -> Option<(u16, String, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let is_code = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (is_last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return None,
    };
    is_code.then(|| (code, printable(text).into_owned(), is_last))
}

/// Writes a reply in one line, so that no server can add a line of its own to what is printed.
pub fn in_one_line(reply: &Reply) -> String {
    format!("{} {}", reply.code, reply.text.replace('\n', " "))
}

/// Says whether a reply refuses a command.
fn is_refusal(reply: &Reply) -> bool {
    reply.code >= 400
}

/// Finds what is known of each recipient after the commands up to DATA. `None` is one who wants the
/// message.
fn outcomes_so_far(replies: &[Reply], recipients: usize) -> Vec<Option<Outcome>> {
    let refusal_of_mail = replies.first().filter(|reply| is_refusal(reply));
    let outcome = |number: usize| {
        let refusal = replies.get(1 + number).filter(|reply| is_refusal(reply));
        refusal_of_mail.or(refusal).cloned().map(Outcome::Refused)
    };
    (0..recipients).map(outcome).collect()
}

/// What a failure before the end of the message means for those who wanted it.
fn before_the_end(error: Error) -> Outcome {
    match error {
        Error::Refused(reply) => Outcome::Refused(reply),
        error => Outcome::Lost(error.to_string()),
    }
}

/// Checks the addresses of an envelope.
///
/// An address with a line end in it would be a command of its own.
///
/// # Errors
/// One of them is no address, or there is no recipient.
pub fn check_addresses(envelope: &Envelope) -> Result<(), Error> {
    let is_whole = |address: &str, read: Result<(Path<'_>, &str), Reply>| {
        let is_whole = read.is_ok_and(|(path, rest)| path.mailbox == address && rest.is_empty());
        is_whole && !address.contains(|letter: char| "<>".contains(letter) || letter.is_control())
    };
    let unfit = |address: &str, what| {
        Error::Unfit(format!("{} is no {what}", printable(address.as_bytes())))
    };
    let sender = &envelope.reverse_path;
    if !is_whole(sender, reverse_path(&format!("<{sender}>"))) {
        return Err(unfit(sender, "sender"));
    }
    if envelope.forward_paths.is_empty() {
        return Err(Error::Unfit("the mail has no recipient".to_string()));
    }
    for recipient in &envelope.forward_paths {
        if !is_whole(recipient, forward_path(&format!("<{recipient}>"))) {
            return Err(unfit(recipient, "recipient"));
        }
    }
    Ok(())
}

/// The error for what isn't SMTP.
fn not_smtp(problem: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

/// Says in an error of the stream who it is that takes too long: here it is the server.
fn of_the_server(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::TimedOut => io::Error::new(ErrorKind::TimedOut, "the server took too long"),
        ErrorKind::WouldBlock => {
            io::Error::new(ErrorKind::TimedOut, "the server doesn't take what is sent")
        }
        _ => error,
    }
}
