//! Command line of shortfall.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(command) => cli::exit::code_of(cli::perform(command)),
        Err(code) => code,
    }
}
