//! Which jumps happen within a segment, and how probable that is.

use crate::market::{JumpSize, Jumps, Market};

/// Jumps of one source within a segment that are told apart, at most.
const MOST_JUMPS: u32 = 8;
/// Patterns below it are left out.
const LEAST_PROBABILITY: f64 = 1e-9;

/// Jumps that happen, and no other ones.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub name: String,
    pub probability: f64,
    /// By source: the asset that jumps, or all together.
    pub jumps: Vec<(Option<usize>, Jump)>,
}

/// Jumps of one source: what they add up to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Jump {
    /// So many jumps of a normal law.
    Normal { count: f64, mean: f64, sd: f64 },
    /// One jump, up (+1) or down (-1), of an exponential law of this rate.
    Exponential { sign: f64, rate: f64 },
}

impl Jump {
    pub fn count(&self) -> f64 {
        match *self {
            Self::Normal { count, .. } => count,
            Self::Exponential { .. } => 1.0,
        }
    }
}

/// One way in which a source jumps.
struct Way {
    source: Option<usize>,
    name: String,
    /// Probability over that of no jump of the source.
    odds: f64,
    jump: Jump,
}

/// The most probable patterns within `years`, at most `most`: none, some jumps of one source, one or
/// more of two sources; never two exponential jumps. Of sources that move an asset for which
/// `is_held` holds; others jump or not.
pub(super) fn patterns(
    market: &Market,
    years: f64,
    is_held: &dyn Fn(usize) -> bool,
    most: usize,
) -> Vec<Pattern> {
    let own = market.assets.iter().enumerate().filter(|(asset, _)| is_held(*asset));
    let own = own.filter_map(|(asset, a)| Some((Some(asset), a.own_jumps?)));
    let all = market.common_jumps.map(|jumps| (None, jumps)).into_iter().chain(own);
    let sources: Vec<(Option<usize>, Jumps)> =
        all.filter(|(_, jumps)| jumps.intensity_annual > 0.0).collect();
    let quiet = (-sources.iter().map(|(_, jumps)| jumps.intensity_annual * years).sum::<f64>()).exp();
    let ways: Vec<Way> =
        sources.iter().flat_map(|(source, jumps)| ways(market, *source, jumps, years)).collect();
    let mut found = vec![Pattern { name: "no jump".to_owned(), probability: quiet, jumps: Vec::new() }];
    for (index, way) in ways.iter().enumerate() {
        found.push(Pattern {
            name: way.name.clone(),
            probability: quiet * way.odds,
            jumps: vec![(way.source, way.jump)],
        });
        for other in ways[..index].iter().filter(|other| other.source != way.source) {
            if let (Jump::Exponential { .. }, Jump::Exponential { .. }) = (way.jump, other.jump) {
                continue;
            }
            found.push(Pattern {
                name: format!("{} and {}", other.name, way.name),
                probability: quiet * way.odds * other.odds,
                jumps: vec![(other.source, other.jump), (way.source, way.jump)],
            });
        }
    }
    // The first is that without a jump, whatever its probability.
    found[1..].sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let kept = 1 + found[1..].iter().take_while(|pattern| pattern.probability > LEAST_PROBABILITY).count();
    found.truncate(kept.min(most));
    found
}

fn ways(market: &Market, source: Option<usize>, jumps: &Jumps, years: f64) -> Vec<Way> {
    let expected = jumps.intensity_annual * years;
    let who = source.map_or("common", |asset| market.assets[asset].name.as_str());
    match jumps.size {
        JumpSize::Merton { mean, sd } => {
            let mut odds = 1.0;
            let of = |count: u32| {
                odds *= expected / f64::from(count);
                let name = if count == 1 { format!("{who} jump") } else { format!("{count} {who} jumps") };
                Way { source, name, odds, jump: Jump::Normal { count: f64::from(count), mean, sd } }
            };
            (1..=MOST_JUMPS).map(of).collect()
        }
        JumpSize::Kou { up_probability, up_rate, down_rate } => {
            let of = |name: &str, part: f64, sign: f64, rate: f64| Way {
                source,
                name: format!("{who} jump {name}"),
                odds: expected * part,
                jump: Jump::Exponential { sign, rate },
            };
            let both =
                [of("up", up_probability, 1.0, up_rate), of("down", 1.0 - up_probability, -1.0, down_rate)];
            both.into_iter().filter(|way| way.odds > 0.0).collect()
        }
    }
}
