//! Chapter 8: the mail is kept. What a 250 promises is looked for in the Maildir.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Instant;

use smtp_from_scratch::maildir::Maildir;
use smtp_from_scratch::settings::Settings;
use support::conversation::Conversation;
use support::maildir::{ScratchFolder, names};
use support::player::Split;
use support::program::{Client, Server, serving_within};
use support::target::{Target, started};
use support::{documented_conversation, needs_our_own_server, ours_plays, plays_in, skipped};

/// A mail from Ada to Bob, up to the 354.
const TO_BOB: &str = "
    C: MAIL FROM:<ada@example.org>
    S: 250 ...
    C: RCPT TO:<bob@example.com>
    S: 250 ...
    C: DATA
    S: 354 ...
";

/// Plays a conversation against each stage from 8 on, all in one Maildir for each, and then looks at
/// what it kept.
#[track_caller]
fn kept_after(text: &str, then: impl Fn(&Target)) {
    kept_with(|_| (), text, then);
}

/// The same, with the settings that `adjust` makes.
#[track_caller]
fn kept_with(adjust: impl Fn(&mut Settings), text: &str, then: impl Fn(&Target)) {
    if !needs_our_own_server() {
        return;
    }
    let conversation = Conversation::parse(text);
    for server in started(&(8..), adjust) {
        plays_in(&server, &conversation, Split::LineByLine);
        then(&server);
    }
}

fn greeted(lines: &str) -> String {
    format!("S: 220 ...\nC: EHLO client.example\nS: 250 ...\n{lines}")
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage08_maildir.rs");
    ours_plays(8.., &documented_conversation(source));
}

