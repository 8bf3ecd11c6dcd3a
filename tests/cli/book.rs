//! A scenario of its own for each test: the example of `shortfall init`, to be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Exit codes that `--help` documents.
pub const KNOWN_CODES: [i32; 8] = [0, 1, 2, 10, 65, 69, 74, 75];

/// The program with these arguments.
pub fn shortfall<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shortfall"));
    command.args(arguments).env_remove("NO_COLOR").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// What a finished program said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end; a signal or a panic fails the test.
pub fn say(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let code = status.code().expect("no signal ended the program");
    let stderr = String::from_utf8(stderr).expect("messages are UTF-8");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(KNOWN_CODES.contains(&code), "exit code {code}: {stderr}");
    Said { code, stdout: String::from_utf8(stdout).expect("output is UTF-8"), stderr }
}

/// The example in a folder of its own.
pub struct Book {
    folder: TempDir,
}

impl Book {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let said = say(&mut shortfall(["init".as_ref(), folder.path().join("book").as_os_str()]));
        assert_eq!(said.code, 0, "{}", said.stderr);
        Self { folder }
    }

    /// A path inside the book.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("book").join(name)
    }

    /// A path beside the book.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the book")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the book is writable");
    }

    /// Replaces text that must be there.
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no `{from}`");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Runs the base case on few paths, with further arguments.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let scenario = self.path("scenario.yaml");
        let mut command = shortfall(["run".as_ref(), scenario.as_os_str()]);
        let paths: &[&str] = if arguments.contains(&"--paths") { &[] } else { &["--paths", "2048"] };
        say(command.args(paths).args(["--device", "cpu"]).args(arguments))
    }

    /// Names in the folder that holds the book.
    pub fn neighbours(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

/// Sorted names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The JSON document of a run.
pub fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}
