//! The on-demand service: accounts and the P&L of every instrument on every path stay in memory, and
//! a question about a margin is one pass over them.
//!
//! [`desk::Desk`] answers, [`api`] is what it is asked; [`http`] is how requests arrive, and [`client`]
//! how they are sent. What computes knows nothing of the two.

pub mod api;
pub mod book;
pub mod cancel;
pub mod client;
pub mod config;
pub mod desk;
pub mod events;
pub mod fault;
mod full;
pub mod http;
pub mod keys;
mod market;
mod pending;
pub mod problem;
pub mod text;

pub use cancel::Cancel;
pub use config::Config;
pub use desk::Desk;
pub use fault::DeskFault;
