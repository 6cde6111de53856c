//! Folders for the mail of a test, and the files in them.

use std::fs;
use std::path::{Path, PathBuf};

use smtp_from_scratch::header::begins_with_section;
use smtp_from_scratch::mail::Mail;
use smtp_from_scratch::maildir::Maildir;

use super::scratch::ScratchFolder;

/// Holds a Maildir in a folder that is removed after the test.
pub struct ScratchMaildir(ScratchFolder);

impl ScratchMaildir {
    pub fn new() -> ScratchMaildir {
        ScratchMaildir(ScratchFolder::new())
    }

    /// Opens the Maildir, as a server does.
    pub fn open(&self) -> Maildir {
        Maildir::open(self.path(), "localhost").expect("a Maildir")
    }

    /// Returns the path of the Maildir.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("mail")
    }

    /// Lists the files in one of its folders.
    pub fn names(&self, folder: &str) -> Vec<String> {
        names(&self.path().join(folder))
    }

    /// Takes the mails out of `new`, in the order of their arrival.
    pub fn take(&self) -> Vec<StoredFile> {
        let mut files: Vec<StoredFile> = self
            .names("new")
            .into_iter()
            .map(|name| {
                let path = self.path().join("new").join(&name);
                let bytes = fs::read(&path).expect("a file in new stays there");
                fs::remove_file(&path).expect("nobody else takes it");
                StoredFile { name, bytes }
            })
            .collect();
        files.sort_by_key(|file| file.counter());
        files
    }
}

/// Lists the files in a folder, sorted by name.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Holds a mail as the test found it in `new`.
pub struct StoredFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl StoredFile {
    /// Reads the number of the mail, counted from its server's start.
    fn counter(&self) -> u64 {
        let (_, counter) = self.name.split_once('Q').expect("a counter in the name");
        let (counter, _) = counter.split_once('.').expect("a host after the counter");
        counter.parse().expect("a counter is a number")
    }

    /// Splits the file into the trace header's fields and the message.
    pub fn parts(&self) -> (Vec<String>, &[u8]) {
        let mut fields: Vec<String> = Vec::new();
        let mut rest = self.bytes.as_slice();
        // `Received:` is the last field, and the only one that is folded.
        loop {
            let in_received = fields
                .last()
                .is_some_and(|field| field.starts_with("Received: "));
            if in_received && !rest.starts_with(b" ") {
                return (fields, rest);
            }
            let end = rest.iter().position(|&byte| byte == b'\n').expect("a line");
            let line = String::from_utf8_lossy(&rest[..end]);
            match fields.last_mut() {
                Some(received) if in_received => *received += &line,
                _ => fields.push(line.into_owned()),
            }
            rest = &rest[end + 1..];
        }
    }

    /// Reads the mail: the envelope from the trace header, and the message.
    pub fn mail(&self) -> Mail {
        let (fields, message) = self.parts();
        let mut reverse_path = "";
        let mut forward_paths = Vec::new();
        for field in &fields {
            if let Some(path) = field.strip_prefix("Return-Path: <") {
                reverse_path = path.strip_suffix('>').expect("a path");
            } else if let Some(mailbox) = field.strip_prefix("Delivered-To: ") {
                forward_paths.push(mailbox);
            }
        }
        let mut mail = super::mail(reverse_path, &forward_paths, message);
        let received = fields.last().expect("a server that stores mail says so");
        mail.envelope.smtputf8 = received.contains(" with UTF8SMTP");
        mail
    }
}

/// Converts a message to the form that it has in a file, below the trace header.
///
/// A line ends in LF. An empty line separates the trace header from a message without a header.
pub fn as_in_a_file(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    if !begins_with_section(message) {
        text.push(b'\n');
    }
    for (at, &byte) in message.iter().enumerate() {
        if byte != b'\r' || message.get(at + 1) != Some(&b'\n') {
            text.push(byte);
        }
    }
    text
}
