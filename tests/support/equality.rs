//! The reader's crate compared with another: the same code in the same order.
//!
//! Empty lines don't count. Imports are compared as the set of what they import, and the lines like
//! `pub mod reply;` as a set, with their attributes. A comment of a page may be shorter than the other's:
//! each of its sentences is one of the other's, whole. A comment behind code is left out, or the same. There
//! may be fewer unit tests: each item among the reader's stands there as it is. Of the `Cargo.toml`, the
//! name, the version and the edition count.

use std::collections::BTreeMap;

use super::compile::manifest_value;
use super::source::{Item, imported, items, scan};
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
    if wanted.files.contains_key("Cargo.toml") {
        for key in ["name", "version", "edition"] {
            let [ours, theirs] = [typed, wanted].map(|crate_| manifest_value(crate_, key));
            let value = |found: Option<(&str, &str)>| found.map(|(value, _)| value.to_string());
            if value(ours) != value(theirs) {
                faults.push(format!(
                    "{}: the {key} is {:?}, and the clone's is {:?}",
                    ours.map_or("Cargo.toml", |(_, from)| from),
                    value(ours).unwrap_or_default(),
                    value(theirs).unwrap_or_default(),
                ));
            }
        }
    }
    faults
}

/// The parts of a file that are compared.
struct Parts<'a> {
    imports: BTreeMap<String, &'a str>,
    modules: BTreeMap<String, &'a str>,
    /// The lines of code outside of all items: `#![...]`.
    attributes: BTreeMap<String, &'a str>,
    code: Vec<(String, &'a str)>,
    tests: Vec<&'a Line>,
}

fn parts(lines: &[Line]) -> Parts<'_> {
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let mut parts = Parts {
        imports: BTreeMap::new(),
        modules: BTreeMap::new(),
        attributes: BTreeMap::new(),
        code: Vec::new(),
        tests: Vec::new(),
    };
    let joined = |code: &[Code]| {
        let code: Vec<&str> = code.iter().map(|(code, _)| code.trim()).collect();
        code.join(" ")
    };
    let items: Vec<Item> = items(&text)
        .into_iter()
        .filter(|item| item.indent == 0)
        .collect();
    let starts = items.iter().map(|item| item.start).chain([lines.len()]);
    let ends = [0].into_iter().chain(items.iter().map(|item| item.end + 1));
    for (end, start) in ends.zip(starts) {
        let between = code_lines(&lines[end..start]);
        if let Some((_, from)) = between.first() {
            parts.attributes.insert(joined(&between), from);
        }
    }
    for item in items {
        let own = &lines[item.start..=item.end];
        let from = lines[item.head].from.as_str();
        let code = code_lines(own);
        if item.name.starts_with("use ") && code[0].0.contains("use ") {
            let all = imported(&joined(&code)).into_iter();
            parts.imports.extend(all.map(|path| (path, from)));
        } else if item.name.starts_with("mod ") && item.name.ends_with(';') {
            parts.modules.insert(joined(&code), from);
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
        ("attribute", &ours.attributes, &theirs.attributes),
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

/// Returns the `//`, `///` or `//!` that a line begins with.
fn marker(line: &Line) -> Option<&str> {
    let start = line.text.trim_start();
    let length = start
        .find(|c| !['/', '!'].contains(&c))
        .unwrap_or(start.len());
    start.starts_with("//").then(|| &start[..length])
}

/// A sentence of a comment, or what stands for one, and the lines it is on.
type Sentence<'a> = (String, Vec<&'a Line>);

/// Finds the sentences of the comments that have lines of their own.
fn sentences(lines: &[Line]) -> Vec<Sentence<'_>> {
    let mut found: Vec<Sentence> = Vec::new();
    for block in lines.chunk_by(|a, b| marker(a) == marker(b)) {
        let mut is_open = false;
        for line in block.iter().filter(|line| marker(line).is_some()) {
            let text = comment_text(&line.text).unwrap_or_default();
            // After an empty line a new one begins.
            is_open &= !text.is_empty();
            for word in text.split_whitespace() {
                match found.last_mut() {
                    Some((sentence, lines)) if is_open => {
                        *sentence += &format!(" {word}");
                        lines.push(line);
                    }
                    _ => found.push((word.to_string(), vec![line])),
                }
                is_open = !word.ends_with(['.', ':', '?', '!']);
            }
        }
    }
    found
}

