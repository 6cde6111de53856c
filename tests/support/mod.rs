//! The helpers of all test files: the conversation player, servers to play against, the zoo, the
//! program, and the project's own files and pages.
//!
//! Each test file says `mod support;` and uses its part.
//!
//! Environment variables choose other servers than our own:
//!
//! | variable | the tests play against |
//! | --- | --- |
//! | `SMTP_SERVER=HOST:PORT` | a server that already runs: in any language, so only reply codes count. What needs our own server is skipped |
//! | `SMTP_PROGRAM=PATH` | a program with our command line: it is started for each test, and texts count. What needs the stages in this process is skipped |
//! | `SMTP_STAGE=N` | stages 1 to N of that program, for one that has no more yet |
//! | `SMTP_ONE_BY_ONE=1` | `SMTP_SERVER`, one connection at a time: from stage 2 on, the tests that hold several are skipped |
//! | `SMTP_SHOW=1` | none: they print their conversations instead, for `scripts/check.sh --list N --long`, which names a port where nobody listens. With any other server they fail |
//! | `SMTP_PATIENCE=SECONDS` | `SMTP_SERVER`, with so much time for each reply |
//!
//! A test that is skipped says so, and why. `scripts/check.sh` sets them all.
#![allow(dead_code)]

pub mod animal;
pub mod book;
pub mod clumsy;
pub mod compile;
pub mod conversation;
pub mod counterpart;
pub mod equality;
pub mod maildir;
pub mod pieces;
pub mod player;
pub mod preamble;
pub mod program;
pub mod project;
pub mod scratch;
pub mod secrets;
pub mod shell;
pub mod source;
pub mod target;
pub mod terminal;
pub mod typed;
pub mod zoo;

use std::cell::Cell;
use std::env;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::process::Command;

use conversation::{Conversation, Step};
use player::{SPLITS, Split, play};
use program::Server;
use smtp_from_scratch::mail::{Envelope, Mail};
use smtp_from_scratch::settings::Settings;
use target::{Target, start_for_other_machines, started, targets};

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

/// Plays a conversation against our stages once, line by line, followed by `then`.
///
/// The settings are made by `adjust`.
#[track_caller]
pub fn played_once(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    text: &str,
    then: impl Fn(&Target),
) {
    let conversation = Conversation::parse(text);
    own_servers(stages, adjust, |server| {
        plays_in(server, &conversation, Split::LineByLine);
        then(server);
    });
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
/// The conversation's last `{...}` is the reason that a failure prints. The mails of a server that doesn't
/// report them aren't compared.
#[track_caller]
pub fn stores(stages: impl RangeBounds<usize> + Debug, text: &str, expected: &[Mail]) {
    stores_in(targets(&stages), text, expected);
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
    mails_are_reported(&targets);
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
    let mut sent = conversation.sent();
    let last = sent.pop().unwrap_or_default();
    let closes = conversation.steps.contains(&Step::ClientClosesItsSide);
    assert!(
        stored == expected,
        "the conversation went as it should, but the stored mail is not the mail that was sent\n\
         \n    stored:   {}\n    expected: {}\n\nwhy: {reason}\n{}",
        list(&stored),
        list(&expected),
        player::reproduce(target, &[sent.concat(), last], closes)
    );
}

/// Says whether one of these servers reports the mails that it stores.
///
/// If none does, the second half of the test is reported as skipped.
pub fn mails_are_reported<'t>(targets: impl IntoIterator<Item = &'t Target>) -> bool {
    let mut targets = targets.into_iter().peekable();
    let unseen = targets.peek().is_some() && !targets.any(Target::reports_mails);
    if unseen {
        skipped("its second half, since this server doesn't report the mails that it stores");
    }
    !unseen
}

fn list(mails: &[String]) -> String {
    match mails {
        [] => "no mail".to_string(),
        mails => mails.join("\n              "),
    }
}

fn shown(mail: &Mail) -> String {
    format!(
        "from <{}> for {:?}{}: b\"{}\"",
        mail.envelope.reverse_path,
        mail.envelope.forward_paths,
        if mail.envelope.smtputf8 {
            " (SMTPUTF8)"
        } else {
            ""
        },
        mail.message.escape_ascii()
    )
}

/// Makes a mail to expect.
pub fn mail(reverse_path: &str, forward_paths: &[&str], message: &[u8]) -> Mail {
    Mail {
        envelope: Envelope {
            reverse_path: reverse_path.to_string(),
            forward_paths: forward_paths.iter().map(|path| path.to_string()).collect(),
            ..Envelope::default()
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
pub fn own_server(stage: usize, adjust: impl Fn(&mut Settings), test: impl FnOnce(&Target)) {
    ours_only(stage, || {
        if let Some(target) = started(&(stage..=stage), adjust).pop() {
            test(&target);
        }
    });
}

/// Starts and tests each stage in `stages`, one after another.
pub fn own_servers(
    stages: impl RangeBounds<usize> + Debug,
    adjust: impl Fn(&mut Settings),
    test: impl Fn(&Target),
) {
    if is_ours(OWN_SERVER) {
        for target in started(&stages, adjust) {
            test(&target);
        }
    }
}

/// Starts the last stage, where every client seems to be on another machine, and tests it.
pub fn from_another_machine(test: impl FnOnce(&Target)) {
    if program::chosen().is_some() {
        return skipped("no flag makes its client one on another machine");
    }
    ours_only(9, || test(&start_for_other_machines()));
}

/// Starts the program, and tests it as [`own_server`] tests a stage.
///
/// The test is about `stage`, and about every later one.
pub fn own_program(stage: usize, command: Command, test: impl FnOnce(&Server)) {
    ours_only(stage, || test(&Server::spawned(command)));
}

/// Runs a test that needs our own server with this stage, unless `SMTP_SERVER` is set.
pub fn ours_only(stage: usize, test: impl FnOnce()) {
    if is_ours(OWN_SERVER) && is_built_to(stage) {
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

/// Checks that no other server is chosen, for a test that tests our own tests.
///
/// If one is, it reports that the test is skipped.
pub fn tests_our_tests() -> bool {
    let chosen = target::external().is_some() || program::chosen().is_some();
    if chosen {
        skipped("it tests our own tests");
    }
    !chosen
}

/// Checks that the program, if one is chosen, has this stage.
///
/// If not, it reports that the test is skipped.
pub fn is_built_to(stage: usize) -> bool {
    let last = program::last_stage();
    if last < stage {
        skipped(&format!("it is about stage {stage}, and SMTP_STAGE={last}"));
    }
    stage <= last
}

/// Checks that a test may hold several connections at once.
///
/// If not, it reports that the test is skipped.
pub fn many_clients() -> bool {
    if one_by_one() {
        skipped("it connects several clients at once");
    }
    !one_by_one()
}

/// Says whether the server gets one connection at a time.
pub fn one_by_one() -> bool {
    env::var_os("SMTP_ONE_BY_ONE").is_some()
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

/// Says whether a program can be run here.
pub fn works(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Finds a program where the system looks for it.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
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
