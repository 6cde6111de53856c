//! Chapter 7: RSET, NOOP and QUIT, and whole sessions.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use support::preamble::{addressed, begun};
use support::zoo::{Mistake, catches};
use support::{
    by_default, documented_conversation, mail, mails_are_reported, ours_plays, own_server,
    own_servers, plays, stores, to_bob,
};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage07_quit.rs");
    ours_plays(7.., &documented_conversation(source));
}

#[test]
fn rset_drops_the_whole_transaction() {
    stores(
        7..,
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<eve@example.org>
        S: 250 ...
        C: RCPT TO:<victim@example.com>
        S: 250 ...
        {4.1.1.5: RSET is answered with 250}
        C: RSET
        S: 250 ...
        {4.1.1.5: RSET discards the sender and the recipients}
        C: RCPT TO:<bob@example.com>
        S: 503 ...
        C: DATA
        S: 503 ...
        {4.1.1.5: and not the HELO}
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        {4.1.1.5: no recipient from before the RSET is left}
        C: DATA
        S: 503 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: .
        S: 250 ...
        ",
        &[to_bob(b"")],
    );
}

#[test]
fn recipients_that_survive_a_rset_are_caught() {
    catches(
        rset_drops_the_whole_transaction,
        Mistake::RsetKeepsTheRecipients,
    );
}

#[test]
fn noop_changes_nothing() {
    plays(
        7..,
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        {4.1.1.9: NOOP is answered with 250}
        C: NOOP
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        {4.1.1.9: NOOP has no effect, on a transaction or anything else}
        C: NOOP
        S: 250 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        {4.1.1.9: a parameter of NOOP is ignored}
        C: NOOP are you still there?
        S: 250 ...
        {4.1.1.9: NOOP has no effect, on a transaction or anything else}
        C: DATA
        S: 354 ...
        C: .
        S: 250 ...
        ",
    );
}

#[test]
fn a_noop_that_forgets_the_transaction_is_caught() {
    catches(noop_changes_nothing, Mistake::NoopForgetsTheTransaction);
}

#[test]
fn rset_noop_and_quit_are_accepted_before_helo() {
    plays(
        7..,
        "
        S: 220 ...
        {4.1.4: these can be used without initializing a session}
        C: RSET
        S: 250 ...
        C: NOOP
        S: 250 ...
        {4.1.1.10: the server must send 221, and then close}
        C: QUIT
        S: 221 ...
        {the server closes the connection}
        ",
    );
}

