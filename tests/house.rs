//! The rules of the house, checked on the sources themselves.

mod support;

use std::fs;

use smtp_from_scratch::reply::Reply;
use smtp_from_scratch::stages::STAGES;
use smtp_from_scratch::stages::stage11_auth::status_code;
use support::project::{code, files, modules, read, root, sources};
use support::zoo::MISTAKES;

#[test]
fn the_table_of_stages_matches_the_folder_of_stages() {
    let mut in_folder: Vec<String> = files("src/stages", "rs")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    in_folder.sort();
    assert_eq!(in_folder, modules());
    for (index, stage) in STAGES.iter().enumerate() {
        assert_eq!(stage.number, index + 1);
    }
}

#[test]
fn a_stage_names_no_later_stage() {
    let modules = modules();
    for (index, module) in modules.iter().enumerate() {
        let source = read(format!("src/stages/{module}.rs"));
        for later in &modules[index + 1..] {
            for (number, line) in source.lines().enumerate() {
                assert!(
                    !line.contains(later.as_str()),
                    "src/stages/{module}.rs:{} names {later}, a later stage",
                    number + 1
                );
            }
        }
    }
}

/// Compares with the chapter in the first lines of each shared file.
#[test]
fn a_stage_needs_nothing_of_a_later_chapter() {
    let chapter = |file: &str| {
        let source = read(format!("src/{file}.rs"));
        let head = source.split("\n\n").next().unwrap_or_default();
        let (_, number) = head.split_once("chapter ")?;
        number.split(')').next()?.parse::<usize>().ok()
    };
    for (module, stage) in modules().iter().zip(STAGES) {
        let source = read(format!("src/stages/{module}.rs"));
        for (number, line) in code(&source) {
            assert!(!line.contains("super::super"), "{module}:{number}: {line}");
            for path in line.split("crate::").skip(1) {
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                let file = path.split(|c| !is_name(c)).next().unwrap_or_default();
                if file == "stages" {
                    continue;
                }
                let introduced = chapter(file);
                assert!(
                    introduced.is_some_and(|chapter| chapter <= stage.number),
                    "src/stages/{module}.rs:{number} needs {file} of chapter {introduced:?}"
                );
            }
        }
    }
}

/// The map and the command line know all stages. Faults stand on the last one.
const OUTSIDE_THE_TOWER: [&str; 4] = ["src/lib.rs", "src/cli.rs", "src/start.rs", "src/faulty.rs"];

#[test]
fn the_foot_of_the_tower_names_no_stage() {
    for (name, source) in sources() {
        if name.starts_with("src/stages") || OUTSIDE_THE_TOWER.contains(&name.as_str()) {
            continue;
        }
        for (number, line) in code(&source) {
            assert!(
                !line.contains("stages::"),
                "{name}:{number} names a stage: {line}"
            );
        }
    }
}

/// A later stage that answers a verb again calls the function of its stage, with another function
/// for it to use. It may call through a stage between, which has a function of the same name.
#[test]
fn a_verb_is_handled_in_exactly_one_stage() {
    for (verb, home, function) in [
        ("Helo", "stage03_commands", "hello"),
        ("Ehlo", "stage03_commands", "hello"),
        ("Mail", "stage04_mail", "mail"),
        ("Rcpt", "stage05_rcpt", "rcpt"),
        ("Data", "stage06_data", "data"),
        ("Rset", "stage07_quit", "answer"),
        ("Noop", "stage07_quit", "answer"),
        ("Quit", "stage07_quit", "answer"),
        ("Vrfy", "stage10_extensions", "answer"),
        ("Help", "stage10_extensions", "answer"),
        ("Auth", "stage11_auth", "auth"),
    ] {
        let answers_it = |source: &str| {
            let pattern = format!("Verb::{verb}");
            code(source).any(|(_, line)| line.contains(&pattern))
        };
        let mut stages = modules().into_iter().filter_map(|module| {
            let source = read(format!("src/stages/{module}.rs"));
            answers_it(&source).then_some((module, source))
        });
        let (first, _) = stages.next().unwrap();
        assert_eq!(first, home, "the first stage that answers {verb}");
        let mut homes = vec![first];
        for (later, source) in stages {
            let calls = |home| source.contains(&format!("{home}::{function}("));
            assert!(homes.iter().any(calls), "{later} answers {verb} by itself");
            homes.push(later);
        }
    }
}

