//! Typed: the pieces of all chapters, applied in order to the given files, make `src/`.
//!
//! That they compile and work on the way is shown in `tests/typed/`.

use crate::pages;
use crate::support::book::{Page, assert_faultless};
use crate::support::equality::differences;
use crate::support::pieces::{Action, pieces};
use crate::support::project::root;
use crate::support::shell::shell_commands;
use crate::support::typed::{Crate, Typed, type_page, typed_pages};

#[test]
fn the_pieces_of_the_book_make_the_sources() {
    let mut state = Crate::given();
    let mut faults = Vec::new();
    for page in typed_pages() {
        let typed = type_page(&page, &state);
        faults.extend(unknown_unit_tests(&page, &typed));
        faults.extend(typed.faults);
        state = typed.end;
    }
    // After a piece that can't be typed the rest would differ as well.
    if faults.is_empty() {
        faults = differences(&state, &Crate::read(root(), ""));
    }
    assert_faultless(&faults);
}

/// Finds the unit tests that are to fail after a change, and that the reader doesn't have then.
fn unknown_unit_tests(page: &Page, typed: &Typed) -> Vec<String> {
    let mut faults = Vec::new();
    for moment in &typed.broken {
        let lines = moment.state.files.values().flatten();
        let functions: Vec<&str> = lines
            .filter_map(|line| line.text.trim_start().strip_prefix("fn "))
            .collect();
        for (number, line) in &moment.commands {
            for words in shell_commands(line) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ["cargo", "test", "--lib", filter, ..] = words[..] else {
                    continue;
                };
                let name = filter.rsplit("::").next().unwrap_or(filter);
                let is_there = |function: &&str| function.split('(').next().unwrap().contains(name);
                if !functions.iter().any(is_there) {
                    faults.push(format!(
                        "{}: the reader has no unit test {filter} yet\nto do: name one that is printed",
                        page.at(*number)
                    ));
                }
            }
        }
    }
    faults
}

/// On the other pages code is shown as it is in the end.
#[test]
fn code_on_other_pages_is_a_run_of_its_file() {
    let typed: Vec<String> = typed_pages().into_iter().map(|page| page.path).collect();
    let pages = pages()
        .into_iter()
        .filter(|page| !typed.contains(&page.path));
    let faults: Vec<String> = pages.flat_map(|page| shown_faults(&page)).collect();
    assert_faultless(&faults);
}

fn shown_faults(page: &Page) -> Vec<String> {
    let mut sources = match page.path.as_str() {
        "docs/appendix-b-given.md" => Crate::given(),
        _ => Crate::read(root(), ""),
    };
    let (pieces, mut faults) = pieces(page);
    for piece in pieces {
        match piece.action {
            Action::Given => faults.extend(sources.apply(&piece).err()),
            _ => faults.push(format!("{}: nothing is typed on this page", piece.place())),
        }
    }
    faults
}

#[test]
fn a_shown_piece_that_differs_is_reported() {
    let faults = |line: &str| {
        let page = Page {
            path: "docs/x.md".to_string(),
            chapter: None,
            text: format!("Given, in `src/main.rs`:\n\n```rust\n{line}\n```\n"),
        };
        shown_faults(&page)
    };
    assert_eq!(faults("fn main() -> ExitCode {"), [""; 0]);
    let found = faults("fn main() -> ExitCodes {");
    assert!(found[0].starts_with("docs/x.md:4: "), "{found:?}");
    assert!(found[0].contains("src/main.rs:"), "{found:?}");
}
