//! Excerpts: the code on a page is a run of its file, line for line.

use smtp_from_scratch::stages::STAGES;

use crate::pages;
use crate::support::book::{Fence, Page, assert_faultless, fences, is_code_gap, run_of};
use crate::support::project::{read, root};

#[test]
fn every_excerpt_is_a_run_of_its_file() {
    let mut faults = Vec::new();
    let mut excerpts = 0;
    for page in pages() {
        for fence in fences(&page.text) {
            if !["rust", "diff"].contains(&fence.kind) {
                continue;
            }
            excerpts += 1;
            if root().join(fence.info).is_file() {
                faults.extend(excerpt_fault(&page, &fence, &read(fence.info)));
            } else {
                let place = page.at(fence.start - 1);
                faults.push(format!("{place}: there is no file {:?}", fence.info));
            }
        }
    }
    assert_faultless(&faults);
    assert!(excerpts >= STAGES.len());
}

/// Finds the first line of an excerpt that its file doesn't have.
fn excerpt_fault(page: &Page, fence: &Fence, source: &str) -> Option<String> {
    let (places, printed): (Vec<usize>, Vec<&str>) = lines_of_file(fence).into_iter().unzip();
    let whole: Vec<&str> = source.lines().collect();
    let (line, instead) = run_of(&printed, &whole, is_code_gap).err()?;
    let file = fence.info;
    let in_file = match instead {
        Some(at) if at < whole.len() => format!("{file}:{} has\n    {}", at + 1, whole[at]),
        Some(_) => format!("{file} ends before it"),
        None => format!("{file} doesn't have this line after the lines printed before it"),
    };
    Some(format!(
        "{}: the page prints\n    {}\nbut {in_file}\nto do: print what the file has, or `// ...` for what you leave out; if the code is wrong, correct the code",
        page.at(fence.start + places.get(line).unwrap_or(&fence.lines.len())),
        printed.get(line).unwrap_or(&"(the end)"),
    ))
}

/// Returns the lines that the file should have, numbered from 0.
///
/// Of a `diff` fence, these are the lines before the change.
fn lines_of_file<'page>(fence: &Fence<'page>) -> Vec<(usize, &'page str)> {
    let numbered = fence.lines.iter().copied().enumerate();
    match fence.kind {
        "diff" => numbered
            .filter(|(_, line)| !line.starts_with('+'))
            .map(|(at, line)| (at, line.get(1..).unwrap_or_default()))
            .collect(),
        _ => numbered.collect(),
    }
}

#[test]
fn a_changed_line_is_reported_with_both_texts() {
    let page = Page {
        path: "docs/x.md".to_string(),
        chapter: Some(1),
        text: "\n```rust a.rs\nfn a() {\n    // ...\n    two();\n    thre();\n}\n```\n\
               ```diff a.rs\n fn a() {\n+    zero();\n-    on();\n```\n"
            .to_string(),
    };
    let source = "fn a() {\n    one();\n    two();\n    three();\n}\n";
    let reports: Vec<String> = fences(&page.text)
        .iter()
        .map(|fence| excerpt_fault(&page, fence, source).unwrap())
        .collect();
    assert!(reports[0].starts_with("docs/x.md:6: "), "{}", reports[0]);
    for part in ["thre();", "a.rs:4 has\n    ", "three();", "to do: "] {
        assert!(reports[0].contains(part), "{}", reports[0]);
    }
    assert!(reports[1].starts_with("docs/x.md:12: "), "{}", reports[1]);
}

#[test]
fn a_run_keeps_the_order_of_its_file() {
    let run = |printed: &[&str], file: &[&str]| run_of(printed, file, is_code_gap);
    assert_eq!(run(&["a", "b"], &["x", "a", "b"]), Ok(vec![1, 2]));
    let with_gap = run(&["a", " // ...", "c"], &["a", "a", "b", "c"]);
    assert_eq!(with_gap, Ok(vec![0, 3]));
    // The first b isn't followed by c.
    let second_try = run(&["a", "// ...", "b", "c"], &["a", "b", "x", "b", "c"]);
    assert_eq!(second_try, Ok(vec![0, 3, 4]));
    assert_eq!(run(&["b", "// ...", "a"], &["a", "b"]), Err((2, None)));
}
