//! Two pools of threads, so that a question about one order does not wait behind a revaluation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Cancel, DeskFault};
use crate::engine::Pace;

/// Longest rest of long work before one of its blocks of paths (a millisecond's work) while short
/// work is there: short work finds a core, and long work keeps a third of them.
const REST: Duration = Duration::from_millis(2);

/// Threads for short work and for long work.
pub struct Pools {
    short: rayon::ThreadPool,
    long: rayon::ThreadPool,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    short: AtomicUsize,
    long: AtomicUsize,
    lock: Mutex<()>,
    none_short: Condvar,
}

impl Pools {
    /// As many threads in each as there are cores.
    pub fn new() -> Result<Self, DeskFault> {
        let pool = |name: &'static str| {
            let builder = rayon::ThreadPoolBuilder::new().thread_name(move |n| format!("{name}-{n}"));
            builder.build().map_err(|error| DeskFault::Engine(error.to_string()))
        };
        Ok(Self { short: pool("desk-short")?, long: pool("desk-long")?, gate: Arc::default() })
    }

    /// Does work of some milliseconds.
    pub fn short<T: Send>(&self, cancel: &Cancel, work: impl FnOnce(&dyn Pace) -> T + Send) -> T {
        let _counted = Counted::new(&self.gate, |gate| &gate.short);
        self.short.install(|| work(&Going { cancel, gate: None }))
    }

    /// Does work that may take long: it makes room for short work between blocks of paths.
    pub fn long<T: Send>(&self, cancel: &Cancel, work: impl FnOnce(&dyn Pace) -> T + Send) -> T {
        let _counted = Counted::new(&self.gate, |gate| &gate.long);
        self.long.install(|| work(&Going { cancel, gate: Some(&self.gate) }))
    }

    /// Pieces of work that go on or wait for a thread.
    pub fn computing(&self) -> u64 {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        of(&self.gate.short) + of(&self.gate.long)
    }
}

/// A piece of work that is counted until it is dropped.
struct Counted<'a> {
    gate: &'a Gate,
    count: &'a AtomicUsize,
}

impl<'a> Counted<'a> {
    fn new(gate: &'a Gate, of: fn(&Gate) -> &AtomicUsize) -> Self {
        let count = of(gate);
        count.fetch_add(1, Ordering::Relaxed);
        Self { gate, count }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.gate.none_short.notify_all();
        }
    }
}

struct Going<'a> {
    cancel: &'a Cancel,
    gate: Option<&'a Gate>,
}

impl Pace for Going<'_> {
    fn go_on(&self) -> bool {
        if let Some(gate) = self.gate
            && gate.short.load(Ordering::Relaxed) > 0
        {
            let lock = gate.lock.lock().unwrap_or_else(PoisonError::into_inner);
            let busy = |(): &mut ()| gate.short.load(Ordering::Relaxed) > 0;
            drop(gate.none_short.wait_timeout_while(lock, REST, busy));
        }
        !self.cancel.is_cancelled()
    }
}
