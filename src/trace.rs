//! The trace header: what a server writes on top of each mail (4.4; chapter 8).
//!
//! ```text
//! Return-Path: <ada@example.org>
//! Delivered-To: bob@example.com
//! Received: from client.example ([127.0.0.1])
//!  by mail.example with ESMTP id M224671P4242Q7
//!  for <bob@example.com>; Sun, 22 Nov 2026 08:55:53 +0000
//! ```
//!
//! It records what only the envelope knew: who hears of trouble with the message, and whom it was
//! for. It also records who brought the message, and when. Every server puts its `Received:` on top
//! of those before it, so a message's way is read from the bottom up.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::is_host_name;
use crate::mail::Envelope;

/// How a message came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The name from the client's HELO or EHLO: printable ASCII, and it may be a lie.
    pub client_name: &'a str,
    /// The address that the client connects from, which is harder to forge.
    pub peer: IpAddr,
    /// Our own name.
    pub hostname: &'a str,
    /// The protocol that was spoken.
    pub protocol: Protocol,
    /// Our id for the message: letters and digits.
    pub id: &'a str,
    /// When the message came.
    pub time: SystemTime,
}

/// The protocol of a session, as `Received:` names it (RFC 3848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// After HELO.
    Smtp,
    /// After EHLO.
    Esmtp,
    /// After EHLO, for a mail with SMTPUTF8 (RFC 6531, 4.3; chapter 10).
    Utf8Smtp,
    /// After EHLO and a login (RFC 3848; chapter 11).
    Esmtpa,
    /// After EHLO and a login, for a mail with SMTPUTF8.
    Utf8Smtpa,
}

/// Makes the fields on top of a message, each line with its CRLF.
///
/// - `Return-Path:` is the sender on the envelope; `<>` for a bounce.
/// - `Delivered-To:` for each recipient. It isn't in the RFC; qmail and Postfix write it, and mail
///   readers know it. Without it, a blind copy would not say who it is for. A server that hands each
///   recipient a copy would name only that one in it, so that nobody learns of the others (7.2).
///   Here all recipients share one Maildir and one file.
/// - `Received:` has a `for` only where there is one recipient: the RFC allows one path there (4.4).
///
/// With the longest names a line stays far below the 998 octets of RFC 5322, 2.1.1.
pub fn header(envelope: &Envelope, arrival: &Arrival) -> String {
    let mut text = format!("Return-Path: <{}>\r\n", envelope.reverse_path);
    for mailbox in &envelope.forward_paths {
        text += "Delivered-To: ";
        text += mailbox;
        text += "\r\n";
    }
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "Received: from {}\r\n by {} with {} id {}",
        client(arrival),
        arrival.hostname,
        keyword(arrival.protocol),
        arrival.id,
    );
    if let [only] = envelope.forward_paths.as_slice() {
        let _ = write!(text, "\r\n for <{only}>");
    }
    let _ = write!(text, "; {}\r\n", date(arrival.time));
    text
}

/// Names the client: its own name, and its address (4.4).
///
/// A name that no host can have goes into a comment, where it can't be taken for anything else.
/// Characters that mean something in a comment are replaced (RFC 5322, 3.2.2; RFC 2047).
fn client(arrival: &Arrival) -> String {
    let name = arrival.client_name;
    let address = address_literal(arrival.peer);
    if is_host_name(name) {
        return format!("{name} ({address})");
    }
    let name = name.replace(['(', ')', '\\', '='], "?");
    format!("{address} (HELO {name})")
}

/// Writes an address as SMTP does: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (4.1.3).
fn address_literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Names the protocol in the words of the registry (RFC 3848).
fn keyword(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Esmtp => "ESMTP",
        Protocol::Utf8Smtp => "UTF8SMTP",
        Protocol::Esmtpa => "ESMTPA",
        Protocol::Utf8Smtpa => "UTF8SMTPA",
    }
}

