//! Chapter 12: a proxy in front, which says who the client is.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use smtp_from_scratch::proxy::MAX_HEADER;
use smtp_from_scratch::settings::Settings;
use support::conversation::Conversation;
use support::player::{SPLITS, Split};
use support::preamble::MAIL_TO_BOB;
use support::program::{Client, serving};
use support::{
    by_default, documented_conversation, own_program, own_server, own_servers, plays_in,
    plays_with, stores_with, to_bob,
};

/// Lets a proxy say who each client is.
fn behind_a_proxy(settings: &mut Settings) {
    settings.proxy = true;
}

/// Sets a short timeout as well, but long enough for a busy machine.
fn for_half_a_second(settings: &mut Settings) {
    behind_a_proxy(settings);
    settings.timeout = Duration::from_millis(500);
}

/// A header with an address for documentation, which no machine has (RFC 5737).
const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25";

/// Opens a session through the proxy before `lines`.
fn introduced(header: &str, lines: &str) -> String {
    format!("C: {header}\nS: 220 ...\nC: EHLO client.example\nS: 250 ...\n{lines}")
}

/// Makes the header for a client that the proxy doesn't tell, with so many octets, CRLF included.
fn unknown(octets: usize) -> String {
    let start = "PROXY UNKNOWN ";
    format!("{start}{}\r\n", "x".repeat(octets - start.len() - 2))
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage12_proxy.rs");
    plays_with(12.., behind_a_proxy, &documented_conversation(source));
}

#[test]
fn after_a_header_the_client_is_served_as_usual() {
    let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {all} {all} 65535 65535");
    let most_octets = unknown(MAX_HEADER);
    for (header, why) in [
        (HEADER, "IPv4"),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535", "the bounds"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 51234 25", "IPv6"),
        (
            "PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 51234 25",
            "IPv6, not shortened",
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51234 25",
            "IPv4 within IPv6",
        ),
        (
            "PROXY UNKNOWN",
            "the proxy doesn't tell, or is its own client",
        ),
        (
            &longest,
            "the longest that the protocol makes; after UNKNOWN nothing counts",
        ),
        (most_octets.trim_end(), "107 octets with CRLF"),
    ] {
        plays_with(
            12..,
            behind_a_proxy,
            &introduced(
                header,
                &format!(
                    "
                    {{proxy-protocol.txt, section 2.1: {why}}}
                    {MAIL_TO_BOB}
                    C: .
                    S: 250 2.0.0 OK, ...
                    C: QUIT
                    S: 221 2.0.0 ...
                    {{the server closes the connection}}
                    "
                ),
            ),
        );
    }
}

#[test]
fn the_greeting_waits_for_the_header() {
    own_servers(12.., behind_a_proxy, |server| {
        let mut client = Client::connected(server.address);
        client.hears_nothing_for(Duration::from_millis(100));
        client.says(HEADER.as_bytes());
        client.hears_nothing_for(Duration::from_millis(100));
        client.says(b"\r\n");
        client.hears_codes(&["220"]);
    });
}

#[test]
fn a_header_may_come_in_two_pieces_cut_anywhere() {
    let sent = format!("{HEADER}\r\nEHLO client.example\r\n");
    own_server(12, behind_a_proxy, |server| {
        let clients: Vec<(Client, &str)> = (1..HEADER.len() + 4)
            .map(|at| {
                let (piece, rest) = sent.split_at(at);
                let client = Client::connected(server.address);
                client.says(piece.as_bytes());
                (client, rest)
            })
            .collect();
        // Each of them has time to be read alone.
        std::thread::sleep(Duration::from_millis(50));
        for (mut client, rest) in clients {
            client.says(rest.as_bytes());
            client.hears_codes(&["220", "250"]);
        }
    });
}

