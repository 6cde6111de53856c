//! Chapter 14: faults on purpose.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use smtp_from_scratch::client::{Client, Outcome, Timeouts};
use smtp_from_scratch::mail::Envelope;
use smtp_from_scratch::transcript::Transcript;
use support::program::{Server, program};

/// A mail to Bob, without a greeting.
const MAIL: &str =
    "MAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\r\nHello\r\n.\r\n";

/// Starts a server with these faults.
fn server(faults: &[&str]) -> Server {
    let flags = faults.iter().flat_map(|fault| ["--fault", fault]);
    Server::start(&["--quiet"].into_iter().chain(flags).collect::<Vec<_>>())
}

/// The codes of the replies to some lines and QUIT, without those to the connection and to HELO.
fn codes(server: &Server, lines: &str) -> Vec<String> {
    let replies = server.talk(format!("HELO client.example\r\n{lines}QUIT\r\n").as_bytes());
    let codes = replies.lines().map(|line| line[..3].to_string());
    codes.skip(2).collect()
}

fn stored(server: &Server) -> usize {
    fs::read_dir(server.folder.path().join("mail/new"))
        .unwrap()
        .count()
}

#[test]
fn each_fault_strikes_at_its_place_and_the_conversation_goes_on_or_ends() {
    for (fault, expected, mails) in [
        ("RCPT=550", "250 550 503 221", 0),
        ("MAIL=450", "450 503 503 221", 0),
        ("DATA=451", "250 250 451 221", 0),
        ("DOT=552", "250 250 354 552 221", 0),
        ("MAIL=drop", "", 0),
        ("RCPT=drop", "250", 0),
        ("DATA=drop", "250 250", 0),
        ("MESSAGE=drop", "250 250 354", 0),
        ("DOT=drop", "250 250 354", 0),
        ("DOT=lose", "250 250 354", 1),
        ("QUIT=drop", "250 250 354 250", 1),
        ("QUIT=421", "250 250 354 250 421", 1),
        ("NOOP=421", "250 250 354 250 221", 1),
        ("RCPT=421", "250 421", 0),
        ("RCPT=550:*@elsewhere.example", "250 250 354 250 221", 1),
        ("RCPT=550:b*@EXAMPLE.com", "250 550 503 221", 0),
        ("MAIL=550:bob@example.com", "250 250 354 250 221", 1),
        ("MAIL=550:ada@*", "550 503 503 221", 0),
        ("DOT=552:bob@example.com", "250 250 354 552 221", 0),
        ("DOT=552:ada@example.org", "250 250 354 552 221", 0),
        ("DOT=552:eve@example.com", "250 250 354 250 221", 1),
        ("MAIL=421:over 0/s", "421", 0),
        ("DOT=lose:zoe@*", "250 250 354 250 221", 1),
    ] {
        let server = server(&[fault]);
        // A refused DATA isn't followed by a message.
        let is_data_taken = expected.contains("354");
        let end = if is_data_taken {
            "DATA\r\n\r\nHello\r\n.\r\n"
        } else {
            "DATA\r\n"
        };
        let (envelope, _) = MAIL.split_once("DATA").unwrap();
        let found = codes(&server, &format!("{envelope}{end}")).join(" ");
        assert_eq!(
            (found.as_str(), stored(&server)),
            (expected, mails),
            "{fault}"
        );
    }
}

#[test]
fn a_fault_before_the_greeting_takes_its_place() {
    for (fault, expected) in [
        ("CONNECT=421 Come again", "421 Come again\r\n"),
        ("CONNECT=drop", ""),
    ] {
        assert_eq!(server(&[fault]).talk(b"QUIT\r\n"), expected);
    }
    let server = server(&["CONNECT=554:first 1"]);
    assert_eq!(server.talk(b"QUIT\r\n"), "554 A fault on purpose\r\n");
    assert!(server.talk(b"QUIT\r\n").starts_with("220 "));
}

#[test]
fn the_first_times_are_counted_for_each_address() {
    let server = server(&["RCPT=450:first 2"]);
    let to = |name: &str| format!("RCPT TO:<{name}@example.com>\r\n");
    let names = ["bob", "eve", "bob", "Bob", "bob", "eve", "eve"];
    let lines: String = names.map(to).concat();
    let found = codes(&server, &format!("MAIL FROM:<ada@example.org>\r\n{lines}"));
    assert_eq!(
        found,
        [
            "250", "450", "450", "450", "250", "250", "450", "250", "221"
        ]
    );
    // Other connections count as well.
    assert_eq!(codes(&server, MAIL), ["250", "250", "354", "250", "221"]);
}

#[test]
fn the_text_and_its_status_code_are_the_operators() {
    let talk = |fault: &str| {
        let lines = b"EHLO c\r\nMAIL FROM:<ada@example.org>\r\nQUIT\r\n";
        let replies = server(&[fault]).talk(lines);
        replies.lines().nth_back(1).unwrap().to_string()
    };
    assert_eq!(talk("MAIL=450 4.7.1 Come again"), "450 4.7.1 Come again");
    assert_eq!(talk("MAIL=550"), "550 A fault on purpose");
    assert_eq!(talk("QUIT=421 4.3.2 Bye"), "250 2.1.0 OK");
}

#[test]
fn the_first_fault_that_strikes_counts() {
    let server = server(&["RCPT=450:first 1", "RCPT=550", "RCPT=451"]);
    let lines = [
        "MAIL FROM:<ada@example.org>",
        "RCPT TO:<a@b.c>",
        "RCPT TO:<a@b.c>",
        "",
    ]
    .join("\r\n");
    assert_eq!(codes(&server, &lines), ["250", "450", "550", "221"]);
}

