//! Rulebooks of venues: published records, the rule language, and books that cannot be margined.

mod cli;
mod language;
mod records;
