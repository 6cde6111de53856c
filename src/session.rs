//! What is remembered of one client (chapter 3).

use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::mail::Mail;
use crate::reply::{self, Reply};
use crate::server::Connection;
use crate::settings::Settings;
use crate::wire::Wire;

/// One client, from its greeting to its QUIT.
///
/// What lasts as long as the connection stands beside what lasts as long as one mail transaction:
/// the whole transaction is one value in [`Session::mail`], so it can't be forgotten by halves.
#[derive(Debug)]
pub struct Session {
    /// The two directions of the connection.
    pub wire: Wire,
    /// What the operator decided.
    pub settings: Arc<Settings>,
    /// The address the client calls from.
    pub peer: IpAddr,
    /// The name the client gave in HELO or EHLO. `None` until it has (4.1.4).
    pub client_name: Option<String>,
    /// What is spoken, by the client's last HELO or EHLO.
    pub protocol: Protocol,
    /// The mail transaction in progress, if there is one (3.3).
    pub mail: Option<Mail>,
    /// How many commands were refused for good, with a 5, since the last mail that was accepted.
    pub refusals: u32,
    /// At so many the client is sent away (chapter 9).
    pub max_refusals: u32,
}

/// What `Received:` says of how a mail came (RFC 3848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// After HELO.
    Smtp,
    /// After EHLO.
    Esmtp,
    /// After EHLO, from a client that has proved who it is (RFC 4954), as no client here can so
    /// far.
    Esmtpa,
}

impl Session {
    /// A client that has connected and said nothing yet.
    pub fn new(connection: Connection) -> Session {
        Session {
            wire: Wire::new(connection.stream, connection.transcript),
            settings: connection.settings,
            peer: connection.peer.ip().to_canonical(),
            client_name: None,
            protocol: Protocol::Smtp,
            mail: None,
            refusals: 0,
            max_refusals: u32::MAX,
        }
    }

    /// Replies, and goes on with the conversation, unless that was one refusal too many: then the
    /// client hears 421 as well, and this was the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn reply(&mut self, reply: &Reply) -> io::Result<ControlFlow<()>> {
        self.wire.reply(reply)?;
        if reply.code >= 500 {
            self.refusals = self.refusals.saturating_add(1);
        }
        if self.refusals < self.max_refusals {
            return Ok(ControlFlow::Continue(()));
        }
        let hostname = &self.settings.hostname;
        self.wire
            .reply(&reply::not_available(hostname, "Too many errors"))?;
        Ok(ControlFlow::Break(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Transcript;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    #[test]
    fn an_ipv4_peer_of_a_socket_for_both_is_an_ipv4_peer() {
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
