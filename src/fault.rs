//! Faults on purpose: a server to test clients on (chapter 14).
//!
//! A client that sends mail has to cope with a server that refuses, hangs, or leaves, and such servers
//! are hard to find when one needs them. `--fault` makes one. This is what a fault is; the server that has
//! them is in [`crate::faulty`].
//!
//! ```text
//! RCPT=550                          this code at this verb
//! RCPT=450 4.2.1 Come again         with a text
//! RCPT=550:*@bounce.example         for these addresses
//! DATA=451:first 2                  the first two times, for each address
//! MAIL=421:over 10/s                beyond ten a second
//! DOT=451:share 1/3 seed 7          one of three, in an order that is the same each time
//! CONNECT=421                       in place of the greeting
//! MAIL=drop                         the connection is dropped
//! MESSAGE=drop                      in the middle of the message
//! DOT=drop                          after its end, and nothing is kept
//! DOT=lose                          after its end: the mail is kept, the reply is lost
//! RCPT=delay 5                      five seconds pass first
//! AUTH=535                          no login succeeds
//! ```
//!
//! `--fault addresses` lets the addresses of a mail choose, so that tests which run at the same time don't
//! disturb each other ([`chosen_by`]).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::command::Verb;
use crate::reply::Reply;

/// The word that lets addresses choose.
pub const ADDRESSES: &str = "addresses";

/// Specifications that can be copied, for an error message.
pub const EXAMPLES: &str = "such as RCPT=550, RCPT=450 4.2.1 Come again:*@bounce.example, DATA=451:first 2, MAIL=421:over 10/s, \
     DOT=451:share 1/3 seed 7, CONNECT=421, MESSAGE=drop, DOT=lose, RCPT=delay 5";

/// The text of a refusal that has none of its own.
const OUR_TEXT: &str = "A fault on purpose";

/// The most parts of which a share can be one: the numbers that look like chance have 16 bits.
const MOST_SHARES: u32 = 1000;

/// The longest delay, in seconds.
const LONGEST_DELAY: u64 = 24 * 60 * 60;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the greeting.
    Connect,
    /// At a verb.
    At(Verb),
    /// In the middle of a message.
    Message,
    /// After the dot, in place of the reply to the message.
    Dot,
}

/// What happens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The client hears this.
    Refuse(Reply),
    /// The connection is dropped without a word.
    Drop,
    /// The mail is kept, and then the connection is dropped.
    Lose,
    /// Everything goes on, but later.
    Delay(Duration),
}

/// How often it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Often {
    Always,
    /// The first times, for each address.
    First(u32),
    /// Beyond so many times a second.
    Over(usize),
    /// So many times of so many.
    Share(u32, u32),
}

/// One fault.
#[derive(Debug)]
pub struct Fault {
    /// As the operator wrote it.
    pub spec: String,
    place: Place,
    /// What happens.
    pub effect: Effect,
    /// For which addresses: a `*` stands for anything.
    whom: Option<String>,
    often: Often,
    /// What is counted.
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    /// How often, for each address.
    times: HashMap<String, u32>,
    /// When, in the last second.
    recent: VecDeque<Instant>,
    /// The state of the numbers that look like chance.
    random: u32,
}

impl Fault {
    /// Reads a specification.
    ///
    /// ```
    /// use smtp_from_scratch::fault::Fault;
    ///
    /// assert!(Fault::parse("RCPT=450 4.2.1 Come again:*@bounce.example:first 2").is_ok());
    /// assert!(Fault::parse("RCPT=sometimes").unwrap_err().contains("sometimes"));
    /// ```
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(spec: &str) -> Result<Fault, String> {
        let (word, rest) = spec.split_once('=').ok_or_else(|| not_understood(spec))?;
        let place = parse_place(word)?;
        let mut parts = rest.split(':');
        let effect = parse_effect(parts.next().unwrap_or_default())?;
        check(place, &effect)?;
        let mut fault = Fault {
            spec: spec.to_string(),
            place,
            effect,
            whom: None,
            often: Often::Always,
            count: Mutex::default(),
        };
        for part in parts {
            let words: Vec<&str> = part.split_whitespace().collect();
            match words[..] {
                [pattern] if pattern.contains('@') && fault.whom.is_none() => {
                    fault.whom = Some(pattern.to_string());
                }
                _ if fault.often != Often::Always => return Err(not_understood(part)),
                ["first", number] => match whole(number)? {
                    0 => return Err(not_understood(part)),
                    most => fault.often = Often::First(most),
                },
                ["over", rate] => {
                    let number = rate
                        .strip_suffix("/s")
                        .ok_or_else(|| not_understood(rate))?;
                    fault.often = Often::Over(whole(number)? as usize);
                }
                ["share", share, "seed", seed] => {
                    let (part, of) = share.split_once('/').ok_or_else(|| not_understood(share))?;
                    let (part, of) = (whole(part)?, whole(of)?);
                    if !(1..=of).contains(&part) || of > MOST_SHARES {
                        return Err(not_understood(share));
                    }
                    fault.often = Often::Share(part, of);
                    fault.count = Mutex::new(Count {
                        random: whole(seed)?,
                        ..Count::default()
                    });
                }
                _ => return Err(not_understood(part)),
            }
        }
        if fault.whom.is_some() && !has_addresses(place) {
            return Err(format!("there are no addresses at {word}"));
        }
        Ok(fault)
    }

