//! The progress bar: on standard error, on a terminal only.

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
