//! Option quotes as implied volatilities: checked for arbitrage, then fitted by one slice an expiry.

use std::collections::HashSet;

use jiff::Timestamp;

use super::read::{MAX_VOLATILITY, asset_of, expiry_of};
use super::svi_fit::{Point, fit, settle};
use super::{Asset, SurfaceSlice, SviSlice};
use crate::fault::Faults;
use crate::numeric::Real;
use crate::table::{Row, Table, required};
use crate::units::Years;

/// Fewest quotes of an expiry: a slice has five parameters.
const LEAST_QUOTES: usize = 5;
/// Largest root mean square distance of a slice from its quotes.
const RMSE_MOST: f64 = 0.10;
/// A gain below this part of the forward is rounding of the printed volatilities.
const GAIN_TOLERANCE: f64 = 1e-6;
/// The volatilities of a quote, as a fault names them.
const VOLATILITIES: &str = "bid_volatility,ask_volatility";

#[derive(Clone, Copy, Debug)]
struct Quote {
    line: u64,
    strike: f64,
    bid: f64,
    ask: f64,
}

/// The quotes of one asset and expiry, by strike.
struct Chain {
    asset: usize,
    expiry: Timestamp,
    /// Where the file speaks of it first.
    line: u64,
    quotes: Vec<Quote>,
    /// Whether a row of it was refused: what the others say together is then not judged.
    is_broken: bool,
}

/// The whole surface of every asset that the table quotes: its fitted slices among those that the
/// asset has, by expiry. Without a rate (the rest of the market is at fault) nothing is priced, and
/// the quotes are only checked row by row.
pub fn read(
    table: &Table,
    assets: &[Asset],
    as_of: Timestamp,
    rate: Option<f64>,
) -> Result<Vec<(usize, Vec<SurfaceSlice>)>, Faults> {
    let (chains, mut faults) = read_chains(table, assets, as_of)?;
    let mut priced = Vec::new();
    for chain in &chains {
        let asset = &assets[chain.asset];
        let mut fault = |column, found, expected| {
            faults.push(table.fault_at(chain.line, column, found, expected));
        };
        if asset.slice(chain.expiry).is_some() {
            let found = format!("an expiry of {} that has a surface", asset.name);
            fault("expiry", found, "quotes or a surface for an expiry, not both");
        }
        if chain.is_broken {
            continue;
        }
        let count = chain.quotes.len();
        if count < LEAST_QUOTES {
            let found = format!("{count} quote{} of this expiry", if count == 1 { "" } else { "s" });
            fault("expiry", found, "at least 5");
        }
        let Some(rate) = rate else { continue };
        let tenor = Years::between(as_of, chain.expiry);
        let (Some(forward), Some(tenor)) = (asset.forward(as_of, chain.expiry, rate), tenor) else {
            let found = format!("an expiry that no forward of {} reaches", asset.name);
            fault("expiry", found, "an expiry between two that have a forward");
            continue;
        };
        for (line, found, expected) in arbitrages(&chain.quotes, forward, tenor.get()) {
            faults.push(table.fault_at(line, VOLATILITIES, found, expected));
        }
        priced.push((chain, forward, tenor.get()));
    }
    faults.sort_by_line();
    if !faults.is_empty() || rate.is_none() {
        return faults.into_result(Some(Vec::new()));
    }
    let mut surfaces = Vec::new();
    for of_asset in priced.chunk_by(|x, y| x.0.asset == y.0.asset) {
        let asset = of_asset[0].0.asset;
        surfaces.push((asset, fit_surface(table, &assets[asset], of_asset, &mut faults)));
    }
    faults.into_result(Some(surfaces))
}

