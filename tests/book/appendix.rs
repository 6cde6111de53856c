//! Appendix A: a row for every reply, and a reply for every row.

use smtp_from_scratch::reply::{Reply, not_available};
use smtp_from_scratch::stages::stage02_greeting::greeting;
use smtp_from_scratch::stages::stage07_quit::closing;

use crate::support::book::assert_faultless;
use crate::support::project::{code, read, sources};

/// The reasons that the server gives with 421.
const REASONS: &[&str] = &[
    "Too many connections",   // instead of the greeting
    "You took too long",      // nothing came in time
    "Too many errors",        // after a refusal
    "This is SMTP, not HTTP", // to a request line
];

/// A reply code and its text.
type Row = (u16, String);

#[test]
fn the_appendix_has_a_row_for_every_reply_and_no_other() {
    let rows = rows(&read("docs/appendix-a-commands-and-replies.md"));
    let constants: Vec<Row> = sources()
        .flat_map(|(_, source)| constants(&joined(&source)))
        .collect();
    assert!(!constants.is_empty());
    assert_faultless(&differences(&rows, &[constants, put_together()].concat()));
}

#[test]
fn the_reasons_for_421_are_those_of_the_sources() {
    let sources: Vec<String> = sources().map(|(_, source)| joined(&source)).collect();
    for reason in REASONS {
        let literal = format!("\"{reason}\"");
        let is_given = sources.iter().any(|source| source.contains(&literal));
        assert!(is_given, "no source gives the reason {reason:?}");
    }
    for reason in sources.iter().flat_map(|source| literal_reasons(source)) {
        assert!(REASONS.contains(&reason), "REASONS doesn't have {reason:?}");
    }
}

/// Returns the replies whose texts are put together at run time.
fn put_together() -> Vec<Row> {
    let mut replies = vec![
        greeting("localhost"),
        closing("localhost"),
        Reply::new(250, "localhost"),
        Reply::new(250, "OK, queued as ID"),
    ];
    let goodbyes = REASONS.iter();
    replies.extend(goodbyes.map(|reason| not_available("localhost", reason)));
    let rows = replies.iter();
    rows.map(|reply| (reply.code, reply.text.to_string()))
        .collect()
}

/// Reads the rows of the tables that begin with a reply code.
fn rows(appendix: &str) -> Vec<Row> {
    let appendix = appendix.replace("&lt;", "<").replace("&gt;", ">");
    let rows = appendix.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code = cells.next().filter(|cell| cell.len() == 3)?.parse().ok()?;
        Some((code, cells.next()?.to_string()))
    });
    rows.collect()
}

/// Joins the lines of a source's code, so that a statement may span several.
fn joined(source: &str) -> String {
    code(source).map(|(_, line)| line.trim()).collect()
}

/// Finds the constant replies: `Reply::new(code, "text")`.
fn constants(source: &str) -> Vec<Row> {
    let calls = source.split("Reply::new(").skip(1).filter_map(|call| {
        let (code, text) = call.split_once(',')?;
        let text = text.trim_start().strip_prefix('"')?.split('"').next()?;
        // A line feed separates the lines of one reply.
        let text = text.replace("\\n\\", "; ");
        Some((code.trim().parse().ok()?, text))
    });
    calls.collect()
}

/// Finds the reasons that stand as literals in calls of `not_available`.
fn literal_reasons(source: &str) -> Vec<&str> {
    let calls = source.split("not_available(").skip(1);
    let arguments = calls.filter_map(|call| call.split(')').next());
    arguments
        .filter_map(|arguments| arguments.split('"').nth(1))
        .collect()
}

/// Compares the rows with the replies.
fn differences(rows: &[Row], replies: &[Row]) -> Vec<String> {
    let mut differences = Vec::new();
    for row in replies {
        let (code, text) = row;
        match rows.iter().filter(|other| *other == row).count() {
            1 => {}
            0 => differences.push(format!("the appendix has no row | {code} | {text} |")),
            count => differences.push(format!("{count} rows are | {code} | {text} |")),
        }
    }
    for (code, text) in rows.iter().filter(|row| !replies.contains(row)) {
        differences.push(format!("the server doesn't say | {code} | {text} |"));
    }
    differences
}

#[test]
fn a_row_that_is_missing_or_superfluous_is_reported() {
    let source = "/// A comment.\npub const A: Reply = Reply::new(250, \"OK\");\n\
        pub const B: Reply =\n    Reply::new(552, \"Too much, (again)\");\n\
        pub const C: Reply = Reply::new(\n    501,\n    \"Not <that>\",\n)\n.status(\"5.5.4\");\n\
        const WORD: &str = \"no reply\";\n";
    let replies = constants(&joined(source));
    let row = |code: u16, text: &str| (code, text.to_string());
    assert_eq!(
        replies,
        [
            row(250, "OK"),
            row(552, "Too much, (again)"),
            row(501, "Not <that>")
        ]
    );
    let table = "| code | text | when |\n| --- | --- | --- |\n| 250 | OK | done |\n\
        | 501 | Not &lt;that&gt; | MAIL |\n| 552 | Too much, (again) | DATA |\n| 2 | done |\n";
    let rows = rows(table);
    assert_eq!(differences(&rows, &replies), [""; 0]);
    assert_eq!(differences(&rows, &replies[1..]).len(), 1);
    assert_eq!(differences(&rows[1..], &replies).len(), 1);
    assert_eq!(
        differences(&[&rows[..], &rows[..1]].concat(), &replies).len(),
        1
    );
}
