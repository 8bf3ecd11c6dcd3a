//! `shortfall init`: a commented example to start from.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use super::output;

/// Write a commented example to start from
#[derive(Debug, Args)]
#[command(after_help = "Files that are already there are never overwritten.")]
pub struct Arguments {
    /// The folder to write to
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

const FILES: [(&str, &str); 9] = [
    ("scenario.yaml", include_str!("init/scenario.yaml")),
    ("accounts.csv", include_str!("../../scenarios/quickstart/accounts.csv")),
    ("positions.csv", include_str!("../../scenarios/quickstart/positions.csv")),
    ("balances.csv", include_str!("../../scenarios/quickstart/balances.csv")),
    ("market/market.yaml", include_str!("init/market.yaml")),
    ("market/correlation.csv", include_str!("../../scenarios/market/quickstart/correlation.csv")),
    ("market/forwards.csv", include_str!("../../scenarios/market/quickstart/forwards.csv")),
    ("market/surfaces.csv", include_str!("../../scenarios/market/quickstart/surfaces.csv")),
    ("market/crises.csv", include_str!("../../scenarios/market/quickstart/crises.csv")),
];

/// Writes it.
pub fn init(arguments: &Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let there: Vec<&str> =
        FILES.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect();
    if !there.is_empty() {
        return Err(Failure::Io(format!(
            "{} already holds {}; name another folder",
            folder.display(),
            there.join(", ")
        )));
    }
    for (name, text) in FILES {
        let path = folder.join(name);
        write(&path, text).map_err(|error| Failure::Io(format!("{}: {error}", path.display())))?;
    }
    output::print(&format!(
        "wrote {} files to {}\nnext: shortfall run {}\n",
        FILES.len(),
        folder.display(),
        folder.join("scenario.yaml").display()
    ))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(text.as_bytes())
}
