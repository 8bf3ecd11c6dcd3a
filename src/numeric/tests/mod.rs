//! The numeric core against published answers, references in `f64`, and its own lanes.

mod accuracy;
mod known_answers;
mod lanes;
mod measure;
mod normal_accuracy;
mod normals;
mod properties;

pub use self::known_answers::philox_known_answers;
pub use self::measure::edge_words;
