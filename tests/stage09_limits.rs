//! Chapter 9: strangers at the door, and the limits of the time, memory and threads that each may use.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::stage09_limits::MAX_REFUSALS;
use support::conversation::Conversation;
use support::player::Split;
use support::preamble::{MAIL_TO_BOB, addressed, greeted, within_data};
use support::program::{Client, serving};
use support::{
    by_default, documented_conversation, from_another_machine, own_program, own_server, plays_in,
    plays_in_all_splits, plays_with,
};

/// Plays a conversation against stage 9 once, line by line.
fn plays_once(adjust: impl Fn(&mut Settings), text: &str) {
    let conversation = Conversation::parse(text);
    own_server(9, adjust, |server| {
        plays_in(server, &conversation, Split::LineByLine);
    });
}

/// Plays a conversation against stage 9, seemingly from another machine.
fn plays_from_another_machine(text: &str) {
    let conversation = Conversation::parse(text);
    from_another_machine(|server| plays_in_all_splits(server, &conversation, || ()));
}

fn ours_is_example_com(settings: &mut Settings) {
    settings.domains = vec!["example.com".to_string()];
}

/// Sets a short timeout, but long enough for a busy machine.
fn half_a_second(settings: &mut Settings) {
    settings.timeout = Duration::from_millis(500);
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage09_limits.rs");
    plays_with(9.., ours_is_example_com, &documented_conversation(source));
}

#[test]
fn the_limits_of_the_documentation_are_those_of_the_code() {
    use smtp_from_scratch::command::MAX_AUTH_LINE;
    use smtp_from_scratch::domain::MAX_DOMAIN;
    use smtp_from_scratch::path::MAX_PATH;
    use smtp_from_scratch::patience::LEAST_DATA_RATE;
    use smtp_from_scratch::settings::*;
    use smtp_from_scratch::stages::stage03_commands::LONGEST_GOODBYE;
    use smtp_from_scratch::stages::{stage08_maildir, stage09_limits};
    use smtp_from_scratch::wire::MAX_COMMAND_LINE;

    let table = include_str!("../src/stages/stage09_limits.rs");
    for (what, limit) in [
        (
            "clients at a time | 1,000 |",
            DEFAULT_MAX_CONNECTIONS == 1000,
        ),
        ("5 minutes |", DEFAULT_TIMEOUT == Duration::from_secs(300)),
        ("500 octets a second |", LEAST_DATA_RATE == 500),
        ("still sends | 1 second |", LONGEST_GOODBYE.as_secs() == 1),
        ("the last accepted mail | 20 |", MAX_REFUSALS == 20),
        (
            "a domain, a path | 255, 256 octets |",
            (MAX_DOMAIN, MAX_PATH) == (255, 256),
        ),
        (
            "512, 12,288 octets |",
            (MAX_COMMAND_LINE, MAX_AUTH_LINE) == (512, 12_288),
        ),
        (
            "recipients of a mail | 1,000, and 64 KiB |",
            (DEFAULT_MAX_RECIPIENTS, stage09_limits::MAX_FORWARD_PATHS) == (1000, 65_536),
        ),
        (
            "25 MiB, 1 MiB |",
            (DEFAULT_MAX_SIZE, stage08_maildir::MAX_HEADER_SECTION) == (25 << 20, 1 << 20),
        ),
        ("fields | 100 |", stage08_maildir::MAX_RECEIVED == 100),
    ] {
        assert!(table.contains(what) && limit, "{what}");
    }
}

#[test]
fn a_silent_client_is_answered_with_421_and_disconnected() {
    plays_once(
        half_a_second,
        "
        S: 220 ...
        {4.5.3.2.7, 4.2.3: after a timeout, 421 and the end}
        S: 421 localhost You took too long, closing transmission channel
        {the server closes the connection}
        ",
    );
    plays_once(
        half_a_second,
        &greeted(
            r#"
            C: b"MAIL FROM:<ada@exa"
            S: 421 ...
            {the server closes the connection}
            "#,
        ),
    );
}

#[test]
fn a_stalled_message_is_dropped_and_its_client_disconnected() {
    let conversation = Conversation::parse(&within_data(
        "
        C: Half a message
        S: 421 ...
        {the server closes the connection}
        ",
    ));
    own_server(9, half_a_second, |server| {
        plays_in(server, &conversation, Split::LineByLine);
        assert_eq!(server.stored(), Some(Vec::new()));
        assert_eq!(server.maildir().names("tmp"), [""; 0]);
    });
}

