//! The model of the reader's crate, tested on small pages.

use crate::support::book::Page;
use crate::support::equality::differences;
use crate::support::pieces::{Action, Module, caption_of, pieces};
use crate::support::project::root;
use crate::support::source::{imported, items};
use crate::support::typed::{Crate, Line, Typed, most_similar, type_page};

/// Makes a crate of one file.
fn with(file: &str, text: &str) -> Crate {
    let lines = text.lines().zip(1..).map(|(text, number)| Line {
        text: text.to_string(),
        from: format!("given:{number}"),
    });
    let mut state = Crate::default();
    state.files.insert(file.to_string(), lines.collect());
    state
}

fn text(state: &Crate, file: &str) -> String {
    let lines = state.files[file].iter();
    lines.map(|line| format!("{}\n", line.text)).collect()
}

fn page(text: &str) -> Page {
    Page {
        path: "docs/x.md".to_string(),
        chapter: Some(1),
        text: text.to_string(),
    }
}

fn fence(caption: &str, kind: &str, code: &str) -> String {
    format!("{caption}\n\n```{kind}\n{code}```\n\n")
}

/// Types a piece into `src/a.rs`.
#[track_caller]
fn typed(before: &str, caption: &str, code: &str) -> Typed {
    let kind = match caption {
        "In `src/a.rs`:" | "Break it, in `src/a.rs`:" => "diff",
        _ => "rust",
    };
    type_page(
        &page(&fence(caption, kind, code)),
        &with("src/a.rs", before),
    )
}

#[track_caller]
fn assert_typed(before: &str, caption: &str, code: &str, after: &str) {
    let typed = typed(before, caption, code);
    assert_eq!(typed.faults, [""; 0]);
    assert_eq!(text(&typed.end, "src/a.rs"), after);
}

