//! The zoo: servers with one classic mistake each. A test that no animal can fail proves nothing.
//!
//! They are all one small server, written the way one writes the first that works, with a mistake
//! built in where it is asked for. Without a mistake it passes every test that its animals fail.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic;
use std::sync::mpsc::Sender;
use std::thread;

use smtp_from_scratch::mail::Mail;

use super::skipped;
use super::target::{self, with_animal};

/// What an animal does wrong.
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

/// Checks that `test` passes on the zoo's server without a mistake, fails on the one with `mistake`,
/// and says `diagnosis` when it does.
pub fn catches(test: fn(), mistake: Mistake, diagnosis: &str) {
    if target::external().is_some() {
        return skipped("it tests our own tests");
    }
    let healthy = match mistake {
        Mistake::EchoWithoutLineEnd | Mistake::EchoOfEachRead => Mistake::NoneInEcho,
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
        "{mistake:?} was caught, but nobody said {diagnosis:?}:\n{message}"
    );
}

/// Serves for ever; a mail that is accepted goes to `kept`.
pub fn serve(listener: &TcpListener, mistake: Mistake, kept: &Sender<Mail>) {
    for stream in listener.incoming() {
        let kept = kept.clone();
        thread::spawn(move || {
            let stream = stream?;
            match mistake {
                Mistake::NoneInEcho | Mistake::EchoWithoutLineEnd | Mistake::EchoOfEachRead => {
                    echo(stream, mistake)
                }
                _ => Animal::new(stream, mistake, kept)?.live(),
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
    mail: Option<Mail>,
    kept: Sender<Mail>,
}

impl Animal {
    fn new(stream: TcpStream, mistake: Mistake, kept: Sender<Mail>) -> io::Result<Animal> {
        Ok(Animal {
            mistake,
            input: BufReader::new(stream.try_clone()?),
            output: stream,
            greeted: false,
            mail: None,
            kept,
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
            match verb.to_uppercase().as_str() {
                "HELO" | "EHLO" => {
                    self.greeted = true;
                    if self.mistake != Mistake::StateKeptAfterEhlo {
                        self.mail = None;
                    }
                    self.say("250 zoo.example")?;
                }
                "MAIL" => self.mail(argument)?,
                "RCPT" => self.rcpt(argument)?,
                "DATA" => self.data(crlf)?,
                "RSET" => {
                    let recipients = self.mail.take().map(|mail| mail.forward_paths);
                    if self.mistake == Mistake::RsetKeepsTheRecipients {
                        self.mail = recipients.map(|forward_paths| Mail {
                            forward_paths,
                            ..Mail::default()
                        });
                    }
                    self.say("250 reset")?;
                }
                "NOOP" => {
                    if self.mistake == Mistake::NoopForgetsTheTransaction {
                        self.mail = None;
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

    /// The next line, with its end.
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
        if !self.greeted || self.mail.is_some() {
            return self.say("503 not now");
        }
        if !path.contains('@') && path != "<>" {
            return self.say("501 from whom?");
        }
        self.mail = Some(Mail {
            reverse_path: path.trim_matches(['<', '>', ' ']).to_string(),
            ..Mail::default()
        });
        self.say("250 fine")
    }

    fn rcpt(&mut self, argument: &str) -> io::Result<()> {
        if self.mistake == Mistake::RcptBeforeMail {
            self.mail.get_or_insert_default();
        }
        let path = after("TO:", argument);
        let Some(mail) = &mut self.mail else {
            return self.say("503 no mail yet");
        };
        if !path.contains('@') {
            return self.say("501 to whom?");
        }
        if self.mistake == Mistake::OneRecipientOnly {
            mail.forward_paths = Default::default();
        }
        mail.forward_paths.push(path.trim_matches(['<', '>', ' ']));
        self.say("250 fine")
    }

    fn data(&mut self, crlf: bool) -> io::Result<()> {
        let Some(mut mail) = self
            .mail
            .clone()
            .filter(|mail| !mail.forward_paths.is_empty())
        else {
            return self.say("503 not now");
        };
        if self.mistake != Mistake::StateKeptAfterData {
            self.mail = None;
        }
        self.say("354 go on")?;
        if self.mistake == Mistake::ReplyBeforeTheMessageIsComplete {
            self.say("250 kept")?;
        }
        let mut ended = false;
        while let Some(line) = self.message_line(crlf)? {
            if self.is_end(&line, crlf) {
                ended = true;
                break;
            }
            let stuffed = line.starts_with(b".") && self.mistake != Mistake::NoUnstuffing;
            mail.message
                .extend_from_slice(&line[usize::from(stuffed)..]);
        }
        if !ended {
            if self.mistake == Mistake::InterruptedMessageDelivered {
                let _ = self.kept.send(mail);
            }
            return Ok(());
        }
        // A test that is over doesn't listen any more.
        let _ = self.kept.send(mail);
        if self.mistake == Mistake::ReplyBeforeTheMessageIsComplete {
            return Ok(());
        }
        self.say("250 kept")
    }

    /// A line of the message: up to CRLF if that is the line end, up to LF if not.
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

/// What follows `word`, or nothing.
fn after<'a>(word: &str, argument: &'a str) -> &'a str {
    match argument.split_at_checked(word.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(word) => rest,
        _ => "",
    }
}
