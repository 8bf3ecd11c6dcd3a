//! The output folder: written beside its place, then renamed. A folder of the asked name is whole
//! or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::document::Document;
use super::{attribution, csv, parquet};
use crate::shard::FileHash;

/// Files of a folder; those of `OPTIONAL` where there is an attribution.
pub const FILES: [&str; 6] =
    ["results.csv", "results.parquet", "attribution.csv", "worst_paths.csv", "summary.json", MANIFEST];
const MANIFEST: &str = "manifest.json";
const OPTIONAL: [&str; 2] = ["attribution.csv", "worst_paths.csv"];

/// A place for a result, checked before the run so that an hour's work is not refused at its end.
#[derive(Debug)]
pub struct Folder {
    place: PathBuf,
    parent: PathBuf,
    name: String,
}

/// Why a folder cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// Something stands in its place.
    #[error("{} {found}; {next}", .place.display())]
    Taken {
        /// The place.
        place: PathBuf,
        /// What stands there.
        found: String,
        /// What to do.
        next: &'static str,
    },
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    Io {
        /// On which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl Folder {
    /// Checks that a folder can be put at `place`: nothing is there, or an empty folder, or (with
    /// `force`) a folder with nothing but an earlier result.
    pub fn check(place: &Path, force: bool) -> Result<Self, FolderFault> {
        let place =
            if place.exists() { place.canonicalize().map_err(io_at(place))? } else { place.to_owned() };
        let taken = |found: String, next| FolderFault::Taken { place: place.clone(), found, next };
        let Some(name) = place.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(taken("has no name of its own".to_owned(), "name a new folder"));
        };
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if place.exists() {
            if !place.is_dir() {
                return Err(taken("is a file".to_owned(), "name a new folder"));
            }
            let present = entries(&place)?;
            if let Some(other) = present.iter().find(|name| !FILES.contains(&name.as_str())) {
                let found = format!("holds files that shortfall did not write ({other})");
                return Err(taken(found, "name a new folder"));
            }
            if !present.is_empty() && !force {
                return Err(taken("holds an earlier result".to_owned(), "name a new folder or add --force"));
            }
        }
        Ok(Self { place, parent, name })
    }

    /// Where the result goes.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Writes all files side by side, the manifest with their hashes after them, and puts the folder in
    /// its place.
    pub fn write(&self, document: &Document) -> Result<(), FolderFault> {
        fs::create_dir_all(&self.parent).map_err(io_at(&self.parent))?;
        let partial = Partial::new(self.sibling("partial"))?;
        let attributed = attribution::is_in(document);
        let is_written = |name: &&str| *name != MANIFEST && (attributed || !OPTIONAL.contains(name));
        let folder = partial.0.as_path();
        let hashes: Result<Vec<FileHash>, FolderFault> = std::thread::scope(|scope| {
            let start = |name| scope.spawn(move || write_result(document, folder, name));
            let threads: Vec<_> = FILES.into_iter().filter(is_written).map(start).collect();
            let end = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(end).collect()
        });
        let mut manifest = document.manifest.clone();
        manifest.outputs.extend(hashes?);
        let path = folder.join(MANIFEST);
        let written = write_file(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, &manifest)?;
            file.write_all(b"\n")
        });
        written.map_err(io_at(&path))?;
        self.put(folder)
    }

    fn put(&self, partial: &Path) -> Result<(), FolderFault> {
        if !self.place.exists() {
            return fs::rename(partial, &self.place).map_err(io_at(&self.place));
        }
        // A folder cannot replace a full one in one step: the old one steps aside first, and comes
        // back if the new one cannot take its place.
        let aside = self.sibling("replaced");
        fs::rename(&self.place, &aside).map_err(io_at(&self.place))?;
        if let Err(error) = fs::rename(partial, &self.place) {
            fs::rename(&aside, &self.place).map_err(io_at(&aside))?;
            return Err(io_at(&self.place)(error));
        }
        fs::remove_dir_all(&aside).map_err(io_at(&aside))
    }

    fn sibling(&self, word: &str) -> PathBuf {
        self.parent.join(format!(".{}.{word}-{}", self.name, std::process::id()))
    }
}

/// A folder being written; it goes with this value unless it was renamed.
struct Partial(PathBuf);

impl Partial {
    fn new(path: PathBuf) -> Result<Self, FolderFault> {
        fs::create_dir(&path).map_err(io_at(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes one of the files that the manifest lists.
fn write_result(document: &Document, folder: &Path, name: &str) -> Result<FileHash, FolderFault> {
    let path = folder.join(name);
    let written = write_file(&path, |file| match name {
        "results.csv" => csv::write(document, file),
        "results.parquet" => parquet::write(document, file).map_err(io::Error::other),
        "attribution.csv" => attribution::write_components(document, file),
        "worst_paths.csv" => attribution::write_worst_paths(document, file),
        _ => file.write_all(document.to_json().as_bytes()),
    });
    written.map_err(io_at(&path))?;
    FileHash::of(&path, name.to_owned()).map_err(io_at(&path))
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    write(&mut file)?;
    file.into_inner().map_err(|error| error.into_error())?.sync_all()
}

fn entries(folder: &Path) -> Result<Vec<String>, FolderFault> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().map_err(io_at(folder))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FolderFault {
    let path = path.to_owned();
    |error| FolderFault::Io { path, error }
}
