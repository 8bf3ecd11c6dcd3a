//! Tails kept on the way, so that a process killed at any moment loses at most what it simulated
//! since the last checkpoint.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::store::{self, Header};
use super::{Identity, Part};
use crate::engine::{BLOCK, Engine};
use crate::risk::Tail;
use crate::run::{RunFault, Source, StoreFault, Work};

/// Paths between two looks at the clock, at least: one tile of the CPU engine.
const LEAST_PATHS: u64 = 64 * BLOCK as u64;
/// Writing takes at most this part of the time, unless every tile is to be written.
const WRITING_SHARE: u32 = 10;
const IDENTITY_FILE: &str = "run.json";
const LOCK_FILE: &str = "lock";
const TAILS_ENDING: &str = "tails";

/// A folder of checkpoints: one file for each case that has begun.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    stem: String,
    run_id: blake3::Hash,
    part: Part,
    every: Duration,
    /// Whether checkpoints are read; they are always written.
    reads: bool,
    chunk: u64,
    /// Held while this value lives.
    _lock: Option<File>,
}

impl Checkpoints {
    /// Checkpoints of a whole run in a folder of their own, made if it is not there. A folder of
    /// another run is refused.
    pub fn of_run(
        folder: &Path,
        identity: &Identity,
        part: Part,
        every: Duration,
    ) -> Result<Self, StoreFault> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreFault::Io { path, error }
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        let path = folder.join(LOCK_FILE);
        let lock = File::create(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(StoreFault::InUse { path: folder.to_owned() }),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let path = folder.join(IDENTITY_FILE);
        match fs::read(&path) {
            Ok(bytes) if Self::exist(folder) => check_identity(folder, &path, &bytes, identity)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {
                let text = serde_json::to_vec_pretty(identity).expect("plain fields become JSON");
                store::replace(&path, |file| file.write_all(&text))?;
            }
        }
        store::sweep(folder, "");
        let run_id = run_id(folder, identity)?;
        Ok(Self { _lock: Some(lock), ..Self::new(folder, "", run_id, part, every) })
    }

    /// Checkpoints of a shard beside its record; they are its tails once all its paths are in.
    pub fn of_shard(
        folder: &Path,
        identity: &Identity,
        part: Part,
        every: Duration,
    ) -> Result<Self, StoreFault> {
        let run_id = run_id(folder, identity)?;
        Ok(Self::new(folder, &format!("{}.", part.stem()), run_id, part, every))
    }

    /// The same under another name, and blind to what is there.
    pub fn again(self) -> Self {
        Self { stem: format!("{}again.", self.stem), reads: false, ..self }
    }

    fn new(folder: &Path, stem: &str, run_id: blake3::Hash, part: Part, every: Duration) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            run_id,
            part,
            every,
            reads: true,
            chunk: LEAST_PATHS,
            _lock: None,
        }
    }

    /// Whether a folder holds tails of any run.
    pub fn exist(folder: &Path) -> bool {
        let holds =
            |entry: fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == TAILS_ENDING);
        fs::read_dir(folder).into_iter().flatten().flatten().any(holds)
    }

    /// Removes the folder of a run, which is done.
    pub fn remove(self) -> Result<(), StoreFault> {
        remove(&self.folder)
    }

    /// File of a case.
    pub fn path(&self, case: usize) -> PathBuf {
        self.folder.join(format!("{}case-{case:03}.{TAILS_ENDING}", self.stem))
    }

    fn header(&self, work: &Work<'_>, paths: Range<u64>) -> Header {
        Header {
            run_id: self.run_id,
            case: work.case as u32,
            levels: work.job.levels.len() as u32,
            accounts: self.part.accounts.clone(),
            paths,
            brackets: store::hash_brackets(work.brackets),
        }
    }
}

/// Removes the checkpoints of a run, whichever it was: what the store wrote, then the folder.
pub fn remove(folder: &Path) -> Result<(), StoreFault> {
    fs::remove_dir_all(folder).map_err(|error| StoreFault::Io { path: folder.to_owned(), error })
}

fn run_id(folder: &Path, identity: &Identity) -> Result<blake3::Hash, StoreFault> {
    identity.hash().ok_or_else(|| StoreFault::Damaged {
        path: folder.to_owned(),
        found: format!("the run id `{}` is no hash", identity.run_id),
    })
}

fn check_identity(folder: &Path, path: &Path, bytes: &[u8], identity: &Identity) -> Result<(), StoreFault> {
    let there: Identity = serde_json::from_slice(bytes)
        .map_err(|error| StoreFault::Damaged { path: path.to_owned(), found: error.to_string() })?;
    let differences = identity.differences(&there);
    if differences.is_empty() {
        return Ok(());
    }
    Err(StoreFault::Foreign {
        path: folder.to_owned(),
        found: format!("of another run ({})", differences.join("; ")),
        next: "run what it was made for, or remove it to start afresh".to_owned(),
    })
}

impl Source for Checkpoints {
    fn start(&mut self, work: &Work<'_>) -> Result<(Vec<Tail>, u64), RunFault> {
        let path = self.path(work.case);
        let mut tails = vec![Tail::default(); work.brackets.len()];
        if !(self.reads && path.exists()) {
            return Ok((tails, self.part.paths.start));
        }
        let check = |found: &Header| {
            let wanted = self.header(work, self.part.paths.start..found.paths.end);
            let foreign = *found != wanted || found.paths.end > self.part.paths.end;
            let fault = || StoreFault::Foreign {
                path: path.clone(),
                found: "of another run".to_owned(),
                next: "remove it to start afresh".to_owned(),
            };
            if foreign { Err(fault()) } else { Ok(()) }
        };
        let (header, _) = store::read(&path, check, |index, tail| tails[index] = tail.clone())?;
        Ok((tails, header.paths.end))
    }

    fn add(
        &mut self,
        work: &Work<'_>,
        engine: &mut dyn Engine,
        tails: &mut [Tail],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RunFault> {
        let mut at = paths.start;
        let mut last = Instant::now();
        let mut writing = Duration::ZERO;
        while at < paths.end {
            let end = (at + self.chunk).min(paths.end);
            let begun = Instant::now();
            let before = at - paths.start;
            engine.add_tails(work.job, work.brackets, at..end, tails, &mut |done| progress(before + done))?;
            at = end;
            // Every tile, where that was asked for, whatever it costs.
            let pause =
                if self.every.is_zero() { self.every } else { self.every.max(WRITING_SHARE * writing) };
            if at == paths.end || last.elapsed() >= pause {
                let begun = Instant::now();
                let header = self.header(work, self.part.paths.start..at);
                store::write(&self.path(work.case), &header, tails)?;
                writing = begun.elapsed();
                last = Instant::now();
            }
            // A call of the engine costs something beside its paths, so quick ones grow.
            if begun.elapsed() < self.every / 4 {
                self.chunk *= 2;
            } else if begun.elapsed() > self.every {
                self.chunk = (self.chunk / 2).next_multiple_of(LEAST_PATHS);
            }
        }
        Ok(())
    }
}
