//! The helpers of all test files: the conversation player, servers to play against, the zoo, the
//! program, and the project's own files and pages.
//!
//! Each test file says `mod support;` and uses its part.
#![allow(dead_code)]

pub mod book;
pub mod conversation;
pub mod maildir;
pub mod player;
pub mod preamble;
pub mod program;
pub mod project;
pub mod target;
pub mod zoo;

use std::cell::Cell;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::process::Command;

use conversation::Conversation;
use player::{SPLITS, Split, play};
use program::Server;
use smtp_from_scratch::mail::{Envelope, Mail};
use smtp_from_scratch::settings::Settings;
use target::{Target, started, targets};

/// Plays a conversation against every stage in `stages`, in every split.
///
/// With `SMTP_SERVER` set it plays against that server instead. It panics with the story of the first
/// conversation that goes differently.
#[track_caller]
pub fn plays(stages: impl RangeBounds<usize> + Debug, text: &str) {
    let conversation = Conversation::parse(text);
    for target in targets(&stages) {
        plays_in_all_splits(&target, &conversation, || ());
    }
}

/// Plays a conversation against one server in every split.
///
/// Each split is followed by `then`.
#[track_caller]
pub fn plays_in_all_splits(target: &Target, conversation: &Conversation, then: impl Fn()) {
    for split in SPLITS {
        plays_in(target, conversation, split);
        then();
    }
}

/// Plays a conversation against one server in one split.
#[track_caller]
pub fn plays_in(target: &Target, conversation: &Conversation, split: Split) {
    if let Err(story) = play(target, conversation, split) {
        panic!("{story}");
    }
}

/// Plays a conversation against our stages, with settings made by `adjust`.
#[track_caller]
pub fn plays_with(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    text: &str,
) {
    if is_ours(OWN_SERVER) {
        let conversation = Conversation::parse(text);
        for target in started(&stages, adjust) {
            plays_in_all_splits(&target, &conversation, || ());
        }
    }
}

/// Plays a conversation that asks for more than the RFC does.
///
/// Other servers are spared.
#[track_caller]
pub fn ours_plays(stages: impl RangeBounds<usize> + Debug, text: &str) {
    if is_ours("it needs our texts, or asks for more than the RFC does") {
        plays(stages, text);
    }
}

/// Plays a conversation that is true only before the later chapters.
///
/// Other servers are spared.
#[track_caller]
pub fn not_yet(stages: impl RangeBounds<usize> + Debug, text: &str) {
    if is_ours("it holds for an unfinished server only") {
        plays(stages, text);
    }
}

/// Plays a conversation, and compares the stored mails byte for byte.
///
/// The conversation's last `{...}` is the reason that a failure prints. With `SMTP_SERVER` set the mails
/// aren't compared, since only our own server reports them.
#[track_caller]
pub fn stores(stages: impl RangeBounds<usize> + Debug, text: &str, expected: &[Mail]) {
    stores_in(targets(&stages), text, expected);
    if target::external().is_some() {
        skipped("its second half, since only our own server reports the stored mail");
    }
}

/// Does the same as [`stores`], with settings made by `adjust`.
#[track_caller]
pub fn stores_with(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    text: &str,
    expected: &[Mail],
) {
    if is_ours(OWN_SERVER) {
        stores_in(started(&stages, adjust), text, expected);
    }
}

#[track_caller]
fn stores_in(targets: Vec<Target>, text: &str, expected: &[Mail]) {
    let conversation = Conversation::parse(text);
    let reason = conversation.reason().expect("a reason in {...}");
    for target in targets {
        for split in SPLITS {
            plays_in(&target, &conversation, split);
            compare_mails(&target, &conversation, reason, expected);
        }
    }
}

#[track_caller]
fn compare_mails(target: &Target, conversation: &Conversation, reason: &str, expected: &[Mail]) {
    let Some(stored) = target.stored() else {
        return;
    };
    let expected = expected.iter().map(|mail| target.as_stored(mail));
    let (stored, expected): (Vec<String>, Vec<String>) = (
        stored.iter().map(shown).collect(),
        expected.map(|mail| shown(&mail)).collect(),
    );
    assert!(
        stored == expected,
        "the conversation went as it should, but the stored mail is not the mail that was sent\n\
         \n    stored:   {}\n    expected: {}\n\nwhy: {reason}\n{}",
        list(&stored),
        list(&expected),
        player::reproduce(target, &conversation.sent())
    );
}

fn list(mails: &[String]) -> String {
    match mails {
        [] => "no mail".to_string(),
        mails => mails.join("\n              "),
    }
}

fn shown(mail: &Mail) -> String {
    format!(
        "from <{}> for {:?}: b\"{}\"",
        mail.envelope.reverse_path,
        mail.envelope.forward_paths,
        mail.message.escape_ascii()
    )
}

/// Makes a mail to expect.
pub fn mail(reverse_path: &str, forward_paths: &[&str], message: &[u8]) -> Mail {
    Mail {
        envelope: Envelope {
            reverse_path: reverse_path.to_string(),
            forward_paths: forward_paths.iter().map(|path| path.to_string()).collect(),
        },
        message: message.to_vec(),
    }
}

/// Makes the mail of a session that [`preamble::addressed`] opens.
pub fn to_bob(message: &[u8]) -> Mail {
    mail("ada@example.org", &["bob@example.com"], message)
}

/// Leaves the settings as they are.
pub fn by_default(_: &mut Settings) {}

/// Starts a stage with settings made by `adjust`, and tests it.
///
/// With `SMTP_SERVER` set the test is skipped, and says so.
pub fn own_server(stage: usize, adjust: impl FnOnce(&mut Settings), test: impl FnOnce(&Target)) {
    ours_only(|| test(&target::start(stage, adjust)));
}

/// Starts and tests each stage in `stages`, one after another.
pub fn own_servers(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    test: impl Fn(&Target),
) {
    ours_only(|| {
        for target in started(&stages, adjust) {
            test(&target);
        }
    });
}

/// Starts the program, and tests it as [`own_server`] tests a stage.
pub fn own_program(command: Command, test: impl FnOnce(&Server)) {
    ours_only(|| test(&Server::spawned(command)));
}

/// Runs a test that needs our own server, unless `SMTP_SERVER` is set.
pub fn ours_only(test: impl FnOnce()) {
    if is_ours(OWN_SERVER) {
        test();
    }
}

const OWN_SERVER: &str = "it needs our own server";

/// Checks that the test plays against our own server.
///
/// If not, it reports `why` the test is skipped.
fn is_ours(why: &str) -> bool {
    let external = target::external().is_some();
    if external {
        skipped(why);
    }
    !external
}

/// Finds the conversation in a stage's module documentation: the fence marked `smtp`.
///
/// The flags that its server needs may follow on the line of the mark.
pub fn documented_conversation(source: &str) -> String {
    let documentation = source.lines().map_while(|line| line.strip_prefix("//!"));
    let fence: Vec<&str> = documentation
        .skip_while(|line| !line.trim().starts_with("```smtp"))
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    assert!(
        !fence.is_empty(),
        "the module documentation has a conversation"
    );
    fence.join("\n")
}

thread_local! {
    static SKIP_WAS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

/// Reports once that a test is skipped, and why.
///
/// It writes to standard error itself: the test runner hides what a passing test prints.
pub fn skipped(why: &str) {
    use std::io::Write;

    if SKIP_WAS_REPORTED.replace(true) {
        return;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // One write, so that the lines of tests side by side don't mix.
    let line = format!("skipped: {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
