//! The reader's crate compared with another: the same code in the same order.
//!
//! Comments, empty lines and unit tests don't count. Imports are compared as the set of what they import,
//! and the lines like `pub mod reply;` as a set. A comment of a page may be shorter than the other's: each
//! of its sentences stands there. A unit test of the reader stands there as it is.

use std::collections::BTreeMap;

use super::source::{imported, items};
use super::typed::{Crate, Line, code_lines, most_similar};

/// Finds where the typed crate differs from the wanted one.
pub fn differences(typed: &Crate, wanted: &Crate) -> Vec<String> {
    let sources = |crate_: &Crate| -> Vec<String> {
        let names = crate_.files.keys();
        names
            .filter(|name| name.starts_with("src/"))
            .cloned()
            .collect()
    };
    let mut faults = Vec::new();
    for file in sources(wanted) {
        match typed.files.get(&file) {
            Some(lines) => faults.extend(file_differences(&file, lines, &wanted.files[&file])),
            None => faults.push(format!(
                "{} is typed nowhere: no page makes {file}\nto do: print it where a chapter needs it",
                wanted.files[&file].first().map_or(&file, |line| &line.from)
            )),
        }
    }
    for file in sources(typed) {
        if !wanted.files.contains_key(&file) {
            let from = typed.files[&file]
                .first()
                .map_or("the page", |line| &line.from);
            faults.push(format!(
                "{from}: {file} is made here, but src/ doesn't have it"
            ));
        }
    }
    faults
}

/// The parts of a file that are compared.
struct Parts<'a> {
    imports: BTreeMap<String, &'a str>,
    modules: BTreeMap<String, &'a str>,
    code: Vec<(String, &'a str)>,
    tests: Vec<&'a Line>,
}

fn parts(lines: &[Line]) -> Parts<'_> {
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let mut parts = Parts {
        imports: BTreeMap::new(),
        modules: BTreeMap::new(),
        code: Vec::new(),
        tests: Vec::new(),
    };
    for item in items(&text).into_iter().filter(|item| item.indent == 0) {
        let own = &lines[item.start..=item.end];
        let from = lines[item.head].from.as_str();
        let code = code_lines(own);
        if item.name.starts_with("use ") && code[0].0.contains("use ") {
            let joined: Vec<&str> = code.iter().map(|(code, _)| code.trim()).collect();
            let all = imported(&joined.join(" ")).into_iter();
            parts.imports.extend(all.map(|path| (path, from)));
        } else if item.name.starts_with("mod ") && item.name.ends_with(';') {
            parts.modules.insert(code.last().unwrap().0.clone(), from);
        } else if item.is_named("mod tests") {
            parts.tests.extend(own);
        } else {
            parts.code.extend(code);
        }
    }
    parts
}

fn file_differences(file: &str, typed: &[Line], wanted: &[Line]) -> Vec<String> {
    let (ours, theirs) = (parts(typed), parts(wanted));
    let mut faults = Vec::new();
    for (what, ours, theirs) in [
        ("import", &ours.imports, &theirs.imports),
        ("module", &ours.modules, &theirs.modules),
    ] {
        for (name, from) in theirs.iter().filter(|(name, _)| !ours.contains_key(*name)) {
            faults.push(format!("{from}: this {what} is typed nowhere:\n    {name}"));
        }
        for (name, from) in ours.iter().filter(|(name, _)| !theirs.contains_key(*name)) {
            faults.push(format!(
                "{from}: {file} doesn't have this {what} in the end:\n    {name}"
            ));
        }
    }
    faults.extend(code_differences(file, &ours.code, &theirs.code));
    faults.extend(comment_faults(file, typed, wanted));
    faults.extend(test_faults(file, &ours.tests, &theirs.tests));
    faults
}

/// A line of code without its comment, and its place.
type Code<'a> = (String, &'a str);

