//! Random words and elementary functions with the same bits everywhere.
//!
//! Every function here is built from `+`, `-`, `*`, comparisons and integer
//! operations, in an order that `shaders/lib/*.wgsl` repeats, so an `f32`
//! figure is the same to the last bit on any CPU and on any GPU. The same
//! algorithms with other tables serve `f64`, the reference the `f32` figure is
//! judged by.
//!
//! Write callers as generic code over [`Real`]: `f32` and `f64` have inherent
//! methods of the same names (`exp`, `min`, `recip`, ...) which win over the
//! trait's where the type is concrete, and which are other functions. On a
//! concrete type say `Real::exp(x)`.
//!
//! No argument may be NaN, infinite or subnormal: a device is free to flush
//! subnormals and to assume the others away.

mod exp_log;
mod f32_tables;
mod f64_tables;
mod float;
mod lanes;
mod normal;
mod option;
mod philox;
mod real;
mod rng;
mod root;
#[cfg(test)]
pub(crate) mod tests;
mod trig;
mod word;

pub use float::Float;
pub use lanes::Lanes;
pub use philox::philox4x32_10;
pub use real::Real;
pub use rng::PhiloxRng;
pub use word::{Word, WordLanes};
