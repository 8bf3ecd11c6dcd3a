//! Tails: accumulated in one pass, in integers, and turned into figures with standard errors.

mod bracket;
mod tail;

pub use bracket::{Bracket, LevelRank};
pub use tail::{BINS, Tail, TailEstimate, TailFault, exact};
