//! The zoo: servers with one classic mistake each. A test that no animal can fail proves nothing.
//!
//! Every animal is the same small server, written like a first server that works, with one mistake built
//! in. Without a mistake that server passes every test that the animals fail.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic;
use std::sync::mpsc::Sender;
use std::thread;

use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::parameter::none_offered;
use smtp_from_scratch::path::{self, Path};
use smtp_from_scratch::reply::Reply;

use super::target::with_animal;
use super::tests_our_tests;

/// Names the mistake of an animal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    NoneInEcho,
    EchoWithoutLineEnd,
    EchoOfEachRead,
    OneReadIsOneCommand,
    NoUnstuffing,
    LfDotLfEndsTheData,
    LfDotCrlfEndsTheData,
    RcptBeforeMail,
    PanicsWithoutColon,
    DiesOn8BitBytes,
    RepliesEndInBareLf,
    StateKeptAfterData,
    StateKeptAfterEhlo,
    NoopForgetsTheTransaction,
    ReplyBeforeTheMessageIsComplete,
    InterruptedMessageDelivered,
    PipelinedRepliesLost,
    RsetKeepsTheRecipients,
    OverlongLineRunsAsTwo,
    QuitWithoutGoodbye,
    OneRecipientOnly,
}

/// Lists the mistakes, each with the stage whose tests catch it, and the words of their message that name it.
pub const MISTAKES: [(Mistake, usize, &str); 20] = [
    (
        Mistake::EchoWithoutLineEnd,
        1,
        "a line comes back with its line end",
    ),
    (Mistake::EchoOfEachRead, 1, "TCP has no message boundaries"),
    (
        Mistake::RepliesEndInBareLf,
        2,
        "CR LF at the end of this line, not a bare LF (2.3.8)",
    ),
    (
        Mistake::DiesOn8BitBytes,
        3,
        "an 8-bit byte gets 500, and the server lives on",
    ),
    (
        Mistake::OverlongLineRunsAsTwo,
        3,
        "its tail is not the next command",
    ),
    (
        Mistake::OneReadIsOneCommand,
        3,
        "one read is not one command",
    ),
    (
        Mistake::PipelinedRepliesLost,
        3,
        "This time they came many in one segment",
    ),
    (
        Mistake::StateKeptAfterEhlo,
        4,
        "a new EHLO resets the session as RSET does",
    ),
    (
        Mistake::PanicsWithoutColon,
        4,
        "MAIL without its colon or its path is a syntax error",
    ),
    (
        Mistake::RcptBeforeMail,
        5,
        "RCPT without a previous MAIL gets 503",
    ),
    (
        Mistake::OneRecipientOnly,
        6,
        "each recipient is accepted or refused by itself",
    ),
    (
        Mistake::NoUnstuffing,
        6,
        "the first dot of a line is stuffing and is removed",
    ),
    (
        Mistake::LfDotLfEndsTheData,
        6,
        "LF . LF must not be treated as the end of the data",
    ),
    (
        Mistake::LfDotCrlfEndsTheData,
        6,
        "LF . CRLF doesn't end the data",
    ),
    (
        Mistake::StateKeptAfterData,
        6,
        "at the end of the data the transaction is cleared",
    ),
    (
        Mistake::InterruptedMessageDelivered,
        6,
        "a message whose end hasn't come was not sent: no 250, and no delivery",
    ),
    (
        Mistake::ReplyBeforeTheMessageIsComplete,
        6,
        "a message whose end hasn't come was not sent: no 250",
    ),
    (
        Mistake::RsetKeepsTheRecipients,
        7,
        "RSET discards the sender and the recipients",
    ),
    (Mistake::NoopForgetsTheTransaction, 7, "NOOP has no effect"),
    (
        Mistake::QuitWithoutGoodbye,
        7,
        "the server must send 221, and then close",
    ),
];

/// Checks that `test` catches `mistake`, and that the failure message names it.
///
/// On the zoo's server without a mistake `test` must pass.
pub fn catches(test: fn(), mistake: Mistake) {
    if !tests_our_tests() {
        return;
    }
    let mut listed = MISTAKES.into_iter();
    let listed = listed.find(|(listed, ..)| *listed == mistake);
    let (_, stage, diagnosis) = listed.expect("it is in the list");
    let healthy = match stage {
        1 => Mistake::NoneInEcho,
        _ => Mistake::None,
    };
    with_animal(healthy, test);
    let caught = panic::catch_unwind(|| with_animal(mistake, test));
    let payload = caught.expect_err("the animal was not caught");
    let message = payload
        .downcast_ref::<String>()
        .expect("the player's message");
    assert!(
        message.contains(diagnosis),
        "{mistake:?} was caught, but the message does not say {diagnosis:?}:\n{message}"
    );
}

