//! Chapter 11: AUTH. The users of these tests are Ada, whose password is `s3cret`, and Bob.

mod support;

use std::time::{Duration, Instant};

use smtp_from_scratch::base64::encode;
use smtp_from_scratch::settings::Settings;
use smtp_from_scratch::stages::stage11_auth::PAUSE;
use smtp_from_scratch::users::Login;
use support::preamble::{MAIL_TO_BOB, greeted};
use support::program::{Client, serving};
use support::scratch::ScratchFolder;
use support::target::{with_users, write_users};
use support::zoo::{Mistake, catches};
use support::{
    by_default, documented_conversation, own_program, own_server, played_once, plays_with, secrets,
    target,
};

/// Lets everybody log in.
fn with_any_login(settings: &mut Settings) {
    settings.login = Login::Any;
}

/// Makes the response of PLAIN.
fn plain(identity: &str, name: &str, password: &str) -> String {
    encode(format!("{identity}\0{name}\0{password}").as_bytes())
}

/// Ada's response of PLAIN, the right one.
const ADA: &str = "AGFkYQBzM2NyZXQ=";

#[test]
fn the_conversation_in_the_documentation_is_true() {
    let source = include_str!("../src/stages/stage11_auth.rs");
    plays_with(11.., with_any_login, &documented_conversation(source));
}

#[test]
fn auth_is_offered_where_clients_may_log_in() {
    let keywords = |last: &str| {
        format!(
            "
            S: 220 ...
            C: EHLO client.example
            S: 250-localhost
            S: 250-PIPELINING
            S: 250-SIZE 26214400
            S: 250-8BITMIME
            S: 250-ENHANCEDSTATUSCODES
            S: 250-SMTPUTF8
            {last}
            C: HELO client.example
            S: 250 localhost
            "
        )
    };
    let offered = keywords("S: 250-HELP\nS: 250 AUTH PLAIN LOGIN");
    plays_with(11.., with_any_login, &offered);
    plays_with(11.., with_users, &offered);
    let not_offered = format!(
        "
        {}
        {{4.2.4: known, and not implemented}}
        C: AUTH PLAIN {ADA}
        S: 502 Command not implemented
        C: EHLO client.example
        S: 250 ...
        C: AUTH LOGIN
        S: 502 5.5.1 Command not implemented
        {{RFC 4954, section 5: its parameter belongs to the extension}}
        C: MAIL FROM:<ada@example.org> AUTH=<>
        ",
        keywords("S: 250 HELP"),
    );
    let unknown = format!("{not_offered}S: 555 5.5.4 Parameter not recognized");
    plays_with(11.., by_default, &unknown);
    plays_with(
        11..,
        |settings| {
            settings.login = Login::Any;
            settings.without = vec!["AUTH".to_string()];
        },
        &unknown,
    );
    // Where passwords would cross a network, nobody can log in, and so nobody can send mail.
    let nobody = format!("{not_offered}S: 530 5.7.0 Log in first");
    plays_with(
        11..,
        |settings| {
            with_users(settings);
            settings.without = vec!["AUTH".to_string()];
        },
        &nobody,
    );
}

#[test]
fn plain_logs_in_by_one_response() {
    for (identity, why) in [
        ("", "RFC 4616, section 2: an empty identity is one's own"),
        ("ada", "RFC 4616, section 2: so is the same name"),
    ] {
        let response = plain(identity, "ada", "s3cret");
        plays_with(
            11..,
            with_users,
            &greeted(&format!(
                r#"
                {{RFC 4954, section 4: the response may come with the command; {why}}}
                C: AUTH PLAIN {response}
                S: 235 2.7.0 Welcome
                C: EHLO client.example
                S: 250 ...
                "#
            )),
        );
        plays_with(
            11..,
            with_users,
            &greeted(&format!(
                r#"
                {{RFC 4954, section 4: or after a 334, whose text is empty, and whose space is there}}
                C: auth plain
                S: b"334 \r\n"
                C: {response}
                S: 235 2.7.0 Welcome
                "#
            )),
        );
    }
    let bob = plain("", "bob", "tr0ub4dor&3:ü");
    for auth in [
        format!("AUTH PLAIN {bob}"),
        format!("AUTH  PLAIN   {bob}  "),
        format!("Auth Plain {bob}"),
    ] {
        plays_with(
            11..,
            with_users,
            &greeted(&format!(
                "{{2.4: in any case; RFC 4616: a password of any characters but NUL}}\nC: {auth}\nS: 235 2.7.0 ..."
            )),
        );
    }
}

