//! Conversations: the server of the chapter says what the page says, in every split.

use smtp_from_scratch::cli::{self, Request};
use smtp_from_scratch::stages::STAGES;

use crate::pages;
use crate::support::book::{Page, assert_faultless, fences, parsed, with_place};
use crate::support::player::{SPLITS, Split, play};
use crate::support::target::{Target, start};

/// The flags that change the server of a conversation.
const FLAGS: [&str; 9] = [
    "--hostname",
    "--max-size",
    "--max-recipients",
    "--domain",
    "--timeout",
    "--without",
    "--login",
    "--proxy",
    "--fault",
];

/// A conversation on a page.
pub struct Printed<'page> {
    /// The flags of its server.
    pub flags: Vec<&'page str>,
    /// The number of its first line.
    pub start: usize,
    pub lines: Vec<&'page str>,
    /// What the server prints meanwhile: the number of the first line, and the lines.
    pub terminal: Option<(usize, Vec<&'page str>)>,
}

#[test]
fn every_conversation_is_true() {
    let mut faults = Vec::new();
    let mut count = 0;
    for page in pages() {
        for printed in conversations(&page) {
            count += 1;
            match server_of(&page, &printed) {
                Ok(server) => faults.extend(conversation_fault(&page, &printed, &server)),
                Err(fault) => faults.push(format!("{}: {fault}", page.at(printed.start - 1))),
            }
        }
    }
    assert_faultless(&faults);
    assert!(count >= STAGES.len());
}

/// Finds the conversations of a page, each with the terminal output after it.
pub fn conversations(page: &Page) -> Vec<Printed<'_>> {
    let mut found: Vec<Printed> = Vec::new();
    // The output of the reader's own server is compared in tests/typed/.
    let mut is_of_reader = false;
    for fence in fences(&page.text) {
        if ["smtp", "wrong"].contains(&fence.kind) {
            is_of_reader = fence.is_so_far();
        }
        match fence.kind {
            "terminal" if is_of_reader => {}
            "smtp" if !is_of_reader => found.push(Printed {
                flags: fence.info.split_whitespace().collect(),
                start: fence.start,
                lines: fence.lines,
                terminal: None,
            }),
            "terminal" => {
                let place = page.at(fence.start);
                let Some(before) = found.last_mut() else {
                    panic!("{place}: there is no conversation before it");
                };
                assert!(
                    before.terminal.is_none(),
                    "{place}: a conversation has one output"
                );
                before.terminal = Some((fence.start, fence.lines));
            }
            _ => {}
        }
    }
    found
}

/// Starts the server of the page's stage, with the flags of the conversation.
fn server_of(page: &Page, printed: &Printed) -> Result<Target, String> {
    let mut words = printed.flags.iter();
    if let Some(flag) = words.find(|word| word.starts_with("--") && !FLAGS.contains(word)) {
        return Err(format!("{flag} would change nothing in this test"));
    }
    let flags = printed.flags.join(" ");
    let Ok(Request::Serve(asked)) = cli::parse(printed.flags.iter().map(Into::into)) else {
        return Err(format!("the program doesn't take these flags: {flags}"));
    };
    let mut server = start(page.stage(), |settings| {
        let ours = std::mem::replace(settings, asked.settings);
        settings.quiet = ours.quiet;
        settings.inbox = ours.inbox;
        settings.maildir = ours.maildir;
    });
    if !flags.is_empty() {
        server.command += &format!(" {flags}");
    }
    Ok(server)
}

/// Plays a conversation in every split, up to the first that differs.
fn conversation_fault(page: &Page, printed: &Printed, server: &Target) -> Option<String> {
    let conversation = parsed(page, printed.start, &printed.lines);
    // Four waits for a timeout show no more than one.
    let splits = match printed.flags.contains(&"--timeout") {
        true => &SPLITS[..1],
        false => &SPLITS,
    };
    let mut splits = splits.iter();
    let story = splits.find_map(|&split| play(server, &conversation, split).err());
    story.map(|story| with_place(&story))
}

#[test]
fn a_changed_reply_is_reported_with_its_line() {
    let page = Page {
        path: "docs/x.md".to_string(),
        chapter: Some(3),
        text: "```smtp\nS: 220 localhost ESMTP ready\nC: NOOP\nS: 502 ...\n```\n\
               ```smtp\nS: 220 ...\nC: HELO\nS: 501 Your name, pleese\n```\n"
            .to_string(),
    };
    let server = start(page.stage(), |_| ());
    let mut stories = conversations(&page).into_iter().map(|printed| {
        let conversation = parsed(&page, printed.start, &printed.lines);
        play(&server, &conversation, Split::LineByLine).err()
    });
    assert_eq!(stories.next().unwrap(), None);
    let story = stories.next().unwrap().unwrap();
    for part in ["where: docs/x.md:9\n", "pleese", "Your name, please"] {
        assert!(story.contains(part), "{story}");
    }
}
