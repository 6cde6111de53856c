//! Links: each leads to a page, a heading, a file, an item or a test that exists.

use std::path::Path;

use crate::items::{definition, is_test};
use crate::pages;
use crate::support::book::{Page, assert_faultless, prose};
use crate::support::project::root;

#[test]
fn every_link_leads_somewhere() {
    let faults: Vec<String> = pages().iter().flat_map(page_faults).collect();
    assert_faultless(&faults);
}

/// Finds the faults in the links of a page.
fn page_faults(page: &Page) -> Vec<String> {
    let folder = Path::new(&page.path).parent().unwrap().to_str().unwrap();
    let mut faults = Vec::new();
    for (number, line) in prose(&page.text) {
        let place = page.at(number);
        let other_forms = ["]: ", "href=", "src=\"", "<../", "<#"];
        if other_forms.iter().any(|form| line.contains(form)) {
            faults.push(format!(
                "{place}: write the link as [text](target), which is checked"
            ));
        }
        for (text, target) in links(line) {
            let fault = target_fault(folder, &page.text, target);
            if let Some(fault) = fault.or_else(|| label_fault(text, target)) {
                faults.push(format!(
                    "{place}: the link {target} is wrong: {fault}\nto do: link to what exists"
                ));
            }
            if target.ends_with(".svg") && text.is_empty() {
                faults.push(format!("{place}: {target} has no text"));
            }
        }
    }
    faults
}

/// Finds the links and pictures in a line: text and target.
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

/// Finds what a link from a page in `folder` leads to and lacks.
///
/// The web isn't looked at.
fn target_fault(folder: &str, own_text: &str, target: &str) -> Option<String> {
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
    let (what, found) = if path.is_empty() || path.ends_with(".md") {
        let is_heading = |line: &str| line.starts_with('#') && slug(line) == fragment;
        ("heading", prose(&text).any(|(_, line)| is_heading(line)))
    } else if path.contains("tests/") {
        ("test", is_test(&text, fragment))
    } else {
        ("item", definition(&text, fragment).is_some())
    };
    (!found).then(|| format!("{path} has no {what} named {fragment}"))
}

/// Returns whether a path stays within the project.
fn is_ours(path: &Path) -> bool {
    let inside = root().canonicalize().unwrap();
    path.canonicalize()
        .is_ok_and(|path| path.starts_with(inside))
}

/// Makes the anchor of a heading as a forge and mdBook do.
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

/// Compares a link's text, if it is a name, with the item that it leads to.
fn label_fault(text: &str, target: &str) -> Option<String> {
    let (_, fragment) = target.split_once('#')?;
    let name = text.trim_matches('`').rsplit("::").next()?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (target.contains(".rs#") && is_name && name != fragment)
        .then(|| format!("it is called {name} and leads to {fragment}"))
}

#[test]
fn a_dead_link_is_reported() {
    let fault = |target| target_fault("docs", "# One\n\n## Two, three\n", target);
    for good in [
        "https://www.rfc-editor.org/rfc/rfc5321",
        "#two-three",
        "../src/cli.rs",
        "../src/cli.rs#usage",
        "../src/settings.rs#Settings",
        "../tests/book/links.rs#a_dead_link_is_reported",
    ] {
        assert_eq!(fault(good), None);
    }
    for bad in [
        "#two",
        "../src/clio.rs",
        "../src/cli.rs#usages",
        "../tests/book/links.rs#a_dead_link_is_accepted",
        "../../../../../../../../etc/passwd",
        // Defined, but not as a test.
        "../tests/book/links.rs#target_fault",
    ] {
        assert!(fault(bad).is_some(), "{bad}");
    }
}

#[test]
fn a_link_with_the_name_of_another_item_is_reported() {
    assert_eq!(label_fault("`Wire::close`", "../src/wire.rs#close"), None);
    assert_eq!(label_fault("the loop", "../src/wire.rs#close"), None);
    assert!(label_fault("`Wire::closes`", "../src/wire.rs#close").is_some());
}
