//! The server with faults: a function on top of the tower (chapter 14).
//!
//! [`answer`] looks for a [fault](crate::fault), and if there is none, hands the command to stage 11.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::command::{Command, Verb};
use crate::connection::Connection;
use crate::data::read_message;
use crate::fault::{Effect, Fault, Place, chosen_by};
use crate::mail::Envelope;
use crate::path::{forward_path, reverse_path};
use crate::reply::{self, Failure, Reply};
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::stage03_commands::LONGEST_GOODBYE;
use crate::stages::stage06_data::{self, START_MAIL_INPUT};
use crate::stages::{stage11_auth, stage12_proxy};
use crate::terminal::printable;
use crate::wire::{LineEnd, Wire};

/// Says whether anything is to go wrong.
pub fn is_wanted(settings: &Settings) -> bool {
    settings.fault_addresses || !settings.faults.is_empty()
}

/// Holds the conversation with a client, with the faults of the settings.
///
/// # Errors
/// The connection broke, or was dropped on purpose.
pub fn converse(connection: Connection) -> io::Result<()> {
    let settings = Arc::clone(&connection.settings);
    let strikes = |fault: &&Fault| fault.strikes(Place::Connect, &[]);
    let Some(fault) = settings.faults.iter().find(strikes) else {
        return stage12_proxy::converse(connection, answer);
    };
    let transcript = &connection.transcript;
    transcript.narrate(format_args!("a fault on purpose: {}", fault.spec));
    if let Effect::Delay(delay) = fault.effect {
        thread::sleep(delay);
        return stage12_proxy::converse(connection, answer);
    }
    let mut wire = Wire::new(connection.stream, connection.transcript);
    if let Effect::Refuse(reply) = &fault.effect {
        wire.reply(reply)?;
    }
    wire.close(LONGEST_GOODBYE)
}

/// Answers a command, or lets a fault happen.
///
/// # Errors
/// The command is refused, or the connection broke, perhaps on purpose.
pub fn answer(session: &mut Session, command: &Command) -> Result<Reply, Failure> {
    let addresses = addresses(session, command);
    match effect(session, Place::At(command.verb), &addresses) {
        Some(Effect::Refuse(reply)) => return Err(reply.into()),
        Some(Effect::Drop | Effect::Lose) => return Err(dropped(session)),
        Some(Effect::Delay(delay)) => pause(session, delay)?,
        None => {}
    }
    let has_recipients = |envelope: &Envelope| !envelope.forward_paths.is_empty();
    if command.verb != Verb::Data || !session.transaction.as_ref().is_some_and(has_recipients) {
        return stage11_auth::answer(session, command);
    }
    if effect(session, Place::Message, &addresses).is_some() {
        return stage06_data::data(session, command, drop_within);
    }
    match effect(session, Place::Dot, &addresses) {
        None => stage11_auth::answer(session, command),
        Some(Effect::Delay(delay)) => {
            let reply = stage11_auth::answer(session, command)?;
            pause(session, delay)?;
            Ok(reply)
        }
        Some(Effect::Lose) => {
            stage11_auth::answer(session, command)?;
            Err(dropped(session))
        }
        Some(Effect::Drop) => {
            stage06_data::data(session, command, receive_and_forget)?;
            Err(dropped(session))
        }
        Some(Effect::Refuse(reply)) => {
            stage06_data::data(session, command, receive_and_forget)?;
            Err(reply.into())
        }
    }
}

/// Finds the effect of the first fault that strikes, and tells of it.
fn effect(session: &Session, place: Place, addresses: &[String]) -> Option<Effect> {
    let settings = &session.settings;
    let transcript = session.wire.transcript();
    let known: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let strikes = |fault: &&Fault| fault.strikes(place, &known);
    if let Some(fault) = settings.faults.iter().find(strikes) {
        transcript.narrate(format_args!("a fault on purpose: {}", fault.spec));
        return Some(fault.effect.clone());
    }
    let choice = |address: &String| {
        let (chosen, effect) = chosen_by(address)?;
        (chosen == place).then(|| (address.clone(), effect))
    };
    let chosen = addresses
        .iter()
        .filter(|_| settings.fault_addresses)
        .find_map(choice);
    chosen.map(|(address, effect)| {
        let shown = printable(address.as_bytes());
        transcript.narrate(format_args!("a fault on purpose: {shown}"));
        effect
    })
}

/// Finds the addresses that a command is about: the one in it, or those of the mail.
fn addresses(session: &Session, command: &Command) -> Vec<String> {
    let path = command.argument.split_once(':').map(|(_, path)| path);
    let read = match command.verb {
        Verb::Mail => path.map(reverse_path),
        Verb::Rcpt => path.map(forward_path),
        _ => {
            let envelope = session.transaction.iter();
            let all = envelope.flat_map(|envelope| {
                let recipients = envelope.forward_paths.iter();
                recipients.chain([&envelope.reverse_path])
            });
            return all.cloned().collect();
        }
    };
    let mailbox = read
        .and_then(|read| read.ok())
        .map(|(path, _)| path.mailbox.to_string());
    mailbox.into_iter().collect()
}

/// Lets time pass. The replies that wait leave first.
fn pause(session: &mut Session, delay: Duration) -> io::Result<()> {
    session.wire.flush()?;
    thread::sleep(delay);
    Ok(())
}

/// Drops the connection. The replies to earlier commands arrive.
fn dropped(session: &mut Session) -> Failure {
    let _ = session.wire.close(LONGEST_GOODBYE);
    on_purpose().into()
}

/// The error that ends a conversation.
fn on_purpose() -> io::Error {
    io::Error::other("it was dropped on purpose")
}

/// Receives the beginning of a message, and drops the connection at once.
fn drop_within(session: &mut Session, _: Envelope, _: LineEnd) -> Result<Reply, Failure> {
    session.wire.reply(&START_MAIL_INPUT)?;
    session.wire.flush()?;
    session.wire.fill_buf()?;
    Err(on_purpose().into())
}

/// Receives a whole message, and keeps nothing of it.
fn receive_and_forget(
    session: &mut Session,
    _: Envelope,
    line_end: LineEnd,
) -> Result<Reply, Failure> {
    session.wire.patience().expect_message();
    session.wire.reply(&START_MAIL_INPUT)?;
    read_message(&mut session.wire, line_end, |_| Ok(()))?;
    Ok(reply::OK)
}