/// 354 and 334 are the only replies that are sent from within a handler. The conversation's loop sends the
/// others.
#[test]
fn handlers_return_their_replies() {
    let the_354 = "session.wire.reply(&START_MAIL_INPUT)?;";
    let modules = modules();
    let by_stage = [
        &[][..],
        &["wire.reply(&greeting(&connection.settings.hostname))?;"],
        &[
            "session.wire.reply(&greeting(&session.settings.hostname))?;",
            "session.wire.reply(&reply)?;",
        ],
        &[],
        &[],
        &[the_354],
        &[],
        &[the_354],
        &[
            "session.wire.reply(&too_slow)?;",
            "session.wire.reply(&reply)?;",
        ],
        &[],
        &["session.wire.reply(challenge)?;"],
        &[],
    ];
    assert_eq!(by_stage.len(), modules.len());
    for (module, speaks) in modules.iter().zip(by_stage) {
        let source = read(format!("src/stages/{module}.rs"));
        let said: Vec<&str> = code(&source)
            .map(|(_, line)| line.trim())
            .filter(|line| line.contains(".reply("))
            .collect();
        assert_eq!(said, speaks, "{module}");
    }
}

/// The greeting and the answers to HELO and EHLO have no enhanced status code (RFC 2034, section 3). What is
/// wrong with a path depends on whose it is. That is in chapter 10's conversations, as are the replies that
/// are made while the server runs.
#[test]
fn a_reply_has_an_enhanced_status_code_of_its_class() {
    let mut found = 0;
    for (name, source) in sources() {
        for (constant, reply) in constant_replies(&source) {
            found += 1;
            let status = status_code(&reply);
            let class = format!("{}.", reply.code / 100);
            let has_none = ["NEED_NAME", "NOT_A_PATH", "PATH_TOO_LONG"].contains(&constant);
            if class == "3." || has_none {
                assert_eq!(status, None, "{name}: {constant}");
                continue;
            }
            let status = status.unwrap_or(&reply.text);
            let is_status = status.starts_with(&class)
                && status
                    .chars()
                    .take(5)
                    .all(|c| c.is_ascii_digit() || c == '.');
            assert!(is_status, "{name}: {constant} has no status code {class}");
        }
    }
    assert!(found > 40, "only {found} replies");
}

/// Finds the replies whose text is known at compile time, each with its name.
fn constant_replies(source: &str) -> Vec<(&str, Reply)> {
    let constants = source.split("\npub const ").skip(1);
    let replies = constants.filter_map(|constant| constant.split_once(": Reply ="));
    let read = |(name, value)| Some((name, constant_reply(value)?));
    let replies = replies.map(|constant| read(constant).expect("Reply::new(CODE, \"TEXT\")"));
    replies.collect()
}

