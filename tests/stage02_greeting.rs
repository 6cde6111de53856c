//! Chapter 2: the greeting.

mod support;

use support::zoo::{Mistake, catches};
use support::{documented_conversation, not_yet, plays, plays_with};

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
        {4.3.1: a client waits for 220 before it says anything}
        S: 220 ...
        ",
    );
}

#[test]
fn a_greeting_that_ends_in_a_bare_lf_is_caught() {
    catches(the_server_speaks_first, Mistake::RepliesEndInBareLf);
}

#[test]
fn commands_are_received_and_not_answered() {
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
    plays_with(
        2..,
        |settings| settings.hostname = "mail.example".to_string(),
        "
        {4.3.1: the name of the host is the first word after the code}
        S: 220 mail.example ESMTP ready
        ",
    );
}
