//! Phrases that have no place in a book that prints all of its code.

use crate::support::book::assert_faultless;
use crate::support::typed::typed_pages;

/// They tell the reader to leave something out. Each is in lower case; `#` is a digit.
const PHRASES: [&str; 12] = [
    "pass over",
    "passed over",
    "for chapter #",
    "for chapters #",
    "you can skip",
    "you may skip",
    "can be skipped",
    "skip them",
    "skip these",
    "skip this",
    "skip the rest",
    "ignore them for now",
];

#[test]
fn no_chapter_tells_its_reader_to_pass_over_code() {
    let mut faults = Vec::new();
    for page in typed_pages() {
        for (line, phrase) in found(&page.text) {
            faults.push(format!(
                "{}: the chapters don't say {phrase:?}\nto do: print what is needed here, and only that",
                page.at(line)
            ));
        }
    }
    assert_faultless(&faults);
}

/// Finds the phrases in a text, each with the number of the line where it begins.
///
/// A phrase may go on in the next line.
fn found(text: &str) -> Vec<(usize, &'static str)> {
    let text = text.to_lowercase();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let joined = format!("{line} {}", next.trim_start_matches(['/', '!', ' ']));
        let joined = joined.replace(|c: char| c.is_ascii_digit(), "#");
        for phrase in PHRASES {
            let begins = joined.match_indices(phrase).map(|(start, _)| start);
            if begins.into_iter().any(|start| start < line.len()) {
                found.push((at + 1, phrase));
            }
        }
    }
    found
}

#[test]
fn a_phrase_is_found_across_lines() {
    assert_eq!(found("a\nPass\nover b\n"), [(2, "pass over")]);
    assert_eq!(
        found("/// That is for\n/// chapter 9.\n"),
        [(1, "for chapter #")]
    );
    assert_eq!(
        found("The server skips the rest of the line.\nIn chapter 9.\n"),
        []
    );
}
