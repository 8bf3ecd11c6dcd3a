//! Reverse stress as text for people.

use super::number::{count, decimals, grouped};
use super::text::plain;
use crate::reverse::{Again, Analysis, AssetMove, CostIs, LikelyMove, Probability, Remedy, Reverse};

/// Assets of a move that are shown, those that move most; JSON has all.
const SHOWN_ASSETS: usize = 12;
/// Ways of a smaller part of the probability are not shown.
const LEAST_PART: f64 = 0.01;
/// Moves of implied volatility and basis below these are not shown.
const LEAST_VOLATILITY: f64 = 5e-4;
const LEAST_BASIS: f64 = 5e-5;

/// What exhausts each holder.
pub fn render(analysis: &Analysis) -> String {
    let mut text = format!(
        "{}: over {:.3} days, {} paths; money in {}; ± one standard error\n",
        plain(&analysis.case),
        analysis.horizon_days,
        count(analysis.paths),
        analysis.currency,
    );
    analysis.holders.iter().for_each(|holder| text.push_str(&render_holder(holder)));
    text
}

fn render_holder(holder: &Reverse) -> String {
    let name = holder.account.as_deref().map_or("insurance fund".to_owned(), plain);
    let decimals = decimals(holder.buffer.abs());
    let mut text = format!("\n{name}: {} until it is exhausted\n", grouped(holder.buffer, decimals));
    text.push_str(&line("probability", &probability(&holder.probability)));
    if let Some(likeliest) = &holder.likeliest {
        text.push_str(&line("likeliest move", &moves(&likeliest.assets)));
        text.push_str(&line("", &density(likeliest)));
    } else if holder.buffer > 0.0 {
        text.push_str(&line("likeliest move", "none was found within 40 standard deviations"));
    } else {
        text.push_str(&line("likeliest move", "none is needed: it is exhausted today"));
    }
    for way in holder.ways.iter().filter(|way| way.part >= LEAST_PART) {
        let name = format!("{:.0} % by {}", 100.0 * way.part, way.pattern);
        let repeated = holder.likeliest.as_ref() == Some(&way.likeliest);
        let moved = if repeated { "as above".to_owned() } else { moves(&way.likeliest.assets) };
        text.push_str(&line("failing", &format!("{name}: {moved}")));
    }
    if let Some(mean) = &holder.mean_failing {
        text.push_str(&line("mean failing", &moves(mean)));
    }
    if let Some(path) = &holder.representative {
        text.push_str(&line("failing path", &format!("{} (path {})", moves(&path.assets), path.path)));
    }
    match &holder.remedy {
        Some(remedy) => text.push_str(&render_remedy(remedy, decimals)),
        None if holder.likeliest.is_some() => {
            text.push_str(&line("remedy", "none: the probability is within --target"));
        }
        None => {}
    }
    text
}

fn line(name: &str, what: &str) -> String {
    format!("  {name:<16}{what}\n")
}

fn probability(probability: &Probability) -> String {
    let mut text = match probability.upper_bound {
        Some(bound) => format!("no path fails: below {:.4} % with 95 % confidence", 100.0 * bound),
        None => {
            format!("{:.4} ± {:.4} %", 100.0 * probability.simulated, 100.0 * probability.simulated_error)
        }
    };
    if let (Some(sampled), Some(error)) = (probability.sampled, probability.sampled_error) {
        text.push_str(&format!(
            "; {} ± {} % by importance sampling",
            small(100.0 * sampled),
            small(100.0 * error)
        ));
    }
    text
}

/// Four decimals, or three digits of what is smaller.
fn small(x: f64) -> String {
    if x == 0.0 || x >= 0.001 { format!("{x:.4}") } else { format!("{x:.2e}") }
}

fn moves(assets: &[AssetMove]) -> String {
    let mut order: Vec<&AssetMove> = assets.iter().collect();
    order.sort_by(|a, b| b.relative_move.abs().total_cmp(&a.relative_move.abs()));
    let one = |a: &AssetMove| {
        let mut text = format!("{} {:+.1} %", plain(&a.asset), 100.0 * a.relative_move);
        if a.implied_volatility.abs() >= LEAST_VOLATILITY {
            text.push_str(&format!(" (implied volatility {:+.1} %)", 100.0 * a.implied_volatility));
        }
        if a.basis.abs() >= LEAST_BASIS {
            text.push_str(&format!(" (basis {:+.2} points)", 100.0 * a.basis));
        }
        text
    };
    let shown: Vec<String> = order.iter().take(SHOWN_ASSETS).map(|a| one(a)).collect();
    let more = order.len().saturating_sub(SHOWN_ASSETS);
    if more > 0 { format!("{}, and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn density(likeliest: &LikelyMove) -> String {
    let patterns: Vec<String> =
        likeliest.patterns.iter().map(|p| format!("{} {:.1} %", p.pattern, 100.0 * p.probability)).collect();
    format!(
        "{:.2} standard deviations; density exp({:.2}) of the mode's; {}",
        likeliest.mahalanobis,
        likeliest.log_density,
        patterns.join(", ")
    )
}

fn render_remedy(remedy: &Remedy, decimals: usize) -> String {
    let after = |again: &Again| {
        let distance = again.mahalanobis.map_or(String::new(), |d| format!(", likeliest move at {d:.2}"));
        format!(
            "on other paths {:.4} ± {:.4} %{distance}",
            100.0 * again.probability.simulated,
            100.0 * again.probability.simulated_error
        )
    };
    let deposit = format!(
        "{} for a probability of {:.4} %; {}",
        grouped(remedy.deposit, decimals),
        100.0 * remedy.target,
        after(&remedy.deposit_again)
    );
    let hedge = match (&remedy.hedge, &remedy.hedge_again) {
        (Some(hedge), Some(again)) => {
            let cost = match hedge.cost_is {
                CostIs::HalfSpread => format!("costs {} of half-spread", grouped(hedge.cost, 2)),
                CostIs::Notional => "no `liquidity` in the market: the least notional".to_owned(),
            };
            format!(
                "{:+.6} {} ({} of notional; {cost}); {}",
                hedge.quantity,
                plain(&hedge.instrument),
                grouped(hedge.notional, decimals),
                after(again)
            )
        }
        _ => format!("none of {} instruments reaches it alone", remedy.tried),
    };
    format!("{}{}", line("deposit", &deposit), line("hedge", &hedge))
}
