//! One client, as the accept loop hands it over (chapter 1).

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use crate::settings::Settings;
use crate::transcript::Transcript;

/// One connected client.
#[derive(Debug)]
pub struct Connection {
    /// The two-way stream of bytes between the client and us.
    pub stream: TcpStream,
    /// The address that the client connects from.
    pub peer: SocketAddr,
    /// Where the conversation is shown.
    pub transcript: Transcript,
    /// The operator's decisions.
    pub settings: Arc<Settings>,
}

/// A stage's server: the whole conversation with one client.
///
/// An error means that the connection broke. It ends this client's thread; the server goes on.
pub type Converse = fn(Connection) -> io::Result<()>;

/// Runs one conversation and shows how it began and how it ended.
pub fn attend(connection: Connection, converse: Converse) {
    let transcript = connection.transcript.clone();
    transcript.narrate(format_args!("{} connects", connection.peer));
    match converse(connection) {
        Ok(()) => transcript.narrate(format_args!("the server closes the connection")),
        Err(error) => transcript.narrate(format_args!("the connection broke: {error}")),
    }
}
