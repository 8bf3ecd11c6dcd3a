//! One shard of a plan: its tails, then its record.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{CaseRecord, Checkpoints, Identity, Part, Record, record, store};
use crate::engine::{Engine, Pilot};
use crate::run::{self, Monitor, RunFault, Source, StoreFault, Work};
use crate::scenario::Scenario;

/// How a shard ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Simulated {
    /// It was done already; its files are whole.
    Before(Record),
    /// It is done now.
    Now(Record),
    /// It was done before, and again now with the same result.
    Again(Record),
}

/// Simulates a shard unless it is done. With `again`, it is done again and compared.
pub fn simulate(
    scenario: &Scenario,
    identity: &Identity,
    (folder, part): (&Path, &Part),
    again: bool,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Simulated, RunFault> {
    let before = Record::read(folder, part, &identity.run_id)?;
    if let Some(before) = &before
        && !again
    {
        verify(folder, identity, part, before)?;
        return Ok(Simulated::Before(before.clone()));
    }
    store::sweep(folder, &part.stem());
    let every = Duration::from_secs(2);
    let mut checkpoints = Checkpoints::of_shard(folder, identity, part.clone(), every)?;
    if before.is_some() {
        checkpoints = checkpoints.again();
    }
    let record = collect(scenario, identity, part, &mut checkpoints, engine, monitor)?;
    match before {
        Some(before) => compare(&checkpoints, folder, part, before, record).map(Simulated::Again),
        None => {
            record.write(folder, part)?;
            Ok(Simulated::Now(record))
        }
    }
}

fn collect(
    scenario: &Scenario,
    identity: &Identity,
    part: &Part,
    checkpoints: &mut Checkpoints,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Record, RunFault> {
    let start = Instant::now();
    let of = run::case_count(scenario);
    let length = part.paths.end - part.paths.start;
    let accounts: Vec<usize> = (part.accounts.start as usize..part.accounts.end as usize).collect();
    let mut cases = Vec::with_capacity(of);
    let mut rows = 0;
    for case in 0..of {
        let name = run::case_name(scenario, case).to_owned();
        monitor.case(&name, case, of, length);
        // A case without a job has no result; the merge finds the reason again.
        let Ok(job) = run::case_job(scenario, case) else {
            cases.push(CaseRecord { name, tails_blake3: None });
            continue;
        };
        let job = if accounts.len() == job.accounts() { job } else { job.for_accounts(&accounts) };
        let brackets = Pilot::new(&job, scenario.simulation.paths).brackets_on(engine, &job);
        let work = Work { case, job: &job, brackets: &brackets };
        let (mut tails, done) = checkpoints.start(&work)?;
        let before = done - part.paths.start;
        let mut progress = |paths| monitor.done(before + paths);
        checkpoints.add(&work, engine, &mut tails, done..part.paths.end, &mut progress)?;
        rows += tails.len() as u64;
        let (_, hash) = store::read(&checkpoints.path(case), |_| Ok(()), |_, _| ())?;
        cases.push(CaseRecord { name, tails_blake3: Some(hash.to_hex().to_string()) });
    }
    Ok(Record {
        schema: record::SCHEMA.to_owned(),
        schema_version: record::SCHEMA_VERSION,
        run_id: identity.run_id.clone(),
        index: part.index,
        accounts: part.accounts.clone(),
        paths: part.paths.clone(),
        rows,
        cases,
        device: engine.device(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Checks that the files of a record are whole.
fn verify(folder: &Path, identity: &Identity, part: &Part, record: &Record) -> Result<(), StoreFault> {
    let checkpoints = Checkpoints::of_shard(folder, identity, part.clone(), Duration::ZERO)?;
    for (case, kept) in record.cases.iter().enumerate() {
        if let Some(wanted) = &kept.tails_blake3 {
            let path = checkpoints.path(case);
            let (_, hash) = store::read(&path, |_| Ok(()), |_, _| ())?;
            check_hash(&path, wanted, hash)?;
        }
    }
    Ok(())
}

/// Refuses tails that are whole but not those of the record.
pub(super) fn check_hash(path: &Path, wanted: &str, found: blake3::Hash) -> Result<(), StoreFault> {
    if found.to_hex().as_str() == wanted {
        return Ok(());
    }
    Err(StoreFault::Damaged {
        path: path.to_owned(),
        found: format!("its hash is {found}, but its record says {wanted}"),
    })
}

/// Compares a repetition with what was there, and removes its files if they are the same.
fn compare(
    checkpoints: &Checkpoints,
    folder: &Path,
    part: &Part,
    before: Record,
    now: Record,
) -> Result<Record, RunFault> {
    let shown = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "no result".to_owned());
    for (old, new) in before.cases.iter().zip(&now.cases) {
        if old.tails_blake3 != new.tails_blake3 {
            let device = format!("{} {}", now.device.engine, now.device.name);
            let (before, now) = (shown(&old.tails_blake3), shown(&new.tails_blake3));
            return Err(StoreFault::Differs { path: Record::path(folder, part), before, now, device }.into());
        }
    }
    for case in 0..now.cases.len() {
        let path = checkpoints.path(case);
        if path.exists() {
            fs::remove_file(&path).map_err(|error| StoreFault::Io { path, error })?;
        }
    }
    Ok(before)
}
