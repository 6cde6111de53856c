//! Chapter 8: the mail is stored. These tests look into the Maildir for the mail that a 250 promised.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use smtp_from_scratch::maildir::Maildir;
use smtp_from_scratch::settings::Settings;
use support::conversation::Conversation;
use support::maildir::names;
use support::player::Split;
use support::preamble::{MAIL_TO_BOB, greeted, within_data};
use support::program::{Client, Server, last_stage, program, serving, serving_within};
use support::scratch::ScratchFolder;
use support::target::Target;
use support::{
    by_default, documented_conversation, ours_only, ours_plays, own_program, own_servers, plays_in,
    plays_in_all_splits, skipped,
};

/// Plays a conversation against each stage from 8 on, followed by `then`.
fn stored_after(text: &str, then: impl Fn(&Target)) {
    stored_with(by_default, text, then);
}

/// Does the same as [`stored_after`], with settings made by `adjust`.
fn stored_with(adjust: impl Fn(&mut Settings), text: &str, then: impl Fn(&Target)) {
    let conversation = Conversation::parse(text);
    own_servers(8.., adjust, |server| {
        plays_in(server, &conversation, Split::LineByLine);
        then(server);
    });
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage08_maildir.rs");
    ours_plays(8.., &documented_conversation(source));
}

#[test]
fn one_accepted_mail_is_one_file_in_new() {
    let text = within_data("C: Hello Bob.\nC: .\nS: 250 ...");
    stored_after(&text, |server| {
        let maildir = server.maildir();
        let count = |folder| maildir.names(folder).len();
        assert_eq!((count("tmp"), count("new"), count("cur")), (0, 1, 0));
    });
}

