//! Chapter 13: the command `send`, run as a program, and the same program under the name sendmail.

mod support;

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use smtp_from_scratch::mail::{Envelope, Mail};
use support::counterpart::Counterpart;
use support::program::program;
use support::scratch::ScratchFolder;

/// A server that takes a mail to `to` up to the 354.
fn taking(to: &str) -> String {
    format!(
        "S: 220 x\nC: EHLO client.example\nS: 250 x\nC: MAIL FROM:<ada@example.org>\nS: 250 OK
         C: RCPT TO:<{to}>\nS: 250 OK\nC: DATA\nS: 354 go on"
    )
}

const MAIL: &str = "Subject: hi\n\nHello\n";
const SENT: &str = r#"C: b"Subject: hi\r\n\r\nHello\r\n.\r\n""#;

/// Runs a command with this standard input.
fn with_input(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its arguments doesn't read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The command `send` with these arguments.
fn send(server: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["send", "--server", server, "--helo", "client.example"]);
    command.args(["--from", "ada@example.org"]).args(arguments);
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Runs `send` to Bob against a server that plays this conversation. Returns the exit code and the last
/// line that is printed.
#[track_caller]
fn outcome(conversation: &str, arguments: &[&str]) -> (i32, String) {
    let server = Counterpart::plays(&format!("{conversation}\n{{silence}}"));
    let arguments = [&["--to", "bob@example.com"], arguments].concat();
    let output = with_input(send(&server.address, &arguments), MAIL);
    server.ends_content();
    let shown = text(&output.stdout) + &text(&output.stderr);
    let last = shown.lines().last().unwrap_or_default();
    (output.status.code().unwrap(), last.to_string())
}

#[test]
fn each_outcome_has_its_exit_code_and_its_line() {
    let taking = taking("bob@example.com");
    for (conversation, code, line) in [
        (
            format!("{taking}\n{SENT}\nS: 250 queued\nC: QUIT\nS: 221 bye"),
            0,
            "bob@example.com: accepted (250 queued)",
        ),
        (
            format!("{taking}\n{SENT}\nS: 451-not\nS: 451 now\nC: QUIT\nS: 221 bye"),
            75,
            "bob@example.com: refused for now (451 not now)",
        ),
        (
            format!("{taking}\n{SENT}\nS: 554 spam\nC: QUIT\nS: 221 bye"),
            69,
            "bob@example.com: refused (554 spam)",
        ),
        (
            format!("{taking}\n{SENT}\n{{the server closes the connection}}"),
            4,
            "bob@example.com: unknown, it may have arrived (the server closed the connection)",
        ),
        (
            // A line that the server chose must not look like one of ours.
            taking.replace(
                "354 go on",
                "250-x\nS: 250 eve@example.com: accepted (250 OK)",
            ),
            75,
            "bob@example.com: not sent (the reply to DATA was 250 x eve@example.com: accepted (250 OK))",
        ),
        (
            format!("{taking}\n{SENT}\nS: 250 \u{1b}[2J\nC: QUIT\nS: 221 bye"),
            0,
            r#"bob@example.com: accepted (250 b"\x1b[2J")"#,
        ),
    ] {
        assert_eq!(
            outcome(&conversation, &["--quiet"]),
            (code, line.to_string())
        );
        let (shown_code, shown_line) = outcome(&conversation, &[]);
        assert_eq!((shown_code, shown_line.as_str()), (code, line));
    }
}

#[test]
fn some_accepted_is_neither_success_nor_failure() {
    let conversation = format!(
        "S: 220 x\nC: EHLO client.example\nS: 250 x\nC: MAIL FROM:<ada@example.org>\nS: 250 OK
         C: RCPT TO:<bob@example.com>\nS: 250 OK\nC: RCPT TO:<eve@example.com>\nS: 550 no
         C: DATA\nS: 354 go on\n{SENT}\nS: 250 OK\nC: QUIT\nS: 221 bye"
    );
    let (code, line) = outcome(&conversation, &["--to=<eve@example.com>"]);
    assert_eq!(
        (code, line.as_str()),
        (3, "eve@example.com: refused (550 no)")
    );
}

#[test]
fn a_conversation_that_does_not_begin_has_an_exit_code_too() {
    for (conversation, code, problem) in [
        ("S: 421 later", 75, "421 later"),
        ("S: 554 never", 69, "554 never"),
        ("S: 554-never\nS: 554 ever", 69, "554 never ever"),
        ("S: 220 x\nC: EHLO client.example\nS: 550 no", 69, "550 no"),
        (
            "{the server closes the connection}",
            75,
            "the server closed the connection",
        ),
        (
            "S: 220 \u{1b}[2J\nC: EHLO client.example\nS: 5\u{1b}",
            75,
            r#"the server sent no reply, but b"5\x1b""#,
        ),
    ] {
        let (exit_code, line) = outcome(conversation, &[]);
        assert_eq!(exit_code, code);
        assert!(
            line.starts_with("error: 127.0.0.1:") && line.ends_with(problem),
            "{line}"
        );
    }
    // Nobody listens where somebody just did.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let output = with_input(send(&address, &["--to", "bob@example.com"]), MAIL);
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn what_can_not_be_sent_is_not_tried() {
    for (arguments, code) in [
        (&["--to", "no address"][..], 65),
        (&["--to", "bob@example.com\r\nDATA"], 65),
        (&["--to", "bob@example.com", "/nowhere/at/all"], 66),
        (&["--to", "bob@example.com", "--user", "ada"], 2),
        (&["--to"], 2),
        (&[], 2),
        (&["--to", "bob@example.com", "--subject", "a\nb"], 2),
        (&["--to", "bob@example.com", "--what"], 2),
        (&["--to", "bob@example.com", "--server", "localhost"], 2),
        (
            &["--to", "bob@example.com", "--server", "localhost:smtp"],
            2,
        ),
        (&["--to", "b\u{9b}2J@example.com"], 65),
    ] {
        let server = Counterpart::plays("S: 220 x\nC: EHLO client.example\nS: 250 x");
        let mut command = send(&server.address, arguments);
        command.env_remove("SMTP_PASSWORD");
        let output = with_input(command, MAIL);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let problem = text(&output.stderr);
        assert!(problem.starts_with("error: "), "{arguments:?}");
        let is_usage = code == 2 && !arguments.contains(&"--user");
        assert_eq!(problem.contains("\nexit codes:\n"), is_usage, "{problem}");
    }
}

#[test]
fn some_refused_for_now_and_some_for_good_may_be_tried_again() {
    let conversation = "S: 220 x\nC: EHLO client.example\nS: 250 x
         C: MAIL FROM:<ada@example.org>\nS: 250 OK\nC: RCPT TO:<bob@example.com>\nS: 450 later
         C: RCPT TO:<eve@example.com>\nS: 550 no\nC: QUIT\nS: 221 bye";
    assert_eq!(outcome(conversation, &["--to=eve@example.com"]).0, 75);
}

#[test]
fn a_login_that_is_refused_has_its_own_code_and_no_password_is_shown() {
    let plain = "S: 250 AUTH PLAIN\nC: AUTH PLAIN AGFkYQBzM2NyZXQ=";
    let by_login = "S: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWRh
         S: 334 UGFzc3dvcmQ6\nC: czNjcmV0";
    for (login, reply, code) in [
        (plain, "535 no", 77),
        (plain, "454 not now", 75),
        (plain, "421 bye", 75),
        (plain, "235 OK", 0),
        (by_login, "535 no", 77),
        (by_login, "235 OK", 0),
    ] {
        let server = Counterpart::plays(&format!(
            "S: 220 x\nC: EHLO client.example\nS: 250-x\n{login}\nS: {reply}"
        ));
        let mut command = send(&server.address, &["--probe", "--user", "ada"]);
        command.env("SMTP_PASSWORD", "s3cret");
        let output = with_input(command, "");
        assert_eq!(output.status.code(), Some(code));
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(shown.contains("C: AUTH ...\n"), "{shown}");
        for secret in ["AGFk", "s3cret", "YWRh", "czNj"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_probe_says_ehlo_and_quit() {
    let conversation = "S: 220 x\nC: EHLO client.example\nS: 250 x\nC: QUIT\nS: 221 bye";
    assert_eq!(
        outcome(conversation, &["--probe", "--quiet"]),
        (0, String::new())
    );
}

#[test]
fn the_usage_names_every_exit_code() {
    let output = program().args(["send", "--help"]).output().unwrap();
    assert!(output.status.success());
    let usage = text(&output.stdout);
    for (code, meaning) in smtp_from_scratch::send::EXIT_CODES {
        assert!(usage.contains(&format!("{code:2}  {meaning}\n")), "{code}");
    }
    for line in usage.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

/// Runs a command with this input against our own last stage. Returns the mails that it stored.
#[track_caller]
fn stored(command: impl Fn(&str) -> Command, input: &str) -> Vec<Mail> {
    let mails = RefCell::new(Vec::new());
    support::own_servers(
        12..,
        |_| {},
        |server| {
            let output = with_input(command(&server.address.to_string()), input);
            assert!(output.status.success(), "{}", text(&output.stderr));
            mails
                .borrow_mut()
                .extend(server.maildir().take().iter().map(|file| file.mail()));
        },
    );
    mails.into_inner()
}

#[test]
fn a_message_without_a_header_section_gets_one() {
    let arguments = [
        "--to",
        "bob@example.com",
        "--to",
        "eve@example.com",
        "--subject",
        "Grüße",
    ];
    let mails = stored(|server| send(server, &arguments), "Hallo Bäb\n");
    let message = text(&mails[0].message);
    let (section, body) = message.split_once("\n\n").unwrap();
    for line in [
        "From: ada@example.org",
        "To: bob@example.com,",
        " eve@example.com",
        "Subject: =?utf-8?B?R3LDvMOfZQ==?=",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ] {
        assert!(
            section.lines().any(|found| found == line),
            "{line}: {section}"
        );
    }
    for name in ["Date: ", "Message-ID: <"] {
        assert!(section.contains(&format!("\n{name}")), "{section}");
    }
    assert_eq!(body, "Hallo Bäb\n");
}

#[test]
fn an_empty_message_gets_a_header_section_too() {
    let arguments = ["--to", "bob@example.com", "--subject", "it is done"];
    let mails = stored(|server| send(server, &arguments), "");
    let message = text(&mails[0].message);
    let (section, body) = message.split_once("\n\n").unwrap();
    assert!(section.contains("\nSubject: it is done\n"), "{section}");
    assert_eq!(body, "");
}

#[test]
fn a_message_with_a_header_section_is_sent_as_it_is_without_bcc_and_without_the_mailbox_line() {
    let input = "From ada Sun Nov 22 08:55:53 2026\nSubject: hi\nBcc: eve@example.com,\n x@y.z\nX: y\n\n.\n\nFrom here\n";
    let mails = stored(|server| send(server, &["--to", "bob@example.com"]), input);
    assert_eq!(
        text(&mails[0].message),
        "Subject: hi\nX: y\n\n.\n\nFrom here\n"
    );
    assert_eq!(mails[0].envelope.forward_paths, ["bob@example.com"]);
}

#[test]
fn a_mail_from_nobody_names_the_mailer() {
    let arguments = ["--from=<>", "--to", "bob@example.com"];
    let mails = stored(|server| send(server, &arguments), "Hello\n");
    assert_eq!(mails[0].envelope.reverse_path, "");
    let message = text(&mails[0].message);
    assert!(
        message.starts_with("From: MAILER-DAEMON@client.example\n"),
        "{message}"
    );
}

#[test]
fn a_text_that_begins_with_from_is_no_mailbox_file() {
    let text_alone = "From 10:00 to 12:30 there is lunch.\nBye\n";
    let mails = stored(
        |server| send(server, &["--to", "bob@example.com"]),
        text_alone,
    );
    let message = text(&mails[0].message);
    assert!(message.starts_with("From: ada@example.org\n"), "{message}");
    assert!(message.ends_with(&format!("\n\n{text_alone}")), "{message}");
}

#[test]
fn a_header_that_hides_a_bcc_is_not_sent() {
    let server = Counterpart::plays("S: 220 x\nC: EHLO client.example\nS: 250 x");
    let input = "To: bob@example.com\nX Odd: y\nBcc: eve@example.com\n\nHello\n";
    let output = with_input(send(&server.address, &["-t"]), input);
    assert_eq!(output.status.code(), Some(65));
    let expected = "error: a line in the header is no field: X Odd: y\n";
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn a_bcc_behind_a_bare_cr_is_left_out_too() {
    let input = "To: bob@example.com\nSubject: hi\rBcc: eve@example.com\r\nX: y\r\rHello\r";
    let mails = stored(|server| send(server, &["-t"]), input);
    assert_eq!(
        mails[0].envelope.forward_paths,
        ["bob@example.com", "eve@example.com"]
    );
    assert_eq!(
        text(&mails[0].message),
        "To: bob@example.com\nSubject: hi\nX: y\n\nHello\n"
    );
}

#[test]
fn the_recipients_in_the_header_get_the_mail_once() {
    let input = "To: Bob <bob@example.com>, eve@example.com\nCC: \"x, y\" <eve@example.com>\nbcc: z@example.com\n\nhi\n";
    let mails = stored(
        |server| {
            let arguments = ["-t", "--to", "a@example.com", "--to=eve@example.com"];
            send(server, &arguments)
        },
        input,
    );
    assert_eq!(
        mails[0].envelope.forward_paths,
        [
            "a@example.com",
            "eve@example.com",
            "bob@example.com",
            "z@example.com"
        ]
    );
    assert!(!text(&mails[0].message).contains("bcc"));
}

#[cfg(unix)]
#[test]
fn as_sendmail_it_takes_what_php_cron_and_git_give_it() {
    let folder = ScratchFolder::on_disk();
    let link = folder.path().join("sendmail");
    std::os::unix::fs::symlink(fs::canonicalize(program().get_program()).unwrap(), &link).unwrap();
    let sendmail = |server: &str, arguments: &[&str]| {
        let mut command = Command::new(&link);
        command.env("SEND_SERVER", server).args(arguments);
        command
    };
    let message = "To: bob@example.com\nSubject: hi\n\nHello\n.\nBye\n";
    let cut = "To: bob@example.com\nSubject: hi\n\nHello\n";
    for (arguments, expected) in [
        ("-t -i -fada@example.org", message),
        (
            "-FCronDaemon -i -odi -oem -oi -t -f ada@example.org",
            message,
        ),
        ("-f ada@example.org -oi -- bob@example.com", message),
        ("-t -f <ada@example.org> -F Ada", cut),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mails = stored(|server| sendmail(server, &arguments), message);
        let envelope = Envelope {
            reverse_path: "ada@example.org".to_string(),
            forward_paths: vec!["bob@example.com".to_string()],
            smtputf8: false,
        };
        assert_eq!(mails[0].envelope, envelope);
        // What every message must have is added, above.
        let whole = text(&mails[0].message);
        let added = whole
            .strip_suffix(expected)
            .unwrap_or_else(|| panic!("{whole}"));
        let names: Vec<&str> = added
            .lines()
            .filter_map(|line| line.split(": ").next())
            .collect();
        assert_eq!(names, ["From", "Date", "Message-ID"]);
    }
    let host_name = smtp_from_scratch::send::Request::default().host_name;
    for arguments in [
        // Debian's cron, and that of Fedora.
        "-i -FCronDaemon -B8BITMIME -oem root",
        "-FCronDaemon -i -odi -oem -oi -t -f root",
        // mutt, with dsn_notify and dsn_return.
        "-oem -oi -N never -R hdrs -- root",
        "-ti",
    ] {
        let arguments: Vec<&str> = ["-f", "root"]
            .into_iter()
            .chain(arguments.split(' '))
            .collect();
        let mails = stored(|server| sendmail(server, &arguments), "To: root\n\n.\n");
        let root = format!("root@{host_name}");
        let envelope = &mails[0].envelope;
        assert_eq!(
            (&envelope.reverse_path, &envelope.forward_paths[..]),
            (&root, &[root.clone()][..])
        );
        assert!(text(&mails[0].message).ends_with("\nTo: root\n\n.\n"));
    }
    // What it accepts is nobody's news: cron would make a mail of it.
    support::own_servers(
        12..,
        |_| {},
        |server| {
            let server = server.address.to_string();
            let output = with_input(sendmail(&server, &["-i", "bob@example.com"]), message);
            assert_eq!(
                (text(&output.stdout), text(&output.stderr)),
                (String::new(), String::new())
            );
            let output = with_input(sendmail(&server, &["-bs"]), "");
            assert_eq!(output.status.code(), Some(2));
        },
    );
}
