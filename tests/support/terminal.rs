//! What a server prints on its terminal, compared with what a page prints.

use super::book::{Page, run_of};
use super::conversation::{Conversation, Step};

/// The label before the path of a stored message.
pub const STORED: &str = "{stored in: ";

/// Returns whether a line stands for lines of output that are left out.
pub fn is_output_gap(line: &str) -> bool {
    line == "..."
}

/// Ends the lines of a conversation in LF, as a netcat does.
pub fn as_typed(mut conversation: Conversation) -> Conversation {
    for step in &mut conversation.steps {
        if let Step::Send(bytes) = step {
            if bytes.ends_with(b"\r\n") {
                bytes.truncate(bytes.len() - 2);
                bytes.push(b'\n');
            }
        }
    }
    conversation
}

/// Finds the first printed line that the program doesn't show.
pub fn output_fault(
    page: &Page,
    start: usize,
    printed: &[&str],
    shown: &[String],
) -> Option<String> {
    let normal: Vec<String> = printed.iter().map(|line| normalized(line)).collect();
    let normal: Vec<&str> = normal.iter().map(String::as_str).collect();
    let whole: Vec<String> = shown.iter().map(|line| normalized(line)).collect();
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    let (line, instead) = run_of(&normal, &whole, is_output_gap).err()?;
    let instead = instead.and_then(|at| shown.get(at));
    Some(format!(
        "{}: the page prints\n    {}\nbut the server prints\n    {}\nto do: print that, or `...` for what you leave out",
        page.at(start + line),
        printed.get(line).unwrap_or(&"(the end)"),
        instead.map_or("nothing like it", |line| line),
    ))
}

/// Removes from a line what differs in each run: ports and message names.
///
/// A page may print `...` for a name as well.
pub fn normalized(line: &str) -> String {
    without_message_names(&without_ports(line))
}

/// Removes the names of stored messages.
///
/// `mail/new/1795341277.M867499P5035Q1.laptop`, `queued as M867499P5035Q1`
fn without_message_names(line: &str) -> String {
    /// Returns the rest of the text after one or more digits.
    fn after_number(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    fn after_id(text: &str) -> Option<&str> {
        ["M", "P", "Q"].iter().try_fold(text, |text, letter| {
            after_number(text.strip_prefix(letter)?)
        })
    }
    fn after_file_name(text: &str) -> Option<&str> {
        let host = after_id(after_number(text)?.strip_prefix('.')?)?.strip_prefix('.')?;
        let rest = &host[host.find('}')?..];
        (rest.len() < host.len()).then_some(rest)
    }
    let without = |label: &str, after_name: fn(&str) -> Option<&str>| {
        let (before, name) = line.split_once(label)?;
        Some(format!("{before}{label}...{}", after_name(name)?))
    };
    without(&format!("{STORED}mail/new/"), after_file_name)
        .or_else(|| without("250 OK, queued as ", after_id))
        .unwrap_or_else(|| line.to_string())
}

/// Removes the ports of the clients.
fn without_ports(line: &str) -> String {
    let mut parts = line.split("127.0.0.1");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.strip_prefix([':', ' ']).unwrap_or_default();
        let after_port = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_client = rest.len() > after_port.len() && !rest.starts_with("2525");
        text += "127.0.0.1";
        text += if is_client { after_port } else { part };
    }
    text
}
