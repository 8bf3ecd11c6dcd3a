//! The on-demand service: accounts and the P&L of every instrument on every path stay in memory, and
//! a question about a margin is one pass over them.
//!
//! [`Desk`] answers, [`api`] is what it is asked; [`http`] is how requests arrive, and [`client`]
//! how they are sent. What computes knows nothing of the two.

pub mod api;
mod book;
pub mod cancel;
mod case;
mod change;
pub mod client;
pub mod config;
mod cube;
pub mod desk;
mod detail;
mod device;
pub mod events;
pub mod fault;
mod full;
mod history;
pub mod http;
mod kept;
pub mod keys;
mod market;
mod pools;
pub mod problem;
mod results;
mod snapshot;
pub mod store;
pub mod text;
mod version;
mod what_if;

pub use cancel::Cancel;
pub use config::Config;
pub use desk::{Clock, Desk};
pub use fault::DeskFault;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

// A panic between two changes leaves whole values behind, so a poisoned lock is as good as any.

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
