//! Nothing printed in the book is untested: its code, its conversations, its links, its commands.
//!
//! What each fence in `docs/` stands for:
//!
//! ````text
//! ```rust src/wire.rs      a run of that file, line for line; `// ...` is what was left out
//! ```diff src/wire.rs      the same, with lines to take out (-) and lines to put in (+)
//! ```smtp                  a conversation, played against the chapter's stage, texts compared;
//!                          flags of the program may follow: ```smtp --max-size 20
//! ```wrong RcptBeforeMail  a conversation with the server of the zoo that makes this mistake
//! ```terminal              a run of what the server prints during the conversation before it, when
//!                          the lines are typed at a netcat, which ends them in LF; `...` is a gap
//! ```sh                    commands to type: programs, flags, scripts and tests exist
//! ```text                  anything else
//! ````
//!
//! Fences begin at the start of their lines. README.md is held to the same rules.

mod support;

use std::net::ToSocketAddrs;
use std::path::Path;

use smtp_from_scratch::cli::{self, Request};
use smtp_from_scratch::reply::{Reply, not_available};
use smtp_from_scratch::stages::STAGES;
use smtp_from_scratch::stages::stage02_greeting::greeting;
use smtp_from_scratch::stages::stage07_quit::closing;

use support::book::{
    Fence, Page, assert_faultless, chapters, fences, is_code_gap, is_output_gap, pages, parts,
    prose, run_of,
};
use support::conversation::{Conversation, Step};
use support::links::{code_spans, defined_at, is_test, label_fault, link_fault, links};
use support::player::{SPLITS, Split, play};
use support::program::Server;
use support::project::{code, files, modules, read, root, sources};
use support::shell::{command_fault, shell_commands};
use support::target::{Target, start, start_animal};
use support::zoo::Mistake;

/// The lines of a piece of code that its file should have, numbered from 0: of a `diff` fence, what
/// was there before the change.
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

/// What is wrong with a fence as such: a kind that no test reads is a piece that no test checks.
fn fence_fault(fence: &Fence) -> Option<String> {
    let has_text = |line: &&str| !is_code_gap(line) && !is_output_gap(line) && !line.is_empty();
    let takes_out = fence.lines.iter().any(|line| line.starts_with('-'));
    let fault = match fence.kind {
        "diff" if !takes_out || fence.lines.len() < 2 => Some("it changes nothing known"),
        "rust" | "diff" => fence.info.is_empty().then_some("it names no file"),
        "wrong" => fence.info.is_empty().then_some("it names no mistake"),
        "terminal" | "sh" | "text" => {
            (!fence.info.is_empty()).then_some("nothing follows this kind")
        }
        "smtp" => None,
        _ => Some("no such kind; they are at the head of tests/book.rs"),
    };
    let fault = fault.or((!fence.lines.iter().any(has_text)).then_some("it is empty"));
    fault.map(str::to_string)
}

#[test]
fn every_fence_is_of_a_kind_that_is_checked() {
    let mut faults = Vec::new();
    for page in pages() {
        for fence in fences(&page.text) {
            let place = page.at(fence.start - 1);
            faults.extend(fence_fault(&fence).map(|fault| format!("{place}: {fault}")));
            let end = page.text.lines().nth(fence.start - 1 + fence.lines.len());
            if end != Some("```") {
                faults.push(format!("{place}: it has no end"));
            }
            if let Some(at) = fence.lines.iter().position(|line| line.starts_with("```")) {
                let inner = page.at(fence.start + at);
                faults.push(format!(
                    "{inner}: a fence begins before the one of {place} ends"
                ));
            }
        }
        for (number, line) in prose(&page.text) {
            let indented = line.trim_start_matches([' ', '>', '-', '*']);
            if indented.starts_with("```") || indented.starts_with("~~~") {
                faults.push(format!(
                    "{}: a fence begins at the start of its line, with ```",
                    page.at(number)
                ));
            }
        }
    }
    assert_faultless(&faults);
}