/// Sends `piece` again and again until the server answers.
fn dribble(stream: &mut TcpStream, piece: &[u8]) -> String {
    // Waiting for an answer sets the pace.
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for _ in 1..500 {
        let _ = stream.write_all(piece);
        let mut reply = [0; 512];
        match stream.read(&mut reply) {
            Ok(length) => return String::from_utf8_lossy(&reply[..length]).into_owned(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("no last words: {error}"),
        }
    }
    panic!("a client that dribbles holds a thread for ever");
}

#[test]
fn a_client_that_sends_a_byte_now_and_then_is_disconnected() {
    own_server(9, half_a_second, |server| {
        let mut client = Client::connected(server.address);
        client.hears_codes(&["220"]);
        let reply = dribble(client.0.get_mut(), b"N");
        assert!(reply.starts_with("421 "), "within a command line: {reply}");

        let mut client = Client::within_data(server.address);
        let reply = dribble(client.0.get_mut(), b"x");
        assert!(reply.starts_with("421 "), "within a message: {reply}");
        assert_eq!(server.stored(), Some(Vec::new()));
    });
}

#[test]
fn a_message_that_keeps_coming_may_take_longer_than_the_timeout() {
    own_server(9, half_a_second, |server| {
        let mut client = Client::within_data(server.address);
        // 1.2 seconds at 50,000 octets a second.
        for _ in 0..60 {
            client.says(&[b"X: ", &[b'x'; 995][..], b"\r\n"].concat());
            client.hears_nothing_for(Duration::from_millis(20));
        }
        client.says(b".\r\n");
        client.hears_codes(&["250"]);
        assert_eq!(server.stored_messages()[0].len(), 60 * 999);
    });
}

#[test]
fn a_message_after_a_slow_data_command_has_its_own_timeout() {
    own_server(
        9,
        |settings| settings.timeout = Duration::from_secs(1),
        |server| {
            let mut client = Client::connected(server.address);
            client.says(b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDAT");
            client.hears_codes(&["220", "250", "250", "250"]);
            let pause = Duration::from_millis(600);
            client.hears_nothing_for(pause);
            client.says(b"A\r\n");
            client.hears_codes(&["354"]);
            client.hears_nothing_for(pause);
            client.says(b"hi\r\n.\r\n");
            client.hears_codes(&["250"]);
            // The command after the message has its own timeout as well.
            client.hears_nothing_for(pause);
            client.says(b"NOOP\r\n");
            client.hears_codes(&["250"]);
        },
    );
}

#[test]
fn an_endless_refused_message_is_answered_with_552_and_421() {
    let small_and_short = |settings: &mut Settings| {
        half_a_second(settings);
        settings.max_size = 10;
    };
    own_server(9, small_and_short, |server| {
        let mut client = Client::within_data(server.address);
        // The message comes fast, but once it is refused that earns it no more time.
        let reply = dribble(client.0.get_mut(), &[b'x'; 1000]);
        let codes: Vec<&str> = reply.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["552", "421"], "{reply}");
    });
}

#[test]
fn a_client_that_never_reads_is_disconnected() {
    own_server(9, half_a_second, |server| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let noops = b"NOOP\r\n".repeat(10_000);
        // The replies fill all buffers on their way, and then the server stops reading.
        stream
            .set_write_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let error = loop {
            if let Err(error) = stream.write_all(&noops) {
                break error;
            }
        };
        let gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(gone.contains(&error.kind()), "{error}");
    });
}

#[test]
fn twenty_refusals_are_followed_by_421() {
    let refused = "C: HULLO\nS: 500 ...\nC: RCPT TO:<bob@example.com>\nS: 503 ...\n".repeat(9);
    let session = |last: &str| greeted(&format!("{refused}{last}"));
    plays_with(
        9..,
        by_default,
        &session("C: MAIL FROM:\nS: 501 ...\nC: NOOP\nS: 250 ...\nC: QUIT\nS: 221 ..."),
    );
    plays_with(
        9..,
        by_default,
        &session(
            "
            C: MAIL FROM:
            S: 501 ...
            C: HULLO
            S: 500 ...
            {4.2.3: a 421 announces the end of the connection}
            S: 421 localhost Too many errors, closing transmission channel
            {the server closes the connection}
            ",
        ),
    );
    // Twenty lines that don't even become commands count as well.
    let bad = "C: b\"\\xff\\r\\n\"\nS: 500 ...\n".repeat(20);
    plays_once(
        by_default,
        &format!("S: 220 ...\n{bad}S: 421 ...\n{{the server closes the connection}}"),
    );
}

#[test]
fn a_delivered_mail_resets_the_count_of_errors() {
    let mistakes = "C: HULLO\nS: 500 ...\n".repeat(19);
    let mail = format!("{MAIL_TO_BOB}C: .\nS: 250 ...\n");
    plays_once(
        by_default,
        &greeted(&format!("{mistakes}{mail}{mistakes}{mail}")),
    );
}