#[test]
fn login_asks_for_the_name_and_then_for_the_password() {
    plays_with(
        11..,
        with_users,
        &greeted(
            "
            {`Username:` and `Password:`, in base64; there are clients that compare}
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: YWRh
            S: 334 UGFzc3dvcmQ6
            C: czNjcmV0
            S: 235 2.7.0 Welcome
            ",
        ),
    );
}

#[test]
fn login_with_a_name_asks_for_the_password_only() {
    plays_with(
        11..,
        with_users,
        &greeted(
            "
            {RFC 4954, section 4: a name that came with the command is not asked for again}
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: czNjcmV0
            S: 235 2.7.0 Welcome
            ",
        ),
    );
}

#[test]
fn a_server_that_asks_for_the_name_twice_is_caught() {
    catches(
        login_with_a_name_asks_for_the_password_only,
        Mistake::NameAskedForTwice,
    );
}

#[test]
fn a_line_of_a_login_may_end_in_a_bare_lf() {
    plays_with(
        11..,
        with_users,
        &greeted(
            r#"
            {a plain nc sends LF}
            C: b"AUTH LOGIN\n"
            S: 334 VXNlcm5hbWU6
            C: b"YWRh\n"
            S: 334 UGFzc3dvcmQ6
            C: b"czNjcmV0\n"
            S: 235 2.7.0 Welcome
            "#,
        ),
    );
}

