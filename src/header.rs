//! The header section and its fields (RFC 5322, 2.1 and 2.2; chapter 6). RFC 5322 is to the letter what
//! RFC 5321 is to its envelope.
//!
//! A message is a header section, an empty line, and a body. SMTP carries both without looking
//! inside (RFC 5321, 2.4); we look to show the mail to a person, so nothing here ever fails.

use std::borrow::Cow;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, such as `Subject`: printable ASCII without a colon. Case means nothing.
    pub name: &'a [u8],
    /// Its value in one line, even if it was sent in several ([unfolded](fields)), without white space
    /// around it. Any bytes.
    pub value: Cow<'a, [u8]>,
}

/// Splits a message at the first empty line into header section and body. The empty line belongs to
/// neither. Lines may end in CRLF or LF.
///
/// A message whose first line is no header field, nor an empty line, has no header section: somebody
/// typed a body and nothing else, and it is all there.
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