#[test]
fn a_4xx_does_not_count_as_an_error() {
    // 452 says "not now": a client with thirty recipients too many stays connected.
    let too_many = "C: RCPT TO:<bob@example.com>\nS: 452 ...\n".repeat(30);
    plays_with(
        9..,
        |settings| settings.max_recipients = 1,
        &addressed(&format!("{too_many}C: DATA\nS: 354 ...\nC: .\nS: 250 ...")),
    );
}

#[test]
fn recipients_beyond_64_kib_are_answered_with_452() {
    let longest = format!("C: RCPT TO:<{}@{}>\n", "l".repeat(64), "d".repeat(180));
    let accepted = format!("{longest}S: 250 ...\n").repeat(268);
    plays_once(
        by_default,
        &greeted(&format!(
            "C: MAIL FROM:<>\nS: 250 ...\n{accepted}\
             {{4.5.3.1.8: a hundred must fit; 4.5.3.1.10: one too many is 452}}\n{longest}S: 452 ...\n\
             C: DATA\nS: 354 ...\nC: .\nS: 250 ..."
        )),
    );
}

#[test]
fn a_client_beyond_the_limit_is_answered_with_421_until_another_leaves() {
    own_server(
        9,
        |settings| settings.max_connections = 2,
        |server| {
            let mut clients: Vec<Client> =
                (0..2).map(|_| Client::connected(server.address)).collect();
            for client in &mut clients {
                client.hears_codes(&["220"]);
            }
            for _ in 0..10 {
                let mut turned_away = Client::connected(server.address);
                let mut heard = String::new();
                turned_away.0.read_to_string(&mut heard).unwrap();
                assert_eq!(
                    heard,
                    "421 localhost Too many connections, closing transmission channel\r\n"
                );
            }
            // The connected clients are served as before.
            clients[0].says(b"QUIT\r\n");
            clients[0].hears_codes(&["221"]);
            clients[1].says(b"NOOP\r\n");
            clients[1].hears_codes(&["250"]);
            // The thread of a client ends a moment after its connection.
            clients.remove(0);
            while Client::connected(server.address).hears().starts_with("421") {}
        },
    );
}

