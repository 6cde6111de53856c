//! The conversation player itself: which lines match, and the story it tells when one doesn't.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use support::conversation::{Conversation, Step};
use support::player::{Split, matches_pattern, play};
use support::preamble;
use support::{by_default, plays, plays_in, target};

#[test]
fn a_line_differs_at_its_first_wrong_byte() {
    assert_eq!(matches_pattern(b"250 OK", "250 OK"), Ok(()));
    assert_eq!(matches_pattern(b"250 OK then", "250 ..."), Ok(()));
    assert_eq!(matches_pattern(b"250", "250 ..."), Ok(()));
    assert_eq!(matches_pattern(b"250-OK", "250 ..."), Err(3));
    assert_eq!(matches_pattern(b"250 OK", "503 ..."), Err(0));
    assert_eq!(matches_pattern(b"250 OK then", "250 OK"), Err(6));
    assert_eq!(matches_pattern(b"250 O", "250 OK"), Err(5));
}

#[test]
fn the_notation_is_read() {
    let conversation = Conversation::parse(
        r#"
        S: 220 ...
        C: HELO  two spaces
        C:
        C: b"\r\n\t\0\\\"\xff."
        S: b"Server"
        {4.1.4: because}
        {the client closes its side}
        {the server closes the connection}
        "#,
    );
    assert_eq!(
        conversation.steps,
        [
            Step::Expect("220 ...".to_string()),
            Step::Send(b"HELO  two spaces\r\n".to_vec()),
            Step::Send(b"\r\n".to_vec()),
            Step::Send(b"\r\n\t\0\\\"\xff.".to_vec()),
            Step::ExpectBytes(b"Server".to_vec()),
            Step::Because("4.1.4: because".to_string()),
            Step::ClientClosesItsSide,
            Step::ServerCloses,
        ]
    );
}

#[test]
#[should_panic(expected = "neither S: nor C: nor {...}: c: HELO")]
fn a_line_outside_the_notation_fails_the_test() {
    Conversation::parse("c: HELO client.example");
}

#[test]
#[should_panic(expected = "which side closes? {the server closes teh connection}")]
fn a_mistyped_narration_fails_the_test() {
    Conversation::parse("{the server closes teh connection}");
}

#[test]
#[should_panic(expected = "`...` belongs at the end of a line only")]
fn dots_within_an_expected_line_fail_the_test() {
    Conversation::parse("S: 250 ... and more");
}

/// Tells the story of a conversation that goes differently with a stage.
fn story(stage: usize, text: &str, split: Split) -> String {
    let server = target::start(stage, by_default);
    play(&server, &Conversation::parse(text), split).unwrap_err()
}

