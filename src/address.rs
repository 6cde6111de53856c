//! Addresses as people write them in `To:` and `Cc:` (RFC 5322, 3.4; chapter 13).
//!
//! On the envelope an address stands alone. In the header it has a name before it, comments around
//! it, and others behind it.

/// Finds the addresses in the value of a header field, without their names.
///
/// It judges none of them: what isn't an address comes out as it is.
///
/// ```
/// use smtp_from_scratch::address::addresses;
///
/// let value = "\"Lovelace, Ada\" <ada@example.org>, bob@example.com (Bob), friends: eve@example.net;";
/// assert_eq!(
///     addresses(value),
///     ["ada@example.org", "bob@example.com", "eve@example.net"]
/// );
/// ```
pub fn addresses(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                current.push('"');
                current += &up_to('"', &mut letters);
            }
            // An address literal may have colons (RFC 5321, 4.1.3).
            '[' => {
                current.push('[');
                current += &up_to(']', &mut letters);
            }
            '(' => comment(&mut letters),
            '<' => {
                // Everything before it was a name.
                current = up_to('>', &mut letters);
                if current.ends_with('>') {
                    current.pop();
                }
                // A source route (RFC 5321, 4.1.2).
                if let Some((_, mailbox)) =
                    current.split_once(':').filter(|_| current.starts_with('@'))
                {
                    current = mailbox.to_string();
                }
                found.push(current);
                // What follows, up to the comma, is a comment at best.
                current = String::new();
            }
            // The name of a group.
            ':' => current.clear(),
            ',' | ';' => found.push(std::mem::take(&mut current)),
            _ => current.push(letter),
        }
    }
    found.push(current);
    let found = found.iter().map(|address| address.trim());
    found
        .filter(|address| !address.is_empty())
        .map(str::to_string)
        .collect()
}

/// Takes letters up to `end`, and `end` itself. After a backslash it is a letter like any other.
fn up_to(end: char, letters: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        text.push(letter);
        if letter == end {
            break;
        }
        if letter == '\\' {
            text.extend(letters.next());
        }
    }
    text
}

/// Takes a comment, up to its closing parenthesis. There may be comments in it.
fn comment(letters: &mut impl Iterator<Item = char>) {
    let mut depth = 1;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_among_names_comments_and_groups() {
        for (value, found) in [
            ("bob@example.com", &["bob@example.com"][..]),
            (" <bob@example.com> ", &["bob@example.com"]),
            (
                "Bob <bob@example.com>, a@b.c",
                &["bob@example.com", "a@b.c"],
            ),
            (r#""x, \"y\" <z>" <a@b.c>"#, &["a@b.c"]),
            (r#""a, b"@example.com"#, &[r#""a, b"@example.com"#]),
            ("(a, (b) \\) c@d.e) a@b.c (x)", &["a@b.c"]),
            ("<@relay.example:a@b.c>", &["a@b.c"]),
            ("us: a@b.c, <d@e.f>; g@h.i", &["a@b.c", "d@e.f", "g@h.i"]),
            ("undisclosed-recipients:;", &[]),
            ("", &[]),
            (",, ,", &[]),
            ("<", &[]),
            ("Bob <bob@example.com", &["bob@example.com"]),
            ("<bob:x@y.z>", &["bob:x@y.z"]),
            (r#""a\\", b@c.d"#, &[r#""a\\""#, "b@c.d"]),
            (r#""x\", y" <a@b.c>"#, &["a@b.c"]),
            (
                "bob@[IPv6:::1], <a@[IPv6:::2]>",
                &["bob@[IPv6:::1]", "a@[IPv6:::2]"],
            ),
            ("\"", &["\""]),
            ("(", &[]),
            ("nobody", &["nobody"]),
        ] {
            assert_eq!(addresses(value), found, "{value}");
        }
    }
}
