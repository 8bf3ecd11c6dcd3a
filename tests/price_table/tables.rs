//! The four tables of `tests/data`, with the plain simulation beside the closed form.

use crate::plain::PlainPricer;
use shortfall::validate::prices::price_table;

const PATHS: u32 = 100_003;
const SEED: u64 = 20_260_101;

const TABLES: [(&str, &str, usize); 4] = [
    ("black_prices.csv", include_str!("../data/black_prices.csv"), 21),
    ("merton_haug_prices.csv", include_str!("../data/merton_haug_prices.csv"), 67),
    ("merton_prices.csv", include_str!("../data/merton_prices.csv"), 60),
    ("kou_prices.csv", include_str!("../data/kou_prices.csv"), 41),
];

/// `|value - exact| <= VALUE_RELATIVE * exact`: 15 digits are written, the Kou series keeps 11 of a
/// price that is 1e-5 of its strike.
const VALUE_RELATIVE: f64 = 1e-9;

/// `|mc - value| <= STANDARD_ERRORS * standard error`, at a fixed seed.
const STANDARD_ERRORS: f64 = 5.0;

/// Below so many paths in the money the sample says little of its own error: fewer than 30 effective
/// payoffs, `(mean / standard error)^2`, and the bound of [`rare_payoff_error`] is used instead.
const EFFECTIVE_PAYOFFS_MIN: f64 = 30.0;

struct Priced {
    line: String,
    spot: f64,
    exact: f64,
    value: f64,
    simulated: f64,
    standard_error: f64,
}

impl Priced {
    fn agrees(&self) -> bool {
        let payoffs = (self.simulated / self.standard_error).powi(2);
        let error = if payoffs >= EFFECTIVE_PAYOFFS_MIN {
            self.standard_error
        } else {
            self.standard_error.max(self.rare_payoff_error())
        };
        (self.simulated - self.value).abs() <= STANDARD_ERRORS * error
    }

    /// `Var(P) <= E[P^2] <= max(P) E[P]` with the spot for the largest payoff in sight.
    fn rare_payoff_error(&self) -> f64 {
        (self.value * self.spot / f64::from(PATHS)).sqrt()
    }
}

fn priced(name: &str, text: &str, pricer: &mut PlainPricer) -> Vec<Priced> {
    let output = price_table(text, name, pricer).unwrap_or_else(|faults| panic!("{faults}"));
    let table = output.lines().filter(|line| !line.starts_with('#'));
    let mut table = table.map(|line| line.split(',').collect::<Vec<_>>());
    let header = table.next().expect("header");
    table
        .map(|cells| {
            let number = |column: &str| {
                let place = header.iter().position(|name| *name == column).expect("column");
                cells[place].parse::<f64>().expect("number")
            };
            Priced {
                line: cells.join(","),
                spot: number("spot"),
                exact: number("exact"),
                value: number("value"),
                simulated: number("mc_value"),
                standard_error: number("mc_standard_error"),
            }
        })
        .collect()
}

#[test]
fn every_table_agrees_with_plain_simulation() {
    for (name, text, rows) in TABLES {
        let mut pricer = PlainPricer::new(PATHS, SEED);
        let priced = priced(name, text, &mut pricer);
        assert_eq!(priced.len(), rows, "{name}");
        assert!(pricer.calls < rows, "{name}: rows of one underlying share paths");
        for row in &priced {
            assert!((row.value - row.exact).abs() <= VALUE_RELATIVE * row.exact, "{name}: {}", row.line);
            assert!(row.agrees(), "{name}: {}", row.line);
        }
    }
}

/// The comparison can fail: with the volatility 10 % too high many rows are off.
#[test]
fn a_wrong_volatility_is_detected_in_every_table() {
    for (name, text, rows) in TABLES {
        let mut pricer = PlainPricer::new(PATHS, SEED);
        pricer.volatility_factor = 1.1;
        let wrong = priced(name, text, &mut pricer).iter().filter(|row| !row.agrees()).count();
        assert!(wrong * 3 > rows, "{name}: {wrong} of {rows} rows detected");
    }
}

#[test]
fn the_input_comes_back_verbatim() {
    for (name, text, _) in TABLES {
        let output = price_table(text, name, &mut PlainPricer::new(1, SEED)).expect("valid");
        assert_eq!(output.lines().count(), text.lines().count());
        for (ours, theirs) in output.lines().zip(text.lines()) {
            if theirs.starts_with('#') {
                assert_eq!(ours, theirs);
            } else {
                let appended = ours.strip_prefix(theirs).expect("the row as it was read");
                assert_eq!(appended.matches(',').count(), 3, "{ours}");
            }
        }
    }
}

#[test]
fn columns_in_any_order_quotes_byte_order_mark_and_line_ends_survive() {
    let text = "\u{feff}# a comment, with commas\r\nnote, vol ,cp,r,q,days_act365,strike,spot,empty\r\n\
                \"two, parts\", 0.35,P,0.1,0.05,182.5,70,75,\r\n\r\n,0.35,c,0.1,0.05,182.5,70,75,\r\n";
    let output = price_table(text, "mixed.csv", &mut PlainPricer::new(1, SEED)).expect("valid");
    let lines: Vec<&str> = output.split("\r\n").collect();
    assert_eq!(lines[0], "\u{feff}# a comment, with commas");
    assert_eq!(lines[1], "note, vol ,cp,r,q,days_act365,strike,spot,empty,value,mc_value,mc_standard_error");
    assert!(
        lines[2].starts_with("\"two, parts\", 0.35,P,0.1,0.05,182.5,70,75,,4.0869538286353"),
        "{}",
        lines[2]
    );
    assert!(lines[3].starts_with(",0.35,c,0.1,0.05,182.5,70,75,,"), "{}", lines[3]);
    assert_eq!(lines.len(), 5);
}

#[test]
fn an_expired_or_riskless_option_is_worth_its_intrinsic_value() {
    let text = "cp,strike,spot,q,r,t,vol\nC,90,100,0,0,0,0.2\nP,90,100,0,0,1,0\n";
    let output = price_table(text, "limits.csv", &mut PlainPricer::new(3, SEED)).expect("valid");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[1], "C,90,100,0,0,0,0.2,10.0000000000000,10.0000000000000,0");
    assert_eq!(lines[2], "P,90,100,0,0,1,0,0,0,0");
}