/// Writes date and time in Universal Time (RFC 5322, 3.3).
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use smtp_from_scratch::trace::date;
///
/// assert_eq!(date(UNIX_EPOCH), "Thu, 1 Jan 1970 00:00:00 +0000");
/// let leap_day = UNIX_EPOCH + Duration::from_secs(951_827_696);
/// assert_eq!(date(leap_day), "Tue, 29 Feb 2000 12:34:56 +0000");
/// ```
pub fn date(time: SystemTime) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // A clock before 1970 is a broken clock.
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = WEEKDAYS[(day % 7) as usize];
    let mut year = 1970;
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 0;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    format!(
        "{weekday}, {} {} {year} {:02}:{:02}:{:02} +0000",
        day + 1,
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Returns the length of a year in days: 365 or 366.
fn days_of_year(year: u64) -> u64 {
    if is_leap_year(year) { 366 } else { 365 }
}

/// Returns the length of a month in days, counted from 0.
fn days_of_month(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap_year(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Says whether a year has 366 days: every fourth, of centuries every fourth.
fn is_leap_year(year: u64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MAX_DOMAIN;
    use crate::header::MAX_HEADER_LINE;
    use crate::path::MAX_PATH;
    use crate::wire::MAX_COMMAND_LINE;
    use std::time::Duration;

    fn envelope(reverse_path: &str, forward_paths: &[&str]) -> Envelope {
        Envelope {
            reverse_path: reverse_path.to_string(),
            forward_paths: forward_paths.iter().map(|path| path.to_string()).collect(),
            ..Envelope::default()
        }
    }

    fn arrival() -> Arrival<'static> {
        Arrival {
            client_name: "client.example",
            peer: IpAddr::from([192, 0, 2, 1]),
            hostname: "mail.example",
            protocol: Protocol::Esmtp,
            id: "M1P2Q3",
            time: UNIX_EPOCH + Duration::from_secs(1_795_337_753),
        }
    }

    #[test]
    fn received_names_a_single_recipient() {
        assert_eq!(
            header(
                &envelope("ada@example.org", &["bob@example.com"]),
                &arrival()
            ),
            "Return-Path: <ada@example.org>\r\n\
             Delivered-To: bob@example.com\r\n\
             Received: from client.example ([192.0.2.1])\r\n \
             by mail.example with ESMTP id M1P2Q3\r\n \
             for <bob@example.com>; Sun, 22 Nov 2026 08:55:53 +0000\r\n"
        );
    }

    #[test]
    fn received_names_none_of_several_recipients() {
        assert_eq!(
            header(
                &envelope("", &["bob@example.com", "Postmaster"]),
                &Arrival {
                    peer: "2001:db8::1".parse().unwrap(),
                    protocol: Protocol::Smtp,
                    ..arrival()
                }
            ),
            "Return-Path: <>\r\n\
             Delivered-To: bob@example.com\r\n\
             Delivered-To: Postmaster\r\n\
             Received: from client.example ([IPv6:2001:db8::1])\r\n \
             by mail.example with SMTP id M1P2Q3; Sun, 22 Nov 2026 08:55:53 +0000\r\n"
        );
    }

    #[test]
    fn each_protocol_has_its_registered_name() {
        for (protocol, name) in [
            (Protocol::Smtp, "SMTP"),
            (Protocol::Esmtp, "ESMTP"),
            (Protocol::Utf8Smtp, "UTF8SMTP"),
            (Protocol::Esmtpa, "ESMTPA"),
            (Protocol::Utf8Smtpa, "UTF8SMTPA"),
        ] {
            assert_eq!(keyword(protocol), name);
        }
    }

    #[test]
    fn a_name_that_no_host_can_have_is_a_comment() {
        for (client_name, named) in [
            ("client.example", "client.example ([192.0.2.1])"),
            ("[192.0.2.7]", "[192.0.2.7] ([192.0.2.1])"),
            ("my_host", "my_host ([192.0.2.1])"),
            ("[::1]", "[192.0.2.1] (HELO [::1])"),
            ("fe80::1c2d", "[192.0.2.1] (HELO fe80::1c2d)"),
            ("host.(none)", "[192.0.2.1] (HELO host.?none?)"),
            (r"a\", "[192.0.2.1] (HELO a?)"),
            (
                "Bob's-MacBook.local",
                "[192.0.2.1] (HELO Bob's-MacBook.local)",
            ),
            ("\"x@y;", "[192.0.2.1] (HELO \"x@y;)"),
            // An encoded word, which some readers decode to anything.
            (
                "=?utf-8?q?=0AEvil:?=",
                "[192.0.2.1] (HELO ??utf-8?q??0AEvil:??)",
            ),
        ] {
            let arrival = Arrival {
                client_name,
                ..arrival()
            };
            assert_eq!(client(&arrival), named);
        }
    }

    #[test]
    fn the_longest_names_make_no_line_too_long() {
        let name = "d".repeat(MAX_DOMAIN);
        let path = "p".repeat(MAX_PATH);
        for client_name in [&name, &"(".repeat(MAX_COMMAND_LINE)] {
            let longest = Arrival {
                client_name,
                peer: IpAddr::from([0xffff; 8]),
                hostname: &name,
                id: &"9".repeat(60),
                ..arrival()
            };
            for envelope in [envelope(&path, &[&path]), envelope(&path, &[&path, &path])] {
                let text = header(&envelope, &longest);
                assert!(text.split("\r\n").all(|line| line.len() <= MAX_HEADER_LINE));
            }
        }
    }

    #[test]
    fn a_date_is_right_through_leap_years_and_centuries() {
        // Compared with `date -u -R -d @SECONDS`.
        for (seconds, expected) in [
            (68_255_999, "Tue, 29 Feb 1972 23:59:59 +0000"),
            (68_256_000, "Wed, 1 Mar 1972 00:00:00 +0000"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 +0000"),
            (1_735_689_600, "Wed, 1 Jan 2025 00:00:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
