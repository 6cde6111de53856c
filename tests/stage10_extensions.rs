//! Chapter 10: EHLO's keywords, and the promise that each of them is.

mod support;

use std::fs;
use std::time::Duration;

use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::stage10_extensions::KEYWORDS;
use support::conversation::Conversation;
use support::player::Split;
use support::preamble::{MAIL_TO_BOB, begun, greeted, within_data};
use support::program::{Client, serving, serving_within};
use support::zoo::{Mistake, catches};
use support::{
    by_default, documented_conversation, mail, ours_plays, own_program, own_server, played_once,
    plays, plays_in, plays_with, stores, stores_with, to_bob,
};

fn at_most_1000_octets(settings: &mut Settings) {
    settings.max_size = 1000;
}

/// Leaves a keyword out.
fn without(keyword: &str) -> impl Fn(&mut Settings) {
    move |settings| settings.without = vec![keyword.to_string()]
}

/// Opens a session with HELO before `lines`.
fn plain(lines: &str) -> String {
    format!("S: 220 localhost ESMTP ready\nC: HELO client.example\nS: 250 localhost\n{lines}")
}

/// Writes MAILs from Ada with these parameters, each with its reply and the reason for it.
///
/// A RSET follows each, so that none finds a transaction open.
fn mails(rows: &[(&str, &str, &str)]) -> String {
    let rows = rows.iter().map(|(parameters, reply, why)| {
        format!(
            "{{{why}}}\nC: MAIL FROM:<ada@example.org> {parameters}\nS: {reply}\n\
             C: RSET\nS: 250 ...\n"
        )
    });
    rows.collect()
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage10_extensions.rs");
    ours_plays(10.., &documented_conversation(source));
}

#[test]
fn ehlo_is_answered_with_keywords_and_helo_with_none() {
    ours_plays(
        10..,
        "
        S: 220 localhost ESMTP ready
        {4.1.1.1: our name, then a keyword on each line; a hyphen says that another line follows}
        C: EHLO client.example
        S: 250-localhost
        S: 250-PIPELINING
        S: 250-SIZE 26214400
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-SMTPUTF8
        S: 250 HELP
        {4.1.1.1: HELO has one line}
        C: HELO client.example
        S: 250 localhost
        C: EHLO client.example
        S: 250-localhost
        S: 250-PIPELINING
        S: 250-SIZE 26214400
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-SMTPUTF8
        S: 250 HELP
        ",
    );
}

#[test]
fn ehlo_announces_the_largest_message() {
    plays_with(
        10..,
        at_most_1000_octets,
        "
        S: 220 ...
        {RFC 1870, section 3: the number is the limit in octets}
        C: EHLO client.example
        S: 250-localhost
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-SMTPUTF8
        S: 250 HELP
        ",
    );
}

#[test]
fn a_size_over_the_limit_is_refused_with_552_at_mail() {
    ours_plays(
        10..,
        &greeted(
            "
            {RFC 1870, 6.1: a size over the limit is refused before the message is sent}
            C: MAIL FROM:<ada@example.org> SIZE=26214401
            S: 552 5.3.4 Too much mail data
            {4.1.4: no transaction was opened}
            C: RCPT TO:<bob@example.com>
            S: 503 5.5.1 MAIL first
            C: MAIL FROM:<ada@example.org> SIZE=26214400
            S: 250 2.1.0 OK
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            ",
        ),
    );
}

#[test]
fn a_size_over_every_limit_is_refused_with_552() {
    plays(
        10..,
        &greeted(&mails(&[
            (
                "SIZE=1000",
                "250 2.1.0 OK",
                "4.5.3.1.7: any server takes so much",
            ),
            (
                "SIZE=99999999999999999999",
                "552 5.3.4 ...",
                "RFC 1870, section 3: 20 digits are a size, and no server takes so much",
            ),
            (
                "SIZE=999999999999999999999",
                "501 5.5.4 ...",
                "RFC 1870, section 3: 21 digits are none",
            ),
        ])),
    );
}

#[test]
fn a_server_that_ignores_the_size_is_caught() {
    catches(
        a_size_over_the_limit_is_refused_with_552_at_mail,
        Mistake::SizeIgnored,
    );
}

