//! The command line, on the real binary.

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use support::maildir::names;
use support::program::{Client, Server, program, serving, serving_within, spawn};
use support::scratch::ScratchFolder;

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
        b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@h.i>\r\nDATA\r\n123456\r\n.\r\nQUIT\r\n",
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
            .any(|line| line.starts_with("stage 9 (limits): "))
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
    ] {
        assert!(shown.contains(word), "{word}");
    }
    assert!(shown.contains("  1 echo      an echo server\n"), "{shown}");
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
            "--stage takes a number from 1 to 9 or a name",
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
        (
            &["--hostname", "a b"],
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
    for stage in ["1", "2", "3", "9"] {
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

#[test]
fn the_start_of_a_long_command_is_shown() {
    let server = Server::start(&[]);
    let client = server.connect();
    client.says(&[b"NOOP ", &[b'x'; 600][..], b"\r\n"].concat());
    let shown = server.lines_until(&["S: 500"]);
    let cut = format!("[1] C: NOOP {}...", "x".repeat(507));
    assert!(shown.contains(&cut), "{shown:?}");
}
