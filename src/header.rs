//! The header section and its fields (RFC 5322, 2.1 and 2.2; chapter 6). RFC 5322 is to the letter
//! what RFC 5321 is to its envelope.
//!
//! A message is a header section, an empty line, and a body. SMTP carries both without looking
//! inside (RFC 5321, 2.4); we look to show the mail to a person, and to find one that goes in
//! circles or has too much of a header ([`Section`], chapter 8). Nothing here ever fails.

use std::borrow::Cow;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, such as `Subject`: printable ASCII without a colon. Case means nothing.
    pub name: &'a [u8],
    /// Its value in one line, even if it was sent in several ([unfolded](fields)), without white
    /// space around it. Any bytes.
    pub value: Cow<'a, [u8]>,
}

/// A header section that comes in piece by piece: where it ends, how long it is, and how often the
/// mail was received.
///
/// ```
/// use smtp_from_scratch::header::Section;
///
/// let mut section = Section::default();
/// section.read(b"Received: from a\r\nRecei");
/// section.read(b"ved: from b\r\nSubject: hi\r\n\r\nReceived: is a word of the body");
/// assert_eq!(section.received(), 2);
/// assert_eq!(section.length(), 51);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Section {
    place: Place,
    length: usize,
    /// Where the last line began.
    line_start: usize,
    /// Whether the message begins with another word than `From`.
    begins_otherwise: bool,
    received: usize,
}

/// The longest line in octets, without its line end (RFC 5322, 2.1.1). The name of a field is
/// shorter.
const MAX_LINE: usize = 998;

/// Where in a header section the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the start of a line.
    #[default]
    LineStart,
    /// After a CR at the start of a line: the empty line, if an LF follows.
    Cr,
    /// In the name of a field, so many octets of `received` after its start; `None` if it has
    /// another.
    Name(Option<usize>),
    /// In the white space that older mail has before the colon (RFC 5322, 4.5).
    BeforeColon(Option<usize>),
    /// In the value of a field.
    Value,
    /// The section is over.
    Body,
}

impl Section {
    /// Reads the next piece of the message, line ends and all. They may be CR LF or LF.
    ///
    /// The section ends before the first line that is neither a field nor the continuation of one;
    /// that may be the first line of the message.
    pub fn read(&mut self, piece: &[u8]) {
        for &byte in piece {
            if self.place == Place::Body {
                return;
            }
            self.place = self.after(byte);
            self.length += 1;
            if self.place == Place::LineStart {
                self.line_start = self.length;
            }
        }
    }

    /// The place after one more byte.
    fn after(&mut self, byte: u8) -> Place {
        const RECEIVED: &[u8] = b"received";
        match (self.place, byte) {
            (Place::LineStart, b'\r') => Place::Cr,
            (Place::LineStart, b' ' | b'\t') if self.length > 0 => Place::Value,
            // No name at all: mail programs pass over such a line and read on.
            (Place::LineStart, b':') => Place::Value,
            (Place::Value, b'\n') => Place::LineStart,
            (Place::Value, _) => Place::Value,
            (Place::Name(matched) | Place::BeforeColon(matched), b':') => {
                self.received += usize::from(matched == Some(RECEIVED.len()));
                Place::Value
            }
            // They pass over the line "From ada Sun Nov 22 ..." as well, if it is the first.
            (Place::Name(_), b' ') if self.length == 4 && !self.begins_otherwise => Place::Value,
            (Place::Name(matched) | Place::BeforeColon(matched), b' ' | b'\t') => {
                Place::BeforeColon(matched)
            }
            (Place::Name(_), _) if self.length - self.line_start > MAX_LINE => Place::Body,
            (Place::LineStart | Place::Name(_), b'!'..=b'~') => {
                let matched = match self.place {
                    Place::Name(matched) => matched,
                    _ => Some(0),
                };
                self.begins_otherwise |= b"From".get(self.length).is_some_and(|&from| from != byte);
                let expected = matched.and_then(|matched| RECEIVED.get(matched));
                let goes_on = expected == Some(&byte.to_ascii_lowercase());
                Place::Name(matched.filter(|_| goes_on).map(|matched| matched + 1))
            }
            _ => Place::Body,
        }
    }