#[test]
fn mail_after_rset_without_helo_is_refused_with_503() {
    plays(
        7..,
        "
        S: 220 ...
        {4.1.4: RSET can be used without initializing a session}
        C: RSET
        S: 250 ...
        {4.1.4: MAIL needs a HELO before it, and RSET isn't one}
        C: MAIL FROM:<ada@example.org>
        S: 503 ...
        ",
    );
}

#[test]
fn quit_is_answered_with_221_and_the_connection_is_closed() {
    plays(
        7..,
        &begun(
            "
            {4.1.1.10: the server must send 221, and then close}
            C: QUIT
            S: 221 ...
            {the server closes the connection}
            ",
        ),
    );
}

#[test]
fn a_server_that_closes_without_a_goodbye_is_caught() {
    catches(
        quit_is_answered_with_221_and_the_connection_is_closed,
        Mistake::QuitWithoutGoodbye,
    );
}

#[test]
fn rset_and_quit_with_an_argument_are_refused_with_501() {
    plays(
        7..,
        "
        S: 220 ...
        {4.3.2: RSET and QUIT take no argument}
        C: RSET now
        S: 501 ...
        C: QUIT now
        S: 501 ...
        C: QUIT
        S: 221 ...
        {the server closes the connection}
        ",
    );
}

#[test]
fn a_command_without_its_line_end_is_not_run() {
    plays(
        7..,
        r#"
        S: 220 ...
        C: b"QUIT"
        {the client closes its side}
        {2.4: the receiver takes no action until the line end is received}
        {the server closes the connection}
        "#,
    );
}

#[test]
fn quit_drops_an_unfinished_transaction() {
    stores(
        7..,
        &addressed(
            "
            {4.1.1.10: QUIT aborts a transaction that isn't complete}
            C: QUIT
            S: 221 ...
            {the server closes the connection}
            ",
        ),
        &[],
    );
}

#[test]
fn the_typical_scenario_of_appendix_d_1_is_true() {
    stores(
        7..,
        "
        S: 220 ...
        C: EHLO bar.com
        S: 250 ...
        C: MAIL FROM:<Smith@bar.com>
        S: 250 ...
        C: RCPT TO:<Jones@foo.com>
        S: 250 ...
        {D.1 has a recipient that is refused; here it is one without a domain (4.1.2)}
        C: RCPT TO:<Green@>
        S: 5...
        C: RCPT TO:<Brown@foo.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        {4.5.2: the line with three dots loses one, as its sender in D.1 forgot to stuff it}
        C: Blah blah blah...
        C: ...etc. etc. etc.
        C: .
        S: 250 ...
        C: QUIT
        S: 221 ...
        {the server closes the connection}
        ",
        &[mail(
            "Smith@bar.com",
            &["Jones@foo.com", "Brown@foo.com"],
            b"Blah blah blah...\r\n..etc. etc. etc.\r\n",
        )],
    );
}

#[test]
fn the_aborted_scenario_of_appendix_d_2_is_true() {
    stores(
        7..,
        "
        S: 220 ...
        C: EHLO bar.com
        S: 250 ...
        C: MAIL FROM:<Smith@bar.com>
        S: 250 ...
        C: RCPT TO:<Jones@foo.com>
        S: 250 ...
        C: RCPT TO:<Green@>
        S: 5...
        {D.2: RSET aborts the transaction}
        C: RSET
        S: 250 ...
        C: QUIT
        S: 221 ...
        {the server closes the connection}
        ",
        &[],
    );
}

#[test]
fn the_dialogue_of_the_first_tutorial_works_at_a_plain_netcat() {
    ours_plays(
        7..,
        r#"
        S: 220 ...
        C: b"HELO kausm.in\n"
        S: 250 ...
        C: b"MAIL FROM: sender@kausm.in\n"
        S: 250 ...
        C: b"RCPT TO: receiver@kausm.in\n"
        S: 250 ...
        C: b"DATA\n"
        S: 354 ...
        C: b"Subject: Hello Receiver\n"
        C: b"\n"
        C: b"Hey there\n"
        C: b"\n"
        C: b".\n"
        S: 250 ...
        C: b"QUIT\n"
        S: 221 ...
        {the server closes the connection}
        "#,
    );
}

#[test]
fn the_conversation_at_the_head_of_the_second_tutorial_is_true() {
    plays(
        7..,
        r#"
        S: 220 ...
        C: HELO relay.example.org
        S: 250 ...
        C: MAIL FROM:<bob@example.org>
        S: 250 ...
        C: RCPT TO:<alice@example.com>
        S: 250 ...
        C: RCPT TO:<theboss@example.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: From: "Bob Example" <bob@example.org>
        C: To: "Alice Example" <alice@example.com>
        C: Cc: theboss@example.com
        C: Date: Tue, 15 Jan 2008 16:02:43 -0500
        C: Subject: Test message
        C:
        C: Hello Alice.
        C: This is a test message with 5 header fields and 4 lines in the message body.
        C: Your friend,
        C: Bob
        C: .
        S: 250 ...
        C: QUIT
        S: 221 ...
        {the server closes the connection}
        "#,
    );
}

#[test]
fn the_mail_of_the_second_tutorial_s_client_is_stored() {
    // As Go's smtp.SendMail sends it: the bare LFs of the body become CRLF.
    let body = "\n\t<h1>Hello World</h1>\n\t<p>This is a paragraph.</p>\n\n\
                \t<p>This is another paragraph.</p>\n\t<p>This is the last paragraph.</p>\n\n\
                \t<p>And this is the last paragraph.</p>\n\t<p>And this is the last paragraph.</p>\n\t\n";
    let message = format!(
        "From: sender@example.com\nTo: ujang@example.com\nSubject: subject gonna be here\n\n{body}"
    );
    let lines: String = message.lines().map(|line| format!("C: {line}\n")).collect();
    stores(
        7..,
        &format!(
            "
            S: 220 ...
            C: EHLO localhost
            S: 250 ...
            C: MAIL FROM:<sender@example.com>
            S: 250 ...
            C: RCPT TO:<ujang@example.com>
            S: 250 ...
            C: RCPT TO:<agus@example.com>
            S: 250 ...
            C: DATA
            S: 354 ...
            {{4.1.1.4: the message as the client of the second tutorial sends it}}
            {lines}
            C: .
            S: 250 ...
            C: QUIT
            S: 221 ...
            {{the server closes the connection}}
            "
        ),
        &[mail(
            "sender@example.com",
            &["ujang@example.com", "agus@example.com"],
            message.replace('\n', "\r\n").as_bytes(),
        )],
    );
}

/// Reads the codes of all replies until the connection ends.
fn codes_to_the_end(stream: &mut TcpStream) -> Vec<String> {
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    replies.lines().map(|line| line[..3].to_string()).collect()
}

#[test]
fn a_whole_session_in_one_segment_gets_every_reply() {
    // RFC 2920 forbids such a segment, and `printf ... | nc` sends it.
    own_servers(7.., by_default, |server| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(server.patience)).unwrap();
        stream
            .write_all(
                b"HELO client.example\r\nMAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.com>\r\n\
                  DATA\r\nHello\r\n.\r\nNOOP\r\nHULLO\r\nQUIT\r\nNOOP after the end\r\n",
            )
            .unwrap();
        assert_eq!(
            codes_to_the_end(&mut stream),
            [
                "220", "250", "250", "250", "354", "250", "250", "500", "221"
            ]
        );
    });
}

