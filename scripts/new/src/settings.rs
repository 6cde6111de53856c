//! The operator's decisions.

/// The settings of a server. Every connection shares them.
#[derive(Debug)]
pub struct Settings {
    /// The name that the server gives itself: a domain, or an address in brackets such as
    /// `[127.0.0.1]` (4.1.1.1).
    pub hostname: String,
    /// Whether the conversation stays off the terminal.
    pub quiet: bool,
}

impl Default for Settings {
    /// `localhost`, the conversation shown.
    fn default() -> Settings {
        Settings {
            hostname: "localhost".to_string(),
            quiet: false,
        }
    }
}
