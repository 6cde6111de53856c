//! The notation: a conversation as RFC 5321 writes it.
//!
//! ```text
//! S: 220 ...                           one expected reply line; `...` at its end is any text.
//!                                      A code with `...` alone is one whole reply, even of many lines;
//!                                      `5...` is any refusal
//! C: HELO client.example               sent with CRLF
//! C: b"NOOP\n"                         raw: Rust's escapes, no CRLF added
//! S: b"Server says: "                  raw: exactly these bytes
//! {4.1.4: because of this rule}        the reason for what is expected next
//! {the client closes its side}         no more will be sent; the client still listens
//! {the server closes the connection}   and says nothing more
//! ```

/// Holds one line of the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `S:` a reply line: a literal, or a beginning and `...`.
    Expect(String),
    /// `S: b"..."`
    ExpectBytes(Vec<u8>),
    /// `C:`, with its line end or raw.
    Send(Vec<u8>),
    /// `{the client closes its side}`
    ClientClosesItsSide,
    /// `{the server closes the connection}`
    ServerCloses,
    /// Any other narration.
    Because(String),
    /// Where the next line is written, for the failure message. It isn't part of the notation.
    Place(String),
}

/// Holds a conversation, ready to be played.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Its lines in order.
    pub steps: Vec<Step>,
}

impl Conversation {
    /// Reads the notation.
    ///
    /// # Panics
    /// At a line that isn't in the notation: a test with a typing error must not pass.
    pub fn parse(text: &str) -> Conversation {
        let lines = text.lines().map(str::trim_start);
        Conversation {
            steps: lines.filter(|line| !line.is_empty()).map(step).collect(),
        }
    }

    /// Returns the last reason that it gives.
    pub fn reason(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Because(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    /// Returns all that the client sends, a line each.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        let sent = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes.clone()),
            _ => None,
        });
        sent.collect()
    }
}

fn step(line: &str) -> Step {
    let (speaker, said) = line.split_at(line.len().min(2));
    let said = said.strip_prefix(' ').unwrap_or(said);
    match (speaker, raw(said)) {
        ("C:", Some(bytes)) => Step::Send(bytes),
        ("C:", None) => Step::Send([said.as_bytes(), b"\r\n"].concat()),
        ("S:", Some(bytes)) => Step::ExpectBytes(bytes),
        ("S:", None) => {
            let dots = said.find("...");
            assert!(
                dots.is_none_or(|at| at + 3 == said.len()),
                "`...` belongs at the end of a line only: {line}"
            );
            Step::Expect(said.to_string())
        }
        _ => narration(line),
    }
}

fn narration(line: &str) -> Step {
    let inner = line
        .trim_end()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match inner.unwrap_or_else(|| panic!("neither S: nor C: nor {{...}}: {line}")) {
        "the client closes its side" => Step::ClientClosesItsSide,
        "the server closes the connection" => Step::ServerCloses,
        other if other.contains("closes") => panic!("which side closes? {line}"),
        other => Step::Because(other.to_string()),
    }
}

/// Reads the bytes of `b"..."`, if `said` has that form.
fn raw(said: &str) -> Option<Vec<u8>> {
    let mut rest = said.trim_end().strip_prefix("b\"")?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (byte, length) = match first {
            '\\' => escape(rest),
            ascii => (u8::try_from(ascii).expect("raw form is ASCII"), 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    Some(bytes)
}

/// Reads the escape that `text` begins with: its byte and its length.
fn escape(text: &str) -> (u8, usize) {
    let simple = |byte| (byte, 2);
    match &text[1..2] {
        "r" => simple(b'\r'),
        "n" => simple(b'\n'),
        "t" => simple(b'\t'),
        "0" => simple(0),
        "\\" => simple(b'\\'),
        "\"" => simple(b'"'),
        "x" => {
            let byte = u8::from_str_radix(&text[2..4], 16);
            (byte.expect("\\x takes two hexadecimal digits"), 4)
        }
        other => panic!("\\{other} is not an escape of a byte string"),
    }
}
