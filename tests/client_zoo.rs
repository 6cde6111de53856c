//! Chapter 13: the cases that a client has to pass, and a zoo of clients that don't.
//!
//! Each client has one classic mistake, and at least the case that is named with it must catch it. Our own
//! client passes all of them.

mod support;

use smtp_from_scratch::client::{Client, Error, Outcome, Timeouts};
use smtp_from_scratch::mail::Envelope;
use smtp_from_scratch::transcript::Transcript;
use support::clumsy::{self, Mistake, Said};
use support::counterpart::Counterpart;

const HELLO: &str = "S: 220 x\nC: EHLO client.example\nS: 250 x";
const TO_BOB: &str = "C: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>\nS: 250 OK\nC: DATA\nS: 354 go on";
const BOB: &[&str] = &["bob@example.com"];
const MESSAGE: &[u8] = b"Hello\n";
const SENT: &str = r#"C: b"Hello\r\n.\r\n""#;

/// One server, and what a client must make of it.
struct Case {
    name: &'static str,
    conversation: String,
    to: &'static [&'static str],
    message: &'static [u8],
    said: &'static [Said],
}

fn case(
    name: &'static str,
    conversation: String,
    to: &'static [&'static str],
    message: &'static [u8],
    said: &'static [Said],
) -> Case {
    Case {
        name,
        conversation: format!("{conversation}\n{{silence}}"),
        to,
        message,
        said,
    }
}

fn cases() -> Vec<Case> {
    use Said::{Accepted, Refused, Unfit, Unknown};

    let mail = |end: &str| format!("{HELLO}\n{TO_BOB}\n{SENT}\n{end}");
    let data = |wire: &str| format!("{HELLO}\n{TO_BOB}\nC: b\"{wire}\"\nS: 250 OK");
    vec![
        case("a plain mail", mail("S: 250 OK"), BOB, MESSAGE, &[Accepted]),
        case(
            "replies of several lines",
            format!(
                "S: 220-x\nS: 220 x\nC: EHLO client.example\nS: 250-x\nS: 250-y\nS: 250 HELP\n{TO_BOB}\n{SENT}\nS: 554-no\nS: 554 spam"
            ),
            BOB,
            MESSAGE,
            &[Refused],
        ),
        case(
            "251 and 252 are yes",
            format!(
                "{HELLO}\nC: MAIL FROM:<ada@example.org>\nS: 252 OK\nC: RCPT TO:<bob@example.com>\nS: 251 moved\nC: DATA\nS: 354 go on\n{SENT}\nS: 250 OK"
            ),
            BOB,
            MESSAGE,
            &[Accepted],
        ),
        case(
            "one of two is refused",
            format!(
                "{HELLO}\nC: MAIL FROM:<ada@example.org>\n{{nothing more has come}}\nS: 250 OK\nC: RCPT TO:<eve@example.com>\nS: 550 no\nC: RCPT TO:<bob@example.com>\nS: 250 OK\nC: DATA\nS: 354 go on\n{SENT}\nS: 250 OK"
            ),
            &["eve@example.com", "bob@example.com"],
            MESSAGE,
            &[Refused, Accepted],
        ),
        case(
            "all are refused",
            format!(
                "{HELLO}\nC: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>\nS: 550 no"
            ),
            BOB,
            MESSAGE,
            &[Refused],
        ),
        case(
            "EHLO is refused, and known",
            "S: 220 x\nC: EHLO client.example\nS: 421 later".to_string(),
            BOB,
            MESSAGE,
            &[Refused],
        ),
        case(
            "421 in the middle",
            format!(
                "{HELLO}\nC: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>\nS: 421 bye"
            ),
            &["bob@example.com", "eve@example.com"],
            MESSAGE,
            &[Refused, Refused],
        ),
        case(
            "the last reply is lost",
            mail("{the server closes the connection}"),
            BOB,
            MESSAGE,
            &[Unknown],
        ),
        case(
            "dots are doubled",
            data("..\\r\\n..x\\r\\n.\\r\\n"),
            BOB,
            b".\n.x\n",
            &[Accepted],
        ),
        case(
            "lines end in CRLF",
            data("a\\r\\nb\\r\\n.\\r\\n"),
            BOB,
            b"a\nb\n",
            &[Accepted],
        ),
        case(
            "the last line has an end",
            data("a\\r\\n.\\r\\n"),
            BOB,
            b"a",
            &[Accepted],
        ),
        case(
            "8-bit text needs 8BITMIME",
            HELLO.to_string(),
            BOB,
            b"\xe9\n",
            &[Unfit],
        ),
        case(
            "an address with a line end",
            HELLO.to_string(),
            &["bob@example.com>\r\nRCPT TO:<eve@example.com"],
            MESSAGE,
            &[Unfit],
        ),
    ]
}

