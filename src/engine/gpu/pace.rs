//! How many paths one submission takes: long enough that handing it over costs nothing, short enough
//! for the watchdog of a desktop. Pure arithmetic; no figure depends on it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::engine::BLOCK;

/// Time that a submission may take. Desktop watchdogs end one after two seconds, and a screen that
/// shares the GPU stutters long before; handing over costs a tenth of a millisecond.
pub const HARDWARE: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(100);
/// A software adapter has no watchdog, and shares its cores with others.
pub const SOFTWARE: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_millis(1000);
/// Paths of the first submission, of which nothing is known.
const FIRST_PATHS: u64 = 4096;
/// A submission grows by this factor at most.
const MOST_GROWTH: u64 = 4;

/// Paths of the next submission, from the times of those before.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    paths: u64,
    allowed: RangeInclusive<Duration>,
}

impl Pace {
    /// Starts small, and finds the size that takes a time inside `allowed`.
    pub fn finding(allowed: RangeInclusive<Duration>) -> Self {
        Self { paths: FIRST_PATHS, allowed }
    }

    /// Always the same number of paths.
    pub fn fixed(paths: u64) -> Self {
        Self { paths, allowed: Duration::ZERO..=Duration::MAX }
    }

    /// Paths of the next submission: whole blocks, at most `stride`.
    pub fn paths(&self, stride: u64) -> u64 {
        self.paths.min(stride)
    }

    /// So many paths took so long, as one submission in memory for `stride` paths.
    pub fn took(&mut self, paths: u64, time: Duration, stride: u64) {
        let block = BLOCK as u64;
        let now = self.paths(stride);
        // The rest of a range says little.
        if paths < now || self.allowed.contains(&time) {
            return;
        }
        // The middle by ratio, so that neither end is near.
        let wanted = (self.allowed.start().as_secs_f64() * self.allowed.end().as_secs_f64()).sqrt();
        let fitting = paths as f64 * wanted / time.as_secs_f64().max(1e-9);
        let most = (MOST_GROWTH * now).min(stride);
        self.paths = (fitting as u64).min(most) / block * block;
        self.paths = self.paths.max(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Submissions until the size rests, and where it does, on a device of this speed.
    fn settled(paths_per_second: f64, stride: u64) -> (u32, u64) {
        let mut pace = Pace::finding(HARDWARE);
        let mut submissions = 0;
        loop {
            let now = pace.paths(stride);
            assert!(now >= 64 && now <= stride && now.is_multiple_of(64));
            pace.took(now, Duration::from_secs_f64(now as f64 / paths_per_second), stride);
            submissions += 1;
            if pace.paths(stride) == now {
                return (submissions, now);
            }
        }
    }

    #[test]
    fn submissions_come_to_a_length_that_is_allowed() {
        for speed in [1e4, 1e5, 1e6, 1e7, 1e9] {
            let (submissions, paths) = settled(speed, 1 << 17);
            let time = Duration::from_secs_f64(paths as f64 / speed);
            assert!(submissions <= 6, "{speed}: {submissions}");
            // The fastest device is done with all that fits before the least time.
            assert!(HARDWARE.contains(&time) || paths == 1 << 17, "{speed}: {paths} paths, {time:?}");
        }
        // A device for which a block is too much still gets whole blocks.
        assert_eq!(settled(100.0, 1 << 17).1, 64);
    }

    #[test]
    fn the_rest_of_a_range_and_fixed_sizes_change_nothing() {
        let mut pace = Pace::finding(HARDWARE);
        pace.took(64, Duration::from_secs(5), 1 << 17);
        assert_eq!(pace, Pace::finding(HARDWARE));
        let mut fixed = Pace::fixed(192);
        fixed.took(192, Duration::from_secs(5), 1 << 17);
        assert_eq!((fixed.paths(1 << 17), fixed.paths(128)), (192, 128));
    }
}