    /// Says whether the fault strikes now. Each question counts as one time.
    pub fn strikes(&self, place: Place, addresses: &[&str]) -> bool {
        if place != self.place {
            return false;
        }
        let is_meant = |address: &&&str| {
            let whom = self.whom.as_deref().unwrap_or("*");
            matches(whom, address)
        };
        let address = addresses.iter().find(is_meant);
        if address.is_none() && self.whom.is_some() {
            return false;
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        match self.often {
            Often::Always => true,
            Often::First(most) => {
                let address = address.map_or("", |address| address).to_ascii_lowercase();
                let times = count.times.entry(address).or_default();
                *times += 1;
                *times <= most
            }
            Often::Over(most) => {
                let now = Instant::now();
                let second = Duration::from_secs(1);
                while count
                    .recent
                    .front()
                    .is_some_and(|&time| now - time >= second)
                {
                    count.recent.pop_front();
                }
                let is_beyond = count.recent.len() >= most;
                if !is_beyond {
                    count.recent.push_back(now);
                }
                is_beyond
            }
            Often::Share(part, of) => {
                count.random = count
                    .random
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                // The low bits of such numbers repeat early.
                (count.random >> 16) % of < part
            }
        }
    }
}

fn not_understood(part: &str) -> String {
    format!("{part:?} was not understood; {EXAMPLES}")
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| not_understood(text))
}

fn parse_place(text: &str) -> Result<Place, String> {
    match text.to_ascii_uppercase().as_str() {
        "CONNECT" => Ok(Place::Connect),
        "MESSAGE" => Ok(Place::Message),
        "DOT" => Ok(Place::Dot),
        _ => Verb::parse(text)
            .map(Place::At)
            .ok_or_else(|| not_understood(text)),
    }
}

fn parse_effect(text: &str) -> Result<Effect, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "drop" if rest.is_empty() => Ok(Effect::Drop),
        "lose" if rest.is_empty() => Ok(Effect::Lose),
        "delay" => {
            let seconds = u64::from(whole(rest)?);
            match seconds <= LONGEST_DELAY {
                true => Ok(Effect::Delay(Duration::from_secs(seconds))),
                false => Err(not_understood(text)),
            }
        }
        _ => refusal(word, rest).ok_or_else(|| not_understood(text)),
    }
}

/// Makes the refusal with a code. Its text is ours if there is none.
fn refusal(code: &str, text: &str) -> Option<Effect> {
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let code = code
        .parse()
        .ok()
        .filter(|code| is_code && (400..600).contains(code))?;
    let text = text.trim();
    let is_text = text.len() <= 400 && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let text = if text.is_empty() { OUR_TEXT } else { text };
    is_text.then(|| {
        Effect::Refuse(Reply {
            code,
            text: text.to_string().into(),
        })
    })
}

/// Checks that an effect is possible at a place.
fn check(place: Place, effect: &Effect) -> Result<(), String> {
    match (place, effect) {
        (Place::Dot, _) | (Place::Message, Effect::Drop) => Ok(()),
        (Place::Message, _) => Err("in the middle of a message there is only drop".to_string()),
        (_, Effect::Lose) => Err("only DOT has a reply that can be lost".to_string()),
        _ => Ok(()),
    }
}

/// Says whether a mail's addresses are known at a place.
fn has_addresses(place: Place) -> bool {
    use Verb::{Data, Mail, Rcpt};

    match place {
        Place::Connect => false,
        Place::At(verb) => matches!(verb, Mail | Rcpt | Data),
        Place::Message | Place::Dot => true,
    }
}