/// What is wrong with an excerpt, given the file that it should be from.
fn excerpt_fault(page: &Page, fence: &Fence, source: &str) -> Option<String> {
    let (places, printed): (Vec<usize>, Vec<&str>) = lines_of_file(fence).into_iter().unzip();
    let whole: Vec<&str> = source.lines().collect();
    let (line, instead) = run_of(&printed, &whole, is_code_gap).err()?;
    let file = fence.info;
    let in_file = match instead {
        Some(at) if at < whole.len() => format!("{file}:{} has\n    {}", at + 1, whole[at]),
        Some(_) => format!("{file} ends before it"),
        None => format!("{file} has no such line, or not after the lines printed before it"),
    };
    Some(format!(
        "{}: the page prints\n    {}\nbut {in_file}\nto do: print what the file has, or `// ...` for what you leave out; if the code is wrong, mend the code",
        page.at(fence.start + places.get(line).unwrap_or(&fence.lines.len())),
        printed.get(line).unwrap_or(&"(the end)"),
    ))
}

#[test]
fn every_piece_of_code_is_a_run_of_its_file() {
    let mut faults = Vec::new();
    let mut pieces = 0;
    for page in pages() {
        for fence in fences(&page.text) {
            if !["rust", "diff"].contains(&fence.kind) {
                continue;
            }
            pieces += 1;
            if root().join(fence.info).is_file() {
                faults.extend(excerpt_fault(&page, &fence, &read(fence.info)));
            } else {
                let place = page.at(fence.start - 1);
                faults.push(format!("{place}: there is no file {:?}", fence.info));
            }
        }
    }
    assert_faultless(&faults);
    assert!(pieces >= STAGES.len());
}

#[test]
fn a_line_that_has_drifted_is_named_with_both_texts() {
    let page = Page {
        path: "docs/x.md".to_string(),
        chapter: Some(1),
        text: "\n```rust a.rs\nfn a() {\n    // ...\n    two();\n    thre();\n}\n```\n\
               ```diff a.rs\n fn a() {\n+    zero();\n-    on();\n```\n"
            .to_string(),
    };
    let source = "fn a() {\n    one();\n    two();\n    three();\n}\n";
    let told: Vec<String> = fences(&page.text)
        .iter()
        .map(|fence| excerpt_fault(&page, fence, source).unwrap())
        .collect();
    assert!(told[0].starts_with("docs/x.md:6: "), "{}", told[0]);
    for part in ["thre();", "a.rs:4 has\n    ", "three();", "to do: "] {
        assert!(told[0].contains(part), "{}", told[0]);
    }
    assert!(told[1].starts_with("docs/x.md:12: "), "{}", told[1]);
    for (good, source) in [
        (vec!["a", "b"], "x\na\nb"),
        (vec!["a", " // ...", "c"], "a\na\nb\nc"),
        (vec!["a", "// ...", "b", "c"], "a\nb\nx\nb\nc"),
    ] {
        let whole: Vec<&str> = source.lines().collect();
        assert!(run_of(&good, &whole, is_code_gap).is_ok(), "{good:?}");
    }
    let turned = run_of(&["b", "// ...", "a"], &["a", "b"], is_code_gap);
    assert_eq!(turned, Err((2, None)));
}

/// A conversation of a page with what goes before it: the flags of its server, and its lines with
/// their numbers.
struct Played<'page> {
    flags: Vec<&'page str>,
    lines: Vec<(usize, &'page str)>,
    /// What the server prints meanwhile: the number of the first line, and the lines.
    terminal: Option<(usize, Vec<&'page str>)>,
}

fn conversations(page: &Page) -> Vec<Played<'_>> {
    let mut found: Vec<Played> = Vec::new();
    for fence in fences(&page.text) {
        match fence.kind {
            "smtp" => {
                let lines = (fence.start..).zip(fence.lines).collect();
                let flags = fence.info.split_whitespace().collect();
                found.push(Played {
                    flags,
                    lines,
                    terminal: None,
                });
            }
            "terminal" => {
                let before = found.last_mut().expect("a conversation to print");
                let place = page.at(fence.start);
                assert!(
                    before.terminal.is_none(),
                    "{place}: one for each conversation"
                );
                before.terminal = Some((fence.start, fence.lines));
            }
            _ => {}
        }
    }
    found
}

/// Reads the numbered lines of a conversation.
fn conversation(page: &Page, lines: &[(usize, &str)]) -> Conversation {
    let first = lines.first().map_or(1, |(number, _)| *number);
    let mut steps = vec![Step::Place(page.at(first))];
    for (number, line) in lines {
        let in_notation = ["S:", "C:", "{"]
            .iter()
            .any(|start| line.starts_with(start));
        assert!(
            in_notation,
            "{}: not in the notation: {line}",
            page.at(*number)
        );
        steps.push(Step::Place(page.at(*number)));
        steps.extend(Conversation::parse(line).steps);
    }
    Conversation { steps }
}

