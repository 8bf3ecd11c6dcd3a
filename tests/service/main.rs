//! The on-demand service.

mod desk;
mod night;
