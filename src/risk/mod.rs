//! Tails: accumulated in one pass, in integers, and turned into figures with standard errors.

mod bracket;
mod tail;

pub use bracket::{Bracket, largest};
pub use tail::{BINS, Bin, QUANTA_LIMIT, SQUARE_SHIFT, Tail, TailEstimate, TailFault, exact};