/// The same conversation as a netcat sends it: a line ends in LF.
fn typed(mut conversation: Conversation) -> Conversation {
    for step in &mut conversation.steps {
        if let Step::Send(bytes) = step {
            if bytes.ends_with(b"\r\n") {
                bytes.truncate(bytes.len() - 2);
                bytes.push(b'\n');
            }
        }
    }
    conversation
}

/// A player's story with the place of the line first, as every fault has it.
fn placed(story: &str) -> String {
    let place = story.lines().find_map(|line| line.strip_prefix("where: "));
    format!(
        "{}: {story}to do: print what the server says; if the server is wrong, mend the server",
        place.expect("every line of a page has a place")
    )
}

/// The flags that make another server of the chapter's stage.
const FLAGS_OF_A_FENCE: [&str; 5] = [
    "--hostname",
    "--max-size",
    "--max-recipients",
    "--domain",
    "--timeout",
];

#[test]
fn every_conversation_is_true() {
    let mut faults = Vec::new();
    let mut count = 0;
    for page in pages() {
        for played in conversations(&page) {
            count += 1;
            let flags = played.flags.iter().map(Into::into);
            if let Some(flag) = played
                .flags
                .iter()
                .find(|word| word.starts_with("--") && !FLAGS_OF_A_FENCE.contains(word))
            {
                let place = page.at(played.lines[0].0 - 1);
                faults.push(format!("{place}: {flag} would change nothing in this test"));
            }
            let Ok(Request::Serve(asked)) = cli::parse(flags) else {
                let place = page.at(played.lines[0].0 - 1);
                faults.push(format!(
                    "{place}: the program doesn't take these flags: {}",
                    played.flags.join(" ")
                ));
                continue;
            };
            let mut server = start(page.stage(), |settings| {
                settings.hostname = asked.settings.hostname;
                settings.max_size = asked.settings.max_size;
                settings.max_recipients = asked.settings.max_recipients;
                settings.domains = asked.settings.domains;
                settings.timeout = asked.settings.timeout;
            });
            for flag in &played.flags {
                server.command += " ";
                server.command += flag;
            }
            let conversation = conversation(&page, &played.lines);
            // To wait for a timeout four times shows nothing new.
            let splits = match played.flags.contains(&"--timeout") {
                true => &SPLITS[..1],
                false => &SPLITS,
            };
            let story = splits
                .iter()
                .find_map(|&split| play(&server, &conversation, split).err());
            faults.extend(story.map(|story| placed(&story)));
        }
    }
    assert_faultless(&faults);
    assert!(count >= STAGES.len());
}

/// The mistakes that the book shows.
const SHOWN_MISTAKES: [Mistake; 11] = [
    Mistake::EchoOfEachRead,
    Mistake::OneReadIsOneCommand,
    Mistake::DiesOn8BitBytes,
    Mistake::StateKeptAfterEhlo,
    Mistake::PanicsWithoutColon,
    Mistake::RcptBeforeMail,
    Mistake::LfDotLfEndsTheData,
    Mistake::ReplyBeforeTheMessageIsComplete,
    Mistake::StateKeptAfterData,
    Mistake::RsetKeepsTheRecipients,
    Mistake::NoopForgetsTheTransaction,
];

#[test]
fn every_mistake_goes_as_it_is_told() {
    let mut faults = Vec::new();
    let mut shown = Vec::new();
    for page in pages() {
        for fence in fences(&page.text) {
            if fence.kind != "wrong" {
                continue;
            }
            let mut mistakes = SHOWN_MISTAKES.into_iter();
            let Some(mistake) = mistakes.find(|mistake| format!("{mistake:?}") == fence.info)
            else {
                let place = page.at(fence.start - 1);
                faults.push(format!("{place}: no such mistake: {:?}", fence.info));
                continue;
            };
            shown.push(mistake);
            let mut animal = start_animal(mistake);
            animal.texts_count = true;
            let lines: Vec<(usize, &str)> = (fence.start..).zip(fence.lines).collect();
            let played = play(&animal, &conversation(&page, &lines), Split::LineByLine);
            faults.extend(played.err().map(|story| placed(&story)));
        }
    }
    assert_faultless(&faults);
    assert_eq!(shown, SHOWN_MISTAKES, "each is shown, in this order");
}

