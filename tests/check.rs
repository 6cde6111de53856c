//! `scripts/check.sh`, tried on each stage, on the zoo, on the program, and on a server in Python.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use smtp_from_scratch::stages::STAGES;
use support::program::{Server, program, spawn};
use support::project::root;
use support::scratch::ScratchFolder;
use support::target::{start, start_animal};
use support::zoo::{MISTAKES, Mistake};
use support::{by_default, tests_our_tests, works};

/// Says whether the script can be run here. If not, the test is skipped.
fn has_bash() -> bool {
    let works = works("bash");
    if !works {
        support::skipped("it needs bash");
    }
    works
}

fn check_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(root().join("scripts/check.sh"));
    command
        .args(arguments)
        .env_remove("SMTP_PATIENCE")
        .stdin(Stdio::null());
    command
}

/// Makes the command for a server that is silent at some time: the script waits less.
fn hasty_command(arguments: &[&str]) -> Command {
    let mut command = check_command(arguments);
    command.env("SMTP_PATIENCE", "1");
    command
}

/// Runs the script, and returns its exit code and all that it prints.
fn check(arguments: &[&str]) -> (Option<i32>, String) {
    said(&mut check_command(arguments))
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

/// Runs the script, and expects this exit code and this last line.
#[track_caller]
fn checks(arguments: &[&str], code: i32, last_line: &str) -> String {
    ends_with(&mut check_command(arguments), code, last_line)
}

/// Runs a command, and expects this exit code and this last line.
#[track_caller]
fn ends_with(command: &mut Command, code: i32, last_line: &str) -> String {
    let (exit, printed) = said(command);
    assert_eq!(exit, Some(code), "{command:?}\n{printed}");
    let last = printed.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(last_line),
        "{command:?}: expected at the end: {last_line}\n{printed}"
    );
    printed
}

/// Runs `test` on all rows, a few at a time: mostly they wait.
fn for_all<Row: Send>(rows: impl Iterator<Item = Row> + Send, test: impl Fn(Row) + Sync) {
    let rows = Mutex::new(rows);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let row = rows.lock().unwrap().next();
                    let Some(row) = row else { return };
                    test(row);
                }
            });
        }
    });
}

/// Writes what the script says of stages that pass, where it begins with the greeting.
fn passed(last: usize) -> String {
    match last {
        1 => "stage 1 passes".to_string(),
        2 => "stage 2 passes".to_string(),
        // Their tests need flags, or a Maildir.
        8 => format!(
            "{}; stage 8 needs our own server and is left out",
            passed(7)
        ),
        9 => format!(
            "{}; stages 8 and 9 need our own server and are left out",
            passed(7)
        ),
        10 => {
            "stages 2 to 10 pass; stages 8 and 9 need our own server and are left out".to_string()
        }
        11 => "stages 2 to 10 pass; stages 8, 9 and 11 need our own server and are left out"
            .to_string(),
        12 => "stages 2 to 10 pass; stages 8, 9, 11 and 12 need our own server and are left out"
            .to_string(),
        last => format!("stages 2 to {last} pass"),
    }
}

#[test]
fn a_server_of_each_stage_passes_up_to_it_and_sees_the_next() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    for_all(1..=6, |number| {
        let server = start(number, by_default);
        let todo = format!("{}; stage {}: ", passed(number), number + 1);
        let printed = checks(&[&server.address.to_string()], 1, &todo);
        assert!(printed.contains("^ expected: "), "{printed}");
    });
}

#[test]
#[ignore = "it takes long; with the others: cargo test --test check -- --ignored"]
fn a_server_of_each_stage_passes_through_it() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    for_all(1..=STAGES.len(), |number| {
        let server = start(number, by_default);
        let address = server.address.to_string();
        checks(
            &[&address, "--through", &number.to_string()],
            0,
            &passed(number),
        );
    });
}

#[test]
fn stages_that_need_our_own_server_are_left_out() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let last = STAGES.len();
    let server = start(last, by_default);
    let printed = checks(&[&server.address.to_string()], 0, &passed(last));
    for line in [
        "\nYour server serves several clients at once.\n",
        " tests that need our own server\n",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}

/// Lists the mistakes that only the stored mail shows, which a running server doesn't report.
const UNSEEN: [Mistake; 3] = [
    Mistake::OneRecipientOnly,
    Mistake::NoUnstuffing,
    Mistake::InterruptedMessageDelivered,
];

