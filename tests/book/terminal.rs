//! Terminal output: the program prints it during the conversation before it.

use std::net::ToSocketAddrs;

use crate::conversations::{Printed, conversations};
use crate::pages;
use crate::support::book::{Page, assert_faultless, parsed, run_of};
use crate::support::player::{Split, play};
use crate::support::program::Server;
use crate::support::target::Target;
use crate::support::terminal::{STORED, as_typed, is_output_gap, normalized, output_fault};

#[test]
fn every_terminal_shows_what_the_program_prints() {
    let mut faults = Vec::new();
    let mut count = 0;
    for page in pages() {
        for conversation in conversations(&page) {
            if let Some((start, printed)) = &conversation.terminal {
                count += 1;
                let shown = output(&page, &conversation);
                faults.extend(output_fault(&page, *start, printed, &shown));
            }
        }
    }
    assert_faultless(&faults);
    assert!(count > 0);
}

/// Plays a conversation against the program, and returns what it prints.
fn output(page: &Page, printed: &Printed) -> Vec<String> {
    let stage = page.stage().to_string();
    let server = Server::start(&[&["--stage", &stage], &printed.flags[..]].concat());
    let address = server.address.to_socket_addrs().unwrap().next().unwrap();
    let target = Target::running(address, true);
    // Another test checks how the conversation goes.
    let conversation = parsed(page, printed.start, &printed.lines);
    let _ = play(&target, &as_typed(conversation), Split::LineByLine);
    let ends = [
        "{the server closes the connection}",
        "{the connection broke",
    ];
    // A reader's server has no --listen flag, and so another port.
    let port = address.port().to_string();
    let mut shown = vec!["listening on 127.0.0.1:2525".to_string()];
    let lines = server.lines_until(&ends).into_iter();
    shown.extend(lines.map(|line| line.replace(&port, "2525")));
    shown
}

#[test]
fn only_ports_and_message_names_are_ignored() {
    let stored = |path: &str| format!("[1] {STORED}{path}}}");
    for (line, left) in [
        (
            stored("mail/new/1795341277.M867499P5035Q1.my-host.example"),
            stored("mail/new/..."),
        ),
        (
            "[1] S: 250 OK, queued as M867499P5035Q1".to_string(),
            "[1] S: 250 OK, queued as ...".to_string(),
        ),
        (
            "[1] {127.0.0.1:49152 connects}".to_string(),
            "[1] {127.0.0.1 connects}".to_string(),
        ),
    ] {
        assert_eq!(normalized(&line), left);
        assert_eq!(normalized(&left), left);
    }
    for same in [
        "listening on 127.0.0.1:2525".to_string(),
        stored("mail/new/1795341277.M867499P5035Q1."),
        stored("mail/new/1795341277.M867499.host"),
        stored("mail/new/bob"),
        stored("mail/tmp/1795341277.M867499P5035Q1.host"),
        "[1] S: 250 OK, queued as 867499P5035Q1".to_string(),
        "[1] S: 250 OK, queued as M867499P5035".to_string(),
    ] {
        assert_eq!(normalized(&same), same);
    }
}

#[test]
fn a_run_keeps_the_order_of_the_output() {
    let run = |printed: &[&str], output: &[&str]| run_of(printed, output, is_output_gap);
    assert_eq!(run(&["a", "b"], &["x", "a", "b"]), Ok(vec![1, 2]));
    let with_gap = run(&["a", "...", "c"], &["a", "a", "b", "c"]);
    assert_eq!(with_gap, Ok(vec![0, 3]));
    // The first b isn't followed by c.
    let second_try = run(&["a", "...", "b", "c"], &["a", "b", "x", "b", "c"]);
    assert_eq!(second_try, Ok(vec![0, 3, 4]));
    assert_eq!(run(&["b", "...", "a"], &["a", "b"]), Err((2, None)));
}
