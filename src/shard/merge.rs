//! Finished shards as a source of tails: nothing is simulated again.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::part::check_hash;
use super::store::{self, Header};
use super::{Checkpoints, Identity, Part, Plan, Record};
use crate::engine::{DeviceReport, Engine};
use crate::risk::Tail;
use crate::run::{RunFault, Source, StoreFault, Work};

/// All shards of a plan.
pub struct Shards {
    folder: PathBuf,
    identity: Identity,
    paths: u64,
    parts: Vec<(Part, Record)>,
}

impl Shards {
    /// Opens the shards of a plan; those that are missing are named.
    pub fn open(folder: &Path, plan: &Plan) -> Result<Self, StoreFault> {
        let mut parts = Vec::with_capacity(plan.shards.len());
        let mut missing = Vec::new();
        for part in &plan.shards {
            match Record::read(folder, part, &plan.identity.run_id)? {
                Some(record) => parts.push((part.clone(), record)),
                None => missing.push(part.index),
            }
        }
        if !missing.is_empty() {
            return Err(StoreFault::Missing { folder: folder.to_owned(), shards: missing });
        }
        let identity = plan.identity.clone();
        Ok(Self { folder: folder.to_owned(), identity, paths: plan.settings.paths, parts })
    }

    /// What the shards ran on.
    pub fn device(&self) -> DeviceReport {
        let mut devices: Vec<&DeviceReport> = Vec::new();
        for (_, record) in &self.parts {
            if !devices.contains(&&record.device) {
                devices.push(&record.device);
            }
        }
        if let [one] = devices.as_slice() {
            return (*one).clone();
        }
        let devices: Vec<DeviceReport> = devices.into_iter().cloned().collect();
        DeviceReport {
            reason: format!("{} shards on {} kinds of device", self.parts.len(), devices.len()),
            ..DeviceReport::joined(&devices)
        }
    }
}

impl Source for Shards {
    fn start(&mut self, work: &Work<'_>) -> Result<(Vec<Tail>, u64), RunFault> {
        let levels = work.job.levels.len();
        let mut tails = vec![Tail::default(); work.brackets.len()];
        for (part, record) in &self.parts {
            let files = Checkpoints::of_shard(&self.folder, &self.identity, part.clone(), Duration::ZERO)?;
            let path = files.path(work.case);
            let range = part.accounts.start as usize * levels..part.accounts.end as usize * levels;
            let foreign = |found: &str| StoreFault::Foreign {
                path: path.clone(),
                found: found.to_owned(),
                next: format!("remove it and its record, and run shard {} again", part.index),
            };
            let Some(wanted) = record.cases.get(work.case).and_then(|case| case.tails_blake3.as_ref()) else {
                return Err(foreign("a shard without a result for this case").into());
            };
            let header = Header {
                run_id: self.identity.hash().unwrap_or(blake3::Hash::from_bytes([0; 32])),
                case: work.case as u32,
                levels: levels as u32,
                accounts: part.accounts.clone(),
                paths: part.paths.clone(),
                brackets: store::hash_brackets(&work.brackets[range.clone()]),
            };
            let check = |found: &Header| match () {
                () if *found == header => Ok(()),
                () if found.run_id != header.run_id => Err(foreign("of another run")),
                () if found.brackets != header.brackets => Err(foreign("counted in other brackets")),
                () => Err(foreign("of another shard")),
            };
            let part = &mut tails[range];
            let (_, hash) = store::read(&path, check, |index, tail| part[index].merge(tail))?;
            check_hash(&path, wanted, hash)?;
        }
        Ok((tails, self.paths))
    }

    fn add(
        &mut self,
        _: &Work<'_>,
        _: &mut dyn Engine,
        _: &mut [Tail],
        paths: Range<u64>,
        _: &mut dyn FnMut(u64),
    ) -> Result<(), RunFault> {
        unreachable!("shards have all paths, but {paths:?} are wanted")
    }
}
