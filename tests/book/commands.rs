//! Commands and flags: a reader can type what a page prints.

use smtp_from_scratch::stages::{self, STAGES};
use smtp_from_scratch::{cli, send, wait};

use crate::cargo_test::cargo_test_fault;
use crate::pages;
use crate::support::book::{Page, assert_faultless, fences, prose};
use crate::support::project::{read, root};
use crate::support::shell::{ends_within_quotes, shell_commands};

/// Programs of others that a page may use.
const OTHER_PROGRAMS: [&str; 22] = [
    "base64", "cat", "cd", "curl", "echo", "find", "git", "grep", "head", "ln", "ls", "mv",
    "pkill", "printf", "ps", "python3", "rm", "sleep", "strace", "touch", "ulimit", "yes",
];

#[test]
fn every_command_can_be_typed() {
    let mut faults = Vec::new();
    let mut commands = 0;
    for page in pages() {
        for (number, line) in command_lines(&page) {
            for words in shell_commands(&line) {
                commands += 1;
                let fault = command_fault(&words).or_else(|| stage_fault(&page, &words));
                faults.extend(fault.map(|fault| {
                    let place = page.at(number);
                    format!(
                        "{place}: the page prints\n    {line}\nbut {fault}\nto do: print what works"
                    )
                }));
            }
        }
    }
    assert_faultless(&faults);
    assert!(commands >= STAGES.len());
}

/// Finds the numbered lines of shell: those in fences, and those in prose.
///
/// A line goes on in the next one while a quote in it is open.
fn command_lines(page: &Page) -> Vec<(usize, String)> {
    let starts = ["cargo ", "scripts/", "SMTP_SERVER="];
    let fences = fences(&page.text);
    let shell = fences.iter().filter(|fence| fence.kind == "sh");
    let fenced = shell.flat_map(|fence| whole_lines(fence.start, &fence.lines));
    let spans = prose(&page.text).flat_map(|(number, line)| {
        let typed = move |span: &&str| starts.iter().any(|start| span.starts_with(start));
        let spans = code_spans(line).filter(typed);
        spans.map(move |span| (number, span.to_string()))
    });
    fenced.chain(spans).collect()
}

/// Joins the lines of a fence that an open quote holds together.
fn whole_lines(start: usize, lines: &[&str]) -> Vec<(usize, String)> {
    let mut whole: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (start..).zip(lines) {
        match whole.last_mut() {
            Some((_, last)) if open => *last = format!("{last}\n{line}"),
            _ => whole.push((number, line.to_string())),
        }
        open = whole
            .last()
            .is_some_and(|(_, last)| ends_within_quotes(last));
    }
    whole
}

/// Finds the pieces of code within a line: `like this`.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Finds a fault in a command.
fn command_fault(words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["cargo", "run", ref arguments @ ..] => cargo_run_fault(arguments),
        ["cargo", "test", ref arguments @ ..] => cargo_test_fault(arguments),
        [
            "cargo",
            "build" | "check" | "clippy" | "doc" | "fmt" | "install" | "new" | "init",
            ..,
        ] => None,
        ["target/debug/smtp-from-scratch", ref arguments @ ..] => flags_fault(arguments),
        ["nc", "127.0.0.1" | "localhost", "2525"] => None,
        // The reader is the server (chapter 13).
        ["nc", "-l", "127.0.0.1", "2526"] => None,
        ["target/debug/sendmail", ..] => None,
        ["nc", ..] => Some("the server listens on 127.0.0.1 2525".to_string()),
        [script, ref arguments @ ..] if in_clone(script).starts_with("scripts/") => {
            script_fault(in_clone(script), arguments)
        }
        [program, ..] if OTHER_PROGRAMS.contains(&program) => None,
        _ => Some(format!(
            "this test doesn't know `{}` (if it is right, add it to the test)",
            words.join(" ")
        )),
    }
}

/// Removes the way from the reader's folder to the clone beside it.
fn in_clone(path: &str) -> &str {
    path.strip_prefix("../smtp-from-scratch/").unwrap_or(path)
}

/// Finds a fault in the arguments of `cargo run`.
fn cargo_run_fault(arguments: &[&str]) -> Option<String> {
    let at = arguments.iter().position(|word| *word == "--");
    let (of_cargo, of_ours) = arguments.split_at(at.unwrap_or(arguments.len()));
    let known = ["--release", "--quiet", "--features", "log"];
    if let Some(word) = of_cargo.iter().find(|word| !known.contains(word)) {
        return Some(format!("cargo run takes no {word}"));
    }
    flags_fault(of_ours.get(1..).unwrap_or_default())
}

