//! Items in Rust sources: functions, types, constants, tests.

use crate::support::source;

const KINDS: [&str; 7] = ["fn", "struct", "enum", "const", "type", "mod", "trait"];

/// A definition in a source.
pub struct Definition<'source> {
    pub name: String,
    /// The lines above the one that names it: its comment and its attributes.
    pub above: Vec<&'source str>,
}

impl Definition<'_> {
    /// Returns whether it is a test that runs.
    pub fn is_test(&self) -> bool {
        self.has("#[test]") && !self.has("#[ignore")
    }

    /// Returns whether it is a test that runs only when it is asked for.
    pub fn is_ignored_test(&self) -> bool {
        self.has("#[test]") && self.has("#[ignore")
    }

    /// Returns whether a line above it begins so.
    pub fn has(&self, beginning: &str) -> bool {
        self.above.iter().any(|line| line.starts_with(beginning))
    }
}

/// Finds the definitions in a source.
pub fn definitions(source: &str) -> Vec<Definition<'_>> {
    let lines: Vec<&str> = source.lines().map(str::trim_end).collect();
    let items = source::items(&lines).into_iter();
    let definitions = items.filter_map(|item| {
        let words = item.name.split(|c: char| !c.is_alphanumeric() && c != '_');
        let mut from_kind = words.skip_while(|word| !KINDS.contains(word));
        // `const fn name` has two kinds.
        let name = from_kind.find(|word| !KINDS.contains(word))?;
        Some(Definition {
            name: name.to_string(),
            above: lines[item.start..item.head]
                .iter()
                .map(|line| line.trim_start())
                .collect(),
        })
    });
    definitions.collect()
}

/// Finds the definition of `name`.
pub fn definition<'source>(source: &'source str, name: &str) -> Option<Definition<'source>> {
    let mut definitions = definitions(source).into_iter();
    definitions.find(|definition| definition.name == name)
}

/// Returns whether `name` is a test that runs.
pub fn is_test(source: &str, name: &str) -> bool {
    definition(source, name).is_some_and(|definition| definition.is_test())
}

#[test]
fn a_test_is_a_function_with_its_attribute() {
    let source = "// fn zero() {}\n#[test]\nfn one() {}\n\nfn two() {}\n\n#[test]\n#[ignore]\nfn three() {}\n";
    let above = |name| definition(source, name).map(|definition| definition.above);
    assert_eq!(
        (above("zero"), above("one"), above("three")),
        (
            None,
            Some(vec!["// fn zero() {}", "#[test]"]),
            Some(vec!["#[test]", "#[ignore]"])
        )
    );
    let is_ignored_test = |name| definition(source, name).unwrap().is_ignored_test();
    assert!(is_test(source, "one") && !is_ignored_test("one"));
    assert!(is_ignored_test("three") && !is_ignored_test("two"));
    for name in ["zero", "two", "three"] {
        assert!(!is_test(source, name), "{name}");
    }
}