#[test]
fn a_size_is_1_to_20_digits() {
    let nines = format!("SIZE={}", "9".repeat(20));
    plays_with(
        10..,
        at_most_1000_octets,
        &greeted(&mails(&[
            (
                "SIZE=0",
                "250 2.1.0 OK",
                "RFC 1870, 6.1: the client doesn't know it",
            ),
            ("SIZE=1000", "250 2.1.0 OK", "the limit itself"),
            (
                "size=1000",
                "250 2.1.0 OK",
                "2.4: keywords are not case sensitive",
            ),
            ("SIZE=1001", "552 5.3.4 ...", "one octet over the limit"),
            (
                "SIZE=00000000000000001000",
                "250 2.1.0 OK",
                "RFC 1870, section 3: 20 digits",
            ),
            (
                "SIZE=000000000000000001000",
                "501 5.5.4 Not a size; it looks like SIZE=1000",
                "21 digits",
            ),
            (&nines, "552 5.3.4 ...", "20 digits, more than 64 bits hold"),
            (
                "SIZE=18446744073709551616",
                "552 5.3.4 ...",
                "2 to the 64th, which is 0 in 64 bits",
            ),
            ("SIZE=ten", "501 5.5.4 Not a size; ...", "no digits"),
            ("SIZE=-1", "501 5.5.4 Not a size; ...", "a sign"),
            (
                "SIZE=+1",
                "501 5.5.4 Not a size; ...",
                "a sign that Rust's parse accepts",
            ),
            ("SIZE=1k", "501 5.5.4 Not a size; ...", "a unit"),
            ("SIZE", "501 5.5.4 Not a size; ...", "no value"),
            (
                "SIZE=",
                "501 5.5.4 Not a parameter; ...",
                "4.1.2: an empty value isn't one",
            ),
        ])),
    );
}

#[test]
fn a_message_over_the_limit_is_refused_though_its_size_was_said_to_be_smaller() {
    stores_with(
        10..,
        |settings| settings.max_size = 10,
        &greeted(
            "
            C: MAIL FROM:<ada@example.org> SIZE=5
            S: 250 2.1.0 OK
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 Start mail input; end with <CRLF>.<CRLF>
            {RFC 1870, 6.3: the limit holds for what really comes}
            C: 123456789
            C: .
            S: 552 5.3.4 Too much mail data
            C: MAIL FROM:<ada@example.org> SIZE=5
            S: 250 2.1.0 OK
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 ...
            {RFC 1870, section 5: a SIZE is an estimate; more than that, within the limit, is accepted}
            C: 12345678
            C: .
            S: 250 2.0.0 OK, queued as ...
            ",
        ),
        &[to_bob(b"12345678\r\n")],
    );
}

#[test]
fn a_body_is_7bit_or_8bitmime() {
    let refusal = "501 5.5.4 Not a body type; it is BODY=7BIT or BODY=8BITMIME";
    plays(
        10..,
        &greeted(&mails(&[
            ("BODY=7BIT", "250 2.1.0 OK", "RFC 6152, section 2"),
            ("BODY=8BITMIME", "250 2.1.0 OK", "RFC 6152, section 2"),
            ("body=8bitMime", "250 2.1.0 OK", "2.4: in any case"),
            (
                "BODY=BINARYMIME",
                refusal,
                "RFC 3030: an extension that isn't offered",
            ),
            ("BODY=8BIT", refusal, "almost"),
            ("BODY", refusal, "no value"),
        ])),
    );
}

#[test]
fn all_eight_bits_of_a_byte_arrive() {
    let high: Vec<u8> = (0x80..=0xff).collect();
    let shown = high.escape_ascii().to_string();
    for body in [" BODY=8BITMIME", " BODY=7BIT", ""] {
        stores(
            10..,
            &greeted(&format!(
                r#"
                C: MAIL FROM:<ada@example.org>{body}
                S: 250 ...
                C: RCPT TO:<bob@example.com>
                S: 250 ...
                C: DATA
                S: 354 ...
                {{RFC 6152, section 3: 8BITMIME promises that all eight bits of a byte arrive}}
                C: b"X: {shown}\r\n.\r\n"
                S: 250 ...
                "#
            )),
            &[to_bob(&[b"X: ", &high[..], b"\r\n"].concat())],
        );
    }
}

#[test]
fn a_server_that_strips_the_eighth_bit_is_caught() {
    catches(all_eight_bits_of_a_byte_arrive, Mistake::EighthBitStripped);
}

#[test]
fn addresses_in_utf_8_are_accepted_in_a_mail_with_smtputf8() {
    let mut stored = mail(
        "zoë@bücher.example",
        &["用户@例子.广告", "bob@example.com"],
        "Subject: Grüße\r\n".as_bytes(),
    );
    stored.envelope.smtputf8 = true;
    stores(
        10..,
        &greeted(
            "
            {RFC 6531, 3.3: with SMTPUTF8 both parts of an address may be UTF-8}
            C: MAIL FROM:<zoë@bücher.example> BODY=8BITMIME SMTPUTF8
            S: 250 2.1.0 OK
            C: RCPT TO:<用户@例子.广告>
            S: 250 2.1.5 OK
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 ...
            C: Subject: Grüße
            C: .
            S: 250 2.0.0 OK, queued as ...
            ",
        ),
        &[stored],
    );
}

