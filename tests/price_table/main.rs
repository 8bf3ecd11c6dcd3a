//! `validate --prices`: the tables, the faults, and a plain simulation as a second opinion.

mod faults;
mod plain;
mod tables;
