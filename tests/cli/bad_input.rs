//! Bad input: a message with the place, what was found and what would be right; exit code 65; no
//! output folder.

use crate::book::Book;

/// Runs a book that is wrong and checks that every one of `needles` is in the message.
fn refused(book: &Book, needles: &[&str]) -> String {
    let out = book.beside("out");
    let said = book.run(&["--case", "base", "--out", out.to_str().unwrap()]);
    assert_eq!(said.code, 65, "{}", said.stderr);
    assert_eq!(said.stdout, "");
    assert_eq!(book.neighbours(), ["book"], "no output folder, whole or half");
    for needle in needles {
        assert!(said.stderr.contains(needle), "no `{needle}` in\n{}", said.stderr);
    }
    said.stderr
}

/// One change to the example, and what the message must say.
fn changed(name: &str, from: &str, to: &str, needles: &[&str]) {
    let book = Book::new();
    book.replace(name, from, to);
    let needles: Vec<&str> = needles.iter().copied().chain([name]).collect();
    refused(&book, &needles);
}

#[test]
fn unknown_keys() {
    let needles =
        ["scenario.yaml:27:3: simulation.path: found the unknown key `path`; expected one of device,"];
    changed("scenario.yaml", "  paths: ", "  path: ", &needles);
    changed("market/market.yaml", "    drift: ", "    drfit: ", &["assets[0].drfit", "unknown key"]);
    changed("positions.csv", "quantity", "quantitiy", &["positions.csv:1: header: found the unknown column"]);
}

#[test]
fn duplicate_accounts() {
    let book = Book::new();
    let accounts = book.read("accounts.csv");
    let first = accounts.lines().nth(1).unwrap();
    book.write("accounts.csv", format!("{accounts}{first}\n"));
    let line = accounts.lines().count() + 1;
    refused(&book, &[&format!("accounts.csv:{line}: account: found the account `market-maker` twice")]);
}

#[test]
fn not_a_number_and_infinities() {
    for word in [".nan", ".inf", "-.inf"] {
        let place = "market.yaml:10:11: assets[0].spot: found ";
        changed("market/market.yaml", "73104.95", word, &[place, "expected a price above zero"]);
    }
    for word in ["nan", "inf", "-inf", "1e999", "NaN"] {
        let place = format!("positions.csv:2: quantity: found `{word}`");
        changed("positions.csv", "-12,", &format!("{word},"), &[&place, "expected a finite number"]);
    }
    changed("scenario.yaml", "confidence: 0.99", "confidence: .nan", &["margin.maintenance.confidence"]);
    changed("market/forwards.csv", "73069.25", "nan", &["forwards.csv:2: forward: found `nan`"]);
    changed("market/crises.csv", "-0.62451", "inf", &["crises.csv:2: log_return: found `inf`"]);
}

#[test]
fn negative_volatility() {
    let needles = ["market.yaml:12:17: assets[0].volatility: found -0.3952", "from 0 to 20"];
    changed("market/market.yaml", "volatility: 0.3952", "volatility: -0.3952", &needles);
}

#[test]
fn a_correlation_that_cannot_be_offers_the_nearest() {
    let book = Book::new();
    book.write("market/correlation.csv", "asset,BTC,ETH,SOL\nBTC,1,1,0\nETH,1,1,1\nSOL,0,1,1\n");
    // Higham (2002), section 4: the nearest has off-diagonals 0.7607, 0.1573, 0.7607.
    refused(&book, &["not positive semidefinite", "-4.142e-1", "asset,BTC,ETH,SOL", "BTC,1.000000,0.7606"]);
}

#[test]
fn the_offered_correlation_is_accepted() {
    let book = Book::new();
    book.write("market/correlation.csv", "asset,BTC,ETH,SOL\nBTC,1,1,0\nETH,1,1,1\nSOL,0,1,1\n");
    let message = refused(&book, &[]);
    let offered = message.find("asset,BTC").map(|start| message[start..].trim_end().to_owned()).unwrap();
    book.write("market/correlation.csv", offered + "\n");
    assert_eq!(book.run(&["--case", "base", "--quiet"]).code, 0);
}

#[test]
fn arbitrageable_surfaces() {
    let steep = ["surfaces.csv:2: a,b,rho,m,sigma: found ", "expected a slice free of butterfly arbitrage"];
    changed("market/surfaces.csv", "0.022194609", "3.9", &steep);
    // The total variance of the second expiry, far below the first.
    let book = Book::new();
    let surfaces = book.read("market/surfaces.csv");
    let first = surfaces.lines().nth(1).unwrap().replace("-0.000874224", "0.5");
    let second = surfaces.lines().nth(1).unwrap();
    let text = surfaces.replacen(second, &first, 1);
    book.write("market/surfaces.csv", text);
    refused(&book, &["surfaces.csv:3: a,b,rho,m,sigma: ", "expected total variance that grows with expiry"]);
}

