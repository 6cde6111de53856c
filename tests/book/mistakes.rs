//! Mistakes: a server of the zoo does what the page says of it.

use crate::pages;
use crate::support::book::{assert_faultless, fences, parsed, with_place};
use crate::support::player::{Split, play};
use crate::support::target::start_animal;
use crate::support::zoo::Mistake;

/// The mistakes that the book shows, in its order.
const SHOWN_MISTAKES: [Mistake; 14] = [
    Mistake::OneReadIsOneCommand,
    Mistake::DiesOn8BitBytes,
    Mistake::PanicsWithoutColon,
    Mistake::StateKeptAfterEhlo,
    Mistake::RcptBeforeMail,
    Mistake::LfDotLfEndsTheData,
    Mistake::ReplyBeforeTheMessageIsComplete,
    Mistake::StateKeptAfterData,
    Mistake::RsetKeepsTheRecipients,
    Mistake::NoopForgetsTheTransaction,
    Mistake::SizeIgnored,
    Mistake::NameAskedForTwice,
    Mistake::AnythingIsBase64,
    Mistake::IdentityTakenForTheName,
];

#[test]
fn every_mistake_shows_as_printed() {
    let mut faults = Vec::new();
    let mut shown = Vec::new();
    for page in pages() {
        for fence in fences(&page.text) {
            // A conversation with the reader's own server is played in tests/typed/.
            if fence.kind != "wrong" || fence.info == "so-far" {
                continue;
            }
            let mut mistakes = SHOWN_MISTAKES.into_iter();
            let Some(mistake) = mistakes.find(|mistake| format!("{mistake:?}") == fence.info)
            else {
                let place = page.at(fence.start - 1);
                faults.push(format!("{place}: unknown mistake: {:?}", fence.info));
                continue;
            };
            shown.push(mistake);
            let mut animal = start_animal(mistake);
            animal.texts_count = true;
            let conversation = parsed(&page, fence.start, &fence.lines);
            let played = play(&animal, &conversation, Split::LineByLine);
            faults.extend(played.err().map(|story| with_place(&story)));
        }
    }
    assert_faultless(&faults);
    assert_eq!(shown, SHOWN_MISTAKES, "each is shown, in this order");
}
