//! The reader's crate, held in memory while the pieces of the book are typed into it.
//!
//! How a piece changes its file (the captions are in [`super::pieces`]):
//!
//! - Lines are put in as they are printed, indentation included. Between items stands one empty line,
//!   whether or not the book has it.
//! - A new file must be new. Its `pub mod` line joins the others in the order of the alphabet, or follows
//!   the file's documentation and imports if it is the first.
//! - Imports join those of their group (the standard library; everything else) in the order of the alphabet.
//!   A group that isn't there yet is made: below the file's documentation, the standard library first.
//! - *At the end of* a file is above the unit tests, which are always last.
//! - An item is named by a beginning of its first line without `pub`, which ends in a whole word and must be
//!   the only one in the file: `impl Reply` isn't `impl fmt::Display for Reply`. Items within an `impl`, a
//!   `trait` or a `mod` are found as well, four spaces in. A constant function is `fn` or `const fn`.
//! - An item reaches from its comment and its attributes to its closing line. *In place of* it, all of that
//!   goes; *above* it is above its comment.
//! - *At the end of* an item is before its closing line: after an empty line in an `impl`, a `trait` or a `mod`
//!   that isn't empty, and without one in a type or a table.
//! - Of a change, the lines with a space or `-` are one run of the file, which has it once. An empty line
//!   in the fence is an empty line of the file.
//! - What is shown as *given* is a run of the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::book::{Page, fences, prose, run_of};
use super::pieces::{Action, Piece, pieces};
use super::project::root;
use super::source::{Item, items, scan, tests_start};

/// A line, and where it was typed or given.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub text: String,
    /// `docs/04-mail.md:123`
    pub from: String,
}

/// A crate: the text of each file in `src/`, and of its `Cargo.toml`.
#[derive(Clone, Debug, Default)]
pub struct Crate {
    pub files: BTreeMap<String, Vec<Line>>,
}

/// The folder of the files that the reader begins with, in the form that they have then.
const GIVEN: &str = "scripts/new";

/// The files of ours that the reader begins with. No chapter changes them.
const GIVEN_AS_THEY_ARE: [&str; 3] = ["src/main.rs", "src/machine.rs", "src/terminal.rs"];

impl Crate {
    /// Reads the crate that `scripts/new.sh` makes.
    pub fn given() -> Crate {
        let mut given = Crate::read(&root().join(GIVEN), GIVEN);
        let ours = Crate::read(root(), "").files.into_iter();
        let ours = ours.filter(|(file, _)| GIVEN_AS_THEY_ARE.contains(&file.as_str()));
        given.files.extend(ours);
        given
    }

