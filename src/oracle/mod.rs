//! Prices from several sources, and what it takes to push them.

mod aggregate;
mod manipulation;
mod quotes;

pub use aggregate::{Dropped, Method, OracleFault, Price, Reason, Rules, aggregate, time_weighted};
pub use manipulation::{Attack, Pushes, Target, attack, pool_cost};
pub use quotes::{AssetQuotes, Quote, read};
