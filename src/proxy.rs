//! The PROXY protocol, version 1: for whom a proxy speaks (chapter 12).
//!
//! ```text
//! PROXY TCP4 192.0.2.7 198.51.100.1 51234 25
//! ```
//!
//! A proxy accepts a client and connects to us, so that every client seems to be the proxy. This line comes
//! before all others, and says who the client really is: its address and the one that it has connected
//! to, then both ports. HAProxy's makers have written it down, as `proxy-protocol.txt`, section 2.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header in octets, CRLF included.
pub const MAX_HEADER: usize = 107;

/// The client that a proxy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// One with this address.
    At(SocketAddr),
    /// One that the proxy doesn't tell.
    Unknown,
}

/// Reads a header from a line, given without its CRLF.
///
/// ```
/// use smtp_from_scratch::proxy::{Client, header};
///
/// let found = header(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 25");
/// assert_eq!(found, Some(Client::At("192.0.2.7:51234".parse().unwrap())));
/// assert_eq!(header(b"PROXY UNKNOWN"), Some(Client::Unknown));
/// assert_eq!(header(b"EHLO client.example"), None);
/// ```
pub fn header(line: &[u8]) -> Option<Client> {
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        // What follows is ignored.
        ["PROXY", "UNKNOWN", ..] => Some(Client::Unknown),
        ["PROXY", family, from, to, from_port, to_port] => {
            let from = address(family, from)?;
            address(family, to)?;
            port(to_port)?;
            Some(Client::At(SocketAddr::new(from, port(from_port)?)))
        }
        _ => None,
    }
}

/// Reads an address of one family. In IPv4 the standard library takes no leading zeros.
fn address(family: &str, text: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// Reads a port, which has no leading zeros and no sign.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port.to_string() == text).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Option<Client> {
        Some(Client::At(address.parse().unwrap()))
    }

    #[test]
    fn a_header_names_the_client() {
        for (line, client) in [
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25",
                at("192.0.2.7:51234"),
            ),
            (
                "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535",
                at("0.0.0.0:0"),
            ),
            (
                "PROXY TCP6 2001:db8::1 ::1 51234 25",
                at("[2001:db8::1]:51234"),
            ),
            (
                "PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 1",
                at("[2001:db8::1]:1"),
            ),
            ("PROXY UNKNOWN", Some(Client::Unknown)),
            ("PROXY UNKNOWN ffff::1 what ever", Some(Client::Unknown)),
        ] {
            assert_eq!(header(line.as_bytes()), client, "{line}");
        }
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {all} {all} 65535 65535");
        assert_eq!(longest.len() + 2, MAX_HEADER);
        assert_eq!(header(longest.as_bytes()), Some(Client::Unknown));
    }

    #[test]
    fn a_line_that_is_no_header_is_none() {
        for line in [
            "",
            "PROXY",
            "PROXY ",
            "proxy UNKNOWN",
            "PROXYUNKNOWN",
            " PROXY UNKNOWN",
            "PROXY  UNKNOWN",
            "PROXY TCP4",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25 ",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25 more",
            "PROXY TCP4 192.0.2.7  198.51.100.1 51234 25",
            // The wrong family, on either side.
            "PROXY TCP4 2001:db8::1 ::1 51234 25",
            "PROXY TCP6 192.0.2.7 ::1 51234 25",
            "PROXY TCP6 ::1 198.51.100.1 51234 25",
            "PROXY UDP4 192.0.2.7 198.51.100.1 51234 25",
            // Numbers that are none.
            "PROXY TCP4 192.0.02.7 198.51.100.1 51234 25",
            "PROXY TCP4 192.0.2.256 198.51.100.1 51234 25",
            "PROXY TCP4 192.0.2.7 198.51.100.1 051234 25",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 025",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +1 25",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 25",
            "PROXY TCP4 192.0.2.7 198.51.100.1 51234 25\r",
            "GET / HTTP/1.1",
        ] {
            assert_eq!(header(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(header(b"PROXY \xff"), None);
    }
}
