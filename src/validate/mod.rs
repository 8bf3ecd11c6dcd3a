//! Checks of the engine against what is known without it.

pub mod prices;
