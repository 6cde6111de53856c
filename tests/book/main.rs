//! The book is tested: its code, its conversations, its links, its commands.
//!
//! The kinds of fences in `docs/`:
//!
//! ````text
//! ```rust src/wire.rs      a run of that file, line for line; `// ...` is what was left out
//! ```diff src/wire.rs      the same, with lines to take out (-) and lines to put in (+)
//! ```smtp                  a conversation, played against the chapter's stage, texts compared;
//!                          flags of the program may follow: ```smtp --max-size 20
//! ```wrong RcptBeforeMail  a conversation with the server of the zoo that makes this mistake
//! ```terminal              a run of what the server prints during the conversation before it, when
//!                          the lines are typed at a netcat, which ends them in LF; `...` is a gap
//! ```sh                    commands to type: programs, flags, scripts and tests exist
//! ```text                  anything else
//! ````
//!
//! Fences begin at the start of their lines. README.md is held to the same rules.

mod appendix;
mod cargo_test;
mod chapters;
mod commands;
mod conversations;
mod excerpts;
mod fences;
mod items;
mod links;
mod map;
mod mistakes;
mod pictures;
mod shell;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

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
