//! Chapter 13: our client, against servers that play one side of a conversation, and against ours.

mod support;

use std::time::Duration;

use smtp_from_scratch::client::{Client, Error, MAX_REPLY, Outcome, Timeouts};
use smtp_from_scratch::mail::{Envelope, Mail};
use smtp_from_scratch::reply::Reply;
use smtp_from_scratch::transcript::Transcript;
use support::counterpart::Counterpart;

/// The beginning of a conversation with a server that has no keywords.
const HELLO: &str = "S: 220 mail.example\nC: EHLO client.example\nS: 250 mail.example";

/// Sends to Bob, within a conversation.
const TO_BOB: &str = "C: MAIL FROM:<ada@example.org>
                      S: 250 OK
                      C: RCPT TO:<bob@example.com>
                      S: 250 OK";

const MESSAGE: &[u8] = b"Subject: lunch\r\n\r\nAt noon?\r\n";

/// [`MESSAGE`] as it is sent.
const SENT: &str = r#"C: b"Subject: lunch\r\n\r\nAt noon?\r\n.\r\n""#;

fn connect_within(server: &str, timeouts: Timeouts) -> Result<Client, Error> {
    let mut client = Client::connect(server, timeouts, Transcript::new(1, true))?;
    client.hello("client.example")?;
    Ok(client)
}

fn connect(server: &Counterpart) -> Result<Client, Error> {
    connect_within(&server.address, Timeouts::default())
}

/// A mail from Ada.
fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        reverse_path: "ada@example.org".to_string(),
        forward_paths: recipients.iter().map(ToString::to_string).collect(),
        smtputf8: false,
    }
}

/// Sends [`MESSAGE`] to Bob after [`HELLO`] and what follows it, and says goodbye.
#[track_caller]
fn outcome(after_hello: &str) -> Outcome {
    outcome_within(after_hello, Timeouts::default())
}

