//! How an asset trades, and how far its price can be trusted: what closing a position costs.

use crate::units::Years;
use crate::yaml::{At, Mapping};

/// How an asset trades. Money in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Liquidity {
    /// Average volume of a day of 24 hours.
    pub daily_volume: f64,
    /// Half of the bid-ask spread as a fraction of the price: 0.0005 is 5 basis points.
    pub half_spread: f64,
    /// Half of the spread of its options, in annual volatility: 0.01 is one point.
    pub volatility_half_spread: f64,
    /// Orders that rest in the book, if known.
    pub book: Option<Book>,
    /// Value of either side of its constant-product pool, if there is one.
    pub pool: Option<f64>,
}

/// Orders that rest on either side of a book.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Book {
    /// Value of the orders within the band, on one side.
    pub depth: f64,
    /// Distance from the middle as a fraction of the price: 0.02 is 2 %.
    pub band: f64,
}

/// How far a price can be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceQuality {
    /// Half-width of the price's confidence interval as a fraction of it: 0.001 is 10 basis points.
    pub confidence: f64,
    /// Age of the price.
    pub staleness: Years,
}

/// Which way a position is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A long is sold.
    Sell,
    /// A short is bought back.
    Buy,
}

impl Liquidity {
    /// What trading `notional` dollars moves the price against the trader, in dollars: the cheapest
    /// of the routes there are, and at most the notional. Trading over several routes at once can
    /// only be cheaper. `daily_volatility` is the asset's over one day, `coefficient` the `Y` of
    /// the square-root law.
    ///
    /// # Formula
    /// - square root: `Q Y sigma sqrt(Q / daily volume)`, worked over a day;
    /// - book of even density: `Q band Q / (2 depth)`, at once;
    /// - pool `x y = k` worth `L` a side: selling `Q^2 / (L + Q)`, buying `Q^2 / (L - Q)`, at once.
    pub fn impact_cost(&self, notional: f64, side: Side, daily_volatility: f64, coefficient: f64) -> f64 {
        let size = notional.abs();
        let square_root = size * coefficient * daily_volatility * (size / self.daily_volume).sqrt();
        let book = self.book.map_or(f64::INFINITY, |book| 0.5 * size * book.band * size / book.depth);
        let pool = self.pool.map_or(f64::INFINITY, |value| pool_cost(size, side, value));
        square_root.min(book).min(pool).min(size)
    }
}

impl Liquidity {
    /// How far trading `notional` dollars moves the price, as a fraction: the least of the routes
    /// there are, at most 90 %.
    ///
    /// # Formula
    /// Square root: `Y sigma sqrt(Q / daily volume)`; book: `band Q / depth`; pool: selling
    /// `1 - (L / (L + Q))^2`, buying `(L / (L - Q))^2 - 1`.
    pub fn impact_move(&self, notional: f64, side: Side, daily_volatility: f64, coefficient: f64) -> f64 {
        let size = notional.abs();
        let square_root = coefficient * daily_volatility * (size / self.daily_volume).sqrt();
        let book = self.book.map_or(f64::INFINITY, |book| book.band * size / book.depth);
        let pool = self.pool.map_or(f64::INFINITY, |value| match side {
            Side::Sell => 1.0 - (value / (value + size)).powi(2),
            Side::Buy if size < value => (value / (value - size)).powi(2) - 1.0,
            Side::Buy => f64::INFINITY,
        });
        square_root.min(book).min(pool).min(LARGEST_MOVE)
    }
}

/// Where a depth curve stops to mean anything.
const LARGEST_MOVE: f64 = 0.9;

/// A pool cannot sell more coins than it has: beyond half of them buying costs the notional, where
/// [`Liquidity::impact_cost`] is capped.
fn pool_cost(size: f64, side: Side, value: f64) -> f64 {
    match side {
        Side::Sell => size * size / (value + size),
        Side::Buy if size < value => size * size / (value - size),
        Side::Buy => f64::INFINITY,
    }
}

