//! The command line, on the real binary.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::maildir::names;
use support::program::{Client, Server, program, serving, serving_within, spawn};
use support::scratch::ScratchFolder;
use support::target::write_users;

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_first_line_has_the_real_port() {
    let server = Server::start(&[]);
    let port: u16 = server
        .address
        .strip_prefix("127.0.0.1:")
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(port, 0);
    assert!(
        server
            .talk(b"QUIT\r\n")
            .starts_with("220 localhost ESMTP ready\r\n221 ")
    );
}

#[test]
fn the_last_stage_is_the_default() {
    let server = Server::start(&[]);
    let replies =
        server.talk(b"HELO c\nMAIL FROM:<a@b.c>\nRCPT TO:<d@e.f>\nDATA\nhi\n.\nRSET\nNOOP\nQUIT\n");
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(
        codes,
        [
            "220", "250", "250", "250", "354", "250", "250", "250", "221"
        ]
    );
}

#[test]
fn a_stage_is_chosen_by_number_or_name() {
    for stage in ["3", "commands"] {
        let server = Server::start(&["serve", "--stage", stage]);
        let mut client = server.connect();
        client.says(b"MAIL FROM:<a@b.c>\r\n");
        client.hears_codes(&["220", "502"]);
    }
    let server = Server::start(&["--stage=echo"]);
    let mut client = server.connect();
    client.says(b"Hello there. This will be echoed back\n");
    assert_eq!(
        client.hears(),
        "Server says: Hello there. This will be echoed back"
    );
}

#[test]
fn a_host_name_is_accepted_as_the_address_to_listen_on() {
    let server = Server::start(&["--listen", "localhost:0"]);
    assert!(server.talk(b"QUIT\r\n").contains("221 "));
}

#[test]
fn flags_reach_the_conversation() {
    let server = Server::start(&[
        "--hostname=mail.example",
        "--max-recipients=1",
        "--max-size",
        "5",
    ]);
    let replies = server.talk(
        b"HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@h.i>\r\nDATA\r\n123456\r\n.\r\nQUIT\r\n",
    );
    assert_eq!(
        replies,
        "220 mail.example ESMTP ready\r\n250 mail.example\r\n250 OK\r\n250 OK\r\n\
         452 Too many recipients\r\n354 Start mail input; end with <CRLF>.<CRLF>\r\n\
         552 Too much mail data\r\n221 mail.example Service closing transmission channel\r\n"
    );
}

#[test]
fn the_conversation_is_shown_in_the_notation_and_numbered() {
    let server = Server::start(&["--hostname", "mail.example"]);

    // The two clients take turns, and each waits for its reply, so the order is fixed.
    let mut one = server.connect();
    one.hears_codes(&["220"]);
    let mut two = server.connect();
    two.hears_codes(&["220"]);
    one.says(b"HELO one\r\n");
    one.hears();
    two.says(b"NOOP \x1b]0;owned\x07\r\n");
    two.hears();
    two.says(b"AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n");
    two.hears();
    one.says(b"QUIT\r\n");
    one.hears();
    drop(one);

    let shown = server.lines_until(&["[1] {the server closes the connection}"]);
    assert!(
        shown
            .iter()
            .any(|line| line.starts_with("stage 12 (proxy): "))
    );
    let peerless: Vec<&str> = shown
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with('[') && !line.contains("connects}"))
        .collect();
    assert_eq!(
        peerless,
        [
            "[1] S: 220 mail.example ESMTP ready",
            "[2] S: 220 mail.example ESMTP ready",
            "[1] C: HELO one",
            "[1] S: 250 mail.example",
            r#"[2] C: b"NOOP \x1b]0;owned\x07""#,
            "[2] S: 500 Syntax error - invalid character",
            "[2] C: AUTH ...",
            "[2] S: 502 Command not implemented",
            "[1] C: QUIT",
            "[1] S: 221 mail.example Service closing transmission channel",
            "[1] {the server closes the connection}",
        ]
    );
}

