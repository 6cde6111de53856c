//! The book is tested: its code, its conversations, its links, its commands.
//!
//! The kinds of fences in `docs/`:
//!
//! ````text
//! ```rust                  a piece to type, or code to look at: the caption before it says what to do
//! ```diff                  the same, for lines to take out (-) and lines to put in (+)
//! ```smtp                  a conversation, played against the chapter's stage, texts compared;
//!                          flags of the program may follow: ```smtp --max-size 20
//! ```wrong RcptBeforeMail  a conversation with the server of the zoo that makes this mistake
//! ```wrong so-far          a conversation with the reader's own server as it is typed so far
//! ```terminal              a run of what the server prints during the conversation before it, when
//!                          the lines are typed at a netcat, which ends them in LF; `...` is a gap
//! ```sh                    commands to type: programs, flags, scripts and tests exist
//! ```text                  anything else
//! ````
//!
//! The captions of `rust` and `diff` are in `tests/support/pieces.rs`; how their pieces are typed is in
//! `tests/support/typed.rs`. That the typed server compiles and works is shown in `tests/typed/`.
//!
//! Fences begin at the start of their lines. README.md is held to the same rules.

mod appendix;
mod cargo_test;
mod chapters;
mod commands;
mod conversations;
mod exercises;
mod fences;
mod glossary;
mod items;
mod links;
mod map;
mod mistakes;
mod phrases;
mod pictures;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod typed;

use support::book::Page;
use support::project::{files, root};

/// Reads every page: the book's, and the README.
fn pages() -> Vec<Page> {
    let mut pages: Vec<Page> = files("docs", "md")
        .iter()
        .map(|path| Page::new(path.strip_prefix(root()).unwrap().to_str().unwrap()))
        .collect();
    pages.push(Page::new("README.md"));
    pages
}
