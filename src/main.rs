//! The program: see [`smtp_from_scratch::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    smtp_from_scratch::cli::run(std::env::args_os().skip(1))
}
