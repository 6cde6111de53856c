//! Chapter 9: strangers at the door. What each of them may take of the server's time, memory and threads.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::stage09_limits::MAX_REFUSALS;
use support::conversation::Conversation;
use support::player::Split;
use support::program::{Client, Server};
use support::target::{start, start_for_strangers};
use support::{
    documented_conversation, needs_our_own_server, plays_in, plays_in_all_splits, plays_with,
};

/// Plays a conversation line by line, against stage 9 with the settings that `adjust` makes.
#[track_caller]
fn plays_once(adjust: impl Fn(&mut Settings), text: &str) {
    if needs_our_own_server() {
        plays_in(
            &start(9, adjust),
            &Conversation::parse(text),
            Split::LineByLine,
        );
    }
}

fn ours_is_example_com(settings: &mut Settings) {
    settings.domains = vec!["example.com".to_string()];
}

/// Long enough for a conversation on a busy machine, short enough to wait for.
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
    use smtp_from_scratch::patience::LEAST_DATA_RATE;
    use smtp_from_scratch::settings::*;
    use smtp_from_scratch::stages::{stage08_maildir, stage09_limits};
    use smtp_from_scratch::wire::*;

    let table = include_str!("../src/stages/stage09_limits.rs");
    for (what, limit) in [
        (
            "clients at a time | 1,000 |",
            DEFAULT_MAX_CONNECTIONS == 1000,
        ),
        ("5 minutes |", DEFAULT_TIMEOUT == Duration::from_secs(300)),
        ("500 octets a second |", LEAST_DATA_RATE == 500),
        ("refused commands | 20 |", MAX_REFUSALS == 20),
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
fn a_client_that_says_nothing_is_sent_away() {
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
        r#"
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: b"MAIL FROM:<ada@exa"
        S: 421 ...
        {the server closes the connection}
        "#,
    );
}

#[test]
fn a_message_that_stops_coming_is_dropped_and_its_client_sent_away() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, half_a_second);
    let conversation = Conversation::parse(
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: Half a message
        S: 421 ...
        {the server closes the connection}
        ",
    );
    plays_in(&server, &conversation, Split::LineByLine);
    assert_eq!(server.kept(), Some(Vec::new()));
    assert_eq!(server.maildir().names("tmp"), [""; 0]);
}

/// Sends `piece` again and again, a moment apart, until the server says something. Returns what.
fn dribble(stream: &mut TcpStream, piece: &[u8]) -> String {
    // The pace: to wait for an answer that doesn't come yet.
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
    panic!("who dribbles holds a thread for ever");
}

#[test]
fn a_byte_now_and_then_keeps_no_thread() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, half_a_second);
    let mut client = Client::connected(server.address);
    client.hears_codes(&["220"]);
    let reply = dribble(client.0.get_mut(), b"N");
    assert!(reply.starts_with("421 "), "within a command line: {reply}");

    let mut client = Client::within_data(server.address);
    let reply = dribble(client.0.get_mut(), b"x");
    assert!(reply.starts_with("421 "), "within a message: {reply}");
    assert_eq!(server.kept(), Some(Vec::new()));
}

#[test]
fn a_message_may_take_longer_than_the_timeout_if_it_keeps_coming() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, half_a_second);
    let mut client = Client::within_data(server.address);
    // 1.2 seconds at 50,000 octets a second.
    for _ in 0..60 {
        client.says(&[&[b'x'; 998][..], b"\r\n"].concat());
        client.hears_nothing_for(Duration::from_millis(20));
    }
    client.says(b".\r\n");
    client.hears_codes(&["250"]);
    assert_eq!(server.kept().unwrap()[0].message.len(), 60 * 999);
}

#[test]
fn a_message_has_its_own_time_after_a_slow_data_command() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, |settings| settings.timeout = Duration::from_secs(1));
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
    // And so has the command after it.
    client.hears_nothing_for(pause);
    client.says(b"NOOP\r\n");
    client.hears_codes(&["250"]);
}

