//! `cargo test` with arguments: the file, the test or the example exists.

use crate::items::{definition, definitions};
use crate::support::project::{files, read, root};

/// Finds a file or a name for which there is no test.
pub fn cargo_test_fault(arguments: &[&str]) -> Option<String> {
    let (sources, filter) = match arguments {
        [] | ["--features", "log"] => return None,
        ["--test", name, filter @ ..] => (target_sources(name), filter),
        ["--lib", filter @ ..] => (sources_in("src"), filter),
        ["--doc", item] => return doctest_fault(item),
        _ => {
            let arguments = arguments.join(" ");
            return Some(format!("this test doesn't know cargo test {arguments}"));
        }
    };
    if sources.is_empty() {
        return Some(format!("there is no test target {}", arguments[1]));
    }
    let ignored = filter.contains(&"--ignored");
    let filter = filter.iter().find(|word| !word.starts_with('-'))?;
    let mut names = sources
        .iter()
        .flat_map(|source| test_names(source, ignored));
    (!names.any(|name| name.contains(filter))).then(|| format!("no test is named {filter}"))
}

/// Finds the sources of a target: one file, or a folder.
fn target_sources(name: &str) -> Vec<String> {
    let file = format!("tests/{name}.rs");
    let folder = format!("tests/{name}");
    if root().join(&file).is_file() {
        vec![file]
    } else if root().join(&folder).join("main.rs").is_file() {
        sources_in(&folder)
    } else {
        Vec::new()
    }
}

fn sources_in(folder: &str) -> Vec<String> {
    let paths = files(folder, "rs").into_iter();
    let paths = paths.map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    paths.collect()
}

/// Returns the full names of a source's tests.
///
/// `stages::stage04_mail::tests::a_name`, `links::a_name`
///
/// With `ignored` they are the tests that aren't run by default.
fn test_names(path: &str, ignored: bool) -> Vec<String> {
    let module = path.trim_end_matches(".rs").replace('/', "::");
    let module = match (module.strip_prefix("src::"), module.splitn(3, "::").nth(2)) {
        (Some(module), _) => format!("{module}::tests::"),
        (None, Some(module)) => format!("{module}::"),
        (None, None) => String::new(),
    };
    let text = read(path);
    let definitions = definitions(&text).into_iter();
    let tests = definitions.filter(|definition| match ignored {
        true => definition.is_ignored_test(),
        false => definition.is_test(),
    });
    tests.map(|test| format!("{module}{}", test.name)).collect()
}

/// Finds an item that doesn't exist, or has no example.
fn doctest_fault(item: &str) -> Option<String> {
    let (module, name) = item.rsplit_once("::").unwrap_or((item, ""));
    let file = format!("src/{}.rs", module.replace("::", "/"));
    if !root().join(&file).is_file() {
        return Some(format!("there is no {file}"));
    }
    let source = read(&file);
    match definition(&source, name) {
        None => Some(format!("{file} has no {name}")),
        Some(definition) if definition.above.contains(&"/// ```") => None,
        Some(_) => Some(format!("{item} has no example")),
    }
}

#[test]
fn a_test_that_does_not_exist_is_reported() {
    let fault = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        cargo_test_fault(&arguments)
    };
    for good in [
        "--features log",
        "--test typed",
        "--test typed -- --ignored full_proof",
        "--test typed -- --ignored --nocapture",
        "--test book",
        "--test book -- --nocapture",
        "--test book cargo_test::a_test_that_does_not_exist_is_reported",
        "--lib path::tests",
        "--doc path::reverse_path",
    ] {
        assert_eq!(fault(good), None, "{good}");
    }
    for bad in [
        "--test typewritten",
        "--test typed full_proof",
        "--test typed -- --ignored half_proof",
        "--test player -- --ignored typed_book",
        "--test support",
        "--test book cargo_test::a_test_that_exists_is_reported",
        // Defined, but not as a test.
        "--test book test_names",
        "--lib stages::stage99",
        "--doc paths::reverse_path",
        "--doc path::forward_path",
        "--all",
    ] {
        assert!(fault(bad).is_some(), "{bad}");
    }
}
