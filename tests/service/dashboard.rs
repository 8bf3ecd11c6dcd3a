//! The dashboard in a browser without a screen.
//!
//! Skipped with a word where there is no Chromium; with `REQUIRE_BROWSER=1` that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::night::Night;
use crate::server::Server;

/// Time that the page believes to have had, milliseconds: requests in flight hold it up.
const VIRTUAL_MILLISECONDS: u32 = 10_000;

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|p| p.is_file());
    let is_required = std::env::var_os("REQUIRE_BROWSER").is_some_and(|value| value == "1");
    assert!(found.is_some() || !is_required, "REQUIRE_BROWSER=1, and there is no Chromium");
    if found.is_none() {
        eprintln!("skipped: no Chromium; `apt-get install chromium` brings one");
    }
    found
}

fn run(browser: &Path, night: &Night, arguments: &[&str], url: &str) -> String {
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", night.path("browser").display()))
        .arg(format!("--virtual-time-budget={VIRTUAL_MILLISECONDS}"))
        .args(arguments)
        .arg(url)
        .output()
        .expect("the browser runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn accounts_losses_attribution_paths_and_a_what_if_are_shown() {
    let Some(browser) = browser() else { return };
    let night = Night::new();
    let server = Server::with(&night, |_| {});
    let url = format!("{}/#account=market-maker&order=BTC-27MAR26-80000-C:10", server.url());
    let page = run(&browser, &night, &["--dump-dom"], &url);
    for part in [
        // Accounts, coloured by state, those that need money first.
        "<td>under-water</td><td><span class=\"state liquidate\">",
        "<td>basis-trade</td><td><span class=\"state healthy\">",
        "aria-sort=\"ascending\"",
        "<h2 id=\"account-title\">market-maker</h2>",
        "ES 99% 1d",
        // The distribution, with both marks.
        "class=\"mark var\"",
        "class=\"mark es\"",
        "Losses: VaR",
        // Attribution, worst paths, the answer to the what-if.
        "Components of the Expected Shortfall",
        "<table id=\"comparison\">",
        "the account is unchanged",
        // The cash of the link is in the form, and counts.
        "<label>Cash paid (-) or received (+), USD",
        "<dt>Worst driver</dt><dd>",
        "Market 1 of 2026-02-04",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(page.contains("id=\"trouble\" role=\"alert\" hidden"), "the page reports trouble:\n{page}");
    let rows = page.split("<table id=\"paths\">").nth(1).expect("worst paths").matches("<tr>").count();
    assert!(rows > 5, "{rows} rows of worst paths");
    let order = |name: &str| page.find(&format!("<td>{name}</td>")).expect("an account");
    assert!(order("under-water") < order("market-maker"));
}

#[test]
fn the_page_of_operations_lists_all() {
    let Some(browser) = browser() else { return };
    let night = Night::new();
    let server = Server::with(&night, |_| {});
    let page = run(&browser, &night, &["--dump-dom"], &format!("{}/docs", server.url()));
    let document = server.get("/openapi.json").ok();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path} is not listed");
    }
    assert!(page.contains("id=\"type-WhatIfAnswer\""));
}

/// For looking at: `SHORTFALL_SCREENSHOTS=DIR cargo test --test service screenshots`.
#[test]
fn screenshots_are_taken_where_they_are_asked_for() {
    let (Some(browser), Some(folder)) = (browser(), std::env::var_os("SHORTFALL_SCREENSHOTS")) else {
        return;
    };
    let night = Night::new();
    let server = Server::with(&night, |_| {});
    let url = format!("{}/#account=market-maker&order=BTC-27MAR26-80000-C:10", server.url());
    for (name, size, more) in [
        ("wide", "1400,1500", "--lang=en"),
        ("dark", "1400,1500", "--force-dark-mode"),
        ("phone", "500,2600", "--lang=en"),
    ] {
        let file = Path::new(&folder).join(format!("{name}.png"));
        let screenshot = format!("--screenshot={}", file.display());
        run(&browser, &night, &[&screenshot, &format!("--window-size={size}"), more], &url);
        assert!(file.is_file(), "{name}");
    }
}
