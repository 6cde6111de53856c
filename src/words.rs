//! Encoded words: letters beyond ASCII in a header (RFC 2047; chapter 13).

use crate::base64;

/// The most octets of text in one word: 45 are 60 letters in base64, and with what is around them a word
/// may have 75 (RFC 2047, section 2).
const LONGEST: usize = 45;

/// Writes text for a header field. What is beyond ASCII becomes words in base64, on lines of their own.
///
/// ```
/// use smtp_from_scratch::words::{decoded, encoded};
///
/// assert_eq!(encoded("lunch"), "lunch");
/// assert_eq!(encoded("Grüße"), "=?utf-8?B?R3LDvMOfZQ==?=");
/// assert_eq!(decoded("=?utf-8?B?R3LDvMOfZQ==?= =?iso-8859-1?q?_f=FCr_Bob?= (lunch)"), "Grüße für Bob (lunch)");
/// ```
pub fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        let mut last = words.len() - 1;
        if words[last].len() + letter.len_utf8() > LONGEST {
            words.push(String::new());
            last += 1;
        }
        words[last].push(letter);
    }
    let encode = |word: &String| format!("=?utf-8?B?{}?=", base64::encode(word.as_bytes()));
    words.iter().map(encode).collect::<Vec<_>>().join("\n ")
}

/// Reads the value of a header field. A word in a character set other than UTF-8, Latin-1 and ASCII stays
/// as it is.
pub fn decoded(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let between = &rest[..start];
        let Some((word, length)) = word(&rest[start..]) else {
            text += &rest[..start + 2];
            rest = &rest[start + 2..];
            after_word = false;
            continue;
        };
        // White space between two words is there for the line breaks only (section 6.2).
        if !after_word || !between.trim().is_empty() {
            text += between;
        }
        text += &word;
        rest = &rest[start + length..];
        after_word = true;
    }
    text + rest
}

/// Reads the encoded word that `text` begins with. Returns its text and its length.
fn word(text: &str) -> Option<(String, usize)> {
    let mut parts = text[2..].splitn(4, '?');
    let (charset, encoding, content) = (parts.next()?, parts.next()?, parts.next()?);
    if !parts.next()?.starts_with('=') || content.contains(' ') {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => base64::decode(content.as_bytes())?,
        "Q" | "q" => from_q(content)?,
        _ => return None,
    };
    let word = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    // With all the marks of a word: `=?`, `?`, `?`, and `?=`.
    let length = "=????=".len() + charset.len() + encoding.len() + content.len();
    Some((word, length))
}

/// Decodes `Q`: `=FC` is an octet, `_` a space (section 4.2).
fn from_q(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = content.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'_' => b' ',
            b'=' => {
                let (digits, after) = rest.split_at_checked(2)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_stays_as_it_is() {
        for value in [
            "",
            "lunch",
            "=?",
            "=?utf-8?B?",
            "=?utf-8?B?Zm9v",
            "=?utf-8?X?Zm9v?=",
            "=?utf-8?B?Zm9?=",
            "=?utf-8?B?/w==?=",
            "=?koi8-r?B?Zm9v?=",
            "=?utf-8?Q?=F?=",
            "=?utf-8?Q?=+F?=",
            "=?utf-8?Q?a b?=",
            "1 =? 2",
        ] {
            assert_eq!(decoded(value), value);
        }
    }

    #[test]
    fn words_join_and_other_text_keeps_its_space() {
        for (value, text) in [
            ("=?utf-8?B?Zm9v?= =?utf-8?B?Zm9v?=", "foofoo"),
            ("=?utf-8?B?Zm9v?=\r\n =?utf-8?q?b=C3=BCr?=", "foobür"),
            ("a =?UTF-8?b?Zm9v?= b =?US-ASCII?Q?c_d?= ", "a foo b c d "),
            ("=?utf-8?B?Zm9v?= x =?utf-8?B?Zm9v?=", "foo x foo"),
            ("=? =?utf-8?B?Zm9v?=", "=? foo"),
        ] {
            assert_eq!(decoded(value), text);
        }
    }

    #[test]
    fn a_long_text_is_several_words_and_comes_back() {
        let text = "Grüße ".repeat(30);
        let words = encoded(&text);
        assert!(words.lines().count() > 1);
        assert!(words.lines().all(|line| line.trim().len() <= 75), "{words}");
        assert_eq!(decoded(&words), text);
    }
}