#[test]
fn without_a_valid_header_the_connection_is_closed_without_a_word() {
    let too_long = unknown(MAX_HEADER + 1);
    let endless = unknown(MAX_HEADER + 2);
    let much_too_long = unknown(20_000);
    for (first, why) in [
        ("EHLO client.example\r\n", "a client without a proxy"),
        (
            "EHLO c\r\nPROXY UNKNOWN\r\nQUIT\r\n",
            "a header that comes late",
        ),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a web browser"),
        ("POST /PROXY HTTP/1.1\r\n\r\n", "another one"),
        (
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
            "the protocol's version 2",
        ),
        ("\r\n", "an empty line"),
        ("\r\nPROXY UNKNOWN\r\n", "a header after an empty line"),
        (" PROXY UNKNOWN\r\n", "a space in front"),
        ("proxy UNKNOWN\r\n", "PROXY in lower case"),
        ("Proxy UNKNOWN\r\n", "PROXY in both cases"),
        ("PROXY unknown\r\n", "UNKNOWN in lower case"),
        ("PROXY\r\n", "PROXY alone"),
        ("PROXY UNKNOWNS\r\n", "another word"),
        (
            "PROXY UDP4 192.0.2.7 198.51.100.1 51234 25\r\n",
            "another protocol",
        ),
        (
            "PROXY tcp4 192.0.2.7 198.51.100.1 51234 25\r\n",
            "TCP4 in lower case",
        ),
        (
            "PROXY TCP4 2001:db8::7 2001:db8::1 51234 25\r\n",
            "IPv6 in TCP4",
        ),
        (
            "PROXY TCP4 192.0.2.7 2001:db8::1 51234 25\r\n",
            "one of two in TCP4",
        ),
        (
            "PROXY TCP6 192.0.2.7 198.51.100.1 51234 25\r\n",
            "IPv4 in TCP6",
        ),
        (
            "PROXY TCP6 2001:db8::7 198.51.100.1 51234 25\r\n",
            "one of two in TCP6",
        ),
        (
            "PROXY TCP4 192.0.2.07 198.51.100.1 51234 25\r\n",
            "a zero in front",
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 051234 25\r\n",
            "a port with a zero in front",
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 025\r\n",
            "so is the other",
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 +51234 25\r\n",
            "a port with a sign",
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 65536\r\n",
            "a port over the largest",
        ),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n", "one port"),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25 25\r\n",
            "three ports",
        ),
        (
            "PROXY TCP4  192.0.2.7 198.51.100.1 51234 25\r\n",
            "two spaces",
        ),
        ("PROXY TCP4\t192.0.2.7 198.51.100.1 51234 25\r\n", "a tab"),
        (
            "PROXY TCP4 client.example 198.51.100.1 51234 25\r\n",
            "a name",
        ),
        (
            "PROXY TCP6 [2001:db8::7] 2001:db8::1 51234 25\r\n",
            "brackets",
        ),
        ("PROXY UNKNOWN\nEHLO client.example\r\n", "a bare LF"),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25\nQUIT\r\n",
            "a bare LF after a port",
        ),
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25\r\r\n",
            "a CR too many",
        ),
        (&too_long, "108 octets with CRLF"),
        (&much_too_long, "a long line"),
        (
            endless.trim_end(),
            "107 octets, and no CRLF among them: nothing is waited for",
        ),
    ] {
        let conversation = format!(
            "{{who speaks there isn't known, so nobody is answered: {why}}}\n\
             C: b\"{}\"\n{{the server closes the connection}}",
            first.as_bytes().escape_ascii()
        );
        plays_with(12.., behind_a_proxy, &conversation);
    }
}

#[test]
fn a_proxy_that_leaves_before_the_end_of_its_header_hears_nothing() {
    for (first, why) in [
        ("", "not an octet: a monitor looks whether anybody listens"),
        ("PRO", "a piece"),
        (HEADER, "all but the line end"),
        ("PROXY UNKNOWN\r", "half a line end"),
        ("PROXY UNKNOWN\n", "a bare LF"),
    ] {
        let said = match first {
            "" => String::new(),
            _ => format!("C: b\"{}\"\n", first.as_bytes().escape_ascii()),
        };
        let conversation = format!(
            "{said}{{the client closes its side}}\n{{a header ends in CRLF: {why}}}\n\
             {{the server closes the connection}}"
        );
        plays_with(12.., behind_a_proxy, &conversation);
    }
}

