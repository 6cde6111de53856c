//! Chapter 6: DATA.

mod support;

use support::conversation::{Conversation, Step};
use support::player::SPLITS;
use support::preamble::{addressed, begun, within_data};
use support::program::{Client, serving};
use support::zoo::{Mistake, catches};
use support::{
    by_default, documented_conversation, mail, mails_are_reported, ours_plays, own_program, plays,
    plays_in, plays_with, stores, stores_with, target, to_bob,
};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage06_data.rs");
    // From stage 8 on the 250 at the end says more.
    ours_plays(6..8, &documented_conversation(source));
}

#[test]
fn data_without_a_recipient_is_refused_with_503() {
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
fn data_with_an_argument_is_refused_with_501() {
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
fn a_refused_recipient_does_not_affect_the_others() {
    stores(
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
        a_refused_recipient_does_not_affect_the_others,
        Mistake::OneRecipientOnly,
    );
}

#[test]
fn a_path_is_stored_without_its_brackets() {
    stores(
        6..,
        &begun(
            r#"
            {4.1.2: the brackets are not part of the mailbox; 2.4: the case of a local-part is preserved}
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
        &[mail(
            "ada@example.org",
            &[r#""Quoted \> Person"@Example.COM"#, "postMaster"],
            b"",
        )],
    );
}

#[test]
fn a_path_is_stored_without_its_route() {
    // 3.6.1: other servers may decline it.
    stores_with(
        6..,
        by_default,
        &begun(
            "
            {4.1.1.3: the route is stripped off}
            C: RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            ",
        ),
        &[mail("ada@example.org", &["userc@d.bar.org"], b"")],
    );
}

#[test]
fn a_message_is_stored_byte_for_byte() {
    stores(
        6..,
        &within_data(
            r#"
            {4.5.2: all characters are to be delivered, and 2.4 allows us 8-bit ones; 4.1.1.4: no line end is added}
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
        &[to_bob(
            b"From: Ada <ada@example.org>\r\nSubject: =?utf-8?q?bytes?=\r\n\r\n\
              8-bit: \xe9\xc3\xa9\xff, NUL: \0, controls: \x01\x1b\x7f\t\r\n  \
              spaces on both sides  \r\n\r\n",
        )],
    );
}

#[test]
fn dots_at_the_start_of_a_line_are_unstuffed() {
    stores(
        6..,
        &within_data(
            "
            {4.5.2: the first dot of a line is stuffing and is removed, that one and no other}
            C: ..
            C: .a line that began with a letter, stuffed by a client that needn't have
            C: ..a line that began with a dot
            C: ....
            C: no dots in the middle. . .are touched.
            C: .
            S: 250 ...
            ",
        ),
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
    );
}

#[test]
fn an_empty_message_is_stored() {
    stores(
        6..,
        &within_data(
            "
            {4.1.1.4: the CRLF before the dot may be that of the DATA command}
            C: .
            S: 250 ...
            ",
        ),
        &[to_bob(b"")],
    );
}

#[test]
fn lf_dot_lf_is_content_after_a_crlf_data_command() {
    stores(
        6..,
        &within_data(
            r#"
            {4.1.1.4: LF . LF must not be treated as the end of the data. If the MAIL in the message gets a 250, a mail was smuggled in}
            C: b"before\n.\nMAIL FROM:<eve@example.org>\r\n"
            C: .
            S: 250 ...
            C: HULLO
            S: 500 ...
            "#,
        ),
        &[to_bob(b"before\n.\nMAIL FROM:<eve@example.org>\r\n")],
    );
}

#[test]
fn a_server_that_ends_at_lf_dot_lf_is_caught() {
    catches(
        lf_dot_lf_is_content_after_a_crlf_data_command,
        Mistake::LfDotLfEndsTheData,
    );
}

#[test]
fn lf_dot_crlf_is_content_after_a_crlf_data_command() {
    stores(
        6..,
        &within_data(
            r#"
            {4.1.1.4: LF . CRLF doesn't end the data: the line before must end in CRLF. If the MAIL in the message gets a 250, a mail was smuggled in}
            C: b"before\n.\r\nMAIL FROM:<eve@example.org>\r\n"
            C: .
            S: 250 ...
            C: HULLO
            S: 500 ...
            "#,
        ),
        &[to_bob(b"before\n.\r\nMAIL FROM:<eve@example.org>\r\n")],
    );
}

#[test]
fn a_server_that_ends_at_lf_dot_crlf_is_caught() {
    catches(
        lf_dot_crlf_is_content_after_a_crlf_data_command,
        Mistake::LfDotCrlfEndsTheData,
    );
}

#[test]
fn a_dot_between_other_line_ends_is_content() {
    for (around, why) in [
        (r"\r.\r", "bare CRs"),
        (r"\r.\r\n", "a bare CR before the dot"),
        (r"\r\n.\n", "a bare LF after the dot"),
        (r"\r\n.\r", "a bare CR after the dot"),
        (r"\n.\r", "neither is CRLF"),
        (r"\n\n.\n\n", "two LFs aren't CRLF"),
        (r"\n\r.\n\r", "LF CR isn't CRLF"),
        (r"\r\r.\r\r", "two CRs aren't CRLF"),
    ] {
        plays(
            6..,
            &within_data(&format!(
                r#"
                {{4.1.1.4: only CRLF . CRLF ends the data, and here: {why}. The next reply is for the command after it}}
                C: b"before{around}HULLO\r\n"
                C: .
                S: 250 ...
                C: HULLO
                S: 500 ...
                "#
            )),
        );
    }
}

#[test]
fn a_message_typed_at_a_plain_netcat_ends_at_a_dot_between_lfs() {
    stores_with(
        6..,
        by_default,
        r#"
        {the message ends the way its DATA command did}
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
        &within_data(
            "
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
fn the_end_of_the_data_clears_the_transaction() {
    plays(
        6..,
        &within_data(
            "
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
        the_end_of_the_data_clears_the_transaction,
        Mistake::StateKeptAfterData,
    );
}

#[test]
fn transactions_over_one_connection_are_independent() {
    stores(
        6..,
        &within_data(
            "
            {3.3: a session may have many transactions, each independent of the others}
            C: one
            C: .
            S: 250 ...
            C: MAIL FROM:<eve@example.org>
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
        &[
            to_bob(b"one\r\n"),
            mail(
                "eve@example.org",
                &["Postmaster", "carol@example.com"],
                b"two\r\n",
            ),
        ],
    );
}

#[test]
fn a_message_cut_off_is_dropped() {
    stores(
        6..,
        &within_data(
            "
            C: Subject: half a message
            C:
            C: The end is to come, but
            {the client closes its side}
            {4.1.1.10: a message whose end hasn't come was not sent: no 250, and no delivery}
            {the server closes the connection}
            ",
        ),
        &[],
    );
}

#[test]
fn a_server_that_delivers_half_a_message_is_caught() {
    catches(
        a_message_cut_off_is_dropped,
        Mistake::InterruptedMessageDelivered,
    );
}

#[test]
fn a_reply_before_the_message_is_complete_is_caught() {
    catches(
        a_message_cut_off_is_dropped,
        Mistake::ReplyBeforeTheMessageIsComplete,
    );
}

#[test]
fn a_message_cut_off_within_its_end_is_dropped() {
    for (almost, why) in [
        (r"x\r\n.", "no line end after the dot"),
        (r"x\r\n.\r", "only half a line end after the dot"),
        (r"x\r\n", "no dot"),
    ] {
        stores(
            6..,
            &within_data(&format!(
                r#"
                {{4.1.1.4: only CRLF . CRLF ends the data, and here is {why}}}
                C: b"{almost}"
                {{the client closes its side}}
                {{the server closes the connection}}
                "#
            )),
            &[],
        );
    }
}

#[test]
fn a_message_over_the_limit_is_read_to_its_end_and_refused_with_552() {
    stores_with(
        6..,
        |settings| settings.max_size = 10,
        &within_data(
            "
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
            {the limit counts line ends and not stuffed dots, so these are ten octets}
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
fn a_mail_that_cannot_be_stored_is_answered_with_451_and_the_session_goes_on() {
    // From stage 8 on the mail is stored in another way, which fails in other ways.
    plays_with(
        6..8,
        target::stores_nothing,
        &within_data(
            "
            C: .
            {4.2.5: a 250 takes responsibility for the mail, so a mail that isn't stored gets none}
            S: 451 ...
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn a_large_message_arrives_whole() {
    // All byte values, dots at line starts, and lines that cross all buffer sizes.
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

    let mut conversation = Conversation::parse(&within_data(""));
    conversation.steps.push(Step::Send(stuffed));
    conversation
        .steps
        .extend(Conversation::parse("S: 250 ...").steps);
    let servers = target::targets(&(6..));
    mails_are_reported(&servers);
    for server in servers {
        // Two million single bytes would take long and show nothing new.
        for split in &SPLITS[..3] {
            plays_in(&server, &conversation, *split);
            if let Some(stored) = server.stored() {
                let sent = server.as_stored(&to_bob(&message));
                assert!(stored == [sent], "the large message differs");
            }
        }
    }
}

#[test]
fn a_dot_between_bare_lfs_is_explained_once() {
    own_program(6, serving(&["--stage", "6"]), |server| {
        let explanation = "a dot between bare LFs does not end this message";
        let mut client = Client::greeted(&server.address);
        client.begins_a_mail();
        // The commands ended in CRLF. This doesn't, so the message goes on, and its sender waits.
        client.says(b"Hello Bob.\n.\n");
        server.lines_until(&[explanation]);
        client.says(b"QUIT\n.\nQUIT\r\n.\r\n");
        client.hears_codes(&["250"]);
        let shown = server.lines_until(&["S: 250"]).concat();
        assert!(!shown.contains(explanation), "{shown}");

        // A message that ends by the rule needs no explanation.
        client.begins_a_mail();
        client.says(b"Hello\n.\nBob.\r\n.\r\n");
        client.hears_codes(&["250"]);
        let shown = server.lines_until(&["a message of"]).concat();
        assert!(!shown.contains(explanation), "{shown}");
    });
}
