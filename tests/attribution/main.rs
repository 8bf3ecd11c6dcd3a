//! Attribution: components that add up, the tail's paths against the full cube, and a closed form.

mod book;
mod closed_form;
mod greeks;
mod paths;
mod sums;