#[test]
fn a_silent_proxy_is_disconnected_without_a_word() {
    for (first, why) in [
        ("", "not an octet"),
        ("C: b\"PROXY TCP4 192.0\"\n", "half a header"),
        ("C: b\"PROXY UNKNOWN\\n\"\n", "a bare LF"),
    ] {
        let conversation = Conversation::parse(&format!(
            "{first}{{the header has the time of a command: {why}}}\n{{the server closes the connection}}"
        ));
        own_servers(12.., for_half_a_second, |server| {
            plays_in(server, &conversation, Split::LineByLine);
        });
    }
}

#[test]
fn a_proxy_that_sends_an_octet_now_and_then_is_disconnected() {
    own_server(12, for_half_a_second, |server| {
        let client = Client::connected(server.address);
        let mut stream = client.0.into_inner();
        // Waiting for an answer sets the pace: a whole header takes four times as long as it may.
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        for _ in 1..MAX_HEADER {
            let _ = stream.write_all(b"P");
            match stream.read(&mut [0]) {
                Ok(0) => return,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                heard => panic!("{heard:?}"),
            }
        }
        panic!("a proxy that dribbles holds a thread");
    });
}

#[test]
fn a_client_that_is_silent_after_the_header_is_answered_with_421() {
    let conversation = Conversation::parse(&format!(
        "
        C: {HEADER}
        S: 220 ...
        S: 421 localhost You took too long, closing transmission channel
        {{the server closes the connection}}
        "
    ));
    own_servers(12.., for_half_a_second, |server| {
        plays_in(server, &conversation, Split::LineByLine);
    });
}

#[test]
fn a_second_header_is_a_command() {
    plays_with(
        12..,
        behind_a_proxy,
        &format!(
            "
            C: {HEADER}
            S: 220 ...
            {{a client can send one through the proxy: only the first counts}}
            C: PROXY TCP4 127.0.0.1 198.51.100.1 51234 25
            S: 500 Command not recognized
            C: PROXY UNKNOWN
            S: 500 Command not recognized
            C: EHLO client.example
            S: 250 ...
            C: PROXY TCP4 127.0.0.1 198.51.100.1 51234 25
            S: 500 5.5.2 Command not recognized
            "
        ),
    );
}

#[test]
fn without_the_flag_a_header_is_a_command() {
    plays_with(
        12..,
        by_default,
        &format!(
            "
            S: 220 ...
            {{a client could send one, and be whoever it likes}}
            C: {HEADER}
            S: 500 Command not recognized
            C: EHLO client.example
            S: 250 ...
            C: PROXY UNKNOWN
            S: 500 5.5.2 Command not recognized
            "
        ),
    );
}

#[test]
fn received_has_the_address_in_the_header() {
    for (header, address, why) in [
        (HEADER, "192.0.2.7", "IPv4"),
        (
            "PROXY TCP6 2001:DB8:0::7 2001:db8::1 51234 25",
            "IPv6:2001:db8::7",
            "IPv6",
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51234 25",
            "192.0.2.7",
            "IPv4 within IPv6 is IPv4",
        ),
        ("PROXY UNKNOWN", "127.0.0.1", "the proxy's own"),
        (
            "PROXY UNKNOWN 192.0.2.7 198.51.100.1 51234 25",
            "127.0.0.1",
            "what follows UNKNOWN doesn't count",
        ),
    ] {
        let second = "C: PROXY TCP4 192.0.2.66 198.51.100.1 1 25\nS: 500 ...";
        let mail = format!("{second}\n{MAIL_TO_BOB}\nC: .\nS: 250 ...");
        let conversation = Conversation::parse(&introduced(header, &mail));
        own_servers(12.., behind_a_proxy, |server| {
            for split in SPLITS {
                plays_in(server, &conversation, split);
                let received = server.maildir().take()[0].parts().0.pop().unwrap();
                let start = format!("Received: from client.example ([{address}]) by ");
                assert!(received.starts_with(&start), "{why}: {received}");
            }
        });
    }
}