#[test]
fn expired_instruments_and_unknown_assets() {
    let expired = ["positions.csv:2: instrument: found `BTC-27JAN26-78000-C`", "not expired"];
    changed("positions.csv", "BTC-27FEB26-78000-C", "BTC-27JAN26-78000-C", &expired);
    changed("positions.csv", "BTC-27FEB26-78000-C", "XYZ-27FEB26-78000-C", &["not of `XYZ`"]);
    changed("balances.csv", "market-maker,BTC", "market-maker,XYZ", &["balances.csv:2: asset: found `XYZ`"]);
    changed("scenario.yaml", "SOL: -0.5", "XYZ: -0.5", &["found the unknown asset `XYZ`"]);
    let grammar = ["positions.csv:2: instrument", "a name such as BTC"];
    changed("positions.csv", "BTC-27FEB26-78000-C", "BTC-78000-C", &grammar);
}

#[test]
fn empty_files() {
    for name in
        ["scenario.yaml", "market/market.yaml", "positions.csv", "accounts.csv", "market/surfaces.csv"]
    {
        let book = Book::new();
        book.write(name, "");
        refused(&book, &[name, "found an empty file"]);
    }
    let book = Book::new();
    book.write("positions.csv", "account,instrument,quantity\n");
    refused(&book, &["positions.csv: found a table without rows; expected at least one row"]);
}

#[test]
fn zero_paths_and_absurd_sizes() {
    for (from, to, needles) in [
        (
            "paths: 65536",
            "paths: 0",
            "simulation.paths: found 0; expected a whole number from 1 to 68719476736",
        ),
        ("paths: 65536", "paths: 1e30", "simulation.paths: found 1000000000000000000000000000000;"),
        ("paths: 65536", "paths: 1.5", "simulation.paths: found 1.5;"),
        ("paths: 65536", "paths: -4", "simulation.paths: found -4;"),
        (
            "steps: 24",
            "steps: 100000000",
            "simulation.steps: found 100000000; expected a whole number from 1",
        ),
        ("horizon: 1d", "horizon: 1000y", "margin.maintenance.horizon: found `1000y`"),
        ("multiply: 3.0", "multiply: 1e9", "stresses[4].jump_intensity.multiply: found 1000000000"),
    ] {
        changed("scenario.yaml", from, to, &[needles]);
    }
    changed("positions.csv", "-12,", "1e300,", &["positions.csv:2: quantity: found `1e300`"]);
}

#[test]
fn all_faults_of_all_files_come_at_once() {
    let book = Book::new();
    book.replace("scenario.yaml", "seed: 1", "seed: -1");
    book.replace("scenario.yaml", "weight: 0.7", "weight: 7");
    book.replace("positions.csv", "-12,", "many,");
    book.replace("positions.csv", "BTC-27FEB26-68000-P", "BTC-27FEB26-68000-X");
    book.replace("balances.csv", "14300", "");
    let message = refused(
        &book,
        &[
            "5 faults in the input:",
            "simulation.seed: found -1",
            "stresses[3].correlation.weight: found 7",
            "positions.csv:2: quantity: found `many`",
            "positions.csv:3: instrument: found `BTC-27FEB26-68000-X`",
            "balances.csv:3: amount: found nothing",
        ],
    );
    assert_eq!(message.lines().count(), 6, "{message}");
}

#[test]
fn faults_of_the_market_come_at_once() {
    let book = Book::new();
    book.replace("market/market.yaml", "73104.95", ".nan");
    book.replace("market/market.yaml", "volatility: 0.7392", "volatility: -1");
    book.replace("market/market.yaml", "    drift: 0", "    drfit: 0");
    refused(&book, &["3 faults", "assets[0].spot", "assets[0].drfit", "assets[1].volatility"]);
}

#[test]
fn files_that_are_not_there() {
    let book = Book::new();
    std::fs::remove_file(book.path("balances.csv")).unwrap();
    refused(&book, &["balances.csv: found No such file", "paths are relative to the file that names them"]);
    let book = Book::new();
    std::fs::remove_file(book.path("scenario.yaml")).unwrap();
    refused(&book, &["scenario.yaml: found No such file", "shortfall init DIR"]);
}

#[test]
fn a_cell_cannot_write_to_the_terminal() {
    let book = Book::new();
    book.replace("positions.csv", "-12,", "\u{1b}[31mred,");
    let message = refused(&book, &["positions.csv:2: quantity"]);
    assert!(!message.contains('\u{1b}'), "{message:?}");
}
