//! The table of stages: number, name, title, and how to run each.

use crate::connection::Converse;

pub mod stage01_echo;
pub mod stage02_greeting;
pub mod stage03_commands;
pub mod stage04_mail;
pub mod stage05_rcpt;
pub mod stage06_data;
pub mod stage07_quit;
pub mod stage08_maildir;
pub mod stage09_limits;
pub mod stage10_extensions;
pub mod stage11_auth;
pub mod stage12_proxy;

/// One chapter's server.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// The chapter's number, from 1.
    pub number: usize,
    /// The name that `--stage` takes.
    pub name: &'static str,
    /// What the stage adds, in a few words.
    pub title: &'static str,
    /// The conversation with one client.
    pub converse: Converse,
}

/// All stages, in order.
pub const STAGES: &[Stage] = &[
    Stage {
        number: 1,
        name: "echo",
        title: "an echo server",
        converse: stage01_echo::converse,
    },
    Stage {
        number: 2,
        name: "greeting",
        title: "220, then listen",
        converse: stage02_greeting::converse,
    },
    Stage {
        number: 3,
        name: "commands",
        title: "a verb and its argument; HELO and EHLO",
        converse: |connection| stage03_commands::converse(connection, stage03_commands::answer),
    },
    Stage {
        number: 4,
        name: "mail",
        title: "MAIL: who it is from",
        converse: |connection| stage03_commands::converse(connection, stage04_mail::answer),
    },
    Stage {
        number: 5,
        name: "rcpt",
        title: "RCPT: whom it is for",
        converse: |connection| stage03_commands::converse(connection, stage05_rcpt::answer),
    },
    Stage {
        number: 6,
        name: "data",
        title: "DATA: the message and where it ends",
        converse: |connection| stage03_commands::converse(connection, stage06_data::answer),
    },
    Stage {
        number: 7,
        name: "quit",
        title: "RSET, NOOP, QUIT: the whole conversation",
        converse: |connection| stage03_commands::converse(connection, stage07_quit::answer),
    },
    Stage {
        number: 8,
        name: "maildir",
        title: "the mail is stored",
        converse: |connection| stage03_commands::converse(connection, stage08_maildir::answer),
    },
    Stage {
        number: 9,
        name: "limits",
        title: "how much a stranger may take",
        converse: |connection| stage09_limits::converse(connection, stage09_limits::answer),
    },
    Stage {
        number: 10,
        name: "extensions",
        title: "EHLO has keywords, and each is a promise",
        converse: |connection| stage09_limits::converse(connection, stage10_extensions::answer),
    },
    Stage {
        number: 11,
        name: "auth",
        title: "AUTH: who is at the door",
        converse: |connection| stage09_limits::converse(connection, stage11_auth::answer),
    },
    Stage {
        number: 12,
        name: "proxy",
        title: "behind a proxy: who the client really is",
        converse: |connection| stage12_proxy::converse(connection, stage11_auth::answer),
    },
];

/// Finds a stage by its number (`4`) or its name (`mail`).
///
/// ```
/// use smtp_from_scratch::stages;
///
/// assert_eq!(stages::find("4").unwrap().name, "mail");
/// assert_eq!(stages::find("mail").unwrap().number, 4);
/// assert!(stages::find("0").is_none());
/// ```
pub fn find(text: &str) -> Option<&'static Stage> {
    STAGES
        .iter()
        .find(|stage| stage.name == text || stage.number.to_string() == text)
}
