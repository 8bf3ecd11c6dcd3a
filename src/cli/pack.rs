//! `shortfall validate --report`: the validation pack as a document with its charts.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use shortfall::scenario::DeviceChoice;
use shortfall::validate::pack::{self, Block, Effort, Made, Options, Pack};

use super::exit::Failure;
use super::output;
use super::progress::Spinner;
use super::validate::{Arguments, gpu, write_beside};

/// Folder of raw series that are not shipped.
const DATA: &str = "SHORTFALL_DATA";

/// Makes the pack and writes it.
pub fn report(arguments: &Arguments, file: &Path) -> Result<(), Failure> {
    let folder = file.file_stem().and_then(|stem| stem.to_str());
    let folder = folder.ok_or_else(|| Failure::Usage(format!("{}: name a file", file.display())))?.to_owned();
    if !arguments.scenarios.join("quickstart.yaml").is_file() {
        let found = arguments.scenarios.display();
        return Err(Failure::Usage(format!(
            "{found}: no folder of the shipped scenarios; run where it lies, or name it by --scenarios DIR"
        )));
    }
    let options = Options {
        scenarios: arguments.scenarios.clone(),
        data: std::env::var_os(DATA).map(Into::into),
        effort: if arguments.quick { Effort::QUICK } else { Effort::FULL },
    };
    let choice: DeviceChoice = arguments.device.clone().unwrap_or_default();
    let mut gpu = gpu(&choice)?;
    let (start, spinner) = (Instant::now(), Spinner::new("validating"));
    let device: pack::Gpu<'_> = match &mut gpu {
        Ok(gpu) => Ok(&mut **gpu),
        Err(why) => Err(why.clone()),
    };
    let pack = pack::make(&options, device, &mut |what| spinner.stage(what));
    spinner.finish();
    let made = Made {
        at: Timestamp::now().to_zoned(TimeZone::UTC).date(),
        seconds: start.elapsed().as_secs_f64(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    write(&pack, file, &folder, &made)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&pack).map_err(|error| Failure::Io(error.to_string()))?;
        output::print(&format!("{json}\n"))?;
    } else {
        output::print(&format!(
            "wrote {}: {} comparisons, {} missed\n",
            file.display(),
            pack.checks().count(),
            pack.missed()
        ))?;
    }
    if pack.missed() > 0 { Err(Failure::Missed(pack.missed())) } else { Ok(()) }
}

/// The charts first, so that a document never names one that is not there.
fn write(pack: &Pack, file: &Path, folder: &str, made: &Made) -> Result<(), Failure> {
    let io = |path: &Path, error: std::io::Error| Failure::Io(format!("{}: {error}", path.display()));
    let charts = file.with_file_name(folder);
    std::fs::create_dir_all(&charts).map_err(|error| io(&charts, error))?;
    for block in pack.sections.iter().flat_map(|section| &section.blocks) {
        if let Block::Chart { file, svg, .. } = block {
            let path = charts.join(file);
            write_beside(&path, svg).map_err(|error| io(&path, error))?;
        }
    }
    write_beside(file, &pack::markdown(pack, folder, made)).map_err(|error| io(file, error))
}
