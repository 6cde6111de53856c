//! The shape of a chapter: its title, its minutes, its sections, and what each section has.

use std::path::Path;

use crate::items::is_test;
use crate::links::links;
use crate::support::book::{Page, assert_faultless, chapters, parts};
use crate::support::project::read;
use crate::support::typed::SEEN;

/// A check of one part of a section.
type PartFault = fn(&[&str]) -> Option<&'static str>;

/// The sections of a chapter, in this order, with the check of their parts.
///
/// The last may be called *Where you are* as well, or have that after it.
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
    let last = found.get(wanted.len() - 1);
    let ends = last.is_some_and(|last| wanted.contains(last) || *last == "## Where you are");
    // The last chapter of a part may look back.
    if !found.starts_with(&wanted[..wanted.len() - 1]) || !ends || found.len() > wanted.len() + 1 {
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

/// Checks that a step has a piece, and then says what there is to see.
fn step_fault(step: &[&str]) -> Option<&'static str> {
    let code = step
        .iter()
        .position(|line| ["```rust", "```diff"].contains(line));
    let marker = step.iter().rposition(|line| line.starts_with(SEEN));
    let marker = match (marker, code) {
        // What is prepared has nothing to show yet.
        (None, None) => return None,
        (Some(marker), Some(code)) if code < marker => marker,
        _ => return Some("no code with `**What you see now.**` after it"),
    };
    let paragraph = step[marker..].iter().take_while(|line| !line.is_empty());
    let words: usize = paragraph.map(|line| line.split_whitespace().count()).sum();
    let own_words = words - SEEN.split_whitespace().count();
    (own_words < 5)
        .then_some("`**What you see now.**` shows nothing: at least a sentence follows it")
}

/// Checks that a trap links to a test that catches it.
fn trap_fault(trap: &[&str]) -> Option<&'static str> {
    let is_caught = trap.iter().flat_map(|line| links(line)).any(|(_, target)| {
        let (file, name) = target.split_once('#').unwrap_or((target, ""));
        file.ends_with(".rs") && is_test(&read(Path::new("docs").join(file)), name)
    });
    (!is_caught).then_some("no link to the test that catches it")
}

/// Checks that an exercise has a folded answer, or a solution.
fn exercise_fault(exercise: &[&str]) -> Option<&'static str> {
    let text = exercise.join("\n");
    let count = |part: &str| text.matches(part).count();
    let opened = count("<details>\n<summary>");
    let folded = ["Answer", "Solution"]
        .iter()
        .any(|word| text.contains(&format!("<details>\n<summary>{word}</summary>\n\n")));
    let is_closed = opened == count("\n\n</details>") && opened == count("<details>");
    (!folded || !is_closed).then_some("no folded answer")
}

/// The third line says how long it takes to read, and how long to type.
///
/// `*20 minutes to read, 25 to type. ...*`
#[test]
fn every_chapter_says_how_many_minutes_it_takes() {
    for page in chapters() {
        let lines = page
            .text
            .lines()
            .skip(2)
            .take_while(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join(" ");
        let sentence = text.split(". ").next().unwrap_or_default();
        let numbers = sentence.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<usize> = numbers.filter_map(|number| number.parse().ok()).collect();
        let is_honest =
            numbers.len() == 2 && numbers.iter().all(|number| (5..=150).contains(number));
        assert!(
            is_honest
                && ["minutes", "read", "typ"]
                    .iter()
                    .all(|word| sentence.contains(word)),
            "{} says how many minutes it takes to read, and how many to type: {sentence}",
            page.at(3)
        );
    }
}

#[test]
fn a_part_without_what_belongs_to_it_is_reported() {
    let code = "```rust";
    let marker = "**What you see now.** The server says 220 by itself.";
    let step = |lines: &[&str]| step_fault(&[&["### One"], lines].concat());
    assert_eq!(step(&[code, "fn a() {}", "```", marker]), None);
    assert!(step(&[marker, code, "fn a() {}", "```"]).is_some());
    assert!(step(&[code, "fn a() {}", "```"]).is_some());
    let bare = [
        "**What you see now.**",
        "",
        "A sentence that comes too late.",
    ];
    assert!(step(&[&[code, "fn a() {}", "```"], &bare[..]].concat()).is_some());

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