#[test]
fn a_conversation_that_has_drifted_is_named_with_its_line() {
    let page = Page {
        path: "docs/x.md".to_string(),
        chapter: Some(3),
        text: "```smtp\nS: 220 localhost ESMTP ready\nC: NOOP\nS: 502 ...\n```\n\
               ```smtp\nS: 220 ...\nC: HELO\nS: 501 Your name, pleese\n```\n"
            .to_string(),
    };
    let server = start(page.stage(), |_| ());
    let told: Vec<Option<String>> = conversations(&page)
        .iter()
        .map(|played| {
            let conversation = conversation(&page, &played.lines);
            play(&server, &conversation, Split::LineByLine).err()
        })
        .collect();
    assert_eq!(told[0], None);
    let story = told[1].as_ref().unwrap();
    for part in ["where: docs/x.md:9\n", "pleese", "Your name, please"] {
        assert!(story.contains(part), "{story}");
    }
}

/// A line of output without what differs from run to run: the ports of the clients, and the names of the
/// mails, of which a page may print `...` as well.
fn without_what_differs(line: &str) -> String {
    without_mail_names(&without_ports(line))
}

/// A line without the names under which mails are kept: `mail/new/1795341277.M867499P5035Q1.laptop`,
/// `queued as M867499P5035Q1`.
fn without_mail_names(line: &str) -> String {
    /// The rest of the text after one or more digits.
    fn after_number(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    fn after_id(text: &str) -> Option<&str> {
        ["M", "P", "Q"].iter().try_fold(text, |text, letter| {
            after_number(text.strip_prefix(letter)?)
        })
    }
    fn after_file_name(text: &str) -> Option<&str> {
        let host = after_id(after_number(text)?.strip_prefix('.')?)?.strip_prefix('.')?;
        let rest = &host[host.find('}')?..];
        (rest.len() < host.len()).then_some(rest)
    }
    let mut text = line.to_string();
    for (label, after_name) in [
        (
            "{kept in:   mail/new/",
            after_file_name as fn(&str) -> Option<&str>,
        ),
        ("250 OK, queued as ", after_id),
    ] {
        if let Some((before, name)) = line.split_once(label) {
            if let Some(rest) = after_name(name) {
                text = format!("{before}{label}...{rest}");
            }
        }
    }
    text
}

#[test]
fn only_what_differs_from_run_to_run_is_left_out() {
    let kept = "[1] {kept in:   mail/new/1795341277.M867499P5035Q1.my-host.example}";
    let queued = "[1] S: 250 OK, queued as M867499P5035Q1";
    let connects = "[1] {127.0.0.1:49152 connects}";
    for (line, left) in [
        (kept, "[1] {kept in:   mail/new/...}"),
        (queued, "[1] S: 250 OK, queued as ..."),
        (connects, "[1] {127.0.0.1 connects}"),
    ] {
        assert_eq!(without_what_differs(line), left);
        assert_eq!(without_what_differs(left), left);
    }
    for same in [
        "listening on 127.0.0.1:2525",
        "mail is kept in mail/new",
        "[1] {kept in:   mail/new/1795341277.M867499P5035Q1.}",
        "[1] {kept in:   mail/new/1795341277.M867499.host}",
        "[1] {kept in:   mail/new/bob}",
        "[1] {kept in:   mail/tmp/1795341277.M867499P5035Q1.host}",
        "[1] S: 250 OK, queued as 867499P5035Q1",
        "[1] S: 250 OK, queued as M867499P5035",
    ] {
        assert_eq!(without_what_differs(same), same);
    }
}

/// A line without the ports of the clients.
fn without_ports(line: &str) -> String {
    let mut parts = line.split("127.0.0.1");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.strip_prefix([':', ' ']).unwrap_or_default();
        let after_port = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_any_port = rest.len() > after_port.len() && !rest.starts_with("2525");
        text += "127.0.0.1";
        text += if is_any_port { after_port } else { part };
    }
    text
}

