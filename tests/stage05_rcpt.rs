//! Chapter 5: RCPT.

mod support;

use support::zoo::{Mistake, catches};
use support::{documented_conversation, ours_plays, plays, plays_with};

/// A session from the greeting to a MAIL, and then `lines`.
fn begun(lines: &str) -> String {
    format!(
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        {lines}
        "
    )
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage05_rcpt.rs");
    ours_plays(5.., &documented_conversation(source));
}

#[test]
fn rcpt_before_mail_is_503() {
    plays(
        5..,
        "
        S: 220 ...
        {3.3: RCPT without a previous MAIL gets 503}
        C: RCPT TO:<bob@example.com>
        S: 503 ...
        C: EHLO client.example
        S: 250 ...
        C: RCPT TO:<bob@example.com>
        S: 503 ...
        {4.1.4: and it begins no transaction}
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        ",
    );
}

#[test]
fn a_250_to_rcpt_before_mail_is_caught() {
    catches(
        rcpt_before_mail_is_503,
        Mistake::RcptBeforeMail,
        "RCPT without a previous MAIL gets 503",
    );
}

#[test]
fn a_mail_may_have_many_recipients() {
    let hundred: String = (0..100)
        .map(|number| format!("C: RCPT TO:<user{number}@example.com>\nS: 250 ...\n"))
        .collect();
    plays(
        5..,
        &begun(&format!(
            "{{4.5.3.1.8: at least 100 recipients must be taken}}\n{hundred}"
        )),
    );
}

#[test]
fn postmaster_is_taken_in_any_case() {
    plays(
        5..,
        &begun(
            "
            {4.5.1: every server has a postmaster, in upper and lower case}
            C: RCPT TO:<Postmaster>
            S: 250 ...
            C: RCPT TO:<postmaster>
            S: 250 ...
            C: RCPT TO:<POSTMASTER>
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn what_is_no_path_is_501() {
    let lines: String = [
        "",
        " ",
        " TO",
        " TO:",
        " TO:<>",
        " TO:<bob>",
        " bob@example.com",
        " FROM:<bob@example.com>",
        " TO:<bob@example.com",
        " TO:<bob@exam ple.com>",
        " TO:<@relay.example:bob>",
    ]
    .iter()
    .map(|argument| format!("C: RCPT{argument}\nS: 501 ...\n"))
    .collect();
    plays(
        5..,
        &begun(&format!(
            "{{4.1.1.3, 4.1.2: what isn't a path; the null path is for senders}}\n{lines}"
        )),
    );
}

#[test]
fn an_unknown_parameter_is_555() {
    plays(
        5..,
        &begun(
            "
            {4.1.1.11: a parameter of an extension that the server doesn't have}
            C: RCPT TO:<bob@example.com> X-UNKNOWN=1
            S: 555 ...
            ",
        ),
    );
}

#[test]
fn a_source_route_is_taken() {
    // 3.3: other servers may decline.
    ours_plays(
        5..,
        &begun(
            "
            {4.1.1.3: receivers must recognize source routes}
            C: RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn a_recipient_beyond_the_limit_is_452_and_the_others_stay() {
    plays_with(
        5..,
        |settings| settings.max_recipients = 2,
        &begun(
            "
            C: RCPT TO:<one@example.com>
            S: 250 ...
            C: RCPT TO:<two@example.com>
            S: 250 ...
            {4.5.3.1.10: too many recipients is 452}
            C: RCPT TO:<three@example.com>
            S: 452 ...
            {an error in the argument is still an error in the argument}
            C: RCPT TO:<four>
            S: 501 ...
            ",
        ),
    );
}
