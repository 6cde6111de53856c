//! Chapter 2: the greeting.

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use support::zoo::{Mistake, catches};
use support::{documented_conversation, needs_our_own_server, not_yet, plays, target};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage02_greeting.rs");
    not_yet(2..=2, &documented_conversation(source));
}

#[test]
fn the_server_speaks_first() {
    plays(
        2..,
        "
        {3.1: a client waits for 220 before it says anything}
        S: 220 ...
        ",
    );
}

#[test]
fn a_greeting_that_ends_in_a_bare_lf_is_caught() {
    catches(
        the_server_speaks_first,
        Mistake::RepliesEndInBareLf,
        "CR LF at the end of this line, not a bare LF (2.3.8)",
    );
}

#[test]
fn what_the_client_says_is_received_and_not_answered() {
    not_yet(
        2..=2,
        r#"
        S: 220 ...
        C: EHLO client.example
        C: b"\0\xff\r\n"
        C: QUIT
        {the client closes its side}
        {the server closes the connection}
        "#,
    );
}

#[test]
fn the_greeting_begins_with_the_server_s_name() {
    if !needs_our_own_server() {
        return;
    }
    for number in 2..=7 {
        let server = target::start(number, |settings| {
            settings.hostname = "mail.example".to_string();
        });
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(server.patience)).unwrap();
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).unwrap();
        assert_eq!(greeting, "220 mail.example ESMTP ready\r\n");
    }
}
