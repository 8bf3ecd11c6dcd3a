//! Option quotes instead of surfaces: the same figures, and what is refused.

use crate::book::{Book, json};
use crate::inputs::read_csv;

const YEAR_SECONDS: f64 = 365.0 * 86_400.0;

/// The example with quotes made from its own surfaces, two volatility points wide, and no surfaces.
fn quoted() -> Book {
    let book = Book::new();
    let as_of: jiff::Timestamp = "2026-02-04T21:33:08Z".parse().unwrap();
    let mut text = "asset,expiry,strike,bid_volatility,ask_volatility\n".to_owned();
    for row in &read_csv(&book.read("market/surfaces.csv"))[1..] {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        let (a, b, rho, m, sigma, forward) =
            (number(2), number(3), number(4), number(5), number(6), number(7));
        let expiry: jiff::Timestamp = row[1].parse().unwrap();
        let years = (expiry.as_second() - as_of.as_second()) as f64 / YEAR_SECONDS;
        let deviation = (0.5 * years.sqrt()).max(0.02);
        for i in -14..=14 {
            let k = 0.2 * f64::from(i) * deviation;
            let volatility = ((a + b * (rho * (k - m) + (k - m).hypot(sigma))) / years).sqrt();
            let (bid, ask) = (volatility - 0.01, volatility + 0.01);
            text += &format!("{},{},{:.2},{bid:.4},{ask:.4}\n", row[0], row[1], forward * k.exp());
        }
    }
    book.write("market/quotes.csv", text);
    book.replace("market/market.yaml", "surfaces: surfaces.csv", "quotes: quotes.csv");
    std::fs::remove_file(book.path("market/surfaces.csv")).unwrap();
    book
}

#[test]
fn quotes_give_the_figures_of_their_surfaces() {
    let run = |book: &Book| {
        let said = book.run(&["--case", "base", "--json", "--paths", "16384"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        json(&said)["cases"][0]["accounts"].as_array().unwrap().clone()
    };
    let (surfaces, quotes) = (run(&Book::new()), run(&quoted()));
    assert_eq!(surfaces.len(), quotes.len());
    for (had, has) in surfaces.iter().zip(&quotes) {
        for level in ["maintenance", "initial"] {
            let figure = |account: &serde_json::Value| account[level]["expected_shortfall"].as_f64().unwrap();
            let (had, has) = (figure(had), figure(has));
            assert!(had > 0.0 && (has / had - 1.0).abs() < 0.005, "{level}: {had} and {has}");
        }
    }
}

#[test]
fn bad_quotes_are_refused_with_their_place() {
    let book = quoted();
    let text = book.read("market/quotes.csv");
    let mut rows = read_csv(&text);
    rows[3][3] = "0.9".to_owned();
    rows[3][4] = "0.8".to_owned();
    rows[8][2] = "0".to_owned();
    let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    book.write("market/quotes.csv", lines.join("\n"));
    let said = book.run(&[]);
    assert_eq!(said.code, 65, "{}", said.stderr);
    for needle in [
        "2 faults in the input:",
        "quotes.csv:4: bid_volatility,ask_volatility: found bid 0.9 above ask 0.8; expected a bid not above the ask",
        "quotes.csv:9: strike: found `0`; expected a price above zero",
    ] {
        assert!(said.stderr.contains(needle), "{}", said.stderr);
    }
}

#[test]
fn an_expiry_with_quotes_and_a_surface_is_refused() {
    let book = quoted();
    let surfaces = Book::new().read("market/surfaces.csv");
    book.write("market/surfaces.csv", surfaces.lines().take(2).collect::<Vec<_>>().join("\n"));
    book.replace("market/market.yaml", "quotes: quotes.csv", "quotes: quotes.csv\nsurfaces: surfaces.csv");
    let said = book.run(&[]);
    assert_eq!(said.code, 65, "{}", said.stderr);
    assert!(said.stderr.contains("1 fault in the input:"), "{}", said.stderr);
    assert!(said.stderr.contains("quotes.csv:2: expiry: found an expiry of BTC that has a surface"));
}
