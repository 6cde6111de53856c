//! An SMTP server from nothing but the standard library, told in stages.
//!
//! Every stage is one module, every module is a server that runs (`cargo run -- --stage 4`), and
//! each stands on the one below it. Each has a chapter in `docs/`, which builds it piece by piece; these
//! pages are the shorter way. Read them in this order; the last column has what else is new.
//!
//! | stage | chapter | what it adds | also new |
//! | --- | --- | --- | --- |
//! | | [0](../../../docs/00-before-we-start.md) | what a mail is, and a whole session read aloud | |
//! | [1 echo](stages::stage01_echo) | [1](../../../docs/01-echo.md) | a thread for each client, and a line that comes back | [`connection`], [`server`], [`transcript`], [`terminal`], [`settings`] |
//! | [2 greeting](stages::stage02_greeting) | [2](../../../docs/02-greeting.md) | 220, then listen | [`wire`], [`reply`] |
//! | [3 commands](stages::stage03_commands) | [3](../../../docs/03-commands.md) | a line is a verb and its argument; HELO and EHLO | [`verb`], [`command`], [`session`] |
//! | [4 mail](stages::stage04_mail) | [4](../../../docs/04-mail.md) | MAIL: who the message is from | [`domain`], [`path`], [`parameter`], [`mail`] |
//! | [5 rcpt](stages::stage05_rcpt) | [5](../../../docs/05-rcpt.md) | RCPT: who it is for | |
//! | [6 data](stages::stage06_data) | [6](../../../docs/06-data.md) | DATA: the message itself, and where it ends | [`data`], [`header`] |
//! | [7 quit](stages::stage07_quit) | [7](../../../docs/07-quit.md) | RSET, NOOP, QUIT: the whole conversation | |
//! | [8 maildir](stages::stage08_maildir) | [8](../../../docs/08-maildir.md) | the mail is stored, and safe before the 250 | [`maildir`], [`trace`], [`machine`] |
//! | [9 limits](stages::stage09_limits) | [9](../../../docs/09-limits.md) | strangers: timeouts, too many clients, whose mail | [`patience`], [`places`] |
//! | [10 extensions](stages::stage10_extensions) | [10](../../../docs/10-extensions.md) | EHLO's keywords: sizes, status codes, addresses in UTF-8; VRFY, HELP | |
//! | [11 auth](stages::stage11_auth) | [11](../../../docs/11-auth.md) | AUTH: a name and a password | [`base64`], [`users`] |
//! | [12 proxy](stages::stage12_proxy) | [12](../../../docs/12-proxy.md) | a proxy says who the client is; a socket from systemd | [`proxy`] |
//! | | [13](../../../docs/13-client.md) | the other side: a client that sends a mail | [`client`], [`send`], [`address`], [`words`], [`wait`] |
//! | | [14](../../../docs/14-faults.md) | faults on purpose, to test clients on | [`fault`], [`faulty`] |
//!
//! Stages 1 and 2 are functions of their own. From stage 3 up there is one conversation loop,
//! [`talk`](stages::stage03_commands::talk), and each stage is a function `answer(session, command)`.
//! It answers the verbs of its chapter and hands every other command to the stage below. It returns
//! the reply, and the loop sends it (but for the 354 of DATA and the 334 of AUTH). [`stages::STAGES`]
//! is the table that names each stage and the function that runs it. A later stage changes an earlier
//! verb by handing the earlier function another function: who may be a recipient, how a message is
//! received, what EHLO offers.
//!
//! The command line is in [`cli`] and [`start`].
//!
//! Every stage has a list, *what the quick version gets wrong*. The quick version is the one that most
//! of us write first. Its mistake is in bold, followed by the reason.
//!
//! SMTP is the Simple Mail Transfer Protocol, by which a *client* (a mail program, an application,
//! another mail server) hands mail to a *server*. Its specification is
//! [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321); a bare section number in these pages is one of
//! its sections.

pub mod address;
pub mod base64;
pub mod cli;
pub mod client;
pub mod command;
pub mod connection;
pub mod data;
pub mod domain;
pub mod fault;
pub mod faulty;
pub mod header;
pub mod machine;
pub mod mail;
pub mod maildir;
pub mod parameter;
pub mod path;
pub mod patience;
pub mod places;
pub mod proxy;
pub mod reply;
pub mod send;
pub mod server;
pub mod session;
pub mod settings;
pub mod stages;
pub mod start;
pub mod terminal;
pub mod trace;
pub mod transcript;
pub mod users;
pub mod verb;
pub mod wait;
pub mod wire;
pub mod words;