#[test]
fn a_refused_message_without_an_end_gets_its_refusal_and_a_421() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, |settings| {
        half_a_second(settings);
        settings.max_size = 10;
    });
    let mut client = Client::within_data(server.address);
    // However fast it comes.
    let reply = dribble(client.0.get_mut(), &[b'x'; 1000]);
    let codes: Vec<&str> = reply.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["552", "421"], "{reply}");
}

#[test]
fn a_client_that_fetches_no_replies_keeps_no_thread() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, half_a_second);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let noops = b"NOOP\r\n".repeat(10_000);
    // The server's replies fill all buffers on their way, and then it stops reading.
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
}

#[test]
fn after_twenty_refusals_comes_a_421() {
    let refused = "C: HULLO\nS: 500 ...\nC: RCPT TO:<bob@example.com>\nS: 503 ...\n".repeat(9);
    let session = |last: &str| format!("S: 220 ...\nC: EHLO c\nS: 250 ...\n{refused}{last}");
    plays_with(
        9..,
        |_| (),
        &session("C: MAIL FROM:\nS: 501 ...\nC: NOOP\nS: 250 ...\nC: QUIT\nS: 221 ..."),
    );
    plays_with(
        9..,
        |_| (),
        &session(
            "
            C: MAIL FROM:
            S: 501 ...
            C: HULLO
            S: 500 ...
            {4.2.3: it is over, and the client is told}
            S: 421 localhost Too many errors, closing transmission channel
            {the server closes the connection}
            ",
        ),
    );
    // As many bad lines, which don't even become commands.
    let bad = "C: b\"\\xff\\r\\n\"\nS: 500 ...\n".repeat(20);
    plays_once(
        |_| (),
        &format!("S: 220 ...\n{bad}S: 421 ...\n{{the server closes the connection}}"),
    );
}

#[test]
fn a_client_that_delivers_mail_is_forgiven_its_mistakes() {
    let mistakes = "C: HULLO\nS: 500 ...\n".repeat(19);
    let mail = "C: MAIL FROM:<ada@example.org>\nS: 250 ...\nC: RCPT TO:<bob@example.com>\nS: 250 ...\n\
                C: DATA\nS: 354 ...\nC: .\nS: 250 ...\n";
    plays_once(
        |_| (),
        &format!("S: 220 ...\nC: EHLO c\nS: 250 ...\n{mistakes}{mail}{mistakes}{mail}"),
    );
}

#[test]
fn later_is_no_refusal() {
    // 452 says "not now": who has a thousand and thirty recipients isn't sent away.
    let too_many = "C: RCPT TO:<bob@example.com>\nS: 452 ...\n".repeat(30);
    plays_with(
        9..,
        |settings| settings.max_recipients = 1,
        &format!(
            "S: 220 ...\nC: EHLO c\nS: 250 ...\nC: MAIL FROM:<ada@example.org>\nS: 250 ...\n\
             C: RCPT TO:<bob@example.com>\nS: 250 ...\n{too_many}C: DATA\nS: 354 ...\nC: .\nS: 250 ..."
        ),
    );
}

#[test]
fn recipients_are_limited_in_octets_too() {
    let longest = format!("C: RCPT TO:<{}@{}>\n", "l".repeat(64), "d".repeat(180));
    let taken = format!("{longest}S: 250 ...\n").repeat(268);
    plays_once(
        |_| (),
        &format!(
            "S: 220 ...\nC: EHLO c\nS: 250 ...\nC: MAIL FROM:<>\nS: 250 ...\n{taken}\
             {{4.5.3.1.8: a hundred must fit; 4.5.3.1.10: one too many is 452}}\n{longest}S: 452 ...\n\
             C: DATA\nS: 354 ...\nC: .\nS: 250 ..."
        ),
    );
}

