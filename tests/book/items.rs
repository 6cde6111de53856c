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
    defined_at(source, name).is_some_and(|line| {
        let before: Vec<&str> = source.lines().take(line - 1).collect();
        let attributes = before
            .iter()
            .rev()
            .take_while(|line| line.trim().starts_with("#["));
        let attributes: Vec<&str> = attributes.map(|line| line.trim()).collect();
        attributes.contains(&"#[test]") && !attributes.iter().any(|line| line.contains("ignore"))
    })
}

#[test]
fn a_test_is_a_function_with_its_attribute() {
    let source = "// fn zero() {}\n#[test]\nfn one() {}\n\nfn two() {}\n\n#[test]\n#[ignore]\nfn three() {}\n";
    let line = |name| defined_at(source, name);
    assert_eq!(
        (line("zero"), line("one"), line("three")),
        (None, Some(3), Some(9))
    );
    assert!(is_test(source, "one"));
    for name in ["zero", "two", "three"] {
        assert!(!is_test(source, name), "{name}");
    }
}