/// Checks that a piece can't be typed, and that the report begins and goes on like this.
#[track_caller]
fn assert_fault(before: &str, caption: &str, code: &str, start: &str, parts: &[&str]) {
    let typed = typed(before, caption, code);
    let fault = &typed.faults[0];
    assert!(fault.starts_with(start), "{fault}");
    for part in parts {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    assert_eq!(text(&typed.end, "src/a.rs"), before);
}

const FILE: &str = "\
//! A file.

use std::io;

/// One.
#[derive(Debug)]
pub struct One {
    /// A field.
    pub a: char,
}

impl One {
    /// Makes it.
    pub const fn new() -> One {
        One { a: '{' }
    }
}

pub const TABLE: &[&str] = &[
    \"}\",
];

#[cfg(test)]
mod tests {
    #[test]
    fn works() {}
}
";

#[test]
fn captions_have_these_forms() {
    let module = Module {
        line: "pub mod reply;".to_string(),
        file: "src/lib.rs".to_string(),
    };
    for (caption, action) in [
        ("A new file, `f`:", Action::New(None)),
        (
            "A new file, [`f`](../f), and `pub mod reply;` in [`src/lib.rs`](../src/lib.rs):",
            Action::New(Some(module)),
        ),
        ("At the top of `f`:", Action::Import),
        ("At the end of `f`:", Action::Append),
        (
            "In `f`, at the end of `impl One`:",
            Action::AppendTo("impl One".to_string()),
        ),
        ("In `f`, above `fn a`:", Action::Above("fn a".to_string())),
        ("In `f`, below `fn a`:", Action::Below("fn a".to_string())),
        (
            "In [`f`](../f), in place of `fn a`:",
            Action::InPlaceOf("fn a".to_string()),
        ),
        ("In place of all of `f`:", Action::InPlaceOfAll),
        ("In `f`:", Action::Change),
        ("Unit tests, at the end of `f`:", Action::UnitTests),
        ("Given, in `f`:", Action::Given),
        ("Break it, in `f`:", Action::Break),
    ] {
        assert_eq!(
            caption_of(caption),
            Some(("f".to_string(), action)),
            "{caption}"
        );
    }
    for other in [
        "In `f`",
        "In f:",
        "In `f`, before `fn a`:",
        "Here is `f`:",
        "",
        "In `f`, above `fn a`, `g`:",
    ] {
        assert_eq!(caption_of(other), None, "{other}");
    }
}

#[test]
fn pieces_go_where_their_caption_says() {
    assert_typed(
        FILE,
        "At the end of `src/a.rs`:",
        "fn b() {}\n",
        &FILE.replace("#[cfg(test)]", "fn b() {}\n\n#[cfg(test)]"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, at the end of `impl One`:",
        "    fn b() {}\n",
        &FILE.replace("'{' }\n    }\n", "'{' }\n    }\n\n    fn b() {}\n"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, at the end of `struct One`:",
        "    pub b: u8,\n",
        &FILE.replace("pub a: char,\n", "pub a: char,\n    pub b: u8,\n"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, at the end of `const TABLE`:",
        "    \"b\",\n",
        &FILE.replace("    \"}\",\n", "    \"}\",\n    \"b\",\n"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, above `struct One`:",
        "fn b() {}\n",
        &FILE.replace("/// One.\n", "fn b() {}\n\n/// One.\n"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, below `fn new`:",
        "    fn b() {}\n",
        &FILE.replace("'{' }\n    }\n", "'{' }\n    }\n\n    fn b() {}\n"),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, above `const fn new`:",
        "    fn b() {}\n",
        &FILE.replace(
            "    /// Makes it.\n",
            "    fn b() {}\n\n    /// Makes it.\n",
        ),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, in place of `struct One`:",
        "pub struct One;\n",
        &FILE.replace(
            "/// One.\n#[derive(Debug)]\npub struct One {\n    /// A field.\n    pub a: char,\n}\n",
            "pub struct One;\n",
        ),
    );
    assert_typed(
        FILE,
        "In `src/a.rs`, at the end of `mod tests`:",
        "    #[test]\n    fn works_too() {}\n",
        &FILE.replace(
            "works() {}\n",
            "works() {}\n\n    #[test]\n    fn works_too() {}\n",
        ),
    );
    assert_typed(
        FILE,
        "In place of all of `src/a.rs`:",
        "fn b() {}\n",
        "fn b() {}\n",
    );
    assert_typed(
        "fn b() {}\n",
        "Unit tests, at the end of `src/a.rs`:",
        "#[cfg(test)]\nmod tests {}\n",
        "fn b() {}\n\n#[cfg(test)]\nmod tests {}\n",
    );
    assert_typed(
        "impl One {}\n\nimpl Two {\n}\n",
        "In `src/a.rs`, at the end of `impl Two`:",
        "    fn b() {}\n",
        "impl One {}\n\nimpl Two {\n    fn b() {}\n}\n",
    );
    assert_typed(
        FILE,
        "Given, in `src/a.rs`:",
        "impl One {\n    /// Makes it.\n",
        FILE,
    );
}

#[test]
fn imports_join_their_group() {
    let top = "At the top of `src/a.rs`:";
    assert_typed(
        "fn b() {}\n",
        top,
        "use crate::c;\nuse std::io;\n",
        "use std::io;\n\nuse crate::c;\n\nfn b() {}\n",
    );
    assert_typed(
        FILE,
        top,
        "use std::fmt;\nuse std::net::{\n    A,\n    B,\n};\n\nuse crate::c;\n",
        &FILE.replace(
            "use std::io;\n",
            "use std::fmt;\nuse std::io;\nuse std::net::{\n    A,\n    B,\n};\n\nuse crate::c;\n",
        ),
    );
    assert_fault(
        FILE,
        top,
        "use std::io;\nfn b() {}\n",
        "docs/x.md:1: ",
        &["fn b() {}"],
    );
}

#[test]
fn a_new_file_brings_its_module() {
    let new = |line: &str| {
        let caption = format!("A new file, `src/b.rs`, and `{line}` in `src/a.rs`:");
        let page = page(&fence(&caption, "rust", "//! B.\n"));
        type_page(
            &page,
            &with("src/a.rs", "//! A.\n\npub mod a;\npub mod c;\n"),
        )
    };
    let typed = new("pub mod b;");
    assert_eq!(typed.faults, [""; 0]);
    assert_eq!(
        text(&typed.end, "src/a.rs"),
        "//! A.\n\npub mod a;\npub mod b;\npub mod c;\n"
    );
    assert_eq!(text(&typed.end, "src/b.rs"), "//! B.\n");
    assert_eq!(typed.end.files["src/a.rs"][3].from, "docs/x.md:1");
    assert!(new("pub mod c;").faults[0].contains("already"));
    assert!(new("use b;").faults[0].contains("pub mod reply;"));

    let caption = "A new file, `src/a.rs`:";
    assert_fault(
        FILE,
        caption,
        "fn b() {}\n",
        "docs/x.md:1: ",
        &["isn't new", "given:1"],
    );
    let first = fence(
        "A new file, `src/b.rs`, and `pub mod b;` in `src/a.rs`:",
        "rust",
        "//! B.\n",
    );
    let typed = type_page(&page(&first), &with("src/a.rs", "//! A.\n"));
    assert_eq!(text(&typed.end, "src/a.rs"), "//! A.\n\npub mod b;\n");
}

#[test]
fn a_change_is_one_run_of_its_file() {
    let change = "In `src/a.rs`:";
    assert_typed(
        "a\n\nb\nc\n",
        change,
        " a\n\n-b\n+d\n+e\n c\n",
        "a\n\nd\ne\nc\n",
    );
    assert_fault(
        "a\nb\na\nb\n",
        change,
        "-a\n b\n",
        "docs/x.md:1: ",
        &["more than once", "given:1", "given:3"],
    );
    assert_fault(
        "fn a() {\n    one();\n    two();\n}\n",
        change,
        " fn a() {\n+    zero();\n     one();\n-    tow();\n",
        "docs/x.md:7: ",
        &["tow();", "given:3", "two();", "to do: "],
    );
    assert_fault("a\n", change, "+b\n", "docs/x.md:1: ", &["no line"]);
    assert_fault("a\n", change, " a\nb\n", "docs/x.md:5: ", &["begins with"]);
    assert_fault(
        "fn alpha_beta() {}\n",
        "Given, in `src/a.rs`:",
        "fn alpha_betta() {}\n",
        "docs/x.md:4: ",
        &["given:1"],
    );
    // What is tried isn't kept.
    assert_typed("a\n", "Break it, in `src/a.rs`:", "-a\n+b\n", "a\n");
    assert_fault(
        "a\n",
        "Break it, in `src/a.rs`:",
        "-c\n+b\n",
        "docs/x.md:4: ",
        &[],
    );
}

#[test]
fn an_item_is_named_by_one_beginning() {
    let file = "impl fmt::Display for One {\n    fn new() {}\n}\n\nimpl One {\n    fn new() {}\n    fn new_one() {}\n}\n";
    let below = |name: &str| format!("In `src/a.rs`, below `{name}`:");
    assert!(
        typed(file, &below("impl One"), "fn b() {}\n")
            .faults
            .is_empty()
    );
    assert!(
        typed(file, &below("fn new_one"), "    fn b() {}\n")
            .faults
            .is_empty()
    );
    assert_fault(
        file,
        &below("fn new"),
        "    fn b() {}\n",
        "docs/x.md:1: ",
        &["more than one"],
    );
    assert_fault(
        file,
        &below("impl"),
        "fn b() {}\n",
        "docs/x.md:1: ",
        &["more than one"],
    );
    assert_fault(
        file,
        &below("fn new_"),
        "fn b() {}\n",
        "docs/x.md:1: ",
        &["no `fn new_`", "fn new"],
    );
    assert_fault(
        file,
        &below("fn new_one"),
        "fn b() {}\n",
        "docs/x.md:4: ",
        &["4 spaces"],
    );
    assert_fault(
        file,
        "At the end of `src/b.rs`:",
        "fn b() {}\n",
        "docs/x.md:1: ",
        &["no src/b.rs"],
    );
    let again = "Unit tests, at the end of `src/a.rs`:";
    assert_fault(
        FILE,
        again,
        "#[cfg(test)]\nmod tests {}\n",
        "docs/x.md:1: ",
        &["already"],
    );
    assert_fault(
        file,
        again,
        "mod test {}\n",
        "docs/x.md:1: ",
        &["#[cfg(test)]"],
    );
}

#[test]
fn a_page_is_typed_in_its_order() {
    let text = [
        &fence("At the end of `src/a.rs`:", "rust", "fn one() {}\n"),
        "**What you see now.** Something.\n\n",
        &fence(
            "Break it, in `src/a.rs`:",
            "diff",
            "-fn one() {}\n+fn two() {}\n",
        ),
        "```sh\ncargo test --lib one\n```\n\n```wrong so-far\nS: 220 ...\n```\n\n",
        "### An exercise\n\n`cargo test --test exercises -- --ignored three`\n\n<details>\n\n",
        &fence("In `src/a.rs`:", "diff", "-fn four() {}\n+fn three() {}\n"),
        "</details>\n\n",
        &fence("At the end of `src/a.rs`:", "rust", "fn four() {}\n"),
    ]
    .concat();
    let typed = type_page(&page(&text), &with("src/a.rs", ""));
    assert_eq!(typed.faults, [""; 0]);
    let states = [&typed.seen, &typed.broken, &typed.so_far, &typed.solved].map(|moments| {
        let lines = self::text(&moments[0].state, "src/a.rs");
        let first = lines.lines().next().unwrap().to_string();
        (moments[0].line, first, moments[0].commands.len())
    });
    let wanted = [
        (7, "one", 0),
        (12, "two", 1),
        (21, "one", 0),
        (28, "one", 1),
    ];
    let wanted = wanted.map(|(line, name, commands)| (line, format!("fn {name}() {{}}"), commands));
    assert_eq!(states, wanted);
    assert!(self::text(&typed.solved[0].state, "src/a.rs").contains("fn three() {}"));
    assert!(self::text(&typed.end, "src/a.rs").contains("fn four() {}"));
}

#[test]
fn a_fence_without_a_valid_caption_is_reported() {
    let (_, faults) = pieces(&page("Text.\n\n```rust\nfn a() {}\n```\n"));
    assert!(faults[0].starts_with("docs/x.md:3: "), "{faults:?}");
    assert!(faults[0].contains("in place of `fn receive`"), "{faults:?}");
}

/// Compares `src/a.rs` of two crates.
fn compared(typed: &str, wanted: &str) -> Vec<String> {
    let place = |state: &mut Crate, place: &str| {
        for line in state.files.get_mut("src/a.rs").unwrap() {
            line.from = line.from.replace("given", place);
        }
    };
    let (mut typed, mut wanted) = (with("src/a.rs", typed), with("src/a.rs", wanted));
    place(&mut typed, "docs/x.md");
    place(&mut wanted, "src/a.rs");
    differences(&typed, &wanted)
}

#[test]
fn equal_files_differ_in_nothing_that_counts() {
    let wanted = "//! A. More.\n\nuse std::io::{self, Read};\n\n/// One. Two\n/// three.\nfn a() { // x\n    b();\n}\n\n\
        #[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn c() {\n        d(1);\n    }\n\n    #[test]\n    fn e() {}\n}\n";
    let typed = "//! A.\nuse std::io::Read;\nuse std::io;\n/// One.\nfn a() {\n\n    b();\n}\n\
        #[cfg(test)]\nmod tests {\n    #[test]\n    fn c() {\n        d(1);\n    }\n}\n";
    assert_eq!(compared(typed, wanted), [""; 0]);
    assert_eq!(compared(wanted, wanted), [""; 0]);
}

#[test]
fn a_difference_names_both_places() {
    let wanted = "use std::io;\nfn a() {\n    one();\n    two();\n}\n";
    for (typed, parts) in [
        (
            "use std::io;\nfn a() {\n    one();\n    tow();\n}\n",
            vec!["docs/x.md:4: ", "src/a.rs:4", "tow", "two"],
        ),
        (
            "use std::io;\nfn a() {\n    one();\n}\n",
            vec!["docs/x.md:4: ", "src/a.rs:4", "two", "(nothing here"],
        ),
        (
            "use std::io;\nfn a() {\n    one();\n    two();\n}\nfn c() {}\n",
            vec!["docs/x.md:6: ", "fn c"],
        ),
        (
            "fn a() {\n    one();\n    two();\n}\n",
            vec!["src/a.rs:1", "std::io"],
        ),
        (
            "use std::io;\nuse std::fmt;\nfn a() {\n    one();\n    two();\n}\n",
            vec!["docs/x.md:2: ", "std::fmt"],
        ),
        (
            "use std::io;\n/// Does one.\nfn a() {\n    one();\n    two();\n}\n",
            vec!["docs/x.md:2: ", "Does one."],
        ),
    ] {
        let faults = compared(typed, wanted);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(parts[0]), "{}", faults[0]);
        for part in parts {
            assert!(faults[0].contains(part), "{part}: {}", faults[0]);
        }
    }
    let missing = differences(
        &with("src/b.rs", "fn a() {}\n"),
        &with("src/a.rs", "fn a() {}\n"),
    );
    assert_eq!(missing.len(), 2, "{missing:?}");
    let test = |body: &str| {
        format!("#[cfg(test)]\nmod tests {{\n    fn c() {{\n        {body}\n    }}\n}}\n")
    };
    assert_eq!(compared(&test("d(1);"), &test("d(1);")).len(), 0);
    assert_eq!(compared(&test("d(2);"), &test("d(1);")).len(), 1);
}

#[test]
fn what_differs_beside_the_code_is_reported() {
    let wanted = "//! A wire, and the client\n//! at its end. More: less.\n#![allow(a)]\n\n\
        #[cfg(unix)]\npub mod m;\n\nfn b() {} // one\n\n\
        #[cfg(test)]\nmod tests {\n    use super::b;\n\n    const C: u8 = 1;\n}\n";
    assert_eq!(compared(wanted, wanted), [""; 0]);
    for (old, new) in [
        ("//! at its end. More: less.", "//! at its end. More."),
        (
            "//! A wire, and the client\n//! at its end",
            "//! at its end",
        ),
        ("#![allow(a)]\n", ""),
        ("// one", "// two"),
        ("#[cfg(test)]", "#[cfg(all())]"),
        ("super::b", "super::c"),
        ("u8 = 1", "u8 = 2"),
    ] {
        let typed = wanted.replace(old, new);
        let faults = compared(&typed, wanted);
        assert_eq!(faults.len(), 1, "{new}: {faults:?}");
    }
    // One is missing, and one is too many.
    for (old, new) in [("#![allow(a)]", "#![allow(b)]"), ("#[cfg(unix)]\n", "")] {
        assert_eq!(
            compared(&wanted.replace(old, new), wanted).len(),
            2,
            "{old}"
        );
    }
    for (old, new) in [
        (" // one", ""),
        ("More: less.", "More:"),
        ("at its end. More: less.", "at its end."),
    ] {
        assert_eq!(
            compared(&wanted.replace(old, new), wanted),
            [""; 0],
            "{old}"
        );
    }
    let manifest = "name = \"a\"\nversion = \"1\"\nedition = \"2024\"\n";
    let crate_ = |text: &str| with("Cargo.toml", text);
    for (old, new) in [
        ("\"a\"", "\"b\""),
        ("1", "2"),
        ("2024", "2021"),
        ("edition", ""),
    ] {
        let other = manifest.replacen(old, new, 1);
        assert_eq!(
            differences(&crate_(&other), &crate_(manifest)).len(),
            1,
            "{other}"
        );
    }
    assert_eq!(differences(&crate_(manifest), &crate_(manifest)), [""; 0]);
}

#[test]
fn our_own_sources_are_understood() {
    let sources = Crate::read(root(), "");
    assert_eq!(differences(&sources, &sources), [""; 0]);
    for (file, lines) in &sources.files {
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        // A top item begins and ends at the start of a line.
        for item in items(&text).iter().filter(|_| file.ends_with(".rs")) {
            let indent = |at: usize| text[at].len() - text[at].trim_start().len();
            assert_eq!(indent(item.head), item.indent, "{file}: {}", item.name);
            let is_statement = text[item.end].ends_with(';');
            assert!(
                is_statement || indent(item.end) == item.indent,
                "{file}: {}",
                item.name
            );
        }
    }
}

#[test]
fn strings_and_comments_do_not_end_an_item() {
    let source = [
        "fn a<'a>() {",
        "    let b = '\\'';",
        "    let c = '{'; // }",
        "    let d = \"}",
        "}\";",
        "    let e = br#\"\"}\"#;",
        "    /* } /* } */ } */",
        "}",
        "",
        "const F: u8 = b'\"';",
    ];
    let found = items(&source);
    let lines: Vec<(usize, usize)> = found.iter().map(|item| (item.head, item.end)).collect();
    assert_eq!(lines, [(0, 7), (9, 9)]);
}

#[test]
fn an_import_is_what_it_brings() {
    let set = |statement: &str| {
        imported(statement)
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        set("use std::io::{self, Read, a::{b, c as d}};"),
        "std::io std::io::Read std::io::a::b std::io::a::c as d"
    );
    assert_eq!(set("pub use crate::a;"), "pub crate::a");
}

#[test]
fn the_most_similar_line_is_found() {
    assert_eq!(
        most_similar(
            "    let a = one();",
            &["let b = two();", "let a = ones();", "}"]
        ),
        Some(1)
    );
    assert_eq!(most_similar("let a = one();", &["}", "#[test]"]), None);
}