    /// Reads the sources and the `Cargo.toml` of a folder. `name` is what reports call the folder.
    pub fn read(folder: &Path, name: &str) -> Crate {
        let mut read = Crate::default();
        let mut paths = vec![folder.join("Cargo.toml"), folder.join("src")];
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path).unwrap();
                paths.extend(entries.map(|entry| entry.unwrap().path()));
            } else if let Ok(text) = fs::read_to_string(&path) {
                let file = path.strip_prefix(folder).unwrap().display().to_string();
                let place = |number: usize| match name {
                    "" => format!("{file}:{number}"),
                    _ => format!("{name}/{file}:{number}"),
                };
                let lines = (1..).zip(text.lines()).map(|(number, line)| Line {
                    text: line.to_string(),
                    from: place(number),
                });
                read.files.insert(file.clone(), lines.collect());
            }
        }
        read
    }

    /// Writes all files below a folder.
    pub fn write(&self, folder: &Path) {
        for (file, lines) in &self.files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = lines
                .iter()
                .fold(String::new(), |text, line| text + &line.text + "\n");
            if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                fs::write(path, text).unwrap();
            }
        }
    }

    /// Returns the lines of a file.
    fn text(&self, file: &str) -> Result<Vec<&str>, String> {
        match self.files.get(file) {
            Some(lines) => Ok(lines.iter().map(|line| line.text.as_str()).collect()),
            None => Err(format!(
                "there is no {file} yet\nto do: make it with `A new file`, or correct the path"
            )),
        }
    }

    /// Types a piece.
    ///
    /// # Errors
    /// What is wrong, beginning with the place. The crate is as it was.
    pub fn apply(&mut self, piece: &Piece) -> Result<(), String> {
        let file = &piece.file;
        let typed = || {
            piece.lines.iter().enumerate().map(|(at, text)| Line {
                text: text.clone(),
                from: piece.at(at),
            })
        };
        let typed = |skipped: usize| -> Vec<Line> { typed().skip(skipped).collect() };
        let at_caption = |fault: String| format!("{}: {fault}", piece.place());
        if let Action::New(module) = &piece.action {
            if let Some(lines) = self.files.get(file) {
                let from = &lines.first().map_or("nowhere", |line| &line.from);
                return Err(at_caption(format!(
                    "{file} isn't new, it has lines from {from}"
                )));
            }
            if let Some(module) = module {
                self.text(&module.file).map_err(at_caption)?;
                let line = Line {
                    text: module.line.clone(),
                    from: piece.place(),
                };
                self.add_module(&module.file, line).map_err(at_caption)?;
            }
            self.files.insert(file.clone(), typed(0));
            return Ok(());
        }
        let text = self.text(file).map_err(at_caption)?;
        let named = |name: &str| named(&text, name, file).map_err(at_caption);
        let (range, with, empty_lines) = match &piece.action {
            Action::New(_) => unreachable!(),
            Action::Import => {
                let imports = imports(&piece.lines).map_err(at_caption)?;
                let lines = self.files.get_mut(file).unwrap();
                for (at, count) in imports {
                    add_import(lines, typed(at)[..count].to_vec());
                }
                return Ok(());
            }
            Action::Append => {
                let end = tests_start(&text).unwrap_or(text.len());
                (end..end, typed(0), true)
            }
            Action::UnitTests => {
                if tests_start(&text).is_some() {
                    return Err(at_caption(format!(
                        "{file} has unit tests already\nto do: In `{file}`, at the end of `mod tests`:"
                    )));
                }
                if tests_start(&strs(&piece.lines)) != Some(0) {
                    return Err(at_caption(
                        "unit tests are `#[cfg(test)]` and `mod tests {`".to_string(),
                    ));
                }
                (text.len()..text.len(), typed(0), true)
            }
            Action::AppendTo(name) => {
                let item = named(name)?;
                if item.head == item.end {
                    return Err(at_caption(format!(
                        "`{name}` in {file} has no closing line"
                    )));
                }
                indented(piece, item.indent + 4)?;
                (item.end..item.end, typed(0), item.is_container())
            }
            Action::Above(name) => {
                let item = named(name)?;
                indented(piece, item.indent)?;
                (item.start..item.start, typed(0), true)
            }
            Action::Below(name) => {
                let item = named(name)?;
                indented(piece, item.indent)?;
                (item.end + 1..item.end + 1, typed(0), true)
            }
            Action::InPlaceOf(name) => {
                let item = named(name)?;
                indented(piece, item.indent)?;
                (item.start..item.end + 1, typed(0), true)
            }
            Action::InPlaceOfAll => (0..text.len(), typed(0), false),
            Action::Given => {
                run(
                    |at| piece.at(at),
                    &strs(&piece.lines),
                    &text,
                    &self.files[file],
                )?;
                return Ok(());
            }
            Action::Change | Action::Break => {
                return self.change(piece);
            }
        };
        let lines = self.files.get_mut(file).unwrap();
        put(lines, range, with, empty_lines);
        Ok(())
    }

    /// Applies the lines of a `diff` fence.
    fn change(&mut self, piece: &Piece) -> Result<(), String> {
        let file = &piece.file;
        let mut old = Vec::new();
        let mut numbers = Vec::new();
        for (at, line) in piece.lines.iter().enumerate() {
            match line.chars().next() {
                Some('+') => {}
                Some('-' | ' ') | None => {
                    old.push(line.get(1..).unwrap_or_default());
                    numbers.push(at);
                }
                Some(_) => {
                    return Err(format!(
                        "{}: a line of a diff begins with a space, - or +:\n    {line}",
                        piece.at(at)
                    ));
                }
            }
        }
        let text = self
            .text(file)
            .map_err(|fault| format!("{}: {fault}", piece.place()))?;
        if old.is_empty() {
            return Err(format!(
                "{}: the change has no line that is there already",
                piece.place()
            ));
        }
        let place = |at: usize| piece.at(numbers.get(at).copied().unwrap_or(piece.lines.len()));
        let starts = run(place, &old, &text, &self.files[file])?;
        if let [_, second, ..] = starts[..] {
            return Err(format!(
                "{}: {file} has these lines more than once, at {} and at {}\nto do: print more lines around the change",
                piece.place(),
                self.files[file][starts[0]].from,
                self.files[file][second].from,
            ));
        }
        let mut at = starts[0];
        let lines = self.files.get_mut(file).unwrap();
        for (number, line) in piece.lines.iter().enumerate() {
            match line.chars().next() {
                Some('+') => {
                    let text = line[1..].to_string();
                    lines.insert(
                        at,
                        Line {
                            text,
                            from: piece.at(number),
                        },
                    );
                    at += 1;
                }
                Some('-') => {
                    lines.remove(at);
                }
                _ => at += 1,
            }
        }
        Ok(())
    }

    /// Adds a line such as `pub mod reply;` to those of a file.
    fn add_module(&mut self, file: &str, line: Line) -> Result<(), String> {
        let is_module = |line: &Line| {
            let text = line.text.trim_start_matches("pub ");
            text.starts_with("mod ") && text.ends_with(';')
        };
        if !is_module(&line) {
            return Err(format!(
                "`{}` isn't a line like `pub mod reply;`",
                line.text
            ));
        }
        let lines = self.files.get_mut(file).unwrap();
        if let Some(there) = lines.iter().find(|there| there.text == line.text) {
            return Err(format!(
                "{file} has `{}` already, from {}",
                line.text, there.from
            ));
        }
        let modules: Vec<usize> = (0..lines.len())
            .filter(|at| is_module(&lines[*at]))
            .collect();
        match modules.last() {
            Some(last) => {
                let next = modules.iter().find(|at| lines[**at].text > line.text);
                lines.insert(*next.unwrap_or(&(last + 1)), line);
            }
            None => {
                let top = after_imports(lines);
                put(lines, top..top, vec![line], true);
            }
        }
        Ok(())
    }
}

