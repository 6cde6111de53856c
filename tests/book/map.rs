//! The map: summary, README, modules and chapters link to each other.

use crate::links::links;
use crate::support::book::chapters;
use crate::support::project::{files, modules, read};

#[test]
fn the_summary_lists_every_page_in_order() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<&str> = summary
        .lines()
        .flat_map(links)
        .map(|(_, target)| target)
        .collect();
    let mut pages: Vec<String> = files("docs", "md")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .filter(|name| name != "SUMMARY.md")
        .collect();
    // Numbers first, in their order; *Fast* follows the chapter that it changes.
    let place = |name: &String| (!name.starts_with(char::is_numeric), name != "fast.md");
    pages.sort_by_key(place);
    assert_eq!(listed, pages);
}

/// The module's link leads from its page in `cargo doc` up to the project's folder.
#[test]
fn a_chapter_and_its_module_link_to_each_other() {
    for (page, module) in chapters().iter().zip(modules()) {
        let source = read(format!("src/stages/{module}.rs"));
        let link = format!("[{0}](../../../../../{0})", page.path);
        assert!(
            source.contains(&link),
            "{module} links to its chapter: {link}"
        );
        let path = &page.path;
        for (map, link) in [
            ("src/lib.rs", format!("](../../../{path})")),
            ("README.md", format!("]({path})")),
        ] {
            assert!(read(map).contains(&link), "{map} links to {path}");
        }
        for target in [
            format!("](../src/stages/{module}.rs)"),
            format!("](../tests/{module}.rs)"),
        ] {
            assert!(page.text.contains(&target), "{} has no {target}", page.path);
        }
    }
}
