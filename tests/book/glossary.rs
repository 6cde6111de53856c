//! The glossary: it has each term that a chapter sets in bold, and says which chapter explains it.

use crate::links::links;
use crate::support::book::{assert_faultless, prose};
use crate::support::project::{read, root};
use crate::support::typed::typed_pages;

const GLOSSARY: &str = "docs/glossary.md";

#[test]
fn every_term_in_bold_is_in_the_glossary() {
    assert!(root().join(GLOSSARY).is_file(), "there is no {GLOSSARY}");
    let entries = entries(&read(GLOSSARY));
    let mut faults = Vec::new();
    for page in typed_pages() {
        for (line, term) in terms(&page.text) {
            if !entries
                .iter()
                .any(|entry| entry.term == term.to_lowercase())
            {
                faults.push(format!(
                    "{}: {GLOSSARY} has no entry **{term}**\nto do: add it, with a link to the chapter; bold is for terms, and for sentences",
                    page.at(line)
                ));
            }
        }
    }
    assert_faultless(&faults);
}

#[test]
fn every_entry_of_the_glossary_leads_to_the_chapter_that_explains_it() {
    assert!(root().join(GLOSSARY).is_file(), "there is no {GLOSSARY}");
    let entries = entries(&read(GLOSSARY));
    assert!(!entries.is_empty(), "an entry begins with its **term**");
    let mut faults = Vec::new();
    for entry in entries {
        let says = |chapter: &String| {
            let text = read(format!("docs/{chapter}")).to_lowercase();
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(&entry.term)
        };
        let place = format!("{GLOSSARY}:{}", entry.line);
        if entry.chapters.is_empty() {
            faults.push(format!(
                "{place}: no link to a chapter, such as [4](04-mail.md)"
            ));
        } else if !entry.chapters.iter().any(says) {
            let chapters = entry.chapters.join(", ");
            faults.push(format!(
                "{place}: {chapters} doesn't have the words {:?}",
                entry.term
            ));
        }
    }
    assert_faultless(&faults);
}

/// An entry: its term in lower case, its line, and the chapters that it links to.
struct Entry {
    term: String,
    line: usize,
    chapters: Vec<String>,
}

/// Reads the entries. Each is a paragraph, an element of a list or a row that begins with its term.
fn entries(glossary: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in prose(glossary) {
        let start = line.trim_start_matches(['-', '*', '|', ' ']);
        let is_start = line.len() - start.len() >= 2 && line.contains("**");
        if let Some((term, _)) = start.split_once("**").filter(|_| is_start) {
            entries.push(Entry {
                term: term.to_lowercase(),
                line: number,
                chapters: Vec::new(),
            });
        }
        let chapters = links(line).into_iter().filter_map(|(_, target)| {
            let page = target.split('#').next().unwrap_or_default();
            let is_chapter = page.starts_with(|c: char| c.is_ascii_digit()) || page == "fast.md";
            is_chapter.then(|| page.to_string())
        });
        if let Some(entry) = entries.last_mut() {
            entry.chapters.extend(chapters);
        }
    }
    entries
}

/// Finds the terms in bold, each with its line. A whole sentence, or the start of a paragraph that ends
/// in a full stop, is no term.
fn terms(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The line and the words so far, within bold.
    let mut open: Option<(usize, String)> = None;
    for (number, line) in prose(text) {
        if line.is_empty() {
            open = None;
        }
        let mut in_code = false;
        let mut rest = line;
        if let Some((_, words)) = &mut open {
            words.push(' ');
        }
        while let Some(character) = rest.chars().next() {
            if character == '`' {
                in_code = !in_code;
            }
            if !in_code && rest.starts_with("**") {
                match open.take() {
                    Some((number, words)) => found.push((number, words.trim().to_string())),
                    None => open = Some((number, String::new())),
                }
                rest = &rest[2..];
                continue;
            }
            if let Some((_, words)) = &mut open {
                words.push(character);
            }
            rest = &rest[character.len_utf8()..];
        }
    }
    found.retain(|(_, words)| !words.ends_with(['.', '?', '!', ':']));
    found
}

#[test]
fn terms_are_told_from_sentences() {
    let text = "A **reverse-path** and a **mail\ntransaction**. **What you see now.** `a ** b` **no\n\n\
        **A refused command changes nothing.**\n";
    let found: Vec<(usize, String)> = terms(text);
    let found: Vec<(usize, &str)> = found
        .iter()
        .map(|(at, term)| (*at, term.as_str()))
        .collect();
    assert_eq!(found, [(1, "reverse-path"), (1, "mail transaction")]);
}

#[test]
fn an_entry_is_its_term_and_the_links_up_to_the_next() {
    let glossary =
        "# Glossary\n\n**Bounce**: a\nreport ([4](04-mail.md)).\n\n- **octet**: eight bits\n";
    let entries = entries(glossary);
    let seen: Vec<(&str, usize, usize)> = entries
        .iter()
        .map(|entry| (entry.term.as_str(), entry.line, entry.chapters.len()))
        .collect();
    assert_eq!(seen, [("bounce", 3, 1), ("octet", 6, 0)]);
}
