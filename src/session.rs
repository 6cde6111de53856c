//! What is remembered of one client (chapter 3).

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::mail::Mail;
use crate::reply::Reply;
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
    /// The name the client gave in HELO or EHLO. `None` until it has (4.1.4).
    pub client_name: Option<String>,
    /// The mail transaction in progress, if there is one (3.3).
    pub mail: Option<Mail>,
}

impl Session {
    /// A client that has connected and said nothing yet.
    pub fn new(connection: Connection) -> Session {
        Session {
            wire: Wire::new(connection.stream, connection.transcript),
            settings: connection.settings,
            client_name: None,
            mail: None,
        }
    }

    /// Replies, and goes on with the conversation.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn reply(&mut self, reply: &Reply) -> io::Result<ControlFlow<()>> {
        self.wire.reply(reply)?;
        Ok(ControlFlow::Continue(()))
    }
}