/// Reads the `liquidity` of an asset.
pub(super) fn read_liquidity(m: &Mapping<'_>) -> Option<Liquidity> {
    let dollars = |at: At<'_>| at.number("US dollars above 0", |x| x > 0.0 && x <= 1e15);
    let fraction = |at: At<'_>| at.number("a fraction in [0, 1]", |x| (0.0..=1.0).contains(&x));
    let daily_volume = m.required("daily_volume", dollars);
    let half_spread = m.optional("half_spread", fraction);
    let volatility_half_spread = m.optional("volatility_half_spread", fraction);
    let depth = m.optional("depth", dollars);
    let band = m.optional("depth_band", |at| at.number("a fraction in (0, 1]", |x| x > 0.0 && x <= 1.0));
    let pool = m.optional("pool", dollars);
    let book = match (depth?, band?) {
        (Some(depth), Some(band)) => Some(Book { depth, band }),
        (None, None) => None,
        _ => return m.at().fault_found("one of depth and depth_band", "both of them, or neither"),
    };
    Some(Liquidity {
        daily_volume: daily_volume?,
        half_spread: half_spread?.unwrap_or(0.0),
        volatility_half_spread: volatility_half_spread?.unwrap_or(0.0),
        book,
        pool: pool?,
    })
}

/// Reads the `oracle` of an asset.
pub(super) fn read_price_quality(m: &Mapping<'_>) -> Option<PriceQuality> {
    let confidence =
        m.required("confidence", |at| at.number("a fraction in [0, 1]", |x| (0.0..=1.0).contains(&x)));
    let staleness = m.required("staleness", |at| {
        at.parsed("a duration up to 366d, such as 30s", |text| {
            Years::parse(text).filter(|age| age.days() <= 366.0)
        })
    });
    Some(PriceQuality { confidence: confidence?, staleness: staleness? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_costs_what_its_formula_says() {
        let plain = Liquidity {
            daily_volume: 1e8,
            half_spread: 0.0,
            volatility_half_spread: 0.0,
            book: None,
            pool: None,
        };
        // A hundredth of a day's volume at 4 % a day: 0.04 * 0.1 of a million.
        let cost = |liquidity: Liquidity, size: f64, side| liquidity.impact_cost(size, side, 0.04, 1.0);
        assert!((cost(plain, 1e6, Side::Sell) - 4000.0).abs() < 1e-9);
        // Half of 2 % times a tenth of the depth: 1,000.
        let book = Liquidity { book: Some(Book { depth: 1e7, band: 0.02 }), ..plain };
        assert!((cost(book, -1e6, Side::Buy) - 1000.0).abs() < 1e-9);
        // A pool of a billion a side: 10^12 / (10^9 ± 10^6).
        let pool = Liquidity { pool: Some(1e9), ..plain };
        assert!((cost(pool, 1e6, Side::Sell) - 1e12 / 1.001e9).abs() < 1e-9);
        assert!((cost(pool, 1e6, Side::Buy) - 1e12 / 0.999e9).abs() < 1e-9);
        // Nothing costs more than the position, and an empty pool is no route.
        let shallow = Liquidity { pool: Some(1.0), book: None, daily_volume: 1.0, ..plain };
        assert_eq!(cost(shallow, 1e6, Side::Buy), 1e6);
        assert_eq!(cost(plain, 0.0, Side::Sell), 0.0);
        // The price moves by twice what a small trade pays on average, and by less than all.
        let moved = |liquidity: Liquidity, size| liquidity.impact_move(size, Side::Sell, 0.04, 1.0);
        assert!((moved(book, 1e6) - 0.002).abs() < 1e-15);
        assert!((moved(pool, 1e6) - (1.0 - (1000f64 / 1001.0).powi(2))).abs() < 1e-15);
        assert_eq!(moved(shallow, 1e6), LARGEST_MOVE);
    }
}