#[test]
fn a_client_too_many_is_421_and_there_is_room_again_when_one_leaves() {
    if !needs_our_own_server() {
        return;
    }
    let server = start(9, |settings| settings.max_connections = 2);
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connected(server.address)).collect();
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
    // Those who are in go on.
    clients[0].says(b"QUIT\r\n");
    clients[0].hears_codes(&["221"]);
    clients[1].says(b"NOOP\r\n");
    clients[1].hears_codes(&["250"]);
    // The thread ends a moment after its client has gone.
    clients.remove(0);
    while Client::connected(server.address).hears().starts_with("421") {}
}

#[test]
fn mail_is_taken_for_our_domains_only() {
    plays_with(
        9..,
        ours_is_example_com,
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
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
        {4.5.1: postmaster is everywhere at home}
        C: RCPT TO:<postmaster>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: .
        S: 250 ...
        ",
    );
}

#[test]
fn to_a_stranger_only_crlf_ends_a_line() {
    if !needs_our_own_server() {
        return;
    }
    let conversation = Conversation::parse(
        r#"
        S: 220 ...
        {2.3.8: a bare LF is no line end: this is one line, with a character that no command has}
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
        C: b"Hello Bob.\n.\nMAIL FROM:<admin@example.org>\r\n.\r\n"
        S: 250 ...
        C: b"QUIT\n"
        {the client closes its side}
        {the server closes the connection}
        "#,
    );
    let server = start_for_strangers();
    plays_in_all_splits(&server, &conversation, || {
        let kept = server.kept().unwrap();
        assert_eq!(kept.len(), 1);
        let message = kept[0].message.escape_ascii().to_string();
        assert_eq!(message, r"Hello Bob.\n.\nMAIL FROM:<admin@example.org>\n");
    });
}

#[test]
fn a_bare_lf_beyond_the_limit_of_a_line_ends_nothing_either() {
    if !needs_our_own_server() {
        return;
    }
    let long = "x".repeat(600);
    let conversation = Conversation::parse(&format!(
        r#"
        S: 220 ...
        C: b"{long}\nNOOP\r\n"
        S: 500 ...
        C: NOOP
        S: 250 ...
        "#
    ));
    plays_in_all_splits(&start_for_strangers(), &conversation, || ());
}

#[test]
fn a_stranger_with_crlf_is_served_like_anybody() {
    if !needs_our_own_server() {
        return;
    }
    let source = include_str!("../src/stages/stage08_maildir.rs");
    let conversation = Conversation::parse(&documented_conversation(source));
    plays_in_all_splits(&start_for_strangers(), &conversation, || ());
}

#[test]
fn an_auth_line_may_be_longer_than_another_command() {
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
    plays_with(9.., |_| (), &session);
}

#[test]
fn nothing_that_a_client_says_reaches_the_terminal_or_a_reply_raw() {
    if !needs_our_own_server() {
        return;
    }
    let server = Server::start(&["--domain", "example.com"]);
    let escape = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\x08\x7f";
    let replies = server.talk(
        format!(
            "HELO {escape}\r\nEHLO c\r\nMAIL FROM:<{escape}@example.org>\r\nMAIL FROM:<\"{escape}\"@example.org>\r\n\
             MAIL FROM:<a@b.c>\r\nRCPT TO:<{escape}@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\
             Subject: {escape}\r\n{escape}: {escape}\r\n\r\n{escape}\r\n.\r\n{escape}\r\nQUIT\r\n"
        )
        .as_bytes(),
    );
    assert!(replies.ends_with("221 localhost Service closing transmission channel\r\n"));
    let shown = server.lines_until(&["closes the connection}"]).concat();
    for text in [replies.replace("\r\n", ""), shown] {
        let raw: Vec<char> = text
            .chars()
            .filter(|c| c.is_control() || *c == '\u{202e}')
            .collect();
        assert!(raw.is_empty(), "{raw:?} in {text:?}");
    }
}
