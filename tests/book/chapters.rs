//! The shape of a chapter: its title, its minutes, its sections, and what each section has.

use std::path::Path;

use crate::items::is_test;
use crate::links::links;
use crate::support::book::{Page, assert_faultless, chapters, parts};
use crate::support::project::read;

/// A check of one part of a section.
type PartFault = fn(&[&str]) -> Option<&'static str>;

/// The sections of a chapter, in this order, with the check of their parts.
const SECTIONS: [(&str, Option<PartFault>); 8] = [
    ("## What you'll have at the end", None),
    ("## The idea", None),
    ("## The code", Some(step_fault)),
    ("## Talk to it", None),
    ("## What the quick version gets wrong", Some(trap_fault)),
    ("## What the RFC says", None),
    ("## Exercises", Some(exercise_fault)),
    ("## What this chapter added", None),
];

#[test]
fn every_chapter_has_the_same_shape() {
    let faults: Vec<String> = chapters().iter().flat_map(shape_faults).collect();
    assert_faultless(&faults);
}

/// Finds what a chapter lacks.
fn shape_faults(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    let title = format!("# {}. ", page.stage());
    if !page.text.starts_with(&title) {
        faults.push(format!("{}: it opens with {title:?}", page.at(1)));
    }
    let sections = parts(&page.text, "## ");
    let found: Vec<&str> = sections.iter().map(|(_, lines)| lines[0]).collect();
    let wanted = SECTIONS.map(|(heading, _)| heading);
    // The last chapter of a part may look back.
    if !found.starts_with(&wanted) || found.len() > wanted.len() + 1 {
        faults.push(format!("{}: {found:?} instead of {wanted:?}", page.path));
        return faults;
    }
    let (line, outcome) = &sections[0];
    if !outcome.iter().any(|line| line.starts_with("```smtp")) {
        faults.push(format!("{}: no conversation", page.at(*line)));
    }
    for (line, section) in &sections {
        if section.iter().filter(|line| !line.is_empty()).count() < 2 {
            faults.push(format!("{}: an empty section", page.at(*line)));
        }
    }
    for ((line, section), (_, part_fault)) in sections.iter().zip(SECTIONS) {
        let Some(part_fault) = part_fault else {
            continue;
        };
        let text = section.join("\n");
        let parts = parts(&text, "### ");
        if parts.is_empty() {
            faults.push(format!("{}: no parts", page.at(*line)));
        }
        for (at, part) in parts {
            let place = page.at(line + at - 1);
            faults.extend(part_fault(&part).map(|fault| format!("{place}: {fault}")));
        }
    }
    faults
}

/// Checks that a step prints code, and then says what there is to see.
fn step_fault(step: &[&str]) -> Option<&'static str> {
    let first = |start: &str| step.iter().position(|line| line.starts_with(start));
    let (code, marker) = (first("```rust src/"), first("**What you see now.**"));
    (code.is_none() || code >= marker).then_some("no code with `**What you see now.**` after it")
}

/// Checks that a trap links to a test that catches it.
fn trap_fault(trap: &[&str]) -> Option<&'static str> {
    let is_caught = trap.iter().flat_map(|line| links(line)).any(|(_, target)| {
        let (file, name) = target.split_once('#').unwrap_or((target, ""));
        file.ends_with(".rs") && is_test(&read(Path::new("docs").join(file)), name)
    });
    (!is_caught).then_some("no link to the test that catches it")
}

/// Checks that an exercise has one folded answer.
fn exercise_fault(exercise: &[&str]) -> Option<&'static str> {
    let text = exercise.join("\n");
    let once = |part: &str| text.matches(part).count() == 1;
    let is_folded = once("<details>\n<summary>Answer</summary>\n\n") && once("\n\n</details>");
    (!is_folded).then_some("no folded answer")
}

#[test]
fn every_chapter_says_how_many_minutes_it_takes() {
    for page in chapters() {
        let line = page.text.lines().nth(2).unwrap_or_default();
        let minutes = line.split_once(" minutes").and_then(|(before, _)| {
            let number = before.trim_start_matches(['*', '_']);
            number.parse::<usize>().ok()
        });
        assert!(
            minutes.is_some_and(|minutes| (15..=30).contains(&minutes)),
            "{} says how many minutes it takes, 15 to 30: {line}",
            page.at(3)
        );
    }
}

#[test]
fn a_part_without_what_belongs_to_it_is_reported() {
    let code = "```rust src/wire.rs";
    let marker = "**What you see now.** Nothing.";
    assert_eq!(
        step_fault(&["### One", code, "fn a() {}", "```", marker]),
        None
    );
    assert!(step_fault(&["### One", marker, code, "fn a() {}", "```"]).is_some());
    assert!(step_fault(&["### One", code, "fn a() {}", "```"]).is_some());

    let test = "[a](../tests/book/chapters.rs#every_chapter_has_the_same_shape)";
    let function = "[a](../tests/book/chapters.rs#trap_fault)";
    assert_eq!(trap_fault(&["### One", test]), None);
    assert!(trap_fault(&["### One", function]).is_some());

    let opening = ["<details>", "<summary>Answer</summary>", "", "No.", ""];
    assert_eq!(
        exercise_fault(&[&opening[..], &["</details>"]].concat()),
        None
    );
    assert!(exercise_fault(&opening).is_some());
}