/// Serves for ever, and sends every accepted mail to `stored`.
pub fn serve(listener: &TcpListener, mistake: Mistake, stored: &Sender<Mail>) {
    for stream in listener.incoming() {
        let stored = stored.clone();
        thread::spawn(move || {
            let stream = stream?;
            match mistake {
                Mistake::NoneInEcho | Mistake::EchoWithoutLineEnd | Mistake::EchoOfEachRead => {
                    echo(stream, mistake)
                }
                _ => Animal::new(stream, mistake, stored)?.live(),
            }
        });
    }
}

fn echo(stream: TcpStream, mistake: Mistake) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    loop {
        let mut line = Vec::new();
        if mistake == Mistake::EchoOfEachRead {
            line = input.fill_buf()?.to_vec();
            input.consume(line.len());
        } else {
            input.read_until(b'\n', &mut line)?;
        }
        if line.is_empty() {
            return Ok(());
        }
        if mistake == Mistake::EchoWithoutLineEnd {
            line = line.trim_ascii_end().to_vec();
        }
        output.write_all(&[b"Server says: ", &line[..]].concat())?;
    }
}

struct Animal {
    mistake: Mistake,
    input: BufReader<TcpStream>,
    output: TcpStream,
    greeted: bool,
    transaction: Option<Transaction>,
    stored: Sender<Mail>,
}

#[derive(Clone, Default)]
struct Transaction {
    sender: String,
    recipients: Vec<String>,
}

impl Animal {
    fn new(stream: TcpStream, mistake: Mistake, stored: Sender<Mail>) -> io::Result<Animal> {
        Ok(Animal {
            mistake,
            input: BufReader::new(stream.try_clone()?),
            output: stream,
            greeted: false,
            transaction: None,
            stored,
        })
    }

