//! Margin rules: each component against numbers computed by hand, properties of their sum, and
//! scenarios that declare them.

mod book;
mod components;
mod greeks;
mod liquidation;
mod oracle;
mod properties;
mod reverse;
mod scenarios;