#[test]
fn the_trace_header_of_a_mail_with_smtputf8_is_utf_8_and_says_so() {
    for (sender, recipient, why) in [
        (
            "zoë@bücher.example",
            "josé@例子.example",
            "both are in UTF-8",
        ),
        ("zoë@bücher.example", "bob@example.com", "the sender is"),
        ("", "josé@例子.example", "the recipient is"),
        (
            "ada@example.org",
            "bob@example.com",
            "neither is; the header may be",
        ),
    ] {
        played_once(
            10..,
            by_default,
            &greeted(&format!(
                "{{{why}}}\nC: MAIL FROM:<{sender}> smtputf8\nS: 250 ...\nC: RCPT TO:<{recipient}>\n\
                 S: 250 ...\nC: DATA\nS: 354 ...\nC: Subject: Grüße\nC: .\nS: 250 ...\n"
            )),
            |server| {
                let [file] = &server.maildir().take()[..] else {
                    panic!("one mail, one file");
                };
                let (fields, message) = file.parts();
                assert_eq!(fields[0], format!("Return-Path: <{sender}>"));
                assert_eq!(fields[1], format!("Delivered-To: {recipient}"));
                // RFC 6531, 4.3; RFC 6532.
                assert!(fields[2].contains(" with UTF8SMTP id "), "{}", fields[2]);
                let for_whom = format!(" for <{recipient}>; ");
                assert!(fields[2].contains(&for_whom), "{}", fields[2]);
                assert_eq!(message, "Subject: Grüße\n".as_bytes());
            },
        );
    }
}

#[test]
fn smtputf8_holds_for_one_mail() {
    played_once(
        10..,
        by_default,
        &greeted(&format!(
            "
            C: MAIL FROM:<zoë@example.org> SMTPUTF8
            S: 250 ...
            C: RSET
            S: 250 ...
            {{RFC 6531, 3.4: the parameter is for the mail of its MAIL}}
            C: MAIL FROM:<zoë@example.org>
            S: 550 5.6.7 ...
            {MAIL_TO_BOB}
            C: .
            S: 250 ...
            "
        )),
        |server| {
            let received = server.maildir().take()[0].parts().0.pop().unwrap();
            assert!(received.contains(" with ESMTP id "), "{received}");
        },
    );
}

#[test]
fn an_address_in_utf_8_without_smtputf8_is_refused_with_550_or_553() {
    stores(
        10..,
        &greeted(
            "
            {RFC 6531, 3.5: 550 for a sender, 553 for a recipient; the next server may not have the extension}
            C: MAIL FROM:<zoë@example.org>
            S: 550 5.6.7 A sender in UTF-8 needs SMTPUTF8
            C: MAIL FROM:<zoë@example.org> BODY=8BITMIME
            S: 550 5.6.7 A sender in UTF-8 needs SMTPUTF8
            C: MAIL FROM:<ada@bücher.example>
            S: 550 5.6.7 A sender in UTF-8 needs SMTPUTF8
            {4.1.4: no transaction was opened}
            C: RCPT TO:<bob@example.com>
            S: 503 5.5.1 MAIL first
            C: MAIL FROM:<ada@example.org>
            S: 250 2.1.0 OK
            {RFC 6531, 3.5: the same for a recipient}
            C: RCPT TO:<josé@example.com>
            S: 553 5.6.7 A recipient in UTF-8 needs SMTPUTF8
            C: RCPT TO:<bob@bücher.example>
            S: 553 5.6.7 A recipient in UTF-8 needs SMTPUTF8
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 ...
            {3.3: the refused recipients are not stored}
            C: .
            S: 250 2.0.0 ...
            ",
        ),
        &[to_bob(b"")],
    );
}

#[test]
fn smtputf8_with_a_value_is_refused_with_501() {
    plays(
        10..,
        &greeted(&mails(&[
            (
                "SMTPUTF8=1",
                "501 5.5.4 SMTPUTF8 takes no value",
                "RFC 6531, 3.4",
            ),
            ("SmtpUtf8", "250 2.1.0 OK", "2.4: in any case"),
        ])),
    );
}

