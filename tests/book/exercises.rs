//! Exercises: each names the test that is its own.

use crate::pages;
use crate::support::book::{Page, assert_faultless};
use crate::support::project::read;
use crate::support::shell::shell_commands;

/// A test in `tests/exercises.rs`.
struct Judge {
    name: String,
    /// What its attribute says: `chapter 4: VRFY`
    exercise: String,
}

fn judges(source: &str) -> Vec<Judge> {
    let lines: Vec<&str> = source.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let exercise = pair[0].strip_prefix("#[ignore = \"exercise of ")?;
        let name = pair[1].strip_prefix("fn ")?.split('(').next()?;
        Some(Judge {
            name: name.to_string(),
            exercise: exercise.strip_suffix("\"]")?.to_string(),
        })
    });
    pairs.collect()
}

/// Finds the commands on a page that name another exercise's test. Adds the names of the tests to `named`.
///
/// Among the exercises the heading is the title in the test's attribute. Elsewhere the chapter counts.
fn foreign_tests(page: &Page, judges: &[Judge], named: &mut Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut part, mut heading) = ("", "");
    for (number, line) in (1..).zip(page.text.lines()) {
        if let Some(title) = line.strip_prefix("## ") {
            (part, heading) = (title, "");
        } else if let Some(title) = line.strip_prefix("### ") {
            heading = title;
        }
        for words in shell_commands(&line.replace('`', ";")) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ["cargo", "test", "--test", "exercises", filter @ ..] = &words[..] else {
                continue;
            };
            let name = filter.iter().find(|word| !word.starts_with('-'));
            let wanted = match (page.chapter, part) {
                (Some(chapter), "Exercises") => format!("chapter {chapter}: {heading}"),
                (Some(chapter), _) => format!("chapter {chapter}: "),
                (None, _) => continue,
            };
            let meant = judges
                .iter()
                .filter(|judge| name.is_some_and(|name| judge.name.contains(name)));
            let meant: Vec<&Judge> = meant.collect();
            let is_own = |judge: &&Judge| match part {
                "Exercises" => judge.exercise == wanted,
                _ => judge.exercise.starts_with(&wanted),
            };
            match meant[..] {
                [judge] if is_own(&judge) => named.push(judge.name.clone()),
                _ => {
                    let found = meant.iter().map(|judge| judge.exercise.as_str());
                    faults.push(format!(
                        "{}: this should name the one test of {wanted:?}, but names that of {:?}:\n    {line}",
                        page.at(number),
                        found.collect::<Vec<_>>(),
                    ));
                }
            }
        }
    }
    faults
}

#[test]
fn every_exercise_names_its_own_test() {
    let judges = judges(&read("tests/exercises.rs"));
    let mut named = Vec::new();
    let mut faults: Vec<String> = pages()
        .iter()
        .flat_map(|page| foreign_tests(page, &judges, &mut named))
        .collect();
    let unnamed = judges.iter().filter(|judge| !named.contains(&judge.name));
    faults.extend(unnamed.map(|judge| {
        format!(
            "tests/exercises.rs: no page names {}, of {:?}",
            judge.name, judge.exercise
        )
    }));
    assert_faultless(&faults);
    assert!(!judges.is_empty());
}

#[test]
fn the_test_of_another_exercise_is_reported() {
    let source = "#[test]\n#[ignore = \"exercise of chapter 1: One\"]\nfn one() {\n}\n\n\
        #[test]\n#[ignore = \"exercise of chapter 1: Two\"]\nfn two() {\n";
    let judges = judges(source);
    let faults = |part: &str, heading: &str, name: &str| {
        let command = format!("cargo test --test exercises -- --ignored {name}");
        let page = Page {
            path: "docs/01-x.md".to_string(),
            chapter: Some(1),
            text: format!("## {part}\n\n### {heading}\n\n```sh\n{command}\n```\n"),
        };
        foreign_tests(&page, &judges, &mut Vec::new()).len()
    };
    assert_eq!(faults("Exercises", "One", "one"), 0);
    assert_eq!(faults("Build it", "A line", "one"), 0);
    for (heading, name) in [("One", "two"), ("Two", "one"), ("One", "o"), ("One", "")] {
        assert_eq!(faults("Exercises", heading, name), 1, "{heading}, {name}");
    }
}
