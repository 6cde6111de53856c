//! Links from the pages to the pages, the sources and the tests, and whether they lead somewhere.

use std::path::Path;

use super::book::prose;
use super::project::root;

/// The pieces of Markdown code within a line: `like this`.
pub fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of the links and pictures in a line, with the text of each.
pub fn links(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let text = before.rsplit('[').next().unwrap_or_default();
        let target = after.split(')').next().unwrap_or_default();
        found.push((text, target));
        rest = after;
    }
    found
}

/// The number of the line, from 1, that defines `name` in a Rust source.
pub fn defined_at(source: &str, name: &str) -> Option<usize> {
    let is_definition = |line: &str| {
        let words: Vec<&str> = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(2).any(|pair| {
            ["fn", "struct", "enum", "const", "type", "mod", "trait"].contains(&pair[0])
                && pair[1] == name
        })
    };
    let line = source
        .lines()
        .position(|line| !line.trim_start().starts_with("//") && is_definition(line));
    line.map(|line| line + 1)
}

/// Whether `name` is a test in this source.
pub fn is_test(source: &str, name: &str) -> bool {
    defined_at(source, name).is_some_and(|line| {
        let before: Vec<&str> = source.lines().take(line - 1).collect();
        let attributes = before
            .iter()
            .rev()
            .take_while(|line| line.trim().starts_with("#["));
        let attributes: Vec<&str> = attributes.map(|line| line.trim()).collect();
        attributes.contains(&"#[test]") && !attributes.iter().any(|line| line.contains("ignore"))
    })
}

/// The anchor that a forge and mdBook make of a heading.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// What is wrong with the text of a link: if it is a name, it is the name that it leads to.
pub fn label_fault(text: &str, target: &str) -> Option<String> {
    let (_, fragment) = target.split_once('#')?;
    let name = text.trim_matches('`').rsplit("::").next()?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (target.contains(".rs#") && is_name && name != fragment)
        .then(|| format!("it is called {name} and leads to {fragment}"))
}

/// Whether a path stays within the project.
fn is_ours(path: &Path) -> bool {
    let inside = root().canonicalize().unwrap();
    path.canonicalize()
        .is_ok_and(|path| path.starts_with(inside))
}

/// What is wrong with a link from a page in `folder`, if it leads to something of ours.
pub fn link_fault(folder: &str, own_text: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let file = root().join(folder).join(path);
    let text = match path {
        "" => own_text.to_string(),
        _ if !file.exists() => return Some(format!("there is no file {path}")),
        _ if !is_ours(&file) => return Some(format!("{path} is outside of the project")),
        _ if fragment.is_empty() => return None,
        _ => std::fs::read_to_string(&file).unwrap_or_default(),
    };
    let found = if path.is_empty() || path.ends_with(".md") {
        prose(&text).any(|(_, line)| line.starts_with('#') && slug(line) == fragment)
    } else if path.contains("tests/") {
        is_test(&text, fragment)
    } else {
        defined_at(&text, fragment).is_some()
    };
    let what = if path.contains("tests/") {
        "test"
    } else {
        "item or heading"
    };
    (!found).then(|| format!("{path} has no {what} named {fragment}"))
}
