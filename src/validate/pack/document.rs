//! The pack as Markdown.

use std::fmt::Write;

use super::{Block, Pack, Section};
use crate::validate::{Check, Verdict};

/// What differs from run to run, shown apart from the figures.
#[derive(Clone, Debug)]
pub struct Made {
    /// When.
    pub at: jiff::civil::Date,
    /// How long it took.
    pub seconds: f64,
    /// On how many threads.
    pub threads: usize,
}

/// The document. Charts are expected in `folder`, relative to it.
pub fn markdown(pack: &Pack, folder: &str, made: &Made) -> String {
    let mut text = "# Validation\n\n".to_owned();
    let form = if pack.effort.is_quick { "validate --report --quick" } else { "validate --report" };
    let _ = writeln!(
        text,
        "Written by `shortfall {form}`, version {}: every figure below was computed when it ran. The same version and inputs give \
         the same figures; the next line alone changes from run to run.\n",
        env!("CARGO_PKG_VERSION")
    );
    let _ = writeln!(text, "Run of {}: {:.0} seconds on {} threads.\n", made.at, made.seconds, made.threads);
    summary(&mut text, pack);
    for (index, section) in pack.sections.iter().enumerate() {
        let _ = write!(text, "\n## {}. {}", index + 1, section.markdown(folder));
    }
    text
}

fn summary(text: &mut String, pack: &Pack) {
    let count = |verdict| pack.checks().filter(|check| check.verdict == verdict).count();
    let _ = writeln!(
        text,
        "**{} comparisons passed, {} missed, {} skipped.**\n",
        count(Verdict::Pass),
        count(Verdict::Miss),
        count(Verdict::Skipped)
    );
    text.push_str("| section | passed | missed | skipped |\n|---|---|---|---|\n");
    for (index, section) in pack.sections.iter().enumerate() {
        if section.checks().next().is_none() {
            continue;
        }
        let count = |verdict| section.checks().filter(|check| check.verdict == verdict).count();
        let [pass, miss, skipped] = [Verdict::Pass, Verdict::Miss, Verdict::Skipped].map(count);
        let _ = writeln!(text, "| {}. {} | {pass} | {miss} | {skipped} |", index + 1, section.title);
    }
}

impl Section {
    /// Title and blocks.
    pub fn markdown(&self, folder: &str) -> String {
        let mut text = format!("{}\n", self.title);
        for block in &self.blocks {
            text.push('\n');
            match block {
                Block::Text(words) => text.push_str(words),
                Block::Table(head, rows) => table(&mut text, head, rows),
                Block::Checks(checks) => check_table(&mut text, checks),
                Block::Chart { file, caption, .. } => {
                    let _ = write!(text, "![{caption}]({folder}/{file})");
                }
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

fn table(text: &mut String, head: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    text.push_str(&line(head));
    text.push_str(&format!("|{}\n", "---|".repeat(head.len())));
    rows.iter().for_each(|row| text.push_str(&line(row)));
}

fn check_table(text: &mut String, checks: &[Check]) {
    let head = ["", "comparison", "values", "error", "bound", "unit"].map(str::to_owned);
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let name = match check.note.as_str() {
                "" => check.name.clone(),
                note => format!("{} ({note})", check.name),
            };
            let verdict = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Miss => "**MISS**",
                Verdict::Skipped => "skipped",
            };
            let figures = match check.verdict {
                Verdict::Skipped => [const { String::new() }; 4],
                _ => {
                    [check.values.to_string(), short(check.measured), short(check.bound), check.unit.clone()]
                }
            };
            [verdict.to_owned(), name].into_iter().chain(figures).collect()
        })
        .collect();
    table(text, &head, &rows);
}

/// Three significant digits.
fn short(x: f64) -> String {
    if x == 0.0 {
        "0".to_owned()
    } else if (0.001..1e4).contains(&x.abs()) {
        let digits = (2.0 - x.abs().log10().floor()).max(0.0) as usize;
        format!("{x:.digits$}")
    } else {
        format!("{x:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::pack::Effort;

    #[test]
    fn a_miss_is_seen_in_the_document_and_counted() {
        let checks = vec![
            Check::new("right", 1, 0.5, 1.0, "units", String::new()),
            Check::new("wrong", 1, f64::NAN, 1.0, "units", String::new()),
            Check::skipped("absent", "no adapter".to_owned()),
        ];
        let failed = Section::of("Nothing", Err("no such file | folder".to_owned()));
        let sections = vec![Section { title: "Some", blocks: vec![Block::Checks(checks)] }, failed];
        let pack = Pack { sections, effort: Effort::QUICK };
        assert_eq!(pack.missed(), 2);
        let made = Made { at: jiff::civil::date(2026, 2, 4), seconds: 1.0, threads: 2 };
        let text = markdown(&pack, "validation", &made);
        assert!(text.contains("**1 comparisons passed, 2 missed, 1 skipped.**"), "{text}");
        assert!(text.contains("| **MISS** | wrong | 1 | NaN | 1.00 | units |"), "{text}");
        assert!(text.contains("no such file \\| folder"), "{text}");
        assert!(text.contains("| skipped | absent (no adapter) |  |  |  |  |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 1.0, 0.012345, 123.4, 9999.0, 1e-12, 12345.0].map(short);
        assert_eq!(shown, ["0", "1.00", "0.0123", "123", "9999", "1.00e-12", "1.23e4"]);
    }
}