#[test]
fn an_empty_response_that_comes_with_the_command_is_an_equals_sign() {
    plays_with(
        11..,
        with_any_login,
        &greeted(
            "
            {RFC 4954, section 4: `=` is an empty response, and PLAIN's has three parts}
            C: AUTH PLAIN =
            S: 501 5.5.2 Not a valid response
            {after a 334 an empty line is one}
            C: AUTH PLAIN
            S: 334 ...
            C:
            S: 501 5.5.2 Not a valid response
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: =
            S: 501 5.5.2 Not a valid response
            C: AUTH LOGIN =
            S: 334 UGFzc3dvcmQ6
            C:
            S: 235 2.7.0 Welcome
            ",
        ),
    );
}

#[test]
fn a_star_cancels_a_login() {
    plays_with(
        11..,
        with_users,
        &greeted(&format!(
            "
            {{RFC 4954, section 4: a client cancels with *, and hears 501}}
            C: AUTH PLAIN
            S: 334 ...
            C: *
            S: 501 5.7.0 Login cancelled
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: *
            S: 501 5.7.0 Login cancelled
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: YWRh
            S: 334 UGFzc3dvcmQ6
            C: *
            S: 501 5.7.0 Login cancelled
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: *
            S: 501 5.7.0 Login cancelled
            {{a star with the command is a response, and no base64}}
            C: AUTH PLAIN *
            S: 501 5.5.2 Not a valid response
            {{and where no response is asked for, a command}}
            C: *
            S: 500 5.5.2 Command not recognized
            {{the client has not logged in, and may still}}
            C: MAIL FROM:<ada@example.org>
            S: 530 5.7.0 Log in first
            C: AUTH PLAIN {ADA}
            S: 235 2.7.0 Welcome
            "
        )),
    );
}

#[test]
fn a_response_that_is_not_base64_is_refused_with_501() {
    let rows = [
        ("AGFkYQBzM2NyZXQ", "the padding is missing"),
        ("AGFkYQBzM2NyZXQ==", "too much padding"),
        ("AGFkYQBzM2NyZXRz=", "padding where none is needed"),
        ("AGFkYQBzM2NyZXR=", "bits are left over"),
        ("AGFkYQBz!M2NyZXQ=", "another letter"),
        ("AGFkYQBz M2NyZXQ=", "a space"),
        ("AGFk=YQBzM2NyZXQ", "padding within"),
        ("-GFkYQBzM2NyZXQ=", "the alphabet for URLs"),
        ("====", "nothing but padding"),
        ("ada", "a name as it is"),
        ("**", "two stars"),
    ];
    let refused = "S: 501 5.5.2 Not a valid response\n";
    let lines: String = rows
        .iter()
        .map(|(response, why)| {
            format!(
                "{{RFC 4954, section 4: a response with a mistake in its base64 is refused: {why}}}\n\
                 C: AUTH PLAIN {response}\n{refused}C: AUTH PLAIN\nS: 334 ...\nC: {response}\n{refused}"
            )
        })
        .collect();
    // Fewer than twenty refusals in a session.
    let half = lines.match_indices('{').nth(rows.len() / 2).unwrap().0;
    for lines in [&lines[..half], &lines[half..]] {
        plays_with(11.., with_any_login, &greeted(lines));
    }
    plays_with(
        11..,
        with_any_login,
        &greeted(&format!(
            r#"
            {{RFC 4954, section 4: a response is ASCII}}
            C: b"AUTH PLAIN\r\n"
            S: 334 ...
            C: b"AGFk\xff\0YQ==\r\n"
            {refused}
            {{2.3.8: a CR alone doesn't end a line}}
            C: b"AUTH PLAIN\r\n"
            S: 334 ...
            C: b"{ADA}\r\r\n"
            {refused}
            {{the name is checked before the password is asked for}}
            C: AUTH LOGIN YWR
            {refused}
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: YWR
            {refused}
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: czNjcmV
            {refused}
            "#
        )),
    );
}

#[test]
fn a_server_that_takes_anything_for_base64_is_caught() {
    catches(
        a_response_that_is_not_base64_is_refused_with_501,
        Mistake::AnythingIsBase64,
    );
}

#[test]
fn a_response_of_plain_without_three_parts_is_refused_with_501() {
    let lines: String = [
        ("ada", "one part"),
        ("ada\0s3cret", "two parts"),
        ("\0ada\0s3cret\0", "four parts"),
        ("\0\0ada\0s3cret", "four parts"),
    ]
    .iter()
    .map(|(response, why)| {
        let response = encode(response.as_bytes());
        format!("{{RFC 4616, section 2: {why}}}\nC: AUTH PLAIN {response}\nS: 501 5.5.2 ...\n")
    })
    .collect();
    plays_with(11.., with_any_login, &greeted(&lines));
}

#[test]
fn the_identity_of_plain_is_not_the_name() {
    let no_name = plain("ada", "", "s3cret");
    played_once(
        11..,
        with_users,
        &greeted(&format!(
            "
            {{RFC 4616, section 2: the first part says whose mail it is to be, not who logs in}}
            C: AUTH PLAIN {no_name}
            S: 535 ...
            C: AUTH PLAIN {ADA}
            S: 235 ...
            "
        )),
        |_| (),
    );
}

#[test]
fn a_server_that_takes_the_identity_for_the_name_is_caught() {
    catches(
        the_identity_of_plain_is_not_the_name,
        Mistake::IdentityTakenForTheName,
    );
}

#[test]
fn a_wrong_name_and_a_wrong_password_are_answered_alike() {
    let wrong_name = plain("", "eve", "s3cret");
    let refused = "S: 535 5.7.8 The name or the password is wrong";
    played_once(
        11..,
        with_users,
        &greeted(&format!(
            "
            {{RFC 4954, section 6: the client isn't told which of the two was wrong}}
            C: AUTH PLAIN {wrong_name}
            {refused}
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: czNjcmV1
            {refused}
            {{no response is waited for any more}}
            C: *
            S: 500 5.5.2 Command not recognized
            C: MAIL FROM:<ada@example.org>
            S: 530 5.7.0 Log in first
            C: AUTH PLAIN {ADA}
            S: 235 2.7.0 Welcome
            "
        )),
        |_| (),
    );
}

#[test]
fn whatever_is_wrong_with_a_login_the_answer_is_the_same() {
    own_server(11, with_users, |server| {
        // Each waits for a second, so they wait together.
        let clients = [
            ("", "ada", "", "no password"),
            ("", "ada", "s3cre", "a password cut short"),
            ("", "ada", "s3cret ", "a space too many"),
            ("", "ada", "S3CRET", "another case"),
            ("", "Ada", "s3cret", "another case of the name"),
            ("", "bob", "s3cret", "the password of another user"),
            ("", "eve", "s3cret", "no such user"),
            ("", "", "", "nothing at all"),
            ("bob", "ada", "s3cret", "for somebody else"),
            ("ADA", "ada", "s3cret", "for somebody else, if case counts"),
            ("ada", "", "s3cret", "without the name that logs in"),
        ]
        .map(|(identity, name, password, why)| {
            let client = Client::greeted(server.address);
            client.says(format!("AUTH PLAIN {}\r\n", plain(identity, name, password)).as_bytes());
            (client, why)
        });
        for (mut client, why) in clients {
            let answer = client.hears();
            assert_eq!(
                answer, "535 5.7.8 The name or the password is wrong",
                "{why}"
            );
        }
    });
}

#[test]
fn three_failed_logins_are_followed_by_421() {
    let guess = format!("AUTH PLAIN {}", plain("", "ada", "guess"));
    let began = Instant::now();
    played_once(
        11..,
        with_users,
        &greeted(&format!(
            r#"
            C: {guess}
            S: 535 5.7.8 ...
            C: {guess}
            S: 535 5.7.8 ...
            {{RFC 4954, section 4: a client that guesses is sent away, and what it has sent since is not run}}
            C: b"{guess}\r\nAUTH PLAIN {ADA}\r\n"
            S: 535 5.7.8 ...
            S: 421 4.7.0 localhost Too many errors, closing transmission channel
            {{the server closes the connection}}
            "#
        )),
        |_| assert!(began.elapsed() >= 3 * PAUSE, "a guess costs a second"),
    );
}

#[test]
fn the_replies_before_a_failed_login_do_not_wait_for_its_pause() {
    own_server(11, with_users, |server| {
        let mut client = Client::greeted(server.address);
        client.says(format!("NOOP\r\nAUTH PLAIN {}\r\n", plain("", "ada", "guess")).as_bytes());
        client.hears_codes(&["250"]);
        let heard = Instant::now();
        client.hears_codes(&["535"]);
        assert!(heard.elapsed() > PAUSE / 2, "both came at once");
    });
}

#[test]
fn auth_is_refused_where_it_makes_no_sense() {
    plays_with(
        11..,
        with_any_login,
        &format!(
            "
            S: 220 ...
            {{RFC 4954, section 3: AUTH is for a client that has heard that it is there}}
            C: AUTH PLAIN {ADA}
            S: 503 EHLO first
            C: AUTH LOGIN
            S: 503 EHLO first
            C: HELO client.example
            S: 250 localhost
            C: AUTH PLAIN {ADA}
            S: 503 EHLO first
            C: EHLO client.example
            S: 250 ...
            {{RFC 4954, section 4: AUTH has a mechanism}}
            C: AUTH
            S: 501 5.5.4 How? AUTH PLAIN or AUTH LOGIN
            {{RFC 4954, section 4: 504 for another mechanism}}
            C: AUTH CRAM-MD5
            S: 504 5.5.4 Only AUTH PLAIN and AUTH LOGIN
            C: AUTH {ADA}
            S: 504 5.5.4 Only AUTH PLAIN and AUTH LOGIN
            C: AUTH PLAINER {ADA}
            S: 504 5.5.4 Only AUTH PLAIN and AUTH LOGIN
            C: MAIL FROM:<ada@example.org>
            S: 250 2.1.0 OK
            {{RFC 4954, section 4: not during a mail transaction}}
            C: AUTH PLAIN {ADA}
            S: 503 5.5.1 Not while a mail is open
            C: AUTH
            S: 503 5.5.1 Not while a mail is open
            {{4.1.4: and the transaction is as it was}}
            C: RCPT TO:<bob@example.com>
            S: 250 2.1.5 OK
            C: RSET
            S: 250 2.0.0 OK
            C: AUTH PLAIN {ADA}
            S: 235 2.7.0 Welcome
            {{RFC 4954, section 4: no more AUTH after one that succeeded}}
            C: AUTH PLAIN {ADA}
            S: 503 5.5.1 Logged in already
            C: AUTH FOO
            S: 503 5.5.1 Logged in already
            "
        ),
    );
}

#[test]
fn a_login_lasts_to_the_end_of_the_connection() {
    plays_with(
        11..,
        with_users,
        &greeted(&format!(
            "
            C: AUTH PLAIN {ADA}
            S: 235 2.7.0 Welcome
            {{RFC 4954, section 4: the login holds for the whole session}}
            C: RSET
            S: 250 2.0.0 OK
            {MAIL_TO_BOB}
            C: .
            S: 250 2.0.0 ...
            {MAIL_TO_BOB}
            C: .
            S: 250 2.0.0 ...
            {{4.1.4: EHLO resets what RSET does}}
            C: EHLO client.example
            S: 250 ...
            C: AUTH PLAIN {ADA}
            S: 503 5.5.1 Logged in already
            C: MAIL FROM:<ada@example.org>
            S: 250 2.1.0 OK
            C: HELO client.example
            S: 250 localhost
            C: MAIL FROM:<ada@example.org>
            S: 250 OK
            "
        )),
    );
    // The next client is another.
    plays_with(
        11..,
        with_users,
        &greeted("C: MAIL FROM:<ada@example.org>\nS: 530 5.7.0 Log in first"),
    );
}

#[test]
fn with_users_mail_needs_a_login() {
    plays_with(
        11..,
        with_users,
        &format!(
            "
            S: 220 ...
            {{4.1.4: the order comes first}}
            C: MAIL FROM:<ada@example.org>
            S: 503 HELO or EHLO first
            C: HELO client.example
            S: 250 localhost
            {{RFC 4954, section 6: 530 for what needs a login}}
            C: MAIL FROM:<ada@example.org>
            S: 530 Log in first
            C: EHLO client.example
            S: 250 ...
            C: MAIL FROM:<ada@example.org>
            S: 530 5.7.0 Log in first
            C: MAIL FROM:<ada@example.org> SIZE=999999999
            S: 530 5.7.0 Log in first
            C: MAIL
            S: 530 5.7.0 Log in first
            {{4.1.4: no transaction was opened}}
            C: RCPT TO:<bob@example.com>
            S: 503 5.5.1 MAIL first
            C: DATA
            S: 503 5.5.1 MAIL first
            {{RFC 4954, section 6: and all else is as before}}
            C: NOOP
            S: 250 2.0.0 OK
            C: VRFY bob
            S: 252 2.5.0 ...
            C: HELP
            S: 214 ...
            C: RSET
            S: 250 2.0.0 OK
            C: AUTH PLAIN {ADA}
            S: 235 2.7.0 Welcome
            {MAIL_TO_BOB}
            C: .
            S: 250 2.0.0 ...
            "
        ),
    );
}

#[test]
fn with_any_login_mail_needs_none() {
    plays_with(
        11..,
        with_any_login,
        &greeted(&format!("{MAIL_TO_BOB}C: .\nS: 250 2.0.0 ...")),
    );
    plays_with(
        11..,
        with_any_login,
        &greeted("{every name and every password}\nC: AUTH PLAIN AAA=\nS: 235 2.7.0 Welcome"),
    );
}

#[test]
fn received_says_that_the_client_had_logged_in() {
    for (lines, protocol) in [
        (MAIL_TO_BOB.to_string(), " with ESMTP id "),
        (
            format!("C: AUTH PLAIN {ADA}\nS: 235 ...\n{MAIL_TO_BOB}"),
            " with ESMTPA id ",
        ),
        (
            format!(
                "C: AUTH PLAIN {ADA}\nS: 235 ...\nC: MAIL FROM:<zoë@example.org> SMTPUTF8\nS: 250 ...\n\
                 C: RCPT TO:<bob@example.com>\nS: 250 ...\nC: DATA\nS: 354 ...\n"
            ),
            " with UTF8SMTPA id ",
        ),
        (
            format!(
                "C: AUTH PLAIN {ADA}\nS: 235 ...\nC: HELO c.example\nS: 250 ...\n{MAIL_TO_BOB}"
            ),
            " with SMTP id ",
        ),
    ] {
        let text = greeted(&format!("{lines}C: .\nS: 250 ..."));
        played_once(11.., with_any_login, &text, |server| {
            let received = server.maildir().take()[0].parts().0.pop().unwrap();
            assert!(received.contains(protocol), "{received}");
            assert!(
                !received.contains("ada"),
                "RFC 4954 hides the name: {received}"
            );
        });
    }
}

#[test]
fn the_parameter_auth_is_accepted_and_ignored() {
    let longest = "a".repeat(500 - " AUTH=".len());
    let rows: String = [
        ("<>", "250 2.1.0 OK", "nobody knows whose it is"),
        ("ada@example.org", "250 2.1.0 OK", "an address"),
        ("e+3Dmc2@example.com", "250 2.1.0 OK", "RFC 3461, section 4: an encoded `=`"),
        (&longest, "250 2.1.0 OK", "as long as it may be"),
        ("e+3dmc2", "501 5.5.4 Not an address; ...", "RFC 3461, section 4: capitals"),
        ("e+", "501 5.5.4 Not an address; ...", "RFC 3461, section 4: two digits"),
        ("", "501 5.5.4 Not a parameter; ...", "4.1.2: no value"),
    ]
    .iter()
    .map(|(value, reply, why)| {
        format!(
            "{{RFC 4954, section 5: {why}}}\nC: MAIL FROM:<ada@example.org> AUTH={value}\nS: {reply}\n\
             C: RSET\nS: 250 ...\n"
        )
    })
    .collect();
    plays_with(
        11..,
        with_any_login,
        &greeted(&format!(
            "
            {rows}
            C: MAIL FROM:<ada@example.org> AUTH
            S: 501 5.5.4 Not an address; it looks like AUTH=<> or AUTH=ada@example.org
            C: MAIL FROM:<ada@example.org> auth=<> SIZE=26214401
            S: 552 5.3.4 ...
            C: MAIL FROM:<ada@example.org> SIZE=1 auth=<> BODY=7BIT SMTPUTF8
            S: 250 2.1.0 OK
            C: HELO client.example
            S: 250 localhost
            {{4.1.1.11: HELO takes back what EHLO has offered}}
            C: MAIL FROM:<ada@example.org> AUTH=<>
            S: 555 Parameter not recognized
            "
        )),
    );
}

#[test]
fn a_response_may_have_12288_octets() {
    // Base64 has four letters for three octets: the longest that fits has 12,284.
    let longest = encode(&[b"\0", &[b'n'; 9210][..], b"\0p"].concat());
    assert_eq!(longest.len(), 12_284);
    let (fits, too_long) = ("x".repeat(12_286), "x".repeat(12_287));
    let refused = "S: 500 5.5.6 Response too long";
    plays_with(
        11..,
        with_any_login,
        &greeted(&format!(
            "
            {{RFC 4954, section 4: 12,288 octets with the line end; RFC 5248: 5.5.6 for more}}
            C: AUTH PLAIN
            S: 334 ...
            C: {too_long}
            {refused}
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: {too_long}
            {refused}
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: {too_long}{too_long}{too_long}
            {refused}
            {{12,288 octets fit, and only then it is bad base64}}
            C: AUTH PLAIN
            S: 334 ...
            C: {fits}
            S: 501 5.5.2 Not a valid response
            {{and the session is in step}}
            C: NOOP
            S: 250 2.0.0 OK
            C: AUTH PLAIN
            S: 334 ...
            C: {longest}
            S: 235 2.7.0 Welcome
            "
        )),
    );
    let with_command = encode(&[b"\0", &[b'n'; 9201][..], b"\0p"].concat());
    assert_eq!("AUTH PLAIN ".len() + with_command.len() + 2, 12_285);
    let line = |octets: usize| {
        let spaces = " ".repeat(octets - 12_285);
        format!("C: AUTH PLAIN {spaces}{with_command}")
    };
    plays_with(
        11..,
        with_any_login,
        &greeted(&format!(
            "
            {{RFC 4954, section 4: the same for the command with its response}}
            {}
            S: 500 5.5.2 Line too long
            {}
            S: 235 2.7.0 Welcome
            ",
            line(12_289),
            line(12_288),
        )),
    );
}

#[test]
fn what_follows_a_334_is_a_response_whatever_it_looks_like() {
    for command in [
        "QUIT",
        "RSET",
        "NOOP are you there?",
        "AUTH PLAIN AGFkYQBzM2NyZXQ=",
        "POST / HTTP/1.1",
        "HULLO",
    ] {
        // Only these are base64 by chance, and the rest is not.
        let name_answer = match command.len() {
            4 => "S: 334 UGFzc3dvcmQ6\nC: *\nS: 501 5.7.0 ...",
            _ => "S: 501 5.5.2 Not a valid response",
        };
        plays_with(
            11..,
            with_any_login,
            &greeted(&format!(
                "
                {{RFC 4954, section 4: the line after a 334 is the response, and only * is a command}}
                C: AUTH PLAIN
                S: 334 ...
                C: {command}
                S: 501 5.5.2 Not a valid response
                C: AUTH LOGIN
                S: 334 VXNlcm5hbWU6
                C: {command}
                {name_answer}
                C: NOOP
                S: 250 2.0.0 OK
                "
            )),
        );
    }
    plays_with(
        11..,
        with_any_login,
        &greeted(
            "
            {three octets have four letters, so a short password may be written QUIT}
            C: AUTH LOGIN YWRh
            S: 334 UGFzc3dvcmQ6
            C: QUIT
            S: 235 2.7.0 Welcome
            ",
        ),
    );
}

#[test]
fn a_client_may_leave_within_its_login() {
    for (line, prompt) in [
        ("AUTH PLAIN", ""),
        ("AUTH LOGIN", "VXNlcm5hbWU6"),
        ("AUTH LOGIN YWRh", "UGFzc3dvcmQ6"),
    ] {
        for last in ["", "C: b\"AGFkYQBzM2NyZXQ=\"\n"] {
            plays_with(
                11..,
                with_any_login,
                &greeted(&format!(
                    "
                    C: {line}
                    S: 334 {prompt}...
                    {last}
                    {{the client closes its side}}
                    {{a response without its line end is none}}
                    {{the server closes the connection}}
                    "
                )),
            );
        }
    }
}

#[test]
fn a_silent_client_within_its_login_is_answered_with_421() {
    played_once(
        11..,
        |settings| {
            settings.login = Login::Any;
            settings.timeout = Duration::from_millis(300);
        },
        &greeted(
            "
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            {4.5.3.2.7: after a timeout, 421 and the end}
            S: 421 4.4.2 localhost You took too long, closing transmission channel
            {the server closes the connection}
            ",
        ),
        |_| (),
    );
}

#[test]
fn a_response_after_a_slow_auth_command_has_its_own_timeout() {
    let one_second = |settings: &mut Settings| {
        settings.login = Login::Any;
        settings.timeout = Duration::from_secs(1);
    };
    own_server(11, one_second, |server| {
        let mut client = Client::greeted(server.address);
        client.says(b"AUTH LOG");
        let pause = Duration::from_millis(600);
        client.hears_nothing_for(pause);
        client.says(b"IN YWRh\r\n");
        client.hears_codes(&["334"]);
        client.hears_nothing_for(pause);
        client.says(b"czNjcmV0\r\n");
        client.hears_codes(&["235"]);
    });
}

#[test]
fn a_login_in_one_segment_has_its_replies_in_order() {
    plays_with(
        11..,
        with_users,
        &greeted(
            r#"
            {RFC 4954, section 4, has the client wait; one that doesn't gets its replies in order}
            C: b"NOOP\r\nAUTH LOGIN\r\nYWRh\r\nczNjcmV0\r\nMAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
            S: 250 2.0.0 OK
            S: 334 VXNlcm5hbWU6
            S: 334 UGFzc3dvcmQ6
            S: 235 2.7.0 Welcome
            S: 250 2.1.0 OK
            S: 250 2.1.5 OK
            S: 354 ...
            C: .
            S: 250 2.0.0 ...
            "#,
        ),
    );
    plays_with(
        11..,
        with_users,
        &greeted(&format!(
            r#"
            C: b"AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n{ADA}\r\nNOOP\r\n"
            S: b"334 \r\n"
            S: 501 5.7.0 Login cancelled
            S: b"334 \r\n"
            S: 235 2.7.0 Welcome
            S: 250 2.0.0 OK
            "#
        )),
    );
}

#[test]
fn without_status_codes_a_login_has_none() {
    plays_with(
        11..,
        |settings| {
            settings.login = Login::Any;
            settings.without = vec!["ENHANCEDSTATUSCODES".to_string()];
        },
        &greeted(&format!(
            "
            {{RFC 2034: no codes where they weren't announced}}
            C: AUTH FOO
            S: 504 Only AUTH PLAIN and AUTH LOGIN
            C: AUTH PLAIN
            S: 334 ...
            C: *
            S: 501 Login cancelled
            C: AUTH PLAIN {ADA}
            S: 235 Welcome
            "
        )),
    );
}

#[test]
fn a_login_for_somebody_else_is_refused_and_counts_as_several_errors() {
    let mistakes = "C: HULLO\nS: 500 ...\n".repeat(13);
    let other = plain("bob", "ada", "s3cret");
    played_once(11..,
        with_any_login,
        &greeted(&format!(
            "
            {mistakes}
            {{RFC 4616, section 2: the first part says whose mail it is to be, and it must be one's own}}
            C: AUTH PLAIN {other}
            S: 535 5.7.8 The name or the password is wrong
            {{4.2.3: a 421 announces the end}}
            S: 421 4.7.0 localhost Too many errors, closing transmission channel
            {{the server closes the connection}}
            "
        )),
        |_| (),
    );
}

/// Plays many logins against the program or the animal, and looks through all that it prints.
#[test]
fn no_secret_is_shown_where_every_password_is_right() {
    let sessions = [secrets::sessions(), secrets::disguised()].concat();
    if let Some(animal) = target::animal() {
        secrets::tell(&animal.address.to_string(), &sessions);
        let lines = animal.shown.as_ref().expect("animals show what they hear");
        let next = || lines.recv_timeout(Duration::from_secs(10)).unwrap();
        return secrets::are_not_in(&secrets::shown_of(sessions.len(), next));
    }
    own_program(11, serving(&["--login", "any"]), |server| {
        secrets::tell(&server.address, &sessions);
        let shown = secrets::shown_of(sessions.len(), || server.next_line());
        let has = |what: &str| shown.iter().any(|line| line.contains(what));
        for what in ["C: AUTH ...", "C: ...", "S: 235 2.7.0 Welcome", "C: NOOP"] {
            assert!(has(what), "nothing says {what}");
        }
        secrets::are_not_in(&shown);
    });
}

#[test]
fn no_secret_is_shown_where_some_passwords_are_right() {
    let folder = ScratchFolder::new();
    let file = folder.path().join("users");
    let users = format!("{}:{}\n", secrets::NAME, secrets::PASSWORD);
    write_users(&file, &users);
    let sessions = [secrets::sessions(), secrets::disguised()].concat();
    let command = serving(&["--users", file.to_str().unwrap()]);
    own_program(11, command, |server| {
        secrets::tell(&server.address, &sessions);
        let shown = secrets::shown_of(sessions.len(), || server.next_line());
        assert!(shown.iter().any(|line| line.contains("S: 535 5.7.8 ")));
        secrets::are_not_in(&shown);
    });
}

#[test]
fn a_server_that_shows_a_secret_is_caught() {
    catches(
        no_secret_is_shown_where_every_password_is_right,
        Mistake::SecretsShown,
    );
}

#[test]
fn no_secret_is_shown_where_auth_is_not_offered() {
    for stage in ["3", "7", "9", "10", "11"] {
        let command = serving(&["--stage", stage]);
        let sessions = secrets::sessions();
        own_program(11, command, |server| {
            secrets::tell(&server.address, &sessions);
            let shown = secrets::shown_of(sessions.len(), || server.next_line());
            secrets::are_not_in(&shown);
        });
    }
}