    /// How long the section is so far, in octets, with the empty line or what began the line that
    /// ended it.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many `Received:` fields there were so far.
    pub fn received(&self) -> usize {
        self.received
    }
}

/// Splits a message at the first empty line into header section and body. The empty line belongs to
/// neither. Lines may end in CRLF or LF.
///
/// A message whose first line is no header field, nor an empty line, has no header section:
/// somebody typed a body and nothing else, and it is all there.
///
/// ```
/// use smtp_from_scratch::header;
///
/// let (section, body) = header::split(b"Subject: hi\r\n\r\nHello Bob\r\n");
/// assert_eq!(section, b"Subject: hi\r\n");
/// assert_eq!(body, b"Hello Bob\r\n");
/// ```
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let first = message.split_inclusive(|&byte| byte == b'\n').next();
    if first.is_some_and(|line| !without_line_end(line).is_empty() && parse(line).is_none()) {
        return (&[], message);
    }
    let mut section_length = 0;
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if without_line_end(line).is_empty() {
            let (section, rest) = message.split_at(section_length);
            return (section, &rest[line.len()..]);
        }
        section_length += line.len();
    }
    (message, &[])
}

/// The fields of a header section, in order. A name may repeat, as `Received:` does; a line that
/// is neither a field nor the continuation of one is passed over.
///
/// ```
/// use smtp_from_scratch::header;
///
/// let section = b"Received: from a\r\nReceived: from b\r\n by c\r\n";
/// let fields: Vec<_> = header::fields(section).collect();
/// assert_eq!(fields.len(), 2);
/// assert_eq!(&*fields[1].value, b"from b by c");
/// ```
pub fn fields(section: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = section;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (field, after) = rest.split_at(folded_line_length(rest));
            rest = after;
            if let Some(field) = parse(field) {
                return Some(field);
            }
        }
        None
    })
}

/// The length of the first line with its continuations: lines that begin with a space or a tab
/// (RFC 5322, 2.2.3).
fn folded_line_length(text: &[u8]) -> usize {
    let mut length = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if length > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        length += line.len();
    }
    length
}

/// Reads one field, folded or not.
fn parse(folded: &[u8]) -> Option<Field<'_>> {
    let colon = folded.iter().position(|&byte| byte == b':')?;
    // Older mail has white space before the colon (RFC 5322, 4.5).
    let name = folded[..colon].trim_ascii_end();
    if name.is_empty() || !name.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
        return None;
    }
    let value = folded[colon + 1..].trim_ascii();
    Some(Field {
        name,
        value: unfold(value),
    })
}

/// Takes the line ends out of a folded value. The white space that follows each of them stays.
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines = value.split_inclusive(|&byte| byte == b'\n');
    Cow::Owned(lines.flat_map(without_line_end).copied().collect())
}

