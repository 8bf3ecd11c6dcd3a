//! A Vulkan layer that loses the device of the processes below it, and whom to lose.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use shortfall::engine::gpu::{AdapterKind, adapters};

/// Loses devices of the processes that are started with it.
pub struct Layer {
    folder: tempfile::TempDir,
}

impl Layer {
    /// Compiles it, if there is a compiler.
    pub fn new() -> Option<Self> {
        let layer = Self { folder: tempfile::tempdir().expect("a folder for the test") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lost_device_layer.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(layer.path("layer.so"))
            .arg(source)
            .status();
        if compiled.is_err() {
            eprintln!("skipped: there is no C compiler");
            return None;
        }
        assert!(compiled.is_ok_and(|status| status.success()), "the layer compiles");
        let manifest = json!({"file_format_version": "1.0.0", "layer": {
            "name": "VK_LAYER_SHORTFALL_lost_device", "type": "GLOBAL", "library_path": "./layer.so",
            "api_version": "1.3.0", "implementation_version": "1", "description": "loses devices"}});
        std::fs::write(layer.path("layer.json"), manifest.to_string()).expect("written");
        Some(layer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command whose Vulkan has the layer below it.
    pub fn below(&self, mut command: Command) -> Command {
        command
            .env("VK_LAYER_PATH", self.folder.path())
            .env("VK_INSTANCE_LAYERS", "VK_LAYER_SHORTFALL_lost_device")
            .env("LOSE_DEVICE_WHEN", self.switch());
        command
    }

    /// The file from whose writing on devices are lost.
    pub fn switch(&self) -> PathBuf {
        self.path("now")
    }
}

/// The first word of a software adapter's name: what is lost is never a card that others use.
pub fn software() -> Option<String> {
    let found = adapters().into_iter().find(|adapter| adapter.kind == AdapterKind::Software);
    if found.is_none() {
        assert!(std::env::var("REQUIRE_GPU").as_deref() != Ok("1"), "REQUIRE_GPU=1, but there is no adapter");
        eprintln!("skipped: there is no software adapter");
    }
    found.and_then(|adapter| adapter.name.split_whitespace().next().map(str::to_owned))
}
