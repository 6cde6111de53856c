//! Chapter 13: the command `wait`, on Maildirs that the tests fill.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use support::program::program;
use support::scratch::ScratchFolder;

/// A Maildir in a folder of its own.
struct Mails(ScratchFolder);

impl Mails {
    fn new() -> Mails {
        let folder = ScratchFolder::new();
        for name in ["tmp", "new", "cur"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Mails(folder)
    }

    /// Delivers a mail as the server does.
    fn deliver(&self, place: &str, to: &str, subject: &str) -> PathBuf {
        let path = self.0.path().join(place);
        let mail = format!(
            "Return-Path: <ada@example.org>\nDelivered-To: {to}\nSubject: {subject}\n\nSubject: text\n"
        );
        let draft = self.0.path().join("tmp/draft");
        fs::write(&draft, mail).unwrap();
        fs::rename(&draft, &path).unwrap();
        path
    }

    fn wait(&self, arguments: &[&str]) -> Command {
        waiting(self.0.path(), arguments)
    }

    /// The file that is found, within no time at all.
    #[track_caller]
    fn found(&self, arguments: &[&str]) -> Option<PathBuf> {
        let output = self
            .wait(&[&["--timeout=0"], arguments].concat())
            .output()
            .unwrap();
        match output.status.code() {
            Some(0) => Some(PathBuf::from(
                text(&output.stdout).strip_suffix('\n').unwrap(),
            )),
            code => {
                assert_eq!(code, Some(75), "{}", text(&output.stderr));
                None
            }
        }
    }
}

fn waiting(maildir: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .arg("wait")
        .arg("--maildir")
        .arg(maildir)
        .args(arguments);
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn spawned(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn path_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_mail_that_is_there_is_found_in_new_and_in_cur() {
    let mails = Mails::new();
    assert_eq!(mails.found(&[]), None);
    for place in ["cur/1.M2P3Q4.host:2,S", "new/2.M2P3Q4.host"] {
        let path = mails.deliver(place, "bob@example.com", "hi");
        assert_eq!(mails.found(&[]), Some(path.clone()));
        fs::remove_file(path).unwrap();
    }
    // It is not whole yet.
    mails.deliver("tmp/3.M2P3Q4.host", "bob@example.com", "hi");
    assert_eq!(mails.found(&[]), None);
}

#[test]
fn recipient_sender_and_subject_must_fit_all_of_them() {
    let mails = Mails::new();
    mails.deliver("new/1", "eve@example.com", "lunch");
    let path = mails.deliver(
        "new/2",
        "bob@example.com",
        "=?utf-8?Q?Gr=C3=BC=C3=9Fe?= and lunch",
    );
    for (arguments, fits) in [
        (&["--to=bob@example.com"][..], true),
        (
            &[
                "--to=BOB@example.com",
                "--from=ada@example.org",
                "--subject=lunch",
            ],
            true,
        ),
        (&["--to=bob@example.com", "--from=<ada@example.org>"], true),
        (&["--subject=Grüße"], true),
        (&["--to=bob@example.com", "--subject=dinner"], false),
        (&["--to=bob@example.com", "--subject=text"], false),
        (&["--to=bob@example.com", "--from=eve@example.com"], false),
        (&["--to=ob@example.com"], false),
        (&["--from=", "--to=bob@example.com"], false),
    ] {
        assert_eq!(
            mails.found(arguments),
            fits.then(|| path.clone()),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_mail_that_comes_later_is_found_even_if_it_is_moved_at_once() {
    for place in ["new/1", "cur/1:2,S"] {
        let mails = Mails::new();
        mails.deliver("new/0", "eve@example.com", "hi");
        let child = spawned(mails.wait(&["--timeout=60", "--to=bob@example.com"]));
        let path = mails.deliver(place, "bob@example.com", "hi");
        let found = path_of(&child.wait_with_output().unwrap());
        assert_eq!(found, format!("{}\n", path.display()));
    }
}

#[test]
fn from_now_on_what_is_there_does_not_count_wherever_it_is_moved() {
    let mails = Mails::new();
    let path = mails.deliver("new/old", "bob@example.com", "hi");
    assert_eq!(mails.found(&["--since=now"]), None);
    let mut child = spawned(mails.wait(&["--timeout=60", "--since", "now"]));
    fs::rename(path, mails.0.path().join("cur/old:2,S")).unwrap();
    // When it has begun to wait isn't known, so mails come until it is content.
    let mut number = 0;
    while child.try_wait().unwrap().is_none() {
        mails.deliver(&format!("new/{number}"), "bob@example.com", "hi");
        number += 1;
        std::thread::yield_now();
    }
    let found = path_of(&child.wait_with_output().unwrap());
    assert!(!found.contains("old"), "{found}");
}

#[test]
fn from_a_time_on_only_later_mail_counts() {
    let mails = Mails::new();
    let path = mails.deliver("new/1", "bob@example.com", "hi");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let seconds = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (since, fits) in [(seconds - 1, true), (seconds, true), (seconds + 1, false)] {
        let found = mails.found(&["--since", &since.to_string()]);
        assert_eq!(found, fits.then(|| path.clone()), "{since}");
    }
}

#[test]
fn after_the_time_it_says_what_did_come() {
    let mails = Mails::new();
    mails.deliver("new/1", "eve@example.com", "\u{1b}[2J");
    let output = mails
        .wait(&["--timeout=0", "--to=bob@example.com"])
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(75), String::new())
    );
    assert_eq!(
        text(&output.stderr),
        "no mail that fits in 0 seconds\nanother mail, b\"to eve@example.com: \\x1b[2J\"\n"
    );
    let nowhere = mails.0.path().join("nowhere");
    let output = waiting(&nowhere, &["--timeout=0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let expected = format!("; there is no Maildir at {}\n", nowhere.display());
    assert!(text(&output.stderr).ends_with(&expected));
}

#[test]
fn a_wrong_argument_is_named_with_the_usage() {
    for argument in [
        "--timeout=soon",
        "--timeout=-1",
        "--timeout=99999999999999",
        "--since=",
        "--what",
        "bob",
        "--to",
    ] {
        let output = program().args(["wait", argument]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}");
        let problem = text(&output.stderr);
        assert!(
            problem.contains("\nusage: smtp-from-scratch wait "),
            "{problem}"
        );
    }
    let output = program().args(["wait", "--help"]).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).lines().all(|line| line.len() <= 80));
}

#[test]
fn a_mail_that_was_sent_is_found() {
    support::own_servers(
        8..,
        |_| {},
        |server| {
            let address = server.address.to_string();
            let mut command = program();
            command.args([
                "send",
                "--quiet",
                "--server",
                &address,
                "--to=bob@example.com",
            ]);
            command.args(["--from=ada@example.org", "--subject=link", "Cargo.toml"]);
            command.current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(command.output().unwrap().status.success());
            let arguments = [
                "--timeout=0",
                "--to=bob@example.com",
                "--from=ada@example.org",
            ];
            let output = waiting(&server.maildir().path(), &arguments)
                .output()
                .unwrap();
            let path = path_of(&output);
            let mail = fs::read_to_string(path.trim_end()).unwrap();
            assert!(mail.contains("name = \"smtp-from-scratch\""), "{mail}");
            server.maildir().take();
        },
    );
}