#[test]
fn bytes_that_are_not_utf_8_and_control_characters_are_refused_with_500() {
    for (address, why) in [
        (r"zo\xeb@example.org", "ISO 8859"),
        (r"zo\xc3@example.org", "half a character"),
        (r"zo\xc3\xab\xab@example.org", "a character and a half"),
        (r"\xc0\xaf@example.org", "a slash, written too long"),
        (r"\xed\xa0\x80@example.org", "half of a pair of UTF-16"),
        (r"\xf4\x90\x80\x80@example.org", "beyond the last character"),
        (r"a\0@example.org", "NUL"),
        (r"a\x1b[2J@example.org", "an escape sequence"),
        (r"a\x7f@example.org", "DEL"),
        (
            r"a\xc2\x9b2J@example.org",
            "a control character of ISO 8859, in UTF-8",
        ),
        (
            r"a\xc2\x85b@example.org",
            "a line end of ISO 8859, in UTF-8",
        ),
    ] {
        let refusal = "S: 500 5.5.2 Syntax error - invalid character";
        ours_plays(
            10..,
            &greeted(&format!(
                r#"
                {{2.4; RFC 3629: {why}}}
                C: b"MAIL FROM:<{address}> SMTPUTF8\r\n"
                {refusal}
                C: MAIL FROM:<zoë@example.org> SMTPUTF8
                S: 250 2.1.0 OK
                C: b"RCPT TO:<{address}>\r\n"
                {refusal}
                "#
            )),
        );
    }
}

#[test]
fn utf_8_in_a_command_without_an_address_is_refused_with_500() {
    ours_plays(
        10..,
        &begun(
            "
            {RFC 6531, 3.3: it is addresses that may be in UTF-8}
            C: EHLO zoë.example
            S: 500 5.5.2 Syntax error - invalid character
            C: HELO zoë.example
            S: 500 5.5.2 ...
            C: NOOP ü
            S: 500 5.5.2 ...
            C: RSET ü
            S: 500 5.5.2 ...
            C: DATA ü
            S: 500 5.5.2 ...
            C: QUIT ü
            S: 500 5.5.2 ...
            C: AUTH PLAIN ü
            S: 500 5.5.2 ...
            C: HELP ü
            S: 500 5.5.2 ...
            C: MÄIL
            S: 500 5.5.2 ...
            C: RCPT TO:<bob@example.com> X=ü
            S: 501 5.5.4 Not a parameter; ...
            {RFC 6531, 3.7.4.2: VRFY has an address}
            C: VRFY zoë
            S: 252 2.5.0 ...
            {4.1.4: and the transaction is as it was}
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            ",
        ),
    );
}

