//! The exercises that are code: a test for each, which judges what you have written.
//!
//! They play against your own server, in any language. It runs already, on the port in `SMTP_SERVER`, and
//! the test is called by its name:
//!
//! ```sh
//! SMTP_SERVER=127.0.0.1:2525 cargo test --test exercises -- --ignored help_lists_the_commands
//! ```
//!
//! Or the test starts it. `SMTP_PROGRAM` is the path of a program with our flags `--listen` and `--stage` and
//! our first line on standard output, such as the server that the book builds. Its stage is the exercise's
//! chapter. It works in an empty folder, which is removed afterwards.
//!
//! ```sh
//! SMTP_PROGRAM=path/to/your/program cargo test --test exercises -- --ignored help_lists_the_commands
//! ```
//!
//! The exercises of chapter 8 look at the stored files. For a server that runs already, `SMTP_MAILDIR` is the
//! path of its Maildir. A program that the test starts stores in `./mail`, as ours does.
//!
//! Our own server doesn't have the exercises in it, so `cargo test` leaves these tests out. Where the text of
//! a reply is part of the task, it counts here, in every language.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use support::conversation::{Conversation, Step};
use support::maildir::names;
use support::player::{SPLITS, Split, reproduce};
use support::plays_in;
use support::preamble::{MAIL_TO_BOB, begun, greeted, within_data};
use support::program::{Client, Server, chosen};
use support::target::{Target, external};

/// Your server, and the exercise that it is tested for.
struct Yours {
    target: Target,
    maildir: Option<PathBuf>,
    /// Where the exercise is written.
    place: String,
    /// The program that this test has started.
    started: Option<Server>,
}

impl Yours {
    /// Finds or starts your server, for an exercise of this chapter.
    fn for_chapter(chapter: &str) -> Yours {
        Yours::with_flags(chapter, &[])
    }

    /// Does the same with these flags, if the test starts it. A server that runs already has them.
    fn with_flags(chapter: &str, flags: &[&str]) -> Yours {
        let place = format!("docs/{chapter}.md, under Exercises");
        let stage = chapter[..2].trim_start_matches('0');
        if let Some(address) = external() {
            return Yours {
                target: Target::running(address, true),
                maildir: std::env::var_os("SMTP_MAILDIR").map(PathBuf::from),
                place,
                started: None,
            };
        }
        let Some(program) = chosen() else {
            let thread = thread::current();
            let test = thread.name().unwrap_or("NAME");
            panic!(
                "an exercise is played against your own server, and there is none here. Start it, and then:\n\n\
                 \x20   SMTP_SERVER=127.0.0.1:2525 cargo test --test exercises -- --ignored {test}\n"
            );
        };
        let started = Server::start(&[&["--stage", stage], flags].concat());
        let address = started.address.parse().expect("an address and a port");
        let mut target = Target::running(address, true);
        target.name = program.path.display().to_string();
        target.command = [&[target.name.as_str(), "--stage", stage], flags]
            .concat()
            .join(" ");
        Yours {
            target,
            maildir: Some(started.folder.path().join("mail")),
            place,
            started: Some(started),
        }
    }

    /// Plays a conversation in every split. Texts count.
    #[track_caller]
    fn plays(&self, text: &str) {
        for split in SPLITS {
            self.plays_in(text, split);
        }
    }

    #[track_caller]
    fn plays_in(&self, text: &str, split: Split) {
        let mut conversation = Conversation::parse(text);
        conversation
            .steps
            .insert(0, Step::Place(self.place.clone()));
        plays_in(&self.target, &conversation, split);
    }

    fn connect(&self) -> Client {
        let address = self.target.address;
        let stream = TcpStream::connect(address).unwrap_or_else(|error| {
            panic!("nobody listens on {address}: {error}. Is your server running?")
        });
        stream
            .set_read_timeout(Some(self.target.patience))
            .expect("a timeout");
        Client(BufReader::new(stream))
    }

    /// Reads the server's name, the first word of its greeting.
    fn host_name(&self) -> String {
        let greeting = self.connect().hears();
        match greeting.split([' ', '-']).nth(1) {
            Some(name) if greeting.starts_with("220") && !name.is_empty() => name.to_string(),
            _ => self.fails(
                &[&format!("S: {greeting}")],
                0,
                "S: 220 and the server's name",
                "4.3.1: the greeting has the server's own name as its first word",
            ),
        }
    }

