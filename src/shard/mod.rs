//! Work that is divided over processes and time: shards of a plan, and checkpoints of a run.
//!
//! Both keep the same thing, integer tails of a range of accounts and a range of paths, in the
//! same files ([`store`]). A draw depends on the seed and the absolute index of its path, and tails
//! add, so any division gives the bits of one uninterrupted run. No engine knows about it.

mod checkpoint;
mod identity;
mod merge;
mod part;
mod plan;
mod record;
pub mod store;

pub use checkpoint::{Checkpoints, remove as remove_checkpoints};
pub use identity::{FileHash, Identity};
pub use merge::Shards;
pub use part::{Simulated, simulate};
pub use plan::{
    By, MAX_SHARDS, Part, Plan, PlanFault, SCHEMA as PLAN_SCHEMA, SCHEMA_VERSION as PLAN_SCHEMA_VERSION,
    Settings,
};
pub use record::{CaseRecord, Record};
pub use store::Header;
