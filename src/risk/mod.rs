//! Tails: accumulated in one pass, in integers, and turned into figures with standard errors.

mod bracket;
mod component;
mod distribution;
mod tail;
mod tail_paths;

pub use bracket::{Bracket, LevelRanks, RankedLosses, largest};
pub use component::{Component, ComponentSums, TailSize};
pub use distribution::{COLUMNS, Distribution};
pub use tail::{BINS, Bin, FEW_TAIL_PATHS, QUANTA_LIMIT, SQUARE_SHIFT, Tail, TailEstimate, TailFault, exact};
pub use tail_paths::{TailCollector, TailPath, TailPaths};
