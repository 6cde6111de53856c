//! `cargo test` with arguments: the file, the test or the example exists.

use crate::items::{defined_at, is_ignored_test, is_test};
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
    let functions = text.lines().filter_map(|line| {
        let name = line.trim_start().strip_prefix("fn ")?;
        name.split('(').next()
    });
    let tests = functions.filter(|name| match ignored {
        true => is_ignored_test(&text, name),
        false => is_test(&text, name),
    });
    tests.map(|name| format!("{module}{name}")).collect()
}

/// Finds an item that doesn't exist, or has no example.
fn doctest_fault(item: &str) -> Option<String> {
    let (module, name) = item.rsplit_once("::").unwrap_or((item, ""));
    let file = format!("src/{}.rs", module.replace("::", "/"));
    if !root().join(&file).is_file() {
        return Some(format!("there is no {file}"));
    }
    let source = read(&file);
    let Some(line) = defined_at(&source, name) else {
        return Some(format!("{file} has no {name}"));
    };
    let before: Vec<&str> = source.lines().take(line - 1).collect();
    let has_example = before
        .iter()
        .rev()
        .take_while(|line| line.trim().starts_with(['/', '#']))
        .any(|line| line.trim() == "/// ```");
    (!has_example).then(|| format!("{item} has no example"))
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
