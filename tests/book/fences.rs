//! Fences: each is closed, begins its line, and is of a kind that a test reads.

use crate::pages;
use crate::support::book::{Fence, Page, assert_faultless, fences, prose};
use crate::support::pieces::pieces;
use crate::support::terminal::is_output_gap;
use crate::support::typed::typed_pages;

#[test]
fn every_fence_is_of_a_kind_that_is_checked() {
    let faults: Vec<String> = pages().iter().flat_map(page_faults).collect();
    assert_faultless(&faults);
}

/// Finds the faults in the fences of a page.
fn page_faults(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    for fence in fences(&page.text) {
        let place = page.at(fence.start - 1);
        faults.extend(kind_fault(&fence).map(|fault| format!("{place}: {fault}")));
        if fence.is_so_far() && !is_typed(page) {
            faults.push(format!("{place}: nothing is typed for this page"));
        }
        let end = page.text.lines().nth(fence.start - 1 + fence.lines.len());
        if end != Some("```") {
            faults.push(format!("{place}: it has no end"));
        }
        if let Some(at) = fence.lines.iter().position(|line| line.starts_with("```")) {
            let inner = page.at(fence.start + at);
            faults.push(format!(
                "{inner}: a fence begins before the one of {place} ends"
            ));
        }
    }
    faults.extend(pieces(page).1);
    for (number, line) in prose(&page.text) {
        let line = line.trim_start_matches([' ', '>', '-', '*']);
        if line.starts_with("```") || line.starts_with("~~~") {
            faults.push(format!(
                "{}: a fence begins at the start of its line, with ```",
                page.at(number)
            ));
        }
    }
    faults
}

fn is_typed(page: &Page) -> bool {
    typed_pages().iter().any(|typed| typed.path == page.path)
}

/// Finds a fault in the kind of a fence, and in what follows the kind.
fn kind_fault(fence: &Fence) -> Option<&'static str> {
    let changes = fence.lines.iter().any(|line| line.starts_with(['-', '+']));
    let fault = match fence.kind {
        "diff" if !changes => Some("it changes nothing"),
        // Another check reads their captions.
        "rust" | "diff" => None,
        "wrong" => fence.info.is_empty().then_some("it names no mistake"),
        "terminal" | "sh" | "text" => {
            (!fence.info.is_empty()).then_some("nothing follows this kind")
        }
        "smtp" => None,
        _ => Some("unknown kind; the kinds are at the head of tests/book/main.rs"),
    };
    let has_text = |line: &&str| !is_output_gap(line) && !line.is_empty();
    fault.or((!fence.lines.iter().any(has_text)).then_some("it is empty"))
}

#[test]
fn a_bad_fence_is_reported() {
    let faults = |text: &str| {
        let page = Page {
            path: "docs/x.md".to_string(),
            chapter: None,
            text: text.to_string(),
        };
        page_faults(&page).len()
    };
    for good in [
        "A new file, `src/a.rs`:\n\n```rust\nfn a() {}\n```\n",
        "Text.\n\nIn [`src/a.rs`](../src/a.rs):\n\n```diff\n fn a() {\n-    b();\n```\n",
        "```wrong RcptBeforeMail\nS: 220 ...\n```\n",
        "```smtp\nS: 220 ...\n```\n",
        "```smtp --max-size 20\nS: 220 ...\n```\n",
        "```text\n...\nlisten\n```\n",
    ] {
        assert_eq!(faults(good), 0, "{good}");
    }
    for bad in [
        "```rust\nfn a() {}\n```\n",
        "Text\nA new file, `src/a.rs`:\n\n```rust\nfn a() {}\n```\n",
        "A new file, `src/a.rs`:\n```rust\nfn a() {}\n```\n",
        "A new file, `src/a.rs`:\n\n```rust src/a.rs\nfn a() {}\n```\n",
        "A new file, `src/a.rs`:\n\n```rust\nfn a() {\n    // ...\n}\n```\n",
        "A new file, `src/a.rs`:\n\n```diff\n+fn a() {}\n```\n",
        "In `src/a.rs`:\n\n```diff\n fn a() {\n     b();\n```\n",
        "```wrong so-far\nS: 220 ...\n```\n",
        "```wrong\nS: 220 ...\n```\n",
        "```text src/wire.rs\nlisten\n```\n",
        "```c\nint a;\n```\n",
        "```text\n...\n```\n",
        "```sh\n\n```\n",
        "```smtp\nS: 220 ...\n",
        "```text\na\n```smtp\nb\n```\n",
        "- ```smtp\n  S: 220 ...\n",
        "~~~\n",
    ] {
        assert_eq!(faults(bad), 1, "{bad}");
    }
}