/// Finds the lines of code that a comment follows: the code and the comment.
fn remarks(lines: &[Line]) -> Vec<(String, &Line)> {
    let scanned = scan(lines.iter().map(|line| line.text.as_str()));
    let code = scanned.into_iter().zip(lines);
    let with_comment = code.filter(|(scanned, line)| {
        let code = scanned.code.trim();
        !code.is_empty() && code != line.text.trim()
    });
    with_comment
        .map(|(_, line)| (line.text.trim().to_string(), line))
        .collect()
}

/// Finds the sentences in the comments of pages that the wanted file doesn't have, and the comments behind code.
fn comment_faults(file: &str, typed: &[Line], wanted: &[Line]) -> Vec<String> {
    let all: Vec<&str> = wanted.iter().map(|line| line.text.as_str()).collect();
    let fault = |from: &str, text: &str| {
        let similar = most_similar(text, &all).map_or(String::new(), |at| {
            let line = &wanted[at];
            format!("\nit has, at {}\n    {}", line.from, line.text.trim())
        });
        format!(
            "{from}: no comment in {file} says\n    {text}{similar}\nto do: print a comment of the file, cut at a full stop or whole"
        )
    };
    let is_of_a_page = |line: &&Line| line.from.contains(".md:");
    let known = sentences(wanted);
    let mut faults = Vec::new();
    for (sentence, lines) in sentences(typed) {
        let of_page = lines.into_iter().find(is_of_a_page);
        if let Some(line) = of_page {
            if !known.iter().any(|(known, _)| *known == sentence) {
                faults.push(fault(&line.from, &sentence));
            }
        }
    }
    let known = remarks(wanted);
    for (text, line) in remarks(typed) {
        if is_of_a_page(&line) && !known.iter().any(|(known, _)| *known == text) {
            faults.push(fault(&line.from, &text));
        }
    }
    faults
}

/// The unit tests of a file: their imports, and the code of their first lines and of each item.
fn test_parts<'a>(tests: &[&'a Line]) -> (BTreeMap<String, &'a str>, Vec<(String, &'a str)>) {
    let mut imports = BTreeMap::new();
    let mut found = Vec::new();
    let trimmed = |lines: &[&Line]| {
        let lines: Vec<Line> = lines.iter().map(|line| (*line).clone()).collect();
        let code = code_lines(&lines).into_iter();
        let code = code.map(|(code, _)| code.trim().to_string());
        code.collect::<Vec<_>>().join("\n")
    };
    let text: Vec<&str> = tests.iter().map(|line| line.text.as_str()).collect();
    for item in items(&text) {
        let from = tests[item.head].from.as_str();
        let code = trimmed(&tests[item.start..=item.end]);
        if item.indent == 0 {
            found.push((trimmed(&tests[item.start..=item.head]), from));
        } else if item.name.starts_with("use ") {
            let all = imported(&code.replace('\n', " ")).into_iter();
            imports.extend(all.map(|path| (path, from)));
        } else {
            found.push((code, from));
        }
    }
    (imports, found)
}

/// Finds what the reader's unit tests have, and the wanted file's haven't as it is.
fn test_faults(file: &str, typed: &[&Line], wanted: &[&Line]) -> Vec<String> {
    let ((imports, ours), (known, theirs)) = (test_parts(typed), test_parts(wanted));
    let imports = imports
        .into_iter()
        .filter(|(path, _)| !known.contains_key(path));
    let missing = ours
        .into_iter()
        .filter(|(code, _)| !theirs.iter().any(|(there, _)| there == code));
    imports
        .chain(missing)
        .map(|(code, from)| {
            let code = code.replace('\n', "\n    ");
            format!("{from}: the unit tests of {file} don't have this as it is:\n    {code}")
        })
        .collect()
}