#[test]
fn what_the_terminal_shows_is_true() {
    let mut faults = Vec::new();
    let mut count = 0;
    for page in pages() {
        let stage = page.stage().to_string();
        for played in conversations(&page) {
            let Some((start, printed)) = &played.terminal else {
                continue;
            };
            count += 1;
            let server = Server::start(&[&["--stage", &stage], &played.flags[..]].concat());
            let address = server.address.to_socket_addrs().unwrap().next().unwrap();
            let target = Target::running(address, true);
            // Whether it goes well is another test's question.
            let conversation = typed(conversation(&page, &played.lines));
            let _ = play(&target, &conversation, Split::LineByLine);
            let ends = [
                "{the server closes the connection}",
                "{the connection broke",
            ];
            // A reader's server listens where it does without a flag.
            let port = address.port().to_string();
            let mut shown = vec!["listening on 127.0.0.1:2525".to_string()];
            let printed_after = server.lines_until(&ends).into_iter();
            shown.extend(printed_after.map(|line| line.replace(&port, "2525")));
            let normal: Vec<String> = printed
                .iter()
                .map(|line| without_what_differs(line))
                .collect();
            let normal: Vec<&str> = normal.iter().map(String::as_str).collect();
            let without: Vec<String> = shown
                .iter()
                .map(|line| without_what_differs(line))
                .collect();
            let whole: Vec<&str> = without.iter().map(String::as_str).collect();
            if let Err((line, instead)) = run_of(&normal, &whole, is_output_gap) {
                faults.push(format!(
                    "{}: the page prints\n    {}\nbut the server prints\n    {}\nto do: print that, or `...` for what you leave out",
                    page.at(start + line),
                    printed.get(line).unwrap_or(&"(the end)"),
                    instead.and_then(|at| shown.get(at)).map_or("nothing like it", |line| line),
                ));
            }
        }
    }
    assert_faultless(&faults);
    assert!(count > 0);
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        let folder = Path::new(&page.path).parent().unwrap().to_str().unwrap();
        for (number, line) in prose(&page.text) {
            let other_forms = ["]: ", "href=", "src=\"", "<../", "<#"];
            if other_forms.iter().any(|form| line.contains(form)) {
                let place = page.at(number);
                faults.push(format!(
                    "{place}: write the link as [text](target), which is checked"
                ));
            }
            for (text, target) in links(line) {
                let fault = link_fault(folder, &page.text, target);
                if let Some(fault) = fault.or_else(|| label_fault(text, target)) {
                    faults.push(format!(
                        "{}: the link {target} leads nowhere: {fault}\nto do: link to what is there",
                        page.at(number)
                    ));
                }
                if target.ends_with(".svg") && text.is_empty() {
                    faults.push(format!("{}: {target} has no text", page.at(number)));
                }
            }
        }
    }
    assert_faultless(&faults);
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let fault = |target| link_fault("docs", "# One\n\n## Two, three\n", target);
    for good in [
        "https://www.rfc-editor.org/rfc/rfc5321",
        "#two-three",
        "../src/wire.rs",
        "../src/wire.rs#read_line",
        "../src/wire.rs#Line",
        "../tests/stage04_mail.rs#mail_before_helo_is_503",
    ] {
        assert_eq!(fault(good), None);
    }
    for bad in [
        "#two",
        "../src/wired.rs",
        "../src/wire.rs#read_lines",
        "../tests/stage04_mail.rs#mail_before_helo_is_504",
        "../../../../../../../../etc/passwd",
        // Defined, but no test.
        "../tests/stage04_mail.rs#greeted",
    ] {
        assert!(fault(bad).is_some(), "{bad}");
    }
    assert_eq!(label_fault("`Wire::close`", "../src/wire.rs#close"), None);
    assert_eq!(label_fault("the loop", "../src/wire.rs#close"), None);
    assert!(label_fault("`Wire::closes`", "../src/wire.rs#close").is_some());
}

#[test]
fn every_command_can_be_typed() {
    let mut faults = Vec::new();
    let mut commands = 0;
    for page in pages() {
        let fences = fences(&page.text);
        let shell = fences.iter().filter(|fence| fence.kind == "sh");
        let fenced = shell.flat_map(|fence| (fence.start..).zip(fence.lines.iter().copied()));
        let spans = prose(&page.text).flat_map(|(number, line)| {
            let typed = |span: &&str| {
                ["cargo ", "scripts/", "SMTP_SERVER="]
                    .iter()
                    .any(|start| span.starts_with(start))
            };
            code_spans(line)
                .filter(typed)
                .map(move |span| (number, span))
        });
        for (number, line) in fenced.chain(spans) {
            for words in shell_commands(line) {
                commands += 1;
                // A chapter runs its own stage.
                for pair in words.windows(2) {
                    let names_stage = ["--stage", "scripts/type-along.sh"].contains(&&*pair[0]);
                    let stage = &pair[1];
                    if names_stage && page.chapter.is_some_and(|own| own.to_string() != *stage) {
                        faults.push(format!("{}: it says stage {stage}", page.at(number)));
                    }
                }
                if let Some(fault) = command_fault(&words) {
                    faults.push(format!(
                        "{}: the page has its reader type\n    {line}\nbut {fault}\nto do: print what works",
                        page.at(number)
                    ));
                }
            }
        }
    }
    assert_faultless(&faults);
    assert!(commands >= STAGES.len());
}

