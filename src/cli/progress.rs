//! The progress bar: on standard error, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shortfall::run::Monitor;

/// Shows how far a run is, over all its cases.
pub struct Progress {
    bar: ProgressBar,
    /// Paths of the cases before this one.
    before: u64,
}

impl Progress {
    /// A bar; invisible where `shown` is false or standard error is no terminal.
    pub fn new(shown: bool) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg}  {bar:24.green}  {percent:>3} %  ETA {eta}");
        let style = style.expect("the template is fixed").progress_chars("━━─");
        Self { bar: ProgressBar::with_draw_target(Some(0), target).with_style(style), before: 0 }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Monitor for Progress {
    fn case(&mut self, name: &str, index: usize, of: usize, paths: u64) {
        self.before = paths * index as u64;
        self.bar.set_length(paths * of as u64);
        self.bar.set_message(format!("case {}/{of} {}", index + 1, name.escape_debug()));
        self.bar.set_position(self.before);
    }

    fn done(&mut self, paths: u64) {
        self.bar.set_position(self.before + paths);
    }
}

/// Shows that work of unknown length goes on.
pub struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// A spinner, on a terminal only.
    pub fn new(what: &'static str) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is fixed");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// More paths are done.
    pub fn advance(&self, paths: u64) {
        self.bar.inc(paths);
        self.bar.set_message(format!("{} million paths", self.bar.position() / 1_000_000));
    }

    /// Another stage begins.
    pub fn stage(&self, stage: &str) {
        self.bar.set_message(stage.to_owned());
    }

    /// Removes the spinner.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
