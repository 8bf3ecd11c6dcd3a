//! What an answer that is not the one asked for looks like: problem details, RFC 9457.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Faults;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Faults of one answer; the rest is only counted.
const SHOWN: usize = 100;
/// Characters of what was found, so that an answer does not echo a whole request.
const FOUND_CHARS: usize = 200;

/// Why a request has no answer, and all that is wrong with it at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Kind of the problem, `urn:shortfall:KIND`; programs decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened, and what to do next.
    pub detail: String,
    /// Names this request in the service's log.
    pub request_id: String,
    /// Seconds to wait before the same request may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Everything that is wrong with the request, up to 100 faults.
    #[serde(default)]
    pub faults: Vec<RequestFault>,
    /// Faults beyond those shown.
    #[serde(default)]
    pub further_faults: u64,
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestFault {
    /// Where it stands: `body.orders[2].quantity`, `query.since`, `header.authorization`.
    #[serde(rename = "where")]
    pub place: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub wanted: String,
}

impl Problem {
    /// A problem of a status; `kind` is a word such as `unknown-account`.
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:shortfall:{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            request_id: String::new(),
            retry_after_seconds: None,
            faults: Vec::new(),
            further_faults: 0,
        }
    }

    /// Adds a fault of the request.
    #[must_use]
    pub fn with(
        mut self,
        place: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        if self.faults.len() >= SHOWN {
            self.further_faults += 1;
            return self;
        }
        let found = shortened(&found.into());
        self.faults.push(RequestFault { place: place.into(), found, wanted: wanted.into() });
        self
    }

    /// Adds all faults that a reader collected.
    #[must_use]
    pub fn with_all(self, faults: &Faults) -> Self {
        let counted = faults.count() - faults.as_slice().len() as u64;
        let mut problem = faults
            .as_slice()
            .iter()
            .fold(self, |problem, fault| problem.with(&fault.field, &fault.found, &fault.expected));
        problem.further_faults += counted;
        problem
    }

    /// Says when the same request may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.status, self.detail)?;
        for RequestFault { place, found, wanted } in &self.faults {
            write!(f, "\n  {place}: found {found}; expected {wanted}")?;
        }
        if self.further_faults > 0 {
            write!(f, "\n  … and {} more", self.further_faults)?;
        }
        if let Some(seconds) = self.retry_after_seconds {
            write!(f, "\n  try again in {seconds} s")?;
        }
        Ok(())
    }
}

/// A name as a part of a path.
pub fn path_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The beginning of a text, without control characters.
fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(FOUND_CHARS).map(printable).collect();
    if text.chars().nth(FOUND_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_for_paths() {
        assert_eq!(path_segment("a b/ü?"), "a%20b%2F%C3%BC%3F");
    }

    #[test]
    fn faults_are_shown_up_to_a_limit_and_what_was_found_is_cut() {
        let problem = (0..150).fold(Problem::new(422, "kind", "Title", "detail"), |problem, index| {
            problem.with(format!("body[{index}]"), "\u{1b}".repeat(1000), "text")
        });
        assert_eq!((problem.faults.len(), problem.further_faults), (100, 50));
        assert_eq!(problem.faults[0].found.chars().count(), FOUND_CHARS + 1);
        assert!(!problem.to_string().contains('\u{1b}'));
    }
}
