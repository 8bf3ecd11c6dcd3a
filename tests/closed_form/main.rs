//! Closed forms against published and independently computed tables in `tests/data`.

mod books;
mod prices;
mod properties;
mod shortfall_books;
mod shortfall_tables;
mod table;
mod tolerance;
