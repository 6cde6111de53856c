//! Chapter 6: DATA.

mod support;

use std::io;

use smtp_from_scratch::mail::Mail;
use support::player::{SPLITS, play};
use support::zoo::{Mistake, catches};
use support::{
    conversation::Conversation, documented_conversation, keeps, mail, needs_our_own_server,
    ours_plays, plays, plays_in_all_splits, plays_with, skipped, target,
};

/// A session from the greeting to a MAIL, and then `lines`.
fn begun(lines: &str) -> String {
    format!(
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        {lines}
        "
    )
}

/// The same with a recipient.
fn addressed(lines: &str) -> String {
    begun(&format!(
        "C: RCPT TO:<bob@example.com>\nS: 250 ...\n{lines}"
    ))
}

/// The mail of such a session.
fn to_bob(message: &[u8]) -> Mail {
    mail("ada@example.org", &["bob@example.com"], message)
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage06_data.rs");
    // From stage 8 on the 250 at the end says more.
    ours_plays(6..8, &documented_conversation(source));
}

#[test]
fn data_without_a_recipient_is_503() {
    plays(
        6..,
        "
        S: 220 ...
        {3.3: DATA needs a MAIL and a RCPT before it}
        C: DATA
        S: 503 ...
        C: EHLO client.example
        S: 250 ...
        C: DATA
        S: 503 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        C: DATA
        S: 503 ...
        C: RCPT TO:
        S: 501 ...
        C: DATA
        S: 503 ...
        {4.1.4: and the transaction is where it was}
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        C: DATA
        S: 354 ...
        C: .
        S: 250 ...
        ",
    );
}

