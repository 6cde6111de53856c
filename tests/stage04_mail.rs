//! Chapter 4: MAIL.

mod support;

use support::zoo::{Mistake, catches};
use support::{documented_conversation, ours_plays, plays};

/// A session from the greeting to a HELO, and then `lines`.
fn greeted(lines: &str) -> String {
    format!(
        "
        S: 220 ...
        C: EHLO client.example
        S: 250 ...
        {lines}
        "
    )
}

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage04_mail.rs");
    ours_plays(4.., &documented_conversation(source));
}

#[test]
fn mail_before_helo_is_503() {
    plays(
        4..,
        "
        S: 220 ...
        {4.1.4: a client must say HELO or EHLO before a mail transaction}
        C: MAIL FROM:<ada@example.org>
        S: 503 ...
        {4.1.4: and the server stays in the same state}
        C: HELO client.example
        S: 250 ...
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        ",
    );
}

#[test]
fn a_helo_that_was_refused_is_no_helo() {
    plays(
        4..,
        "
        S: 220 ...
        {4.1.1.1: HELO takes a name}
        C: HELO
        S: 501 ...
        {4.1.4: after a refused HELO the state is what it was}
        C: MAIL FROM:<ada@example.org>
        S: 503 ...
        ",
    );
}

#[test]
fn a_second_mail_is_503_and_the_first_stands() {
    plays(
        4..,
        &greeted(
            "
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            {4.1.4: MAIL must not come while a transaction is open}
            C: MAIL FROM:<eve@example.org>
            S: 503 ...
            C: MAIL FROM:<eve@example.org>
            S: 503 ...
            ",
        ),
    );
}

#[test]
fn ehlo_and_helo_forget_the_transaction() {
    plays(
        4..,
        &greeted(
            "
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            {4.1.4: EHLO may be issued again at any time}
            C: EHLO client.example
            S: 250 ...
            {4.1.4: a new EHLO resets the session as RSET does}
            C: MAIL FROM:<eve@example.org>
            S: 250 ...
            C: HELO client.example
            S: 250 ...
            {4.1.4: and so does HELO}
            C: MAIL FROM:<bob@example.org>
            S: 250 ...
            ",
        ),
    );
}

#[test]
fn state_kept_after_ehlo_is_caught() {
    catches(
        ehlo_and_helo_forget_the_transaction,
        Mistake::StateKeptAfterEhlo,
        "a new EHLO resets the session as RSET does",
    );
}

#[test]
fn a_refused_helo_keeps_the_transaction() {
    plays(
        4..,
        &greeted(
            "
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            {4.1.1.1: HELO takes a name}
            C: HELO
            S: 501 ...
            {4.1.4: the server stays in the state that it was in before a refused HELO}
            C: MAIL FROM:<eve@example.org>
            S: 503 ...
            ",
        ),
    );
}

/// One MAIL after another, each refused with `code`, and then a good one.
fn refused(code: u16, arguments: &[&str], why: &str) {
    let lines: String = arguments
        .iter()
        .map(|argument| format!("C: MAIL{argument}\nS: {code} ...\n"))
        .collect();
    plays(
        4..,
        &greeted(&format!(
            "
            {{{why}}}
            {lines}
            {{4.1.4: a refused MAIL begins nothing}}
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            "
        )),
    );
}

#[test]
fn mail_without_a_path_is_501() {
    refused(
        501,
        &[
            "",
            " ",
            " FROM",
            " FROM:",
            " FROM:<",
            " FROM:>",
            " ada@example.org",
            " TO:<ada@example.org>",
        ],
        "4.1.1.2: MAIL without its colon or its path is a syntax error, not a reason to fall over",
    );
}

#[test]
fn a_server_that_panics_without_a_colon_is_caught() {
    catches(
        mail_without_a_path_is_501,
        Mistake::PanicsWithoutColon,
        "MAIL without its colon or its path is a syntax error",
    );
}

#[test]
fn a_path_against_the_grammar_is_501() {
    refused(
        501,
        &[
            " FROM:<ada>",
            " FROM:<ada@>",
            " FROM:<@example.org>",
            " FROM:<ada@example.org",
            " FROM:<ada@example..org>",
            " FROM:<ada@-example.org>",
            " FROM:<a..da@example.org>",
            " FROM:<ada lovelace@example.org>",
            r#" FROM:<"ada@example.org>"#,
            " FROM:<ada@[127.0.0.256]>",
            " FROM:<ada@[IPv6:nonsense]>",
            " FROM:<@relay.example>",
        ],
        "4.1.2: the grammar of a path",
    );
}

#[test]
fn a_path_over_its_size_is_501() {
    // The sizes are what a server must take (4.5.3.1); that ours takes no more is its own affair.
    for path in [
        format!("<{}@example.org>", "a".repeat(65)),
        format!("<ada@{}>", "d".repeat(253)),
    ] {
        ours_plays(4.., &greeted(&format!("C: MAIL FROM:{path}\nS: 501 ...")));
    }
}

#[test]
fn every_form_of_path_is_taken() {
    for path in [
        "<>",
        "<ada@example.org>",
        "<ada@[127.0.0.1]>",
        "<ada@[IPv6:2001:db8::1]>",
        r#"<"ada lovelace"@example.org>"#,
        r#"<"a>b: \"c\" @ \\"@example.org>"#,
        "<!#$%&'*+-/=?^_`{|}~@example.org>",
    ] {
        plays(
            4..,
            &greeted(&format!(
                "
                {{4.1.2: a path by the grammar}}
                C: MAIL FROM:{path}
                S: 250 ...
                "
            )),
        );
    }
    let longest = format!("<{}@{}>", "a".repeat(64), "d".repeat(189));
    assert_eq!(longest.len(), 256);
    plays(
        4..,
        &greeted(&format!(
            "{{4.5.3.1: a local part has 64 octets, a path 256}}\nC: MAIL FROM:{longest}\nS: 250 ..."
        )),
    );
}

#[test]
fn a_source_route_is_taken() {
    // 3.3: other servers may decline.
    ours_plays(
        4..,
        &greeted("C: MAIL FROM:<@relay.example,@relay2.example:ada@example.org>\nS: 250 ..."),
    );
}

#[test]
fn the_word_from_may_be_in_any_case() {
    plays(
        4..,
        &greeted("{2.4: FROM: isn't case sensitive}\nC: mail from:<ada@example.org>\nS: 250 ..."),
    );
}

#[test]
fn spaces_after_the_colon_and_missing_brackets_are_forgiven() {
    for argument in [
        "FROM: <ada@example.org>",
        "FROM:ada@example.org",
        "FROM: sender@kausm.in",
    ] {
        ours_plays(4.., &greeted(&format!("C: MAIL {argument}\nS: 250 ...")));
    }
}

#[test]
fn an_unknown_parameter_is_555() {
    refused(
        555,
        &[" FROM:<ada@example.org> X-UNKNOWN=1", " FROM:<> X-UNKNOWN"],
        "4.1.1.11: a parameter of an extension that the server doesn't have",
    );
}

#[test]
fn what_is_no_parameter_is_501() {
    refused(
        501,
        &[
            " FROM:<ada@example.org> =",
            " FROM:<ada@example.org> <eve@example.org>",
        ],
        "4.1.2: the grammar of a parameter",
    );
}
