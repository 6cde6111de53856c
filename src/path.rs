//! `<ada@example.org>`: the paths of MAIL and RCPT, by the grammar of 4.1.2 (chapter 4).
//!
//! It is built like [`crate::domain`], a function for each rule of the grammar. In the RFC's notation,
//! `1*x` is one or more of `x`, `*x` any number, `[x]` is one or none, `/` is "or", and DQUOTE is `"`.
//!
//! Some liberties, which Postfix takes as well, because real addresses need them: spaces after the
//! colon (3.3 calls them a common error), a mailbox without its angle brackets, dots anywhere in a
//! local part, underscores in a domain. And a local part may have more than the 64 octets of
//! 4.5.3.1.1, which every server must accept and none must refuse: the addresses to which bounces
//! and mailing lists report are longer.

use crate::domain::{address_literal, domain};
use crate::reply::Reply;

/// The longest path, in octets, brackets and source route included (4.5.3.1.3).
pub const MAX_PATH: usize = 256;

/// 501: text that doesn't follow the grammar of a path.
pub const NOT_A_PATH: Reply = Reply::new(501, "Not a path; it looks like <user@example.org>");
/// 501: a path over [`MAX_PATH`]. The reply is that of 4.5.3.1.9.
pub const PATH_TOO_LONG: Reply = Reply::new(501, "Path too long");

/// A path, reduced to what a server today needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// `local-part@domain` as the client wrote it, without brackets and source route. It is empty
    /// for the null path, and `Postmaster` alone has no domain.
    pub mailbox: &'a str,
    /// The part after the `@`, a domain or an address literal. It is empty if there is none.
    pub domain: &'a str,
}

/// `<>`: the sender of a bounce.
const NULL_PATH: Path = Path {
    mailbox: "",
    domain: "",
};

/// Reads the reverse-path of MAIL from the text after `FROM:`.
///
/// Returns it with the text that follows: the parameters, if there are any.
///
/// ```
/// use smtp_from_scratch::path::{NOT_A_PATH, reverse_path};
///
/// let (path, parameters) = reverse_path("<ada@example.org> SIZE=1000").unwrap();
/// assert_eq!((path.mailbox, parameters), ("ada@example.org", "SIZE=1000"));
///
/// assert_eq!(reverse_path("<>").unwrap().0.mailbox, "");
/// assert_eq!(reverse_path("<ada>"), Err(NOT_A_PATH));
/// ```
///
/// # Errors
/// 501: not a path, or one that is too long.
pub fn reverse_path(text: &str) -> Result<(Path<'_>, &str), Reply> {
    let text = text.trim_start_matches(' ');
    match text.strip_prefix("<>") {
        Some(rest) => Ok((NULL_PATH, end_of_path(rest)?)),
        None => path(text),
    }
}

/// Reads the forward-path of RCPT from the text after `TO:`.
///
/// Returns it with the text that follows: the parameters, if there are any.
///
/// `<Postmaster>`, in upper or lower case, is the one mailbox that needs no domain: every mail server
/// has one (4.1.1.3, 4.5.1). The null path is for senders only.
///
/// # Errors
/// 501: not a path, or one that is too long.
pub fn forward_path(text: &str) -> Result<(Path<'_>, &str), Reply> {
    const POSTMASTER: &str = "<Postmaster>";
    let text = text.trim_start_matches(' ');
    match text.get(..POSTMASTER.len()) {
        Some(start) if start.eq_ignore_ascii_case(POSTMASTER) => {
            let path = Path {
                mailbox: &start[1..start.len() - 1],
                domain: "",
            };
            Ok((path, end_of_path(&text[start.len()..])?))
        }
        _ => path(text),
    }
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`, or a mailbox without brackets.
fn path(text: &str) -> Result<(Path<'_>, &str), Reply> {
    let (mailbox_start, bracketed) = match text.strip_prefix('<') {
        Some(inner) => (1 + source_route(inner).unwrap_or(0), true),
        None => (0, false),
    };
    let start = &text[mailbox_start..];
    let local_length = local_part(start).ok_or(NOT_A_PATH)?;
    let domain_start = start[local_length..].strip_prefix('@').ok_or(NOT_A_PATH)?;
    let domain_length = address_literal(domain_start)
        .or_else(|| domain(domain_start))
        .ok_or(NOT_A_PATH)?;
    let (mailbox, rest) = start.split_at(local_length + 1 + domain_length);
    let rest = match bracketed {
        true => rest.strip_prefix('>').ok_or(NOT_A_PATH)?,
        false => rest,
    };
    // Without its brackets a path may be as long as one with them.
    let path_length = text.len() - rest.len() + if bracketed { 0 } else { 2 };
    if path_length > MAX_PATH {
        return Err(PATH_TOO_LONG);
    }
    let domain = &mailbox[local_length + 1..];
    Ok((Path { mailbox, domain }, end_of_path(rest)?))
}

/// Checks the text after a path: nothing, or a space and parameters.
fn end_of_path(rest: &str) -> Result<&str, Reply> {
    if rest.is_empty() || rest.starts_with(' ') {
        Ok(rest.trim_start_matches(' '))
    } else {
        Err(NOT_A_PATH)
    }
}

/// `A-d-l ":"` with `A-d-l = At-domain *( "," At-domain )`.
///
/// It names the hosts by which a message was once to travel. It must be accepted and should be
/// ignored (4.1.1.3).
fn source_route(text: &str) -> Option<usize> {
    let mut length = 0;
    loop {
        let host = text[length..].strip_prefix('@')?;
        length += 1 + domain(host)?;
        match text.as_bytes().get(length)? {
            b',' => length += 1,
            b':' => return Some(length + 1),
            _ => return None,
        }
    }
}

/// `Local-part = Dot-string / Quoted-string`.
fn local_part(text: &str) -> Option<usize> {
    quoted_string(text).or_else(|| dot_string(text))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`.
///
/// It has printable ASCII in it, and a backslash takes the next character literally. UTF-8 is as good as
/// ASCII, except after a backslash (RFC 6531, 3.3; chapter 10).
fn quoted_string(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'"' {
        return None;
    }
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' if matches!(bytes.next()?.1, b' '..=b'~') => {}
            b'\\' => return None,
            b' '..=b'~' | 0x80.. => {}
            _ => return None,
        }
    }
    None
}

