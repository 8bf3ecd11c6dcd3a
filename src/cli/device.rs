//! Which engine runs: the only place that turns a choice into one.

use std::ops::Range;
use std::sync::Arc;

use shortfall::engine::cpu::{CpuEngine, CpuKeeper};
use shortfall::engine::gpu::{self, GpuEngine, GpuKeeper, Wanted};
use shortfall::engine::resident::Keeper;
use shortfall::engine::{Cube, DeviceReport, Engine, EngineFault, Job, Several, Shape, StageTimes};
use shortfall::risk::{Bracket, LevelRanks, RankedLosses, Tail};
use shortfall::scenario::{Device, DeviceChoice, Precision};

use super::exit::Failure;
use super::output;

/// The engine of a choice, ready to run. `auto` never fails: without a hardware GPU it is the CPU,
/// and it goes over to the CPU where the GPU fails on the way.
pub fn choose(choice: &DeviceChoice, precision: Precision) -> Result<Box<dyn Engine>, EngineFault> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu(precision, "asked for")),
        DeviceChoice::Gpu(name) => gpu(name.as_deref()),
        DeviceChoice::Several(devices) => several(devices, precision),
        DeviceChoice::Auto if precision == Precision::F64 => Ok(cpu(precision, "f64 runs on the CPU only")),
        DeviceChoice::Auto => match hardware_gpu() {
            Ok(gpu) => Ok(Box::new(Preferred::new(Some(gpu), precision, ""))),
            Err(fault) => Ok(cpu(precision, &fault.to_string())),
        },
    }
}

/// What keeps the cube of a service. `auto` takes a hardware GPU if there is one.
pub fn keeper(choice: &DeviceChoice) -> Result<Arc<dyn Keeper>, Failure> {
    let on_cpu = |reason: &str| -> Arc<dyn Keeper> { Arc::new(CpuKeeper::new(reason)) };
    let on_gpu = |name: Option<&str>| -> Result<Arc<dyn Keeper>, EngineFault> {
        Ok(Arc::new(GpuKeeper::new(GpuEngine::new(name)?)))
    };
    match choice {
        DeviceChoice::Cpu => Ok(on_cpu("asked for")),
        DeviceChoice::Gpu(name) => Ok(on_gpu(name.as_deref())?),
        DeviceChoice::Auto => match hardware_name() {
            Some(name) => Ok(on_gpu(Some(&name)).unwrap_or_else(|fault| on_cpu(&fault.to_string()))),
            None => Ok(on_cpu("there is no hardware adapter")),
        },
        DeviceChoice::Several(_) => {
            let text = "a service keeps its cube on one device: --device auto, cpu, gpu or gpu:NAME";
            Err(Failure::Usage(text.to_owned()))
        }
    }
}

/// A GPU to compare with: a software adapter will do.
pub fn any_gpu(name: Option<&str>) -> Result<Box<dyn Engine>, EngineFault> {
    gpu(name)
}

/// A GPU by part of its name or its bus id, software adapters included.
fn gpu(name: Option<&str>) -> Result<Box<dyn Engine>, EngineFault> {
    Ok(Box::new(GpuEngine::new(name)?))
}

/// Devices side by side. One that fails is left out, and said so.
fn several(devices: &[Device], precision: Precision) -> Result<Box<dyn Engine>, EngineFault> {
    let wanted = devices.iter().filter_map(|device| match device {
        Device::Cpu => None,
        Device::Gpu(None) => Some(Wanted::First),
        Device::Gpu(Some(name)) => Some(Wanted::Named(name.clone())),
        Device::AllGpus => Some(Wanted::AllHardware),
    });
    let gpus = GpuEngine::several(&wanted.collect::<Vec<_>>())?;
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    if devices.contains(&Device::Cpu) {
        engines.push(Box::new(CpuEngine::new(precision)));
    }
    engines.extend(gpus.into_iter().map(|gpu| -> Box<dyn Engine> { Box::new(gpu) }));
    let on_loss = |text: &str| output::say_over_bar(&format!("going on without it: {text}"));
    Ok(Box::new(Several::new(engines, on_loss)))
}

/// A hardware GPU; software adapters are left to `gpu`, which has to be asked for.
fn hardware_gpu() -> Result<Box<dyn Engine>, EngineFault> {
    match hardware_name() {
        Some(name) => gpu(Some(&name)),
        None => Err(EngineFault::NoDevice("there is no hardware adapter".to_owned())),
    }
}

/// What names the hardware adapter that is taken by itself.
fn hardware_name() -> Option<String> {
    let adapter = gpu::hardware()?;
    Some(if adapter.pci_bus_id.is_empty() { adapter.name } else { adapter.pci_bus_id })
}

fn cpu(precision: Precision, reason: &str) -> Box<dyn Engine> {
    Box::new(Preferred::new(None, precision, reason))
}

/// A GPU, if there is one, and the CPU that replaces it when it fails; in f32 both give the same bits,
/// so a run may change over between two calls.
struct Preferred {
    gpu: Option<Box<dyn Engine>>,
    cpu: CpuEngine,
    /// Why the CPU works.
    reason: String,
    /// Of the GPU that was given up.
    earlier: StageTimes,
}