/// A line without the CRLF or LF at its end.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(section: &[u8]) -> Vec<(String, String)> {
        fields(section)
            .map(|field| {
                (
                    field.name.escape_ascii().to_string(),
                    field.value.escape_ascii().to_string(),
                )
            })
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_string(), value.to_string())
    }

    /// What a section is found to be in `message`, read in pieces of `size`: its length and how
    /// many `Received:` it has.
    fn section(message: &[u8], size: usize) -> (usize, usize) {
        let mut section = Section::default();
        for piece in message.chunks(size) {
            section.read(piece);
        }
        (section.length(), section.received())
    }

    #[test]
    fn a_section_is_measured_and_its_received_fields_are_counted_wherever_it_is_cut() {
        for (message, expected) in [
            (
                &b"Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n"[..],
                (28, 2),
            ),
            (b"RECEIVED:\nreceived : b\n\nReceived: c\n", (24, 2)),
            (b"X: a\r\n Received: folded\r\n\tReceived: too\r\n", (41, 0)),
            (b"Received-SPF: a\nXReceived: b\nReceive: c\n", (40, 0)),
            (b"Hello\nReceived: a\n", (6, 0)),
            (b"caf\xe9: x\nReceived: a\n", (4, 0)),
            (b" X: a\nReceived: a\n", (1, 0)),
            (b"\nReceived: a\n", (1, 0)),
            (b"Received: a\n\rReceived: b\n", (14, 1)),
            (b": x\nReceived: a\nX: y\n", (21, 1)),
            (b"From a@b Sun\nReceived: a\n", (25, 1)),
            (b"X: y\nFrom a@b\nReceived: a\n", (11, 0)),
            (b"From: a\nReceived : a\n", (21, 1)),
            (b"Fr om a@b Sun\nReceived: a\n", (4, 0)),
            (b"Rec eived: a\nReceived: a\n", (5, 0)),
            (b"", (0, 0)),
        ] {
            for size in [1, 2, 3, 7, 100] {
                let shown = message.escape_ascii();
                assert_eq!(section(message, size), expected, "{shown} in {size}s");
            }
        }
        assert_eq!(section(&[b'x'; 5000], 100), (MAX_LINE + 2, 0));
    }

    #[test]
    fn repeated_fields_are_all_kept_in_order() {
        assert_eq!(
            pairs(b"Received: one\r\nSubject: hi\r\nReceived: two\r\n"),
            [
                pair("Received", "one"),
                pair("Subject", "hi"),
                pair("Received", "two")
            ]
        );
    }

    #[test]
    fn folded_lines_are_unfolded_and_keep_their_white_space() {
        assert_eq!(
            pairs(b"Subject: one\r\n two\r\n\tthree\r\nTo: bob\r\n"),
            [pair("Subject", "one two\\tthree"), pair("To", "bob")]
        );
        assert_eq!(
            pairs(b"Subject:\n folded at once\n"),
            [pair("Subject", "folded at once")]
        );
    }

    #[test]
    fn a_value_may_have_colons_or_nothing_in_it_and_space_before_it() {
        assert_eq!(
            pairs(b"Date: Tue, 20:40:34\r\nEmpty:\r\nOld : style\r\n"),
            [
                pair("Date", "Tue, 20:40:34"),
                pair("Empty", ""),
                pair("Old", "style")
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay_in_the_value_and_are_no_name() {
        assert_eq!(
            pairs(b"Subject: caf\xe9 \0\r\n"),
            [pair("Subject", "caf\\xe9 \\x00")]
        );
        assert_eq!(pairs(b"Subj\xe9ct: x\r\n: y\r\n\0: z\r\n"), []);
    }

    #[test]
    fn a_line_that_is_no_field_is_passed_over_with_its_continuation() {
        assert_eq!(
            pairs(b"To: bob\r\nnot a field\r\n with more\r\nSubject: hi\r\n"),
            [pair("To", "bob"), pair("Subject", "hi")]
        );
    }

    #[test]
    fn the_first_empty_line_begins_the_body() {
        assert_eq!(
            split(b"A: b\n\nC: d\n\ne\n"),
            (&b"A: b\n"[..], &b"C: d\n\ne\n"[..])
        );
        assert_eq!(split(b"\r\nbody\r\n"), (&b""[..], &b"body\r\n"[..]));
        assert_eq!(split(b"A: b\r\n"), (&b"A: b\r\n"[..], &b""[..]));
        assert_eq!(split(b""), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_message_that_begins_with_no_field_is_all_body() {
        assert_eq!(
            split(b"Hey there\n\nbye\n"),
            (&b""[..], &b"Hey there\n\nbye\n"[..])
        );
    }
}
