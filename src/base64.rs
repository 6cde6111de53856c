//! Base64: three octets as four letters (RFC 4648, section 4; chapter 11).
//!
//! It hides nothing. It makes bytes fit into a line of text.

/// The letter of each value from 0 to 63.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes.
///
/// ```
/// assert_eq!(smtp_from_scratch::base64::encode(b"Username:"), "VXNlcm5hbWU6");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = [0, 1, 2].map(|at| three.get(at).copied().unwrap_or(0));
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for at in 0..4 {
            let value = bits >> (18 - 6 * at) & 63;
            text.push(match at <= three.len() {
                true => char::from(ALPHABET[value as usize]),
                false => '=',
            });
        }
    }
    text
}

/// Decodes text, strictly. Anything that [`encode`] wouldn't have written is `None`.
///
/// A decoder that takes more gives one secret several spellings (RFC 4648, section 12).
///
/// ```
/// use smtp_from_scratch::base64::decode;
///
/// assert_eq!(decode(b"YWRh").as_deref(), Some(&b"ada"[..]));
/// assert_eq!(decode(b"YWR"), None);
/// ```
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text
        .iter()
        .rev()
        .take_while(|&&letter| letter == b'=')
        .count();
    let letters = &text[..text.len() - padding];
    let mut bytes = Vec::new();
    for four in letters.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            bits = bits << 6 | four.get(at).map_or(Some(0), |&letter| value(letter))?;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    bytes.truncate(letters.len() * 3 / 4);
    // The bits that are left over must be zero, and the padding and the length what they should be.
    (encode(&bytes).as_bytes() == text).then_some(bytes)
}

/// Returns the value of a letter.
fn value(letter: u8) -> Option<u32> {
    let at = ALPHABET.iter().position(|&other| other == letter)?;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_are_encoded_and_decoded() {
        // Section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn every_byte_comes_back_at_every_place() {
        for byte in 0..=255 {
            for before in 0..3 {
                for after in 0..3 {
                    let bytes = [vec![b'x'; before], vec![byte], vec![b'y'; after]].concat();
                    let text = encode(&bytes);
                    assert_eq!(decode(text.as_bytes()), Some(bytes), "{text}");
                }
            }
        }
    }

    #[test]
    fn text_that_is_not_base64_is_refused() {
        for bad in [
            "A",
            "AA",
            "AAA",
            "=",
            "==",
            "===",
            "====",
            "A===",
            "AAAA=",
            "AAAA====",
            "=AAA",
            // Padding that is missing, or within.
            "Zg",
            "Zg=",
            "Zg==Zg==",
            "Zm9v====",
            "Z=g=",
            // Bits left over.
            "Zh==",
            "Zm9=",
            // Other letters: white space, a line end, the alphabet for URLs.
            "Zm9v ",
            " Zm9v",
            "Zm 9v",
            "Zm9v\r",
            "Zm-v",
            "Zm_v",
            "Zm9\u{e9}",
            "Zm9\0",
            "*",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
