//! The program as a user runs it: a real process, its output, its exit codes, its files.

mod bad_input;
mod bench;
mod book;
mod devices;
mod fail_if;
mod fuzz;
mod inputs;
mod output;
mod procyclicality;
mod quotes;
mod report;
mod subcommands;
