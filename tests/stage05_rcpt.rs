//! Chapter 5: RCPT.

mod support;

use support::preamble::begun;
use support::zoo::{Mistake, catches};
use support::{documented_conversation, mail, ours_plays, plays, plays_with, stores_with};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage05_rcpt.rs");
    ours_plays(5.., &documented_conversation(source));
}

#[test]
fn rcpt_before_mail_is_refused_with_503() {
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
        {4.1.4: and it doesn't begin a transaction}
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        ",
    );
}

#[test]
fn a_250_to_rcpt_before_mail_is_caught() {
    catches(
        rcpt_before_mail_is_refused_with_503,
        Mistake::RcptBeforeMail,
    );
}

#[test]
fn a_hundred_recipients_are_accepted() {
    let hundred: String = (0..100)
        .map(|number| format!("C: RCPT TO:<user{number}@example.com>\nS: 250 ...\n"))
        .collect();
    plays(
        5..,
        &begun(&format!(
            "{{4.5.3.1.8: a server must accept at least 100 recipients}}\n{hundred}"
        )),
    );
}

#[test]
fn postmaster_is_accepted_in_any_case() {
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
fn an_invalid_path_is_refused_with_501() {
    let lines: String = [
        ("", "4.1.1.3: no argument"),
        (" ", "4.1.1.3: a space and no argument"),
        (" TO", "4.1.1.3: no colon"),
        (" TO:", "4.1.1.3: no path"),
        (" TO:<>", "4.1.2: the null path is for senders"),
        (" TO:<bob>", "4.1.1.3: only postmaster needs no domain"),
        (" bob@example.com", "4.1.1.3: no TO:"),
        (" FROM:<bob@example.com>", "4.1.1.3: the word of MAIL"),
        (" TO:<bob@example.com", "4.1.2: the bracket stays open"),
        (" TO:<bob@exam ple.com>", "4.1.2: a space in a domain"),
        (" TO:<@relay.example:bob>", "4.1.2: a route, and no domain"),
    ]
    .iter()
    .map(|(argument, why)| format!("{{{why}}}\nC: RCPT{argument}\nS: 501 ...\n"))
    .collect();
    plays(5.., &begun(&lines));
}

#[test]
fn an_unknown_parameter_is_refused_with_555() {
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
fn a_source_route_is_accepted() {
    // 3.6.1: other servers may decline it, and stage 6 does without as well.
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
fn a_recipient_beyond_the_limit_is_answered_with_452_and_the_others_stay() {
    let lines = begun(
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
    );
    plays_with(5.., |settings| settings.max_recipients = 2, &lines);
    // From stage 6 on the stored mail shows the recipients.
    stores_with(
        6..,
        |settings| settings.max_recipients = 2,
        &format!(
            "
            {lines}
            {{4.5.3.1.10: the recipients before the 452 stay, and the refused one is not stored}}
            C: DATA
            S: 354 ...
            C: .
            S: 250 ...
            "
        ),
        &[mail(
            "ada@example.org",
            &["one@example.com", "two@example.com"],
            b"",
        )],
    );
}

#[test]
fn addresses_against_the_grammar_that_exist_are_accepted() {
    let long = format!("<{}@example.org>", "a".repeat(240));
    for (path, why) in [
        (long.as_str(), "a long local-part"),
        ("<a..b@example.org>", "two dots in a local-part"),
        ("<a.@example.org>", "a dot at the end of a local-part"),
        ("<www-data@my_project_web_1>", "underscores in a domain"),
    ] {
        ours_plays(
            5..,
            &begun(&format!(
                "{{real addresses have {why}}}\nC: RCPT TO:{path}\nS: 250 ..."
            )),
        );
    }
}