    fn live(&mut self) -> io::Result<()> {
        self.say("220 zoo.example")?;
        loop {
            let Some(line) = self.hear()? else {
                return Ok(());
            };
            let line = match self.mistake {
                Mistake::DiesOn8BitBytes => String::from_utf8(line).expect("a String").into_bytes(),
                _ => line,
            };
            if line.len() > 512 {
                self.say("500 too long")?;
                continue;
            }
            let unfinished = !line.ends_with(b"\n");
            if unfinished && self.mistake != Mistake::OneReadIsOneCommand {
                return Ok(());
            }
            let crlf = line.ends_with(b"\r\n");
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let text = String::from_utf8_lossy(text);
            let text = text.trim_matches([' ', '\t']);
            if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                self.say("500 not text")?;
                continue;
            }
            let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
            let argument = argument.trim();
            match verb.to_uppercase().as_str() {
                "HELO" | "EHLO" if argument.is_empty() => self.say("501 who?")?,
                "DATA" | "RSET" | "QUIT" if !argument.is_empty() => self.say("501 no argument")?,
                "HELO" | "EHLO" => {
                    self.greeted = true;
                    if self.mistake != Mistake::StateKeptAfterEhlo {
                        self.transaction = None;
                    }
                    self.say("250 zoo.example")?;
                }
                "MAIL" => self.mail(argument)?,
                "RCPT" => self.rcpt(argument)?,
                "DATA" => self.data(crlf)?,
                "RSET" => {
                    match (self.mistake, &mut self.transaction) {
                        (Mistake::RsetKeepsTheRecipients, Some(open)) => open.sender.clear(),
                        (_, transaction) => *transaction = None,
                    }
                    self.say("250 reset")?;
                }
                "NOOP" => {
                    if self.mistake == Mistake::NoopForgetsTheTransaction {
                        self.transaction = None;
                    }
                    self.say("250 here")?;
                }
                "QUIT" => {
                    if self.mistake != Mistake::QuitWithoutGoodbye {
                        self.say("221 bye")?;
                    }
                    return Ok(());
                }
                "AUTH" | "VRFY" | "EXPN" | "HELP" => self.say("502 not here")?,
                _ => self.say("500 what?")?,
            }
        }
    }

    fn say(&mut self, reply: &str) -> io::Result<()> {
        let end = match self.mistake {
            Mistake::RepliesEndInBareLf => "\n",
            _ => "\r\n",
        };
        if self.mistake == Mistake::PipelinedRepliesLost && !self.input.buffer().is_empty() {
            return Ok(());
        }
        self.output.write_all(format!("{reply}{end}").as_bytes())
    }

    /// Reads the next line, with its end.
    fn hear(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.mistake == Mistake::OneReadIsOneCommand {
            let mut block = [0; 4096];
            let length = self.input.read(&mut block)?;
            line.extend_from_slice(&block[..length]);
        } else if self.mistake == Mistake::OverlongLineRunsAsTwo {
            self.input.by_ref().take(513).read_until(b'\n', &mut line)?;
        } else {
            self.input.read_until(b'\n', &mut line)?;
        }
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    fn mail(&mut self, argument: &str) -> io::Result<()> {
        let path = match self.mistake {
            Mistake::PanicsWithoutColon => argument.split(':').collect::<Vec<_>>()[1],
            _ => after("FROM:", argument),
        };
        if !self.greeted || self.transaction.is_some() {
            return self.say("503 not now");
        }
        match mailbox(path::reverse_path(path)) {
            Err(code) => self.say(&format!("{code} refused")),
            Ok(sender) => {
                self.transaction = Some(Transaction {
                    sender,
                    recipients: Vec::new(),
                });
                self.say("250 fine")
            }
        }
    }

    fn rcpt(&mut self, argument: &str) -> io::Result<()> {
        if self.mistake == Mistake::RcptBeforeMail {
            self.transaction.get_or_insert_default();
        }
        let path = after("TO:", argument);
        let Some(transaction) = &mut self.transaction else {
            return self.say("503 no mail yet");
        };
        match mailbox(path::forward_path(path)) {
            Err(code) => self.say(&format!("{code} refused")),
            Ok(recipient) => {
                if self.mistake == Mistake::OneRecipientOnly {
                    transaction.recipients.clear();
                }
                transaction.recipients.push(recipient);
                self.say("250 fine")
            }
        }
    }

    fn data(&mut self, crlf: bool) -> io::Result<()> {
        let open = self.transaction.clone();
        let Some(transaction) = open.filter(|open| !open.recipients.is_empty()) else {
            return self.say("503 not now");
        };
        if self.mistake != Mistake::StateKeptAfterData {
            self.transaction = None;
        }
        self.say("354 go on")?;
        if self.mistake == Mistake::ReplyBeforeTheMessageIsComplete {
            self.say("250 kept")?;
        }
        let mut message = Vec::new();
        let mut ended = false;
        while let Some(line) = self.message_line(crlf)? {
            if self.is_end(&line, crlf) {
                ended = true;
                break;
            }
            let stuffed = line.starts_with(b".") && self.mistake != Mistake::NoUnstuffing;
            message.extend_from_slice(&line[usize::from(stuffed)..]);
        }
        let recipients = transaction.recipients.iter().map(String::as_str);
        let recipients: Vec<&str> = recipients.collect();
        let mail = super::mail(&transaction.sender, &recipients, &message);
        if !ended {
            if self.mistake == Mistake::InterruptedMessageDelivered {
                let _ = self.stored.send(mail);
            }
            return Ok(());
        }
        // After the test nobody receives any more.
        let _ = self.stored.send(mail);
        if self.mistake == Mistake::ReplyBeforeTheMessageIsComplete {
            return Ok(());
        }
        self.say("250 kept")
    }

    /// Reads a line of the message.
    ///
    /// It ends at CRLF, or at LF if DATA ended so.
    fn message_line(&mut self, crlf: bool) -> io::Result<Option<Vec<u8>>> {
        let any_lf = !crlf
            || matches!(
                self.mistake,
                Mistake::LfDotLfEndsTheData | Mistake::LfDotCrlfEndsTheData
            );
        let mut line = Vec::new();
        loop {
            let length = self.input.read_until(b'\n', &mut line)?;
            if length == 0 || any_lf || line.ends_with(b"\r\n") {
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
        }
    }

    fn is_end(&self, line: &[u8], crlf: bool) -> bool {
        line == b".\r\n"
            || (line == b".\n" && (!crlf || self.mistake == Mistake::LfDotLfEndsTheData))
    }
}

/// Returns the mailbox of a path without parameters, or the code of the refusal.
fn mailbox(parsed: Result<(Path, &str), Reply>) -> Result<String, u16> {
    let (path, parameters) = parsed.map_err(|refusal| refusal.code)?;
    none_offered(parameters).map_err(|refusal| refusal.code)?;
    Ok(path.mailbox.to_string())
}

/// Returns the rest of the argument after `word`, or nothing.
fn after<'a>(word: &str, argument: &'a str) -> &'a str {
    match argument.split_at_checked(word.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(word) => rest,
        _ => "",
    }
}
