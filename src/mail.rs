//! One mail: the envelope and the message in it (chapter 4).

/// The envelope: where a message goes, and who hears of trouble.
///
/// It is also the state of a mail transaction. MAIL makes it, RCPT adds to it, and what ends the
/// transaction (DATA, RSET, EHLO, HELO) takes it whole (3.3, 4.1.4). The `From:` and `To:` that
/// people see belong to the message, and the server doesn't look at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's mailbox without brackets, `ada@example.org`. It is empty for the null
    /// reverse-path `<>` of bounces (4.5.5).
    pub reverse_path: String,
    /// The recipients' mailboxes, in the order of their RCPT commands.
    pub forward_paths: Vec<String>,
    /// Whether its addresses may be UTF-8: MAIL had SMTPUTF8 (RFC 6531; chapter 10).
    pub smtputf8: bool,
}

/// An envelope with its message (chapter 6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Where the message goes.
    pub envelope: Envelope,
    /// The message as it was sent, line ends and all, without the dots that were stuffed
    /// (4.5.2) and without the line that ends it.
    pub message: Vec<u8>,
}
