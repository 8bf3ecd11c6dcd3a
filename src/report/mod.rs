//! What a run found, written down: one document, one file per format.
//!
//! [`document`] is the result with full names and units; [`text`] shows it to a person, [`csv`]
//! and [`parquet`] hold one row per case and account, [`manifest`] says what made it, [`folder`]
//! puts all of them on disk at once or not at all, [`page`] reads them back for people.

pub mod attribution;
pub mod csv;
pub mod document;
pub mod folder;
pub mod greeks;
pub mod liquidation;
pub mod manifest;
pub(crate) mod number;
pub mod page;
pub mod parquet;
pub mod reverse;
mod rows;
pub mod rulebook;
pub mod text;

pub use attribution::{AttributionResult, WorstPathResult};
pub use document::{Document, DriverResult, Levels, TailResult};
pub use folder::{Folder, FolderFault};
pub use manifest::Manifest;