#[test]
fn a_finished_mail_is_shown() {
    let server = Server::start(&[]);
    server.talk(
        b"HELO c\r\nMAIL FROM:<sender@example.com>\r\nRCPT TO:<ujang@example.com>\r\nRCPT TO:<agus@example.com>\r\n\
          DATA\r\nReceived: from a\r\nReceived: from b\r\nSubject: folded\r\n and \x1b[2J escaped\r\n\r\n\t<h1>Hello</h1>\r\ncaf\xe9\r\n.\r\nQUIT\r\n",
    );
    let shown = server.lines_until(&["S: 221"]);
    let start = shown
        .iter()
        .position(|line| line.contains("a message of"))
        .unwrap();
    assert_eq!(
        shown[start..start + 9],
        [
            "[1] {a message of 97 octets}",
            "[1] {mail from: sender@example.com}",
            "[1] {mail for:  ujang@example.com}",
            "[1] {mail for:  agus@example.com}",
            "[1] {header:    Received: from a}",
            "[1] {header:    Received: from b}",
            r#"[1] {header:    b"Subject: folded and \x1b[2J escaped"}"#,
            "[1] {body:      \t<h1>Hello</h1>}",
            r#"[1] {body:      b"caf\xe9"}"#,
        ]
    );
    let [name] = &names(&server.folder.path().join("mail/new"))[..] else {
        panic!("one mail, one file");
    };
    assert_eq!(
        shown[start + 9],
        format!("[1] {{stored in: mail/new/{name}}}")
    );
    let (_, id) = shown[start + 10]
        .split_once("S: 250 OK, queued as ")
        .unwrap();
    assert!(name.contains(&format!(".{id}.")), "{id} is in {name}");
}

#[test]
fn stages_1_and_2_show_every_line_they_receive() {
    let server = Server::start(&["--stage", "1"]);
    let mut client = server.connect();
    client.says(b"Hello\r\nAUTH PLAIN secret\r\n");
    client.hears();
    client.hears();
    drop(client);
    let shown = server.lines_until(&["closes the connection}"]);
    assert_eq!(
        shown[shown.len() - 6..],
        [
            "[1] C: Hello",
            "[1] S: Server says: Hello",
            "[1] C: AUTH ...",
            "[1] S: Server says: AUTH ...",
            "[1] {the client closes its side}",
            "[1] {the server closes the connection}",
        ]
    );

    let server = Server::start(&["--stage", "2"]);
    let mut client = server.connect();
    client.hears();
    client.says(&[b"EHLO client.example\r\n", &[b'x'; 600][..], b"\r\n"].concat());
    drop(client);
    let shown = server.lines_until(&["closes the connection}"]);
    let cut = format!("[1] C: {}", "x".repeat(512));
    assert_eq!(
        shown[shown.len() - 6..],
        [
            "[1] S: 220 localhost ESMTP ready",
            "[1] C: EHLO client.example",
            &cut,
            "[1] {the line goes on beyond 512 octets}",
            "[1] {the client closes its side}",
            "[1] {the server closes the connection}",
        ]
    );
}

#[test]
fn the_start_of_a_large_mail_is_shown() {
    let server = Server::start(&[]);
    let many = "Name: value\r\n".repeat(25) + "\r\n" + &"line\r\n".repeat(30) + &"x".repeat(600);
    server.talk(
        format!(
            "HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n{many}\r\n.\r\nQUIT\r\n"
        )
        .as_bytes(),
    );
    let shown = server.lines_until(&["S: 221"]);
    let count = |what: &str| shown.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("Name: value"), count("body:      line")), (20, 20));
    assert_eq!(
        (count("header:    and more"), count("body:      and more")),
        (1, 1)
    );

    server.talk(
        format!(
            "HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n\r\n{}\r\n.\r\nQUIT\r\n",
            "x".repeat(600)
        )
        .as_bytes(),
    );
    let shown = server.lines_until(&["S: 221"]);
    let cut = format!("[2] {{body:      {}...}}", "x".repeat(500));
    assert!(shown.contains(&cut), "{shown:?}");
}

#[test]
fn without_free_files_mail_is_answered_with_451_and_new_clients_wait() {
    let server = Server::spawned(serving_within("-n 64", ""));
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: this machine has room for 40 connections, not 1000: "),
        "{warning}"
    );
    let says_data = || {
        let client = server.connect();
        client.says(b"HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client
    };
    let greeted = ["220", "250", "250", "250"];
    // Each of these clients has a connection and a file.
    let first: Vec<Client> = (0..24)
        .map(|_| {
            let mut client = says_data();
            client.hears_codes(&greeted);
            client.hears_codes(&["354"]);
            client
        })
        .collect();
    // For these clients no connection is free while the others are busy.
    let waiting: Vec<Client> = (0..16).map(|_| says_data()).collect();
    server.lines_until(&["cannot serve a client: "]);
    let mut clients: Vec<Client> = Vec::new();
    let mut stored = 0;
    for mut client in first {
        client.says(b"Hello\r\n.\r\nNOOP\r\n");
        match &client.hears()[..3] {
            "250" => stored += 1,
            // Its folder must be opened as well.
            "451" => {}
            other => panic!("{other}"),
        }
        client.hears_codes(&["250"]);
        clients.push(client);
    }
    for mut client in waiting {
        client.hears_codes(&greeted);
        match &client.hears()[..3] {
            "354" => {
                client.says(b"Hello\r\n.\r\nNOOP\r\n");
                client.hears_codes(&["250", "250"]);
                stored += 1;
            }
            "451" => client.says(b"NOOP\r\n"),
            other => panic!("{other}"),
        }
        clients.push(client);
    }
    assert!(stored >= 20);
    assert_eq!(names(&server.folder.path().join("mail/new")).len(), stored);
    server.connect().hears_codes(&["421"]);
    drop(clients);
    // The threads end when they notice that their clients are gone.
    while server.connect().hears().starts_with("421 ") {}
}

