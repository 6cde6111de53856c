//! Chapter 4: MAIL.

mod support;

use support::preamble::{begun, greeted};
use support::zoo::{Mistake, catches};
use support::{documented_conversation, ours_plays, plays};

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage04_mail.rs");
    ours_plays(4.., &documented_conversation(source));
}

#[test]
fn mail_before_helo_is_refused_with_503() {
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
fn mail_after_a_refused_helo_is_refused_with_503() {
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
fn a_second_mail_is_refused_with_503_and_the_first_stays() {
    plays(
        4..,
        &begun(
            "
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
fn ehlo_and_helo_drop_the_transaction() {
    plays(
        4..,
        &begun(
            "
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
        ehlo_and_helo_drop_the_transaction,
        Mistake::StateKeptAfterEhlo,
    );
}

#[test]
fn a_refused_helo_leaves_the_transaction_open() {
    plays(
        4..,
        &begun(
            "
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

/// Plays refused MAILs, one for each row, and then a valid one.
///
/// A row has the rest of the line after the verb, and the reason why it breaks `rule`.
fn refused(code: u16, rule: &str, rows: &[(&str, &str)]) {
    let lines: String = rows
        .iter()
        .map(|(argument, why)| format!("{{{rule}: {why}}}\nC: MAIL{argument}\nS: {code} ...\n"))
        .collect();
    plays(
        4..,
        &greeted(&format!(
            "
            {lines}
            {{4.1.4: a refused MAIL doesn't begin a transaction}}
            C: MAIL FROM:<ada@example.org>
            S: 250 ...
            "
        )),
    );
}

#[test]
fn mail_without_a_path_is_refused_with_501() {
    refused(
        501,
        "4.1.1.2: MAIL without its colon or its path is a syntax error, not a reason to fall over",
        &[
            ("", "no argument"),
            (" ", "a space and no argument"),
            (" FROM", "no colon"),
            (" FROM:", "no path"),
            (" FROM:<", "a bracket opens, and the line ends"),
            (" FROM:>", "a closing bracket alone"),
            (" ada@example.org", "no FROM:"),
            (" TO:<ada@example.org>", "the word of RCPT"),
        ],
    );
}

#[test]
fn a_server_that_panics_without_a_colon_is_caught() {
    catches(
        mail_without_a_path_is_refused_with_501,
        Mistake::PanicsWithoutColon,
    );
}

#[test]
fn an_invalid_path_is_refused_with_501() {
    refused(
        501,
        "4.1.2: the grammar of a path",
        &[
            (" FROM:<ada>", "no domain"),
            (" FROM:<ada@>", "an empty domain"),
            (" FROM:<@example.org>", "no local-part"),
            (" FROM:<ada@example.org", "the bracket stays open"),
            (" FROM:<ada@example..org>", "an empty label"),
            (" FROM:<ada@-example.org>", "a label begins with a hyphen"),
            (" FROM:<a@b@c>", "two at signs"),
            (" FROM:<@x>", "nothing before the at sign"),
            (" FROM:<ada lovelace@example.org>", "a space without quotes"),
            (r#" FROM:<"ada@example.org>"#, "the quote stays open"),
            (" FROM:<ada@[127.0.0.256]>", "256 doesn't fit an octet"),
            (" FROM:<ada@[IPv6:nonsense]>", "not an IPv6 address"),
            (" FROM:<@relay.example>", "a source route without a mailbox"),
        ],
    );
}

#[test]
fn an_overlong_path_is_refused_with_501() {
    // 4.5.3.1.3: a server must accept 256 octets; ours accepts no more, which is its own choice.
    for path in [
        format!("<{}@example.org>", "a".repeat(243)),
        format!("<ada@{}>", "d".repeat(251)),
    ] {
        assert_eq!(path.len(), 257);
        ours_plays(
            4..,
            &greeted(&format!(
                "{{a path has at most 256 octets}}\nC: MAIL FROM:{path}\nS: 501 ..."
            )),
        );
    }
}

#[test]
fn a_long_local_part_is_accepted() {
    for octets in [65, 128, 240] {
        let local_part = "a".repeat(octets);
        ours_plays(
            4..,
            &greeted(&format!(
                "
                {{4.5.3.1: no limit where none is needed; bounces and lists have such addresses}}
                C: MAIL FROM:<{local_part}@example.org>
                S: 250 ...
                "
            )),
        );
    }
}

#[test]
fn dots_anywhere_and_underscores_are_accepted() {
    for (path, why) in [
        ("<www-data@my_project_web_1>", "a container"),
        ("<a..b@example.org>", "a mobile phone network"),
        ("<a.@example.org>", "a mobile phone network"),
        ("<.a@example.org>", "a mobile phone network"),
    ] {
        ours_plays(
            4..,
            &greeted(&format!(
                "{{an address that exists, of {why}}}\nC: MAIL FROM:{path}\nS: 250 ..."
            )),
        );
    }
}

#[test]
fn every_form_of_path_is_accepted() {
    let longest = format!("<{}@{}>", "a".repeat(64), "d".repeat(189));
    assert_eq!(longest.len(), 256);
    for (path, why) in [
        ("<>", "4.5.5: the null reverse-path"),
        ("<ada@example.org>", "4.1.2: a domain"),
        ("<ada@[127.0.0.1]>", "4.1.3: an IPv4 address literal"),
        ("<ada@[IPv6:2001:db8::1]>", "4.1.3: an IPv6 address literal"),
        (
            r#"<"ada lovelace"@example.org>"#,
            "4.1.2: a quoted local-part may have spaces",
        ),
        (
            r#"<"a>b: \"c\" @ \\"@example.org>"#,
            "4.1.2: in quotes a bracket, a colon and an @ are text, and a backslash quotes",
        ),
        (
            "<!#$%&'*+-/=?^_`{|}~@example.org>",
            "4.1.2: every special character of an atom",
        ),
        (&longest, "4.5.3.1: a local-part has 64 octets, a path 256"),
    ] {
        plays(
            4..,
            &greeted(&format!("{{{why}}}\nC: MAIL FROM:{path}\nS: 250 ...")),
        );
    }
}

#[test]
fn a_source_route_is_accepted() {
    // 3.6.1: other servers may decline it.
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
fn spaces_after_the_colon_and_missing_brackets_are_tolerated() {
    for (argument, why) in [
        ("FROM: <ada@example.org>", "a space"),
        ("FROM:ada@example.org", "no brackets"),
        ("FROM: sender@kausm.in", "both, as people type it"),
    ] {
        ours_plays(
            4..,
            &greeted(&format!("{{{why}}}\nC: MAIL {argument}\nS: 250 ...")),
        );
    }
}

#[test]
fn an_unknown_parameter_is_refused_with_555() {
    refused(
        555,
        "4.1.1.11: a parameter of an extension that the server doesn't have",
        &[
            (" FROM:<ada@example.org> X-UNKNOWN=1", "with a value"),
            (" FROM:<> X-UNKNOWN", "without a value"),
        ],
    );
}

#[test]
fn an_invalid_parameter_is_refused_with_501() {
    refused(
        501,
        "4.1.2: the grammar of a parameter",
        &[
            (" FROM:<ada@example.org> =", "no keyword"),
            (" FROM:<ada@example.org> <eve@example.org>", "a second path"),
        ],
    );
}
