//! Several engines side by side: whichever is free takes the next range of paths. Tails are integers
//! that add, so the bits are those of one engine, however the paths were divided.

use std::ops::Range;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{BLOCK, Cube, DeviceReport, Engine, EngineFault, Job, Shape, StageTimes};
use crate::risk::{Bracket, LevelRanks, RankedLosses, Tail};

/// Paths of an engine's first range, of which nothing is known.
const FIRST_PATHS: u64 = 4096;
/// Paths of a range at least, but for the last: a call of an engine costs something beside them.
const LEAST_PATHS: u64 = 1024;
/// Time that a range may take: what an engine uploads for one is little beside it, and the others do
/// not wait long for the last one.
const LEAST_TIME: Duration = Duration::from_millis(300);
const MOST_TIME: Duration = Duration::from_millis(1200);

/// Engines that share the paths of a run. One that fails is left out from then on, and its range is
/// given to the others; only when none is left the call fails.
pub struct Several {
    members: Vec<Member>,
    on_loss: Box<dyn Fn(&str) + Send + Sync>,
}

struct Member {
    engine: Box<dyn Engine>,
    /// Paths of its next range.
    paths: u64,
    /// Why it is left out.
    fault: Option<EngineFault>,
}

impl Several {
    /// Engines of the same precision. `on_loss` hears of one that is left out.
    pub fn new(engines: Vec<Box<dyn Engine>>, on_loss: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let member = |engine| Member { engine, paths: FIRST_PATHS, fault: None };
        Self { members: engines.into_iter().map(member).collect(), on_loss: Box::new(on_loss) }
    }

    fn is_left(&self) -> bool {
        self.members.iter().any(Member::is_left)
    }

    /// What to say when none is left.
    fn all_lost(&self) -> EngineFault {
        let faults: Vec<String> = self.members.iter().filter_map(Member::lost).collect();
        match self.members.as_slice() {
            [Member { fault: Some(fault), .. }] => fault.clone(),
            _ => EngineFault::Lost(format!("none of the devices is left: {}", faults.join("; "))),
        }
    }