/// `Dot-string = Atom *("." Atom)`, with dots anywhere.
fn dot_string(text: &str) -> Option<usize> {
    let in_dot_string = |&byte: &u8| byte == b'.' || is_atext(byte);
    let length = text.bytes().take_while(in_dot_string).count();
    (length > 0).then_some(length)
}

/// Says whether an atom may have this byte (RFC 5322, 3.2.3; for those of UTF-8: RFC 6531, 3.3).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Result<&str, Reply> {
        forward_path(text).map(|(path, _)| path.mailbox)
    }

    #[test]
    fn a_path_is_a_mailbox_in_angle_brackets() {
        for good in [
            "ada@example.org",
            "ada@localhost",
            "ada.b.c@sub-1.example.org",
            // From mobile phone networks, against the grammar.
            "a..b@example.org",
            ".a.@example.org",
            // From containers.
            "www-data@my_project_web_1",
            // From a mailing list that reports bounces to the address of each of its readers.
            "list-bounces+1234567890-ada.lovelace=mathematics.example.org-abcdef@lists.example.org",
            "!#$%&'*+-/=?^_`{|}~@example.org",
            "ada@1.2.3",
            r#""ada lovelace"@example.org"#,
            r#""a@b\"<\\>"@example.org"#,
            r#"""@example.org"#,
            "ada@[127.0.0.1]",
            "ada@[127.000.000.001]",
            "ada@[255.255.255.255]",
            "ada@[IPv6:::1]",
            "ada@[ipv6:2001:db8::192.0.2.1]",
            "adä@bücher.example",
            r#""adä l"@example.org"#,
        ] {
            assert_eq!(mailbox(&format!("<{good}>")), Ok(good));
            assert_eq!(mailbox(good), Ok(good), "without brackets");
            assert_eq!(mailbox(&format!("  <{good}>")), Ok(good), "after spaces");
        }
    }

    #[test]
    fn text_against_the_grammar_is_refused_with_501() {
        for bad in [
            "",
            "<",
            ">",
            "<>",
            "<@>",
            "<ada>",
            "<ada@>",
            "<@example.org>",
            "<ada@example.org",
            "ada@example.org>",
            "<<ada@example.org>>",
            "<ada@example.org>>",
            "<ada@example.org>SIZE=1",
            "< ada@example.org>",
            "<ada@example.org >",
            "<ada @example.org>",
            "<ada@exam ple.org>",
            "<ada@b@example.org>",
            "<a@b@c>",
            "<a,da@example.org>",
            "<ada@example..org>",
            "<ada@.example.org>",
            "<ada@example.org.>",
            "<ada@-example.org>",
            "<ada@example-.org>",
            "<ada@[127.0.0.1>",
            "<ada@[127.0.0]>",
            "<ada@[127.0.0.256]>",
            "<ada@[127.0.0.0001]>",
            "<ada@[+1.0.0.1]>",
            "<ada@[]>",
            "<ada@[::1]>",
            "<ada@[IPv6:1:2]>",
            "<ada@[tag:content]>",
            "<ada@]127.0.0.1[>",
            r#"<"ada@example.org>"#,
            r#"<"ada"lovelace@example.org>"#,
            r#"<"ada\"@example.org>"#,
            "<\"ada\u{7f}\"@example.org>",
            "<\"ada\\\u{7f}\"@example.org>",
            "<\"ad\\ä\"@example.org>",
            "<\u{1f4e7}",
        ] {
            assert_eq!(mailbox(bad), Err(NOT_A_PATH), "{bad}");
        }
    }

    #[test]
    fn a_source_route_is_accepted_and_dropped() {
        assert_eq!(
            mailbox("<@hosta.int,@jkl.org:userc@d.bar.org>"),
            Ok("userc@d.bar.org")
        );
        for bad in [
            "<@hosta.int>",
            "<@hosta.int:>",
            "<@hosta.int,:a@b.org>",
            "<hosta.int:a@b.org>",
            "<@hosta.int;a@b.org>",
            "@hosta.int:a@b.org",
        ] {
            assert_eq!(mailbox(bad), Err(NOT_A_PATH), "{bad}");
        }
    }

    #[test]
    fn postmaster_needs_no_domain_as_a_recipient_and_in_any_case() {
        assert_eq!(mailbox("<Postmaster>"), Ok("Postmaster"));
        assert_eq!(mailbox("<pOSTMASTER>"), Ok("pOSTMASTER"));
        assert_eq!(mailbox("<Postmasters>"), Err(NOT_A_PATH));
        assert_eq!(reverse_path("<Postmaster>"), Err(NOT_A_PATH));
    }

    #[test]
    fn only_a_sender_may_be_null() {
        assert_eq!(reverse_path("<>"), Ok((NULL_PATH, "")));
        assert_eq!(reverse_path("<> A=b"), Ok((NULL_PATH, "A=b")));
        assert_eq!(reverse_path("<>A=b"), Err(NOT_A_PATH));
        assert_eq!(forward_path("<>"), Err(NOT_A_PATH));
    }

    #[test]
    fn the_domain_is_the_part_after_the_last_at_sign() {
        for (text, domain) in [
            ("<ada@example.org>", "example.org"),
            (r#"<"ada@b"@Example.org>"#, "Example.org"),
            ("<@route.example:ada@[192.0.2.1]>", "[192.0.2.1]"),
            ("ada@example.org", "example.org"),
            ("<Postmaster>", ""),
        ] {
            assert_eq!(forward_path(text).unwrap().0.domain, domain, "{text}");
        }
    }

    #[test]
    fn a_path_may_have_256_octets_however_they_are_distributed() {
        assert_eq!(MAX_PATH, 256);
        for local_length in [64, 65, 240] {
            let local = "l".repeat(local_length);
            assert!(mailbox(&format!("<{local}@example.org>")).is_ok());
        }
        let local = "l".repeat(MAX_PATH - "<@example.org>".len());
        assert!(mailbox(&format!("<{local}@example.org>")).is_ok());
        assert_eq!(
            mailbox(&format!("<{local}l@example.org>")),
            Err(PATH_TOO_LONG)
        );

        let longest = format!("a@{}", "d".repeat(MAX_PATH - 4));
        assert!(mailbox(&format!("<{longest}>")).is_ok());
        assert_eq!(mailbox(&format!("<{longest}d>")), Err(PATH_TOO_LONG));
        assert_eq!(mailbox(&format!("{longest}d")), Err(PATH_TOO_LONG));
        assert_eq!(
            mailbox(&format!("<@route.example:{longest}>")),
            Err(PATH_TOO_LONG)
        );
    }

    #[test]
    fn the_text_after_a_path_is_returned() {
        for text in [
            "<ada@example.org>  BODY=7BIT X",
            "ada@example.org  BODY=7BIT X",
        ] {
            assert_eq!(forward_path(text).map(|found| found.1), Ok("BODY=7BIT X"));
        }
        assert_eq!(forward_path("<Postmaster> X").map(|found| found.1), Ok("X"));
    }

    #[test]
    fn a_local_part_is_words_with_dots_or_a_quoted_string() {
        assert_eq!(local_part("ada.lovelace@example.org"), Some(12));
        assert_eq!(local_part("o'hara+books@example.org"), Some(12));
        assert_eq!(local_part(r#""a>b"@example.org"#), Some(5));
        assert_eq!(local_part(r#""a\"@\\"@example.org"#), Some(8));
        for bad in ["", "@example.org", "<", r#"""#, r#""ada"#, r#""ada\""#] {
            assert_eq!(local_part(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_reverse_path_is_a_mailbox_or_empty() {
        for (text, mailbox) in [
            ("<ada@example.org>", "ada@example.org"),
            ("  ada@example.org", "ada@example.org"),
            ("<@a.example,@b.example:ada@c.example>", "ada@c.example"),
            (r#"<"a>b"@[127.0.0.1]>"#, r#""a>b"@[127.0.0.1]"#),
            ("<>", ""),
        ] {
            let found = reverse_path(text).map(|(path, _)| path.mailbox);
            assert_eq!(found, Ok(mailbox), "{text}");
        }
        for bad in ["", "<", "<ada>", "a@b>", "<<a@b>>", "<a@b>X", "<>X"] {
            assert_eq!(reverse_path(bad), Err(NOT_A_PATH), "{bad}");
        }
    }
}