#[test]
fn a_command_that_cannot_be_typed_is_named() {
    let faults = |line: &str| {
        let commands = shell_commands(line);
        commands
            .iter()
            .filter_map(|words| command_fault(words))
            .count()
    };
    for good in [
        "cargo run -- --stage 4   # the server",
        "cargo run --release --features log",
        "SMTP_SERVER=127.0.0.1:2525 cargo test --test stage05_rcpt",
        "cargo test --test stage04_mail mail_before_helo_is_503",
        "cargo test --lib stages::stage04_mail",
        "cargo test --doc path::reverse_path",
        "(sleep 1; printf 'a; b | c\\r\\n') | nc 127.0.0.1 2525",
        "scripts/talk.sh 4",
    ] {
        assert_eq!(faults(good), 0, "{good}");
    }
    for bad in [
        "cargo run -- --stege 4",
        "cargo run -- --stage 99",
        "cargo run --fast",
        "cargo test --test stage05_rpct",
        "cargo test --test stage04_mail mail_before_helo_is_504",
        "cargo test --lib stages::stage99",
        "cargo test --doc path::forward_path",
        "printf 'x' | ncc 127.0.0.1 2525",
        "nc 127.0.0.1 2552",
        "scripts/tlak.sh 4",
        "scripts/talk.sh 99",
    ] {
        assert_eq!(faults(bad), 1, "{bad}");
    }
}

/// The flags and the names in the text: `--max-size`, `read_line`, `Wire`.
#[test]
fn every_flag_and_name_in_the_text_is_known() {
    // What the text speaks of because we don't do it.
    const OTHERS: [&str; 1] = ["mail_begun"];
    let sources: Vec<String> = [files("src", "rs"), files("tests", "rs")]
        .concat()
        .iter()
        .map(read)
        .collect();
    let all = sources.concat();
    let words: std::collections::HashSet<&str> = all
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let usage = cli::usage();
    let flags: Vec<&str> = usage.split_whitespace().collect();
    let mut faults = Vec::new();
    for page in pages() {
        for (number, line) in prose(&page.text) {
            for span in code_spans(line) {
                let flag = span.split([' ', '=']).next().unwrap_or_default();
                if flag.starts_with("--") && !flags.contains(&flag) {
                    faults.push(format!("{}: there is no flag {flag}", page.at(number)));
                }
                let inner_capital = span.chars().skip(1).any(char::is_uppercase)
                    && span.chars().any(char::is_lowercase);
                let is_name = span.chars().all(|c| c.is_alphanumeric() || c == '_')
                    && (span.contains('_') || inner_capital);
                if is_name && !words.contains(span) && !OTHERS.contains(&span) {
                    faults.push(format!("{}: nothing is called {span}", page.at(number)));
                }
            }
        }
    }
    assert_faultless(&faults);
}

/// `Wire::read_line` in the text: what it names is in our sources, if its first part is.
#[test]
fn every_item_that_the_text_names_exists() {
    // Names with `::` whose first part isn't ours.
    const ELSEWHERE: [&str; 5] = ["BufRead", "String", "Vec", "io", "thread"];
    let all: Vec<String> = files("src", "rs").iter().map(read).collect();
    let is_ours = |name: &str| all.iter().any(|source| defined_at(source, name).is_some());
    let is_member = |name: &str| {
        let starts = [format!("{name},"), format!("{name}("), format!("{name}:")];
        let mut lines = all.iter().flat_map(|source| source.lines());
        lines.any(|line| {
            let line = line.trim_start().trim_start_matches("pub ");
            starts.iter().any(|start| line.starts_with(start))
        })
    };
    let mut faults = Vec::new();
    for page in pages() {
        for (number, line) in prose(&page.text) {
            for span in code_spans(line) {
                let Some((path, last)) = span.rsplit_once("::") else {
                    continue;
                };
                if span.contains('@') {
                    continue; // An IPv6 address in a path.
                }
                let first = path.split("::").next().unwrap_or_default();
                let last = last.trim_end_matches("()");
                let is_elsewhere = ELSEWHERE.contains(&first);
                if !is_elsewhere && !(is_ours(first) && (is_ours(last) || is_member(last))) {
                    faults.push(format!("{}: there is no `{span}`", page.at(number)));
                }
            }
        }
    }
    assert_faultless(&faults);
}

