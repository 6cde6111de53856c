//! What is remembered of one client (chapter 3).

use std::net::IpAddr;
use std::sync::Arc;

use crate::command::{Command, Parse};
use crate::connection::Connection;
use crate::mail::Envelope;
use crate::settings::Settings;
use crate::wire::Wire;

/// One client, from its greeting to its QUIT.
///
/// A mail transaction is one value here, so no part of it can be left behind.
#[derive(Debug)]
pub struct Session {
    /// The two directions of the connection.
    pub wire: Wire,
    /// The operator's decisions.
    pub settings: Arc<Settings>,
    /// The name from the client's HELO or EHLO. `None` until it has sent one (4.1.4).
    pub client_name: Option<String>,
    /// Whether that was EHLO, and so the client speaks ESMTP (2.2.1).
    pub esmtp: bool,
    /// How a line is read as a command. EHLO may change that (chapter 10).
    pub parse: Parse,
    /// The mail transaction in progress, if there is one (3.3; chapter 4).
    pub transaction: Option<Envelope>,
    /// The address that the client connects from (chapter 8).
    pub peer: IpAddr,
    /// How many replies began with a 5 since the last message that was accepted (chapter 9). A failed
    /// login counts as several (chapter 11).
    pub refusals: u32,
    /// Whether the client has logged in (chapter 11).
    pub logged_in: bool,
}

impl Session {
    /// Begins the session of a client that has said nothing yet.
    pub fn new(connection: Connection) -> Session {
        Session {
            wire: Wire::new(connection.stream, connection.transcript),
            settings: connection.settings,
            client_name: None,
            esmtp: false,
            parse: Command::parse,
            transaction: None,
            peer: connection.peer.ip().to_canonical(),
            refusals: 0,
            logged_in: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Transcript;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    #[test]
    fn an_ipv4_peer_of_a_socket_for_both_families_is_an_ipv4_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let session = Session::new(Connection {
            stream: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
            peer: "[::ffff:127.0.0.1]:2525".parse::<SocketAddr>().unwrap(),
            transcript: Transcript::new(1, true),
            settings: Arc::new(Settings::default()),
        });
        assert_eq!(session.peer, IpAddr::from([127, 0, 0, 1]));
    }
}
