//! The program: see [`smtp_from_scratch::start`].

use std::process::ExitCode;

fn main() -> ExitCode {
    smtp_from_scratch::start::run(std::env::args_os().skip(1))
}