/// Says whether an address fits a pattern, in which `*` stands for anything.
fn matches(pattern: &str, address: &str) -> bool {
    let (pattern, address) = (pattern.to_ascii_lowercase(), address.to_ascii_lowercase());
    let Some((first, others)) = pattern.split_once('*') else {
        return pattern == address;
    };
    let Some(mut rest) = address.strip_prefix(first) else {
        return false;
    };
    let mut parts = others.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

/// Finds the fault that an address chooses, for `--fault addresses`.
///
/// ```
/// use smtp_from_scratch::command::Verb;
/// use smtp_from_scratch::fault::{Effect, Place, chosen_by};
///
/// let (place, effect) = chosen_by("rcpt-550-5.1.1@example.com").unwrap();
/// assert_eq!(place, Place::At(Verb::Rcpt));
/// assert!(matches!(effect, Effect::Refuse(reply) if reply.text.starts_with("5.1.1 ")));
/// assert_eq!(chosen_by("drop-dot@example.com"), Some((Place::Dot, Effect::Drop)));
/// assert_eq!(chosen_by("bob@example.com"), None);
/// ```
pub fn chosen_by(address: &str) -> Option<(Place, Effect)> {
    let (local_part, _) = address.split_once('@')?;
    let words: Vec<&str> = local_part.split('-').collect();
    let place = |word: &str| {
        parse_place(word)
            .ok()
            .filter(|&place| place != Place::Connect)
    };
    let (place, effect) = match words[..] {
        ["delay", seconds] => (
            Place::At(Verb::Rcpt),
            parse_effect(&format!("delay {seconds}")).ok()?,
        ),
        ["drop", word] => (place(word)?, Effect::Drop),
        ["lose", word] => (place(word)?, Effect::Lose),
        [word, code] => (place(word)?, refusal(code, "")?),
        [word, code, status] => {
            let text = format!("{status} {OUR_TEXT}");
            (place(word)?, refusal(code, &text)?)
        }
        _ => return None,
    };
    check(place, &effect).ok().map(|()| (place, effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_addresses_that_it_means() {
        for (pattern, address, fits) in [
            ("*@bounce.example", "bob@bounce.example", true),
            ("*@Bounce.example", "bob@bounce.EXAMPLE", true),
            ("*@bounce.example", "bob@bounce.example.com", false),
            ("bob@*", "bob@example.com", true),
            ("bob@*", "rob@example.com", false),
            ("b*@*.com", "bob@example.com", true),
            ("b*@*.com", "bob@example.org", false),
            ("*@*", "a@b", true),
            ("bob@example.com", "bob@example.com", true),
            ("bob@example.com", "bob@example.com.", false),
            ("*a@b", "aa@b", true),
            ("a*b*bc", "abbc", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, address), fits, "{pattern} {address}");
        }
    }

    #[test]
    fn a_share_is_the_same_each_time_and_about_right() {
        let strikes = || -> Vec<bool> {
            let fault = Fault::parse("MAIL=450:share 1/3 seed 7").unwrap();
            (0..300)
                .map(|_| fault.strikes(Place::At(Verb::Mail), &[]))
                .collect()
        };
        let first = strikes();
        assert_eq!(first, strikes());
        let number = first.iter().filter(|&&strikes| strikes).count();
        assert!((80..120).contains(&number), "{number}");
    }

    #[test]
    fn beyond_a_rate_is_beyond_it() {
        let fault = Fault::parse("MAIL=421:over 3/s").unwrap();
        let strikes = (0..5).map(|_| fault.strikes(Place::At(Verb::Mail), &[]));
        // A machine may stop for a second in between, so only the first ones are certain.
        assert_eq!(strikes.take(3).collect::<Vec<_>>(), [false; 3]);
        let fault = Fault::parse("MAIL=421:over 0/s").unwrap();
        assert!(fault.strikes(Place::At(Verb::Mail), &[]));
    }

    #[test]
    fn a_wrong_specification_is_named_in_its_part() {
        for (spec, part) in [
            ("RCPT", "RCPT"),
            ("RCTP=550", "RCTP"),
            ("RCPT=250", "250"),
            ("RCPT=600", "600"),
            ("RCPT=550\n", "550"),
            ("RCPT=lots", "lots"),
            ("RCPT=550:twice", "twice"),
            ("RCPT=550:first many", "many"),
            ("RCPT=550:first 0", "first 0"),
            ("RCPT=550:over 3", "3"),
            ("RCPT=550:share 1/3", "share 1/3"),
            ("RCPT=delay soon", "soon"),
            ("MESSAGE=550", "middle of a message"),
            ("RCPT=lose", "only DOT"),
            ("CONNECT=421:*@x", "no addresses at CONNECT"),
            ("AUTH=535:*@x", "no addresses at AUTH"),
            ("RCPT=550:a@*:b@*", "b@*"),
            ("RCPT=550:first 1:over 1/s", "over 1/s"),
            ("RCPT=550:share 0/3 seed 1", "0/3"),
            ("RCPT=550:share 4/3 seed 1", "4/3"),
            ("RCPT=550:share 1/2000 seed 1", "1/2000"),
            ("RCPT=delay 99999999", "99999999"),
            ("RCPT=+550", "+550"),
        ] {
            let problem = Fault::parse(spec).unwrap_err();
            assert!(problem.contains(part), "{spec}: {problem}");
        }
    }
}
