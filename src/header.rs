//! The header section and its fields (RFC 5322, 2.1 and 2.2; chapter 6). RFC 5322 is to the message
//! what RFC 5321 is to its envelope.
//!
//! A message is a header section, an empty line, and a body. SMTP carries both without looking
//! inside (RFC 5321, 2.4). We look, to show the message to a person, and to refuse one that goes in
//! circles or has too much of a header (chapter 8). Nothing here ever fails.
//!
//! The one rule: the section ends before the first line that neither begins a field nor continues one.
//! An empty line is such a line. A message whose first line isn't a field has no section at all
//! ([`begins_with_section`]).

use std::borrow::Cow;

/// The longest line in octets, without its line end (RFC 5322, 2.1.1). The name of a field is
/// shorter.
pub const MAX_HEADER_LINE: usize = 998;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, such as `Subject`: printable ASCII without a colon, in upper or lower case.
    pub name: &'a [u8],
    /// Its value in one line, even if it was sent in several ([unfolded](fields)), without white
    /// space around it. Any bytes.
    pub value: Cow<'a, [u8]>,
}

/// Says whether the first line of a message begins a header section.
///
/// A field begins one; so does an empty line, which ends it at once. The line `From ada Sun Nov 22
/// 08:55:53 2026` that mailbox files put on top counts as well, since mail programs pass over it.
///
/// ```
/// use smtp_from_scratch::header::begins_with_section;
///
/// assert!(begins_with_section(b"Subject: lunch\r\n\r\nAt noon?\r\n"));
/// assert!(!begins_with_section(b"Hello Bob, lunch at noon?\r\n"));
/// ```
pub fn begins_with_section(message: &[u8]) -> bool {
    let line = message.split_inclusive(|&byte| byte == b'\n').next();
    line.is_none_or(|line| begins_field(line) || without_line_end(line).is_empty())
}

/// Says whether a line begins a field, judging by its first [`MAX_HEADER_LINE`] octets.
fn begins_field(line: &[u8]) -> bool {
    let line = &line[..line.len().min(MAX_HEADER_LINE)];
    parse(line).is_some() || is_mailbox_line(line)
}

/// Says whether a line is `From ada Sun Nov 22 08:55:53 2026`.
fn is_mailbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") && line.iter().filter(|&&byte| byte == b':').count() == 2
}

/// Says whether a line continues the field above it (RFC 5322, 2.2.3).
fn continues_field(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

/// Says whether a line belongs to the header section above it. The first line can't continue a field.
fn belongs_to_section(line: &[u8], is_first: bool) -> bool {
    begins_field(line) || !is_first && continues_field(line)
}

/// Splits a message into header section and body.
///
/// The section ends before the first line that neither begins a field nor continues one. Usually
/// that is an empty line, which belongs to neither part. Lines may end in CRLF or LF.
///
/// ```
/// use smtp_from_scratch::header;
///
/// let (section, body) = header::split(b"Subject: hi\r\n\r\nHello Bob\r\n");
/// assert_eq!(section, b"Subject: hi\r\n");
/// assert_eq!(body, b"Hello Bob\r\n");
/// ```
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut length = 0;
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if belongs_to_section(line, length == 0) {
            length += line.len();
            continue;
        }
        let (section, body) = message.split_at(length);
        return match without_line_end(line).is_empty() {
            true => (section, &body[line.len()..]),
            false => (section, body),
        };
    }
    (message, &[])
}

/// Reads the fields of a header section, in order.
///
/// A name may repeat, as `Received:` does. The line that mailbox files put on top is passed over.
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

/// Removes the fields of one name from a message, and the line that mailbox files put on top
/// (chapter 13).
///
/// ```
/// use smtp_from_scratch::header;
///
/// let message = b"To: bob\nBcc: eve,\n mallory\nSubject: hi\n\nBcc: is a word here\n";
/// assert_eq!(header::without(message, b"bcc"), b"To: bob\nSubject: hi\n\nBcc: is a word here\n");
/// ```
pub fn without(message: &[u8], name: &[u8]) -> Vec<u8> {
    let (mut section, _) = split(message);
    let (mut kept, rest) = (Vec::new(), &message[section.len()..]);
    while !section.is_empty() {
        let (field, after) = section.split_at(folded_line_length(section));
        section = after;
        if parse(field).is_some_and(|field| !field.name.eq_ignore_ascii_case(name)) {
            kept.extend_from_slice(field);
        }
    }
    kept.extend_from_slice(rest);
    kept
}

/// Returns the length of the first line with its continuations.
fn folded_line_length(text: &[u8]) -> usize {
    let mut length = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if length > 0 && !continues_field(line) {
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

/// Removes the line ends from a folded value. The white space stays.
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines = value.split_inclusive(|&byte| byte == b'\n');
    Cow::Owned(lines.flat_map(without_line_end).copied().collect())
}

/// Removes the CRLF or LF at the end of a line.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Measures a header section that arrives piece by piece.
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
    length: usize,
    received: usize,
    /// The current line, up to [`MAX_HEADER_LINE`].
    line: Vec<u8>,
    /// Whether the first line is over.
    begun: bool,
    ended: bool,
}

