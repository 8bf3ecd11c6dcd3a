//! Time of the stages, added up over threads: a few readings for each block of paths.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::StageTimes;

/// Nanoseconds of all threads by stage.
#[derive(Default)]
pub struct Clock {
    simulate: AtomicU64,
    revalue: AtomicU64,
    net: AtomicU64,
}

impl Clock {
    /// Simulates some paths.
    #[inline]
    pub fn simulate(&self, work: impl FnOnce()) {
        timed(&self.simulate, work);
    }

    /// Revalues some rows.
    #[inline]
    pub fn revalue(&self, work: impl FnOnce()) {
        timed(&self.revalue, work);
    }

    /// Does some netting, or what is done for its sake.
    #[inline]
    pub fn net(&self, work: impl FnOnce()) {
        timed(&self.net, work);
    }

    /// Seconds by stage, of all threads divided by their number.
    pub fn read(&self) -> StageTimes {
        let threads = rayon::current_num_threads() as f64;
        let seconds =
            |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Relaxed)).as_secs_f64() / threads;
        StageTimes {
            simulate: seconds(&self.simulate),
            revalue: seconds(&self.revalue),
            net: seconds(&self.net),
            ..StageTimes::default()
        }
    }
}

fn timed(stage: &AtomicU64, work: impl FnOnce()) {
    let begun = Instant::now();
    work();
    stage.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
}
