//! Sends the message in the file `mail` with lettre: HOST PORT SENDER RECIPIENT...
//!
//! It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment. The message has letters beyond ASCII,
//! which lettre sends only to a server with 8BITMIME.

use std::env;
use std::error::Error;
use std::fs;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Address, SmtpTransport, Transport};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: HOST PORT SENDER RECIPIENT...")
    };
    let (host, port, sender) = (next()?, next()?.parse()?, next()?.parse()?);
    let recipients: Result<Vec<Address>, _> = arguments.map(|to| to.parse()).collect();
    let message = fs::read_to_string("mail")?.replace('\n', "\r\n");

    let mut transport = SmtpTransport::builder_dangerous(host).port(port);
    if let Ok(name) = env::var("LOGIN_NAME") {
        transport = transport.credentials(Credentials::new(name, env::var("LOGIN_PASSWORD")?));
    }
    let envelope = Envelope::new(Some(sender), recipients?)?;
    transport.build().send_raw(&envelope, message.as_bytes())?;
    Ok(())
}
