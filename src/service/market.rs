//! Market updates: checked as a whole, applied to a market, and a market written as one.

use jiff::Timestamp;

use super::api::{AssetUpdate, FieldFault, ForwardUpdate, MAX_MARKET_ROWS, MarketUpdate, SliceUpdate};
use super::fault::field_fault;
use crate::market::{Asset, Forward, Market, SurfaceSlice, SviSlice};

const PRICE: &str = "a price above zero, in US dollars";

/// The market after an update, or everything that is wrong with it.
pub fn updated(market: &Market, update: &MarketUpdate) -> Result<Market, Vec<FieldFault>> {
    for (name, rows) in [
        ("assets", update.assets.len()),
        ("forwards", update.forwards.len()),
        ("surfaces", update.surfaces.len()),
    ] {
        if rows > MAX_MARKET_ROWS {
            return Err(vec![field_fault(
                name,
                format!("{rows} rows"),
                format!("at most {MAX_MARKET_ROWS}"),
            )]);
        }
    }
    let mut checking = Checking { market: market.clone(), faults: Vec::new() };
    checking.instant(update);
    for (index, asset) in update.assets.iter().enumerate() {
        checking.asset(index, asset, &update.assets[..index]);
    }
    checking.forwards(&update.forwards);
    checking.surfaces(&update.surfaces);
    let Checking { market, faults } = checking;
    if faults.is_empty() { Ok(market) } else { Err(faults) }
}

/// The market that [`numbers`] were taken of; `base` has the same assets and dynamics.
pub fn restored(base: &Market, numbers: &MarketUpdate) -> Result<Market, Vec<FieldFault>> {
    let mut market = base.clone();
    market.as_of = numbers.as_of;
    for asset in &mut market.assets {
        asset.forwards.clear();
        asset.surface.clear();
    }
    updated(&market, numbers)
}

/// The update that makes `market` of any market with the same assets and dynamics.
pub fn numbers(market: &Market) -> MarketUpdate {
    let asset = |asset: &Asset| AssetUpdate {
        asset: asset.name.clone(),
        spot: Some(asset.spot),
        perpetual_mark: Some(asset.perpetual_mark),
        volatility: Some(asset.volatility_annual),
        implied_shift: Some(asset.implied_volatility_shift),
        funding_rate: Some(asset.funding_rate_annual),
    };
    let forwards = market.assets.iter().flat_map(|asset| {
        let of =
            |f: &Forward| ForwardUpdate { asset: asset.name.clone(), expiry: f.expiry, forward: f.price };
        asset.forwards.iter().map(of)
    });
    let surfaces = market.assets.iter().flat_map(|asset| {
        asset.surface.iter().map(|slice| {
            let SviSlice { a, b, rho, m, sigma } = slice.svi;
            SliceUpdate { asset: asset.name.clone(), expiry: slice.expiry, a, b, rho, m, sigma }
        })
    });
    MarketUpdate {
        as_of: market.as_of,
        source: Some(market.source.clone()),
        assets: market.assets.iter().map(asset).collect(),
        forwards: forwards.collect(),
        surfaces: surfaces.collect(),
    }
}

struct Checking {
    market: Market,
    faults: Vec<FieldFault>,
}

impl Checking {
    fn fault(&mut self, field: impl Into<String>, found: impl ToString, expected: impl Into<String>) {
        self.faults.push(field_fault(field, found.to_string(), expected));
    }

    fn instant(&mut self, update: &MarketUpdate) {
        if update.as_of < self.market.as_of {
            let expected = format!("an instant not before {}", self.market.as_of);
            self.fault("as_of", update.as_of, expected);
        }
        self.market.as_of = update.as_of;
        if let Some(source) = &update.source {
            self.market.source.clone_from(source);
        }
        // What has expired can no longer be interpolated between.
        for asset in &mut self.market.assets {
            asset.forwards.retain(|forward| forward.expiry > update.as_of);
            asset.surface.retain(|slice| slice.expiry > update.as_of);
        }
    }

    fn index(&mut self, field: String, name: &str) -> Option<usize> {
        let found = self.market.asset_index(name);
        if found.is_none() {
            self.fault(field, format!("`{name}`"), "an asset of the market");
        }
        found
    }