/// The sections of a chapter, in this order.
const SECTIONS: [&str; 8] = [
    "## What you'll have at the end",
    "## The idea",
    "## The code",
    "## Talk to it",
    "## What the quick version gets wrong",
    "## What the RFC says",
    "## Exercises",
    "## What this chapter added",
];

#[test]
fn every_chapter_has_the_same_shape() {
    let mut faults = Vec::new();
    for page in chapters() {
        let sections = parts(&page.text, "## ");
        let headings: Vec<&str> = sections.iter().map(|(_, lines)| lines[0]).collect();
        // The last chapter of a part may look back.
        let last_words = headings.strip_prefix(&SECTIONS[..]);
        assert!(
            last_words.is_some_and(|more| more.len() <= 1),
            "{}: {headings:?} instead of {SECTIONS:?}",
            page.path
        );
        let section = |index: usize| (sections[index].0, sections[index].1.join("\n"));

        let title = format!("# {}. ", page.stage());
        if !page.text.starts_with(&title) {
            faults.push(format!("{}: it opens with {title:?}", page.at(1)));
        }
        let (line, outcome) = section(0);
        if !outcome.contains("```smtp") {
            faults.push(format!("{}: no conversation", page.at(line)));
        }
        // Each step prints code, and then says what there is to see.
        let (line, code) = section(2);
        for (at, step) in parts(&code, "### ") {
            let marker = step
                .iter()
                .position(|line| line.starts_with("**What you see now.**"));
            let code = step
                .iter()
                .position(|line| line.starts_with("```rust src/"));
            if code.is_none() || code >= marker {
                let place = page.at(line + at - 1);
                faults.push(format!(
                    "{place}: no code with `**What you see now.**` after it"
                ));
            }
        }
        // Each trap has a test that catches it.
        let (line, traps) = section(4);
        let traps = parts(&traps, "### ");
        if traps.is_empty() {
            faults.push(format!("{}: no traps", page.at(line)));
        }
        for (at, trap) in traps {
            let is_caught = trap.iter().flat_map(|line| links(line)).any(|(_, target)| {
                let (file, name) = target.split_once('#').unwrap_or((target, ""));
                file.ends_with(".rs") && is_test(&read(Path::new("docs").join(file)), name)
            });
            if !is_caught {
                let place = page.at(line + at - 1);
                faults.push(format!("{place}: no link to the test that catches it"));
            }
        }
        let (line, exercises) = section(6);
        for (at, exercise) in parts(&exercises, "### ") {
            let text = exercise.join("\n");
            let opening = "<details>\n<summary>Answer</summary>\n\n";
            if text.matches(opening).count() != 1 || text.matches("\n\n</details>").count() != 1 {
                faults.push(format!("{}: no folded answer", page.at(line + at - 1)));
            }
        }
        for (at, section) in &sections {
            if section.iter().filter(|line| !line.is_empty()).count() < 2 {
                faults.push(format!("{}: an empty section", page.at(*at)));
            }
        }
        if parts(&exercises, "### ").is_empty() || parts(&code, "### ").is_empty() {
            faults.push(format!("{}: no steps, or no exercises", page.path));
        }
    }
    assert_faultless(&faults);
}

#[test]
fn every_chapter_says_how_long_it_takes_and_it_is_short_enough() {
    for page in chapters() {
        let line = page.text.lines().nth(2).unwrap_or_default();
        let minutes = line
            .split_whitespace()
            .zip(line.split_whitespace().skip(1))
            .find(|(_, unit)| unit.starts_with("minutes"))
            .and_then(|(number, _)| number.trim_start_matches(['*', '_']).parse::<usize>().ok());
        let Some(minutes) = minutes else {
            panic!("{} says how many minutes it takes: {line}", page.at(3));
        };
        // As one reads what is new to one: so many words, lines of code or of conversation a minute.
        let words: usize = prose(&page.text)
            .map(|(_, line)| line.split_whitespace().count())
            .sum();
        let (code, conversation): (Vec<_>, Vec<_>) = fences(&page.text)
            .into_iter()
            .partition(|fence| ["rust", "diff"].contains(&fence.kind));
        let lines = |fences: &[Fence]| fences.iter().map(|fence| fence.lines.len()).sum::<usize>();
        let estimate = words / 130 + lines(&code) / 25 + lines(&conversation) / 50;
        assert!(
            (15..=30).contains(&minutes) && minutes.abs_diff(estimate) <= 4,
            "{} says {minutes} minutes; it is about {estimate}",
            page.path
        );
    }
}

