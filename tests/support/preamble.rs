//! The openings that most conversations share: a test writes down only what comes after them.

/// Brings a mail from Ada to Bob up to its 354.
///
/// It fits any place in a session after EHLO.
pub const MAIL_TO_BOB: &str = "
    C: MAIL FROM:<ada@example.org>
    S: 250 ...
    C: RCPT TO:<bob@example.com>
    S: 250 ...
    C: DATA
    S: 354 ...
";

/// Opens a session with EHLO before `lines`.
pub fn greeted(lines: &str) -> String {
    format!("S: 220 ...\nC: EHLO client.example\nS: 250 ...\n{lines}")
}

/// Opens a session and begins a transaction from Ada before `lines`.
pub fn begun(lines: &str) -> String {
    greeted(&format!(
        "C: MAIL FROM:<ada@example.org>\nS: 250 ...\n{lines}"
    ))
}

/// Opens a session, begins a transaction and names Bob before `lines`.
pub fn addressed(lines: &str) -> String {
    begun(&format!(
        "C: RCPT TO:<bob@example.com>\nS: 250 ...\n{lines}"
    ))
}

/// Opens a session up to the 354 of a mail before `lines`.
pub fn within_data(lines: &str) -> String {
    addressed(&format!("C: DATA\nS: 354 ...\n{lines}"))
}
