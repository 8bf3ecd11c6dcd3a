//! The service over HTTP: routes, keys, limits, TLS, events, figures, pages.
//!
//! Reads of kept figures are answered at once. What computes waits for a turn in the queue of its
//! kind (`lanes`); when its client goes away, it stops computing.

mod answer;
mod app;
mod auth;
mod events;
mod extract;
mod guard;
mod lanes;
mod metrics;
mod options;
mod routes;
mod schema;
mod server;
mod tls;
mod trace;
mod turns;

pub use options::{Limits, Options, TlsFiles};
pub use server::{Running, ServeFault, start};