#[test]
fn the_summary_lists_every_page_in_order() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<&str> = summary
        .lines()
        .flat_map(links)
        .map(|(_, target)| target)
        .collect();
    let there: Vec<String> = files("docs", "md")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn the_pictures_name_what_the_code_names() {
    /// The words that a picture shows: what stands outside of its tags, after the description.
    fn words(picture: &str) -> Vec<String> {
        let svg = read(format!("docs/images/{picture}.svg"));
        let (_, drawn) = svg.split_once("</desc>").expect("a description");
        let texts = drawn.split('<').filter_map(|part| part.split_once('>'));
        let words = texts.flat_map(|(_, text)| text.split(|c: char| !c.is_alphanumeric()));
        words.map(str::to_string).collect()
    }
    let assert_shown = |picture: &str, wanted: &str| {
        let is_shown = words(picture).iter().any(|word| word == wanted);
        assert!(is_shown, "{picture}.svg doesn't show {wanted}");
    };
    for stage in STAGES {
        assert_shown("tower", stage.name);
    }
    for path in files("src", "rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_foot = path.parent() == Some(&root().join("src"));
        if is_foot && !["lib", "main", "cli"].contains(&name) {
            assert_shown("tower", name);
        }
    }
    let source = read("src/stages/stage06_data.rs");
    let states = source.split_once("enum State {").unwrap().1;
    let states = states.split_once('}').unwrap().0;
    for state in states
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
    {
        assert_shown("end-of-data", state);
    }
    for picture in ["tower", "session-states"] {
        for verb in [
            "HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT",
        ] {
            assert_shown(picture, verb);
        }
    }
    for code in ["220", "250", "354", "221", "552", "451"] {
        assert_shown("session-states", code);
    }
    for word in ["MAIL", "FROM", "RCPT", "TO", "DATA", "Subject"] {
        assert_shown("envelope-and-letter", word);
    }
    let source = read("src/maildir.rs");
    for folder in ["tmp", "new", "cur"] {
        assert!(source.contains(&format!("\"{folder}\"")), "{folder}");
        assert_shown("maildir", folder);
    }
    for word in ["SMTP", "IMAP", "POP3", "client", "server", "2525"] {
        assert_shown("way-of-a-mail", word);
    }
}

#[test]
fn the_appendix_has_every_reply() {
    let appendix = read("docs/appendix-a-commands-and-replies.md");
    let rows = appendix.replace("&lt;", "<").replace("&gt;", ">");
    let mut replies = 0;
    let mut put_together = vec![
        greeting("localhost"),
        closing("localhost"),
        Reply::new(250, "localhost"),
        Reply::new(250, "OK, queued as ID"),
    ];
    for (name, source) in sources() {
        let source: String = code(&source).map(|(_, line)| line.trim()).collect();
        for goodbye in source.split("not_available(hostname, \"").skip(1) {
            let why = goodbye.split('"').next().unwrap();
            put_together.push(not_available("localhost", why));
        }
        for arguments in source.split("Reply::new(").skip(1) {
            let mut parts = arguments.split('"');
            let (code, text) = (parts.next().unwrap(), parts.next().unwrap());
            let code = code.trim_end_matches([',', ' ']);
            replies += 1;
            let row = format!("| {code} | {text} |");
            assert!(rows.contains(&row), "{name}: the appendix has no row {row}");
        }
    }
    for row in &put_together {
        let row = format!("| {} | {} |", row.code, row.text);
        assert!(rows.contains(&row), "the appendix has no row {row}");
    }
    assert!(replies > 0);
    let listed = rows.lines().filter(|line| {
        line.get(2..5)
            .is_some_and(|code| code.parse::<u16>().is_ok())
    });
    assert_eq!(listed.count(), replies + put_together.len());
}

/// `cargo doc` shows the way to the chapter: from its page of the module up to the project's folder.
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