    fn asset(&mut self, index: usize, update: &AssetUpdate, before: &[AssetUpdate]) {
        let at = |field: &str| format!("assets[{index}].{field}");
        let Some(asset) = self.index(at("asset"), &update.asset) else { return };
        if before.iter().any(|other| other.asset == update.asset) {
            return self.fault(at("asset"), format!("`{}` twice", update.asset), "each asset once");
        }
        let mut checked = |field: &str, x: Option<f64>, is_right: fn(f64) -> bool, expected: &str| {
            let x = x?;
            if x.is_finite() && is_right(x) {
                return Some(x);
            }
            self.fault(at(field), x, expected);
            None
        };
        let spot = checked("spot", update.spot, is_price, PRICE);
        let mark = checked("perpetual_mark", update.perpetual_mark, is_price, PRICE);
        let volatility = checked(
            "volatility",
            update.volatility,
            |x| (0.0..=20.0).contains(&x),
            "an annual volatility from 0 to 20",
        );
        let shift =
            checked("implied_shift", update.implied_shift, |x| x.abs() <= 3.0, "a log shift in [-3, 3]");
        let funding =
            checked("funding_rate", update.funding_rate, |x| x.abs() <= 10.0, "an annual rate in [-10, 10]");
        if let Some(spot) = spot {
            self.market.scale_prices(asset, spot / self.market.assets[asset].spot);
            self.market.assets[asset].spot = spot;
        }
        let asset = &mut self.market.assets[asset];
        asset.perpetual_mark = mark.unwrap_or(asset.perpetual_mark);
        asset.volatility_annual = volatility.unwrap_or(asset.volatility_annual);
        asset.implied_volatility_shift = shift.unwrap_or(asset.implied_volatility_shift);
        asset.funding_rate_annual = funding.unwrap_or(asset.funding_rate_annual);
    }

    fn forwards(&mut self, updates: &[ForwardUpdate]) {
        let mut rows: Vec<(usize, usize, Forward)> = Vec::new();
        for (index, update) in updates.iter().enumerate() {
            let at = |field: &str| format!("forwards[{index}].{field}");
            let Some(asset) = self.index(at("asset"), &update.asset) else { continue };
            if !(update.forward.is_finite() && is_price(update.forward)) {
                self.fault(at("forward"), update.forward, PRICE);
            }
            self.expiry(at("expiry"), update.expiry);
            rows.push((asset, index, Forward { expiry: update.expiry, price: update.forward }));
        }
        rows.sort_by_key(|(asset, index, forward)| (*asset, forward.expiry, *index));
        for pair in rows.windows(2).filter(|p| p[0].0 == p[1].0 && p[0].2.expiry == p[1].2.expiry) {
            self.fault(format!("forwards[{}].expiry", pair[1].1), pair[1].2.expiry, "each expiry once");
        }
        for named in rows.chunk_by(|a, b| a.0 == b.0) {
            self.market.assets[named[0].0].forwards = named.iter().map(|(.., forward)| *forward).collect();
        }
    }

    fn surfaces(&mut self, updates: &[SliceUpdate]) {
        let mut rows: Vec<(usize, usize, SurfaceSlice)> = Vec::new();
        for (index, update) in updates.iter().enumerate() {
            let at = |field: &str| format!("surfaces[{index}].{field}");
            let Some(asset) = self.index(at("asset"), &update.asset) else { continue };
            let &SliceUpdate { a, b, rho, m, sigma, expiry, .. } = update;
            let svi = SviSlice { a, b, rho, m, sigma };
            self.expiry(at("expiry"), expiry);
            if let Err(fault) = svi.check() {
                self.fault(format!("surfaces[{index}]"), fault, "a slice free of butterfly arbitrage");
            }
            let slice = SurfaceSlice { expiry, svi, rmse_volatility: None, max_error_volatility: None };
            rows.push((asset, index, slice));
        }
        rows.sort_by_key(|(asset, index, slice)| (*asset, slice.expiry, *index));
        for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (before, index, after) = (&pair[0].2, pair[1].1, &pair[1].2);
            if before.expiry == after.expiry {
                self.fault(format!("surfaces[{index}].expiry"), after.expiry, "each expiry once");
            } else if let Err(fault) = after.svi.check_after(&before.svi) {
                let expected = "total variance that grows with expiry";
                self.fault(
                    format!("surfaces[{index}]"),
                    format!("{fault} against {}", before.expiry),
                    expected,
                );
            }
        }
        for named in rows.chunk_by(|a, b| a.0 == b.0) {
            self.market.assets[named[0].0].surface = named.iter().map(|(.., slice)| slice.clone()).collect();
        }
    }

    fn expiry(&mut self, field: String, expiry: Timestamp) {
        if expiry <= self.market.as_of {
            let expected = format!("an instant after {}", self.market.as_of);
            self.fault(field, expiry, expected);
        }
    }
}

fn is_price(x: f64) -> bool {
    x > 0.0 && x < 1e12
}
