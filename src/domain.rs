//! Names of hosts: a domain, or an address in brackets (4.1.2, 4.1.3; chapter 4).
//!
//! A function named after a rule of the RFC's grammar takes text and returns how much of its
//! beginning fits the rule, in octets, or `None`. A rule made of rules adds lengths up. A dot or a
//! hyphen that leads nowhere, as in `a.` and `a-`, makes it `None` too.
//!
//! A byte of UTF-8 counts as a letter (RFC 6531, 3.3; chapter 10). It gets here only from a client that
//! may send it.
//!
//! One liberty: an underscore counts as a letter. The RFC has none in a domain, and half the
//! containers in the world have one in their name.
//!
//! The rules are quoted in the RFC's notation: `*x` is any number of `x`, `[x]` is one or none.

use std::net::Ipv6Addr;

/// The longest domain, in octets (4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;

/// Says whether `text` is a domain or an address literal (4.1.1.1).
pub fn is_host_name(text: &str) -> bool {
    text.is_ascii() && is_mail_domain(text)
}

/// Says whether `text` may follow the `@` of a mailbox. It may be UTF-8 (RFC 6531, 3.3; chapter 10).
pub fn is_mail_domain(text: &str) -> bool {
    let length = address_literal(text).or_else(|| domain(text));
    length == Some(text.len()) && text.len() <= MAX_DOMAIN
}

/// `Domain = sub-domain *("." sub-domain)`.
pub fn domain(text: &str) -> Option<usize> {
    let mut length = sub_domain(text)?;
    while let Some(next) = text[length..].strip_prefix('.') {
        length += 1 + sub_domain(next)?;
    }
    Some(length)
}

/// `sub-domain = Let-dig [Ldh-str]`: letters, digits and hyphens, no hyphen at either end.
fn sub_domain(text: &str) -> Option<usize> {
    let is_ldh = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | 0x80..);
    let length = text.bytes().take_while(is_ldh).count();
    let label = &text[..length];
    let valid = length > 0 && !label.starts_with('-') && !label.ends_with('-');
    valid.then_some(length)
}

/// `address-literal`: an IPv4 address in brackets, or an IPv6 address with its tag (4.1.3).
///
/// Other tags need a registration, and none has ever been registered. The standard library reads
/// the IPv6 address; it is a little wider than 4.1.3 and lets `::` stand for one group.
pub fn address_literal(text: &str) -> Option<usize> {
    let (inner, _) = text.strip_prefix('[')?.split_once(']')?;
    let valid = match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => ipv4_address(inner),
    };
    valid.then_some(inner.len() + 2)
}

/// `Snum 3("." Snum)`: four numbers of one to three digits, 0 to 255.
fn ipv4_address(text: &str) -> bool {
    let snum = |number: &str| {
        (1..=3).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && number.parse::<u8>().is_ok()
    };
    text.split('.').count() == 4 && text.split('.').all(snum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_a_domain_or_an_address_literal() {
        for good in [
            "localhost",
            "mail.example",
            "my_project_web_1",
            "[127.0.0.1]",
            "[IPv6:::1]",
        ] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "mail.example.",
            "[127.0.0.1",
            "[127.0.0.1]x",
            "a\r\nb",
            "bücher.example",
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
        assert!(is_mail_domain("bücher.example"));
        assert_eq!(MAX_DOMAIN, 255);
        assert!(is_host_name(&"d".repeat(MAX_DOMAIN)));
        assert!(!is_host_name(&"d".repeat(MAX_DOMAIN + 1)));
    }

    #[test]
    fn a_domain_is_labels_with_dots_between_them() {
        assert_eq!(domain("localhost"), Some(9));
        assert_eq!(domain("sub-1.example.org> SIZE=1"), Some(17));
        assert_eq!(domain("my_project_web_1"), Some(16));
        assert_eq!(domain("bücher.example"), Some(15), "in UTF-8");
        for bad in ["", ".", "a..b", "a.", "-a.b", "a-.b"] {
            assert_eq!(domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_literal_is_an_address_in_square_brackets() {
        assert_eq!(address_literal("[127.0.0.1]>"), Some(11));
        assert_eq!(address_literal("[127.000.000.001]"), Some(17));
        assert_eq!(address_literal("[IPv6:::1]"), Some(10));
        assert_eq!(address_literal("[127.0.0.256]"), None);
        for bad in ["", "[", "[]", "[1.2.3.4", "[1.2.3]", "[::1]"] {
            assert_eq!(address_literal(bad), None, "{bad}");
        }
    }
}