#[test]
fn every_refusal_after_ehlo_has_a_status_code() {
    let long = format!("NOOP {}", "x".repeat(506));
    plays_with(
        10..,
        |settings| {
            settings.domains = vec!["example.com".to_string()];
            settings.max_recipients = 1;
        },
        &greeted(&format!(
            "
            {{RFC 2034, section 3: every reply of 2xx, 4xx and 5xx, but for the greeting and HELO's and EHLO's own}}
            C: HULLO
            S: 500 5.5.2 Command not recognized
            C: {long}
            S: 500 5.5.2 Line too long
            C: EXPN staff
            S: 502 5.5.1 Command not implemented
            C: RCPT TO:<bob@example.com>
            S: 503 5.5.1 MAIL first
            C: DATA
            S: 503 5.5.1 MAIL first
            C: RSET now
            S: 501 5.5.4 This command takes no argument
            C: MAIL
            S: 501 5.5.2 Syntax: MAIL FROM:<user@example.org>
            {{RFC 3463, 3.2: the sender's address is bad}}
            C: MAIL FROM:<ada>
            S: 501 5.1.7 Not a path; it looks like <user@example.org>
            C: MAIL FROM:<{a}@example.org>
            S: 501 5.1.7 Path too long
            C: MAIL FROM:<ada@example.org> X-UNKNOWN
            S: 555 5.5.4 Parameter not recognized
            C: MAIL FROM:<ada@example.org> =
            S: 501 5.5.4 Not a parameter; it looks like KEYWORD=value
            C: MAIL FROM:<ada@example.org>
            S: 250 2.1.0 OK
            C: MAIL FROM:<ada@example.org>
            S: 503 5.5.1 A mail is already open
            C: DATA
            S: 503 5.5.1 RCPT first
            C: RCPT
            S: 501 5.5.2 Syntax: RCPT TO:<user@example.org>
            {{RFC 3463, 3.2: the recipient's address is bad}}
            C: RCPT TO:<bob>
            S: 501 5.1.3 Not a path; it looks like <user@example.org>
            C: RCPT TO:<bob@example.com> NOTIFY=NEVER
            S: 555 5.5.4 Parameter not recognized
            {{a reply has one status code, and this one had it before}}
            C: RCPT TO:<bob@elsewhere.example>
            S: 550 5.7.1 Not a domain of ours, and we do not relay
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: RCPT TO:<bob@example.com>
            S: 452 4.5.3 Too many recipients
            ",
            a = "a".repeat(250),
        )),
    );
}

#[test]
fn every_success_after_ehlo_has_a_status_code() {
    ours_plays(
        10..,
        "
        S: 220 localhost ESMTP ready
        {RFC 2034, section 3: not for EHLO's own refusal, nor before EHLO}
        C: EHLO
        S: 501 Your name, please: HELO client.example
        C: NOOP
        S: 250 OK
        C: MAIL FROM:<ada@example.org>
        S: 503 HELO or EHLO first
        C: EHLO client.example
        S: 250 ...
        C: EHLO
        S: 501 Your name, please: HELO client.example
        {RFC 2034, section 3: a code for each reply, and for each of its lines}
        C: NOOP
        S: 250 2.0.0 OK
        C: RSET
        S: 250 2.0.0 OK
        C: VRFY bob
        S: 252 2.5.0 RCPT will tell, VRFY does not
        C: VRFY
        S: 501 5.5.4 Whom? VRFY bob
        C: HELP
        S: 214-2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP
        S: 214 2.0.0 RFC 5321 says what they do
        C: HELP MAIL
        S: 214-2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP
        S: 214 2.0.0 RFC 5321 says what they do
        C: MAIL FROM:<ada@example.org>
        S: 250 2.1.0 OK
        C: RCPT TO:<bob@example.com>
        S: 250 2.1.5 OK
        {RFC 2034, section 3: a 3xx has none}
        C: DATA
        S: 354 Start mail input; end with <CRLF>.<CRLF>
        C: .
        S: 250 2.0.0 OK, queued as ...
        C: QUIT
        S: 221 2.0.0 localhost Service closing transmission channel
        {the server closes the connection}
        ",
    );
}

#[test]
fn a_refused_message_has_a_status_code() {
    let circles = "C: Received: from a\n".repeat(101);
    ours_plays(
        10..,
        &within_data(&format!(
            "{circles}C: .\n{{RFC 3463, 3.5: a loop}}\nS: 554 5.4.6 Too many Received fields, this mail goes in circles"
        )),
    );
    let field = format!("C: X: {}\n", "x".repeat(900));
    let header = field.repeat(1200);
    played_once(
        10..,
        by_default,
        &within_data(&format!("{header}C: .\nS: 552 5.3.4 Too much header")),
        |_| (),
    );
    own_program(10, serving(&["--quiet"]), |server| {
        let maildir = server.folder.path().join("mail");
        fs::rename(maildir.join("tmp"), maildir.join("elsewhere")).unwrap();
        let mut client = Client::greeted(&server.address);
        client.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client.hears_codes(&["250", "250"]);
        // RFC 3463, 3.4: the mail system.
        let answer = "451 4.3.0 The mail could not be stored, try again later";
        assert_eq!(client.hears(), answer);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_lack_of_space_has_a_status_code() {
    // No file may have a single octet, as on a full disk.
    own_program(10, serving_within("-f 0", ""), |server| {
        let mut client = Client::greeted(&server.address);
        client.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client.hears_codes(&["250", "250"]);
        // RFC 3463, 3.4: the mail system is full.
        let answer = "452 4.3.1 Insufficient system storage, try again later";
        assert_eq!(client.hears(), answer);
    });
}

#[test]
fn the_last_words_have_a_status_code() {
    let hulloes = "C: HULLO\nS: 500 5.5.2 ...\n".repeat(20);
    ours_plays(
        10..,
        &greeted(&format!(
            "
            {hulloes}
            {{RFC 3463, 3.8: a matter of policy}}
            S: 421 4.7.0 localhost Too many errors, closing transmission channel
            {{the server closes the connection}}
            "
        )),
    );
    ours_plays(
        10..,
        &greeted(
            "
            C: POST / HTTP/1.1
            {RFC 3463, 3.8: a matter of policy}
            S: 421 4.7.0 localhost This is SMTP, not HTTP, closing transmission channel
            {the server closes the connection}
            ",
        ),
    );
    played_once(
        10..,
        |settings| settings.timeout = Duration::from_millis(300),
        &greeted(
            "
            {RFC 3463, 3.5: a bad connection}
            S: 421 4.4.2 localhost You took too long, closing transmission channel
            {the server closes the connection}
            ",
        ),
        |_| (),
    );
}

#[test]
fn after_helo_no_parameter_is_accepted() {
    plays(
        10..,
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: HELO client.example
        S: 250 ...
        {3.2, 4.1.1.11: HELO takes back what EHLO has offered}
        C: MAIL FROM:<ada@example.org> SIZE=1000
        S: 555 ...
        C: MAIL FROM:<ada@example.org> BODY=8BITMIME
        S: 555 ...
        C: EHLO client.example
        S: 250 ...
        {4.1.4: and another EHLO brings it back}
        C: MAIL FROM:<ada@example.org> SIZE=1000 BODY=8BITMIME
        S: 250 ...
        ",
    );
}

#[test]
fn a_server_that_accepts_parameters_after_helo_is_caught() {
    catches(
        after_helo_no_parameter_is_accepted,
        Mistake::ParametersAfterHelo,
    );
}

#[test]
fn after_helo_the_session_is_plain_smtp() {
    let long = |octets: usize| {
        let start = "MAIL FROM:<ada@example.org>";
        format!("{start}{}", " ".repeat(octets - start.len() - 2))
    };
    let (longest, too_long) = (long(512), long(513));
    let rest = format!(
        "
        {{RFC 2034, section 4 has status codes here too; this server keeps plain SMTP plain}}
        C: NOOP
        S: 250 OK
        C: MAIL FROM:<ada>
        S: 501 Not a path; ...
        C: MAIL FROM:<ada@example.org> SMTPUTF8
        S: 555 Parameter not recognized
        C: MAIL FROM:<zoë@example.org>
        S: 500 Syntax error - invalid character
        C: MAIL FROM:<zoë@example.org> SMTPUTF8
        S: 500 Syntax error - invalid character
        C: STARTTLS
        S: 500 Command not recognized
        {{3.5.3, 4.1.1.8: these need no EHLO}}
        C: VRFY bob
        S: 252 RCPT will tell, VRFY does not
        C: HELP
        S: 214-EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP
        S: 214 RFC 5321 says what they do
        {{4.5.3.1.4: 512 octets, since no parameter makes it longer}}
        C: {too_long}
        S: 500 Line too long
        C: {longest}
        S: 250 OK
        C: RCPT TO:<josé@example.com>
        S: 500 Syntax error - invalid character
        C: RCPT TO:<bob>
        S: 501 Not a path; ...
        C: RCPT TO:<bob@example.com>
        S: 250 OK
        C: DATA
        S: 354 Start mail input; end with <CRLF>.<CRLF>
        C: .
        S: 250 OK, queued as ...
        "
    );
    ours_plays(10.., &plain(&rest));
    let taken_back = greeted("C: HELO client.example\nS: 250 localhost\n");
    ours_plays(10.., &format!("{taken_back}{rest}"));
    ours_plays(
        10..,
        &plain(
            "
            C: EHLO client.example
            S: 250 ...
            {4.1.4: EHLO after HELO begins anew, with all that it offers}
            C: MAIL FROM:<zoë@example.org> SMTPUTF8
            S: 250 2.1.0 OK
            {4.1.1.1: a HELO without a name is refused, and changes nothing}
            C: HELO
            S: 501 Your name, please: HELO client.example
            C: RCPT TO:<josé@example.com>
            S: 250 2.1.5 OK
            C: QUIT
            S: 221 2.0.0 ...
            {the server closes the connection}
            ",
        ),
    );
}

#[test]
fn help_and_vrfy_are_answered_before_helo() {
    plays(
        10..,
        "
        S: 220 ...
        {4.1.4: these can be used without initializing a session}
        C: VRFY bob
        S: 252 RCPT will tell, VRFY does not
        C: VRFY
        S: 501 Whom? VRFY bob
        C: help
        S: 214-EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP
        S: 214 RFC 5321 says what they do
        C: QUIT
        S: 221 localhost ...
        {the server closes the connection}
        ",
    );
}

/// Writes the reply to EHLO with all keywords but these.
fn keywords_without(left_out: &[&str]) -> String {
    let offered = KEYWORDS.iter().filter(|name| !left_out.contains(name));
    let mut lines = vec!["localhost".to_string()];
    lines.extend(offered.map(|name| match *name {
        "SIZE" => "SIZE 26214400".to_string(),
        name => name.to_string(),
    }));
    let last = lines.pop().unwrap();
    let others: String = lines
        .iter()
        .map(|line| format!("S: 250-{line}\n"))
        .collect();
    format!("S: 220 ...\nC: EHLO client.example\n{others}S: 250 {last}\n")
}

#[test]
fn a_keyword_that_is_left_out_is_neither_offered_nor_carried_out() {
    for (keyword, gone, lines) in [
        (
            "PIPELINING",
            &["PIPELINING"][..],
            "C: NOOP\nS: 250 2.0.0 OK",
        ),
        (
            "SIZE",
            &["SIZE"],
            "
            {4.1.1.11: a parameter that wasn't offered}
            C: MAIL FROM:<ada@example.org> SIZE=1
            S: 555 5.5.4 Parameter not recognized
            C: MAIL FROM:<zoë@example.org> BODY=8BITMIME SMTPUTF8
            S: 250 2.1.0 OK
            ",
        ),
        (
            "8BITMIME",
            &["8BITMIME", "SMTPUTF8"],
            "
            {RFC 6531, 3.1: SMTPUTF8 needs 8BITMIME, so both are gone}
            C: MAIL FROM:<ada@example.org> BODY=7BIT
            S: 555 5.5.4 Parameter not recognized
            C: MAIL FROM:<ada@example.org> SMTPUTF8
            S: 555 5.5.4 Parameter not recognized
            C: MAIL FROM:<ada@example.org> SIZE=1
            S: 250 2.1.0 OK
            ",
        ),
        (
            "SMTPUTF8",
            &["SMTPUTF8"],
            "
            {4.1.1.11: a parameter that wasn't offered}
            C: MAIL FROM:<ada@example.org> SMTPUTF8
            S: 555 5.5.4 Parameter not recognized
            C: MAIL FROM:<ada@example.org> SIZE=1 BODY=8BITMIME
            S: 250 2.1.0 OK
            ",
        ),
        (
            "ENHANCEDSTATUSCODES",
            &["ENHANCEDSTATUSCODES"],
            "
            {RFC 2034: no codes where they weren't announced}
            C: NOOP
            S: 250 OK
            C: MAIL FROM:<ada>
            S: 501 Not a path; ...
            C: MAIL FROM:<ada@example.org> SIZE=1 BODY=8BITMIME SMTPUTF8
            S: 250 OK
            C: RCPT TO:<bob>
            S: 501 Not a path; ...
            C: RCPT TO:<josé@example.com>
            S: 250 OK
            C: DATA
            S: 354 ...
            C: .
            S: 250 OK, queued as ...
            C: HULLO
            S: 500 Command not recognized
            C: HELP
            S: 214-EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP
            S: 214 RFC 5321 says what they do
            C: QUIT
            S: 221 localhost ...
            {the server closes the connection}
            ",
        ),
        (
            "HELP",
            &["HELP"],
            "
            {4.2.4: known, and not implemented}
            C: HELP
            S: 502 5.5.1 Command not implemented
            C: VRFY bob
            S: 252 2.5.0 ...
            ",
        ),
    ] {
        let text = format!("{}{lines}", keywords_without(gone));
        plays_with(10.., without(keyword), &text);
        let mut settings = Settings::default();
        without(&keyword.to_lowercase())(&mut settings);
        let offered = smtp_from_scratch::stages::stage10_extensions::keywords(&settings);
        assert_eq!(
            offered.len(),
            KEYWORDS.len() - gone.len(),
            "in small letters"
        );
    }
    plays_with(
        10..,
        |settings| settings.without = KEYWORDS.iter().map(|name| name.to_string()).collect(),
        "
        S: 220 ...
        {4.1.1.1: EHLO without a keyword is EHLO all the same}
        C: EHLO client.example
        S: 250 localhost
        C: MAIL FROM:<ada@example.org>
        S: 250 OK
        ",
    );
}

#[test]
fn commands_of_extensions_that_are_not_offered_are_answered_with_502() {
    for (command, why) in [
        ("STARTTLS", "RFC 3207"),
        ("starttls", "RFC 3207"),
        ("BDAT 5 LAST", "RFC 3030"),
        ("ETRN example.com", "RFC 1985"),
        ("EXPN staff", "3.5.2: a list isn't a stranger's business"),
        ("AUTH PLAIN AGFkYQBzM2NyZXQ=", "RFC 4954"),
        ("AUTH LOGIN", "RFC 4954"),
        ("AUTH", "RFC 4954"),
    ] {
        ours_plays(
            10..,
            &begun(&format!(
                "
                {{4.2.4: known, and not implemented; {why}}}
                C: {command}
                S: 502 5.5.1 Command not implemented
                {{4.1.4: and the transaction is as it was}}
                C: RCPT TO:<bob@example.com>
                S: 250 2.1.5 OK
                C: {command}
                S: 502 5.5.1 Command not implemented
                C: DATA
                S: 354 ...
                C: .
                S: 250 2.0.0 ...
                "
            )),
        );
    }
    ours_plays(
        10..,
        &greeted(
            "
            {4.2.4: a word that only begins like one is unknown}
            C: STARTTLSNOW
            S: 500 5.5.2 ...
            C: BDA
            S: 500 5.5.2 ...
            ",
        ),
    );
}

/// Writes a command of so many octets, line end included.
fn of_length(octets: usize, start: &str, end: &str) -> String {
    let spaces = octets - start.len() - end.len() - 2;
    format!("C: {start}{}{end}", " ".repeat(spaces))
}

#[test]
fn a_mail_line_may_be_as_long_as_its_parameters_make_it() {
    let (start, end) = ("MAIL FROM:<ada@example.org> SIZE=1", "BODY=7BIT SMTPUTF8");
    for (stages, longest) in [(10..=10, 565), (11..=11, 1065)] {
        ours_plays(
            stages,
            &greeted(&format!(
                "
                {{4.5.3.1.4: 512 octets, and what the extensions add}}
                {}
                S: 250 2.1.0 OK
                C: RSET
                S: 250 ...
                {}
                S: 500 5.5.2 Line too long
                {{and the session is in step}}
                C: MAIL FROM:<ada@example.org>
                S: 250 2.1.0 OK
                ",
                of_length(longest, start, end),
                of_length(longest + 1, start, end),
            )),
        );
    }
    let (vrfy, too_long) = (of_length(522, "VRFY", "bob"), of_length(523, "VRFY", "bob"));
    let rcpt = |octets| of_length(octets, "RCPT TO:", "<bob@example.com>");
    ours_plays(
        10..,
        &begun(&format!(
            "
            {{RFC 6531, 3.1: VRFY may have the parameter SMTPUTF8}}
            {vrfy}
            S: 252 ...
            {too_long}
            S: 500 5.5.2 Line too long
            {{4.5.3.1.4: no extension adds to RCPT}}
            {}
            S: 250 2.1.5 OK
            {}
            S: 500 5.5.2 Line too long
            ",
            rcpt(512),
            rcpt(513),
        )),
    );
}

#[test]
fn a_whole_transaction_in_one_segment_has_its_replies_in_order() {
    stores(
        10..,
        &greeted(
            r#"
            C: b"RSET\r\nMAIL FROM:<ada@example.org> SIZE=20\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<carol>\r\nRCPT TO:<josé@example.com>\r\nRCPT TO:<dan@example.com>\r\nDATA\r\n"
            S: 250 2.0.0 OK
            S: 250 2.1.0 OK
            {RFC 2920, 3.2: each command has its reply, in their order}
            S: 250 2.1.5 OK
            S: 501 5.1.3 ...
            S: 553 5.6.7 ...
            S: 250 2.1.5 OK
            S: 354 ...
            {RFC 2920, 3.2: what follows the message in its segment is commands}
            C: b"Hello.\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
            S: 250 2.0.0 OK, queued as ...
            S: 250 2.1.0 OK
            S: 250 2.1.5 OK
            S: 354 ...
            C: b"Hello again.\r\n.\r\nQUIT\r\n"
            S: 250 2.0.0 OK, queued as ...
            S: 221 2.0.0 ...
            {the server closes the connection}
            "#
            .replace("josé", r"jos\xc3\xa9")
            .as_str(),
        ),
        &[
            mail(
                "ada@example.org",
                &["bob@example.com", "dan@example.com"],
                b"Hello.\r\n",
            ),
            mail("eve@example.org", &["bob@example.com"], b"Hello again.\r\n"),
        ],
    );
}

#[test]
fn data_after_no_valid_recipient_is_refused_and_the_session_is_in_step() {
    stores(
        10..,
        &greeted(
            r#"
            C: b"MAIL FROM:<ada@example.org>\r\nRCPT TO:<bob>\r\nRCPT TO:<>\r\nDATA\r\n"
            S: 250 2.1.0 OK
            S: 501 5.1.3 ...
            S: 501 5.1.3 ...
            {RFC 2920, 3.1: DATA may come in the segment of its recipients; without one there is no 354}
            S: 503 5.5.1 RCPT first
            {a client that hasn't looked sends its message all the same, and each line is a command}
            C: b"Subject: hi\r\n\r\nHello.\r\n.\r\n"
            S: 500 5.5.2 ...
            S: 500 5.5.2 ...
            S: 500 5.5.2 ...
            S: 500 5.5.2 ...
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 ...
            {and nothing of it is stored}
            C: .
            S: 250 2.0.0 ...
            "#,
        ),
        &[to_bob(b"")],
    );
}

#[test]
fn a_domain_of_ours_may_be_in_utf_8() {
    own_server(
        10,
        |settings| settings.domains = vec!["bücher.example".to_string()],
        |server| {
            let text = greeted(
                "
                C: MAIL FROM:<> SMTPUTF8
                S: 250 ...
                C: RCPT TO:<bob@bücher.example>
                S: 250 2.1.5 OK
                C: RCPT TO:<bob@bucher.example>
                S: 550 5.7.1 ...
                {3.6.2: another domain, however alike it looks}
                C: RCPT TO:<bob@büchner.example>
                S: 550 5.7.1 ...
                ",
            );
            plays_in(server, &Conversation::parse(&text), Split::LineByLine);
        },
    );
}