#[test]
fn mail_for_other_domains_is_refused_with_550() {
    plays_with(
        9..,
        ours_is_example_com,
        &greeted(
            "
            {3.3: the order comes first}
            C: RCPT TO:<bob@elsewhere.example>
            S: 503 ...
            C: MAIL FROM:<ada@elsewhere.example>
            S: 250 ...
            C: RCPT TO:<bob>
            S: 501 ...
            {3.6.2, 7.9: a server that relays for strangers is an open relay}
            C: RCPT TO:<bob@elsewhere.example>
            S: 550 5.7.1 ...
            C: RCPT TO:<@example.com:bob@elsewhere.example>
            S: 550 5.7.1 ...
            C: RCPT TO:<bob%elsewhere.example@mail.example.com>
            S: 550 5.7.1 ...
            C: DATA
            S: 503 ...
            C: RCPT TO:<bob@Example.Com>
            S: 250 ...
            {4.5.1: every server has a postmaster}
            C: RCPT TO:<postmaster>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn from_another_machine_only_crlf_ends_a_line() {
    let conversation = Conversation::parse(
        r#"
        S: 220 ...
        {2.3.8: a bare LF doesn't end a line: this is one line, with a character that no command has}
        C: b"EHLO client.example\nNOOP\r\n"
        S: 500 ...
        C: b"NOOP\n\nNOOP\n\r\n"
        S: 500 ...
        C: b"NOOP\r\r\n"
        S: 500 ...
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: b"Hello: Bob.\n.\nMAIL FROM:<admin@example.org>\r\n.\r\n"
        S: 250 ...
        C: b"QUIT\n"
        {the client closes its side}
        {the server closes the connection}
        "#,
    );
    from_another_machine(|server| {
        plays_in_all_splits(server, &conversation, || {
            let stored = server.stored_messages();
            assert_eq!(stored.len(), 1);
            let message = stored[0].escape_ascii().to_string();
            assert_eq!(message, r"Hello: Bob.\n.\nMAIL FROM:<admin@example.org>\n");
        });
    });
}

#[test]
fn a_bare_lf_beyond_the_line_limit_does_not_end_the_line() {
    let long = "x".repeat(600);
    plays_from_another_machine(&format!(
        r#"
        S: 220 ...
        C: b"{long}\nNOOP\r\n"
        S: 500 ...
        C: NOOP
        S: 250 ...
        "#
    ));
}

#[test]
fn another_machine_that_sends_crlf_is_served_as_usual() {
    let source = include_str!("../src/stages/stage08_maildir.rs");
    plays_from_another_machine(&documented_conversation(source));
}

#[test]
fn an_auth_line_of_12288_octets_is_read_whole() {
    let line =
        |verb: &str, octets: usize| format!("C: {verb} {}", "x".repeat(octets - verb.len() - 3));
    let session = format!(
        "
        S: 220 ...
        {{RFC 4954, section 4: up to 12,288 octets with its CRLF}}
        {}
        S: 502 ...
        {}
        S: 500 Line too long
        {{4.5.3.1.4: 512 octets for all others}}
        {}
        S: 250 ...
        {}
        S: 500 Line too long
        C: NOOP
        S: 250 ...
        ",
        line("AUTH", 12_288),
        line("auth", 12_289),
        line("NOOP", 512),
        line("NOOP", 513),
    );
    plays_with(9.., by_default, &session);
}

#[test]
fn control_characters_reach_neither_the_terminal_nor_a_reply() {
    own_program(9, serving(&["--domain", "example.com"]), |server| {
        let escape = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\x08\x7f";
        let replies = server.talk(
            format!(
                "HELO {escape}\r\nEHLO c\r\nMAIL FROM:<{escape}@example.org>\r\nMAIL FROM:<\"{escape}\"@example.org>\r\n\
                 MAIL FROM:<a@b.c>\r\nRCPT TO:<{escape}@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\
                 Subject: {escape}\r\n{escape}: {escape}\r\n\r\n{escape}\r\n.\r\n{escape}\r\nQUIT\r\n"
            )
            .as_bytes(),
        );
        assert!(replies.ends_with(" localhost Service closing transmission channel\r\n"));
        let shown = server.lines_until(&["closes the connection}"]).concat();
        for text in [replies.replace("\r\n", ""), shown] {
            let raw: Vec<char> = text
                .chars()
                .filter(|c| c.is_control() || *c == '\u{202e}')
                .collect();
            assert!(raw.is_empty(), "{raw:?} in {text:?}");
        }
    });
}

#[test]
fn the_argument_of_rcpt_is_checked_before_the_recipient() {
    let longest = format!("C: RCPT TO:<{}@{}>\n", "l".repeat(64), "d".repeat(180));
    let accepted = format!("{longest}S: 250 ...\n").repeat(268);
    plays_once(
        by_default,
        &greeted(&format!(
            "
            C: MAIL FROM:<>
            S: 250 ...
            {accepted}
            {longest}
            S: 452 ...
            {{a syntax error is one, however many recipients there are}}
            C: RCPT TO:<bad>
            S: 501 ...
            C: RCPT TO:
            S: 501 ...
            C: RCPT TO:<bob@example.com> FOO=1
            S: 555 ...
            "
        )),
    );
    plays_once(
        ours_is_example_com,
        &greeted(
            "
            C: MAIL FROM:<>
            S: 250 ...
            {4.1.1.11: an unknown parameter, before the question whose domain it is}
            C: RCPT TO:<bob@elsewhere.example> FOO=1
            S: 555 ...
            C: RCPT TO:<bob@elsewhere.example>
            S: 550 ...
            ",
        ),
    );
}

#[test]
fn an_http_request_ends_the_conversation() {
    let long = format!("POST /{} HTTP/1.1", "x".repeat(600));
    let too_long = format!("POST /{} HTTP/1.1", "x".repeat(20_000));
    for (request, why) in [
        ("POST / HTTP/1.1", "the usual one"),
        ("GET / HTTP/1.0", "another method"),
        ("OPTIONS * HTTP/1.1", "another target"),
        ("PUT http://127.0.0.1:2525/ HTTP/1.1", "a whole URL"),
        ("PROPFIND /x HTTP/1.1", "a rare method"),
        ("NOOP / HTTP/1.1", "a method with the name of a command"),
        (&long, "longer than a command"),
        (&too_long, "longer than any line"),
    ] {
        plays_with(
            9..,
            by_default,
            &format!(
                "
                S: 220 ...
                {{a web page can make a browser send this, with commands in its body: {why}}}
                C: {request}
                S: 421 localhost This is SMTP, not HTTP, closing transmission channel
                {{the server closes the connection}}
                "
            ),
        );
    }
}

#[test]
fn the_body_of_an_http_request_is_never_run() {
    own_server(9, by_default, |server| {
        let body = "HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n";
        // curl sends few fields, a browser many.
        for fields in [7, 18] {
            let header = "User-Agent: a browser\r\n".repeat(fields);
            let mut client = Client::connected(server.address);
            client.says(format!("POST / HTTP/1.1\r\n{header}\r\n{body}").as_bytes());
            client.hears_codes(&["220", "421"]);
            let mut rest = String::new();
            client.0.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "");
        }
        assert_eq!(server.stored(), Some(Vec::new()));
    });
}
