//! Rust sources, read as far as the book's checks need it: items, code without comments, imports.
//!
//! The sources are formatted by rustfmt, and no item shares its lines with another.

use std::collections::BTreeSet;

/// One line of a source.
pub struct Scanned {
    /// How many brackets are open before it, and after it.
    pub before: usize,
    pub after: usize,
    /// Whether it begins within a string or a block comment.
    pub is_inside: bool,
    /// The line without comments and without spaces at its end.
    pub code: String,
}

enum State {
    Code,
    Text,
    RawText(usize),
    Comment(usize),
}

/// Reads the lines of a source.
pub fn scan<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Scanned> {
    let mut state = State::Code;
    let mut depth: usize = 0;
    let mut scanned = Vec::new();
    for line in lines {
        let before = depth;
        let is_inside = !matches!(state, State::Code);
        let mut code = String::new();
        let characters: Vec<char> = line.chars().collect();
        let mut at = 0;
        while at < characters.len() {
            let rest = &characters[at..];
            let begins = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
            let mut taken = 1;
            match state {
                State::Comment(nested) if begins("*/") => {
                    taken = 2;
                    state = match nested {
                        1 => State::Code,
                        _ => State::Comment(nested - 1),
                    };
                }
                State::Comment(nested) if begins("/*") => {
                    taken = 2;
                    state = State::Comment(nested + 1);
                }
                State::Comment(_) => {}
                State::Text => {
                    match rest[0] {
                        '\\' => taken = 2,
                        '"' => state = State::Code,
                        _ => {}
                    }
                    code.extend(rest.iter().take(taken));
                }
                State::RawText(hashes) => {
                    let end = format!("\"{}", "#".repeat(hashes));
                    if begins(&end) {
                        taken = end.len();
                        state = State::Code;
                    }
                    code.extend(rest.iter().take(taken));
                }
                State::Code if begins("//") => break,
                State::Code if begins("/*") => {
                    taken = 2;
                    state = State::Comment(1);
                }
                State::Code => {
                    match rest[0] {
                        '"' => state = State::Text,
                        '\'' => taken = character_literal(rest),
                        '{' | '(' | '[' => depth += 1,
                        '}' | ')' | ']' => depth = depth.saturating_sub(1),
                        'r' if !follows_a_name(&characters[..at]) => {
                            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
                            if rest.get(1 + hashes) == Some(&'"') {
                                taken = 2 + hashes;
                                state = State::RawText(hashes);
                            }
                        }
                        _ => {}
                    }
                    code.extend(rest.iter().take(taken));
                }
            }
            at += taken;
        }
        scanned.push(Scanned {
            before,
            after: depth,
            is_inside,
            code: code.trim_end().to_string(),
        });
    }
    scanned
}

/// Returns the length of a character literal; 1 if it is a lifetime.
fn character_literal(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, after @ ..] => {
            3 + after.iter().position(|c| *c == '\'').unwrap_or_default() + 1
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// Returns whether an `r` after these characters is part of a name; `b` may stand before it.
fn follows_a_name(before: &[char]) -> bool {
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    match before {
        [.., other, 'b'] => is_name(other),
        [.., last] => *last != 'b' && is_name(last),
        [] => false,
    }
}

/// An item: a function, a type, an `impl`, a constant, a `use`.
///
/// Its lines are counted from 0.
#[derive(Clone, Debug)]
pub struct Item {
    /// The first line, its comment and attributes included.
    pub start: usize,
    /// The line that names it.
    pub head: usize,
    /// The last line.
    pub end: usize,
    /// 0, or 4 within an `impl`, a `trait` or a `mod`.
    pub indent: usize,
    /// The line that names it, without `pub`.
    pub name: String,
}

impl Item {
    pub fn is_container(&self) -> bool {
        ["impl", "trait ", "mod "]
            .iter()
            .any(|start| self.name.starts_with(start))
    }

    /// Returns whether `beginning` names this item.
    ///
    /// The word at the end of the beginning is whole.
    pub fn is_named(&self, beginning: &str) -> bool {
        let names = [self.name.as_str(), self.name.trim_start_matches("const ")];
        names.iter().any(|name| {
            let rest = name.strip_prefix(beginning);
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            rest.is_some_and(|rest| !rest.starts_with(is_name) || !beginning.ends_with(is_name))
        })
    }
}

/// Finds the items of a source: those at its top, and those within a top one.
pub fn items(lines: &[&str]) -> Vec<Item> {
    let scanned = scan(lines.iter().copied());
    let mut found = Vec::new();
    for item in items_within(lines, &scanned, 0..lines.len(), 0) {
        let inner = item.head + 1..item.end;
        let nested = match item.is_container() {
            true => items_within(lines, &scanned, inner, 1),
            false => Vec::new(),
        };
        found.push(item);
        found.extend(nested);
    }
    found
}

fn items_within(
    lines: &[&str],
    scanned: &[Scanned],
    range: std::ops::Range<usize>,
    depth: usize,
) -> Vec<Item> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = range.start;
    let ends_at = |from: usize, ends: &[char]| {
        (from..range.end)
            .find(|at| scanned[*at].after == depth && scanned[*at].code.ends_with(ends))
            .unwrap_or(range.end - 1)
    };
    while at < range.end {
        let line = lines[at].trim();
        let code = scanned[at].code.trim();
        if code.is_empty() {
            start = match line {
                "" => None,
                _ if line.starts_with("//!") => None,
                _ => start.or(Some(at)),
            };
        } else if code.starts_with("#![") {
            start = None;
            at = ends_at(at, &[']']);
        } else if code.starts_with("#[") {
            start = start.or(Some(at));
            at = ends_at(at, &[']']);
        } else {
            let end = ends_at(at, &['}', ';']);
            found.push(Item {
                start: start.take().unwrap_or(at),
                head: at,
                end,
                indent: 4 * depth,
                name: without_pub(code).to_string(),
            });
            at = end;
        }
        at += 1;
    }
    found
}

/// Removes `pub `, `pub(crate) ` and the like.
fn without_pub(code: &str) -> &str {
    match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with(' ') => &rest[1..],
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(code, |(_, rest)| rest),
        _ => code,
    }
}

/// Returns where the unit tests begin, their attribute included.
pub fn tests_start(lines: &[&str]) -> Option<usize> {
    let mut items = items(lines).into_iter();
    let tests = items.find(|item| item.indent == 0 && item.is_named("mod tests"))?;
    Some(tests.start)
}

/// What a source imports: `use std::io::{self, Read};` gives `std::io` and `std::io::Read`.
pub fn imported(statement: &str) -> BTreeSet<String> {
    fn add(prefix: &str, tree: &str, found: &mut BTreeSet<String>) {
        let tree = tree.trim();
        let Some((path, group)) = tree.split_once('{') else {
            let path = match tree {
                "self" => prefix.trim_end_matches("::").to_string(),
                _ => format!("{prefix}{tree}"),
            };
            found.insert(path);
            return;
        };
        let prefix = format!("{prefix}{}", path.trim());
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let mut depth = 0;
        let mut start = 0;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    add(&prefix, &group[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        if !group[start..].trim().is_empty() {
            add(&prefix, &group[start..], found);
        }
    }
    let mut found = BTreeSet::new();
    let statement = statement.trim().trim_end_matches(';');
    let (visibility, tree) = statement.split_once("use ").unwrap_or(("", statement));
    add(visibility, tree, &mut found);
    found
}