fn strs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// Replaces lines of a file.
///
/// With `empty_lines` there is one empty line between what is put in and what stands around it, except
/// beside a bracket that holds both.
fn put(
    lines: &mut Vec<Line>,
    range: std::ops::Range<usize>,
    mut with: Vec<Line>,
    empty_lines: bool,
) {
    let (mut start, mut end) = (range.start, range.end);
    if empty_lines {
        let is_empty = |line: &Line| line.text.trim().is_empty();
        while with.last().is_some_and(is_empty) {
            with.pop();
        }
        while with.first().is_some_and(is_empty) {
            with.remove(0);
        }
        while start > 0 && is_empty(&lines[start - 1]) {
            start -= 1;
        }
        while end < lines.len() && is_empty(&lines[end]) {
            end += 1;
        }
        let from = with
            .first()
            .map(|line| line.from.clone())
            .unwrap_or_default();
        let empty = Line {
            text: String::new(),
            from,
        };
        let indent = |line: &Line| line.text.len() - line.text.trim_start().len();
        let own = with.first().map_or(0, indent);
        if start > 0 && indent(&lines[start - 1]) >= own {
            with.insert(0, empty.clone());
        }
        if end < lines.len() && indent(&lines[end]) >= own {
            with.push(empty);
        }
    }
    lines.splice(start..end, with);
}

/// Finds the one item with this name.
fn named(text: &[&str], name: &str, file: &str) -> Result<Item, String> {
    let all = items(text);
    let found: Vec<&Item> = all.iter().filter(|item| item.is_named(name)).collect();
    match found[..] {
        [item] => Ok(item.clone()),
        [] => {
            let names: Vec<&str> = all.iter().map(|item| item.name.as_str()).collect();
            let similar = most_similar(name, &names).map_or("nothing", |at| names[at]);
            Err(format!(
                "{file} has no `{name}` yet; the most similar is\n    {similar}\nto do: name an item by a beginning of its first line, without pub"
            ))
        }
        _ => {
            let heads: Vec<String> = found
                .iter()
                .map(|item| format!("\n    {}", text[item.head]))
                .collect();
            Err(format!(
                "{file} has more than one `{name}`:{}\nto do: print more of its first line, or a diff",
                heads.concat()
            ))
        }
    }
}

/// Checks the indentation of a piece's first line with text.
fn indented(piece: &Piece, indent: usize) -> Result<(), String> {
    let first = piece
        .lines
        .iter()
        .enumerate()
        .find(|(_, line)| !line.is_empty());
    match first {
        Some((at, line)) if line.len() - line.trim_start().len() != indent => Err(format!(
            "{}: here a line has {indent} spaces before it, as in the file:\n    {line}",
            piece.at(at)
        )),
        _ => Ok(()),
    }
}

/// Finds the `use` statements of a piece: the first line of each and the number of its lines.
fn imports(lines: &[String]) -> Result<Vec<(usize, usize)>, String> {
    let lines = strs(lines);
    let mut found = Vec::new();
    for item in items(&lines) {
        if !item.name.starts_with("use ") {
            return Err(format!(
                "at the top of a file come `use` lines, but this isn't one:\n    {}",
                lines[item.head]
            ));
        }
        found.push((item.start, item.end + 1 - item.start));
    }
    Ok(found)
}