    /// Lets the engines that are left work until no range is open; the tails of each.
    fn round(&mut self, work: &Work<'_>, done: &mut i64, progress: &mut dyn FnMut(u64)) -> Vec<Vec<Tail>> {
        let (sender, receiver) = mpsc::channel();
        let on_loss = &self.on_loss;
        std::thread::scope(|scope| {
            let left = self.members.iter_mut().filter(|member| member.is_left());
            let working: Vec<_> = left
                .map(|member| {
                    let sender = sender.clone();
                    scope.spawn(move || member.work(work, on_loss, &sender))
                })
                .collect();
            drop(sender);
            for more in receiver {
                *done += more;
                progress(*done as u64);
            }
            let tails = working.into_iter().map(|thread| thread.join());
            tails.map(|tails| tails.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

impl Engine for Several {
    fn device(&self) -> DeviceReport {
        let reports: Vec<DeviceReport> = self.members.iter().map(|member| member.engine.device()).collect();
        let lost: Vec<String> = self.members.iter().filter_map(Member::lost).collect();
        DeviceReport { reason: lost.join("; "), ..DeviceReport::joined(&reports) }
    }

    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault> {
        let members = self.members.iter().filter(|member| member.is_left()).count();
        let work = Work { job, brackets, open: Open::new(paths, members) };
        let mut whole = vec![Tail::default(); brackets.len()];
        let mut done = 0;
        while work.open.has_some() {
            if !self.is_left() {
                return Err(self.all_lost());
            }
            // Those that had no range left to take stop before the last one may come back.
            for tails in self.round(&work, &mut done, progress) {
                whole.iter_mut().zip(&tails).for_each(|(whole, tail)| whole.merge(tail));
            }
        }
        Ok(whole)
    }

    fn ranked(&mut self, job: &Job, paths: u64, ranks: &[LevelRanks]) -> Option<Vec<RankedLosses>> {
        let mut left = self.members.iter_mut().filter(|member| member.is_left());
        left.find_map(|member| member.engine.ranked(job, paths, ranks))
    }

    fn working_bytes(&mut self, shape: &Shape, allowed: u64) -> u64 {
        let each = allowed / self.members.len().max(1) as u64;
        let own = shape.tails_bytes();
        let bytes = |member: &mut Member| own + member.engine.working_bytes(shape, each.saturating_sub(own));
        own + self.members.iter_mut().map(bytes).sum::<u64>()
    }

    fn stage_times(&self) -> Option<StageTimes> {
        let times = self.members.iter().filter_map(|member| member.engine.stage_times());
        times.reduce(|mut all, times| {
            all += times;
            all
        })
    }

    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        for member in self.members.iter_mut().filter(|member| member.is_left()) {
            match member.engine.cube(job, paths.clone()) {
                Ok(cube) => return Ok(cube),
                Err(fault) => member.leave(fault, &self.on_loss),
            }
        }
        Err(self.all_lost())
    }
}

/// What the engines of a round work on.
struct Work<'a> {
    job: &'a Job,
    brackets: &'a [Bracket],
    open: Open,
}

impl Member {
    fn is_left(&self) -> bool {
        self.fault.is_none()
    }

    fn lost(&self) -> Option<String> {
        self.fault.as_ref().map(|fault| format!("{} gave up: {fault}", self.engine.device().name))
    }

    fn leave(&mut self, fault: EngineFault, on_loss: &(dyn Fn(&str) + Send + Sync)) {
        self.fault = Some(fault);
        on_loss(&self.lost().unwrap_or_default());
    }

    /// Takes ranges until there is none, and gives the tails of those that it has done.
    fn work(
        &mut self,
        work: &Work<'_>,
        on_loss: &(dyn Fn(&str) + Send + Sync),
        progress: &Sender<i64>,
    ) -> Vec<Tail> {
        let mut tails = vec![Tail::default(); work.brackets.len()];
        while let Some(range) = work.open.take(self.paths) {
            let begun = Instant::now();
            let mut told = 0;
            let mut tell = |done: i64| {
                // The receiver lives as long as its scope.
                let _ = progress.send(done - told);
                told = done;
            };
            let added =
                self.engine.add_tails(work.job, work.brackets, range.clone(), &mut tails, &mut |done| {
                    tell(done as i64)
                });
            if let Err(fault) = added {
                tell(0);
                work.open.give_back(range);
                self.leave(fault, on_loss);
                break;
            }
            self.learn(range.end - range.start, begun.elapsed());
        }
        tails
    }

    /// Finds a size of ranges that takes neither long nor no time.
    fn learn(&mut self, paths: u64, time: Duration) {
        if time < LEAST_TIME && paths >= self.paths {
            self.paths *= 2;
        } else if time > MOST_TIME {
            self.paths = (paths / 2).next_multiple_of(BLOCK as u64).max(BLOCK as u64);
        }
    }
}

/// Paths that nobody has taken.
struct Open {
    ranges: Mutex<Vec<Range<u64>>>,
    members: u64,
}

impl Open {
    fn new(paths: Range<u64>, members: usize) -> Self {
        let ranges = if paths.is_empty() { Vec::new() } else { vec![paths] };
        Self { ranges: Mutex::new(ranges), members: members.max(1) as u64 }
    }

    fn has_some(&self) -> bool {
        !self.locked().is_empty()
    }

    /// A range of whole blocks (the last path may end inside one): up to `most` paths, and fewer
    /// towards the end, so that all finish together.
    fn take(&self, most: u64) -> Option<Range<u64>> {
        let mut ranges = self.locked();
        let range = ranges.pop()?;
        let left: u64 = ranges.iter().chain([&range]).map(|range| range.end - range.start).sum();
        let share = (left / (2 * self.members)).max(LEAST_PATHS);
        let paths = most.min(share).next_multiple_of(BLOCK as u64);
        let end = range.end.min(range.start + paths);
        if end < range.end {
            ranges.push(end..range.end);
        }
        Some(range.start..end)
    }

    fn give_back(&self, range: Range<u64>) {
        self.locked().push(range);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Range<u64>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::engine::Pilot;
    use crate::engine::cpu::CpuEngine;
    use crate::scenario::Precision;
    use crate::{run, scenario};

    /// The CPU engine, until it has done so many calls; counts the paths that it did.
    struct Mortal {
        calls: u64,
        paths: Arc<AtomicU64>,
    }

    impl Engine for Mortal {
        fn device(&self) -> DeviceReport {
            DeviceReport { engine: "gpu".to_owned(), name: "mortal".to_owned(), ..DeviceReport::default() }
        }

        fn tails(
            &mut self,
            job: &Job,
            brackets: &[Bracket],
            paths: Range<u64>,
            progress: &mut dyn FnMut(u64),
        ) -> Result<Vec<Tail>, EngineFault> {
            progress(64);
            if self.calls == 0 {
                return Err(EngineFault::Lost("unplugged".to_owned()));
            }
            self.calls -= 1;
            self.paths.fetch_add(paths.end - paths.start, Ordering::Relaxed);
            CpuEngine::new(Precision::F32).tails(job, brackets, paths, progress)
        }

        fn cube(&mut self, _: &Job, _: Range<u64>) -> Result<Cube<f32>, EngineFault> {
            Err(EngineFault::Lost("unplugged".to_owned()))
        }
    }

    const PATHS: u64 = 100_003;

    /// Engines that do so many calls, and none.
    fn mortals(calls: &[u64]) -> (Several, Vec<Arc<AtomicU64>>, Arc<Mutex<Vec<String>>>) {
        let counts: Vec<_> = calls.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let mortal = |(calls, paths): (&u64, &Arc<AtomicU64>)| -> Box<dyn Engine> {
            Box::new(Mortal { calls: *calls, paths: Arc::clone(paths) })
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let on_loss = move |text: &str| told.lock().unwrap().push(text.to_owned());
        (Several::new(calls.iter().zip(&counts).map(mortal).collect(), on_loss), counts, heard)
    }

    #[test]
    fn shared_and_lost_ranges_are_the_same_bits() {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        let one = CpuEngine::new(Precision::F32).tails(&job, &brackets, 0..PATHS, &mut |_| ()).unwrap();
        for (calls, lost) in [(&[1000, 1000, 1000][..], 0), (&[1000, 1, 0], 2), (&[1000], 0)] {
            let (mut several, counts, heard) = mortals(calls);
            let mut last = 0;
            let tails = several.tails(&job, &brackets, 0..PATHS, &mut |done| last = done).unwrap();
            assert!(tails == one, "{calls:?}");
            assert_eq!(last, PATHS, "{calls:?}: what a lost engine had done is taken back");
            let did: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            assert_eq!(did.iter().sum::<u64>(), PATHS, "every path once");
            assert!(did.iter().zip(calls).all(|(did, calls)| (*did > 0) == (*calls > 0)), "{did:?}");
            assert_eq!(heard.lock().unwrap().len(), lost);
            assert_eq!(several.device().reason.matches("unplugged").count(), lost);
            // Those that were lost stay so.
            let again = several.tails(&job, &brackets, 0..64, &mut |_| ()).unwrap();
            assert!(again != one);
            assert_eq!(heard.lock().unwrap().len(), lost);
        }
    }

    #[test]
    fn when_none_is_left_the_fault_names_them() {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        let (mut several, ..) = mortals(&[2, 1]);
        let before = vec![Tail { overflows: 7, ..Tail::default() }; brackets.len()];
        let mut tails = before.clone();
        let fault = several.add_tails(&job, &brackets, 0..PATHS, &mut tails, &mut |_| ()).unwrap_err();
        assert!(matches!(&fault, EngineFault::Lost(text) if text.matches("mortal gave up").count() == 2));
        assert!(tails == before, "tails stay as they were");
        assert!(several.cube(&job, 0..64).is_err());
    }

    #[test]
    fn ranges_are_whole_blocks_and_get_shorter() {
        let open = Open::new(64..100_003, 2);
        let (mut at, mut last) = (64, u64::MAX);
        while let Some(range) = open.take(1 << 20) {
            assert_eq!(range.start, at);
            assert!(range.end.is_multiple_of(64) || range.end == 100_003);
            assert!(range.end - range.start <= last);
            (at, last) = (range.end, range.end - range.start);
        }
        assert_eq!(at, 100_003);
        assert!(last <= LEAST_PATHS);
    }
}
