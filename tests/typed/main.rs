//! The book builds the server from an empty folder: its pieces, typed in order, compile and work.
//!
//! The whole proof takes minutes and isn't run by default: `cargo test --test typed -- --ignored full_proof`.
//! `BOOK_CHAPTER=docs/04-mail.md` before it proves that chapter alone.
//!
//! Who writes a chapter runs
//!
//! ```sh
//! BOOK_CHAPTER=docs/04-mail.md cargo test --test typed -- --ignored one_chapter --nocapture
//! ```
//!
//! with any of these, each a folder with a `src/`: `BOOK_START` is the crate before the chapter (else what
//! the earlier chapters print), `BOOK_END` the wanted crate after it, and `BOOK_OUT` is written.

mod model;
mod proof;
#[path = "../support/mod.rs"]
mod support;

use std::env::var_os;
use std::path::Path;

use support::book::{Page, assert_faultless};
use support::compile::{Warnings, compile_error, format_difference, in_parallel};
use support::equality::differences;
use support::typed::{Crate, Moment, Typed, type_page, typed_pages};

/// Types every page in order. Stops after the first with a fault.
fn typed_book() -> Vec<(Page, Typed)> {
    let mut state = Crate::given();
    let mut typed = Vec::new();
    for page in typed_pages() {
        let of_page = type_page(&page, &state);
        state = of_page.end.clone();
        let has_faults = !of_page.faults.is_empty();
        typed.push((page, of_page));
        if has_faults {
            break;
        }
    }
    typed
}

fn compile_fault(moment: &Moment, warnings: Warnings) -> Option<String> {
    let error = compile_error(&moment.state, warnings)?;
    Some(format!(
        "{}: what is typed so far doesn't compile:\n{error}",
        moment.place
    ))
}

/// Returns the reader's crate at the end of a page.
fn end_of(page: &Page, typed: &Typed) -> Moment {
    let last = page.text.lines().count();
    Moment {
        place: page.at(last),
        line: last,
        state: typed.end.clone(),
        commands: Vec::new(),
    }
}

/// Lists all places within a page at which the reader's crate compiles.
///
/// A change to try compiles as well, whether or not a command follows it.
fn moments(typed: &Typed) -> Vec<&Moment> {
    let kinds = [&typed.seen, &typed.so_far, &typed.broken, &typed.solved];
    kinds.into_iter().flatten().collect()
}

#[test]
fn every_chapter_ends_with_a_crate_that_compiles_without_a_warning() {
    let typed = typed_book();
    let mut faults: Vec<String> = typed
        .iter()
        .flat_map(|(_, typed)| typed.faults.clone())
        .collect();
    let ends: Vec<Moment> = typed
        .iter()
        .map(|(page, typed)| end_of(page, typed))
        .collect();
    if faults.is_empty() {
        let errors = in_parallel(&ends, |end| compile_fault(end, Warnings::Denied));
        faults.extend(errors.into_iter().flatten());
    }
    assert_faultless(&faults);
}

/// Types one chapter, compiles it at each place where it should, and compares what is there in the end.
#[test]
#[ignore = "for who writes a chapter"]
fn one_chapter() {
    let chapter = std::env::var("BOOK_CHAPTER").expect("BOOK_CHAPTER=docs/04-mail.md");
    let start = match var_os("BOOK_START") {
        Some(folder) => Crate::read(Path::new(&folder), "BOOK_START"),
        None => {
            let mut state = Crate::given();
            for page in typed_pages().iter().take_while(|page| page.path != chapter) {
                let typed = type_page(page, &state);
                assert_faultless(&typed.faults);
                state = typed.end;
            }
            state
        }
    };
    assert!(
        !start.files.is_empty(),
        "the crate before the chapter has no file"
    );
    let page = Page::new(&chapter);
    let mut typed = type_page(&page, &start);
    let mut faults = std::mem::take(&mut typed.faults);
    if let Some(folder) = var_os("BOOK_OUT") {
        typed.end.write(Path::new(&folder));
    }
    if faults.is_empty() {
        let end = end_of(&page, &typed);
        let within = moments(&typed).into_iter();
        let mut moments: Vec<(&Moment, Warnings)> =
            within.map(|moment| (moment, Warnings::Allowed)).collect();
        moments.push((&end, Warnings::Denied));
        moments.sort_by_key(|(moment, _)| moment.line);
        let errors = in_parallel(&moments, |(moment, warnings)| {
            compile_fault(moment, *warnings)
        });
        faults.extend(errors.into_iter().flatten());
        // Not a fault: rustfmt folds a table of one row, which the next chapter would unfold.
        if let Some(difference) = format_difference(&end.state) {
            println!("{}: note: rustfmt would change\n{difference}", end.place);
        }
        println!("{chapter}: {} places compiled", moments.len());
    }
    if let Some(folder) = var_os("BOOK_END") {
        let wanted = Crate::read(Path::new(&folder), "BOOK_END");
        assert!(!wanted.files.is_empty(), "BOOK_END has no src/");
        faults.extend(differences(&typed.end, &wanted));
    }
    assert_faultless(&faults);
}
