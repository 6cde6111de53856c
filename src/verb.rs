//! The verbs of SMTP (chapter 3).

/// The commands of RFC 5321, and AUTH (RFC 4954).
///
/// A server that can't do one of them yet still knows it: it answers 502 and not 500 (4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the protocol's own.
pub enum Verb {
    Helo,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Rset,
    Noop,
    Quit,
    Auth,
    Vrfy,
    Expn,
    Help,
}

impl Verb {
    /// Finds the verb that `word` spells, ignoring case (2.4).
    pub fn parse(word: &str) -> Option<Verb> {
        const VERBS: [(&str, Verb); 12] = [
            ("HELO", Verb::Helo),
            ("EHLO", Verb::Ehlo),
            ("MAIL", Verb::Mail),
            ("RCPT", Verb::Rcpt),
            ("DATA", Verb::Data),
            ("RSET", Verb::Rset),
            ("NOOP", Verb::Noop),
            ("QUIT", Verb::Quit),
            ("AUTH", Verb::Auth),
            ("VRFY", Verb::Vrfy),
            ("EXPN", Verb::Expn),
            ("HELP", Verb::Help),
        ];
        VERBS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, verb)| *verb)
    }
}