/// Finds a fault in the flags of our program.
fn flags_fault(flags: &[&str]) -> Option<String> {
    let parsed = cli::parse(flags.iter().map(Into::into));
    parsed.err().map(|error| error.to_string())
}

/// Finds a fault in the call of a script.
fn script_fault(script: &str, arguments: &[&str]) -> Option<String> {
    if !root().join(script).is_file() {
        return Some(format!("there is no {script}"));
    }
    match arguments {
        [] => None,
        [stage] if script == "scripts/talk.sh" && stages::find(stage).is_some() => None,
        [name] if is_situation(script, name) => None,
        // It makes a folder, outside of the clone.
        [folder] if script == "scripts/new.sh" && folder.contains("/") => None,
        _ if script == "scripts/check.sh" => check_fault(arguments),
        [server] | [server, "../my-smtp/mail"]
            if script == "scripts/clients.sh" && server.contains(':') =>
        {
            None
        }
        _ => Some(format!("{script} doesn't take {}", arguments.join(" "))),
    }
}

/// Finds a fault in the arguments of `scripts/check.sh`.
fn check_fault(arguments: &[&str]) -> Option<String> {
    let is_stage = |word: &&&str| stages::find(word).is_some();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let is_right = match *argument {
            "--through" | "--list" => arguments.next().is_some_and(|word| is_stage(&word)),
            "--long" | "--tap" | "--watch" => true,
            "127.0.0.1:2525" => true,
            // The reader's program.
            path => path.starts_with("target/") || path.contains("/target/"),
        };
        if !is_right {
            return Some(format!("scripts/check.sh doesn't take {argument} so"));
        }
    }
    None
}

/// Returns whether the table in `scripts/hostile.py` has a situation of this name.
fn is_situation(script: &str, name: &str) -> bool {
    if script != "scripts/hostile.py" {
        return false;
    }
    let text = read(script);
    let mut table = text
        .lines()
        .skip_while(|line| *line != "SITUATIONS = {")
        .take_while(|line| *line != "}");
    table.any(|line| line.trim_start().starts_with(&format!("\"{name}\":")))
}

/// Finds a stage in a command that isn't the one of the chapter.
fn stage_fault(page: &Page, words: &[String]) -> Option<String> {
    let own = page.chapter?.to_string();
    let mut pairs = words.windows(2);
    let other = pairs
        .find(|pair| ["--stage", "--through"].contains(&pair[0].as_str()) && pair[1] != own)?;
    Some(format!("it says stage {}", other[1]))
}

#[test]
fn every_flag_in_the_text_is_in_the_usage() {
    let usage = [cli::usage(), send::usage(), wait::usage()].concat();
    let mut flags: Vec<&str> = usage.split_whitespace().collect();
    flags.extend(["--through", "--list", "--long", "--tap", "--watch"]);
    let mut faults = Vec::new();
    for page in pages() {
        for (number, line) in prose(&page.text) {
            for span in code_spans(line) {
                let flag = span.split([' ', '=']).next().unwrap_or_default();
                if flag.starts_with("--") && !flags.contains(&flag) {
                    faults.push(format!("{}: there is no flag {flag}", page.at(number)));
                }
            }
        }
    }
    assert_faultless(&faults);
}

#[test]
fn a_command_that_fails_is_reported() {
    let fault = |line: &str| {
        let commands = shell_commands(line);
        commands.iter().find_map(|words| command_fault(words))
    };
    for good in [
        "cargo run -- --stage 4   # the server",
        "cargo run --release --features log",
        "(sleep 1; printf 'a; b | c\\r\\n') | nc 127.0.0.1 2525",
        "SMTP_SERVER=127.0.0.1:2525 cargo test --test typed",
        "scripts/talk.sh 4",
        "scripts/hostile.py idle",
        "scripts/new.sh ../my-server",
    ] {
        assert_eq!(fault(good), None, "{good}");
    }
    for bad in [
        "cargo run -- --stege 4",
        "cargo run -- --stage 99",
        "cargo run --fast",
        "cargo test --test typewritten",
        "printf 'x' | ncc 127.0.0.1 2525",
        "nc 127.0.0.1 2552",
        "scripts/tlak.sh 4",
        "scripts/talk.sh 99",
        "scripts/hostile.py idel",
        "scripts/kill.py idle",
    ] {
        assert!(fault(bad).is_some(), "{bad}");
    }
}