#[track_caller]
fn outcome_within(after_hello: &str, timeouts: Timeouts) -> Outcome {
    let mut outcomes = outcomes_within(after_hello, &["bob@example.com"], timeouts);
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

#[track_caller]
fn outcomes_within(after_hello: &str, recipients: &[&str], timeouts: Timeouts) -> Vec<Outcome> {
    let server = Counterpart::plays(&format!("{HELLO}\n{after_hello}"));
    let mut client = connect_within(&server.address, timeouts).unwrap();
    let outcomes = client.send(&envelope(recipients), MESSAGE).unwrap();
    match outcomes.last() {
        // It is over, and QUIT would be a line of the message: nothing more may come.
        Some(Outcome::Lost(_) | Outcome::Unknown(_)) => client.quit(),
        _ => drop(client),
    }
    server.ends_content();
    outcomes
}

/// How long a client of these tests waits for a reply that never comes.
const SHORT: Duration = Duration::from_millis(50);

/// No patience for the reply to the message, and none for the reply to QUIT.
fn impatient_at_the_end() -> Timeouts {
    Timeouts {
        end: SHORT,
        quit: SHORT,
        ..Timeouts::default()
    }
}

/// No patience for the greeting and the replies to commands.
fn impatient() -> Timeouts {
    Timeouts {
        command: SHORT,
        ..Timeouts::default()
    }
}

/// The reason why a conversation didn't go on, which the server begins as given.
fn problem(conversation: &str) -> String {
    problem_within(conversation, Timeouts::default())
}

fn problem_within(conversation: &str, timeouts: Timeouts) -> String {
    let server = Counterpart::plays(conversation);
    let error = connect_within(&server.address, timeouts).unwrap_err();
    server.ends_content();
    error.to_string()
}

fn reply(code: u16, text: &'static str) -> Reply {
    Reply::new(code, text)
}

#[test]
fn a_mail_is_sent_command_by_command_to_a_server_without_keywords() {
    let accepted = outcome(&format!(
        "{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\nS: 250 queued\n{{silence}}"
    ));
    assert_eq!(accepted, Outcome::Accepted(reply(250, "queued")));
}

#[test]
fn the_lines_of_a_reply_may_come_in_pieces_and_without_text() {
    let server = Counterpart::plays(
        r#"
        S: 220-mail.example
        S: b"220-no spam\r\n22"
        S: b"0\r\n"
        C: EHLO client.example
        S: b"250-mail.example\n250-size 1000\n250\n"
        C: QUIT
        S: 221
        {silence}
        "#,
    );
    let client = connect(&server).unwrap();
    assert_eq!(client.offers("SIZE"), Some(vec!["1000"]));
    client.quit();
    server.ends_content();
}

#[test]
fn every_code_that_begins_with_a_2_is_a_yes() {
    let accepted = outcome(&format!(
        "C: MAIL FROM:<ada@example.org>
         S: 252 perhaps
         C: RCPT TO:<bob@example.com>
         S: 251 he has moved
         C: DATA
         S: 350 go on
         {SENT}
         S: 200
         {{silence}}"
    ));
    assert_eq!(accepted, Outcome::Accepted(reply(200, "")));
}

#[test]
fn a_refused_recipient_does_not_cost_the_others_their_mail() {
    let outcomes = outcomes_within(
        &format!(
            "C: MAIL FROM:<ada@example.org>
             S: 250 OK
             C: RCPT TO:<x@example.com>
             S: 550 no such user
             C: RCPT TO:<bob@example.com>
             S: 250 OK
             C: RCPT TO:<y@example.com>
             S: 450 not now
             C: DATA
             S: 354 go on
             {SENT}
             S: 250 OK
             {{silence}}"
        ),
        &["x@example.com", "bob@example.com", "y@example.com"],
        Timeouts::default(),
    );
    assert_eq!(
        outcomes,
        [
            Outcome::Refused(reply(550, "no such user")),
            Outcome::Accepted(reply(250, "OK")),
            Outcome::Refused(reply(450, "not now")),
        ]
    );
}

#[test]
fn without_a_recipient_nothing_is_sent() {
    for (conversation, code) in [
        (
            "C: MAIL FROM:<ada@example.org>\nS: 550 go away\n{silence}",
            550,
        ),
        (
            "C: MAIL FROM:<ada@example.org>
             S: 250 OK
             C: RCPT TO:<bob@example.com>
             S: 452 full
             {silence}",
            452,
        ),
    ] {
        let Outcome::Refused(reply) = outcome(conversation) else {
            panic!("{conversation}");
        };
        assert_eq!(reply.code, code);
    }
}

#[test]
fn a_mail_that_was_not_sent_leaves_nothing_behind() {
    for refused in [
        "C: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>\nS: 550 no"
            .to_string(),
        format!("{TO_BOB}\nC: DATA\nS: 451 not now"),
    ] {
        let server = Counterpart::plays(&format!(
            "{HELLO}\n{refused}\nC: RSET\nS: 250 OK\n{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\nS: 250 OK
             {TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\nS: 250 OK\nC: QUIT\nS: 221"
        ));
        let mut client = connect(&server).unwrap();
        for is_accepted in [false, true, true] {
            let outcomes = client
                .send(&envelope(&["bob@example.com"]), MESSAGE)
                .unwrap();
            let found = matches!(outcomes[..], [Outcome::Accepted(_)]);
            assert_eq!(found, is_accepted, "{outcomes:?}");
        }
        client.quit();
        server.ends_content();
    }
}

#[test]
fn a_message_may_be_refused_before_it_and_after_it() {
    let before = format!("{TO_BOB}\nC: DATA\nS: 451 not now\n{{silence}}");
    assert_eq!(outcome(&before), Outcome::Refused(reply(451, "not now")));
    let after = format!("{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\nS: 554 spam\n{{silence}}");
    assert_eq!(outcome(&after), Outcome::Refused(reply(554, "spam")));
}

#[test]
fn helo_follows_only_where_ehlo_is_unknown() {
    for code in [500, 502] {
        let server = Counterpart::plays(&format!(
            "S: 220 x\nC: EHLO client.example\nS: {code} what?\nC: HELO client.example\nS: 250 x\n{{silence}}"
        ));
        let client = connect(&server).unwrap();
        assert_eq!(client.offers("WHAT?"), None);
        drop(client);
        server.ends_content();
    }
    for code in ["421", "451", "501", "504", "550"] {
        let refused = problem(&format!(
            "S: 220 x\nC: EHLO client.example\nS: {code} no\n{{silence}}"
        ));
        assert_eq!(refused, format!("{code} no"));
    }
}

#[test]
fn a_greeting_may_be_a_refusal() {
    for code in ["421", "554"] {
        let refused = problem(&format!("S: {code} no\n{{silence}}"));
        assert_eq!(refused, format!("{code} no"));
    }
}

#[test]
fn with_pipelining_the_commands_leave_together_and_every_reply_is_read() {
    let server = Counterpart::plays(&format!(
        r#"
        S: 220 x
        C: EHLO client.example
        S: 250-x
        S: 250 Pipelining
        C: MAIL FROM:<ada@example.org>
        C: RCPT TO:<x@example.com>
        C: RCPT TO:<bob@example.com>
        C: DATA
        S: 250 OK
        S: b"550-no\r\n550 such user\r\n250 OK\r\n354 go on\r\n"
        {SENT}
        S: 250 OK
        {{silence}}
        "#
    ));
    let mut client = connect(&server).unwrap();
    let both = envelope(&["x@example.com", "bob@example.com"]);
    let outcomes = client.send(&both, MESSAGE).unwrap();
    drop(client);
    server.ends_content();
    assert_eq!(
        outcomes,
        [
            Outcome::Refused(reply(550, "no\nsuch user")),
            Outcome::Accepted(reply(250, "OK")),
        ]
    );
}

#[test]
fn a_354_for_nobody_is_answered_by_a_lone_dot() {
    let server = Counterpart::plays(
        "S: 220 x
         C: EHLO client.example
         S: 250-x
         S: 250 PIPELINING
         C: MAIL FROM:<ada@example.org>
         C: RCPT TO:<bob@example.com>
         C: DATA
         S: 250 OK
         S: 550 no such user
         S: 354 go on
         C: .
         S: 554 no valid recipients
         {silence}",
    );
    let mut client = connect(&server).unwrap();
    let outcomes = client
        .send(&envelope(&["bob@example.com"]), MESSAGE)
        .unwrap();
    drop(client);
    server.ends_content();
    assert_eq!(outcomes, [Outcome::Refused(reply(550, "no such user"))]);
}

#[test]
fn what_the_server_offers_is_used() {
    let server = Counterpart::plays(
        r#"
        S: 220 x
        C: EHLO client.example
        S: 250-x
        S: 250-8bitmime
        S: 250-SMTPUTF8
        S: 250 SIZE 1000
        C: b"MAIL FROM:<ada@example.org> SIZE=10 BODY=8BITMIME SMTPUTF8\r\n"
        S: 250 OK
        C: b"RCPT TO:<b\xc3\xbcrger@example.com>\r\n"
        S: 250 OK
        C: DATA
        S: 354 go on
        C: b"\r\nGr\xc3\xbc\xdfe\r\n.\r\n"
        S: 250 OK
        {silence}
        "#,
    );
    let mut client = connect(&server).unwrap();
    let mail = client.send(&envelope(&["bürger@example.com"]), b"\nGr\xc3\xbc\xdfe");
    assert!(matches!(mail.unwrap()[..], [Outcome::Accepted(_)]));
    drop(client);
    server.ends_content();
}

#[test]
fn what_the_server_lacks_is_an_error_before_anything_is_sent() {
    for (keyword, recipient, message, expected) in [
        (
            "SIZE 20",
            "bob@example.com",
            &b"Subject: lunch\n\nx\n"[..],
            "the message has 21 octets, and the server takes 20 at most",
        ),
        (
            "X",
            "bob@example.com",
            b"\xe9",
            "the message has bytes beyond ASCII, and the server doesn't offer 8BITMIME",
        ),
        (
            "X",
            "bürger@example.com",
            b"",
            "an address has letters beyond ASCII, and the server doesn't offer SMTPUTF8",
        ),
    ] {
        let server = Counterpart::plays(&format!(
            "S: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250 {keyword}\n{{silence}}"
        ));
        let mut client = connect(&server).unwrap();
        let unfit = client.send(&envelope(&[recipient]), message).unwrap_err();
        assert_eq!(unfit.to_string(), expected);
        drop(client);
        server.ends_content();
    }
}

#[test]
fn an_address_that_could_end_its_command_is_never_sent() {
    let server = Counterpart::plays(&format!("{HELLO}\n{{silence}}"));
    let mut client = connect(&server).unwrap();
    for address in [
        "bob@example.com\r\nRCPT TO:<eve@example.com",
        "bob@example.com\n",
        "bob\r@example.com",
        "bob\0@example.com",
        "bob@example.com> SIZE=1 <x",
        "\"<\"@example.com",
        "<bob@example.com>",
        "@relay.example:bob@example.com",
        "bob",
        "",
    ] {
        let error = client.send(&envelope(&[address]), MESSAGE).unwrap_err();
        assert!(matches!(error, Error::Unfit(_)), "{address:?}: {error}");
        let mut from = envelope(&["bob@example.com"]);
        from.reverse_path = address.to_string();
        assert!(address.is_empty() || client.send(&from, MESSAGE).is_err());
    }
    assert!(client.send(&envelope(&[]), MESSAGE).is_err());
    for name in ["x\r\nMAIL FROM:<a@b.c>", "", "a b", "\0"] {
        assert!(
            matches!(client.hello(name), Err(Error::Unfit(_))),
            "{name:?}"
        );
    }
    drop(client);
    server.ends_content();
}

#[test]
fn a_reply_that_is_lost_before_the_dot_may_be_tried_again_and_after_it_nobody_knows() {
    let closes = "{the server closes the connection}";
    let lost = outcome(&format!("{TO_BOB}\nC: DATA\n{closes}"));
    assert!(matches!(lost, Outcome::Lost(_)), "{lost:?}");
    for end in [
        closes,
        "{silence}",
        "S: 25\n{the server closes the connection}",
    ] {
        let conversation = format!("{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\n{end}");
        let unknown = outcome_within(&conversation, impatient_at_the_end());
        assert!(matches!(unknown, Outcome::Unknown(_)), "{end}: {unknown:?}");
    }
}

#[test]
fn a_reply_out_of_turn_is_no_yes() {
    for conversation in [
        "C: MAIL FROM:<ada@example.org>\nS: 354 go on\n{silence}".to_string(),
        "C: MAIL FROM:<ada@example.org>
         S: 250 OK
         C: RCPT TO:<bob@example.com>
         S: 354 go on
         {silence}"
            .to_string(),
        format!("{TO_BOB}\nC: DATA\nS: 250 OK\n{{silence}}"),
    ] {
        let lost = outcome(&conversation);
        assert!(matches!(lost, Outcome::Lost(_)), "{conversation}: {lost:?}");
    }
    // After the message, 354 is neither yes nor no.
    let again = outcome(&format!(
        "{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}\nS: 354 go on\n{{silence}}"
    ));
    assert!(matches!(again, Outcome::Unknown(_)), "{again:?}");
}

#[test]
fn a_reply_before_the_dot_is_not_the_reply_to_it() {
    // The dot isn't sent: whatever the server says, it can't deliver the message.
    let unended = r#"C: b"Subject: lunch\r\n\r\nAt noon?\r\n""#;
    for (early, is_refused) in [("250 queued", false), ("451 no", true), ("421 bye", true)] {
        let early = outcome(&format!(
            "{TO_BOB}\nC: DATA\nS: b\"354 go on\\r\\n{early}\\r\\n\"\n{unended}\n{{silence}}"
        ));
        assert_eq!(
            matches!(early, Outcome::Refused(_)),
            is_refused,
            "{early:?}"
        );
        assert!(is_refused || matches!(early, Outcome::Lost(_)), "{early:?}");
    }
}

#[test]
fn line_ends_and_dots_are_the_same_wherever_a_long_message_is_cut() {
    // The client writes 8 KiB at a time.
    for length in 8186..8194 {
        let line = "x".repeat(length);
        let accepted = outcome_of(
            format!("{line}\r\n.\r\n..\n.\r.").as_bytes(),
            &format!(r#"C: b"{line}\r\n..\r\n...\r\n..\r\n..\r\n.\r\n""#),
        );
        assert!(matches!(accepted, Outcome::Accepted(_)), "{length}");
    }
}

/// Sends this message to Bob, as these bytes.
fn outcome_of(message: &[u8], sent: &str) -> Outcome {
    let server = Counterpart::plays(&format!(
        "{HELLO}\n{TO_BOB}\nC: DATA\nS: 354 go on\n{sent}\nS: 250 OK\n{{silence}}"
    ));
    let mut client = connect(&server).unwrap();
    let outcomes = client.send(&envelope(&["bob@example.com"]), message);
    drop(client);
    server.ends_content();
    outcomes.unwrap().remove(0)
}

#[test]
fn a_message_of_just_the_size_that_the_server_takes_is_sent_and_0_is_no_limit() {
    for size in ["28", "0", "", "many"] {
        let server = Counterpart::plays(&format!(
            "S: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250 SIZE {size}
             C: MAIL FROM:<ada@example.org> SIZE=28\nS: 550 no\n{{silence}}"
        ));
        let mut client = connect(&server).unwrap();
        let outcomes = client.send(&envelope(&["bob@example.com"]), MESSAGE);
        drop(client);
        server.ends_content();
        assert!(matches!(outcomes.unwrap()[..], [Outcome::Refused(_)]));
    }
}

#[test]
fn no_more_than_a_hundred_commands_are_under_way() {
    let recipients: Vec<String> = (0..150).map(|n| format!("r{n}@example.com")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let say = |from: usize, to: usize| {
        let lines = recipients[from..to].iter();
        lines
            .map(|to| format!("C: RCPT TO:<{to}>\n"))
            .collect::<String>()
    };
    let pipelining = "S: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250 PIPELINING";
    let server = Counterpart::plays(&format!(
        "{pipelining}\nC: MAIL FROM:<ada@example.org>\n{}{}{}C: DATA\n{}S: 354 go on\n{SENT}\nS: 250 OK\n{{silence}}",
        say(0, 99),
        "S: 250 OK\n".repeat(100),
        say(99, 150),
        "S: 250 OK\n".repeat(51),
    ));
    let mut client = connect(&server).unwrap();
    let outcomes = client.send(&envelope(&recipients), MESSAGE).unwrap();
    drop(client);
    server.ends_content();
    assert_eq!(outcomes.len(), 150);
    assert!(matches!(outcomes[149], Outcome::Accepted(_)));
    // A refusal of the sender is for everyone, and the other groups aren't sent.
    let server = Counterpart::plays(&format!(
        "{pipelining}\nC: MAIL FROM:<ada@example.org>\n{}S: 550 no\n{}{{silence}}",
        say(0, 99),
        "S: 503 MAIL first\n".repeat(99),
    ));
    let mut client = connect(&server).unwrap();
    let outcomes = client.send(&envelope(&recipients), MESSAGE).unwrap();
    drop(client);
    server.ends_content();
    assert_eq!(outcomes, vec![Outcome::Refused(reply(550, "no")); 150]);
}

#[test]
fn a_server_that_has_enough_of_a_message_says_why() {
    for (why, is_refused) in [("S: 552 too big", true), ("S: 421 bye", true), ("", false)] {
        let server = Counterpart::plays(&format!(
            "{HELLO}\n{TO_BOB}\nC: DATA\nS: 354 go on\nC: Subject: long\n{why}\n{{the server closes the connection}}"
        ));
        let mut client = connect(&server).unwrap();
        let message = [b"Subject: long\r\n\r\n", &vec![b'x'; 1_000_000][..]].concat();
        let outcomes = client.send(&envelope(&["bob@example.com"]), &message);
        client.quit();
        server.ends_content();
        let outcome = outcomes.unwrap().remove(0);
        assert_eq!(
            matches!(outcome, Outcome::Refused(_)),
            is_refused,
            "{outcome:?}"
        );
        assert!(
            is_refused || matches!(outcome, Outcome::Lost(_)),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_second_hello_forgets_what_the_server_offered() {
    let server = Counterpart::plays(
        "S: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250 SIZE
         C: EHLO client.example\nS: 502 what?\nC: HELO client.example\nS: 250 x\n{silence}",
    );
    let mut client = connect(&server).unwrap();
    assert!(client.offers("SIZE").is_some());
    client.hello("client.example").unwrap();
    assert!(client.offers("SIZE").is_none());
    drop(client);
    server.ends_content();
}

#[test]
fn each_phase_has_its_own_deadline() {
    let long = Duration::from_secs(10);
    let short = Duration::from_millis(50);
    let patient = Timeouts {
        connect: long,
        command: long,
        data: long,
        block: long,
        end: long,
        quit: long,
    };
    let data = format!("{TO_BOB}\nC: DATA");
    for (timeouts, until) in [
        (
            Timeouts {
                command: short,
                ..patient
            },
            "C: MAIL FROM:<ada@example.org>".to_string(),
        ),
        (
            Timeouts {
                data: short,
                ..patient
            },
            data.clone(),
        ),
        (
            Timeouts {
                end: short,
                ..patient
            },
            format!("{data}\nS: 354 go on\n{SENT}"),
        ),
    ] {
        let server = Counterpart::plays(&format!("{HELLO}\n{until}\n{{silence}}"));
        let mut client = connect_within(&server.address, timeouts).unwrap();
        let start = std::time::Instant::now();
        let outcomes = client
            .send(&envelope(&["bob@example.com"]), MESSAGE)
            .unwrap();
        client.quit();
        assert!(start.elapsed() < long / 2, "{until}");
        server.ends_content();
        let (Outcome::Lost(why) | Outcome::Unknown(why)) = &outcomes[0] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(why, "the server took too long");
    }
}

#[test]
fn a_421_ends_the_conversation_wherever_it_comes() {
    let goodbye = Outcome::Refused(reply(421, "closing"));
    for commands in [
        "C: MAIL FROM:<ada@example.org>".to_string(),
        "C: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>".to_string(),
        format!("{TO_BOB}\nC: DATA"),
        format!("{TO_BOB}\nC: DATA\nS: 354 go on\n{SENT}"),
    ] {
        assert_eq!(
            outcome(&format!("{commands}\nS: 421 closing\n{{silence}}")),
            goodbye
        );
    }
}

#[test]
fn a_lost_reply_to_quit_is_nothing() {
    for end in ["{silence}", "{the server closes the connection}"] {
        let server = Counterpart::plays(&format!("{HELLO}\nC: QUIT\n{end}"));
        connect_within(&server.address, impatient_at_the_end())
            .unwrap()
            .quit();
        server.ends_content();
    }
}

#[test]
fn plain_is_preferred_to_login_and_a_refusal_is_told() {
    let login = |keyword: &str, conversation: &str| {
        let server = Counterpart::plays(&format!(
            "S: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250 {keyword}\n{conversation}\n{{silence}}"
        ));
        let mut client = connect(&server).unwrap();
        let result = client.login("ada", "s3cret");
        drop(client);
        server.ends_content();
        result.map_err(|error| error.to_string())
    };
    let plain = "C: AUTH PLAIN AGFkYQBzM2NyZXQ=\nS: 235 OK";
    assert_eq!(login("AUTH LOGIN PLAIN", plain), Ok(()));
    assert_eq!(login("AUTH=PLAIN", plain), Ok(()));
    let by_login =
        "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWRh\nS: 334 UGFzc3dvcmQ6\nC: czNjcmV0\nS: 235 OK";
    assert_eq!(login("AUTH LOGIN", by_login), Ok(()));
    let refused = "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWRh\nS: 535 no";
    assert_eq!(login("AUTH LOGIN", refused), Err("535 no".to_string()));
    for keyword in ["AUTH CRAM-MD5", "X"] {
        let expected = "the server offers neither AUTH PLAIN nor AUTH LOGIN";
        assert_eq!(login(keyword, ""), Err(expected.to_string()));
    }
}

#[test]
fn a_silent_server_takes_too_long_wherever_it_stops() {
    for conversation in [
        "{silence}",
        "S: b\"220 x\"\n{silence}",
        "S: 220-x\n{silence}",
        "S: 220 x\nC: EHLO client.example\n{silence}",
        "S: 220 x\nC: EHLO client.example\nS: 250-x\n{silence}",
    ] {
        let problem = problem_within(conversation, impatient());
        assert_eq!(problem, "the server took too long", "{conversation}");
    }
    let timeouts = Timeouts {
        data: SHORT,
        ..Timeouts::default()
    };
    let lost = outcome_within(&format!("{TO_BOB}\nC: DATA\n{{silence}}"), timeouts);
    assert_eq!(lost, Outcome::Lost("the server took too long".to_string()));
}

#[test]
fn a_broken_server_ends_the_conversation_with_a_sentence() {
    let line = "x".repeat(MAX_REPLY as usize);
    for (greeting, expected) in [
        (
            "{the server closes the connection}",
            "the server closed the connection",
        ),
        (
            "S: 220-x\n{the server closes the connection}",
            "the server closed the connection",
        ),
        ("S: 220-x\nS: 221 x\n{silence}", "220 and 221 in one reply"),
        ("S: hello\n{silence}", "the server sent no reply, but hello"),
        (
            "S: 2200 x\n{silence}",
            "the server sent no reply, but 2200 x",
        ),
        ("S: 199 x\n{silence}", "the server sent no reply, but 199 x"),
        ("S: 22\n{silence}", "the server sent no reply, but 22"),
        (
            "S: b\"\\r\\n\"\n{silence}",
            "the server sent no reply, but ",
        ),
        (
            "S: b\"\\x1b[2J\\r\\n\"\n{silence}",
            "the server sent no reply, but b\"\\x1b[2J\"",
        ),
        ("S: b\"554 \\x1b[2J\\r\\n\"\n{silence}", "554 b\"\\x1b[2J\""),
    ] {
        assert_eq!(problem(greeting), expected, "{greeting}");
    }
    let too_long = format!("a reply of more than {MAX_REPLY} octets");
    assert_eq!(problem(&format!("S: 220 {line}\n{{silence}}")), too_long);
    let lines = "S: 220-x\n".repeat(MAX_REPLY as usize / 7 + 1);
    assert_eq!(problem(&format!("{lines}{{silence}}")), too_long);
}

#[test]
fn a_server_that_sends_an_octet_now_and_then_takes_too_long() {
    // Each pause is short, and all of them together are not.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while std::io::Write::write_all(&mut stream, b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let error = connect_within(&address, impatient()).unwrap_err();
    assert_eq!(error.to_string(), "the server took too long");
}

#[test]
fn a_message_comes_out_of_our_own_server_as_it_went_in() {
    for message in [
        &b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n"[..],
        b".starts with a dot: x\r\n\r\n",
        b"Subject: x\r\n\r\nnul \0, 8-bit \xff\xfe, no end\r\n",
        b"\r\n",
        b"\r\n\r\n.\r\n",
    ] {
        support::own_servers(
            7..,
            |_| {},
            |server| {
                let mut client =
                    connect_within(&server.address.to_string(), Timeouts::default()).unwrap();
                if message.is_ascii() || client.offers("8BITMIME").is_some() {
                    let outcomes = client
                        .send(&envelope(&["bob@example.com"]), message)
                        .unwrap();
                    assert!(
                        matches!(outcomes[..], [Outcome::Accepted(_)]),
                        "{outcomes:?}"
                    );
                    let sent = Mail {
                        envelope: envelope(&["bob@example.com"]),
                        message: message.to_vec(),
                    };
                    assert_eq!(server.stored(), Some(vec![server.as_stored(&sent)]));
                }
                client.quit();
            },
        );
    }
}
