//! The one small server that all animals of the zoo are, with the mistakes built in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;

use smtp_from_scratch::base64;
use smtp_from_scratch::cli::STAGE_OF_EXTENSIONS;
use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::parameter::{none_offered, parameters};
use smtp_from_scratch::path::{self, Path};
use smtp_from_scratch::reply::Reply;
use smtp_from_scratch::users::Users;

use super::target::USERS;
use super::zoo::{MISTAKES, Mistake};

/// What the test hears of an animal besides its replies.
#[derive(Clone)]
pub struct Ears {
    /// The mails that it accepts.
    pub stored: Sender<Mail>,
    /// The lines that it shows on its terminal.
    pub shown: Sender<String>,
}

pub fn echo(stream: TcpStream, mistake: Mistake) -> io::Result<()> {
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

pub struct Animal {
    mistake: Mistake,
    input: BufReader<TcpStream>,
    output: TcpStream,
    greeted: bool,
    esmtp: bool,
    logged_in: bool,
    transaction: Option<Transaction>,
    ears: Ears,
}

/// The largest message, as EHLO announces it.
const MAX_SIZE: u64 = 26_214_400;

/// The verbs that are shown. Whatever else a client says may be a secret.
const VERBS: [&str; 9] = [
    "HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "AUTH",
];

#[derive(Clone, Default)]
struct Transaction {
    sender: String,
    recipients: Vec<String>,
}

impl Animal {
    pub fn new(stream: TcpStream, mistake: Mistake, ears: Ears) -> io::Result<Animal> {
        Ok(Animal {
            mistake,
            input: BufReader::new(stream.try_clone()?),
            output: stream,
            greeted: false,
            esmtp: false,
            logged_in: false,
            transaction: None,
            ears,
        })
    }

    pub fn live(&mut self) -> io::Result<()> {
        let ended = self.talk();
        self.show("{the server closes the connection}");
        ended
    }

    fn talk(&mut self) -> io::Result<()> {
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
            self.show_line(text);
            match verb.to_uppercase().as_str() {
                "HELO" | "EHLO" if argument.is_empty() => self.say("501 who?")?,
                "DATA" | "RSET" | "QUIT" if !argument.is_empty() => self.say("501 no argument")?,
                "HELO" | "EHLO" => {
                    self.greeted = true;
                    self.esmtp = verb.eq_ignore_ascii_case("EHLO") && self.has_keywords();
                    if self.mistake != Mistake::StateKeptAfterEhlo {
                        self.transaction = None;
                    }
                    if self.esmtp || self.mistake == Mistake::ParametersAfterHelo {
                        self.say("250-zoo.example\r\n250-PIPELINING\r\n250-8BITMIME")?;
                        self.say(&format!("250-SIZE {MAX_SIZE}\r\n250 AUTH PLAIN LOGIN"))?;
                    } else {
                        self.say("250 zoo.example")?;
                    }
                }
                "AUTH" => self.auth(argument)?,
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
                "VRFY" | "EXPN" | "HELP" => self.say("502 not here")?,
                _ => self.say("500 what?")?,
            }
        }
    }

    /// Says whether EHLO has keywords. The animals of earlier chapters are simpler.
    fn has_keywords(&self) -> bool {
        let mut mistakes = MISTAKES.iter();
        let listed = mistakes.find(|(mistake, ..)| *mistake == self.mistake);
        listed.is_none_or(|(_, stage, _)| *stage >= STAGE_OF_EXTENSIONS)
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
        let read = path::reverse_path(path).map_err(|refusal| refusal.code);
        let accepted = read.and_then(|(path, text)| {
            self.accept(text)?;
            Ok(path.mailbox.to_string())
        });
        match accepted {
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

    /// Reads the parameters of MAIL. The error is the code of the refusal.
    fn accept(&self, text: &str) -> Result<(), u16> {
        if !self.esmtp && self.mistake != Mistake::ParametersAfterHelo {
            return none_offered(text).map_err(|refusal| refusal.code);
        }
        let mut answer = Ok(());
        for parameter in parameters(text) {
            let parameter = parameter.map_err(|refusal| refusal.code)?;
            let size = parameter.value.and_then(|value| value.parse::<u64>().ok());
            answer = match parameter.keyword.to_uppercase().as_str() {
                "SIZE" if self.mistake == Mistake::SizeIgnored => answer,
                "SIZE" if size.is_some_and(|size| size > MAX_SIZE) => Err(552),
                "SIZE" | "BODY" | "AUTH" => answer,
                _ => Err(555),
            };
        }
        answer
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
        if self.mistake == Mistake::EighthBitStripped {
            message.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        let recipients = transaction.recipients.iter().map(String::as_str);
        let recipients: Vec<&str> = recipients.collect();
        let mail = super::mail(&transaction.sender, &recipients, &message);
        if !ended {
            if self.mistake == Mistake::InterruptedMessageDelivered {
                let _ = self.ears.stored.send(mail);
            }
            return Ok(());
        }
        // After the test nobody receives any more.
        let _ = self.ears.stored.send(mail);
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

/// Logging in.
impl Animal {
    fn auth(&mut self, argument: &str) -> io::Result<()> {
        if !self.esmtp || self.logged_in || self.transaction.is_some() {
            return self.say("503 not now");
        }
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial)),
            None => (argument, None),
        };
        let login = match mechanism.to_uppercase().as_str() {
            "PLAIN" => self.plain(initial)?,
            "LOGIN" => self.login(initial)?,
            _ => return self.say("504 how?"),
        };
        let Some((name, password)) = login else {
            return self.say("501 no response");
        };
        let users = Users::parse(USERS).expect("they are users");
        if !users.have(&name, &password) {
            return self.say("535 wrong");
        }
        self.logged_in = true;
        self.say("235 welcome")
    }

    fn plain(&mut self, initial: Option<&str>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let response = self.response("334 ", initial)?.unwrap_or_default();
        let parts: Vec<&[u8]> = response.split(|&byte| byte == 0).collect();
        let [identity, name, password] = parts[..] else {
            return Ok(None);
        };
        let name = match (name, self.mistake) {
            (b"", Mistake::IdentityTakenForTheName) => identity,
            _ if identity.is_empty() || identity == name => name,
            _ => b"nobody",
        };
        Ok(Some((name.to_vec(), password.to_vec())))
    }

    fn login(&mut self, initial: Option<&str>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let initial = initial.filter(|_| self.mistake != Mistake::NameAskedForTwice);
        let Some(name) = self.response("334 VXNlcm5hbWU6", initial)? else {
            return Ok(None);
        };
        let password = self.response("334 UGFzc3dvcmQ6", None)?;
        Ok(password.map(|password| (name, password)))
    }

    /// Returns the response that came with the command, or else asks for one.
    fn response(&mut self, ask: &str, initial: Option<&str>) -> io::Result<Option<Vec<u8>>> {
        if let Some(text) = initial {
            return Ok(self.decode(text.as_bytes()));
        }
        self.say(ask)?;
        let line = self.hear()?.unwrap_or_default();
        match self.mistake {
            Mistake::SecretsShown => self.show(&String::from_utf8_lossy(&line)),
            _ => self.show("C: ..."),
        }
        Ok(self.decode(line.strip_suffix(b"\r\n").unwrap_or(&line)))
    }

    fn decode(&self, text: &[u8]) -> Option<Vec<u8>> {
        if self.mistake != Mistake::AnythingIsBase64 {
            return base64::decode(text);
        }
        // What isn't a letter is left out, and what is missing is added.
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let mut letters: Vec<u8> = text.iter().copied().filter(is_letter).collect();
        while letters.len() % 4 != 0 {
            letters.push(b'=');
        }
        base64::decode(&letters)
    }

    /// Shows a command: its verb, if it has one.
    fn show_line(&self, line: &str) {
        let word = line.split(' ').next().unwrap_or_default();
        let is_verb = VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(word));
        match self.mistake {
            Mistake::SecretsShown => self.show(line),
            _ if is_verb => self.show(word),
            _ => self.show("..."),
        }
    }

    fn show(&self, line: &str) {
        // After the test nobody looks any more.
        let _ = self.ears.shown.send(line.to_string());
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