    /// Fails with a story: the lines so far, and a caret under this column of the last one.
    ///
    /// In an exercise about several clients, each of them needs a terminal of its own to be tried by hand.
    #[track_caller]
    fn fails(&self, story: &[&str], column: usize, expected: &str, why: &str) -> ! {
        let sent: Vec<Vec<u8>> = story
            .iter()
            .filter_map(|line| line.strip_prefix("C: "))
            .map(|line| format!("{line}\r\n").into_bytes())
            .collect();
        panic!(
            "the conversation went differently, with {}:\n\n    {}\n    {}^ expected: {expected}\n\n\
             where: {}\nwhy: {why}\n{}",
            self.target.name,
            story.join("\n    "),
            " ".repeat(column),
            self.place,
            reproduce(&self.target, &sent, false),
        )
    }

    /// Returns your server's Maildir.
    fn maildir(&self) -> &Path {
        let Some(maildir) = &self.maildir else {
            panic!(
                "this exercise looks at the stored files. Say where your server's Maildir is, with \
                 SMTP_MAILDIR=path/to/mail beside SMTP_SERVER"
            );
        };
        assert!(
            maildir.join("new").is_dir(),
            "there is no Maildir at {} (its folder `new` is missing). Is SMTP_MAILDIR right, and does your \
             server store its mail there?",
            maildir.display()
        );
        maildir
    }

    /// Writes the commands that send this mail and list the files.
    fn by_hand(&self, text: &str) -> String {
        let sent = Conversation::parse(text).sent();
        let maildir = match self.started {
            // The folder of this test is gone by then.
            Some(_) => Path::new("mail"),
            None => self.maildir(),
        };
        let sending = reproduce(&self.target, &sent, false);
        format!("{sending}    find {} -type f\n", maildir.display())
    }

    /// Plays a conversation in which one mail is accepted, and finds its file.
    ///
    /// Returns its path, beginning below the Maildir.
    #[track_caller]
    fn stored_by(&self, text: &str) -> PathBuf {
        let before = mail_files(self.maildir());
        self.plays_in(text, Split::LineByLine);
        let after = mail_files(self.maildir());
        let found: Vec<&PathBuf> = after.difference(&before).collect();
        match found[..] {
            [file] => file.clone(),
            _ => panic!(
                "one mail was accepted, and there is one new file for it in a folder named `new`. Found in {}: \
                 {found:?}\n\nwhere: {}\nwhy: one mail is one file, also in this exercise\n{}",
                self.maildir().display(),
                self.place,
                self.by_hand(text)
            ),
        }
    }
}

/// Lists the files in `new`, and in the `new` of each folder within a Maildir.
fn mail_files(maildir: &Path) -> BTreeSet<PathBuf> {
    let folders = names(maildir)
        .into_iter()
        .filter(|name| name.starts_with('.'));
    let mut files = BTreeSet::new();
    for folder in folders.chain([String::new()]) {
        let new = Path::new(&folder).join("new");
        if maildir.join(&new).is_dir() {
            let names = names(&maildir.join(&new)).into_iter();
            files.extend(names.map(|name| new.join(name)));
        }
    }
    files
}

/// Makes a word that no test has used before, not even yesterday's with the same server.
fn unique_word() -> String {
    static WORDS: AtomicU64 = AtomicU64::new(0);
    let number = WORDS.fetch_add(1, Ordering::Relaxed);
    let now = UNIX_EPOCH
        .elapsed()
        .map_or(0, |elapsed| elapsed.as_micros());
    format!("w{now:x}x{number}")
}

/// Asks `is_so` until it is, for some seconds.
fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(3);
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

// Chapter 1

#[test]
#[ignore = "exercise of chapter 1: A line in capitals"]
fn a_line_that_begins_with_an_exclamation_mark_comes_back_in_capitals() {
    let yours = Yours::for_chapter("01-echo");
    yours.plays(
        r#"
        {a line that begins with `!` comes back in capitals, without the `!`}
        C: b"!Hello there\r\n"
        S: b"Server says: HELLO THERE\r\n"
        {only that line is shouted}
        C: b"Hello there\r\n"
        S: b"Server says: Hello there\r\n"
        {a line shouts with its first byte, or not at all}
        C: b"Hello! you\n"
        S: b"Server says: Hello! you\n"
        {a line end is a line end, also after nothing}
        C: b"!\n"
        S: b"Server says: \n"
        {only the letters of ASCII have capitals: all other bytes come back as they went}
        C: b"!caf\xe9 \0 \xc3\xa9 no.1\n"
        S: b"Server says: CAF\xe9 \0 \xc3\xa9 NO.1\n"
        "#,
    );
    let (low, high) = ("x".repeat(5000), "X".repeat(5000));
    yours.plays(&format!(
        "{{a long line comes back in pieces, and every piece of it in capitals}}\n\
         C: !{low}\nS: Server says: {high}\nC: {low}\nS: Server says: {low}"
    ));
}