impl Engine for Preferred {
    fn device(&self) -> DeviceReport {
        match &self.gpu {
            Some(gpu) => gpu.device(),
            None => DeviceReport { reason: self.reason.clone(), ..self.cpu.device() },
        }
    }

    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault> {
        self.or_on_cpu(&mut |engine| engine.tails(job, brackets, paths.clone(), progress))
    }

    fn add_tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        tails: &mut [Tail],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), EngineFault> {
        self.or_on_cpu(&mut |engine| engine.add_tails(job, brackets, paths.clone(), tails, progress))
    }

    fn ranked(&mut self, job: &Job, paths: u64, ranks: &[LevelRanks]) -> Option<Vec<RankedLosses>> {
        self.gpu.as_mut()?.ranked(job, paths, ranks)
    }

    /// Of whichever takes more, as the CPU may have to go on.
    fn working_bytes(&mut self, shape: &Shape, allowed: u64) -> u64 {
        let on_gpu = self.gpu.as_mut().map_or(0, |gpu| gpu.working_bytes(shape, allowed));
        on_gpu.max(self.cpu.working_bytes(shape, allowed))
    }

    fn stage_times(&self) -> Option<StageTimes> {
        let mut times = self.working().stage_times()?;
        times += self.earlier;
        Some(times)
    }

    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        self.or_on_cpu(&mut |engine| engine.cube(job, paths.clone()))
    }
}

impl Preferred {
    /// `reason` is why the CPU works, where it does.
    fn new(gpu: Option<Box<dyn Engine>>, precision: Precision, reason: &str) -> Self {
        let (cpu, earlier) = (CpuEngine::new(precision), StageTimes::default());
        Self { gpu, cpu, reason: reason.to_owned(), earlier }
    }

    fn working(&self) -> &dyn Engine {
        self.gpu.as_deref().unwrap_or(&self.cpu)
    }

    fn or_on_cpu<T>(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Engine) -> Result<T, EngineFault>,
    ) -> Result<T, EngineFault> {
        let Some(gpu) = &mut self.gpu else { return work(&mut self.cpu) };
        let fault = match work(gpu.as_mut()) {
            Err(fault) => fault,
            done => return done,
        };
        self.reason = format!("{} gave up: {fault}", gpu.device().name);
        output::say_over_bar(&format!("going on with the CPU: {}", self.reason));
        self.earlier = gpu.stage_times().unwrap_or_default();
        self.gpu = None;
        work(&mut self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use shortfall::plan::Memory;
    use shortfall::shard::Part;

    use super::*;

    /// A GPU that does not survive its first call.
    struct Dying;

    impl Engine for Dying {
        fn device(&self) -> DeviceReport {
            DeviceReport { engine: "gpu".to_owned(), name: "Dying GPU".to_owned(), ..DeviceReport::default() }
        }

        fn tails(
            &mut self,
            _: &Job,
            _: &[Bracket],
            _: Range<u64>,
            _: &mut dyn FnMut(u64),
        ) -> Result<Vec<Tail>, EngineFault> {
            Err(EngineFault::Lost("unplugged".to_owned()))
        }

        fn cube(&mut self, _: &Job, _: Range<u64>) -> Result<Cube<f32>, EngineFault> {
            Err(EngineFault::Lost("unplugged".to_owned()))
        }
    }

    #[test]
    fn a_lost_gpu_is_replaced_and_the_result_says_so() {
        let path = std::path::Path::new("scenarios/quickstart.yaml");
        let mut scenario = shortfall::scenario::read(path).unwrap();
        scenario.simulation.paths = 8192;
        let run =
            |engine: &mut dyn Engine| shortfall::run::run(&scenario, engine, &mut shortfall::run::Silent);
        let mut falling = Preferred::new(Some(Box::new(Dying)), Precision::F32, "");
        let planned = |engine: &mut dyn Engine| {
            let part = Part::whole(&scenario.portfolio, scenario.simulation.paths);
            Memory::plan(&scenario, &part, engine, None).unwrap().peak()
        };
        assert_eq!(planned(&mut falling), planned(&mut CpuEngine::new(Precision::F32)));
        assert!(planned(&mut falling) > planned(&mut Dying));
        let fallen = run(&mut falling).unwrap();
        assert_eq!(fallen.device.engine, "cpu");
        assert!(fallen.device.reason.contains("Dying GPU gave up: the device was lost (unplugged)"));
        let on_cpu = run(&mut CpuEngine::new(Precision::F32)).unwrap();
        let figures = |outcome: &shortfall::run::Outcome| {
            let accounts = outcome.cases[0].accounts.as_ref().unwrap();
            accounts.iter().map(|account| account.maintenance).collect::<Vec<_>>()
        };
        assert_eq!(figures(&fallen), figures(&on_cpu));
        assert!(matches!(run(&mut Dying), Err(EngineFault::Lost(_))));
    }

    #[test]
    fn a_gpu_is_refused_where_there_is_none() {
        let choice = DeviceChoice::Gpu(Some("no adapter has this name".to_owned()));
        assert!(matches!(choose(&choice, Precision::F32), Err(EngineFault::NoDevice(_))));
        assert_eq!(choose(&DeviceChoice::Auto, Precision::F64).unwrap().device().engine, "cpu");
    }
}