fn code_differences(file: &str, typed: &[Code], wanted: &[Code]) -> Vec<String> {
    // The length of the longest common run of lines from each pair of lines on.
    let mut common = vec![vec![0_u16; wanted.len() + 1]; typed.len() + 1];
    for a in (0..typed.len()).rev() {
        for b in (0..wanted.len()).rev() {
            common[a][b] = match typed[a].0 == wanted[b].0 {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    let mut faults = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < typed.len() || b < wanted.len() {
        let (start_a, start_b) = (a, b);
        loop {
            let same = a < typed.len() && b < wanted.len() && typed[a].0 == wanted[b].0;
            if same || (a == typed.len() && b == wanted.len()) {
                break;
            }
            if b == wanted.len() || (a < typed.len() && common[a + 1][b] >= common[a][b + 1]) {
                a += 1;
            } else {
                b += 1;
            }
        }
        if (a, b) == (start_a, start_b) {
            (a, b) = (a + 1, b + 1);
            continue;
        }
        let place = typed
            .get(start_a)
            .or(typed.last())
            .map_or("the book", |code| code.1);
        faults.push(format!(
            "{place}: in the end {file} differs. The reader has\n{}\nand the clone has\n{}\nto do: print what the clone has",
            shown(&typed[start_a..a], typed.get(start_a)),
            shown(&wanted[start_b..b], wanted.get(start_b)),
        ));
    }
    faults
}

fn shown(lines: &[Code], before: Option<&Code>) -> String {
    if lines.is_empty() {
        return match before {
            Some((code, from)) => format!("    (nothing here, before {from}: {})", code.trim()),
            None => "    (nothing here, at the end)".to_string(),
        };
    }
    let mut shown: Vec<String> = lines
        .iter()
        .take(12)
        .map(|(code, from)| format!("    {from}: {code}"))
        .collect();
    if lines.len() > 12 {
        shown.push(format!("    and {} lines more", lines.len() - 12));
    }
    shown.join("\n")
}

fn comment_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let markers = ["///", "//!", "//"];
    markers
        .iter()
        .find_map(|marker| line.strip_prefix(marker))
        .map(str::trim)
}

/// Finds the sentences in the comments of pages that the wanted file doesn't have.
fn comment_faults(file: &str, typed: &[Line], wanted: &[Line]) -> Vec<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let comments = wanted.iter().filter_map(|line| comment_text(&line.text));
    let known = words(&comments.collect::<Vec<_>>().join(" "));
    let marker = |line: &Line| {
        let start = line.text.trim_start();
        let end = start
            .find(|c| !['/', '!'].contains(&c))
            .unwrap_or(start.len());
        start.starts_with("//").then(|| start[..end].to_string())
    };
    let mut faults = Vec::new();
    for block in typed.chunk_by(|a, b| marker(a) == marker(b)) {
        if marker(&block[0]).is_none() {
            continue;
        }
        let lines = block.iter().filter(|line| line.from.contains(".md:"));
        let mut sentence = String::new();
        let mut from = "";
        let mut paragraphs: Vec<(&str, String)> = Vec::new();
        for line in lines {
            for word in comment_text(&line.text)
                .unwrap_or_default()
                .split_whitespace()
            {
                if sentence.is_empty() {
                    from = &line.from;
                } else {
                    sentence += " ";
                }
                sentence += word;
                if word.ends_with(['.', ':']) {
                    paragraphs.push((from, std::mem::take(&mut sentence)));
                }
            }
        }
        if !sentence.is_empty() {
            paragraphs.push((from, sentence));
        }
        for (from, sentence) in paragraphs {
            if !known.contains(&sentence) {
                let all: Vec<&str> = wanted.iter().map(|line| line.text.as_str()).collect();
                let similar = most_similar(&sentence, &all).map_or(String::new(), |at| {
                    format!(
                        "\nit has, at {}\n    {}",
                        wanted[at].from,
                        wanted[at].text.trim()
                    )
                });
                faults.push(format!(
                    "{from}: no comment in {file} says\n    {sentence}{similar}\nto do: print a comment of the file, cut at a full stop or whole"
                ));
            }
        }
    }
    faults
}

/// Finds the reader's unit tests that the wanted file doesn't have as they are.
fn test_faults(file: &str, typed: &[&Line], wanted: &[&Line]) -> Vec<String> {
    let squeezed = |lines: &[&Line]| {
        let lines: Vec<Line> = lines.iter().map(|line| (*line).clone()).collect();
        let code = code_lines(&lines).into_iter();
        code.map(|(code, _)| code.split_whitespace().collect::<String>())
            .collect::<String>()
    };
    let wanted = squeezed(wanted);
    let text: Vec<&str> = typed.iter().map(|line| line.text.as_str()).collect();
    let functions = items(&text).into_iter().filter(|item| item.is_named("fn"));
    let missing =
        functions.filter(|item| !wanted.contains(&squeezed(&typed[item.start..=item.end])));
    missing
        .map(|item| {
            format!(
                "{}: the unit tests of {file} don't have this as it is:\n    {}",
                typed[item.head].from,
                text[item.head].trim()
            )
        })
        .collect()
}
