//! Stage 1: an echo server.
//!
//! Before there can be a protocol there must be a line to speak over. This stage accepts TCP
//! connections, gives each a thread of its own (that part is [`crate::server`]), and sends every
//! line back with `Server says: ` in front, until the client leaves.
//!
//! ```smtp
//! C: Hello there. This will be echoed back
//! S: Server says: Hello there. This will be echoed back
//! C: And so will this
//! S: Server says: And so will this
//! {the client closes its side}
//! {the server closes the connection}
//! ```
//!
//! To try it: `cargo run -- --stage 1`, and in another terminal `nc 127.0.0.1 2525`. Ctrl-C ends
//! either.
//!
//! What the quick version gets wrong:
//!
//! - **Taking one read for one message.** TCP carries bytes in order and knows no messages: the
//!   line that a client wrote at once may arrive in two reads, and two lines may arrive in one. A
//!   server that answers each *read* works on your machine and fails on the network. Here a line end
//!   makes a message, so this server reads up to the line end.
//! - **Holding a line until it ends.** A client that never ends its line would fill the memory. A
//!   line is therefore held up to [`LONGEST_PIECE`] octets (the RFC's word for bytes of eight bits); a
//!   longer one comes back in pieces, and still as one line.
//! - **Expecting text.** A client may send any byte, and bytes are sent back as bytes. Turning them
//!   into a `String` would end the conversation at the first `é` in Latin-1.
//! - **Ending the loop at the first error.** A client breaks off, or an accept fails: that happens
//!   every day. It ends that client's thread, not the server.
//!
//! SMTP runs over exactly such a two-way stream of bytes (RFC 5321, 2.1), and its lines end in
//! CR LF (2.3.8). An echo sends back the line end that it received.
//!
//! The chapter, with every piece explained: [docs/01-echo.md](../../../../../docs/01-echo.md).

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::connection::Connection;

/// How much of a line is held in memory, in octets.
pub const LONGEST_PIECE: usize = 1024;

const PREFIX: &[u8] = b"Server says: ";

/// Echoes lines until the client leaves.
///
/// # Errors
/// The connection broke.
pub fn converse(mut connection: Connection) -> io::Result<()> {
    let stream = &connection.stream;
    let transcript = &mut connection.transcript;
    let input = BufReader::with_capacity(LONGEST_PIECE, stream);
    echo(input, stream, |prefix, line| {
        let line = transcript.without_secrets(line.trim_ascii_end());
        transcript.client(line);
        transcript.server(&[prefix, line].concat());
    })?;
    transcript.narrate(format_args!("the client closes its side"));
    Ok(())
}

/// Sends each line back to `output` with a prefix in front.
///
/// `show` gets the prefix and the line with its end, after they were sent.
///
/// ```
/// use smtp_from_scratch::stages::stage01_echo::echo;
///
/// let mut output = Vec::new();
/// echo(&b"Hello\r\nthere"[..], &mut output, |_, _| ()).unwrap();
/// assert_eq!(output, b"Server says: Hello\r\nServer says: there");
/// ```
///
/// # Errors
/// `input` or `output` broke.
pub fn echo(
    mut input: impl BufRead,
    mut output: impl Write,
    mut show: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    let mut answer = Vec::new();
    let mut at_line_start = true;
    loop {
        answer.clear();
        if at_line_start {
            answer.extend_from_slice(PREFIX);
        }
        let line_start = answer.len();
        let mut piece = input.by_ref().take(LONGEST_PIECE as u64);
        if piece.read_until(b'\n', &mut answer)? == 0 {
            return Ok(());
        }
        output.write_all(&answer)?;
        let (prefix, line) = answer.split_at(line_start);
        show(prefix, line);
        at_line_start = answer.ends_with(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoed(input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        echo(input, &mut output, |_, _| ()).unwrap();
        output
    }

    #[test]
    fn each_line_is_answered_once() {
        assert_eq!(
            echoed(b"one\r\ntwo\n\n"),
            b"Server says: one\r\nServer says: two\nServer says: \n"
        );
    }

    #[test]
    fn bytes_beyond_text_come_back_as_they_went() {
        assert_eq!(echoed(b"\xff\0\xc3\n"), b"Server says: \xff\0\xc3\n");
    }

    #[test]
    fn a_long_line_comes_back_as_one_line() {
        let line = [b'x'; 3 * LONGEST_PIECE];
        assert_eq!(echoed(&line), [PREFIX, &line].concat());
    }

    #[test]
    fn a_client_that_says_nothing_hears_nothing() {
        assert_eq!(echoed(b""), b"");
    }
}
