//! Would the margin have covered what then happened? Models walked through real history.

pub mod statistics;
