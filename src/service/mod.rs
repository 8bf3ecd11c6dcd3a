//! The on-demand service: accounts and the P&L of every instrument on every path stay in memory, and
//! a question about a margin is one pass over them.
//!
//! [`desk::Desk`] answers, [`api`] is what it is asked; nothing here knows how requests arrive.

pub mod api;
pub mod book;
pub mod cancel;
pub mod config;
pub mod desk;
pub mod events;
pub mod fault;
mod full;
mod market;

pub use cancel::Cancel;
pub use config::Config;
pub use desk::Desk;
pub use fault::DeskFault;
