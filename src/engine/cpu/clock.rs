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
    /// The instant, for [`Clock::priced`].
    #[inline]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// A block whose simulation began and ended then has just been revalued.
    #[inline]
    pub fn priced(&self, begun: Instant, simulated: Instant) {
        add(&self.simulate, simulated - begun);
        add(&self.revalue, simulated.elapsed());
    }

    /// Does some netting.
    #[inline]
    pub fn net(&self, work: impl FnOnce()) {
        let begun = Instant::now();
        work();
        add(&self.net, begun.elapsed());
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

fn add(to: &AtomicU64, time: Duration) {
    to.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
