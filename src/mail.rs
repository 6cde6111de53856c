//! One mail: the envelope and the letter in it (chapter 4).

/// A mail transaction. MAIL makes it, RCPT adds to it, DATA completes it, and what ends it (RSET,
/// EHLO, HELO, the end of the data) drops it whole (3.3, 4.1.4).
///
/// The addresses are the *envelope*: where the mail goes and where trouble is reported. The
/// `From:` and `To:` that people see belong to the message, and the server doesn't look at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The sender's mailbox without brackets, `ada@example.org`. It is empty for the null
    /// reverse-path `<>` of bounces (4.5.5).
    pub reverse_path: String,
    /// The recipients.
    pub forward_paths: ForwardPaths,
    /// The message as it was sent, line ends and all, without the dots that were stuffed
    /// (4.5.2) and without the line that ends it.
    pub message: Vec<u8>,
}

/// Mailboxes in the order in which RCPT named them.
///
/// All stand in one string, one after the other: a message to a hundred people costs a handful of
/// allocations, not a hundred.
///
/// ```
/// use smtp_from_scratch::mail::ForwardPaths;
///
/// let mut forward_paths = ForwardPaths::default();
/// forward_paths.push("ada@example.org");
/// forward_paths.push("Postmaster");
/// assert_eq!(forward_paths.len(), 2);
/// assert!(forward_paths.iter().eq(["ada@example.org", "Postmaster"]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardPaths {
    text: String,
    /// Where each mailbox ends in `text`.
    ends: Vec<usize>,
}

impl ForwardPaths {
    /// Adds a mailbox.
    pub fn push(&mut self, mailbox: &str) {
        self.text.push_str(mailbox);
        self.ends.push(self.text.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How long they are together, in octets.
    pub fn octets(&self) -> usize {
        self.text.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The mailboxes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.text[start..end])
    }
}
