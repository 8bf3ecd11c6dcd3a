//! Would the margin have covered what then happened? Models walked through real history, each day on
//! the past alone.

pub mod book;
pub mod chain;
pub mod config;
mod forecast;
pub mod model;
pub mod monte_carlo;
mod moves;
pub mod past;
pub mod predict;
pub mod report;
pub mod statistics;
pub mod summary;
pub mod tune;
pub mod variances;
pub mod volatility;
pub mod walk;

pub use config::{Backtest, read};

use rayon::prelude::*;
use serde::Serialize;

use self::summary::{CrisisLine, Summary};
use self::walk::Track;

/// Hears what is being done, and what part of all is done, from 0 to 1.
pub type Monitor<'a> = dyn FnMut(&str, f64) + 'a;

/// Everything that a backtest found.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Confidence of VaR and ES.
    pub confidence: f64,
    /// Horizons, in steps.
    pub horizons: Vec<usize>,
    /// Steps that a forecast sees.
    pub lookback: usize,
    /// A line for each book, horizon and model.
    pub summaries: Vec<Summary>,
    /// A line for each crisis, book, horizon and model.
    pub crises: Vec<CrisisLine>,
    /// Books and models without a single day, in words.
    pub empty: Vec<String>,
    /// What the history lacks.
    pub notes: Vec<String>,
    /// Every day.
    #[serde(skip)]
    pub tracks: Vec<Track>,
}

/// Runs a backtest.
pub fn run(backtest: &Backtest, monitor: &mut Monitor<'_>) -> Outcome {
    let tracks = walk::walk(backtest, monitor);
    monitor("statistics", 1.0);
    let summaries = tracks.par_iter().filter_map(|track| summary::summarise(backtest, track)).collect();
    let crises = backtest
        .crises
        .iter()
        .flat_map(|crisis| tracks.iter().filter_map(|track| summary::crisis_line(crisis, track)))
        .collect();
    let empty = tracks.iter().filter(|track| track.days.is_empty());
    Outcome {
        name: backtest.name.clone(),
        confidence: backtest.confidence.get(),
        horizons: backtest.horizons.clone(),
        lookback: backtest.lookback,
        summaries,
        crises,
        empty: empty
            .map(|track| format!("{} under {}, {} ahead", track.book, track.model.name(), track.horizon))
            .collect(),
        notes: backtest.history.notes.0.clone(),
        tracks,
    }
}
