//! What a run tells while it goes on.

/// Hears how far a run is.
pub trait Monitor {
    /// A case starts; `of` cases in all, each of up to `paths` paths.
    fn case(&mut self, name: &str, index: usize, of: usize, paths: u64);
    /// So many paths of the case are done.
    fn done(&mut self, paths: u64);
    /// So much is done of what a case takes beside its paths.
    fn stage(&mut self, stage: Stage, done: u64, of: u64) {
        let _ = (stage, done, of);
    }
}

/// What a case takes beside its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first look, in steps.
    Pilot,
    /// Accounts whose bracket missed, simulated again: in paths.
    Repair,
    /// Tails simulated again and taken apart: in paths, of all turns.
    Attribution,
}

/// A monitor that says nothing.
pub struct Silent;

impl Monitor for Silent {
    fn case(&mut self, _: &str, _: usize, _: usize, _: u64) {}
    fn done(&mut self, _: u64) {}
}