#[test]
fn behind_a_proxy_only_crlf_ends_a_line_whatever_the_address() {
    for header in [
        HEADER,
        "PROXY TCP4 127.0.0.1 127.0.0.1 51234 25",
        "PROXY TCP6 ::1 ::1 51234 25",
        "PROXY UNKNOWN",
    ] {
        let lines = format!(
            r#"
            C: b"NOOP\nNOOP\r\n"
            S: 500 5.5.2 Syntax error - invalid character
            C: b"NOOP\n"
            C: b"RSET\r\n"
            S: 500 5.5.2 Syntax error - invalid character
            {MAIL_TO_BOB}
            {{2.3.8: to the proxy, our own machine is somewhere else, so nobody there is a friend}}
            C: b"Hello: Bob.\n.\nMAIL FROM:<admin@example.org>\r\n.\r\n"
            S: 250 ...
            "#
        );
        stores_with(
            12..,
            behind_a_proxy,
            &introduced(header, &lines),
            &[to_bob(b"Hello: Bob.\n.\nMAIL FROM:<admin@example.org>\r\n")],
        );
    }
}

#[test]
fn a_proxy_beyond_the_limit_is_answered_with_421_before_its_header() {
    let full = |settings: &mut Settings| {
        behind_a_proxy(settings);
        settings.max_connections = 1;
    };
    own_server(12, full, |server| {
        // It has a place before it has said for whom.
        let mut first = Client::connected(server.address);
        for header in ["", "PROXY UNKNOWN\r\n"] {
            let mut turned_away = Client::connected(server.address);
            let _ = turned_away.0.get_mut().write_all(header.as_bytes());
            let mut heard = String::new();
            turned_away.0.read_to_string(&mut heard).unwrap();
            assert_eq!(
                heard,
                "421 localhost Too many connections, closing transmission channel\r\n"
            );
        }
        first.says(b"PROXY UNKNOWN\r\nQUIT\r\n");
        first.hears_codes(&["220", "221"]);
    });
}

#[test]
fn the_terminal_says_for_whom_the_proxy_speaks_or_why_it_is_gone() {
    let long = format!("PROXY {}", "x".repeat(200));
    let cut = format!("a wrong PROXY header: {}", &long[..MAX_HEADER]);
    own_program(12, serving(&["--proxy", "--timeout", "1"]), |server| {
        for (at, (first, reason)) in [
            (HEADER, "the proxy speaks for 192.0.2.7:51234"),
            (
                "PROXY TCP6 2001:db8::7 2001:db8::1 51234 25",
                "the proxy speaks for [2001:db8::7]:51234",
            ),
            ("PROXY UNKNOWN", "the proxy doesn't say for whom"),
            ("AUTH PLAIN AGFkYQBzM2NyZXQ=", "no PROXY header"),
            (
                "",
                "no PROXY header; version 2 begins with an empty line, and we speak version 1",
            ),
            ("PROXY TCP5", "a wrong PROXY header: PROXY TCP5"),
            ("PROXY \x1b[2J", r#"a wrong PROXY header: b"PROXY \x1b[2J""#),
            (&long, &cut),
        ]
        .into_iter()
        .enumerate()
        {
            let number = at + 1;
            server.talk(format!("{first}\r\nQUIT\r\n").as_bytes());
            let shown = server.lines_until(&["closes the connection}"]);
            let start = shown.iter().position(|line| line.contains(" connects}"));
            let shown = &shown[start.unwrap() + 1..];
            assert_eq!(shown[0], format!("[{number}] {{{reason}}}"));
            if reason.contains("header") {
                let closes = format!("[{number}] {{the server closes the connection}}");
                assert_eq!(shown[1..], [closes], "and nothing else");
            } else {
                let greeting = format!("[{number}] S: 220 localhost ESMTP ready");
                assert!(shown.contains(&greeting), "{shown:?}");
            }
        }
        server.talk(b"");
        server.lines_until(&["[9] {the connection broke: "]);
    });
}
