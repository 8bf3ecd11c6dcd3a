//! The clearing house's night, by way of the files that `generate` writes.

use super::workload::{Workload, WorkloadFault, WorkloadName};
use crate::generate::{self, Night};
use crate::{run, scenario};

/// Makes the night in a temporary folder and reads it back, as `shortfall run` would.
pub fn night(name: WorkloadName) -> Result<Workload, WorkloadFault> {
    let night = Night {
        accounts: 100_000,
        positions: 2_000_000,
        instruments: 1_000,
        assets: 50,
        seed: 1,
        paths: name.paths(),
    };
    let fault = |error: String| WorkloadFault::Night(error);
    let folder = tempfile::tempdir().map_err(|error| fault(error.to_string()))?;
    generate::generate(&night, folder.path()).map_err(|error| fault(error.to_string()))?;
    let scenario = scenario::read(&folder.path().join("scenario.yaml"));
    let scenario = scenario.map_err(|faults| fault(faults.to_string()))?;
    let job = run::job(&scenario, &scenario.market).map_err(WorkloadFault::Job)?;
    Ok(Workload { name, market: scenario.market, portfolio: scenario.portfolio, job, paths: night.paths })
}
