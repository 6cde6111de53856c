//! Chapter 3: commands, HELO and EHLO.

mod support;

use std::io::Write;
use std::net::TcpStream;

use support::conversation::Conversation;
use support::player::Split;
use support::zoo::{Mistake, catches};
use support::{
    documented_conversation, many_clients, not_yet, ours_plays, plays, plays_in, target,
};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage03_commands.rs");
    not_yet(3..=3, &documented_conversation(source));
}

#[test]
fn helo_and_ehlo_introduce_the_client() {
    plays(
        3..,
        "
        S: 220 ...
        {4.1.1.1: HELO and EHLO are answered with 250}
        C: HELO client.example
        S: 250 ...
        {4.1.4: EHLO may come again}
        C: EHLO client.example
        S: 250 ...
        {4.1.3: a client without a name gives its address}
        C: EHLO [127.0.0.1]
        S: 250 ...
        C: EHLO [IPv6:::1]
        S: 250 ...
        ",
    );
}

#[test]
fn a_verb_may_be_in_any_case() {
    plays(
        3..,
        "
        S: 220 ...
        {2.4: verbs are not case sensitive}
        C: helo client.example
        S: 250 ...
        C: eHlO client.example
        S: 250 ...
        ",
    );
}

#[test]
fn helo_without_a_name_is_refused_with_501() {
    plays(
        3..,
        "
        S: 220 ...
        {4.1.1.1: HELO and EHLO take a name}
        C: HELO
        S: 501 ...
        C: EHLO
        S: 501 ...
        {and the session goes on}
        C: HELO client.example
        S: 250 ...
        ",
    );
}

#[test]
fn any_printable_ascii_is_accepted_as_a_name() {
    for (name, why) in [
        ("[::1]", "a mail library on a machine with IPv6"),
        ("[2001:db8::19]", "the same, with a public address"),
        ("fe80::1c2d", "a printer"),
        ("host.(none)", "a machine whose domain isn't set"),
        ("Bob's-MacBook.local", "an application on a laptop"),
        ("my_container", "a container"),
        ("[127.0.0", "an address cut short"),
        ("<client>", "a template that nobody filled in"),
    ] {
        ours_plays(
            3..,
            &format!(
                "
                S: 220 ...
                {{a name proves nothing, so any is accepted; this one is of {why}}}
                C: EHLO {name}
                S: 250 ...
                C: HELO {name}
                S: 250 ...
                "
            ),
        );
    }
}

