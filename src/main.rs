//! Command line of shortfall.
fn main() {}
