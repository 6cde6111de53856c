//! `SIZE=1000 BODY=8BITMIME`: what may follow the path in MAIL and RCPT (4.1.2, chapter 4).

use crate::reply::Reply;

/// 501: text that doesn't follow the grammar of a parameter.
pub const NOT_A_PARAMETER: Reply = Reply::new(501, "Not a parameter; it looks like KEYWORD=value");
/// 555: a parameter of an extension that we don't have (4.1.1.11).
pub const UNKNOWN_PARAMETER: Reply = Reply::new(555, "Parameter not recognized");

/// One `esmtp-param`: a keyword, and a value if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Letters, digits and hyphens, in upper or lower case.
    pub keyword: &'a str,
    /// Printable ASCII without `=` and space.
    pub value: Option<&'a str>,
}

/// Reads the parameters in `text`, one by one.
///
/// A word that isn't one yields the 501 for the client.
///
/// ```
/// use smtp_from_scratch::parameter::{NOT_A_PARAMETER, Parameter, parameters};
///
/// let mut found = parameters("SIZE=1000 SMTPUTF8 SIZE=");
/// assert_eq!(found.next(), Some(Ok(Parameter { keyword: "SIZE", value: Some("1000") })));
/// assert_eq!(found.next(), Some(Ok(Parameter { keyword: "SMTPUTF8", value: None })));
/// assert_eq!(found.next(), Some(Err(NOT_A_PARAMETER)));
/// assert_eq!(found.next(), None);
/// ```
pub fn parameters(text: &str) -> impl Iterator<Item = Result<Parameter<'_>, Reply>> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(parameter)
}

/// Has each parameter in `text` read by `read_one`.
///
/// # Errors
/// 501: not a parameter by the grammar, wherever it stands. Otherwise the first refusal of `read_one`.
pub fn read_each(
    text: &str,
    mut read_one: impl FnMut(&Parameter) -> Result<(), Reply>,
) -> Result<(), Reply> {
    let mut read = Ok(());
    for parameter in parameters(text) {
        let parameter = parameter?;
        read = read.and_then(|()| read_one(&parameter));
    }
    read
}

/// Refuses every parameter: EHLO offers none (4.1.1.2, 4.1.1.3).
///
/// # Errors
/// 501: not a parameter by the grammar. 555: a parameter, of an extension that we don't have.
pub fn none_offered(text: &str) -> Result<(), Reply> {
    read_each(text, |_| Err(UNKNOWN_PARAMETER))
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`
fn parameter(word: &str) -> Result<Parameter<'_>, Reply> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let keyword_valid = !keyword.is_empty()
        && !keyword.starts_with('-')
        && keyword
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let value_valid = value.is_none_or(|value| {
        !value.is_empty()
            && value
                .bytes()
                .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'=')
    });
    if keyword_valid && value_valid {
        Ok(Parameter { keyword, value })
    } else {
        Err(NOT_A_PARAMETER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_against_the_grammar_is_refused_with_501() {
        for bad in [
            "=",
            "=1",
            "SIZE=",
            "-SIZE=1",
            "SI_ZE=1",
            "SIZE=1=2",
            "SIZE=\u{7f}",
            "<a@b>",
        ] {
            assert_eq!(none_offered(bad), Err(NOT_A_PARAMETER), "{bad}");
            assert_eq!(none_offered(&format!("A=1 {bad}")), Err(NOT_A_PARAMETER));
        }
    }

    #[test]
    fn a_parameter_of_an_extension_is_refused_with_555() {
        for unknown in ["SIZE=1000", "X", "size=1 body=8BITMIME"] {
            assert_eq!(none_offered(unknown), Err(UNKNOWN_PARAMETER), "{unknown}");
        }
        assert_eq!(none_offered(""), Ok(()));
    }
}