#[test]
fn data_with_an_argument_is_501() {
    plays(
        6..,
        &addressed(
            "
            {4.3.2: DATA takes no argument}
            C: DATA now
            S: 501 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn a_refused_recipient_leaves_the_others_standing() {
    keeps(
        6..,
        &begun(
            "
            C: RCPT TO:<bob@example.com>
            S: 250 ...
            {3.3: each recipient is accepted or refused by itself}
            C: RCPT TO:
            S: 501 ...
            C: RCPT TO:<carol@example.com>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            ",
        ),
        "each recipient is accepted or refused by itself (3.3)",
        &[mail(
            "ada@example.org",
            &["bob@example.com", "carol@example.com"],
            b"",
        )],
    );
}

#[test]
fn a_server_that_remembers_only_the_last_recipient_is_caught() {
    catches(
        a_refused_recipient_leaves_the_others_standing,
        Mistake::OneRecipientOnly,
        "each recipient is accepted or refused by itself",
    );
}

#[test]
fn a_path_is_kept_without_its_brackets_and_its_route() {
    keeps(
        6..,
        &begun(
            r#"
            C: RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>
            S: 250 ...
            C: RCPT TO:<"Quoted \> Person"@Example.COM>
            S: 250 ...
            C: RCPT TO:<postMaster>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            "#,
        ),
        "4.1.1.3: the route is stripped off; 2.4: the case of a local part is kept",
        &[mail(
            "ada@example.org",
            &[
                "userc@d.bar.org",
                r#""Quoted \> Person"@Example.COM"#,
                "postMaster",
            ],
            b"",
        )],
    );
}

#[test]
fn a_message_is_kept_byte_for_byte() {
    keeps(
        6..,
        &addressed(
            r#"
            C: DATA
            S: 354 ...
            C: From: Ada <ada@example.org>
            C: Subject: =?utf-8?q?bytes?=
            C:
            C: b"8-bit: \xe9\xc3\xa9\xff, NUL: \0, controls: \x01\x1b\x7f\t\r\n"
            C:   spaces on both sides  
            C:
            C: .
            S: 250 ...
            "#,
        ),
        "4.5.2: all characters are to be delivered, and 2.4 lets us take 8-bit ones; 4.1.1.4: no line end is added",
        &[to_bob(
            b"From: Ada <ada@example.org>\r\nSubject: =?utf-8?q?bytes?=\r\n\r\n\
              8-bit: \xe9\xc3\xa9\xff, NUL: \0, controls: \x01\x1b\x7f\t\r\n  \
              spaces on both sides  \r\n\r\n",
        )],
    );
}

#[test]
fn dots_at_the_start_of_a_line_are_unstuffed() {
    keeps(
        6..,
        &addressed(
            "
            C: DATA
            S: 354 ...
            C: ..
            C: .a line that began with a letter, stuffed by a client that needn't have
            C: ..a line that began with a dot
            C: ....
            C: no dots in the middle. . .are touched.
            C: .
            S: 250 ...
            ",
        ),
        "4.5.2: the first dot of a line is stuffing and is taken off, that one and no other",
        &[to_bob(
            b".\r\na line that began with a letter, stuffed by a client that needn't have\r\n\
              .a line that began with a dot\r\n...\r\n\
              no dots in the middle. . .are touched.\r\n",
        )],
    );
}

#[test]
fn dots_left_in_are_caught() {
    catches(
        dots_at_the_start_of_a_line_are_unstuffed,
        Mistake::NoUnstuffing,
        "the first dot of a line is stuffing and is taken off",
    );
}

#[test]
fn an_empty_message_is_a_message() {
    keeps(
        6..,
        &addressed("C: DATA\nS: 354 ...\nC: .\nS: 250 ..."),
        "4.1.1.4: the CRLF before the dot may be that of the DATA command",
        &[to_bob(b"")],
    );
}

#[test]
fn lf_dot_lf_is_content_after_a_crlf_data_command() {
    keeps(
        6..,
        &addressed(
            r#"
            C: DATA
            S: 354 ...
            {4.1.1.4: LF . LF must not be taken for the end of the data: a mail could be smuggled in}
            C: b"before\n.\nMAIL FROM:<eve@example.org>\r\n"
            C: .
            S: 250 ...
            {4.1.1.4: LF . LF must not be taken for the end of the data. A 250 here is for the MAIL in the message: a mail was smuggled in}
            C: HULLO
            S: 500 ...
            "#,
        ),
        "4.1.1.4: LF . LF must not be taken for the end of the data",
        &[to_bob(b"before\n.\nMAIL FROM:<eve@example.org>\r\n")],
    );
}

#[test]
fn a_server_that_ends_at_lf_dot_lf_is_caught() {
    catches(
        lf_dot_lf_is_content_after_a_crlf_data_command,
        Mistake::LfDotLfEndsTheData,
        "LF . LF must not be taken for the end of the data",
    );
}

#[test]
fn lf_dot_crlf_is_content_after_a_crlf_data_command() {
    keeps(
        6..,
        &addressed(
            r#"
            C: DATA
            S: 354 ...
            {4.1.1.4: LF . CRLF is no end of the data either: the line before it must end in CRLF}
            C: b"before\n.\r\nMAIL FROM:<eve@example.org>\r\n"
            C: .
            S: 250 ...
            {4.1.1.4: LF . CRLF is no end of the data either. A 250 here is for the MAIL in the message: a mail was smuggled in}
            C: HULLO
            S: 500 ...
            "#,
        ),
        "4.1.1.4: LF . CRLF is no end of the data either",
        &[to_bob(b"before\n.\r\nMAIL FROM:<eve@example.org>\r\n")],
    );
}

#[test]
fn a_server_that_ends_at_lf_dot_crlf_is_caught() {
    catches(
        lf_dot_crlf_is_content_after_a_crlf_data_command,
        Mistake::LfDotCrlfEndsTheData,
        "LF . CRLF is no end of the data either",
    );
}

#[test]
fn no_other_line_end_around_a_dot_ends_the_data() {
    for around in [
        r"\r.\r",
        r"\r.\r\n",
        r"\r\n.\n",
        r"\r\n.\r",
        r"\n.\r",
        r"\n\n.\n\n",
        r"\n\r.\n\r",
        r"\r\r.\r\r",
    ] {
        plays(
            6..,
            &addressed(&format!(
                r#"
                C: DATA
                S: 354 ...
                {{4.1.1.4: only CRLF . CRLF ends the data}}
                C: b"before{around}HULLO\r\n"
                C: .
                S: 250 ...
                {{4.1.1.4: only CRLF . CRLF ends the data; this is the first command after it}}
                C: HULLO
                S: 500 ...
                "#
            )),
        );
    }
}

#[test]
fn a_message_typed_at_a_plain_netcat_ends_at_a_dot_between_lfs() {
    if !needs_our_own_server() {
        return;
    }
    keeps(
        6..,
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
        C: b"Date: Mon, 14 February 2022 20:40:34\n"
        C: b"From: sender@kausm.in\n"
        C: b"To: receiver@kausm.in\n"
        C: b"Subject: Hello Receiver\n"
        C: b"Reply-To: kaustubh@kausm.in\n"
        C: b"\n"
        C: b"Hey there\n"
        C: b"..\n"
        C: b"\n"
        C: b".\n"
        S: 250 ...
        C: b"HULLO\n"
        S: 500 ...
        "#,
        "the message ends the way its DATA command did",
        &[mail(
            "sender@kausm.in",
            &["receiver@kausm.in"],
            b"Date: Mon, 14 February 2022 20:40:34\nFrom: sender@kausm.in\nTo: receiver@kausm.in\n\
              Subject: Hello Receiver\nReply-To: kaustubh@kausm.in\n\nHey there\n.\n\n",
        )],
    );
}

#[test]
fn commands_within_a_message_are_content() {
    plays(
        6..,
        &addressed(
            "
            C: DATA
            S: 354 ...
            {4.1.1.4: what follows 354 is the message, and gets one reply, at its end}
            C: RSET
            C: QUIT
            C: DATA
            C:
            C: HULLO
            C: .
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn the_end_of_the_data_leaves_a_clean_transaction() {
    plays(
        6..,
        &addressed(
            "
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            {4.1.1.4: at the end of the data the transaction is cleared}
            C: RCPT TO:<carol@example.com>
            S: 503 ...
            C: DATA
            S: 503 ...
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            C: DATA
            S: 503 ...
            ",
        ),
    );
}

#[test]
fn state_kept_after_data_is_caught() {
    catches(
        the_end_of_the_data_leaves_a_clean_transaction,
        Mistake::StateKeptAfterData,
        "at the end of the data the transaction is cleared",
    );
}

#[test]
fn many_mails_go_over_one_connection() {
    keeps(
        6..,
        &addressed(
            "
            C: DATA
            S: 354 ...
            C: one
            C: .
            S: 250 ...
            C: MAIL FROM:<>
            S: 250 ...
            C: RCPT TO:<Postmaster>
            S: 250 ...
            C: RCPT TO:<carol@example.com>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: two
            C: .
            S: 250 ...
            ",
        ),
        "3.3: there may be any number of transactions in a session, and none knows of another",
        &[
            to_bob(b"one\r\n"),
            mail("", &["Postmaster", "carol@example.com"], b"two\r\n"),
        ],
    );
}

#[test]
fn a_message_cut_off_is_not_kept() {
    keeps(
        6..,
        &addressed(
            "
            C: DATA
            S: 354 ...
            C: Subject: half a message
            C:
            C: The end is to come, but
            {the client closes its side}
            {4.1.1.10: a message whose end hasn't come was not sent: no 250, and no delivery}
            {the server closes the connection}
            ",
        ),
        "4.1.1.10: the server must cancel the pending transaction when the connection is closed",
        &[],
    );
}

#[test]
fn a_server_that_delivers_half_a_message_is_caught() {
    catches(
        a_message_cut_off_is_not_kept,
        Mistake::InterruptedMessageDelivered,
        "the server must cancel the pending transaction when the connection is closed",
    );
}

#[test]
fn a_reply_before_the_message_is_complete_is_caught() {
    catches(
        a_message_cut_off_is_not_kept,
        Mistake::ReplyBeforeTheMessageIsComplete,
        "a message whose end hasn't come was not sent: no 250",
    );
}

#[test]
fn a_message_cut_off_within_its_end_is_not_kept() {
    for almost in [r"x\r\n.", r"x\r\n.\r", r"x\r\n"] {
        keeps(
            6..,
            &addressed(&format!(
                r#"
                C: DATA
                S: 354 ...
                C: b"{almost}"
                {{the client closes its side}}
                {{the server closes the connection}}
                "#
            )),
            "4.1.1.4: only CRLF . CRLF ends the data",
            &[],
        );
    }
}

/// Plays `text` against each stage from 6 with another limit for messages, and compares what is kept.
fn plays_with_max_size(max_size: usize, text: &str, expected: &[Mail]) {
    let conversation = Conversation::parse(text);
    for server in target::started(&(6..), |settings| settings.max_size = max_size) {
        plays_in_all_splits(&server, &conversation, || {
            let expected: Vec<Mail> = expected.iter().map(|mail| server.as_kept(mail)).collect();
            assert_eq!(server.kept(), Some(expected));
        });
    }
}

#[test]
fn a_message_over_the_limit_is_552_and_read_to_its_end() {
    if !needs_our_own_server() {
        return;
    }
    plays_with_max_size(
        10,
        &addressed(
            "
            C: DATA
            S: 354 ...
            {4.5.3.1.9: too much mail data, and what is too much is not run as commands}
            C: 12345678
            C: HULLO
            C: ..
            C: RSET
            C: .
            S: 552 ...
            {4.1.1.4: the transaction is over, whatever came of it}
            C: DATA
            S: 503 ...
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            C: RCPT TO:<bob@example.com>
            S: 250 ...
            C: DATA
            S: 354 ...
            {the limit counts line ends, and no stuffed dots: these are ten octets}
            C: ..
            C: 12345
            C: .
            S: 250 ...
            ",
        ),
        &[to_bob(b".\r\n12345\r\n")],
    );
}

#[test]
fn a_mail_that_nobody_can_keep_is_451_and_the_session_goes_on() {
    // From stage 8 on the mail is kept in another way, which fails in other ways.
    plays_with(
        6..8,
        |settings| {
            settings.keep = Box::new(|_, _| Err(io::Error::other("on purpose, in a test")));
        },
        &addressed(
            "
            C: DATA
            S: 354 ...
            C: .
            {4.2.5: a 250 takes the responsibility, so without keeping there is none}
            S: 451 ...
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn a_large_message_arrives_whole() {
    // Every byte value, dots at line starts, and lines that cross all buffer sizes.
    let mut message = Vec::new();
    for line in 0..20_000_u32 {
        if line % 3 == 0 {
            message.push(b'.');
        }
        let length = line.wrapping_mul(2_654_435_761) % 200;
        message.extend(
            (0..length)
                .map(|at| (line.wrapping_add(at) % 251) as u8)
                .map(|byte| match byte {
                    b'\r' | b'\n' => b' ',
                    byte => byte,
                }),
        );
        message.extend_from_slice(b"\r\n");
    }
    let mut stuffed = Vec::new();
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\n");

    let mut conversation = Conversation::parse(&addressed("C: DATA\nS: 354 ..."));
    conversation
        .steps
        .push(support::conversation::Step::Send(stuffed));
    conversation
        .steps
        .extend(Conversation::parse("S: 250 ...").steps);
    for server in target::targets(&(6..)) {
        // Two million single bytes would take long and show nothing new.
        for split in &SPLITS[..3] {
            play(&server, &conversation, *split)
                .unwrap_or_else(|divergence| panic!("{divergence}"));
            match server.kept() {
                Some(kept) => {
                    let sent = server.as_kept(&to_bob(&message));
                    assert!(kept == [sent], "the large message differs");
                }
                None => skipped("what became of the mail, only our own server tells"),
            }
        }
    }
}