#[test]
#[ignore = "it takes long; with the others: cargo test --test check -- --ignored"]
fn each_mistake_stops_the_check_at_its_stage_and_is_named() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    for_all(MISTAKES.into_iter(), |(mistake, stage, diagnosis)| {
        let animal = start_animal(mistake);
        let address = animal.address.to_string();
        if UNSEEN.contains(&mistake) || stage > 7 {
            checks(&[&address, "--through", "7"], 0, "stages 2 to 7 pass");
            return;
        }
        let before = match stage {
            1 | 2 => String::new(),
            stage => format!("{}; ", passed(stage - 1)),
        };
        let printed = checks(&[&address], 1, &format!("{before}stage {stage}: "));
        assert!(
            printed.contains(diagnosis),
            "{mistake:?}: {diagnosis:?}\n{printed}"
        );
    });
}

/// Starts the server in Python. Without Python the test is skipped.
fn python_server(arguments: &[&str]) -> Option<Server> {
    if !works("python3") {
        support::skipped("it needs python3");
        return None;
    }
    let mut command = Command::new("python3");
    command
        .arg(root().join("tests/check/server.py"))
        .args(arguments);
    Some(Server::spawned(command))
}

#[test]
fn a_server_for_one_client_at_a_time_does_well() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let Some(server) = python_server(&[]) else {
        return;
    };
    let printed = checks(
        &[&server.address, "--through", "3"],
        0,
        "stages 2 to 3 pass",
    );
    assert!(
        printed.contains("Your server serves one client at a time;"),
        "{printed}"
    );
    let printed = checks(&[&server.address], 1, "stages 2 to 3 pass; stage 4: ");
    assert!(
        printed.contains(
            "\nMail without a path is refused with 501\nstage 4, chapter docs/04-mail.md\n"
        ),
        "{printed}"
    );
    assert!(
        printed.contains("    C: MAIL\n    S: 250 fine\n       ^ expected: S: 501 ...\n"),
        "{printed}"
    );
}

#[test]
fn the_test_that_hurt_the_server_is_the_one_that_is_shown() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let head = "\nAn overlong line is skipped to its end\nstage 3, chapter docs/03-commands.md\n";
    for (weakness, story, diagnosis) in [
        (
            "dies",
            "{the server closes the connection}\n    ^ expected: S: 500 ...",
            "Your server died in this conversation",
        ),
        (
            "dies-later",
            "The conversation before went well:",
            "Your server died in this conversation",
        ),
        (
            "hangs",
            "{the server says nothing for seconds}\n    ^ expected: S: 500 ...",
            "Your server is still busy with this conversation",
        ),
    ] {
        let Some(server) = python_server(&[weakness]) else {
            return;
        };
        let mut command = match weakness {
            "hangs" => hasty_command(&[&server.address]),
            _ => check_command(&[&server.address]),
        };
        let printed = ends_with(&mut command, 1, "stage 2 passes; stage 3: 6 of 8");
        for part in [head, story, diagnosis] {
            assert!(printed.contains(part), "{part}\n{printed}");
        }
    }
    let Some(server) = python_server(&["dies"]) else {
        return;
    };
    let (_, printed) = check(&[&server.address, "--tap", "--through", "3"]);
    let rest = "commands in one segment get a reply each # not played: the server is gone\n";
    assert!(printed.contains(rest), "{printed}");
}

#[test]
fn a_program_is_started_for_each_test_and_plays_stage_1_as_well() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let ours = program();
    let path = ours.get_program().to_str().unwrap();
    checks(&[path, "--through", "4"], 0, "stages 1 to 4 pass");
    let printed = checks(&["/bin/sleep", "--through", "2"], 1, "stage 1: 0 of ");
    assert!(
        printed.contains("a server's first line is `listening on ADDRESS:PORT`"),
        "{printed}"
    );
}

#[test]
fn tap_has_a_line_for_each_test() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let server = start(4, by_default);
    let (code, printed) = check(&[&server.address.to_string(), "--tap", "--through", "5"]);
    assert_eq!(code, Some(1), "{printed}");
    let mut lines = printed.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("TAP version 13"));
    let plan = lines.next().unwrap().strip_prefix("1..").unwrap();
    let mut count = 0;
    for (at, line) in lines.enumerate() {
        count = at + 1;
        let fine = line.strip_prefix("not ").unwrap_or(line);
        assert!(fine.starts_with(&format!("ok {count} - stage ")), "{line}");
        let fails = line.contains("stage 5: ") && !line.contains(" # SKIP it ");
        assert_eq!(line.starts_with("not "), fails, "{line}");
    }
    assert_eq!(plan, count.to_string());
}

#[test]
fn the_list_of_a_stage_is_its_specification() {
    if !has_bash() {
        return;
    }
    let (code, printed) = check(&["--list", "7"]);
    assert_eq!(code, Some(0), "{printed}");
    let first = "Rset drops the whole transaction\nNoop changes nothing\n";
    assert!(printed.starts_with(first), "{printed}");
    assert!(
        !printed.contains("caught") && !printed.contains('_'),
        "{printed}"
    );
}