#[test]
#[ignore = "exercise of chapter 1: Who is here?"]
fn who_tells_how_many_clients_are_connected() {
    let yours = Yours::for_chapter("01-echo");
    let ask = |client: &mut Client| -> usize {
        client.says(b"who\r\n");
        let answer = client.hears();
        let number = answer.strip_prefix("Server says: ");
        let number = number.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| {
            yours.fails(
                &["C: who", &format!("S: {answer}")],
                16,
                "a number, such as 2",
                "the line `who` isn't echoed: its answer is how many clients are connected",
            )
        })
    };
    let expect = |who: &str, found: usize, expected: usize, why: &str| {
        if found != expected {
            let answer = format!("S: Server says: {found}");
            yours.fails(&[who, "C: who", &answer], 16, &expected.to_string(), why);
        }
    };
    let mut ada = yours.connect();
    let before = ask(&mut ada);
    let mut bob = yours.connect();
    let second = ask(&mut bob);
    let why = "each client that is connected counts, and all of them count in one place";
    expect("{another client connects}", second, before + 1, why);
    let third = ask(&mut ada);
    let why = "a client hears how many there are now, not how many there were when it came";
    expect("{the first client asks again}", third, before + 1, why);
    drop(bob);
    if !eventually(|| ask(&mut ada) == before) {
        let why = "a client that has left doesn't count, however it left";
        expect("{the other client leaves}", ask(&mut ada), before, why);
    }
    ada.says(b"who is here?\r\n");
    let answer = ada.hears();
    if answer != "Server says: who is here?" {
        yours.fails(
            &["C: who is here?", &format!("S: {answer}")],
            16,
            "S: Server says: who is here?",
            "only the whole line `who` is a question; this one is echoed",
        );
    }
}

// Chapter 2

#[test]
#[ignore = "exercise of chapter 2: A greeting of two lines"]
fn the_greeting_has_two_lines() {
    Yours::for_chapter("02-greeting").plays(
        "
        {4.2.1: in a reply of several lines, each but the last has a hyphen after its code}
        S: 220-...
        {4.2.1: the last line of a reply has a space after its code, the same code as all the others}
        S: 220 ...
        {the client closes its side}
        {the server closes the connection}
        ",
    );
}