#[cfg(target_os = "linux")]
#[test]
fn more_connections_than_the_machine_holds_are_refused_at_the_start() {
    let output = serving_within("-n 64", "--max-connections 41")
        .output()
        .unwrap();
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in [
        "has room for 40 connections, not 41",
        "ulimit -n",
        "--max-connections",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let server = Server::spawned(serving_within("-n 64", "--max-connections 40"));
    assert!(server.talk(b"QUIT\r\n").contains("221 "));
}

#[test]
fn the_limits_are_those_of_the_documentation() {
    use smtp_from_scratch::settings::*;

    assert_eq!(
        (DEFAULT_MAX_SIZE, DEFAULT_MAX_RECIPIENTS),
        (26_214_400, 1000)
    );
    assert_eq!(
        (DEFAULT_MAX_CONNECTIONS, DEFAULT_TIMEOUT.as_secs()),
        (1000, 300)
    );
    let server = Server::start(&["--quiet"]);
    let recipients = "RCPT TO:<d@e.f>\r\n".repeat(1001);
    let replies =
        server.talk(format!("HELO c\r\nMAIL FROM:<a@b.c>\r\n{recipients}QUIT\r\n").as_bytes());
    assert_eq!(replies.matches("250 OK").count(), 1 + 1000);
    assert_eq!(replies.matches("452 ").count(), 1);
}

#[test]
fn quiet_shows_the_first_line_only() {
    let mut server = Server::start(&["--quiet"]);
    server.talk(b"HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n");
    server.child.kill().unwrap();
    assert_eq!(server.printed.iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_closed_terminal_does_not_stop_the_server() {
    let folder = ScratchFolder::new();
    let mut command = serving(&[]);
    command.current_dir(folder.path());
    let (child, stdout, address) = spawn(command);
    let (_, printed) = std::sync::mpsc::channel();
    let server = Server {
        child,
        address,
        printed,
        folder,
    };
    // As in `cargo run | head -1`, nobody reads the server's output from here on.
    drop(stdout);
    for _ in 0..3 {
        assert!(server.talk(b"HELO c\r\nQUIT\r\n").contains("221 "));
    }
}

#[test]
fn help_and_version_are_printed_with_exit_code_0() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let shown = text(&help.stdout);
    for word in [
        "--listen",
        "--stage",
        "--hostname",
        "--max-size",
        "--max-recipients",
        "--maildir",
        "--discard",
        "--domain",
        "--max-connections",
        "--timeout",
        "--quiet",
        "--without",
        "--login",
        "--users",
        "--tls-in-front",
        "--proxy",
    ] {
        assert!(shown.contains(word), "{word}");
    }
    assert!(
        shown.contains("\n   1 echo       an echo server\n"),
        "{shown}"
    );
    assert_eq!(run(&["-h"]).stdout, help.stdout);
    assert_eq!(run(&["-V"]).stdout, run(&["--version"]).stdout);

    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        text(&version.stdout),
        concat!("smtp-from-scratch ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn invalid_arguments_are_named_with_exit_code_2() {
    for (arguments, problem) in [
        (&["--sage", "4"][..], "--sage is not a flag"),
        (&["--sage=4"], "--sage is not a flag"),
        (&["-x"], "-x is not a flag"),
        (&["deliver"], "\"deliver\" is not a command"),
        (&["--stage"], "--stage needs a value"),
        (
            &["--stage", "0"],
            "--stage takes a number from 1 to 12 or a name",
        ),
        (&["--stage", "quitt"], "not \"quitt\""),
        (
            &["--listen", "2525"],
            "--listen takes ADDRESS:PORT, such as 127.0.0.1:2525, not \"2525\"",
        ),
        (
            &["--listen", "127.0.0.1:65536"],
            "--listen takes ADDRESS:PORT",
        ),
        (&["--listen="], "--listen takes ADDRESS:PORT"),
        (&["--listen", "Stdin"], "--listen takes ADDRESS:PORT"),
        (&["--listen", "stdin:"], "--listen takes ADDRESS:PORT"),
        (
            &["--hostname", "a b"],
            "--hostname takes a domain or an address literal",
        ),
        (
            &["--hostname", "bücher.example"],
            "--hostname takes a domain or an address literal",
        ),
        (
            &["--hostname", "a\r\nb"],
            "--hostname takes a domain or an address literal",
        ),
        (
            &["--max-size", "0"],
            "--max-size takes a whole number from 1 up, not \"0\"",
        ),
        (&["--max-size", "-1"], "--max-size takes a whole number"),
        (
            &["--max-recipients", "many"],
            "--max-recipients takes a whole number",
        ),
        (&["--quiet=yes"], "--quiet takes no value"),
        (&["--discard=yes"], "--discard takes no value"),
        (
            &["--discard", "--maildir", "x"],
            "--discard and --maildir contradict each other",
        ),
        (&["--maildir="], "--maildir takes a directory"),
        (
            &["--domain", "a b"],
            "--domain takes a domain or an address literal",
        ),
        (&["--timeout", "0"], "--timeout takes a whole number"),
        (
            &["--timeout", "86401"],
            "--timeout takes at most 86400 seconds",
        ),
        (
            &["--max-connections", "0"],
            "--max-connections takes a whole number",
        ),
        (
            &["--without", "FOO"],
            "--without takes one of PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, HELP, AUTH, not \"FOO\"",
        ),
        (&["--without", ""], "--without takes one of PIPELINING"),
        (
            &["--login", "ada"],
            "--login takes the word any, not \"ada\"; for a file of users: --users",
        ),
        (&["--users="], "--users takes a file"),
        (&["--tls-in-front=yes"], "--tls-in-front takes no value"),
        (&["--proxy=yes"], "--proxy takes no value"),
        (
            &["--login", "any", "--users", "x"],
            "--login any and --users contradict each other",
        ),
        (
            &["--users", "x", "--login=any"],
            "--login any and --users contradict each other",
        ),
    ] {
        let output = run(arguments);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {shown}");
        let (first, usage) = shown.split_once("\n\n").unwrap();
        assert!(
            first.starts_with("error: ") && first.contains(problem),
            "{arguments:?}: {shown}"
        );
        assert!(
            usage.contains("usage: smtp-from-scratch"),
            "{arguments:?}: {shown}"
        );
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf_8_is_reported_with_exit_code_2() {
    use std::os::unix::ffi::OsStrExt;

    let argument = std::ffi::OsStr::from_bytes(b"--stage=\xff");
    let output = program().arg(argument).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not UTF-8"));
}

#[test]
fn a_port_in_use_is_reported_in_one_line_with_exit_code_1() {
    let in_use = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = in_use.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.starts_with(&format!("error: cannot listen on {address}: ")),
        "{shown}"
    );
    assert!(
        shown.contains("choose another port, such as --listen 127.0.0.1:2526"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn an_unusable_maildir_is_reported_in_one_line_with_exit_code_1() {
    let folder = ScratchFolder::new();
    let place = folder.path().join("file");
    fs::write(&place, "not a folder").unwrap();
    let place = place.to_str().unwrap();
    let output = run(&["--listen", "127.0.0.1:0", "--maildir", place]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.starts_with(&format!("error: cannot store mail in {place:?}: ")),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn mail_is_stored_in_the_folder_mail_by_default() {
    let server = Server::start(&[]);
    let hello = server.lines_until(&["mail is stored in "]);
    assert_eq!(hello.last().unwrap(), "mail is stored in mail/new");
    assert_eq!(names(server.folder.path()), ["mail"]);
    assert_eq!(
        names(&server.folder.path().join("mail")),
        ["cur", "new", "tmp"]
    );

    let server = Server::start(&["--maildir", "deep/down"]);
    server.lines_until(&["mail is stored in deep/down/new"]);
    assert_eq!(names(&server.folder.path().join("deep/down")).len(), 3);
}

#[test]
fn discarding_all_mail_is_announced() {
    let session = b"HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n";
    let warning = "warning: mail is accepted and dropped (--discard)";
    for arguments in [&["--discard"][..], &["--discard", "--quiet"]] {
        let server = Server::start(arguments);
        let shown = server.lines_until(&["dropped"]);
        assert_eq!(shown.last().unwrap(), warning);
        assert!(server.talk(session).contains("\r\n250 OK\r\n221 "));
        assert_eq!(names(server.folder.path()), [""; 0]);
    }
}

#[test]
fn a_flag_without_effect_in_a_stage_is_reported() {
    for (stage, flags, warned) in [
        ("7", &["--maildir=x"][..], &["--maildir"][..]),
        (
            "7",
            &["--discard", "--timeout=9"],
            &["--discard", "--timeout"],
        ),
        (
            "8",
            &["--timeout=9", "--domain=example.com"],
            &["--domain", "--timeout"],
        ),
        (
            "9",
            &["--tls-in-front", "--users=no-such-file", "--without=size"],
            &["--without", "--users", "--tls-in-front"],
        ),
        ("10", &["--login=any", "--without=auth"], &["--login"]),
        ("11", &["--proxy"], &["--proxy"]),
    ] {
        let server = Server::start(&[&["--quiet", "--stage", stage], flags].concat());
        for flag in warned {
            let warning = server.next_line();
            assert!(
                warning.starts_with(&format!("warning: {flag} means nothing to stage {stage}")),
                "{warning}"
            );
        }
        assert!(!server.folder.path().join("x").exists());
        server.connect().hears_codes(&["220"]);
    }
}

#[test]
fn a_server_that_others_can_reach_warns_unless_it_has_domains() {
    let everywhere = ["--quiet", "--listen", "0.0.0.0:0"];
    let server = Server::start(&everywhere);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: anyone who reaches 0.0.0.0:") && warning.contains("--domain"),
        "{warning}"
    );

    // Stage 8 has no domains, so it accepts mail from everybody.
    let server = Server::start(&[&everywhere[..], &["--stage=8", "--domain=example.com"]].concat());
    server.lines_until(&["warning: anyone who reaches 0.0.0.0:"]);

    for quiet in [
        &[&everywhere[..], &["--domain", "example.com"]].concat()[..],
        &["--quiet", "--listen", "[::1]:0"],
    ] {
        let mut server = Server::start(quiet);
        server.connect().hears_codes(&["220"]);
        server.child.kill().unwrap();
        assert_eq!(server.printed.iter().collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn an_address_of_another_machine_is_reported_with_exit_code_1() {
    // 192.0.2.0/24 is for documentation, and no machine has such an address (RFC 5737).
    let output = run(&["--listen", "192.0.2.1:2525"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("This machine has no such address"));
}

#[test]
fn an_endless_command_line_takes_no_memory() {
    let server = Server::start(&["--quiet"]);
    let mut client = server.connect();
    client.hears_codes(&["220"]);
    let before = server.memory_kib("VmRSS:");
    let block = [b'x'; 64 * 1024];
    for _ in 0..1024 {
        client.says(&block);
    }
    client.says(b"\r\nHELO client.example\r\n");
    client.hears_codes(&["500", "250"]);
    if let (Some(before), Some(after)) = (before, server.memory_kib("VmRSS:")) {
        assert!(
            after < before + 1024,
            "from {before} to {after} KiB for 64 MiB"
        );
    }
}

#[test]
fn a_message_far_over_the_limit_takes_no_memory() {
    let server = Server::start(&["--quiet", "--max-size", "1000"]);
    let mut client = Client::within_data(&server.address);
    let before = server.memory_kib("VmRSS:");
    let block = [b'x'; 64 * 1024];
    for _ in 0..1024 {
        client.says(&block);
    }
    client.says(b"\r\n.\r\nNOOP\r\n");
    client.hears_codes(&["552", "250"]);
    if let (Some(before), Some(after)) = (before, server.memory_kib("VmRSS:")) {
        assert!(
            after < before + 1024,
            "from {before} to {after} KiB for 64 MiB"
        );
    }
}

#[test]
fn lines_after_a_refused_auth_are_not_shown() {
    // Some devices never read the reply, and send name and password all the same.
    for stage in ["1", "2", "3", "9", "10", "11", "12"] {
        for auth in ["AUTH LOGIN", "AUTH PLAIN", "AUTH LOGIN dXNlcg=="] {
            let server = Server::start(&["--stage", stage]);
            let client = server.connect();
            let secrets = "dXNlcg==\r\nc2VjcmV0";
            let lines = format!("EHLO c\r\n{auth}\r\n{secrets}\r\nNOOP\r\nthe end\r\n");
            client.says(lines.as_bytes());
            let shown = server.lines_until(&["C: the end"]).concat();
            assert!(shown.contains("C: AUTH ..."), "{shown}");
            assert!(shown.contains("C: NOOP"), "{shown}");
            for secret in ["dXNlcg", "c2VjcmV0"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

/// Runs the program with a file of users, which has these lines.
fn start_with_users(lines: &str, arguments: &[&str]) -> Server {
    let folder = ScratchFolder::new();
    let file = folder.path().join("users");
    write_users(&file, lines);
    // The file is read before the first line is printed.
    Server::start(&[&["--users", file.to_str().unwrap()], arguments].concat())
}

/// Hears what EHLO offers.
fn keywords(server: &Server) -> Vec<String> {
    let mut client = server.connect();
    client.says(b"EHLO c\r\n");
    client.hears_codes(&["220"]);
    let mut keywords = Vec::new();
    loop {
        let line = client.hears();
        keywords.push(line[4..].to_string());
        if line.starts_with("250 ") {
            return keywords.split_off(1);
        }
    }
}

#[test]
fn a_domain_of_ours_may_be_in_utf_8() {
    let server = Server::start(&["--quiet", "--domain", "bücher.example"]);
    let mut client = Client::greeted(&server.address);
    client.says("MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<bob@bücher.example>\r\n".as_bytes());
    client.hears_codes(&["250", "250"]);
    client.says(b"RCPT TO:<bob@example.com>\r\n");
    client.hears_codes(&["550"]);
}

#[test]
fn without_leaves_keywords_out() {
    let server = Server::start(&["--without", "size", "--without=Help", "--max-size", "1000"]);
    assert_eq!(
        keywords(&server),
        ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8"]
    );
    let server = Server::start(&["--login", "any", "--without", "auth", "--max-size", "1000"]);
    let offered = keywords(&server);
    assert_eq!(offered[1], "SIZE 1000");
    assert_eq!(offered[5..], ["HELP"]);
}

#[test]
fn any_login_is_announced() {
    let announced = "clients may log in, with any name and any password (--login any)";
    let server = Server::start(&["--login", "any"]);
    server.lines_until(&[announced]);
    assert_eq!(keywords(&server).pop().unwrap(), "AUTH PLAIN LOGIN");

    let server = Server::start(&["--quiet", "--login=any", "--listen", "0.0.0.0:0"]);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: anyone who reaches 0.0.0.0:")
            && warning.ends_with("may log in, with any name and any password (--login any)"),
        "{warning}"
    );
    server.lines_until(&["may send mail here, for any recipient"]);
    let port = server.address.strip_prefix("0.0.0.0:").unwrap();
    let mut client = Client::connected(format!("127.0.0.1:{port}"));
    client.says(b"EHLO c\r\nAUTH PLAIN AGFkYQBzM2NyZXQ=\r\n");
    client.hears_codes(&["220", "250", "235"]);

    // Before stage 11 nobody can log in, so there is nothing to announce.
    let server = Server::start(&["--login", "any", "--stage", "10"]);
    server.talk(b"QUIT\r\n");
    let shown = server.lines_until(&["closes the connection}"]);
    assert!(
        !shown.iter().any(|line| line.contains("may log in")),
        "{shown:?}"
    );
}

#[test]
fn the_users_of_a_file_may_log_in() {
    let server = start_with_users("ada:s3cret\n\nbob:a:b\n", &["--quiet"]);
    let mail = "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\n";
    for (auth, codes) in [
        ("", &["530", "503", "503", "500", "500", "221"][..]),
        (
            "AUTH PLAIN AGFkYQBzM2NyZXQ=\r\n",
            &["235", "250", "250", "354", "250", "221"],
        ),
        (
            "AUTH PLAIN AGJvYgBhOmI=\r\n",
            &["235", "250", "250", "354", "250", "221"],
        ),
    ] {
        let mut client = server.connect();
        client.says(format!("EHLO c\r\n{auth}{mail}QUIT\r\n").as_bytes());
        client.hears_codes(&["220", "250"]);
        client.hears_codes(codes);
    }
    assert_eq!(names(&server.folder.path().join("mail/new")).len(), 2);
    // The file is for the start: nobody needs it afterwards.
    assert_eq!(keywords(&server).pop().unwrap(), "AUTH PLAIN LOGIN");
}

#[test]
fn an_unusable_file_of_users_is_reported_in_one_line_with_exit_code_1() {
    for (lines, problem) in [
        ("", "has no users. It needs a line name:password for each."),
        (
            "ada:hidden-one\nhidden-two\n",
            "has a line 2 that isn't name:password.",
        ),
        ("ada:hidden-one\n:hidden-two\n", "has a line 2 that"),
        ("hidden-one:\n", "has a line 1 that isn't name:password."),
        (
            "hidden-one:x\nbob:y\nhidden-one:z\n",
            "names a user twice, the second time in line 3.",
        ),
    ] {
        let folder = ScratchFolder::new();
        let file = folder.path().join("users");
        write_users(&file, lines);
        let shown = refuses_users(&folder, &file);
        assert!(shown.contains(problem), "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
    let folder = ScratchFolder::new();
    let shown = refuses_users(&folder, &folder.path().join("missing"));
    assert!(shown.contains("missing\" can't be read: "), "{shown}");
    let file = folder.path().join("users");
    write_users(&file, "");
    fs::write(&file, b"ada:\xff\n").unwrap();
    let shown = refuses_users(&folder, &file);
    assert!(shown.contains("can't be read: "), "{shown}");
}

/// Starts the program with a file of users, which it refuses. Returns what it prints.
fn refuses_users(folder: &ScratchFolder, file: &Path) -> String {
    let mut command = program();
    command
        .current_dir(folder.path())
        .args(["--listen", "127.0.0.1:0", "--users"])
        .arg(file);
    let shown = cannot_start(command);
    let start = format!("error: the file {file:?} ");
    assert!(shown.starts_with(&start), "{shown}");
    shown
}

/// Runs the program, which ends with exit code 1. Returns the line that it prints.
fn cannot_start(mut command: Command) -> String {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut first).unwrap();
    // A server that starts would never end.
    if !first.is_empty() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(first, "", "the server starts");
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    shown
}

#[cfg(unix)]
#[test]
fn a_file_of_users_that_others_may_read_or_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = ScratchFolder::new();
    let file = folder.path().join("users");
    write_users(&file, "ada:s3cret\n");
    for mode in [0o644, 0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o777] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let shown = refuses_users(&folder, &file);
        let to_do = "is open to others. Make it yours alone: chmod 600";
        assert!(shown.contains(to_do), "{mode:o}: {shown}");
    }
    for mode in [0o600, 0o400, 0o700] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let server = Server::start(&["--quiet", "--users", file.to_str().unwrap()]);
        server.connect().hears_codes(&["220"]);
    }
}

#[test]
fn passwords_are_not_taken_where_others_can_read_them() {
    let users = "ada:s3cret\n";
    let everywhere = ["--quiet", "--listen", "0.0.0.0:0"];
    let on_this_machine = |server: &Server| {
        let port = server.address.rsplit_once(':').unwrap().1;
        let mut client = Client::connected(format!("127.0.0.1:{port}"));
        client.says(b"EHLO c\r\nAUTH PLAIN AGFkYQBzM2NyZXQ=\r\nMAIL FROM:<a@b.c>\r\n");
        client.hears_codes(&["220", "250"]);
        client
    };
    // Behind a proxy everybody comes from this machine, so that a client does, says nothing.
    let server = start_with_users(users, &everywhere);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: AUTH is not offered, so nobody can send mail: ")
            && warning.contains("the network to 0.0.0.0:")
            && warning.ends_with("say --tls-in-front"),
        "{warning}"
    );
    on_this_machine(&server).hears_codes(&["502", "530"]);

    // With TLS in front it is offered, and nobody is a stranger.
    let mut server = start_with_users(users, &[&everywhere[..], &["--tls-in-front"]].concat());
    on_this_machine(&server).hears_codes(&["235", "250"]);
    server.child.kill().unwrap();
    assert_eq!(server.printed.iter().collect::<Vec<_>>(), [""; 0]);

    let mut server = start_with_users(users, &["--quiet", "--listen", "[::1]:0"]);
    assert_eq!(keywords(&server).pop().unwrap(), "AUTH PLAIN LOGIN");
    server.child.kill().unwrap();
    assert_eq!(server.printed.iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn tls_in_front_without_users_is_reported() {
    for arguments in [&["--tls-in-front"][..], &["--tls-in-front", "--login=any"]] {
        let server = Server::start(&[&["--quiet"], arguments].concat());
        assert_eq!(
            server.next_line(),
            "warning: --tls-in-front means nothing without --users"
        );
    }
}

#[test]
fn the_start_of_a_long_command_is_shown() {
    let server = Server::start(&[]);
    let client = server.connect();
    client.says(&[b"NOOP ", &[b'x'; 600][..], b"\r\n"].concat());
    let shown = server.lines_until(&["S: 500"]);
    let cut = format!("[1] C: NOOP {}...", "x".repeat(507));
    assert!(shown.contains(&cut), "{shown:?}");
}

#[test]
fn behind_a_proxy_others_reach_the_address_of_this_machine() {
    let server = Server::start(&["--quiet", "--proxy"]);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: anyone who reaches the proxy in front of 127.0.0.1:")
            && warning.contains("--domain"),
        "{warning}"
    );
    let server = Server::start(&["--quiet", "--proxy", "--login=any", "--domain=example.com"]);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: anyone who reaches the proxy in front of 127.0.0.1:")
            && warning.contains("(--login any)"),
        "{warning}"
    );
    says_nothing_more(server);
    says_nothing_more(Server::start(&[
        "--quiet",
        "--proxy",
        "--domain=example.com",
    ]));

    let announced = "each client begins with a PROXY header, or is closed (--proxy)";
    let server = Server::start(&["--proxy"]);
    server.lines_until(&[announced]);

    // An earlier stage has no proxy.
    let server = Server::start(&["--quiet", "--proxy", "--stage=11"]);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: --proxy means nothing to stage 11"),
        "{warning}"
    );
    says_nothing_more(server);
    let server = Server::start(&["--proxy", "--stage=11"]);
    server.talk(b"QUIT\r\n");
    let shown = server.lines_until(&["closes the connection}"]);
    assert!(!shown.iter().any(|line| line == announced), "{shown:?}");
}

#[test]
fn behind_a_proxy_the_terminal_says_once_that_only_crlf_ends_a_line() {
    let server = Server::start(&["--proxy"]);
    for header in [
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 1",
        "PROXY TCP4 192.0.2.7 127.0.0.1 1 1",
        "PROXY UNKNOWN",
    ] {
        server.talk(format!("{header}\r\nQUIT\r\n").as_bytes());
        let lines = server.lines_until(&["C: QUIT"]);
        let told = |line: &&String| line.contains("{only CR LF ends a line of this client}");
        assert_eq!(lines.iter().filter(told).count(), 1, "{lines:?}");
    }
}

#[test]
fn behind_a_proxy_passwords_are_taken_if_tls_is_in_front() {
    let through_the_proxy = |server: &Server| {
        let mut client = server.connect();
        client.says(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\nEHLO c\r\n");
        client.hears_codes(&["220", "250"]);
        client.says(b"AUTH PLAIN AGFkYQBzM2NyZXQ=\r\nMAIL FROM:<a@b.c>\r\n");
        client
    };
    let server = start_with_users("ada:s3cret\n", &["--quiet", "--proxy"]);
    let warning = server.next_line();
    assert!(
        warning.starts_with("warning: AUTH is not offered, so nobody can send mail: ")
            && warning.contains("the network to the proxy in front of 127.0.0.1:")
            && warning.ends_with("say --tls-in-front"),
        "{warning}"
    );
    through_the_proxy(&server).hears_codes(&["502", "530"]);
    says_nothing_more(server);

    let server = start_with_users("ada:s3cret\n", &["--quiet", "--proxy", "--tls-in-front"]);
    through_the_proxy(&server).hears_codes(&["235", "250"]);
    says_nothing_more(server);
}

/// Ends a server, which has printed nothing since its last line was read.
fn says_nothing_more(mut server: Server) {
    // The warnings come before the first client.
    server.talk(b"QUIT\r\n");
    server.child.kill().unwrap();
    assert_eq!(server.printed.iter().collect::<Vec<_>>(), [""; 0]);
}

/// Runs the program as a server whose standard input is `socket`.
#[cfg(unix)]
fn serving_at_stdin(socket: impl Into<std::os::fd::OwnedFd>, arguments: &[&str]) -> Command {
    let mut command = serving(&[&["--listen", "stdin"], arguments].concat());
    command.stdin(Stdio::from(socket.into()));
    command
}

#[cfg(unix)]
#[test]
fn a_listening_socket_at_standard_input_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // systemd's own sockets don't block. Here one that doesn't would spin, and complain.
    listener.set_nonblocking(true).unwrap();
    let server = Server::spawned(serving_at_stdin(listener, &["--quiet"]));
    assert_eq!(server.address, address);
    Client::greeted(&address).sends_a_mail("250");
    assert_eq!(names(&server.folder.path().join("mail/new")).len(), 1);
    says_nothing_more(server);

    // The address of the socket tells who reaches it.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let server = Server::spawned(serving_at_stdin(listener, &["--quiet"]));
    server.lines_until(&["warning: anyone who reaches 0.0.0.0:"]);
}

#[cfg(unix)]
#[test]
fn a_client_that_connects_between_two_servers_of_a_socket_is_served_by_the_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || {
        let socket = listener.try_clone().unwrap();
        Server::spawned(serving_at_stdin(socket, &["--quiet"]))
    };
    let mut first = start();
    Client::greeted(&first.address).sends_a_mail("250");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    // Nobody serves now, and nobody is refused.
    let waiting: Vec<Client> = (0..20)
        .map(|_| {
            let client = Client::connected(&first.address);
            client.says(b"EHLO c\r\n");
            client
        })
        .collect();
    let second = start();
    assert_eq!(second.address, first.address);
    for mut client in waiting {
        client.hears_codes(&["220", "250"]);
        client.sends_a_mail("250");
    }
    assert_eq!(names(&second.folder.path().join("mail/new")).len(), 20);
}

#[cfg(unix)]
#[test]
fn standard_input_that_is_no_listening_socket_is_reported_with_exit_code_1() {
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;

    let folder = ScratchFolder::new();
    let file = folder.path().join("file");
    fs::write(&file, "no socket").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let local = UnixListener::bind(folder.path().join("socket")).unwrap();
    for (input, what) in [
        (OwnedFd::from(fs::File::open(&file).unwrap()), "a file"),
        (
            fs::File::open("/dev/null").unwrap().into(),
            "nothing at all",
        ),
        (client.into(), "a connection that we have made"),
        (accepted.into(), "a connection, as inetd hands it over"),
        (local.into(), "a socket that has no port"),
    ] {
        let mut command = serving_at_stdin(input, &[]);
        command.current_dir(folder.path());
        let shown = cannot_start(command);
        assert!(
            shown.starts_with("error: cannot listen on stdin: ")
                && shown.contains("must be a listening socket"),
            "{what}: {shown}"
        );
        let is_connection = what.starts_with("a connection");
        assert_eq!(
            shown.contains("it is the connection of one client"),
            is_connection,
            "{what}: {shown}"
        );
    }
    assert_eq!(names(folder.path()), ["file", "socket"], "and no Maildir");
}
