//! The proof of the CPU engine: what it computes against what is known without it.
//!
//! Every comparison has a negative control that shows it can fail. A Monte Carlo check is
//! `|estimate - truth| <= 5` standard errors at a fixed seed.

#[path = "../closed_form/books.rs"]
mod books;
mod fixture;
mod score;
#[path = "../closed_form/table.rs"]
#[expect(dead_code, reason = "the reader of the closed forms' tests, of which not all is needed here")]
mod table;
mod tolerance;

mod bits;
mod coverage;
mod dynamics;
mod hedged;
mod limits;
mod linear;
mod one_pass;
mod option_books;
mod parity;
mod repair;
mod revaluation;
mod student;