fn read_chains(table: &Table, assets: &[Asset], as_of: Timestamp) -> Result<(Vec<Chain>, Faults), Faults> {
    let columns = ["asset", "expiry", "strike", "bid_volatility", "ask_volatility"].map(required);
    let mut chains: Vec<Chain> = Vec::new();
    let mut is_anywhere_broken = false;
    let mut seen = HashSet::new();
    // An outer fault (the header) leaves no rows at all; faults of rows leave the chains of the others.
    let read = table.rows(&columns, |row| {
        let asset = asset_of(row, assets);
        let expiry = expiry_of(row, as_of);
        let quote = read_quote(row);
        let (Some(asset), Some(expiry)) = (asset, expiry) else {
            is_anywhere_broken = true;
            return None;
        };
        let index = match chains.iter().position(|c| (c.asset, c.expiry) == (asset, expiry)) {
            Some(index) => index,
            None => {
                let line = row.number_in_file();
                chains.push(Chain { asset, expiry, line, quotes: Vec::new(), is_broken: false });
                chains.len() - 1
            }
        };
        let Some(quote) = quote else {
            chains[index].is_broken = true;
            return None;
        };
        if !seen.insert((index, quote.strike.to_bits())) {
            return row.fault("strike", "the same asset, expiry and strike twice", "each once");
        }
        chains[index].quotes.push(quote);
        Some(())
    });
    let faults = match read {
        Err(faults) if chains.is_empty() => return Err(faults),
        read => read.err().unwrap_or_default(),
    };
    for chain in &mut chains {
        chain.quotes.sort_by(|x, y| x.strike.total_cmp(&y.strike));
        // A row whose asset or expiry cannot be read may be the one that is missing here.
        chain.is_broken |= is_anywhere_broken && chain.quotes.len() < LEAST_QUOTES;
    }
    chains.sort_by_key(|chain| (chain.asset, chain.expiry));
    Ok((chains, faults))
}

fn read_quote(row: &Row<'_>) -> Option<Quote> {
    let volatility =
        |column| row.number(column, "a volatility in (0, 20]", |x| x > 0.0 && x <= MAX_VOLATILITY);
    let strike = row.number("strike", "a price above zero", |x| x > 0.0 && x < 1e12);
    let (bid, ask) = (volatility("bid_volatility"), volatility("ask_volatility"));
    let (strike, bid, ask) = (strike?, bid?, ask?);
    if bid > ask {
        let text = |column| row.cell(column);
        let found = format!("bid {} above ask {}", text("bid_volatility"), text("ask_volatility"));
        return row.fault(VOLATILITIES, found, "a bid not above the ask");
    }
    Some(Quote { line: row.number_in_file(), strike, bid, ask })
}

/// Undiscounted call (Black 1976).
fn call(forward: f64, strike: f64, volatility: f64, years: f64) -> f64 {
    let deviation = (volatility * volatility * years).max(1e-12).sqrt();
    let d = (forward / strike).ln() / deviation;
    let (d1, d2) = (d + 0.5 * deviation, d - 0.5 * deviation);
    forward * Real::normal_cdf(d1) - strike * Real::normal_cdf(d2)
}

/// Spreads of neighbouring strikes that are paid for with less than nothing: line, what was found,
/// what would be right. Prices are undiscounted calls; the gain is in US dollars at the expiry, for
/// one unit bought of each wing or leg.
fn arbitrages(quotes: &[Quote], forward: f64, years: f64) -> Vec<(u64, String, &'static str)> {
    let bid = |q: &Quote| call(forward, q.strike, q.bid, years);
    let ask = |q: &Quote| call(forward, q.strike, q.ask, years);
    let is_gain = |gain: f64| gain > GAIN_TOLERANCE * forward;
    let mut found = Vec::new();
    for pair in quotes.windows(2) {
        let (low, high) = (&pair[0], &pair[1]);
        let step = high.strike - low.strike;
        // Bought: it pays nothing at the worst. Sold: it costs the step at the worst.
        let gain = (bid(high) - ask(low)).max(bid(low) - ask(high) - step);
        if is_gain(gain) {
            let text = format!(
                "a vertical spread of {} and {} with a sure gain of {}",
                low.strike,
                high.strike,
                amount(gain)
            );
            found.push((high.line, text, "call prices that fall with the strike, by at most its step"));
        }
    }
    for three in quotes.windows(3) {
        let (low, middle, high) = (&three[0], &three[1], &three[2]);
        let share = (high.strike - middle.strike) / (high.strike - low.strike);
        let gain = bid(middle) - share * ask(low) - (1.0 - share) * ask(high);
        if is_gain(gain) {
            let text = format!(
                "a butterfly of {}, {} and {} with a sure gain of {}",
                low.strike,
                middle.strike,
                high.strike,
                amount(gain)
            );
            found.push((middle.line, text, "call prices that are convex in the strike"));
        }
    }
    found
}

