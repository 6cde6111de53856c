//! Chapter 1: an echo server.

mod support;

use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};

use smtp_from_scratch::stages::stage01_echo::LONGEST_PIECE;
use support::program::Client;
use support::zoo::{Mistake, catches};
use support::{by_default, documented_conversation, own_server, plays, target};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage01_echo.rs");
    let conversation = documented_conversation(source);
    plays(
        1..=1,
        &format!(
            "{{a line comes back with its line end; without it the client waits for the rest}}\n{conversation}"
        ),
    );
}

#[test]
fn a_line_comes_back_with_the_server_s_words_in_front() {
    plays(
        1..=1,
        r#"
        {the dialogue of the first tutorial}
        C: b"Hello there. This will be echoed back\n"
        {a line comes back with its line end; without it the client waits for the rest}
        S: b"Server says: Hello there. This will be echoed back\n"
        C: b"And so will this\n"
        S: b"Server says: And so will this\n"
        "#,
    );
}

#[test]
fn an_echo_without_its_line_end_is_caught() {
    catches(
        a_line_comes_back_with_the_server_s_words_in_front,
        Mistake::EchoWithoutLineEnd,
    );
}

#[test]
fn an_echo_of_each_read_is_caught() {
    catches(
        a_line_comes_back_with_the_server_s_words_in_front,
        Mistake::EchoOfEachRead,
    );
}

#[test]
fn a_line_of_any_bytes_comes_back_unchanged() {
    plays(
        1..=1,
        r#"
        {an echo doesn't ask whether bytes are text}
        C: b"caf\xe9 \0 \xff\xfe\r\n"
        S: b"Server says: caf\xe9 \0 \xff\xfe\r\n"
        {an empty line is a line}
        C: b"\n"
        S: b"Server says: \n"
        "#,
    );
}

#[test]
fn an_unfinished_line_comes_back_when_the_client_leaves() {
    plays(
        1..=1,
        r#"
        C: b"no line end"
        {the client closes its side}
        S: b"Server says: no line end"
        {the server closes the connection}
        "#,
    );
}

#[test]
fn a_line_longer_than_the_buffer_comes_back_as_one_line() {
    let line = "x".repeat(5 * LONGEST_PIECE);
    plays(1..=1, &format!("C: {line}\nS: Server says: {line}"));
}

/// Expects a line while another client is connected.
#[track_caller]
fn hears_beside_another(client: &mut Client, expected: &str, situation: &str) {
    let mut heard = String::new();
    let said = match client.0.read_line(&mut heard) {
        Ok(_) => format!("S: {}", heard.trim_end()),
        Err(_) => "{the server says nothing for seconds}".to_string(),
    };
    assert!(
        heard == expected,
        "{situation}\n\n    {said}\n    ^ expected: S: {expected}\n\
         why: a client must not wait for another: each gets a thread of its own (chapter 1)"
    );
}

#[test]
fn a_silent_client_does_not_delay_the_others() {
    let situation =
        "two clients are connected and say nothing, or half a line. Then another says \"hello\".";
    for server in target::targets(&(1..=1)) {
        let mut silent = Client::connected(server.address);
        let mut unfinished = Client::connected(server.address);
        unfinished.says(b"half a l");
        for _ in 0..50 {
            let mut other = Client::patient(server.address, server.patience);
            other.says(b"hello\n");
            hears_beside_another(&mut other, "Server says: hello\n", situation);
        }
        unfinished.says(b"ine\n");
        assert_eq!(unfinished.hears_whole_line(), "Server says: half a line\n");
        silent.says(b"at last\n");
        assert_eq!(silent.hears_whole_line(), "Server says: at last\n");
    }
}

#[test]
fn a_client_that_breaks_off_ends_only_its_own_conversation() {
    let situation = "a client is connected, others come and break off, and then it says something.";
    for server in target::targets(&(1..=1)) {
        let mut bystander = Client::patient(server.address, server.patience);
        for _ in 0..20 {
            // Closing with an answer unread sends the server a reset, not an orderly end.
            Client::connected(server.address).says(b"hello\n");
        }
        bystander.says(b"still here\n");
        hears_beside_another(&mut bystander, "Server says: still here\n", situation);
    }
}

#[test]
fn an_endless_line_is_echoed_piece_by_piece() {
    own_server(1, by_default, |server| {
        let size = 8192 * LONGEST_PIECE;
        let mut reading = TcpStream::connect(server.address).unwrap();
        reading.set_read_timeout(Some(server.patience)).unwrap();
        let mut writing = reading.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let block = vec![b'x'; 64 * 1024];
            for _ in 0..size / block.len() {
                writing.write_all(&block).unwrap();
            }
        });
        // Eight megabytes without a line end go out, and all of them come back before the line
        // ends: the server stores none of them.
        let mut received = vec![0; b"Server says: ".len() + size];
        if let Err(error) = reading.read_exact(&mut received) {
            panic!("the server waits for the end of the line: {error}");
        }
        let line = received.strip_prefix(b"Server says: ").unwrap();
        assert!(line.iter().all(|&byte| byte == b'x'));
        writer.join().unwrap();
        reading.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reading.read(&mut received).unwrap(), 0, "nothing more");
    });
}
