//! The sections that are words alone: purpose, assumptions, limits. No figure stands in them.

use std::path::Path;

use super::{Block, table};

pub(super) fn scope(scenarios: &Path) -> Result<Vec<Block>, String> {
    let read = crate::scenario::read(&scenarios.join("nightly.yaml")).map_err(|faults| faults.to_string())?;
    let rule = |level: &crate::scenario::Scenario| {
        let of = |level: &crate::margin::Level| format!("{} over {}", level.confidence, level.horizon);
        [of(&level.margin.maintenance), of(&level.margin.initial)]
    };
    let [maintenance, initial] = rule(&read);
    Ok(vec![Block::Text(format!(
        "The model computes the margin of an account from the simulated distribution of its profit: Expected Shortfall at two levels, \
         here for example {maintenance} (maintenance) and {initial} (initial), with add-ons for what is not simulated. It serves venues \
         and clearing houses that margin accounts of spot, perpetuals, futures and European options on crypto assets and the like, \
         and whoever wants to see the same figures.\n\n\
         In scope: the engines on CPU and GPU, closed forms, instruments, risk figures and their standard errors, calibration, and \
         what margins of these kinds would have covered on real histories. Out of scope: the choice of confidence, horizon and \
         buffer, which is a decision of risk appetite that these figures inform; the default waterfall of a venue; fraud and \
         operational risk.\n\n\
         The pack is made by the program under test. Reference values are published or were computed independently of it; whoever \
         validates should run the command again and hold the sources against the tables.",
    ))])
}

pub(super) fn assumptions() -> Vec<Block> {
    let rows = [
        (
            "Log returns are a diffusion with jumps and Student-t mixing; own and common jumps arrive independently of the diffusion",
            "A calm before a crash has no memory of it: clustering enters through the snapshot's volatility alone",
            "Conceptual soundness, backtests",
        ),
        (
            "Diffusive volatility is constant within a horizon",
            "Margins over many days understate volatility that rises on the way",
            "Backtests are over one step; see limits",
        ),
        (
            "Jumps are Merton's or Kou's, their intensity constant",
            "Clusters of jumps are not simulated",
            "Independence tests of the backtests",
        ),
        (
            "The law of one step of the history holds for a step of the simulation",
            "In many small steps a Student-t gets thinner: choose the step for which it was fitted",
            "Limits",
        ),
        (
            "The implied level is an Ornstein-Uhlenbeck factor with jumps; smiles keep their shape in log-moneyness",
            "Changes of skew by themselves are not simulated: use skew stresses",
            "Option books on a real chain",
        ),
        (
            "Correlation is one matrix, plus common jumps and shared mixing",
            "Dependence in the tail comes from jumps and mixing, and has their size",
            "Sensitivity",
        ),
        (
            "Positions are held for the horizon and closed at the model's price",
            "Liquidity is a charge beside the simulation",
            "Methodology, margins",
        ),
        ("Nobody trades inside the horizon", "Hedges that would be made are not credited", "Limits"),
        (
            "The past that calibration sees is like the near future",
            "New regimes are found by monitoring, not by the model",
            "Backtests, crises, monitoring",
        ),
    ];
    let rows = rows.map(|(a, b, c)| [a.to_owned(), b.to_owned(), c.to_owned()]).to_vec();
    vec![table(["assumption", "what follows where it is wrong", "looked at in"], rows)]
}

pub(super) fn limits() -> Vec<Block> {
    let limits = "- Volatility is constant within a horizon; there is no GARCH and no Heston in the paths. Heston and Bates, where fitted to a \
                  chain, are reported and not simulated.
- The Monte Carlo engine is tested here against exact figures, and on one crash of a real option chain; the daily backtests walk models \
of history and closed forms, not the engine.
- Backtests look one step ahead at closing prices: what happens within the day and over longer horizons is not seen.
- Option books of the backtests are valued at a volatility filtered from prices, since quoted volatilities do not reach back.
- Standard errors are those of simulation. Errors of estimation are shown by the sensitivity section and by `shortfall calibrate`, and \
are not in a margin's standard error.
- Critical values of the Expected Shortfall tests take degrees of freedom as known, though they are estimated from the same losses.
- Add-ons (liquidity, basis, oracle, stablecoins, own tokens) are formulas with parameters of judgement; only their arithmetic is tested.
- Agreement of bits is shown for the adapter named above. Another device is another run of `shortfall validate`.
- All markets here are liquid ones with long histories. A new coin has neither, and needs judgement that no test replaces.

[methodology.md](methodology.md) has departures and limits of each formula.";
    vec![Block::Text(limits.to_owned())]
}
