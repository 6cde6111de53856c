//! What every test file needs: the conversation player, servers to play against, the zoo, the
//! program, and the project's own files and pages.
//!
//! `mod support;` in a test file; each file uses its part.
#![allow(dead_code)]

pub mod book;
pub mod conversation;
pub mod maildir;
pub mod player;
pub mod program;
pub mod project;
pub mod target;
pub mod zoo;

use std::cell::Cell;
use std::fmt::Debug;
use std::ops::RangeBounds;

use conversation::{Conversation, Step};
use player::{SPLITS, Split, play};
use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::settings::Settings;
use target::{Target, targets};

/// Plays a conversation against every stage in `stages`, or against the server in `SMTP_SERVER`,
/// in every way to cut it into segments. Panics with the story of the first that goes another way.
#[track_caller]
pub fn plays(stages: impl RangeBounds<usize> + Debug, text: &str) {
    let conversation = Conversation::parse(text);
    for target in targets(&stages) {
        plays_in_all_splits(&target, &conversation, || ());
    }
}

/// Plays a conversation against one server in every way to cut it, and checks each time what
/// `then` checks.
#[track_caller]
pub fn plays_in_all_splits(target: &Target, conversation: &Conversation, then: impl Fn()) {
    for split in SPLITS {
        plays_in(target, conversation, split);
        then();
    }
}

/// Plays a conversation against one server, cut in one way. Panics with its story if it goes another
/// way.
#[track_caller]
pub fn plays_in(target: &Target, conversation: &Conversation, split: Split) {
    if let Err(story) = play(target, conversation, split) {
        panic!("{story}");
    }
}

/// Plays a conversation against every stage in `stages`, each with the settings that `adjust` makes.
/// It needs our own server.
#[track_caller]
pub fn plays_with(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    text: &str,
) {
    if needs_our_own_server() {
        let conversation = Conversation::parse(text);
        for target in target::started(&stages, adjust) {
            plays_in_all_splits(&target, &conversation, || ());
        }
    }
}

/// [`plays`] for a liberty that ours takes and the RFC doesn't ask for: other servers are spared.
#[track_caller]
pub fn ours_plays(stages: impl RangeBounds<usize> + Debug, text: &str) {
    if runs_on_our_own_server_only("it needs our texts, or asks for more than the RFC does") {
        plays(stages, text);
    }
}

/// [`plays`] for what is true only while later chapters haven't come. A finished server is spared.
#[track_caller]
pub fn not_yet(stages: impl RangeBounds<usize> + Debug, text: &str) {
    if runs_on_our_own_server_only("it holds for an unfinished server only") {
        plays(stages, text);
    }
}

/// [`plays`], and what is kept in the end are these mails, byte for byte. `because` says what rule a
/// difference would break.
#[track_caller]
pub fn keeps(
    stages: impl RangeBounds<usize> + Debug,
    text: &str,
    because: &str,
    expected: &[Mail],
) {
    let mut conversation = Conversation::parse(text);
    conversation
        .steps
        .insert(0, Step::Because(because.to_string()));
    for target in targets(&stages) {
        plays_in_all_splits(&target, &conversation, || {
            compare_mails(&target, &conversation, because, expected);
        });
    }
    if target::external().is_some() {
        skipped("its second half, since only our own server tells what became of the mail");
    }
}

#[track_caller]
fn compare_mails(target: &Target, conversation: &Conversation, because: &str, expected: &[Mail]) {
    let Some(kept) = target.kept() else { return };
    let shown: Vec<String> = kept.iter().map(shown).collect();
    let wanted = expected
        .iter()
        .map(|mail| self::shown(&target.as_kept(mail)));
    let wanted: Vec<String> = wanted.collect();
    assert!(
        shown == wanted,
        "the conversation went as it should, but the mail that was kept is not the one that was sent\n\
         \n    kept:     {}\n    expected: {}\n\nwhy: {because}\n{}",
        list(&shown),
        list(&wanted),
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
        mail.reverse_path,
        mail.forward_paths.iter().collect::<Vec<_>>(),
        mail.message.escape_ascii()
    )
}

/// A mail to expect.
pub fn mail(reverse_path: &str, forward_paths: &[&str], message: &[u8]) -> Mail {
    let mut mail = Mail {
        reverse_path: reverse_path.to_string(),
        message: message.to_vec(),
        ..Mail::default()
    };
    for mailbox in forward_paths {
        mail.forward_paths.push(mailbox);
    }
    mail
}

/// The conversation in a stage's module documentation: the fence marked `smtp`. The flags that its
/// server needs may follow on that line.
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
    static SKIP_WAS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Says once that a test was skipped, past the test runner, which keeps what a passing test prints.
pub fn skipped(why: &str) {
    use std::io::Write;

    if SKIP_WAS_TOLD.replace(true) {
        return;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether the test can run: it needs our own server, for its flags or for the mail that it keeps.
pub fn needs_our_own_server() -> bool {
    runs_on_our_own_server_only("it needs our own server")
}

/// Whether the test plays against our own server; if not, says why it is skipped.
fn runs_on_our_own_server_only(why: &str) -> bool {
    let external = target::external().is_some();
    if external {
        skipped(why);
    }
    !external
}
