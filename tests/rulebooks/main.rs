//! Rulebooks of venues: published records, the rule language, books that cannot be margined; and the
//! same books under every architecture.

mod cli;
mod compare;
mod language;
mod records;
