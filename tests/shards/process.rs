//! The program as a process, and a scenario for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a small synthetic night in `night/`.
pub struct Place {
    folder: TempDir,
}

/// What one run of the program gave.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Figures of a result: they must not depend on how it was made. `summary.json` and
/// `manifest.json` hold times too.
pub const FIGURES: [&str; 2] = ["results.csv", "results.parquet"];

impl Place {
    /// A night of 65 accounts with a stress.
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let made =
            place.run("generate night --accounts 65 --instruments 63 --assets 5 --paths 20011 --seed 3");
        assert_eq!(made.code, Some(0), "{}", made.err);
        let scenario = place.path("night/scenario.yaml");
        let mut text = fs::read_to_string(&scenario).unwrap();
        text.push_str("\nstresses:\n  - {name: crash, spot: {all: -0.3}, volatility: {multiply: 2}}\n");
        fs::write(scenario, text).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with arguments that hold no spaces, in the folder, on the CPU.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shortfall"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &str) -> Ended {
        ended(self.command(arguments).output().unwrap())
    }

    /// Like [`Place::run`], which must succeed.
    pub fn done(&self, arguments: &str) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments}: {}", ended.err);
        ended
    }

    /// Bytes of the figures of a result.
    pub fn figures(&self, result: &str) -> Vec<Vec<u8>> {
        let read = |name| fs::read(self.path(result).join(name)).unwrap();
        FIGURES.map(read).to_vec()
    }

    /// Names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Flips a bit in the middle of a file.
    pub fn damage(&self, file: &str) {
        let path = self.path(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

pub fn ended(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Copies a folder of plain files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
