//! How far a run is, on standard error: a bar with what is left on a terminal, now and then a plain
//! line where there is none.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shortfall::run::{Monitor, Stage};

use super::output;

/// Time between two plain lines; a run that is shorter says nothing.
const LINE_EVERY: Duration = Duration::from_secs(10);
const SIMULATING: &str = "simulating";

/// Shows how far a run is, stage by stage.
pub struct Progress {
    show: Show,
    /// Which case, and its name.
    case: String,
    /// Cases before this one, and all.
    cases: (u64, u64),
    paths: u64,
    stage: &'static str,
    /// Of the stage.
    pace: Pace,
    /// Of all cases, in paths.
    overall: Pace,
}

enum Show {
    Nothing,
    Bar(ProgressBar),
    /// When the last line was said.
    Lines(Instant),
}

impl Progress {
    /// Nothing where `shown` is false, else a bar on a terminal and lines elsewhere.
    pub fn new(shown: bool) -> Self {
        let show = match shown {
            false => Show::Nothing,
            true if std::io::stderr().is_terminal() => Show::Bar(bar()),
            true => Show::Lines(Instant::now()),
        };
        let (pace, overall) = (Pace::default(), Pace::default());
        Self { show, case: String::new(), cases: (0, 0), paths: 0, stage: "", pace, overall }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    fn advance(&mut self, stage: &'static str, done: u64, of: u64) {
        if self.stage != stage {
            self.stage = stage;
            self.pace = Pace::default();
        }
        self.show(&format!("{}: {stage}", self.case), done, of);
    }

    /// Of some work so much is done, from 0 to 1.
    pub fn part(&mut self, what: &str, part: f64) {
        /// Finer than the eye sees.
        const WHOLE: u64 = 10_000;
        self.show(what, (part.clamp(0.0, 1.0) * WHOLE as f64) as u64, WHOLE);
    }

    fn show(&mut self, what: &str, done: u64, of: u64) {
        self.pace.reached(done);
        match &self.show {
            Show::Nothing => {}
            Show::Bar(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what.to_owned());
                bar.set_prefix(self.left(of));
            }
            Show::Lines(last) if last.elapsed() < LINE_EVERY => {}
            Show::Lines(_) => {
                let percent = 100 * done / of.max(1);
                output::say(&format!("{what} {percent} %, {}", self.left(of)));
                self.show = Show::Lines(Instant::now());
            }
        }
    }

    /// Time that is left, of the stage and of all cases.
    fn left(&self, of: u64) -> String {
        let all = self.overall.left(self.paths * self.cases.1).map(shown);
        match (self.pace.left(of).map(shown), all) {
            (Some(stage), Some(all)) if self.cases.1 > 1 => format!("ETA {stage}, all cases {all}"),
            (Some(stage), _) => format!("ETA {stage}"),
            (None, _) => "ETA unknown".to_owned(),
        }
    }
}

impl Monitor for Progress {
    fn case(&mut self, name: &str, index: usize, of: usize, paths: u64) {
        self.case = format!("case {}/{of} {}", index + 1, name.escape_debug());
        self.cases = (index as u64, of as u64);
        self.paths = paths;
        self.stage = "";
        self.overall.reached(paths * index as u64);
    }

    fn done(&mut self, paths: u64) {
        self.overall.reached(self.paths * self.cases.0 + paths);
        self.advance(SIMULATING, paths, self.paths);
    }

    fn stage(&mut self, stage: Stage, done: u64, of: u64) {
        let name = match stage {
            Stage::Pilot => "first look",
            Stage::Repair => "simulating missed tails again",
            Stage::Attribution => "taking tails apart",
        };
        self.advance(name, done, of);
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}  {bar:24.green}  {percent:>3} %  {prefix}");
    let style = style.expect("the template is fixed").progress_chars("━━─");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// How fast something goes, from where it was first seen: work of an earlier process took no time
/// in this one.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    begun: Option<(Instant, u64)>,
    done: u64,
}

impl Pace {
    fn reached(&mut self, done: u64) {
        self.begun.get_or_insert((Instant::now(), done));
        self.done = done;
    }

    fn left(&self, of: u64) -> Option<Duration> {
        let (begun, first) = self.begun?;
        left(begun.elapsed(), self.done.saturating_sub(first), of.saturating_sub(self.done))
    }
}

/// Time for what is left, where so much took so long.
fn left(elapsed: Duration, done: u64, left: u64) -> Option<Duration> {
    let ratio = left as f64 / done as f64;
    ratio.is_finite().then(|| elapsed.mul_f64(ratio))
}

/// `12 s`, `3 min`, `2.5 h`.
fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        seconds if seconds < 99.5 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_this_process_did() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(10), 250, 750), Some(seconds(30)));
        assert_eq!(left(seconds(10), 250, 0), Some(seconds(0)));
        assert_eq!(left(seconds(10), 0, 750), None);
        let mut resumed = Pace::default();
        resumed.reached(900);
        assert_eq!(resumed.left(1000), None, "nothing is known before something is done");
        resumed.reached(950);
        assert!(resumed.left(1000).is_some_and(|left| left < seconds(1)));
    }

    #[test]
    fn times_read_well() {
        for (time, text) in
            [(0.2, "0 s"), (99.0, "99 s"), (100.0, "2 min"), (5900.0, "98 min"), (9000.0, "2.5 h")]
        {
            assert_eq!(shown(Duration::from_secs_f64(time)), text);
        }
    }

    #[test]
    fn a_run_shows_its_stages_on_a_bar() {
        let bar = ProgressBar::hidden();
        let mut progress = Progress { show: Show::Bar(bar.clone()), ..Progress::new(false) };
        progress.case("base", 0, 2, 1000);
        progress.stage(Stage::Pilot, 1, 2);
        assert_eq!((bar.message(), bar.position()), ("case 1/2 base: first look".to_owned(), 1));
        progress.done(0);
        progress.done(250);
        assert_eq!((bar.message(), bar.length()), ("case 1/2 base: simulating".to_owned(), Some(1000)));
        assert!(bar.prefix().starts_with("ETA 0 s, all cases 0 s"), "{}", bar.prefix());
        progress.stage(Stage::Attribution, 0, 3000);
        assert_eq!(
            (bar.message(), bar.length()),
            ("case 1/2 base: taking tails apart".to_owned(), Some(3000))
        );
    }
}