#[test]
fn one_accepted_mail_is_one_file_in_new() {
    let text = greeted(&format!("{TO_BOB}C: Hello Bob.\nC: .\nS: 250 ..."));
    kept_after(&text, |server| {
        let maildir = server.maildir();
        let count = |folder| maildir.names(folder).len();
        assert_eq!((count("tmp"), count("new"), count("cur")), (0, 1, 0));
    });
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_mail() {
    use std::os::unix::fs::PermissionsExt;

    let text = greeted(&format!("{TO_BOB}C: Hello Bob.\nC: .\nS: 250 ..."));
    kept_after(&text, |server| {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = server.maildir().path();
        let name = &server.maildir().names("new")[0];
        assert_eq!(mode(&folder.join("new").join(name)), 0o600);
        for private in [folder.clone(), folder.join("tmp"), folder.join("new")] {
            assert_eq!(mode(&private), 0o700, "{}", private.display());
        }
    });
}

#[test]
fn the_trace_header_is_on_top_in_its_order() {
    let text = greeted(&format!(
        "{TO_BOB}C: Subject: hi\nC:\nC: Hello.\nC: .\nS: 250 ..."
    ));
    kept_after(&text, |server| {
        let [file] = &server.maildir().take()[..] else {
            panic!("one mail, one file");
        };
        let (fields, message) = file.parts();
        let [return_path, delivered_to, received] = &fields[..] else {
            panic!("three fields: {fields:?}");
        };
        assert_eq!(return_path, "Return-Path: <ada@example.org>");
        assert_eq!(delivered_to, "Delivered-To: bob@example.com");
        let id = file.name.split('.').nth(1).unwrap();
        let start = format!(
            "Received: from client.example ([127.0.0.1]) by localhost with ESMTP id {id} \
             for <bob@example.com>; "
        );
        assert!(received.starts_with(&start), "{received}");
        assert!(received.ends_with(" +0000"), "{received}");
        assert_eq!(message, b"Subject: hi\n\nHello.\n");
    });
}

#[test]
fn received_says_smtp_after_helo_and_esmtp_after_ehlo() {
    for (verb, protocol) in [("HELO", " with SMTP id "), ("EHLO", " with ESMTP id ")] {
        let other = if verb == "HELO" { "EHLO" } else { "HELO" };
        kept_after(
            &format!(
                "S: 220 ...\nC: {other} c.example\nS: 250 ...\nC: {verb} c.example\nS: 250 ...\n\
                 {TO_BOB}C: .\nS: 250 ..."
            ),
            |server| {
                let files = server.maildir().take();
                let received = files[0].parts().0.pop().unwrap();
                assert!(received.contains(protocol), "{received}");
            },
        );
    }
}

#[test]
fn every_recipient_is_delivered_to_and_none_is_named_in_received() {
    kept_after(
        &greeted(
            "
            C: MAIL FROM:<>
            S: 250 ...
            C: RCPT TO:<bob@example.com>
            S: 250 ...
            C: RCPT TO:<carol@example.com>
            S: 250 ...
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            ",
        ),
        |server| {
            let files = server.maildir().take();
            let (fields, _) = files[0].parts();
            assert_eq!(
                fields[..3],
                [
                    "Return-Path: <>",
                    "Delivered-To: bob@example.com",
                    "Delivered-To: carol@example.com"
                ]
            );
            assert!(!fields[3].contains(" for "), "{}", fields[3]);
        },
    );
}

#[test]
fn what_is_below_the_trace_header_is_the_message_byte_for_byte() {
    kept_after(
        &greeted(&format!(
            r#"{TO_BOB}
            C: b"caf\xe9\0\r\n..\r\n\n.\n\r.\r\r\n\x1b[2J\r\n.\r\n"
            S: 250 ...
            "#
        )),
        |server| {
            let files = server.maildir().take();
            let (_, message) = files[0].parts();
            let expected = b"caf\xe9\0\n.\n\n.\n\r.\r\n\x1b[2J\n";
            assert_eq!(
                message.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        },
    );
}

#[test]
fn a_message_cannot_continue_our_trace_header() {
    for blank in [" ", "\\t"] {
        let text = format!("{TO_BOB}C: b\"{blank}(or so they say)\\r\\n.\\r\\n\"\nS: 250 ...");
        kept_after(&greeted(&text), |server| {
            let bytes = &server.maildir().take()[0].bytes;
            let text = String::from_utf8(bytes.clone()).unwrap();
            let (trace, message) = text.split_once("\n\n").expect("an empty line between them");
            assert!(trace.ends_with(" +0000"), "{trace}");
            assert_eq!(message.trim_start(), "(or so they say)\n");
        });
    }
}

#[test]
fn what_a_client_says_is_never_part_of_a_path() {
    if !needs_our_own_server() {
        return;
    }
    let server = Server::start(&[]);
    let replies = server.talk(
        b"EHLO ..\r\nMAIL FROM:<\"../../x\"@../y>\r\nMAIL FROM:<\"../../x\"@example.org>\r\n\
          RCPT TO:<\"/../../etc/x\"@example.com>\r\nRCPT TO:</etc/x@example.com>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
    );
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(
        codes,
        [
            "220", "250", "501", "250", "250", "250", "354", "250", "221"
        ]
    );
    assert_eq!(names(server.folder.path()), ["mail"]);
    let [name] = &names(&server.folder.path().join("mail/new"))[..] else {
        panic!("one mail, one file");
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(name.chars().all(plain), "{name}");
}

#[test]
fn a_mail_that_was_refused_or_cut_off_leaves_nothing() {
    let circles = "C: Received: from a\n".repeat(101);
    let nothing_left = |server: &Target| {
        for folder in ["tmp", "new", "cur"] {
            assert_eq!(server.maildir().names(folder), [""; 0], "{folder}");
        }
    };
    kept_after(
        &greeted(&format!(
            "{TO_BOB}{circles}C: .\n{{6.3: a mail that goes in circles has many of them}}\nS: 554 ...\n\
             {TO_BOB}C: Half a message\n{{the client closes its side}}\n{{the server closes the connection}}"
        )),
        nothing_left,
    );
    kept_with(
        |settings| settings.max_size = 10,
        &greeted(&format!(
            "{TO_BOB}C: 123456789\nC: .\nS: 552 ...\nC: NOOP\nS: 250 ..."
        )),
        nothing_left,
    );
}

#[test]
fn a_mail_that_was_received_a_hundred_times_is_taken() {
    let received = "C: Received: from a\n".repeat(100);
    let text = greeted(&format!(
        "{TO_BOB}{received}C:\nC: Received: or not\nC: .\nS: 250 ..."
    ));
    kept_after(&text, |server| assert_eq!(server.maildir().take().len(), 1));
}

#[test]
fn a_header_section_without_an_end_is_552() {
    let field = format!("C: X: {}\n", "x".repeat(900));
    let text = greeted(&format!(
        "{TO_BOB}{}C: .\nS: 552 ...\nC: NOOP\nS: 250 ...",
        field.repeat(1200)
    ));
    kept_after(&text, |server| {
        assert_eq!(server.maildir().names("new"), [""; 0])
    });
}

#[test]
fn a_maildir_that_is_gone_is_451_until_it_is_back() {
    if !needs_our_own_server() {
        return;
    }
    for server in started(&(8..), |_| ()) {
        let mut client = Client::connected(server.address);
        client.says(b"EHLO c\r\n");
        client.hears_codes(&["220", "250"]);
        // Without the first no file can be made, without the second it can't get its name.
        for missing in ["tmp", "new"] {
            let folder = server.maildir().path().join(missing);
            let elsewhere = folder.with_extension("elsewhere");
            fs::rename(&folder, &elsewhere).unwrap();
            sends_a_mail(&mut client, "451");
            fs::rename(&elsewhere, &folder).unwrap();
            for empty in ["tmp", "new"] {
                assert_eq!(server.maildir().names(empty), [""; 0]);
            }
            sends_a_mail(&mut client, "250");
            assert_eq!(server.maildir().take().len(), 1);
        }
    }
}

/// A client in the middle of a session, and the whole of a mail.
fn sends_a_mail(client: &mut Client, code: &str) {
    client.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    client.hears_codes(&["250", "250", "354"]);
    client.says(b"hi\r\n.\r\n");
    client.hears_codes(&[code]);
}

#[test]
fn two_servers_on_one_maildir_lose_nothing() {
    if !needs_our_own_server() {
        return;
    }
    let folder = ScratchFolder::new();
    let maildir = folder.path().join("mail");
    let servers =
        [(); 2].map(|()| Server::start(&["--quiet", "--maildir", maildir.to_str().unwrap()]));
    let senders: Vec<_> = (0..20)
        .map(|number: usize| {
            let address = servers[number % 2].address.clone();
            thread::spawn(move || {
                let mut client = Client::connected(address);
                client.says(b"EHLO c\r\n");
                client.hears_codes(&["220", "250"]);
                for _ in 0..10 {
                    sends_a_mail(&mut client, "250");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(names(&maildir.join("new")).len(), 200);
    assert_eq!(names(&maildir.join("tmp")), [""; 0]);
}

#[test]
fn a_refused_mail_takes_no_room_while_the_rest_of_it_comes() {
    if !needs_our_own_server() {
        return;
    }
    for server in started(&(8..), |settings| settings.max_size = 100_000) {
        let mut client = Client::within_data(server.address);
        assert_eq!(server.maildir().names("tmp").len(), 1);
        client.says(&[b'x'; 100_001]);
        let start = Instant::now();
        while !server.maildir().names("tmp").is_empty() {
            assert!(start.elapsed() < server.patience, "its file is still there");
        }
        client.says(b"\r\n.\r\n");
        client.hears_codes(&["552"]);
    }
}

#[test]
fn memory_does_not_grow_with_the_message() {
    if !needs_our_own_server() {
        return;
    }
    const MAIL: usize = 8 * 1024 * 1024;
    // Shown or not: what is shown is its beginning.
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.says(b"EHLO c\r\n");
    client.hears_codes(&["220", "250"]);
    sends_a_mail(&mut client, "250");
    let before = server.memory_kib("VmHWM:");
    let address = &server.address;
    let line = [&[b'x'; 78][..], b"\r\n"].concat();
    let block = line.repeat(MAIL / 64 / line.len());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::within_data(address);
                for _ in 0..64 {
                    client.says(&block);
                }
                client.says(b".\r\n");
                client.hears_codes(&["250"]);
            });
        }
    });
    let folder = server.folder.path().join("mail/new");
    let sizes = names(&folder)
        .into_iter()
        .map(|name| fs::metadata(folder.join(name)).unwrap().len());
    let large = sizes.filter(|&size| size > 7 * 1024 * 1024).count();
    assert_eq!(large, 4);
    if let (Some(before), Some(after)) = (before, server.memory_kib("VmHWM:")) {
        assert!(
            after < before + 1024,
            "from {before} to {after} KiB for four mails of 8 MiB"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mail_over_the_limit_of_files_is_452_and_the_server_lives() {
    if !needs_our_own_server() {
        return;
    }
    // To write beyond this limit is to be killed by a signal. (The unit is 512 octets, or 1,024.)
    let server = Server::spawned(serving_within("-f 100", ""));
    let mut client = server.connect();
    client.says(b"EHLO c\r\n");
    client.hears_codes(&["220", "250"]);
    for _ in 0..2 {
        client.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        client.hears_codes(&["250", "250", "354"]);
        client.says(&b"0123456789\r\n".repeat(20_000));
        client.says(b".\r\n");
        client.hears_codes(&["452"]);
        sends_a_mail(&mut client, "250");
    }
    let mail = server.folder.path().join("mail");
    assert_eq!(
        (
            names(&mail.join("tmp")).len(),
            names(&mail.join("new")).len()
        ),
        (0, 2)
    );
}

/// After a kill the system still has what was written and not synced, so no look at the files tells. This
/// one looks at what the server asks the system for, in which order.
#[cfg(target_os = "linux")]
#[test]
fn the_mail_is_synced_then_named_then_its_name_is_synced_and_then_it_is_250() {
    if !needs_our_own_server() {
        return;
    }
    let traced = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        skipped("it needs strace, and the right to use it; to install it: apt install strace");
        return;
    }
    let folder = ScratchFolder::new();
    let calls = folder.path().join("calls");
    let mut command = std::process::Command::new("strace");
    command
        // -D: the server is our child, and strace is its; so it ends with the test.
        .args([
            "-D",
            "-f",
            "-y",
            "-e",
            "trace=write,fsync,rename,sendto",
            "-o",
        ])
        .arg(&calls)
        .arg(env!("CARGO_BIN_EXE_smtp-from-scratch"))
        .args(["--quiet", "--listen", "127.0.0.1:0"]);
    let server = Server::spawned(command);
    let mut client = server.connect();
    client.says(b"EHLO c\r\n");
    client.hears_codes(&["220", "250"]);
    sends_a_mail(&mut client, "250");
    client.says(b"QUIT\r\n");
    client.hears_codes(&["221"]);
    let calls = fs::read_to_string(calls).unwrap();
    let after_data: Vec<&str> = calls
        .lines()
        .skip_while(|line| !line.contains("354 "))
        .take_while(|line| !line.contains("221 "))
        .collect();
    let in_order = [
        ["write(", "/mail/tmp/"],
        ["fsync(", "/mail/tmp/"],
        ["rename(", "mail/new/"],
        ["fsync(", "/mail/new>"],
        ["sendto(", "250 OK, queued"],
    ];
    let seen: Vec<&[&str; 2]> = after_data
        .iter()
        .filter_map(|line| {
            in_order
                .iter()
                .find(|call| call.iter().all(|part| line.contains(part)))
        })
        .collect();
    assert!(
        seen.iter().copied().eq(&in_order),
        "expected these calls: {in_order:?}\nfound: {seen:?}\namong: {after_data:#?}"
    );
}

/// A mail whose content tells whether it is whole: the number of the mail, many times.
fn numbered_mail(number: &str) -> String {
    let lines = 100 + number.len() * 37;
    format!(
        "Subject: {number}\r\n\r\n{}",
        format!("{number}\r\n").repeat(lines)
    )
}

/// Sends mails until the server is gone. Returns the numbers of those that got their 250.
fn send_until_it_dies(address: &str, sender: &str, promised_one: impl Fn()) -> Vec<String> {
    let mut promised = Vec::new();
    let mut talk = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let mut replies = BufReader::new(stream.try_clone()?);
        let mut hears = |code: &str| -> std::io::Result<()> {
            let mut line = String::new();
            replies.read_line(&mut line)?;
            match line.starts_with(code) && line.ends_with('\n') {
                true => Ok(()),
                false if line.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
                false => panic!("expected {code}, heard {line:?}"),
            }
        };
        hears("220")?;
        stream.write_all(b"EHLO c\r\n")?;
        hears("250")?;
        for number in 0.. {
            let number = format!("{sender}-{number}");
            stream.write_all(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")?;
            hears("250")?;
            hears("250")?;
            hears("354")?;
            write!(stream, "{}.\r\n", numbered_mail(&number))?;
            hears("250")?;
            promised.push(number);
            promised_one();
        }
        Ok(())
    };
    // It ends when the server is killed.
    let _ = talk();
    promised
}

/// `scripts/kill.sh` does the same for longer, with larger mails, at random moments.
#[test]
fn what_was_promised_is_whole_after_a_kill_and_the_same_maildir_is_served_again() {
    if !needs_our_own_server() {
        return;
    }
    let folder = ScratchFolder::new();
    let maildir = folder.path().join("mail");
    let mut promised = BTreeSet::new();
    for round in 0..5 {
        let mut server = Server::start(&["--quiet", "--maildir", maildir.to_str().unwrap()]);
        let address = server.address.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        let senders: Vec<_> = (0..8)
            .map(|number| {
                let (address, sender) = (address.clone(), sender.clone());
                let name = format!("{round}-{number}");
                thread::spawn(move || {
                    send_until_it_dies(&address, &name, || {
                        let _ = sender.send(());
                    })
                })
            })
            .collect();
        // In the middle of it: some have their 250, some are on their way.
        for _ in 0..20 + round * 7 {
            receiver.recv().unwrap();
        }
        server.child.kill().unwrap();
        for sender in senders {
            promised.extend(sender.join().unwrap());
        }
    }
    let new = maildir.join("new");
    let mut found = BTreeSet::new();
    for name in names(&new) {
        let mail = fs::read_to_string(new.join(name)).unwrap();
        let (_, message) = mail.split_once("Subject: ").expect("no mail is cut");
        let (number, _) = message.split_once('\n').expect("no mail is cut");
        assert_eq!(
            format!("Subject: {message}"),
            numbered_mail(number).replace("\r\n", "\n"),
            "{number} is cut"
        );
        assert!(found.insert(number.to_string()), "{number} is there twice");
    }
    let lost: Vec<_> = promised.difference(&found).collect();
    assert!(lost.is_empty(), "promised and lost: {lost:?}");
    // What more there is was on its way when its server died: at most one from each sender.
    assert!(found.len() <= promised.len() + 5 * 8);
    Maildir::open(maildir, "localhost").unwrap();
}
