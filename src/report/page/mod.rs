//! A run as one HTML page that a risk committee reads: no outside resources, no scripts, readable on
//! a phone and on paper, in light and in dark.
//!
//! Every text that comes from a file goes through `maud`, which escapes it; charts carry no text
//! from files but names that [`crate::plot`] escapes.

mod input;
mod markdown;
mod sections;
mod style;

pub use input::{Saved, read};
pub use markdown::markdown;

use maud::{DOCTYPE, Markup, html};

use self::input::{SavedAccount, SavedCase};

/// The page as HTML.
pub fn html(saved: &Saved) -> String {
    let summary = &saved.summary;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (summary.scenario) " – margins as of " (summary.as_of) }
                style { (maud::PreEscaped(style::STYLE)) }
            }
            body {
                header {
                    h1 { (summary.scenario) }
                    p { "Margins of all accounts on the market of " (summary.as_of) ", money in " (summary.currency) "." }
                }
                main {
                    (sections::summary(saved))
                    (sections::accounts(saved))
                    (sections::distributions(saved))
                    (sections::components(saved))
                    (sections::stresses(saved))
                    (sections::attribution(saved))
                    (sections::worst_paths(saved))
                    (sections::comparison(saved))
                    (sections::procyclicality(saved))
                    (sections::manifest(saved))
                }
            }
        }
    };
    page.into_string()
}

/// Accounts of a case, the neediest first.
fn by_need(case: &SavedCase) -> Vec<&SavedAccount> {
    let mut accounts: Vec<&SavedAccount> = case.accounts.iter().collect();
    accounts.sort_by(|a, b| a.need().total_cmp(&b.need()).then_with(|| a.account.cmp(&b.account)));
    accounts
}

/// A section with its title; nothing where it has no content.
fn section(title: &str, content: Option<Markup>) -> Markup {
    html! {
        @if let Some(content) = content {
            section { h2 { (title) } (content) }
        }
    }
}
