//! The on-demand service.

mod dashboard;
mod desk;
mod http_events;
mod http_fuzz;
mod http_limits;
mod http_process;
mod http_routes;
mod http_security;
mod http_tls;
mod market;
mod night;
mod rules;
mod server;
mod store;
mod what_if;