#[test]
fn no_login_succeeds_if_auth_is_refused() {
    let server = Server::start(&["--quiet", "--login=any", "--fault=AUTH=535 5.7.8 No"]);
    let replies = server.talk(b"EHLO c\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n");
    assert!(replies.contains("\r\n535 5.7.8 No\r\n"), "{replies}");
}

#[test]
fn a_delay_lets_time_pass_and_changes_nothing_else() {
    let server = server(&["RCPT=delay 1", "DOT=delay 1"]);
    let start = Instant::now();
    assert_eq!(codes(&server, MAIL), ["250", "250", "354", "250", "221"]);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(stored(&server), 1);
}

#[test]
fn a_client_that_tries_again_gets_through() {
    let server = server(&["DATA=451:first 2"]);
    let envelope = Envelope {
        reverse_path: "ada@example.org".to_string(),
        forward_paths: vec!["bob@example.com".to_string()],
        smtputf8: false,
    };
    let attempt = || {
        let transcript = Transcript::new(1, true);
        let mut client = Client::connect(&server.address, Timeouts::default(), transcript).unwrap();
        client.hello("client.example").unwrap();
        client
            .send(&envelope, b"Subject: hi\n\nHello\n")
            .unwrap()
            .remove(0)
    };
    let is_for_now =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused(reply) if reply.code < 500);
    let attempts = std::iter::repeat_with(attempt)
        .take_while(is_for_now)
        .count()
        + 1;
    assert_eq!((attempts, stored(&server)), (3, 1));
}

#[test]
fn addresses_choose_for_themselves() {
    let server = server(&["addresses"]);
    for (sender, recipient, expected, mails) in [
        ("ada", "bob", "250 250 354 250 221", 1),
        ("ada", "rcpt-550-5.1.1", "250 550 503 221", 0),
        ("mail-450", "bob", "450 503 503 221", 0),
        ("ada", "data-451", "250 250 451 221", 0),
        ("data-451", "bob", "250 250 451 221", 0),
        ("ada", "dot-554", "250 250 354 554 221", 0),
        ("ada", "drop-rcpt", "250", 0),
        ("ada", "drop-message", "250 250 354", 0),
        ("ada", "drop-dot", "250 250 354", 0),
        ("ada", "lose-dot", "250 250 354", 1),
        ("ada", "delay-0", "250 250 354 250 221", 1),
        ("ada", "rcpt-250", "250 250 354 250 221", 1),
        ("ada", "drop-connect", "250 250 354 250 221", 1),
    ] {
        let before = stored(&server);
        let message = if expected.contains("354") {
            "\r\nHello\r\n.\r\n"
        } else {
            ""
        };
        let lines = format!(
            "MAIL FROM:<{sender}@example.org>\r\nRCPT TO:<{recipient}@example.com>\r\nDATA\r\n{message}"
        );
        let found = codes(&server, &lines).join(" ");
        assert_eq!(
            (found.as_str(), stored(&server) - before),
            (expected, mails),
            "{sender} {recipient}"
        );
    }
    // A route and quotes are no disguise.
    let route = "MAIL FROM:<a@b.c>\r\nRCPT TO:<@relay.example:rcpt-550@example.com>\r\n";
    assert_eq!(codes(&server, route), ["250", "550", "221"]);
    // Unless it was asked for, an address is an address.
    let server = self::server(&["MAIL=450:nobody@example.com"]);
    assert_eq!(
        codes(&server, &MAIL.replace("bob", "rcpt-550")),
        ["250", "250", "354", "250", "221"]
    );
}

#[test]
fn a_fault_at_the_message_waits_until_there_is_one() {
    let server = server(&["DOT=552:first 1"]);
    let without_a_recipient = "MAIL FROM:<a@b.c>\r\nDATA\r\nRSET\r\n";
    assert_eq!(
        codes(&server, without_a_recipient),
        ["250", "503", "250", "221"]
    );
    assert_eq!(codes(&server, MAIL), ["250", "250", "354", "552", "221"]);
}

#[test]
fn faults_are_announced_and_told() {
    let server = Server::start(&["--fault", "NOOP=550", "--fault", "addresses"]);
    let lines = server.lines_until(&["addresses choose faults"]);
    let announced = "a fault on purpose: NOOP=550";
    assert!(lines.iter().any(|line| line == announced), "{lines:?}");
    server.talk(b"NOOP\r\nQUIT\r\n");
    server.lines_until(&["[1] {a fault on purpose: NOOP=550}"]);
    server.talk(b"HELO c\r\nMAIL FROM:<mail-450@b.c>\r\nQUIT\r\n");
    server.lines_until(&["[2] {a fault on purpose: mail-450@b.c}"]);
    let server = Server::start(&["--quiet", "--stage=11", "--fault", "NOOP=550"]);
    assert!(
        server
            .next_line()
            .starts_with("warning: --fault means nothing to stage 11")
    );
    assert!(server.talk(b"NOOP\r\nQUIT\r\n").contains("\r\n250 OK\r\n"));
}

#[test]
fn a_wrong_specification_is_shown_with_right_ones() {
    let output = program()
        .args(["--fault", "RCPT=550:sometimes"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let problem = String::from_utf8(output.stderr).unwrap();
    let first = problem.lines().next().unwrap();
    assert!(
        first.starts_with("error: --fault ") && first.contains("\"sometimes\""),
        "{first}"
    );
    assert!(first.contains("RCPT=550, "), "{first}");
}
