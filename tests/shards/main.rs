//! Divided and interrupted runs, as real processes: whatever happens to them, the bytes of their
//! results are those of one run.

mod divided;
mod interrupted;
mod night;
mod process;
