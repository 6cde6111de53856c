//! `<ada@example.org>`: the paths of MAIL and RCPT, by the grammar of 4.1.2 (chapter 4).
//!
//! It is built like [`crate::domain`], a function for each rule of the grammar. In the RFC's notation,
//! `1*x` is one or more of `x`, `*x` any number, `[x]` is one or none, `/` is "or", and DQUOTE is `"`.
//!
//! Two liberties, which Postfix and Sendmail take as well: spaces after the colon, and a mailbox without
//! its angle brackets. 3.3 calls the first a common error.

use crate::domain::{address_literal, domain, dotted};
use crate::reply::Reply;

/// The longest local part, in octets (4.5.3.1.1).
pub const MAX_LOCAL_PART: usize = 64;
/// The longest path, in octets, brackets and source route included (4.5.3.1.3).
pub const MAX_PATH: usize = 256;

/// 501: no path by the grammar.
pub const NO_PATH: Reply = Reply::new(501, "Not a path; it looks like <user@example.org>");
/// 501: one of the limits above; the reply is that of 4.5.3.1.9.
pub const PATH_TOO_LONG: Reply = Reply::new(501, "Path too long");

/// A path, reduced to what a server today makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// `local-part@domain` as the client wrote it, without brackets and source route. It is empty
    /// for the null path, and `Postmaster` alone has no domain.
    pub mailbox: &'a str,
}

/// Reads the reverse-path of MAIL from the text after `FROM:`. Returns it with what follows: the
/// parameters, if any.
///
/// ```
/// use smtp_from_scratch::path::{NO_PATH, reverse_path};
///
/// let (path, parameters) = reverse_path("<ada@example.org> SIZE=1000").unwrap();
/// assert_eq!((path.mailbox, parameters), ("ada@example.org", "SIZE=1000"));
///
/// assert_eq!(reverse_path("<>").unwrap().0.mailbox, "");
/// assert_eq!(reverse_path("<ada>"), Err(NO_PATH));
/// ```
///
/// # Errors
/// 501: no path, or too long.
pub fn reverse_path(text: &str) -> Result<(Path<'_>, &str), Reply> {
    let text = text.trim_start_matches(' ');
    match text.strip_prefix("<>") {
        Some(rest) => Ok((Path { mailbox: "" }, end_of_path(rest)?)),
        None => path(text),
    }
}

/// Reads the forward-path of RCPT from the text after `TO:`. Returns it with what follows: the
/// parameters, if any.
///
/// `<Postmaster>`, in any case, is the one mailbox that needs no domain: every mail server has one
/// (4.1.1.3, 4.5.1). The null path is for senders only.
///
/// # Errors
/// 501: no path, or too long.
pub fn forward_path(text: &str) -> Result<(Path<'_>, &str), Reply> {
    const POSTMASTER: &str = "<Postmaster>";
    let text = text.trim_start_matches(' ');
    match text.get(..POSTMASTER.len()) {
        Some(start) if start.eq_ignore_ascii_case(POSTMASTER) => {
            let mailbox = &start[1..start.len() - 1];
            Ok((Path { mailbox }, end_of_path(&text[start.len()..])?))
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
    let local_length = local_part(start).ok_or(NO_PATH)?;
    let domain_start = start[local_length..].strip_prefix('@').ok_or(NO_PATH)?;
    let domain_length = address_literal(domain_start)
        .or_else(|| domain(domain_start))
        .ok_or(NO_PATH)?;
    let (mailbox, rest) = start.split_at(local_length + 1 + domain_length);
    let rest = match bracketed {
        true => rest.strip_prefix('>').ok_or(NO_PATH)?,
        false => rest,
    };
    // Without its brackets a path may be as long as one with them.
    let path_length = text.len() - rest.len() + if bracketed { 0 } else { 2 };
    // A domain that is too long makes the path too long.
    if local_length > MAX_LOCAL_PART || path_length > MAX_PATH {
        return Err(PATH_TOO_LONG);
    }
    Ok((Path { mailbox }, end_of_path(rest)?))
}

/// After a path comes the end of the line, or a space and the parameters.
fn end_of_path(rest: &str) -> Result<&str, Reply> {
    if rest.is_empty() || rest.starts_with(' ') {
        Ok(rest.trim_start_matches(' '))
    } else {
        Err(NO_PATH)
    }
}

/// `A-d-l ":"` with `A-d-l = At-domain *( "," At-domain )`: the hosts by which the mail was once
/// told to travel. It must be accepted and should be ignored.
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
    quoted_string(text).or_else(|| dotted(text, atom))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`: printable ASCII; a backslash takes the next
/// character literally.
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
            b' '..=b'~' => {}
            _ => return None,
        }
    }
    None
}

/// `Atom = 1*atext`.
fn atom(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(|&byte| ATEXT[usize::from(byte)]);
    Some(length.count()).filter(|&length| length > 0)
}

/// The bytes that RFC 5322, 3.2.3, allows in an atom.
const ATEXT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-/=?^_`{|}~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

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
        ] {
            assert_eq!(mailbox(&format!("<{good}>")), Ok(good));
            assert_eq!(mailbox(good), Ok(good), "without brackets");
            assert_eq!(mailbox(&format!("  <{good}>")), Ok(good), "after spaces");
        }
    }

    #[test]
    fn what_is_no_path_is_501() {
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
            "<.ada@example.org>",
            "<ada.@example.org>",
            "<a..da@example.org>",
            "<a,da@example.org>",
            "<ada@example..org>",
            "<ada@.example.org>",
            "<ada@example.org.>",
            "<ada@-example.org>",
            "<ada@example-.org>",
            "<ada@my_host>",
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
            "<adä@example.org>",
            "<\u{1f4e7}",
        ] {
            assert_eq!(mailbox(bad), Err(NO_PATH), "{bad}");
        }
    }

    #[test]
    fn a_source_route_is_taken_and_dropped() {
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
            assert_eq!(mailbox(bad), Err(NO_PATH), "{bad}");
        }
    }

    #[test]
    fn postmaster_needs_no_domain_as_a_recipient_and_in_any_case() {
        assert_eq!(mailbox("<Postmaster>"), Ok("Postmaster"));
        assert_eq!(mailbox("<pOSTMASTER>"), Ok("pOSTMASTER"));
        assert_eq!(mailbox("<Postmasters>"), Err(NO_PATH));
        assert_eq!(reverse_path("<Postmaster>"), Err(NO_PATH));
    }

    #[test]
    fn only_a_sender_may_be_null() {
        assert_eq!(reverse_path("<>"), Ok((Path { mailbox: "" }, "")));
        assert_eq!(reverse_path("<> A=b"), Ok((Path { mailbox: "" }, "A=b")));
        assert_eq!(reverse_path("<>A=b"), Err(NO_PATH));
        assert_eq!(forward_path("<>"), Err(NO_PATH));
    }

    #[test]
    fn sizes_are_those_of_the_specification() {
        assert_eq!((MAX_LOCAL_PART, MAX_PATH), (64, 256));
        let local = "l".repeat(MAX_LOCAL_PART);
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
    fn what_follows_a_path_is_handed_back() {
        for text in [
            "<ada@example.org>  BODY=7BIT X",
            "ada@example.org  BODY=7BIT X",
        ] {
            assert_eq!(forward_path(text).map(|found| found.1), Ok("BODY=7BIT X"));
        }
        assert_eq!(forward_path("<Postmaster> X").map(|found| found.1), Ok("X"));
    }
}
