//! Items in Rust sources: functions, types, constants, tests.

/// Returns the number of the line, from 1, that defines `name`.
pub fn defined_at(source: &str, name: &str) -> Option<usize> {
    let is_definition = |line: &str| {
        let words: Vec<&str> = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(2).any(|pair| {
            ["fn", "struct", "enum", "const", "type", "mod", "trait"].contains(&pair[0])
                && pair[1] == name
        })
    };
    let line = source
        .lines()
        .position(|line| !line.trim_start().starts_with("//") && is_definition(line));
    line.map(|line| line + 1)
}

/// Returns whether `name` is a test that runs.
pub fn is_test(source: &str, name: &str) -> bool {
    let attributes = attributes(source, name);
    attributes.contains(&"#[test]") && !is_ignored(&attributes)
}

/// Returns whether `name` is a test that runs only when it is asked for.
pub fn is_ignored_test(source: &str, name: &str) -> bool {
    let attributes = attributes(source, name);
    attributes.contains(&"#[test]") && is_ignored(&attributes)
}

fn is_ignored(attributes: &[&str]) -> bool {
    attributes.iter().any(|line| line.starts_with("#[ignore"))
}

/// Finds the attributes of `name`.
fn attributes<'source>(source: &'source str, name: &str) -> Vec<&'source str> {
    let Some(line) = defined_at(source, name) else {
        return Vec::new();
    };
    let before: Vec<&str> = source.lines().take(line - 1).map(str::trim).collect();
    let attributes = before.iter().rev().copied();
    attributes
        .take_while(|line| line.starts_with("#["))
        .collect()
}

#[test]
fn a_test_is_a_function_with_its_attribute() {
    let source = "// fn zero() {}\n#[test]\nfn one() {}\n\nfn two() {}\n\n#[test]\n#[ignore]\nfn three() {}\n";
    let line = |name| defined_at(source, name);
    assert_eq!(
        (line("zero"), line("one"), line("three")),
        (None, Some(3), Some(9))
    );
    assert!(is_test(source, "one") && !is_ignored_test(source, "one"));
    assert!(is_ignored_test(source, "three") && !is_ignored_test(source, "two"));
    for name in ["zero", "two", "three"] {
        assert!(!is_test(source, name), "{name}");
    }
}