#[test]
fn the_long_list_has_the_conversations() {
    if !has_bash() {
        return;
    }
    let (code, printed) = check(&["--list", "7", "--long"]);
    assert_eq!(code, Some(0), "{printed}");
    let first = "Rset drops the whole transaction\n    S: 220 ...\n    C: EHLO client.example\n";
    assert!(printed.starts_with(first), "{printed}");
    assert!(printed.contains("\n    {4.1.1.5: "), "{printed}");
}

#[test]
fn help_is_the_explanation_at_the_head() {
    if !has_bash() {
        return;
    }
    let (code, printed) = check(&["--help"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("Says how far a server is"), "{printed}");
    assert!(!printed.contains("set -euo"), "{printed}");
}

#[test]
fn nobody_there_is_one_line() {
    if !has_bash() {
        return;
    }
    let expected =
        "nobody listens on 127.0.0.1:1: start your server, leave it running, and check again\n";
    assert_eq!(check(&["127.0.0.1:1"]), (Some(1), expected.to_string()));
}

#[test]
fn arguments_without_a_meaning_are_explained() {
    if !has_bash() {
        return;
    }
    for (arguments, why) in [
        (&[][..], "usage: "),
        (
            &["2525"],
            "2525 is neither HOST:PORT, such as 127.0.0.1:2525, nor a program\n",
        ),
        (
            &["127.0.0.1:2525", "--through", "13"],
            "--through takes a stage from 1 to 12\n",
        ),
        (
            &["127.0.0.1:2525", "--list"],
            "--list takes a stage from 1 to 12\n",
        ),
        (
            &["127.0.0.1:70000"],
            "a port is a number from 1 to 65535, and not 70000\n",
        ),
        (
            &["tests/check/server.py"],
            "tests/check/server.py can't be started from here: start it yourself",
        ),
        (&["127.0.0.1:2525", "--fast"], "there is no --fast\n"),
        (
            &["127.0.0.1:2525", "127.0.0.1:2526"],
            "one server at a time, please\n",
        ),
    ] {
        let (code, printed) = check(arguments);
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.starts_with(why), "{printed}");
    }
}

#[test]
#[cfg(unix)]
fn without_cargo_it_says_where_to_get_it() {
    if !has_bash() {
        return;
    }
    let folder = ScratchFolder::new();
    for tool in ["bash", "env", "dirname"] {
        let Some(found) = support::in_path(tool) else {
            return support::skipped(&format!("it needs {tool}"));
        };
        std::os::unix::fs::symlink(found, folder.path().join(tool)).unwrap();
    }
    let mut command = check_command(&["127.0.0.1:1"]);
    let output = command.env("PATH", folder.path()).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.starts_with("this needs cargo"), "{printed}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn watching_checks_again_when_the_server_is_back() {
    if !has_bash() || !tests_our_tests() {
        return;
    }
    let first = Server::start(&["--quiet", "--stage", "3"]);
    let mut watch = check_command(&[&first.address, "--through", "4", "--watch"]);
    // It is killed, so it can't remove its files.
    let folder = ScratchFolder::new();
    watch.env("TMPDIR", folder.path()).stdout(Stdio::piped());
    let mut watching = Watching(watch.spawn().unwrap());
    let printed = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let (sender, lines) = channel();
    thread::spawn(move || {
        printed
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let until = |wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{wanted}: {error}"));
            if line.starts_with(wanted) {
                return;
            }
        }
    };
    until("stages 2 to 3 pass; stage 4: 0 of ");
    until("waiting for ");
    let address = first.address.clone();
    drop(first);
    // Even a quick restart is noticed.
    let mut command = program();
    command.args(["--quiet", "--stage", "4", "--listen", &address]);
    let (server, ..) = spawn(command);
    let _server = Watching(server);
    until("stages 2 to 4 pass");
}

/// Holds a process, which is killed after the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_list_takes_no_server() {
    if !has_bash() {
        return;
    }
    for arguments in [
        &["--list", "3", "--long", "127.0.0.1:2525"][..],
        &["--list", "3", "--tap"],
    ] {
        let (code, printed) = check(arguments);
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.starts_with("--list plays nothing"), "{printed}");
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_ignores_the_signal_to_end_is_stopped() {
    use std::os::unix::fs::PermissionsExt;

    if !has_bash() {
        return;
    }
    let folder = ScratchFolder::new();
    let path = folder.path().join("stubborn");
    let text = "#!/bin/sh\ntrap '' TERM\nexec sleep 3600\n";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.to_str().unwrap();
    checks(&[path], 1, &format!("{path} doesn't end with --help"));
}
