//! Stage 2: the greeting.
//!
//! In SMTP the server speaks first. A client connects and waits; nothing happens until it has
//! seen the digits 220 (RFC 5321, 4.3.1). With them the server says its own name and that it is
//! ready (4.2: `Greeting`). Then the client introduces itself, and this stage listens.
//!
//! ```smtp
//! S: 220 localhost ESMTP ready
//! C: EHLO client.example
//! {the client closes its side}
//! {the server closes the connection}
//! ```
//!
//! That is as far as a real mail program gets here: it has its greeting, it says `EHLO`, and it
//! waits for an answer that comes in the next stage. Its words are on the server's terminal.
//!
//! What the quick version gets wrong:
//!
//! - **The code and nothing else.** A client must take `220` alone (4.2), and some don't. The server
//!   owes it a space and its own name as the first word (4.3.1).
//! - **`\n` as the line end.** A reply line ends in CR LF (2.3.8, 4.2). Many clients wait for the CR.
//! - **`println!` of what a client said.** A terminal obeys the bytes that it is shown: a stranger's
//!   `ESC [` clears your screen, or worse. Anything other than text is shown escaped; see
//!   [`crate::transcript`].
//! - **A line without an end.** Reading a line means to hold it in memory, so it needs a limit.
//!   [`Wire::read_line`] has one, and skips the rest.
//! - **Four writes for one reply.** Code, space, text and line end belong in one buffer and one
//!   write; each write is a system call and may become a packet of its own.
//!
//! The chapter, with every piece explained: [docs/02-greeting.md](../../../../../docs/02-greeting.md).

use std::io;

use crate::connection::Connection;
use crate::reply::Reply;
use crate::wire::{Line, MAX_COMMAND_LINE, Wire};

/// Greets the client, then receives and shows its lines and answers none.
///
/// # Errors
/// The connection broke.
pub fn converse(connection: Connection) -> io::Result<()> {
    let mut wire = Wire::new(connection.stream, connection.transcript);
    wire.reply(&greeting(&connection.settings.hostname))?;
    let mut line = Vec::new();
    while wire.read_line(&mut line, MAX_COMMAND_LINE)? != Line::Closed {}
    Ok(())
}

/// Makes the 220 that a client waits for (4.2, 4.3.1).
///
/// Our name is the first word. `ESMTP` tells the client that EHLO is understood.
///
/// ```
/// use smtp_from_scratch::stages::stage02_greeting::greeting;
///
/// assert_eq!(greeting("mail.example").to_string(), "220 mail.example ESMTP ready");
/// ```
pub fn greeting(hostname: &str) -> Reply {
    Reply::with_text(220, format!("{hostname} ESMTP ready"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MAX_DOMAIN;

    #[test]
    fn the_greeting_fits_a_reply_line_with_the_longest_name() {
        let longest = "d".repeat(MAX_DOMAIN);
        assert!(greeting(&longest).to_string().len() + 2 <= 512, "4.5.3.1.5");
    }
}
