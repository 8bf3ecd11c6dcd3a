//! The on-demand service.

mod desk;
mod market;
mod night;
mod store;
mod what_if;
