//! Memory that each thread of the pool has for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A room for each thread of the pool, none of which waits for another's.
pub struct Rooms<T>(Vec<Mutex<T>>);

impl<T> Rooms<T> {
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..rayon::current_num_threads()).map(|_| Mutex::new(make())).collect())
    }

    /// That of the thread that asks.
    pub fn own(&self) -> MutexGuard<'_, T> {
        let thread = rayon::current_thread_index().unwrap_or_default();
        self.0[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, when no thread works any more.
    pub fn into_all(self) -> impl Iterator<Item = T> {
        self.0.into_iter().map(|room| room.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
