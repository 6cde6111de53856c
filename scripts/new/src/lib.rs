//! An SMTP server, built along the book from an empty folder.

pub mod cli;
pub mod machine;
pub mod settings;
pub mod start;
pub mod terminal;
pub mod transcript;