/// Returns the index of the first line after the documentation and the inner attributes of a file.
fn after_documentation(lines: &[Line]) -> usize {
    let is_before = |line: &Line| {
        ["//!", "#!["]
            .iter()
            .any(|start| line.text.starts_with(start))
    };
    lines.iter().rposition(is_before).map_or(0, |at| at + 1)
}

fn import_items(lines: &[Line]) -> Vec<Item> {
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let is_import = |item: &Item| item.indent == 0 && item.name.starts_with("use ");
    items(&text).into_iter().filter(is_import).collect()
}

/// Returns the index of the first line after the imports of a file.
fn after_imports(lines: &[Line]) -> usize {
    let imports = import_items(lines);
    imports
        .last()
        .map_or_else(|| after_documentation(lines), |item| item.end + 1)
}

/// Adds an import to its group.
fn add_import(lines: &mut Vec<Line>, import: Vec<Line>) {
    let is_std = |name: &str| {
        let roots = ["use std", "use core", "use alloc"];
        roots.iter().any(|root| name.starts_with(root))
    };
    let text: Vec<&str> = import.iter().map(|line| line.text.as_str()).collect();
    let name = items(&text)[0].name.clone();
    let imports = import_items(lines);
    let group: Vec<&Item> = imports
        .iter()
        .filter(|item| is_std(&item.name) == is_std(&name))
        .collect();
    match group.last() {
        Some(last) => {
            let next = group.iter().find(|item| item.name > name);
            let at = next.map_or(last.end + 1, |item| item.start);
            lines.splice(at..at, import);
        }
        None => {
            let at = match is_std(&name) {
                true => after_documentation(lines),
                false => after_imports(lines),
            };
            put(lines, at..at, import, true);
        }
    }
}

/// Finds where `wanted` stands in a file, one line after the other.
fn run(
    place: impl Fn(usize) -> String,
    wanted: &[&str],
    text: &[&str],
    lines: &[Line],
) -> Result<Vec<usize>, String> {
    let starts: Vec<usize> = (0..text.len())
        .filter(|start| text[*start..].starts_with(wanted))
        .collect();
    if !starts.is_empty() {
        return Ok(starts);
    }
    let (at, instead) = run_of(wanted, text, |_| false).unwrap_err();
    let similar = match instead {
        Some(instead) => Some(instead),
        None => most_similar(wanted.get(at).unwrap_or(&""), text),
    };
    let shown = match similar.and_then(|at| lines.get(at)) {
        Some(line) => format!("the file has here, from {}\n    {}", line.from, line.text),
        None => "the file ends before it".to_string(),
    };
    Err(format!(
        "{}: the file doesn't have this line after those before it\n    {}\n{shown}\nto do: print what the reader's file has at this time",
        place(at),
        wanted.get(at).unwrap_or(&"(the end)"),
    ))
}

/// Returns the index of the line that has the most pairs of letters in common with `wanted`.
pub fn most_similar(wanted: &str, lines: &[&str]) -> Option<usize> {
    fn pairs(line: &str) -> Vec<&[u8]> {
        line.trim().as_bytes().windows(2).collect()
    }
    let wanted = pairs(wanted);
    let score = |line: &str| {
        let line = pairs(line);
        let common = wanted.iter().filter(|pair| line.contains(pair)).count();
        2000 * common / (wanted.len() + line.len()).max(1)
    };
    let scores = lines.iter().enumerate().map(|(at, line)| (score(line), at));
    let (score, at) = scores.max_by_key(|(score, at)| (*score, usize::MAX - at))?;
    (score > 600).then_some(at)
}

/// The reader's crate at a place of the book.
pub struct Moment {
    /// `docs/04-mail.md:123`
    pub place: String,
    /// The number of the line.
    pub line: usize,
    pub state: Crate,
    /// What the reader is told to type then: the line and its number.
    pub commands: Vec<(usize, String)>,
}

/// A page, typed.
#[derive(Default)]
pub struct Typed {
    pub faults: Vec<String>,
    /// The crate at each *What you see now*.
    pub seen: Vec<Moment>,
    /// The crate before each conversation `smtp so-far` or `wrong so-far`.
    pub so_far: Vec<Moment>,
    /// The crate with each change to try.
    pub broken: Vec<Moment>,
    /// The crate with the solution of each exercise; the place is its `<details>`.
    pub solved: Vec<Moment>,
    pub end: Crate,
}

/// The words that end a step.
pub const SEEN: &str = "**What you see now.**";