#[test]
fn an_unknown_command_is_refused_with_500_and_the_session_goes_on() {
    plays(
        3..,
        "
        S: 220 ...
        {4.2.4: a command that isn't recognized gets 500; 3.8: and the connection stays}
        C: HULLO client.example
        S: 500 ...
        C: EHLOclient.example
        S: 500 ...
        C: HELO client.example
        S: 250 ...
        ",
    );
}

#[test]
fn a_command_of_another_extension_is_refused_with_500() {
    for command in ["STARTTLS", "BDAT 3 LAST", "ETRN example.com"] {
        not_yet(
            3..=9,
            &format!(
                "
                S: 220 ...
                C: EHLO client.example
                S: 250 ...
                {{4.2.4: a command of an extension is unknown where no extension is known}}
                C: {command}
                S: 500 ...
                "
            ),
        );
    }
}

#[test]
fn an_empty_or_8_bit_line_is_refused_with_500_and_the_session_goes_on() {
    plays(
        3..,
        r#"
        S: 220 ...
        {an empty line isn't a command}
        C: b"\r\n"
        S: 500 ...
        {2.4: commands are ASCII; an 8-bit byte gets 500, and the server lives on}
        C: b"\xff\xfe\xe9\r\n"
        S: 500 ...
        C: b"HELO caf\xc3\xa9.example\r\n"
        S: 500 ...
        C: HELO client.example
        S: 250 ...
        "#,
    );
}

#[test]
fn a_control_character_is_refused_with_500_and_the_session_goes_on() {
    ours_plays(
        3..,
        r#"
        S: 220 ...
        {2.4 has 500 for an invalid character, 4.1.2 has 501; ours is seen before the command is known}
        C: b"\0\0\0\r\n"
        S: 500 ...
        C: b"HELO client\0.example\r\n"
        S: 500 ...
        C: b"HELO \x1b[2Jclient.example\r\n"
        S: 500 ...
        {2.3.8: a CR alone doesn't end a line}
        C: b"HELO a\rQUIT\r\n"
        S: 500 ...
        C: b"HELO client.example\r\r\n"
        S: 500 ...
        C: HELO client.example
        S: 250 ...
        "#,
    );
}

#[test]
fn a_server_that_dies_on_8_bit_bytes_is_caught() {
    catches(
        an_empty_or_8_bit_line_is_refused_with_500_and_the_session_goes_on,
        Mistake::DiesOn8BitBytes,
    );
}

#[test]
fn white_space_at_the_end_of_a_line_is_tolerated() {
    plays(
        3..,
        r#"
        S: 220 ...
        {4.1.1: receivers tolerate trailing white space}
        C: b"HELO client.example  \t\r\n"
        S: 250 ...
        "#,
    );
}

#[test]
fn a_line_that_ends_in_a_bare_lf_is_accepted() {
    ours_plays(
        3..,
        r#"
        S: 220 ...
        {a plain nc sends LF}
        C: b"HELO client.example\n"
        S: 250 ...
        C: b"HULLO\n"
        S: 500 ...
        "#,
    );
}

/// Writes a HELO of so many octets, line end included.
fn helo_of(octets: usize) -> String {
    let start = "HELO client.example ";
    format!("C: {start}{}", "x".repeat(octets - start.len() - 2))
}

#[test]
fn a_line_of_512_octets_is_accepted_and_a_longer_one_refused_with_500() {
    let longest = helo_of(512);
    let too_long = helo_of(513);
    ours_plays(
        3..,
        &format!(
            "
            S: 220 ...
            {{4.5.3.1.4: 512 octets, CRLF included}}
            {longest}
            S: 250 ...
            {too_long}
            S: 500 Line too long
            {longest}
            S: 250 ...
            "
        ),
    );
}

#[test]
fn an_overlong_line_is_skipped_to_its_end() {
    // Wherever a server cuts the line, its tail would be a command if it were read as a line of its own.
    let tail = " HELO client.example".repeat(2000);
    plays(
        3..,
        &format!(
            "
            S: 220 ...
            {{4.5.3.1.9: a line of 40,000 octets is too long and gets one 500, and its tail is not the next command}}
            C: {tail}
            S: 500 ...
            C: HELO client.example
            S: 250 ...
            "
        ),
    );
}

#[test]
fn a_server_that_runs_an_overlong_line_as_two_is_caught() {
    catches(
        an_overlong_line_is_skipped_to_its_end,
        Mistake::OverlongLineRunsAsTwo,
    );
}

#[test]
fn commands_in_one_segment_get_a_reply_each() {
    plays(
        3..,
        "
        S: 220 ...
        {4.2: every command generates exactly one reply, however the commands were sent}
        C: HULLO one
        S: 500 ...
        C: HULLO two
        S: 500 ...
        C: HULLO three
        S: 500 ...
        C: HELO client.example
        S: 250 ...
        ",
    );
}

#[test]
fn one_read_taken_for_one_command_is_caught() {
    catches(
        commands_in_one_segment_get_a_reply_each,
        Mistake::OneReadIsOneCommand,
    );
}

#[test]
fn lost_replies_to_pipelined_commands_are_caught() {
    catches(
        commands_in_one_segment_get_a_reply_each,
        Mistake::PipelinedRepliesLost,
    );
}

#[test]
fn a_flood_of_commands_gets_all_its_replies() {
    let lines = "C: HULLO\nS: 500 ...\n".repeat(3000);
    ours_plays(
        3..=3,
        &format!("S: 220 ...\n{lines}C: HELO client.example\nS: 250 ..."),
    );
}

#[test]
fn a_command_of_a_later_chapter_is_answered_with_502() {
    for (verb, chapter) in [
        ("MAIL", 4),
        ("RCPT", 5),
        ("DATA", 6),
        ("RSET", 7),
        ("NOOP", 7),
        ("QUIT", 7),
    ] {
        not_yet(
            3..chapter,
            &format!(
                "
                S: 220 ...
                C: HELO client.example
                S: 250 ...
                {{4.2.4: recognized, but not implemented}}
                C: {verb}
                S: 502 ...
                "
            ),
        );
    }
    for (command, why) in [
        ("AUTH PLAIN AGFkYQBzZWNyZXQ=", "RFC 4954: an extension"),
        ("VRFY ada", "3.5.2: a server may refuse to verify"),
        ("EXPN staff", "4.5.1: outside the minimum implementation"),
        ("HELP", "4.5.1: outside the minimum implementation"),
    ] {
        not_yet(
            3..=9,
            &format!("S: 220 ...\n{{{why}}}\nC: {command}\nS: 502 ..."),
        );
    }
}

#[test]
fn a_silent_client_does_not_delay_the_others() {
    if !many_clients() {
        return;
    }
    for server in target::targets(&(3..)) {
        let silent: Vec<TcpStream> = (0..20)
            .map(|_| TcpStream::connect(server.address).unwrap())
            .collect();
        let mut unfinished = TcpStream::connect(server.address).unwrap();
        unfinished.write_all(b"HELO clie").unwrap();
        let conversation = Conversation::parse("S: 220 ...\nC: HELO client.example\nS: 250 ...");
        plays_in(&server, &conversation, Split::LineByLine);
        drop((silent, unfinished));
    }
}