/// Four digits of an amount above zero.
fn amount(x: f64) -> String {
    let decimals = (3.0 - x.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{x:.decimals$}")
}

/// The slices of one asset by expiry: those that it has, and one for each chain, none below the one
/// before it.
fn fit_surface(
    table: &Table,
    asset: &Asset,
    chains: &[(&Chain, f64, f64)],
    faults: &mut Faults,
) -> Vec<SurfaceSlice> {
    let points: Vec<Vec<Point>> = chains.iter().map(|(chain, forward, _)| points(chain, *forward)).collect();
    // From the latest expiry down, each below the next; then up, each above the one before.
    let mut fitted: Vec<SviSlice> = Vec::new();
    for (index, (chain, _, years)) in chains.iter().enumerate().rev() {
        let after = chains.get(index + 1).map(|(next, _, _)| next.expiry);
        let given = asset.surface.iter().find(|slice| slice.expiry > chain.expiry);
        let given = given.filter(|slice| after.is_none_or(|after| slice.expiry < after));
        let later = given.map(|slice| &slice.svi).or(fitted.last());
        fitted.push(fit(&points[index], *years, later));
    }
    fitted.reverse();
    let mut surface: Vec<SurfaceSlice> = Vec::new();
    let mut given = asset.surface.iter().peekable();
    // The chain whose slice is the last of the surface, if a chain made it.
    let mut last: Option<&Chain> = None;
    for index in 0..=chains.len() {
        let next = chains.get(index);
        let is_before = |slice: &&SurfaceSlice| next.is_none_or(|(chain, _, _)| slice.expiry < chain.expiry);
        while let Some(slice) = given.next_if(is_before) {
            if let (Some(chain), Some(before)) = (last, surface.last())
                && let Err(fault) = slice.svi.check_after(&before.svi)
            {
                let found = format!("{fault} of the surface of {} against these quotes", slice.expiry);
                faults.push(table.fault_at(
                    chain.line,
                    "expiry",
                    found,
                    "total variance that grows with expiry",
                ));
            }
            surface.push(slice.clone());
            last = None;
        }
        let Some(&(chain, _, years)) = next else { continue };
        let before = surface.last().map(|slice| &slice.svi);
        let fit = settle(&fitted[index], &points[index], years, before);
        if !(fit.rmse_volatility <= RMSE_MOST) {
            let found =
                format!("quotes of {} for {} with rmse {:.2}", asset.name, chain.expiry, fit.rmse_volatility);
            let expected = "quotes that a slice free of arbitrage fits to within 0.10";
            faults.push(table.fault_at(chain.line, VOLATILITIES, found, expected));
        }
        surface.push(SurfaceSlice {
            expiry: chain.expiry,
            svi: fit.svi,
            rmse_volatility: Some(fit.rmse_volatility),
            max_error_volatility: Some(fit.max_error_volatility),
        });
        last = Some(chain);
    }
    surface
}

fn points(chain: &Chain, forward: f64) -> Vec<Point> {
    let point = |q: &Quote| Point {
        log_moneyness: (q.strike / forward).ln(),
        volatility: 0.5 * (q.bid + q.ask),
        half_width: 0.5 * (q.ask - q.bid),
    };
    chain.quotes.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::closed_form::{EuropeanOption, OptionKind, black_price};
    use crate::market::Market;

    const HEADER: &str = "asset,expiry,strike,bid_volatility,ask_volatility\n";

    fn market() -> Market {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/market/2026-02-04/market.yaml");
        crate::market::read(&file).expect("the market of the examples")
    }

    /// The market without surfaces.
    fn bare() -> Market {
        let mut market = market();
        market.assets.iter_mut().for_each(|asset| asset.surface.clear());
        market
    }

    fn read_text(market: &Market, text: &str) -> Result<Vec<(usize, Vec<SurfaceSlice>)>, Faults> {
        let table = Table::from_csv("quotes.csv", text).expect("a table");
        read(&table, &market.assets, market.as_of, Some(market.discount_rate_annual))
    }

    /// Seven strikes of BTC at 60 %, a point wide.
    fn rows() -> Vec<String> {
        let strike = |i: u32| 50_000 + 8_000 * i;
        (0..7).map(|i| format!("BTC,2026-03-27T08:00:00Z,{},0.595,0.605", strike(i))).collect()
    }

    fn messages(rows: &[String]) -> Vec<String> {
        match read_text(&bare(), &(HEADER.to_owned() + &rows.join("\n"))) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.as_slice().iter().map(ToString::to_string).collect(),
        }
    }

    fn with(index: usize, row: &str) -> Vec<String> {
        let mut rows = rows();
        rows[index] = format!("BTC,2026-03-27T08:00:00Z,{row}");
        messages(&rows)
    }

    #[test]
    fn sound_quotes_pass() {
        assert_eq!(messages(&rows()), Vec::<String>::new());
    }

    #[test]
    fn every_row_is_checked_and_all_faults_come_at_once() {
        let mut bad = rows();
        bad.push("XYZ,2026-03-27T08:00:00Z,60000,0.5,0.6".to_owned());
        bad.push("BTC,2026-01-27T08:00:00Z,60000,0.5,0.6".to_owned());
        bad.push("ETH,2026-03-27T08:00:00Z,-1,0,21".to_owned());
        bad.push("BTC,2026-03-27T08:00:00Z,50000,0.59,0.61".to_owned());
        bad.push("ETH,2026-03-27T08:00:00Z,2000,0.62,0.60".to_owned());
        let found = messages(&bad);
        let needles = [
            "quotes.csv:9: asset: found `XYZ`",
            "quotes.csv:10: expiry: found 2026-01-27T08:00:00Z, already expired",
            "quotes.csv:11: strike: found `-1`; expected a price above zero",
            "quotes.csv:11: bid_volatility: found `0`; expected a volatility in (0, 20]",
            "quotes.csv:11: ask_volatility: found `21`",
            "quotes.csv:12: strike: found the same asset, expiry and strike twice",
            "quotes.csv:13: bid_volatility,ask_volatility: found bid 0.62 above ask 0.60; expected a bid not above the ask",
        ];
        assert_eq!(found.len(), needles.len(), "{found:#?}");
        for (text, needle) in found.iter().zip(needles) {
            assert!(text.starts_with(needle), "{text}");
        }
        let few = messages(&rows()[..4]);
        assert_eq!(few, ["quotes.csv:2: expiry: found 4 quotes of this expiry; expected at least 5"]);
    }

    #[test]
    fn vertical_and_butterfly_spreads_with_a_sure_gain_are_found() {
        // A call at 90,000 that costs more than the one at 82,000.
        let vertical = with(5, "90000,0.9,0.91");
        let place = "quotes.csv:7: bid_volatility,ask_volatility: found a vertical spread of 82000 and 90000 with a sure gain of ";
        assert!(vertical[0].starts_with(place), "{vertical:#?}");
        // Four points over the neighbours at the money, a third of the forward apart from nothing else.
        let narrow: Vec<String> = [72_000, 72_500, 73_000, 73_500, 74_000, 74_500]
            .iter()
            .enumerate()
            .map(|(i, strike)| {
                let middle = if i == 2 { 0.615 } else { 0.6 };
                format!("BTC,2026-03-27T08:00:00Z,{strike},{},{}", middle - 0.002, middle + 0.002)
            })
            .collect();
        let butterfly = messages(&narrow);
        let place = "quotes.csv:4: bid_volatility,ask_volatility: found a butterfly of 72500, 73000 and 73500 with a sure gain of ";
        assert_eq!(butterfly.len(), 1, "{butterfly:#?}");
        assert!(butterfly[0].starts_with(place), "{butterfly:#?}");
        // The gain by hand: what the two wings cost less than the middle brings.
        let forward = bare().assets[0].forward(bare().as_of, "2026-03-27T08:00:00Z".parse().unwrap(), 0.0);
        let (forward, years) = (forward.unwrap(), 50.435_324_074_074_075 / 365.0);
        let black = |strike: f64, volatility: f64| {
            let option = EuropeanOption {
                kind: OptionKind::Call,
                spot: forward,
                strike,
                rate: 0.0,
                dividend_yield: 0.0,
                expiry_years: years,
            };
            black_price(&option, volatility).unwrap()
        };
        let gain = black(73_000.0, 0.613) - 0.5 * (black(72_500.0, 0.602) + black(73_500.0, 0.602));
        assert!(butterfly[0].contains(&amount(gain)), "{} {gain}", butterfly[0]);
        // The same bump between wider quotes cannot be bought.
        let wide: Vec<String> =
            narrow.iter().map(|row| row.replace("0.598,", "0.58,").replace(",0.602", ",0.63")).collect();
        assert_eq!(messages(&wide), Vec::<String>::new());
    }

    #[test]
    fn quotes_that_no_slice_fits_are_refused() {
        let row = |i: u32| {
            let (strike, volatility) = (20_000 + 30_000 * i, if i.is_multiple_of(2) { 0.4 } else { 1.2 });
            // A bid next to nothing: neither spread can be sold for a gain.
            format!("BTC,2026-03-27T08:00:00Z,{strike},0.05,{}", 2.0 * volatility - 0.05)
        };
        let found = messages(&(0..8).map(row).collect::<Vec<_>>());
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("with rmse 0.") && found[0].contains("fits to within 0.10"), "{found:#?}");
    }

    #[test]
    fn an_expiry_has_quotes_or_a_surface() {
        let text = HEADER.to_owned() + &rows().join("\n");
        let message = read_text(&market(), &text).unwrap_err().to_string();
        assert!(
            message.contains("quotes.csv:2: expiry: found an expiry of BTC that has a surface"),
            "{message}"
        );
        // Quotes beside surfaces of other expiries join them in order.
        let mut mixed = market();
        let expiry: Timestamp = "2026-03-27T08:00:00Z".parse().unwrap();
        mixed.assets[0].surface.retain(|slice| slice.expiry < expiry);
        let had = mixed.assets[0].surface.len();
        let whole = market();
        let slice = whole.assets[0].slice(expiry).unwrap();
        let read =
            read_text(&mixed, &(HEADER.to_owned() + &rows_of(&whole, &whole.assets[0], slice))).unwrap();
        assert_eq!((read[0].0, read[0].1.len()), (0, had + 1));
        assert_eq!(read[0].1[had].expiry, expiry);
        assert!((read[0].1[had].svi.a - slice.svi.a).abs() < 1e-6);
    }

    /// Quotes of a slice, two in a hundred wide.
    fn rows_of(market: &Market, asset: &Asset, slice: &SurfaceSlice) -> String {
        let years = Years::between(market.as_of, slice.expiry).unwrap().get();
        let forward = asset.forward(market.as_of, slice.expiry, 0.0).unwrap();
        let deviation = slice.svi.volatility(0.0, years) * years.sqrt();
        let row = |i: i32| {
            let k = 0.2 * f64::from(i) * deviation;
            let volatility = slice.svi.volatility(k, years);
            let (strike, bid, ask) = (forward * k.exp(), volatility * 0.99, volatility * 1.01);
            format!("{},{},{strike},{bid},{ask}\n", asset.name, slice.expiry)
        };
        (-12..=12).map(row).collect()
    }

    #[test]
    fn the_surfaces_of_the_example_come_back_from_their_quotes() {
        let market = market();
        let mut text = HEADER.to_owned();
        for asset in &market.assets {
            for slice in &asset.surface {
                text += &rows_of(&market, asset, slice);
            }
        }
        let read = read_text(&bare(), &text).unwrap_or_else(|faults| panic!("{faults}"));
        let mut worst = 0.0_f64;
        let mut count = 0;
        for (asset, surface) in read {
            let had = &market.assets[asset].surface;
            assert_eq!(had.len(), surface.len());
            for (had, has) in had.iter().zip(&surface) {
                assert_eq!(had.expiry, has.expiry);
                worst = worst.max(has.max_error_volatility.unwrap());
                count += 1;
            }
        }
        assert!(count > 10 && worst < 1e-5, "{worst} over {count} slices");
    }
}