#[test]
fn the_story_has_the_conversation_a_caret_the_reason_and_a_line_to_type() {
    let told = story(
        5,
        "
        S: 220 ...
        C: HELO client.example
        S: 250 localhost
        {3.3: there is no mail yet}
        C: RCPT TO:<it's 100%@example.org>
        S: 503 NAIL first
        ",
        Split::LineByLine,
    );
    assert_eq!(
        told,
        "the conversation went differently, with stage 5:

    S: 220 localhost ESMTP ready
    C: HELO client.example
    S: 250 localhost
    C: RCPT TO:<it's 100%@example.org>
    S: 503 MAIL first
           ^ expected: S: 503 NAIL first

why: 3.3: there is no mail yet
try it by hand (Ctrl-C ends nc):
    cargo run -- --stage 5
    (sleep 1; printf 'HELO client.example\\r\\n'; sleep 1; \
printf 'RCPT TO:<it'\\''s 100%%@example.org>\\r\\n'; sleep 1) | nc 127.0.0.1 2525
"
    );
}

#[test]
fn the_story_of_a_cut_says_that_the_cut_matters() {
    let told = story(3, "S: 220 ...\nC: HELO\nS: 250 ...", Split::ByteByByte);
    assert!(told.contains("This time they came byte by byte."), "{told}");

    let told = story(3, "S: 220 ...\nC: HELO\nS: 250 ...", Split::AroundLineEnds);
    assert!(
        told.contains("printf 'HELO'; sleep 1; printf '\\r'; sleep 1; printf '\\n'; sleep 1"),
        "{told}"
    );
}

#[test]
fn all_but_the_last_line_to_type_are_sent_together() {
    let told = story(
        5,
        &preamble::begun("C: RCPT TO:<bob@example.com>\nS: 250 ...\nC: NAIL\nS: 250 ..."),
        Split::LineByLine,
    );
    let typed = "(sleep 1; printf 'EHLO client.example\\r\\nMAIL FROM:<ada@example.org>\\r\\n\
RCPT TO:<bob@example.com>\\r\\n'; sleep 1; printf 'NAIL\\r\\n'; sleep 1) | nc 127.0.0.1 2525\n";
    assert!(told.contains(typed), "{told}");
}

#[test]
fn a_server_that_stays_after_its_client_is_reported_and_the_line_to_type_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = target::start(3, by_default);
    server.address = listener.local_addr().unwrap();
    server.patience = Duration::from_millis(200);
    let staying = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 stays.example\r\n").unwrap();
        stream
    });
    let text = "{4.3.1: a greeting}\nS: 220 ...\n{the client closes its side}\n{the server closes the connection}";
    let told = play(&server, &Conversation::parse(text), Split::LineByLine).unwrap_err();
    drop(staying.join());
    for part in [
        "^ expected: {the server closes the connection}",
        "why: once the client has closed its side",
        "    sleep 1 | nc -N 127.0.0.1 ",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn the_reason_of_an_earlier_reply_is_not_that_of_one_too_many() {
    let text = "{4.3.1: a greeting}\nS: 220 ...\nC: HELO you\nS: 250 ...\nC: HULLO";
    let told = story(3, text, Split::LineByLine);
    assert!(told.contains("^ expected: nothing more"), "{told}");
    assert!(!told.contains("why: "), "{told}");
}

#[test]
fn a_long_story_shows_its_start_and_its_end() {
    let lines = "C: HULLO\nS: 500 ...\n".repeat(1000);
    let told = story(
        3,
        &format!("S: 220 ...\n{lines}C: HULLO\nS: 250 ..."),
        Split::LineByLine,
    );
    assert!(told.lines().count() < 60, "{told}");
    assert!(told.contains("    [... 1962 lines ...]\n"), "{told}");
    assert!(
        told.contains("the client sent 7007 octets, too many to type"),
        "{told}"
    );
}

#[test]
fn a_server_that_is_gone_is_reported() {
    let mut server = target::start(3, by_default);
    server.address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let told = play(&server, &Conversation::default(), Split::LineByLine).unwrap_err();
    assert!(told.starts_with("nobody listens on 127.0.0.1:"), "{told}");
}

#[test]
fn an_extra_reply_is_reported() {
    let told = story(3, "S: 220 ...\nC: HELO", Split::LineByLine);
    assert!(
        told.contains(
            "S: 501 Your name, please: HELO client.example\n    ^ expected: nothing more"
        ),
        "{told}"
    );
}

#[test]
fn a_connection_that_stays_open_is_reported() {
    let told = story(
        7,
        "S: 220 ...\nC: QUIT now\nS: 501 ...\nC: NOOP\n{the server closes the connection}",
        Split::LineByLine,
    );
    assert!(
        told.contains("S: 250 OK\n    ^ expected: {the server closes"),
        "{told}"
    );
}

#[test]
fn a_connection_that_closes_too_soon_is_reported() {
    let told = story(
        7,
        "S: 220 ...\nC: QUIT\nS: 221 ...\nC: NOOP\nS: 250 ...",
        Split::LineByLine,
    );
    assert!(
        told.contains("{the server closes the connection}\n    ^ expected: S: 250 ...")
            || told.contains("{the server breaks the connection off}\n    ^ expected: S: 250 ..."),
        "{told}"
    );
}

#[test]
fn a_multiline_reply_is_one_reply() {
    // A server with extensions, which our stages don't have yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = target::start(3, by_default);
    server.address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"220 many.example\r\n").unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(_)) = lines.next() {
                stream
                    .write_all(b"250-many.example\r\n250-SIZE 1000\r\n250 HELP\r\n")
                    .unwrap();
            }
        }
    });
    let either_way = [
        "S: 220 ...\nC: EHLO client.example\nS: 250 ...\nC: EHLO again\nS: 250 ...",
        "S: 220 ...\nC: EHLO client.example\nS: 250-many.example\nS: 250-SIZE ...\nS: 250 HELP",
    ];
    for text in either_way {
        plays_in(&server, &Conversation::parse(text), Split::LineByLine);
    }
    let text = "S: 220 ...\nC: EHLO client.example\nS: 250-many.example\nS: 250-SIZE 2000";
    let told = play(&server, &Conversation::parse(text), Split::LineByLine).unwrap_err();
    assert!(
        told.contains("    S: 250-SIZE 1000\n                ^ expected"),
        "{told}"
    );
}

#[test]
#[should_panic(expected = "there is no stage in 90..")]
fn a_test_without_a_stage_fails() {
    if target::external().is_some() {
        panic!("there is no stage in 90.., and none for an external server");
    }
    plays(90.., "S: 220 ...");
}

#[test]
fn the_story_of_a_long_line_shows_the_part_that_differs() {
    let line = "x".repeat(1000);
    let told = story(
        1,
        &format!("C: {line}\nS: Server says: {}y", &line[1..]),
        Split::LineByLine,
    );
    let (before, after) = told.split_once("^ expected").unwrap();
    let mut lines = before.lines().rev();
    let caret = lines.next().unwrap().len();
    let shown = lines.next().unwrap();
    assert!(shown.starts_with("    [...] xxx"), "{told}");
    assert_eq!(
        caret,
        shown.len() - 1,
        "the caret is under the last x: {told}"
    );
    assert!(after.contains("y\n"), "{told}");
}
