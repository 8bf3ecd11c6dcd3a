//! Faults of a source that keeps tails on disk.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with tails on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A file of another run.
    #[error("{} is {found}; {next}", .path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What to do.
        next: String,
    },
    /// A file whose bytes are not those that were written.
    #[error("{} is damaged: {found}; remove it and make it again", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How it shows.
        found: String,
    },
    /// The same work gave other bytes: hardware, a driver or the program cannot be trusted.
    #[error(
        "ALARM: {} was computed twice with different results ({before} before, {now} now, on {device}); \
         do not use either: check the machines that made them",
        .path.display()
    )]
    Differs {
        /// Which file.
        path: PathBuf,
        /// Hash that the record has.
        before: String,
        /// Hash of the repetition.
        now: String,
        /// What the repetition ran on.
        device: String,
    },
    /// Shards that nobody has finished.
    #[error("{}", missing_text(.folder, .shards))]
    Missing {
        /// The plan's folder.
        folder: PathBuf,
        /// Their indices.
        shards: Vec<u32>,
    },
    /// Another process works here.
    #[error("{} is in use by another process; wait for it or stop it", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

fn missing_text(folder: &Path, shards: &[u32]) -> String {
    let names: Vec<String> = shards.iter().map(u32::to_string).collect();
    let first = names.first().map_or("", String::as_str);
    format!(
        "{}: shard{} {} missing; run `shortfall shard {} --index {first}`{}",
        folder.display(),
        if shards.len() == 1 { "" } else { "s" },
        if shards.len() == 1 { format!("{first} is") } else { format!("{} are", names.join(", ")) },
        folder.display(),
        if shards.len() == 1 { "" } else { " and so on" },
    )
}