/// Types the pieces of a page into a crate.
pub fn type_page(page: &Page, start: &Crate) -> Typed {
    let (pieces, mut faults) = pieces(page);
    let mut state = start.clone();
    let mut typed = Typed::default();
    let moment = |line: usize, state: &Crate| Moment {
        place: page.at(line),
        line,
        state: state.clone(),
        commands: Vec::new(),
    };
    let marks = prose(&page.text).filter(|(_, line)| line.starts_with(SEEN));
    let mut events: Vec<(usize, Option<&Piece>)> =
        marks.map(|(number, _)| (number, None)).collect();
    let fences = fences(&page.text);
    let so_far = fences.iter().filter(|fence| fence.is_so_far());
    events.extend(so_far.map(|fence| (fence.start, None)));
    events.extend(pieces.iter().map(|piece| (piece.start, Some(piece))));
    events.sort_by_key(|(line, _)| *line);
    let lines: Vec<&str> = page.text.lines().collect();
    for (line, piece) in events {
        match piece {
            Some(piece) if piece.details.is_some() => {}
            Some(piece) if piece.action == Action::Break => {
                let mut broken = state.clone();
                match broken.apply(piece) {
                    Ok(()) => typed.broken.push(Moment {
                        commands: commands_after(page, piece),
                        ..moment(piece.start, &broken)
                    }),
                    Err(fault) => faults.push(fault),
                }
            }
            Some(piece) => faults.extend(state.apply(piece).err()),
            None if lines[line - 1].starts_with(SEEN) => typed.seen.push(moment(line, &state)),
            None => typed.so_far.push(moment(line, &state)),
        }
    }
    let solutions: Vec<&Piece> = pieces
        .iter()
        .filter(|piece| piece.details.is_some())
        .collect();
    for pieces in solutions.chunk_by(|a, b| a.details == b.details) {
        let mut solved = state.clone();
        let applied: Vec<String> = pieces
            .iter()
            .filter_map(|piece| match piece.action {
                Action::Break => solved.clone().apply(piece).err(),
                _ => solved.apply(piece).err(),
            })
            .collect();
        match applied.is_empty() {
            true => typed.solved.push(Moment {
                commands: exercise_commands(page, pieces[0].details.unwrap()),
                ..moment(pieces[0].details.unwrap(), &solved)
            }),
            false => faults.extend(applied),
        }
    }
    typed.faults = faults;
    typed.end = state;
    typed
}

/// Returns the lines of the first `sh` fence after a change to try, before the next heading or piece.
fn commands_after(page: &Page, piece: &Piece) -> Vec<(usize, String)> {
    let heading = prose(&page.text)
        .find(|(number, line)| *number > piece.start && line.starts_with('#'))
        .map_or(usize::MAX, |(number, _)| number);
    let fences = fences(&page.text).into_iter();
    let after = fences.skip_while(|fence| fence.start <= piece.start);
    let mut after =
        after.take_while(|fence| fence.start < heading && !["rust", "diff"].contains(&fence.kind));
    let Some(fence) = after.find(|fence| fence.kind == "sh") else {
        return Vec::new();
    };
    let lines = fence.lines.iter().map(|line| line.to_string());
    (fence.start..).zip(lines).collect()
}

/// Returns the lines of an exercise's text that have a command for its test.
fn exercise_commands(page: &Page, details: usize) -> Vec<(usize, String)> {
    let lines: Vec<&str> = page.text.lines().take(details - 1).collect();
    let heading = lines.iter().rposition(|line| line.starts_with("### "));
    let numbered = (1..).zip(lines).skip(heading.unwrap_or_default());
    let with_test = numbered.filter(|(_, line)| line.contains("--test exercises"));
    with_test
        .map(|(number, line)| (number, line.replace('`', "")))
        .collect()
}

/// Lists the pages whose pieces the reader types, in order.
pub fn typed_pages() -> Vec<Page> {
    let paths = super::project::files("docs", "md").into_iter();
    let names = paths.map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let is_numbered =
        |name: &&String| name.as_bytes()[0].is_ascii_digit() && !name.starts_with("00");
    let names: Vec<String> = names.collect();
    let late = names.iter().filter(|name| *name == "fast.md");
    let pages = names.iter().filter(is_numbered).chain(late);
    pages
        .map(|name| Page::new(&format!("docs/{name}")))
        .collect()
}

/// Returns the code of a file's lines without comments, with the place of each line.
pub fn code_lines(lines: &[Line]) -> Vec<(String, &str)> {
    let scanned = scan(lines.iter().map(|line| line.text.as_str()));
    let code = scanned
        .into_iter()
        .zip(lines)
        .map(|(scanned, line)| (scanned.code, line.from.as_str()));
    code.filter(|(code, _)| !code.trim().is_empty()).collect()
}