#[test]
fn bytes_after_quit_leave_the_replies_intact() {
    // TCP answers bytes that the server never read with a reset, and a reset destroys replies on their way.
    own_server(7, by_default, |server| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(server.patience)).unwrap();
        stream.write_all(b"NOOP\r\nQUIT\r\n").unwrap();
        for _ in 0..20 {
            stream.write_all(&[b'x'; 10_000]).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(
            codes_to_the_end(&mut stream),
            ["220", "250", "221"],
            "closing with bytes unread makes TCP destroy replies"
        );
    });
}

/// Sends the mails of one client, and returns all replies.
fn sends_mails(address: SocketAddr, client: usize, mails: usize) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    for number in 0..mails {
        let body = body_of(client, number);
        write!(
            stream,
            "EHLO client{client}.example\r\nMAIL FROM:<{client}@example.org>\r\n\
             RCPT TO:<bob@example.com>\r\nDATA\r\n{body}.\r\n"
        )?;
    }
    stream.write_all(b"QUIT\r\n")?;
    let mut replies = String::new();
    stream.read_to_string(&mut replies)?;
    Ok(replies)
}

fn body_of(client: usize, number: usize) -> String {
    format!("client {client} mail {number}\r\n").repeat(100)
}

#[test]
fn two_hundred_clients_at_once_lose_nothing() {
    let clients = 200;
    let mails_each = 3;
    own_server(7, by_default, |server| {
        let address = server.address;
        let senders: Vec<_> = (0..clients)
            .map(|client| {
                thread::Builder::new()
                    .stack_size(128 * 1024)
                    .spawn(move || sends_mails(address, client, mails_each))
                    .unwrap()
            })
            .collect();
        for sender in senders {
            let replies = sender.join().unwrap().unwrap();
            assert_eq!(replies.matches("354 ").count(), mails_each, "{replies}");
            assert!(replies.contains("221 "), "{replies}");
        }
        if !mails_are_reported([server]) {
            return;
        }
        let mut stored = server.stored_messages();
        stored.sort();
        let mut sent: Vec<Vec<u8>> = (0..clients)
            .flat_map(|client| {
                (0..mails_each).map(move |number| body_of(client, number).into_bytes())
            })
            .collect();
        sent.sort();
        assert!(
            stored == sent,
            "{} mails stored of {}",
            stored.len(),
            sent.len()
        );
    });
}