/// The mistake of each animal, and the case that catches it.
const ZOO: [(Mistake, &str); 16] = [
    (Mistake::OneLineIsOneReply, "replies of several lines"),
    (Mistake::OnlyCode250IsYes, "251 and 252 are yes"),
    (Mistake::GivesUpAtARefusedRecipient, "one of two is refused"),
    (Mistake::CallsARefusalSuccess, "one of two is refused"),
    (
        Mistake::SaysHeloAfterAnyRefusal,
        "EHLO is refused, and known",
    ),
    (Mistake::SendsAgainAfterALostReply, "the last reply is lost"),
    (Mistake::CallsALostReplyARefusal, "the last reply is lost"),
    (Mistake::CallsALostReplySuccess, "the last reply is lost"),
    (Mistake::ForgetsTheDots, "dots are doubled"),
    (Mistake::SendsBareLineFeeds, "lines end in CRLF"),
    (Mistake::ForgetsTheLastLineEnd, "the last line has an end"),
    (Mistake::PipelinesUnasked, "one of two is refused"),
    (Mistake::SendsEightBitsUnasked, "8-bit text needs 8BITMIME"),
    (Mistake::TrustsAddresses, "an address with a line end"),
    (Mistake::SendsDataToNobody, "all are refused"),
    (Mistake::GoesOnAfter421, "421 in the middle"),
];

/// Plays a case with a client. The error says what is wrong with the client.
fn judge(case: &Case, client: impl Fn(&str) -> Vec<Said>) -> Result<(), String> {
    let server = Counterpart::plays(&case.conversation);
    let said = client(&server.address);
    server.end()?;
    match said == case.said {
        true => Ok(()),
        false => Err(format!("it said {said:?}, not {:?}", case.said)),
    }
}

/// What our own client says.
fn ours(case: &Case, server: &str) -> Vec<Said> {
    let envelope = Envelope {
        reverse_path: "ada@example.org".to_string(),
        forward_paths: case.to.iter().map(ToString::to_string).collect(),
        smtputf8: false,
    };
    let connected = Client::connect(server, Timeouts::default(), Transcript::new(1, true));
    let sent = connected.and_then(|mut client| {
        client.hello("client.example")?;
        client.send(&envelope, case.message)
    });
    match sent {
        Ok(outcomes) => outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Accepted(_) => Said::Accepted,
                Outcome::Unknown(_) => Said::Unknown,
                Outcome::Refused(_) | Outcome::Lost(_) => Said::Refused,
            })
            .collect(),
        Err(Error::Unfit(_)) => vec![Said::Unfit; case.to.len()],
        Err(_) => vec![Said::Refused; case.to.len()],
    }
}

#[test]
fn our_client_passes_every_case() {
    for case in cases() {
        let judged = judge(&case, |server| ours(&case, server));
        assert_eq!(judged, Ok(()), "{}", case.name);
    }
}

#[test]
fn a_simple_client_without_a_mistake_passes_too() {
    for case in cases() {
        let client = |server: &str| clumsy::send(Mistake::None, server, case.to, case.message);
        assert_eq!(judge(&case, client), Ok(()), "{}", case.name);
    }
}

#[test]
fn every_mistake_is_caught_by_its_case() {
    for (mistake, name) in ZOO {
        let all = cases();
        let case = all.iter().find(|case| case.name == name).expect(name);
        let client = |server: &str| clumsy::send(mistake, server, case.to, case.message);
        assert!(judge(case, client).is_err(), "{mistake:?} passes {name:?}");
    }
}