impl Section {
    /// Reads the next piece of the message, with CRLF or LF.
    pub fn read(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            if self.ended {
                return;
            }
            self.length += part.len();
            let room = MAX_HEADER_LINE - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let is_whole = part.ends_with(b"\n");
            if is_whole || self.line.len() == MAX_HEADER_LINE {
                self.ended = !belongs_to_section(&self.line, !self.begun);
            }
            if is_whole {
                let is_received = |field: Field| field.name.eq_ignore_ascii_case(b"Received");
                self.received += usize::from(parse(&self.line).is_some_and(is_received));
                self.line.clear();
                self.begun = true;
            }
        }
    }

    /// Returns the length so far in octets, the line that ended it included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns the number of `Received:` fields so far.
    pub fn received(&self) -> usize {
        self.received
    }
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

    /// Measures the section of a message that comes in pieces of `size`.
    fn section(message: &[u8], size: usize) -> (usize, usize) {
        let mut section = Section::default();
        for piece in message.chunks(size) {
            section.read(piece);
        }
        (section.length(), section.received())
    }

    #[test]
    fn a_section_is_measured_wherever_the_network_has_cut() {
        for (message, expected) in [
            (
                &b"Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n"[..],
                (28, 2),
            ),
            (b"RECEIVED:\nreceived :b\n\nReceived: c\n", (23, 2)),
            // A continuation.
            (b"X: a\r\n Received: folded\r\n\tReceived: too\r\n", (41, 0)),
            (b"Received-SPF: a\nXReceived: b\nReceive: c\n", (40, 0)),
            // The first line has nothing to continue.
            (b" X: a\nReceived: a\n", (6, 0)),
            (b"Hello\nReceived: a\n", (6, 0)),
            // A line that isn't a field ends the section.
            (b"X: a\nHello\nReceived: a\n", (11, 0)),
            (b"\nReceived: a\n", (1, 0)),
            (b"X: a\n\rReceived: b\nReceived: c\n", (18, 0)),
            (b"", (0, 0)),
        ] {
            for size in [1, 2, 3, 7, 100] {
                let shown = message.escape_ascii();
                assert_eq!(section(message, size), expected, "{shown} in {size}s");
            }
        }
    }

    #[test]
    fn a_long_line_is_judged_by_its_beginning() {
        let long = "x".repeat(5000);
        let late = format!("{}: x", "x".repeat(MAX_HEADER_LINE));
        for (line, begins) in [
            (long.clone(), false),
            (late, false),
            (format!("X: {long}"), true),
        ] {
            let message = format!("{line}\nReceived: a\n");
            assert_eq!(
                begins_with_section(message.as_bytes()),
                begins,
                "{line:.20}"
            );
            for size in [1, 997, 998, 999, 9000] {
                let (_, received) = section(message.as_bytes(), size);
                assert_eq!(received, usize::from(begins), "{line:.20} in {size}s");
            }
        }
    }

    #[test]
    fn a_message_begins_with_a_section_if_its_first_line_is_a_field() {
        for (message, expected) in [
            (&b"Subject: hi\r\n"[..], true),
            (b"12:30 lunch\n", true), // To every reader it is a field named 12.
            (b"Old : style\n", true),
            (b"\r\nbody\r\n", true),
            (b"", true),
            (b"From ada Sun Nov 22 08:55:53 2026\n", true),
            (b"From Monday on I am away.\n", false),
            (b"From noon on: lunch\n", false),
            (b"Hello Bob, lunch at noon?\r\n", false),
            (b"Hello Bob: lunch?\r\n", false), // A name has no space in it.
            (b" Subject: hi\r\n", false),      // It would continue the field above it.
            (b": x\n", false),
            (b"caf\xe9: x\n", false),
            (b"Hello\nSubject: hi\n", false),
        ] {
            let shown = message.escape_ascii();
            assert_eq!(begins_with_section(message), expected, "{shown}");
        }
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
    fn bytes_beyond_ascii_are_allowed_in_a_value_and_not_in_a_name() {
        assert_eq!(
            pairs(b"Subject: caf\xe9 \0\r\n"),
            [pair("Subject", "caf\\xe9 \\x00")]
        );
        assert_eq!(pairs(b"Subj\xe9ct: x\r\n: y\r\n\0: z\r\n"), []);
    }

    #[test]
    fn a_line_other_than_a_field_is_passed_over_with_its_continuation() {
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
    fn a_message_without_a_section_is_all_body() {
        assert_eq!(
            split(b"Hey there\n\nbye\n"),
            (&b""[..], &b"Hey there\n\nbye\n"[..])
        );
    }
}
