//! Clients with one classic mistake each: a zoo, to see that the cases in `tests/client_zoo.rs` catch them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a client gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    OneLineIsOneReply,
    OnlyCode250IsYes,
    GivesUpAtARefusedRecipient,
    CallsARefusalSuccess,
    SaysHeloAfterAnyRefusal,
    SendsAgainAfterALostReply,
    CallsALostReplyARefusal,
    CallsALostReplySuccess,
    ForgetsTheDots,
    SendsBareLineFeeds,
    ForgetsTheLastLineEnd,
    PipelinesUnasked,
    SendsEightBitsUnasked,
    TrustsAddresses,
    SendsDataToNobody,
    GoesOnAfter421,
}

/// What it says of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Accepted,
    Refused,
    Unknown,
    /// It was never tried.
    Unfit,
}

/// Sends a message to some recipients, and makes its mistake on the way.
pub fn send(mistake: Mistake, server: &str, to: &[&str], message: &[u8]) -> Vec<Said> {
    let Ok(stream) = TcpStream::connect(server) else {
        return vec![Said::Refused; to.len()];
    };
    let mut client = Clumsy {
        mistake,
        stream: BufReader::new(stream),
        eight_bit: false,
        waiting: mistake == Mistake::PipelinesUnasked,
    };
    // The server of a case that catches it waits for more, and so does the client.
    let patience = Duration::from_millis(if mistake == Mistake::None {
        10_000
    } else {
        200
    });
    let stream = client.stream.get_ref();
    stream.set_read_timeout(Some(patience)).unwrap();
    let said = client.run(to, message);
    if said.contains(&Said::Unknown) && mistake == Mistake::SendsAgainAfterALostReply {
        return send(Mistake::None, server, to, message);
    }
    said
}

struct Clumsy {
    mistake: Mistake,
    stream: BufReader<TcpStream>,
    eight_bit: bool,
    /// Whether commands are sent together.
    waiting: bool,
}

impl Clumsy {
    fn run(&mut self, to: &[&str], message: &[u8]) -> Vec<Said> {
        let refused = vec![Said::Refused; to.len()];
        let greeted = self.reply().and_then(|_| self.hello());
        if !greeted.unwrap_or(false) {
            return refused;
        }
        let is_odd = |address: &&str| address.contains(['\r', '\n', '<', '>']);
        if to.iter().any(is_odd) && self.mistake != Mistake::TrustsAddresses {
            return vec![Said::Unfit; to.len()];
        }
        let needs_more = !message.is_ascii() && !self.eight_bit;
        if needs_more && self.mistake != Mistake::SendsEightBitsUnasked {
            return vec![Said::Unfit; to.len()];
        }
        self.transaction(to, message).unwrap_or(refused)
    }

    fn hello(&mut self) -> io::Result<bool> {
        self.write(b"EHLO client.example\r\n")?;
        let code = self.reply()?;
        let is_old = matches!(code, 500 | 502);
        if is_old || code >= 400 && self.mistake == Mistake::SaysHeloAfterAnyRefusal {
            self.write(b"HELO client.example\r\n")?;
            return Ok(self.reply()? < 400);
        }
        Ok(code < 400)
    }

    fn transaction(&mut self, to: &[&str], message: &[u8]) -> io::Result<Vec<Said>> {
        let mut commands = vec!["MAIL FROM:<ada@example.org>\r\n".to_string()];
        commands.extend(to.iter().map(|address| format!("RCPT TO:<{address}>\r\n")));
        if self.waiting {
            self.write(commands.concat().as_bytes())?;
        }
        let mut said = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            if !self.waiting {
                self.write(command.as_bytes())?;
            }
            let code = self.reply()?;
            if code == 421 && self.mistake != Mistake::GoesOnAfter421 {
                return Ok(vec![Said::Refused; to.len()]);
            }
            let is_yes = self.is_yes(code);
            if number > 0 {
                said.push(if is_yes {
                    Said::Accepted
                } else {
                    Said::Refused
                });
            }
            if !is_yes && (number == 0 || self.mistake == Mistake::GivesUpAtARefusedRecipient) {
                return Ok(vec![Said::Refused; to.len()]);
            }
        }
        if !said.contains(&Said::Accepted) && self.mistake != Mistake::SendsDataToNobody {
            return Ok(said);
        }
        self.write(b"DATA\r\n")?;
        if self.reply()? / 100 != 3 {
            return Ok(vec![Said::Refused; to.len()]);
        }
        self.write(&self.on_the_wire(message))?;
        let last = match self.reply() {
            Ok(code) if self.is_yes(code) => Said::Accepted,
            Ok(_) => Said::Refused,
            Err(_) => match self.mistake {
                Mistake::CallsALostReplyARefusal => Said::Refused,
                Mistake::CallsALostReplySuccess => Said::Accepted,
                _ => Said::Unknown,
            },
        };
        let is_success = self.mistake == Mistake::CallsARefusalSuccess;
        Ok(said
            .into_iter()
            .map(|said| match said {
                Said::Refused if !is_success => Said::Refused,
                _ => last,
            })
            .collect())
    }

    fn is_yes(&self, code: u16) -> bool {
        match self.mistake {
            Mistake::OnlyCode250IsYes => code == 250,
            _ => code / 100 == 2,
        }
    }

    fn on_the_wire(&self, message: &[u8]) -> Vec<u8> {
        let line_end: &[u8] = match self.mistake {
            Mistake::SendsBareLineFeeds => b"\n",
            _ => b"\r\n",
        };
        let mut wire = Vec::new();
        for line in message.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b".") && self.mistake != Mistake::ForgetsTheDots {
                wire.push(b'.');
            }
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            wire.extend_from_slice(content);
            if line.ends_with(b"\n") || self.mistake != Mistake::ForgetsTheLastLineEnd {
                wire.extend_from_slice(line_end);
            }
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads a reply and returns its code.
    fn reply(&mut self) -> io::Result<u16> {
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line)?;
            let line = String::from_utf8_lossy(&line).to_string();
            self.eight_bit |= line.to_ascii_uppercase().contains("8BITMIME");
            let code = line.get(..3).and_then(|digits| digits.parse().ok());
            let code = code.ok_or_else(|| io::Error::other("no reply"))?;
            let is_last = line.get(3..4) != Some("-");
            if is_last || self.mistake == Mistake::OneLineIsOneReply {
                return Ok(code);
            }
        }
    }
}