#[cfg(unix)]
#[test]
fn stored_mail_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let text = within_data("C: Hello Bob.\nC: .\nS: 250 ...");
    stored_after(&text, |server| {
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
    let text = within_data("C: Subject: hi\nC:\nC: Hello.\nC: .\nS: 250 ...");
    stored_after(&text, |server| {
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
        stored_after(
            &format!(
                "S: 220 ...\nC: {other} c.example\nS: 250 ...\nC: {verb} c.example\nS: 250 ...\n\
                 {MAIL_TO_BOB}C: .\nS: 250 ..."
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
fn several_recipients_are_named_in_delivered_to_and_not_in_received() {
    stored_after(
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
fn the_message_follows_the_trace_header_byte_for_byte() {
    stored_after(
        &within_data(
            r#"
            C: b"X: caf\xe9\0\r\n..\r\n\n.\n\r.\r\r\n\x1b[2J\r\n.\r\n"
            S: 250 ...
            "#,
        ),
        |server| {
            let files = server.maildir().take();
            let (_, message) = files[0].parts();
            let expected = b"X: caf\xe9\0\n.\n\n.\n\r.\r\n\x1b[2J\n";
            assert_eq!(
                message.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        },
    );
}

#[test]
fn a_message_cannot_continue_our_trace_header() {
    // RFC 5322, 2.2.3: a line that begins with either continues the field above it.
    for blank in [" ", "\\t"] {
        let text = format!("C: b\"{blank}(or so they say)\\r\\n.\\r\\n\"\nS: 250 ...");
        stored_after(&within_data(&text), |server| {
            let bytes = &server.maildir().take()[0].bytes;
            let text = String::from_utf8(bytes.clone()).unwrap();
            let (trace, message) = text.split_once("\n\n").expect("an empty line between them");
            assert!(trace.ends_with(" +0000"), "{trace}");
            assert_eq!(message.trim_start(), "(or so they say)\n");
        });
    }
}

#[test]
fn nothing_a_client_says_becomes_part_of_a_path() {
    own_program(8, serving(&[]), |server| {
        let replies = server.talk(
            b"HELO ..\r\nMAIL FROM:<\"../../x\"@../y>\r\nMAIL FROM:<\"../../x\"@example.org>\r\n\
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
    });
}

#[test]
fn a_refused_or_cut_off_mail_leaves_no_file() {
    let circles = "C: Received: from a\n".repeat(101);
    let nothing_left = |server: &Target| {
        for folder in ["tmp", "new", "cur"] {
            assert_eq!(server.maildir().names(folder), [""; 0], "{folder}");
        }
    };
    stored_after(
        &within_data(&format!(
            "{circles}C: .\n{{6.3: a mail that goes in circles has many of them}}\nS: 554 ...\n\
             {MAIL_TO_BOB}C: Half a message\n{{the client closes its side}}\n{{the server closes the connection}}"
        )),
        nothing_left,
    );
    stored_with(
        |settings| settings.max_size = 10,
        &within_data("C: 123456789\nC: .\nS: 552 ...\nC: NOOP\nS: 250 ..."),
        nothing_left,
    );
}

#[test]
fn a_message_with_a_hundred_received_fields_is_accepted() {
    let received = "C: Received: from a\n".repeat(100);
    let text = within_data(&format!(
        "{received}C:\nC: Received: or not\nC: .\nS: 250 ..."
    ));
    stored_after(&text, |server| assert_eq!(server.maildir().take().len(), 1));
}

#[test]
fn lines_after_a_header_without_an_empty_line_are_body() {
    // More lines than a header section may have, and more `Received:`.
    let lines = format!("C: {}\n", "x".repeat(900)).repeat(1200);
    let received = "C: Received: five packets\n".repeat(150);
    let text = within_data(&format!(
        "C: Note: a list\n{lines}{received}C: .\nS: 250 ..."
    ));
    stored_after(&text, |server| assert_eq!(server.maildir().take().len(), 1));
}

#[test]
fn an_endless_header_section_is_refused_with_552() {
    let field = format!("C: X: {}\n", "x".repeat(900));
    let text = within_data(&format!(
        "{}C: .\nS: 552 ...\nC: NOOP\nS: 250 ...",
        field.repeat(1200)
    ));
    stored_after(&text, |server| {
        assert_eq!(server.maildir().names("new"), [""; 0])
    });
}

#[test]
fn mail_for_a_missing_maildir_is_answered_with_451_until_it_is_back() {
    for stage in 8..=last_stage().max(8) {
        let command = serving(&["--stage", &stage.to_string()]);
        own_program(stage, command, |server| {
            let maildir = server.folder.path().join("mail");
            let mut client = Client::greeted(&server.address);
            for missing in ["tmp", "new"] {
                let folder = maildir.join(missing);
                let elsewhere = folder.with_extension("elsewhere");
                fs::rename(&folder, &elsewhere).unwrap();
                match missing {
                    // Without tmp no file can be created, and the client hears that at DATA.
                    "tmp" => client.says_data("451"),
                    // Without new the file can't get its name.
                    _ => client.sends_a_mail("451"),
                }
                let problem = server.lines_until(&["cannot be stored: "]).pop().unwrap();
                assert!(
                    problem.contains("[1] the message cannot be stored: "),
                    "{problem}"
                );
                assert!(problem.contains(&format!("/{missing}")), "{problem}");
                fs::rename(&elsewhere, &folder).unwrap();
                assert_eq!(names(&maildir.join("tmp")), [""; 0]);
                // The transaction is over, and the session goes on.
                client.sends_a_mail("250");
            }
            assert_eq!(names(&maildir.join("new")).len(), 2);
        });
    }
}

#[test]
fn two_servers_on_one_maildir_lose_nothing() {
    ours_only(8, || {
        let folder = ScratchFolder::new();
        let maildir = folder.path().join("mail");
        let servers =
            [(); 2].map(|()| Server::start(&["--quiet", "--maildir", maildir.to_str().unwrap()]));
        let senders: Vec<_> = (0..20)
            .map(|number: usize| {
                let address = servers[number % 2].address.clone();
                thread::spawn(move || {
                    let mut client = Client::greeted(address);
                    for _ in 0..10 {
                        client.sends_a_mail("250");
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(names(&maildir.join("new")).len(), 200);
        assert_eq!(names(&maildir.join("tmp")), [""; 0]);
    });
}

#[test]
fn the_file_of_an_oversized_message_is_removed_while_the_rest_arrives() {
    own_servers(
        8..,
        |settings| settings.max_size = 100_000,
        |server| {
            let mut client = Client::within_data(server.address);
            assert_eq!(server.maildir().names("tmp").len(), 1);
            client.says(&[b'x'; 100_001]);
            let start = Instant::now();
            while !server.maildir().names("tmp").is_empty() {
                assert!(start.elapsed() < server.patience, "its file is still there");
            }
            client.says(b"\r\n.\r\n");
            client.hears_codes(&["552"]);
        },
    );
}

#[test]
fn memory_does_not_grow_with_the_message() {
    const MAIL: usize = 8 * 1024 * 1024;
    // The conversation is shown, so what is shown must be bounded as well.
    own_program(8, serving(&[]), |server| {
        let mut client = Client::greeted(&server.address);
        client.sends_a_mail("250");
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
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_lack_of_space_is_answered_with_452_before_the_message() {
    // No file may have a single octet, as on a full disk.
    own_program(8, serving_within("-f 0", ""), |server| {
        let mut client = Client::greeted(&server.address);
        for _ in 0..2 {
            client.says(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nNOOP\r\n");
            client.hears_codes(&["250", "250", "452", "250"]);
        }
        let mail = server.folder.path().join("mail");
        assert_eq!(names(&mail.join("tmp")), [""; 0]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_mail_over_the_system_s_file_size_is_answered_with_452_and_the_server_lives() {
    // Without care a write beyond this limit kills the server with a signal. The unit is 512 octets, or 1,024.
    own_program(8, serving_within("-f 100", ""), |server| {
        let mut client = Client::greeted(&server.address);
        for _ in 0..2 {
            client.begins_a_mail();
            client.says(&b"0123456789\r\n".repeat(20_000));
            client.says(b".\r\n");
            client.hears_codes(&["452"]);
            client.sends_a_mail("250");
        }
        let mail = server.folder.path().join("mail");
        assert_eq!(
            (
                names(&mail.join("tmp")).len(),
                names(&mail.join("new")).len()
            ),
            (0, 2)
        );
    });
}

/// Runs the program under strace with these options, if that works here.
#[cfg(target_os = "linux")]
fn traced(options: &[&str], arguments: &[&str]) -> Option<Command> {
    let mut attempt = Command::new("strace");
    attempt.args(["-o", "/dev/null", "true"]);
    if !attempt.status().is_ok_and(|status| status.success()) {
        skipped("it needs strace, and the right to use it; to install it: apt install strace");
        return None;
    }
    let mut command = Command::new("strace");
    command
        // With -D the server is our child, and strace is a child of the server, so it ends with the test.
        .args(["-D", "-f", "-qqq"])
        .args(options)
        .arg(program().get_program())
        .args(["--quiet", "--listen", "127.0.0.1:0"])
        .args(arguments);
    Some(command)
}

/// Looks at the system calls of the server, in their order.
///
/// The files can't show it: after a kill the system still has all that was written, synced or not.
#[cfg(target_os = "linux")]
#[test]
fn the_file_is_synced_then_renamed_then_its_folder_is_synced_before_the_250() {
    let folder = ScratchFolder::new();
    let calls = folder.path().join("calls");
    let trace = "trace=write,fsync,rename,sendto";
    let Some(command) = traced(&["-y", "-e", trace, "-o", calls.to_str().unwrap()], &[]) else {
        return;
    };
    own_program(8, command, |server| {
        let mut client = Client::greeted(&server.address);
        client.sends_a_mail("250");
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
            ["sendto(", "OK, queued"],
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
    });
}

/// Writes a message whose content shows whether it is whole.
///
/// It repeats its number, and the number decides how often.
fn numbered_mail(number: &str) -> String {
    let lines = 100 + number.len() * 37;
    format!(
        "Subject: {number}\r\n\r\n{}",
        format!("{number}\r\n").repeat(lines)
    )
}

/// Sends mails until the server is gone.
///
/// Returns the numbers of the mails that got their 250.
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
        stream.write_all(b"HELO c\r\n")?;
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

/// Kills a server while eight clients send mails.
///
/// Returns the numbers of the mails that got their 250.
fn promised_before_a_kill(maildir: &Path, round: usize) -> Vec<String> {
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
    // By now some mails have their 250, and others are on their way.
    for _ in 0..20 + round * 7 {
        receiver.recv().unwrap();
    }
    server.child.kill().unwrap();
    let promised = senders.into_iter().map(|sender| sender.join().unwrap());
    promised.flatten().collect()
}

/// Kills servers at a few moments. `scripts/kill.py` does so for longer, with larger mails.
#[test]
fn after_a_kill_every_promised_mail_is_whole_and_the_maildir_is_served_again() {
    ours_only(8, || {
        let folder = ScratchFolder::new();
        let maildir = folder.path().join("mail");
        let promised: BTreeSet<String> = (0..5)
            .flat_map(|round| promised_before_a_kill(&maildir, round))
            .collect();
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
        // All others were on their way when their server died: at most one from each sender.
        assert!(found.len() <= promised.len() + 5 * 8);
        Maildir::open(maildir, "localhost").unwrap();
    });
}

#[test]
fn an_empty_line_separates_our_header_from_a_message_that_has_none() {
    for (message, stored, why) in [
        (
            "Hello Bob, lunch?",
            "\nHello Bob, lunch?\n",
            "it isn't a field",
        ),
        (
            " Hello Bob.",
            "\n Hello Bob.\n",
            "it would continue our last field",
        ),
        (
            "12:30 lunch",
            "12:30 lunch\n",
            "to every reader it is a field named 12",
        ),
        ("Subject: lunch", "Subject: lunch\n", "it is a field"),
        (
            "From ada Sun Nov 22 08:55:53 2026",
            "From ada Sun Nov 22 08:55:53 2026\n",
            "a mailbox file has it on top",
        ),
        ("", "\n", "it is the empty line"),
    ] {
        let text = within_data(&format!("C: {message}\nC: .\nS: 250 ..."));
        stored_after(&text, |server| {
            let files = server.maildir().take();
            let (_, below) = files[0].parts();
            assert_eq!(String::from_utf8_lossy(below), stored, "{why}");
        });
    }
}

#[test]
fn a_long_first_line_is_judged_by_its_beginning() {
    let long = "x".repeat(5000);
    for (first, above) in [(long.clone(), "\n"), (format!("X: {long}"), "")] {
        let text = within_data(&format!("C: {first}\nC: .\nS: 250 ..."));
        let conversation = Conversation::parse(&text);
        own_servers(8.., by_default, |server| {
            plays_in_all_splits(server, &conversation, || {
                let files = server.maildir().take();
                let (_, below) = files[0].parts();
                assert_eq!(String::from_utf8_lossy(below), format!("{above}{first}\n"));
            });
        });
    }
}

#[test]
fn received_is_well_formed_whatever_the_client_s_name() {
    for (name, named) in [
        ("client.example", "client.example ([127.0.0.1])"),
        ("[::1]", "[127.0.0.1] (HELO [::1])"),
        ("host.(none)", "[127.0.0.1] (HELO host.?none?)"),
        (r"a(\b", "[127.0.0.1] (HELO a??b)"),
    ] {
        let text = format!(
            "S: 220 ...\nC: EHLO {name}\nS: 250 ...\n{MAIL_TO_BOB}C: Subject: x\nC: .\nS: 250 ..."
        );
        stored_after(&text, |server| {
            let received = server.maildir().take()[0].parts().0.pop().unwrap();
            let start = format!("Received: from {named} by localhost with ESMTP id ");
            assert!(received.starts_with(&start), "{received}");
        });
    }
}

/// Runs the program on a Maildir whose folder `new` can't be synced.
#[cfg(target_os = "linux")]
fn without_sync_of_new(error: &str, folder: &ScratchFolder) -> Option<Command> {
    let maildir = folder.path().join("mail");
    let new = maildir.join("new");
    let fault = format!("inject=fsync:error={error}");
    let options = ["-o", "/dev/null", "-P", new.to_str().unwrap(), "-e", &fault];
    traced(&options, &["--maildir", maildir.to_str().unwrap()])
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_cannot_sync_names_is_a_warning_at_start() {
    // Many shared and network file systems answer with the first, some with the second.
    for error in ["EINVAL", "EOPNOTSUPP"] {
        let folder = ScratchFolder::new();
        let Some(command) = without_sync_of_new(error, &folder) else {
            return;
        };
        own_program(8, command, |server| {
            let warning = server.next_line();
            assert!(
                warning.starts_with("warning: the file system of "),
                "{warning}"
            );
            assert!(warning.contains("after a power cut"), "{warning}");
            Client::greeted(&server.address).sends_a_mail("250");
            assert_eq!(names(&folder.path().join("mail/new")).len(), 1);
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_new_that_fails_to_sync_is_refused_at_start() {
    ours_only(8, || {
        let folder = ScratchFolder::new();
        let Some(mut command) = without_sync_of_new("EIO", &folder) else {
            return;
        };
        let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
        let mut child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let mut first = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        if !first.is_empty() {
            let _ = child.kill();
        }
        assert_eq!(first, "", "the server starts");
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        assert!(shown.starts_with("error: cannot store mail in "), "{shown}");
        let new = folder.path().join("mail/new");
        let problem = format!("cannot sync {}: ", new.display());
        assert!(shown.contains(&problem), "{shown}");
        assert_eq!(output.status.code(), Some(1), "{shown}");
    });
}