/// Reads `Reply::new(CODE, "TEXT")`.
fn constant_reply(value: &str) -> Option<Reply> {
    let arguments = value.trim_start().strip_prefix("Reply::new(")?;
    let (code, text) = arguments.split_once(',')?;
    let (text, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    let mut lines = text.split("\\n\\\n").map(str::trim_start);
    let first = lines.next()?.to_string();
    let text = lines.fold(first, |text, line| text + "\n" + line);
    Some(Reply::with_text(code.trim().parse().ok()?, text))
}

/// Has a conversation that begins differently, and answers no command.
const WITHOUT_ANSWER: &str = "stage12_proxy";

#[test]
fn a_stage_hands_other_commands_to_the_stage_below() {
    let modules = modules();
    for pair in modules[2..].windows(2) {
        let source = read(format!("src/stages/{}.rs", pair[1]));
        if pair[1] == WITHOUT_ANSWER {
            assert!(!source.contains("Verb::") && !source.contains("fn answer("));
            let table = read("src/stages/mod.rs");
            let below = format!("{}::converse(connection, {}::answer)", pair[1], pair[0]);
            assert!(table.contains(&below), "the table has no `{below}`");
            continue;
        }
        let below = format!("_ => {}::answer(session, command),", pair[0]);
        assert!(source.contains(&below), "{} has no `{below}`", pair[1]);
    }
}

#[test]
fn a_stage_opens_with_documentation_that_teaches() {
    for (module, stage) in modules().iter().zip(STAGES) {
        let source = read(format!("src/stages/{module}.rs"));
        let lines: Vec<&str> = source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .collect();
        let text = lines.join("\n");
        assert!(
            text.starts_with(&format!(" Stage {}: ", stage.number)),
            "{module} opens with its number"
        );
        assert!(
            (15..=60).contains(&lines.len()),
            "{module}: {} lines",
            lines.len()
        );
        for part in ["```smtp", "RFC 5321", "What the quick version gets wrong:"] {
            assert!(text.contains(part), "{module} has no {part}");
        }
    }
}

#[test]
fn a_stage_has_unit_tests_a_doctest_and_a_test_file() {
    for module in modules() {
        let source = read(format!("src/stages/{module}.rs"));
        assert!(source.contains("#[test]"), "{module} has unit tests");
        assert!(
            source.contains("/// ```\n/// use smtp_from_scratch::"),
            "{module} has a doctest"
        );
        let tests = read(format!("tests/{module}.rs"));
        assert!(
            tests.contains("fn the_conversation_in_the_documentation_is_true()"),
            "tests/{module}.rs plays the conversation of the documentation"
        );
    }
}

#[test]
fn the_default_build_has_no_dependencies() {
    let manifest = read("Cargo.toml");
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && line.contains('=') {
            let allowed = ["log = ", "env_logger = "]
                .iter()
                .any(|name| line.starts_with(name));
            assert!(
                section == "[dependencies]" && allowed && line.contains("optional = true"),
                "{section} {line}"
            );
        }
    }
    // Cargo needs the crates of an optional feature even when it is off, so they are part of the project.
    let mut vendored: Vec<_> = fs::read_dir(root().join(".cargo/vendor"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    vendored.sort();
    assert_eq!(vendored, ["env_filter", "env_logger", "log"]);
    assert!(
        !manifest.contains("\ndefault = "),
        "no feature is on by default"
    );
    assert!(!root().join("build.rs").exists(), "no build script");
}

#[test]
fn there_is_no_unsafe_code() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    assert!(manifest.contains("missing_docs = \"deny\""));
    let word = ["un", "safe"].concat();
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        for (number, line) in code(&read(&path)) {
            let names_it = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|found| found == word);
            assert!(!names_it, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn code_outside_the_tests_neither_panics_nor_prints() {
    let words = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
        "println!(",
        "eprintln!(",
    ];
    for (name, source) in sources() {
        for (number, line) in code(&source) {
            for word in words {
                assert!(!line.contains(word), "{name}:{number}: {line}");
            }
        }
    }
}

#[test]
fn replies_have_one_exit() {
    // Stage 1 comes before the wire, a Maildir writes to files, patience.rs is the wire's stream, and our own
    // client writes to servers. All other bytes for a client go through the wire.
    let allowed = [
        "src/wire.rs",
        "src/patience.rs",
        "src/stages/stage01_echo.rs",
        "src/terminal.rs",
        "src/start.rs",
        "src/maildir.rs",
        "src/client.rs",
    ];
    for (name, source) in sources() {
        if allowed.contains(&name.as_str()) {
            continue;
        }
        for (number, line) in code(&source) {
            let writes = line.contains("write_all(") || line.contains(".stream.write");
            assert!(!writes, "{name}:{number} writes past the wire: {line}");
        }
    }
}

#[test]
fn the_top_level_has_no_other_folders() {
    let mut found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    found.sort();
    let allowed = ["docs", "mail", "scripts", "src", "target", "tests"];
    for name in found {
        assert!(
            allowed.contains(&name.as_str()),
            "{name}/ doesn't belong at the top level"
        );
    }
}

#[test]
fn every_mistake_is_listed_and_caught() {
    let zoo = read("tests/support/zoo.rs");
    let (_, variants) = zoo.split_once("pub enum Mistake {").unwrap();
    let (variants, _) = variants.split_once('}').unwrap();
    let names = variants.split(',').map(str::trim);
    let names: Vec<&str> = names
        .filter(|name| !["", "None", "NoneInEcho"].contains(name))
        .collect();
    let listed = MISTAKES.map(|(mistake, ..)| format!("{mistake:?}"));
    let mut sorted = [names.clone(), listed.iter().map(String::as_str).collect()];
    sorted.iter_mut().for_each(|names| names.sort());
    assert_eq!(sorted[0], sorted[1], "the variants, and MISTAKES");
    for (mistake, stage, _) in MISTAKES {
        let module = &modules()[stage - 1];
        let source: String = read(format!("tests/{module}.rs"))
            .split_whitespace()
            .collect();
        let mut calls = source.split("catches(").skip(1);
        let end = format!(",Mistake::{mistake:?}");
        let is_caught = calls.any(|call| {
            let arguments = call.split(')').next().unwrap_or_default();
            arguments.trim_end_matches(',').ends_with(&end)
        });
        assert!(is_caught, "tests/{module}.rs doesn't catch {mistake:?}");
    }
}
