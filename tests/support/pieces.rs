//! The pieces of code on a page: a caption, an empty line, and a `rust` or `diff` fence.
//!
//! A caption is a paragraph of one line. A path or an item in it is in backquotes; a link may be around
//! them. There are the forms of [`FORMS`] and no others.
//!
//! Pieces within `<details>` are the solution of an exercise. In a piece no line stands for others
//! (`// ...`).

use super::book::{Fence, Page, fences};

/// The forms of a caption, for a failure message.
pub const FORMS: &str = "the captions are
    A new file, `src/reply.rs`:                                          rust
    A new file, `src/reply.rs`, and `pub mod reply;` in `src/lib.rs`:    rust
    At the top of `src/wire.rs`:                                         rust
    At the end of `src/wire.rs`:                                         rust
    In `src/wire.rs`, at the end of `impl Wire`:                         rust
    In `src/wire.rs`, above `fn receive`:                                rust
    In `src/wire.rs`, below `fn receive`:                                rust
    In `src/wire.rs`, in place of `fn receive`:                          rust
    In place of all of `src/stages/stage01_echo.rs`:                     rust
    In `src/wire.rs`:                                                    diff
    Unit tests, at the end of `src/wire.rs`:                             rust
    Given, in `src/transcript.rs`:                                       rust
    Break it, in `src/wire.rs`:                                          diff";

/// What a piece does with its file.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Makes it, and names its module in another file.
    New(Option<Module>),
    /// Adds imports.
    Import,
    /// Adds text after all but the unit tests.
    Append,
    /// Adds text before the closing line of an item.
    AppendTo(String),
    Above(String),
    Below(String),
    InPlaceOf(String),
    InPlaceOfAll,
    Change,
    UnitTests,
    /// Shows lines of the file; nothing is typed.
    Given,
    /// A change that is undone at once.
    Break,
}

/// A line such as `pub mod reply;`, and the file it belongs in.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    pub line: String,
    pub file: String,
}

/// One piece.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The page's path.
    pub page: String,
    /// The number of the first line within the fence.
    pub start: usize,
    pub file: String,
    pub action: Action,
    pub lines: Vec<String>,
    /// For a solution, the number of the line with `<details>`.
    pub details: Option<usize>,
}

impl Piece {
    /// Names one of its lines, counted from 0.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{}", self.page, self.start + line)
    }

    /// Names its caption.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.start - 3)
    }
}

/// Finds the pieces of a page, and the faults of what should be one.
pub fn pieces(page: &Page) -> (Vec<Piece>, Vec<String>) {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    let lines: Vec<&str> = page.text.lines().collect();
    for fence in fences(&page.text) {
        if !["rust", "diff"].contains(&fence.kind) {
            continue;
        }
        match piece(page, &lines, &fence) {
            Ok(piece) => found.push(piece),
            Err(fault) => faults.push(format!("{}: {fault}", page.at(fence.start - 1))),
        }
    }
    if let Some(last) = faults.last_mut() {
        *last += &format!("\n\n{FORMS}");
    }
    (found, faults)
}

fn piece(page: &Page, lines: &[&str], fence: &Fence) -> Result<Piece, String> {
    if !fence.info.is_empty() {
        return Err(format!(
            "nothing follows `{}` on its line; the file is in the caption before it",
            fence.kind
        ));
    }
    // The fence's opening line has the number start - 1, which is the index start - 2.
    let opening = fence.start - 2;
    let before = |count: usize| opening.checked_sub(count).map(|at| lines[at]);
    let caption = before(2).unwrap_or_default();
    let is_paragraph = before(1) == Some("") && before(3).is_none_or(str::is_empty);
    let parsed = match is_paragraph {
        true => caption_of(caption),
        false => None,
    };
    let Some((file, action)) = parsed else {
        return Err(format!(
            "a {} fence without a caption (a paragraph of one line, then an empty line); it has\n    {}",
            fence.kind,
            before(2).unwrap_or_default()
        ));
    };
    let wanted = match action {
        Action::Change | Action::Break => "diff",
        _ => "rust",
    };
    if fence.kind != wanted {
        return Err(format!(
            "after this caption the fence is {wanted}, not {}:\n    {caption}",
            fence.kind
        ));
    }
    let hole = fence.lines.iter().position(|line| is_hole(line));
    if let Some(at) = hole {
        let place = page.at(fence.start + at);
        return Err(format!(
            "a piece has no hole, but {place} has\n    {}\nto do: print all lines, or several pieces",
            fence.lines[at]
        ));
    }
    Ok(Piece {
        page: page.path.clone(),
        start: fence.start,
        file,
        action,
        lines: fence.lines.iter().map(|line| line.to_string()).collect(),
        details: details(&lines[..opening]),
    })
}

fn is_hole(line: &str) -> bool {
    line.trim_start_matches(['+', '-'])
        .trim()
        .starts_with("// ...")
}

/// Returns the number of the line with the `<details>` that is open after these lines.
fn details(lines: &[&str]) -> Option<usize> {
    let opened = lines.iter().rposition(|line| *line == "<details>")?;
    let closed = lines.iter().rposition(|line| *line == "</details>");
    closed
        .is_none_or(|closed| closed < opened)
        .then_some(opened + 1)
}

/// Reads a caption: the file and what to do.
pub fn caption_of(caption: &str) -> Option<(String, Action)> {
    let caption = without_links(caption);
    // The text without its spans, and the spans.
    let mut form = String::new();
    let mut spans = Vec::new();
    for (at, part) in caption.split('`').enumerate() {
        match at % 2 {
            0 => form += part,
            _ => {
                form += "`";
                spans.push(part.to_string());
            }
        }
    }
    let mut spans = spans.into_iter();
    let file = spans.next().unwrap_or_default();
    let mut next = || spans.next().unwrap_or_default();
    let action = match form.as_str() {
        "A new file, `:" => Action::New(None),
        "A new file, `, and ` in `:" => Action::New(Some(Module {
            line: next(),
            file: next(),
        })),
        "At the top of `:" => Action::Import,
        "At the end of `:" => Action::Append,
        "In `, at the end of `:" => Action::AppendTo(next()),
        "In `, above `:" => Action::Above(next()),
        "In `, below `:" => Action::Below(next()),
        "In `, in place of `:" => Action::InPlaceOf(next()),
        "In place of all of `:" => Action::InPlaceOfAll,
        "In `:" => Action::Change,
        "Unit tests, at the end of `:" => Action::UnitTests,
        "Given, in `:" => Action::Given,
        "Break it, in `:" => Action::Break,
        _ => return None,
    };
    Some((file, action))
}

/// Replaces links by their texts: ``[`src/wire.rs`](../src/wire.rs)``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((span, after)) = after.split_once("`](") else {
            break;
        };
        plain += &format!("{before}`{span}`");
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
