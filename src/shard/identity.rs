//! What decides the figures of a run, so that its parts can be told from those of another.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What decides the figures: two runs with one [`Identity::run_id`] have the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// BLAKE3 over everything below but the names of files.
    pub run_id: String,
    /// Version of shortfall.
    pub shortfall_version: String,
    /// BLAKE3 of the shaders; `null` in a build without them.
    pub shaders_blake3: Option<String>,
    /// Settings after the options of the command line.
    pub configuration: serde_json::Value,
    /// Every input, the scenario first.
    pub inputs: Vec<FileHash>,
}

impl Identity {
    /// The run id as a hash.
    pub fn hash(&self) -> Option<blake3::Hash> {
        blake3::Hash::from_hex(&self.run_id).ok()
    }

    /// What differs from this one in another, in words; empty where nothing does.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.run_id == other.run_id {
            return found;
        }
        if self.shortfall_version != other.shortfall_version {
            found.push(format!("version {}, not {}", other.shortfall_version, self.shortfall_version));
        }
        if self.shaders_blake3 != other.shaders_blake3 {
            found.push("other shaders".to_owned());
        }
        let settings = |identity: &Self| identity.configuration.as_object().cloned().unwrap_or_default();
        let (here, there) = (settings(self), settings(other));
        for (name, value) in &here {
            let other = there.get(name).unwrap_or(&serde_json::Value::Null);
            if other != value {
                found.push(format!("{name} {other}, not {value}"));
            }
        }
        if self.inputs.len() != other.inputs.len() {
            found.push(format!("{} input files, not {}", other.inputs.len(), self.inputs.len()));
        }
        for (here, there) in self.inputs.iter().zip(&other.inputs) {
            if here.blake3 != there.blake3 {
                found.push(format!("other contents of {}", there.path));
            }
        }
        if found.is_empty() {
            found.push(format!("run id {}, not {}", other.run_id, self.run_id));
        }
        found
    }
}

/// A file by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// Its name: of inputs as the user gave it, of outputs inside the folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its contents, hexadecimal.
    pub blake3: String,
}

impl FileHash {
    /// Hashes a file; `name` stands for it in the manifest.
    pub fn of(path: &Path, name: String) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(Self { path: name, bytes: hasher.count(), blake3: hasher.finalize().to_hex().to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let file = |path: &str| FileHash { path: path.to_owned(), bytes: 3, blake3: path.to_owned() };
        Identity {
            run_id: "1".to_owned(),
            shortfall_version: "0.1.0".to_owned(),
            shaders_blake3: Some("abc".to_owned()),
            configuration: serde_json::json!({"seed": 1, "paths": 64}),
            inputs: vec![file("scenario.yaml"), file("positions.csv")],
        }
    }

    #[test]
    fn what_differs_is_named() {
        let of = |change: fn(&mut Identity)| {
            let mut other = identity();
            other.run_id = "2".to_owned();
            change(&mut other);
            identity().differences(&other).join("; ")
        };
        assert!(identity().differences(&identity()).is_empty());
        assert_eq!(of(|other| other.shortfall_version = "0.2.0".to_owned()), "version 0.2.0, not 0.1.0");
        assert_eq!(of(|other| other.shaders_blake3 = None), "other shaders");
        assert_eq!(of(|other| other.configuration["seed"] = 2.into()), "seed 2, not 1");
        assert_eq!(of(|other| other.inputs[1].blake3.clear()), "other contents of positions.csv");
        assert_eq!(of(|other| other.inputs.truncate(1)), "1 input files, not 2");
        assert_eq!(of(|_| ()), "run id 2, not 1");
    }
}
