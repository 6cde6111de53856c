//! The zoo: servers with one classic mistake each. A test that no animal can fail proves nothing.
//!
//! Every animal is the same small server, written like a first server that works, with one mistake built
//! in. Without a mistake that server passes every test that the animals fail.

use std::net::TcpListener;
use std::panic;
use std::thread;

use super::animal::{Animal, Ears, echo};
use super::target::with_animal;
use super::tests_our_tests;

/// Names the mistake of an animal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    NoneInEcho,
    EchoWithoutLineEnd,
    EchoOfEachRead,
    OneReadIsOneCommand,
    NoUnstuffing,
    LfDotLfEndsTheData,
    LfDotCrlfEndsTheData,
    RcptBeforeMail,
    PanicsWithoutColon,
    DiesOn8BitBytes,
    RepliesEndInBareLf,
    StateKeptAfterData,
    StateKeptAfterEhlo,
    NoopForgetsTheTransaction,
    ReplyBeforeTheMessageIsComplete,
    InterruptedMessageDelivered,
    PipelinedRepliesLost,
    RsetKeepsTheRecipients,
    OverlongLineRunsAsTwo,
    QuitWithoutGoodbye,
    OneRecipientOnly,
    SizeIgnored,
    EighthBitStripped,
    ParametersAfterHelo,
    SecretsShown,
    NameAskedForTwice,
    AnythingIsBase64,
    IdentityTakenForTheName,
}

/// Lists the mistakes, each with the stage whose tests catch it, and the words of their message that name it.
pub const MISTAKES: [(Mistake, usize, &str); 27] = [
    (
        Mistake::EchoWithoutLineEnd,
        1,
        "a line comes back with its line end",
    ),
    (Mistake::EchoOfEachRead, 1, "TCP has no message boundaries"),
    (
        Mistake::RepliesEndInBareLf,
        2,
        "CR LF at the end of this line, not a bare LF (2.3.8)",
    ),
    (
        Mistake::DiesOn8BitBytes,
        3,
        "an 8-bit byte gets 500, and the server lives on",
    ),
    (
        Mistake::OverlongLineRunsAsTwo,
        3,
        "its tail is not the next command",
    ),
    (
        Mistake::OneReadIsOneCommand,
        3,
        "one read is not one command",
    ),
    (
        Mistake::PipelinedRepliesLost,
        3,
        "This time they came many in one segment",
    ),
    (
        Mistake::StateKeptAfterEhlo,
        4,
        "a new EHLO resets the session as RSET does",
    ),
    (
        Mistake::PanicsWithoutColon,
        4,
        "MAIL without its colon or its path is a syntax error",
    ),
    (
        Mistake::RcptBeforeMail,
        5,
        "RCPT without a previous MAIL gets 503",
    ),
    (
        Mistake::OneRecipientOnly,
        6,
        "each recipient is accepted or refused by itself",
    ),
    (
        Mistake::NoUnstuffing,
        6,
        "the first dot of a line is stuffing and is removed",
    ),
    (
        Mistake::LfDotLfEndsTheData,
        6,
        "LF . LF must not be treated as the end of the data",
    ),
    (
        Mistake::LfDotCrlfEndsTheData,
        6,
        "LF . CRLF doesn't end the data",
    ),
    (
        Mistake::StateKeptAfterData,
        6,
        "at the end of the data the transaction is cleared",
    ),
    (
        Mistake::InterruptedMessageDelivered,
        6,
        "a message whose end hasn't come was not sent: no 250, and no delivery",
    ),
    (
        Mistake::ReplyBeforeTheMessageIsComplete,
        6,
        "a message whose end hasn't come was not sent: no 250",
    ),
    (
        Mistake::RsetKeepsTheRecipients,
        7,
        "RSET discards the sender and the recipients",
    ),
    (Mistake::NoopForgetsTheTransaction, 7, "NOOP has no effect"),
    (
        Mistake::QuitWithoutGoodbye,
        7,
        "the server must send 221, and then close",
    ),
    (
        Mistake::SizeIgnored,
        10,
        "a size over the limit is refused before the message is sent",
    ),
    (
        Mistake::EighthBitStripped,
        10,
        "8BITMIME promises that all eight bits of a byte arrive",
    ),
    (
        Mistake::ParametersAfterHelo,
        10,
        "HELO takes back what EHLO has offered",
    ),
    (Mistake::SecretsShown, 11, "a secret is shown"),
    (
        Mistake::NameAskedForTwice,
        11,
        "a name that came with the command is not asked for again",
    ),
    (
        Mistake::AnythingIsBase64,
        11,
        "a response with a mistake in its base64 is refused",
    ),
    (
        Mistake::IdentityTakenForTheName,
        11,
        "the first part says whose mail it is to be, not who logs in",
    ),
];

/// Checks that `test` catches `mistake`, and that the failure message names it.
///
/// On the zoo's server without a mistake `test` must pass.
pub fn catches(test: fn(), mistake: Mistake) {
    if !tests_our_tests() {
        return;
    }
    let mut listed = MISTAKES.into_iter();
    let listed = listed.find(|(listed, ..)| *listed == mistake);
    let (_, stage, diagnosis) = listed.expect("it is in the list");
    let healthy = match stage {
        1 => Mistake::NoneInEcho,
        _ => Mistake::None,
    };
    with_animal(healthy, test);
    let caught = panic::catch_unwind(|| with_animal(mistake, test));
    let payload = caught.expect_err("the animal was not caught");
    let message = payload
        .downcast_ref::<String>()
        .expect("the player's message");
    assert!(
        message.contains(diagnosis),
        "{mistake:?} was caught, but the message does not say {diagnosis:?}:\n{message}"
    );
}

/// Serves for ever. What the animals accept and show is sent to `ears`.
pub fn serve(listener: &TcpListener, mistake: Mistake, ears: &Ears) {
    for stream in listener.incoming() {
        let ears = ears.clone();
        thread::spawn(move || {
            let stream = stream?;
            match mistake {
                Mistake::NoneInEcho | Mistake::EchoWithoutLineEnd | Mistake::EchoOfEachRead => {
                    echo(stream, mistake)
                }
                _ => Animal::new(stream, mistake, ears)?.live(),
            }
        });
    }
}