#[test]
#[ignore = "exercise of chapter 2: A client that can't wait"]
fn a_client_that_speaks_before_the_greeting_is_sent_away() {
    let yours = Yours::for_chapter("02-greeting");
    yours.plays(
        "
        {4.3.1: a client waits for the greeting, and this one didn't (by hand: without the first `sleep 1;`)}
        C: EHLO impatient.example
        S: 421 ...
        {4.2.3: 421 is a server's last word}
        {the server closes the connection}
        ",
    );
    yours.plays(
        "
        {a client that waits is greeted}
        S: 220 ...
        C: EHLO patient.example
        ",
    );
    let start = Instant::now();
    yours.plays_in("S: 220 ...", Split::LineByLine);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "a client that waits has waited {:?} for its 220; a fifth of a second is enough to find out who can't",
        start.elapsed()
    );
}

// Chapter 3

#[test]
#[ignore = "exercise of chapter 3: HELP"]
fn help_lists_the_commands() {
    Yours::for_chapter("03-commands").plays(
        "
        S: 220 ...
        {4.1.4: HELP is answered at any time, also before HELO; and 4.2.3 has 214 for it}
        C: HELP
        S: 214 Commands: HELO EHLO...
        {4.1.1.8: HELP may have an argument. A verb is in upper or lower case, there too (2.4)}
        C: help helo
        S: 214 Syntax: HELO ...
        C: HELP EHLO
        S: 214 Syntax: EHLO ...
        {4.2.3: 504 is for an argument that means nothing to us}
        C: HELP HULLO
        S: 504 ...
        {HELP asks, and doesn't introduce anybody}
        C: MAIL FROM:<ada@example.org>
        S: 50...
        C: HELO client.example
        S: 250 ...
        ",
    );
}

#[test]
#[ignore = "exercise of chapter 3: Greet them by name"]
fn helo_is_answered_with_the_name_of_the_client() {
    let yours = Yours::for_chapter("03-commands");
    let host = yours.host_name();
    yours.plays(&format!(
        "
        S: 220 ...
        {{the server's own name comes first (4.1.1.1), then `greets`, then the client's name}}
        C: HELO client.example
        S: 250 {host} greets client.example
        {{the name is the first word; more text may follow it (4.1.1.1)}}
        C: helo [127.0.0.1] a laptop
        S: 250 {host} greets [127.0.0.1]
        {{the name comes back as it was sent}}
        C: HELO Bob's-MacBook.local
        S: 250 {host} greets Bob's-MacBook.local
        "
    ));
    let longest = "d".repeat(512 - "HELO \r\n".len());
    let mut client = yours.connect();
    client.hears_codes(&["220"]);
    client.says(format!("HELO {longest}\r\n").as_bytes());
    let reply = client.hears_whole_line();
    if reply.len() > 512 || !reply.starts_with("250") {
        let beginning: String = reply.trim_end().chars().take(40).collect();
        yours.fails(
            &[
                "S: 220 ...",
                &format!("C: HELO {longest}"),
                &format!("S: {beginning}... ({} octets)", reply.len()),
            ],
            3,
            "250, in a line of at most 512 octets",
            "4.5.3.1.5: a reply line has at most 512 octets, CRLF included; the name of a client may have nearly \
             as many",
        );
    }
}

// Chapter 4

#[test]
#[ignore = "exercise of chapter 4: VRFY"]
fn vrfy_is_answered_with_252_for_a_valid_path() {
    let yours = Yours::for_chapter("04-mail");
    yours.plays(
        r#"
        S: 220 ...
        {4.1.4: VRFY is answered at any time, also before HELO; and 3.5.3 has 252 for "I can't tell"}
        C: VRFY ada@example.org
        S: 252 ...
        C: VRFY <ada@example.org>
        S: 252 ...
        C: vrfy <"ada lovelace"@[127.0.0.1]>
        S: 252 ...
        {4.1.1.6: VRFY needs an argument}
        C: VRFY
        S: 501 ...
        {4.1.2: no path, no 252}
        C: VRFY ada lovelace@example.org
        S: 501 ...
        C: VRFY <ada@example.org
        S: 501 ...
        {the null path is nobody's mailbox}
        C: VRFY <>
        S: 501 ...
        {VRFY has no parameters}
        C: VRFY <ada@example.org> SIZE=1
        S: 501 ...
        "#,
    );
    yours.plays(&begun(
        "
        C: VRFY bob@example.com
        S: 252 ...
        {4.1.1.6: VRFY has no effect on the transaction, which is open still}
        C: MAIL FROM:<eve@example.org>
        S: 503 ...
        ",
    ));
}

// Chapter 5

#[test]
#[ignore = "exercise of chapter 5: Nobody of that name"]
fn mail_for_mallory_is_refused_with_550() {
    Yours::for_chapter("05-rcpt").plays(&begun(
        "
        {the others are recipients, as before}
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        {4.2.3: 550 is for a mailbox that isn't there}
        C: RCPT TO:<mallory@example.com>
        S: 550 ...
        {2.4: a domain is the same in upper and lower case}
        C: RCPT TO:<mallory@EXAMPLE.com>
        S: 550 ...
        {4.1.1.3: a source route is dropped, and what is left is still Mallory}
        C: RCPT TO:<@relay.example:mallory@example.com>
        S: 550 ...
        {one refused recipient is no reason to refuse the next}
        C: RCPT TO:<mallory.jr@example.com>
        S: 250 ...
        C: RCPT TO:<mallory@example.org>
        S: 250 ...
        {a path is read before it is looked up}
        C: RCPT TO:<mallory@example.com
        S: 501 ...
        ",
    ));
}

#[test]
#[ignore = "exercise of chapter 5: Come again"]
fn an_unknown_pair_hears_450_and_the_next_time_250() {
    let yours = Yours::for_chapter("05-rcpt");
    for split in SPLITS {
        let (ada, eve) = (unique_word(), unique_word());
        yours.plays_in(
            &greeted(&format!(
                "
                C: MAIL FROM:<{ada}@example.org>
                S: 250 ...
                {{the first time that this sender writes to this recipient, it hears 450: try again}}
                C: RCPT TO:<bob@grey.example>
                S: 450 ...
                {{other domains aren't grey}}
                C: RCPT TO:<bob@example.com>
                S: 250 ...
                "
            )),
            split,
        );
        yours.plays_in(
            &greeted(&format!(
                "
                C: MAIL FROM:<{ada}@example.org>
                S: 250 ...
                {{the pair is known, also on another connection, and in any case of the domain (2.4)}}
                C: RCPT TO:<bob@GREY.example>
                S: 250 ...
                {{the same sender and another recipient are another pair}}
                C: RCPT TO:<{ada}@grey.example>
                S: 450 ...
                C: HELO client.example
                S: 250 ...
                C: MAIL FROM:<{eve}@example.org>
                S: 250 ...
                {{the same recipient and another sender are another pair}}
                C: RCPT TO:<bob@grey.example>
                S: 450 ...
                "
            )),
            split,
        );
    }
}

// Chapter 6

#[test]
#[ignore = "exercise of chapter 6: Count what came"]
fn the_250_tells_how_many_octets_came() {
    let yours = Yours::for_chapter("06-data");
    for (why, message, octets) in [
        ("line ends count, as they were sent", "Hello Bob.\\r\\n", 12),
        ("the lone dot isn't part of the message", "", 0),
        (
            "4.5.2: a stuffed dot isn't part of the message",
            "..\\r\\n..x\\r\\n",
            7,
        ),
        (
            "after DATA CR LF a bare LF ends nothing, and counts",
            "a\\n.\\nb\\r\\n",
            7,
        ),
        ("an octet is a byte, not a character", "\\xc3\\xa9\\r\\n", 4),
        ("RFC 5322: an empty line is two octets", "\\r\\n\\r\\n", 4),
    ] {
        yours.plays(&within_data(&format!(
            "C: b\"{message}.\\r\\n\"\n{{{why}}}\nS: 250 OK, {octets} octets"
        )));
    }
    let line = "x".repeat(78);
    let lines = format!("C: {line}\n").repeat(500);
    yours.plays_in(
        &within_data(&format!(
            "{lines}C: .\n{{a message comes in more than one read}}\nS: 250 OK, 40000 octets"
        )),
        Split::OneSegment,
    );
    yours.plays(&format!(
        "{}C: 123\nC: .\nS: 250 OK, 5 octets\n{MAIL_TO_BOB}C: .\n{{each message is counted from nothing}}\n\
         S: 250 OK, 0 octets",
        within_data("")
    ));
}

// Chapter 7

#[test]
#[ignore = "exercise of chapter 7: How many so far?"]
fn noop_tells_how_many_messages_were_accepted() {
    Yours::for_chapter("07-quit").plays(&format!(
        "
        S: 220 ...
        {{NOOP tells how many messages were accepted in this session, from the start}}
        C: NOOP
        S: 250 OK, 0 messages so far
        {{HELO begins no other session}}
        C: HELO client.example
        S: 250 ...
        {MAIL_TO_BOB}
        C: .
        S: 250 ...
        {{a message counts when its 250 is said}}
        C: NOOP
        S: 250 OK, 1 messages so far
        C: DATA
        S: 503 ...
        {{a refused DATA is no message}}
        C: NOOP
        S: 250 OK, 1 messages so far
        {MAIL_TO_BOB}
        C: NOOP
        C: .
        S: 250 ...
        {{a NOOP within a message is content}}
        C: noop and what it says
        S: 250 OK, 2 messages so far
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        C: RSET
        S: 250 ...
        {{4.1.1.5: RSET drops the transaction, and a message that was accepted isn't part of it}}
        C: NOOP
        S: 250 OK, 2 messages so far
        C: EHLO client.example
        S: 250 ...
        C: NOOP
        S: 250 OK, 2 messages so far
        C: QUIT
        S: 221 ...
        {{the server closes the connection}}
        "
    ));
}

// Chapter 8

#[test]
#[ignore = "exercise of chapter 8: A folder for books"]
fn mail_for_bob_plus_books_is_stored_in_the_folder_books() {
    let yours = Yours::for_chapter("08-maildir");
    let expect = |recipients: &[&str], folder: &str, why: &str| {
        let rcpt: String = recipients
            .iter()
            .map(|mailbox| format!("C: RCPT TO:<{mailbox}>\nS: 250 ...\n"))
            .collect();
        let text = begun(&format!(
            "{rcpt}C: DATA\nS: 354 ...\nC: Subject: hi\nC:\nC: Hello.\nC: .\nS: 250 ..."
        ));
        let file = yours.stored_by(&text);
        let found = file.parent().expect("a folder");
        assert!(
            found == Path::new(folder),
            "the mail for {} went to another folder\n\n    stored in: {}\n    expected:  {folder}\n\n\
             where: {}\nwhy: {why}\n{}",
            recipients.join(" and "),
            found.display(),
            yours.place,
            yours.by_hand(&text)
        );
    };
    let (plain, books) = ("new", ".books/new");
    expect(&["bob@example.com"], plain, "there is no plus in it");
    expect(
        &["bob+books@example.com"],
        books,
        "what follows the plus names the folder",
    );
    expect(
        &["carol+books@example.com"],
        books,
        "the folder is there already, and takes the next one too",
    );
    expect(
        &["bob+books@example.com", "carol@example.com"],
        plain,
        "only a mail with a single recipient has a folder",
    );
    for (mailbox, why) in [
        (
            "bob+../../books@example.com",
            "a stranger's text must never become a path",
        ),
        ("bob+a/b@example.com", "a slash is not in the list"),
        ("bob+.@example.com", "a dot is not in the list"),
        ("bob+@example.com", "a name has at least one letter"),
        ("\"bob+a b\"@example.com", "a space is not in the list"),
    ] {
        expect(&[mailbox], plain, why);
    }
    let too_long = format!("bob+{}@example.com", "x".repeat(33));
    expect(&[&too_long], plain, "a name has at most 32 letters");
}

#[test]
#[ignore = "exercise of chapter 8: The size in the name"]
fn the_name_of_a_file_ends_in_its_size() {
    let yours = Yours::for_chapter("08-maildir");
    for (message, why) in [
        (
            "C: Subject: hi\nC:\nC: Hello.\n".to_string(),
            "the size is that of the file: with the trace header, and with LF as line end",
        ),
        (String::new(), "a message of nothing is a file of something"),
        (
            "C: no header\nC: ..\n".to_string(),
            "the size is that of the file: without stuffed dots, with the line that ends our header",
        ),
        (
            format!("C: {}\n", "x".repeat(500)).repeat(100),
            "a file that is written in several blocks has one size",
        ),
    ] {
        let text = within_data(&format!("{message}C: .\nS: 250 ..."));
        let file = yours.stored_by(&text);
        let stored = fs::read(yours.maildir().join(&file)).expect("a file in new stays there");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let expected = format!(",S={}", stored.len());
        assert!(
            name.ends_with(&expected),
            "the name doesn't end in the size of the file\n\n    the file: {name}\n    expected: ...{expected}\n\n\
             where: {}\nwhy: {why}\n{}",
            yours.place,
            yours.by_hand(&text)
        );
    }
}

// Chapter 9

#[test]
#[ignore = "exercise of chapter 9: One client, all places"]
fn the_fifty_first_client_of_one_address_hears_421() {
    const MOST: usize = 50;
    let yours = Yours::for_chapter("09-limits");
    let mut clients = Vec::new();
    for number in 1..=MOST {
        let mut client = yours.connect();
        let greeting = client.hears();
        if !greeting.starts_with("220") {
            yours.fails(
                &[
                    &format!("{{client {number} of one address connects}}"),
                    &format!("S: {greeting}"),
                ],
                3,
                "S: 220 ...",
                "fifty clients of one address are welcome (is another one connected?)",
            );
        }
        clients.push(client);
    }
    for _ in 0..2 {
        let greeting = yours.connect().hears();
        if !greeting.starts_with("421") {
            yours.fails(
                &[
                    "{fifty clients of one address are connected, and one more connects}",
                    &format!("S: {greeting}"),
                ],
                3,
                "S: 421 ...",
                "one address may have fifty connections, also after others were sent away",
            );
        }
    }
    // They break off: nobody says QUIT.
    clients.truncate(MOST / 2);
    let mut back = Vec::new();
    for _ in 0..MOST / 2 {
        let is_greeted = eventually(|| {
            let mut client = yours.connect();
            let is_greeted = client.hears().starts_with("220");
            if is_greeted {
                back.push(client);
            }
            is_greeted
        });
        if !is_greeted {
            yours.fails(
                &[
                    "{fifty clients of one address are connected, and half of them break off}",
                    &format!("{{{} come back}}", back.len() + 1),
                    "S: 421 ...",
                ],
                3,
                "S: 220 ...",
                "a client that has left leaves its place to the next, however it left",
            );
        }
    }
}

#[test]
#[ignore = "exercise of chapter 9: A bounce has one recipient"]
fn a_bounce_for_two_recipients_is_refused_with_550() {
    Yours::for_chapter("09-limits").plays(&greeted(
        "
        C: MAIL FROM:<>
        S: 250 ...
        {4.5.5: a bounce goes to the sender of the mail that it reports}
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        {and that is one. A bounce for two is spam}
        C: RCPT TO:<carol@example.com>
        S: 550 ...
        C: RCPT TO:<dora@example.com>
        S: 550 ...
        {the argument is looked at first}
        C: RCPT TO:<dora@example.com
        S: 501 ...
        {the first recipient is a recipient still}
        C: DATA
        S: 354 ...
        C: .
        S: 250 ...
        {and a mail with a sender may have as many as before}
        C: MAIL FROM:<ada@example.org>
        S: 250 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        C: RCPT TO:<carol@example.com>
        S: 250 ...
        {a refused recipient doesn't count as one}
        C: EHLO client.example
        S: 250 ...
        C: MAIL FROM:<>
        S: 250 ...
        C: RCPT TO:<carol>
        S: 501 ...
        C: RCPT TO:<bob@example.com>
        S: 250 ...
        ",
    ));
}

#[test]
#[ignore = "exercise of chapter 9: Twenty mistakes"]
fn twenty_mistakes_are_followed_by_421() {
    let yours = Yours::for_chapter("09-limits");
    let mistakes = |number: usize| "C: HULLO client.example\nS: 500 ...\n".repeat(number);
    yours.plays(&greeted(&format!(
        "{}{{3.8: the twentieth refusal is answered as the others were, and 421 follows}}\nS: 421 ...\n\
         {{the server closes the connection}}",
        mistakes(20)
    )));
    yours.plays(&greeted(&format!(
        "{}{MAIL_TO_BOB}C: .\nS: 250 ...\n\
         {{a client that delivers a message is forgiven its mistakes}}\n{}C: NOOP\nS: 250 ...",
        mistakes(19),
        mistakes(19)
    )));
}

#[test]
#[ignore = "exercise of chapter 10: One more keyword"]
fn limits_announces_the_most_recipients_and_keeps_to_it() {
    let yours = Yours::for_chapter("10-extensions");
    let mut client = yours.connect();
    let mut story = vec![format!("S: {}", client.hears())];
    client.says(b"EHLO client.example\r\n");
    story.push("C: EHLO client.example".to_string());
    let mut most = None;
    loop {
        let line = client.hears();
        story.push(format!("S: {line}"));
        let limit = line.get(4..).and_then(|line| line.strip_prefix("LIMITS "));
        if let Some(limit) = limit.and_then(|limit| limit.strip_prefix("RCPTMAX=")) {
            most = limit.parse::<usize>().ok();
        }
        if line.get(3..4) != Some("-") {
            break;
        }
    }
    let lines: Vec<&str> = story.iter().map(String::as_str).collect();
    let Some(most) = most else {
        yours.fails(
            &lines,
            0,
            "a line LIMITS RCPTMAX=1000 in the reply to EHLO",
            "RFC 9422, section 4: RCPTMAX is the most RCPT commands of one transaction",
        )
    };
    client.says(b"MAIL FROM:<ada@example.org>\r\n");
    client.hears_codes(&["250"]);
    for number in 1..=most + 1 {
        let line = format!("RCPT TO:<u{number}@example.com>");
        client.says(format!("{line}\r\n").as_bytes());
        let reply = client.hears();
        let code = if number <= most { "250" } else { "452" };
        if !reply.starts_with(code) {
            yours.fails(
                &[
                    &format!("{{RCPTMAX={most}, and {} recipients so far}}", number - 1),
                    &format!("C: {line}"),
                    &format!("S: {reply}"),
                ],
                3,
                &format!("S: {code} ..."),
                "a keyword is a promise: so many recipients, and one more is too many (4.5.3.1.10)",
            );
        }
    }
}

// Chapter 11

#[test]
#[ignore = "exercise of chapter 11: Ada writes as Ada"]
fn a_sender_is_the_one_who_has_logged_in() {
    let yours = Yours::with_flags("11-auth", &["--login", "any"]);
    // A client that hasn't logged in; Ada by PLAIN, with her own name as the identity as well; Ada by LOGIN.
    yours.plays(&greeted(
        "
        {a client that hasn't logged in writes as anybody}
        C: MAIL FROM:<bob@example.org>
        S: 250 ...
        ",
    ));
    for login in [
        "C: AUTH PLAIN AGFkYQBzM2NyZXQ=\nS: 235 ...",
        "C: AUTH PLAIN YWRhAGFkYQBzM2NyZXQ=\nS: 235 ...",
        "C: AUTH LOGIN YWRh\nS: 334 ...\nC: czNjcmV0\nS: 235 ...",
        // Bob's login is refused: the name that counts is that of the login that succeeds.
        "C: AUTH PLAIN c2FtAGJvYgBzM2NyZXQ=\nS: 535 ...\nC: AUTH LOGIN\nS: 334 ...\nC: YWRh\nS: 334 ...\n\
         C: czNjcmV0\nS: 235 ...",
    ] {
        yours.plays_in(
            &greeted(&format!(
                r#"
                {login}
                {{a client that has logged in as ada writes as ada, at any domain}}
                C: MAIL FROM:<bob@example.org>
                S: 553 ...
                {{after a 553 no mail is open}}
                C: RCPT TO:<bob@example.com>
                S: 503 ...
                C: MAIL FROM:<ada@example.org>
                S: 250 ...
                C: RSET
                S: 250 ...
                C: MAIL FROM:<ada@elsewhere.example>
                S: 250 ...
                C: RSET
                S: 250 ...
                {{the whole local part counts, byte for byte}}
                C: MAIL FROM:<Ada@example.org>
                S: 553 ...
                C: MAIL FROM:<ada+bob@example.org>
                S: 553 ...
                C: MAIL FROM:<adam@example.org>
                S: 553 ...
                {{it ends before the last @}}
                C: MAIL FROM:<"ada@example.org"@example.com>
                S: 553 ...
                {{a syntax error is a syntax error}}
                C: MAIL FROM:<bob@example.org
                S: 501 ...
                {{a bounce is nobody's mail}}
                C: MAIL FROM:<>
                S: 250 ...
                "#
            )),
            Split::LineByLine,
        );
    }
}

#[test]
#[ignore = "exercise of chapter 11: A token in place of a password"]
fn a_token_takes_the_place_of_a_password() {
    let yours = Yours::with_flags("11-auth", &["--login", "any"]);
    // user=ada^Aauth=Bearer t0ken^A^A
    const TOKEN: &str = "dXNlcj1hZGEBYXV0aD1CZWFyZXIgdDBrZW4BAQ==";
    let mut client = yours.connect();
    client.hears();
    client.says(b"EHLO client.example\r\n");
    let keyword = loop {
        let line = client.hears();
        if line.get(4..8) == Some("AUTH") || line.as_bytes().get(3) != Some(&b'-') {
            break line;
        }
    };
    if !keyword.split(' ').any(|word| word == "XOAUTH2") {
        yours.fails(
            &["C: EHLO client.example", &format!("S: {keyword}")],
            3,
            "AUTH, and XOAUTH2 among its mechanisms",
            "a mechanism that is accepted is announced",
        );
    }
    yours.plays(&greeted(&format!(
        "
        {{the token comes with the command}}
        C: AUTH XOAUTH2 {TOKEN}
        S: 235 ...
        C: AUTH XOAUTH2 {TOKEN}
        S: 503 ...
        "
    )));
    yours.plays(&greeted(&format!(
        "
        {{the token comes when it is asked for}}
        C: AUTH xoauth2
        S: 334 ...
        C: {TOKEN}
        S: 235 ...
        "
    )));
    // Nothing; a name alone; without the last ^A; with one too many; another scheme; the response of PLAIN.
    for bad in [
        "=",
        "dXNlcj1hZGE=",
        "dXNlcj1hZGEBYXV0aD1CZWFyZXIgdDBrZW4B",
        "dXNlcj1hZGEBYXV0aD1CZWFyZXIgdDBrZW4BAQE=",
        "dXNlcj1hZGEBYXV0aD1CYXNpYyB0MGtlbgEB",
        "AGFkYQBzM2NyZXQ=",
    ] {
        yours.plays_in(
            &greeted(&format!(
                "
                {{the response has two parts, each with its beginning and its end}}
                C: AUTH XOAUTH2 {bad}
                S: 501 ...
                {{the other mechanisms are what they were}}
                C: AUTH PLAIN AGFkYQBzM2NyZXQ=
                S: 235 ...
                "
            )),
            Split::LineByLine,
        );
    }
}
