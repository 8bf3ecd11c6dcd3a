//! A scenario from its YAML file. Keys are exactly those of the file.

use std::path::{Path, PathBuf};

use super::margin::{check_names, read_margin};
use super::{
    DEVICE, DeviceChoice, Precision, Replay, SELECTION, Scenario, Selection, Shock, Simulation, Stress,
};
use crate::fault::{Fault, Faults};
use crate::instrument::SmileRule;
use crate::market::{self, Market};
use crate::portfolio::{self, Rows, Sources};
use crate::table::{Table, optional, required};
use crate::units;
use crate::yaml::{self, At, Mapping};

/// Most paths of one run.
pub const MAX_PATHS: u64 = 1 << 36;
/// Most steps over the longest horizon.
pub const MAX_STEPS: u64 = 10_000;
/// Largest seed: above it YAML and JSON readers that know only f64 cannot tell neighbours apart.
pub const MAX_SEED: u64 = (1 << 53) - 1;
/// What a tolerance may be.
pub const TOLERANCE: &str = "a fraction of the ES from 0.01% to 50%, such as 0.5%";

/// Reads and checks a scenario and every file that it names. All faults are reported together.
pub fn read(path: &Path) -> Result<Scenario, Faults> {
    // The settings of the service are read by the service.
    let skip_service = |m: &Mapping<'_>| m.optional("service", |_| Some(()));
    read_with(path, &mut |_, _| (), skip_service).map(|(scenario, _)| scenario)
}

/// Reads a scenario; `keep` is given every row of the portfolio with its account, `more` reads
/// further keys of the file.
pub fn read_with<T>(
    path: &Path,
    keep: &mut dyn FnMut(&str, Rows<'_>),
    more: impl FnOnce(&Mapping<'_>) -> Option<T>,
) -> Result<(Scenario, T), Faults> {
    let expected = "a readable scenario file; `shortfall init DIR` writes an example";
    yaml::read_file(path, expected, |m, folder| {
        let more = more(m);
        read_scenario(m, path, folder, keep).zip(more)
    })
}

fn read_scenario(
    m: &Mapping<'_>,
    path: &Path,
    folder: &Path,
    keep: &mut dyn FnMut(&str, Rows<'_>),
) -> Option<Scenario> {
    let mut inputs = vec![path.to_owned()];
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let market_path = m.required("market", |at| at.text().map(|t| folder.join(t)));
    let market = m.required("market", |at| {
        let path = market_path.as_ref()?;
        market::read(path).map_err(|faults| at.document().append(faults)).ok()
    });
    let sources = m.required("portfolio", |at| at.mapping(|m| read_sources(m, folder)));
    let simulation = m.required("simulation", |at| at.mapping(read_simulation));
    let reporting = m.optional("reporting_currency", |at| {
        let market = market.as_ref()?;
        at.parsed("USD or an asset of the market", |text| match text {
            "USD" => Some(None),
            name => market.asset_index(name).map(Some),
        })
    });
    let margin = m.required("margin", |at| at.mapping(|m| read_margin(m, market.as_ref(), folder)));
    let (margin, quotes) = margin.map_or((None, None), |(margin, quotes)| (Some(margin), quotes));
    let mut replay_files = Vec::new();
    let stresses = m.optional("stresses", |at| {
        let market = market.as_ref()?;
        at.list(|at| at.mapping(|m| read_stress(m, market, folder)))
    });
    let portfolio = sources.as_ref().zip(market.as_ref()).and_then(|(sources, market)| {
        portfolio::read_into(sources, market, keep).map_err(|faults| m.at().document().append(faults)).ok()
    });
    let attribution = m.optional("attribution", |at| {
        let selection = at.parsed(SELECTION, Selection::parse)?;
        match selection.unknown(portfolio.as_ref()?) {
            Some(name) => at.fault_found(format!("the unknown account `{name}`"), SELECTION),
            None => Some(selection),
        }
    });
    let stresses = stresses?.unwrap_or_default();
    for (index, (stress, file)) in stresses.iter().enumerate() {
        replay_files.extend(file.clone());
        if stress.name == "base" || stresses[..index].iter().any(|(other, _)| other.name == stress.name) {
            return m.at().fault_found(
                format!("the stress `{}` twice", stress.name),
                "each name once, and none `base`",
            );
        }
    }
    let names: Vec<&str> = stresses.iter().map(|(stress, _)| stress.name.as_str()).collect();
    if let (Some(rules), Some(portfolio)) = (&margin, &portfolio) {
        check_names(m.at(), rules, &names, portfolio)?;
    }
    let sources = sources?;
    let market_path = market_path?;
    inputs.extend(market::files(&market_path));
    inputs.extend(sources.accounts.iter().chain([&sources.positions]).chain(&sources.balances).cloned());
    replay_files.sort();
    replay_files.dedup();
    inputs.extend(replay_files);
    inputs.extend(quotes);
    Some(Scenario {
        name: name?,
        market: market?,
        portfolio: portfolio?,
        simulation: simulation?,
        margin: margin?,
        stresses: stresses.into_iter().map(|(stress, _)| stress).collect(),
        attribution: attribution?.unwrap_or_default(),
        reporting_asset: reporting?.flatten(),
        inputs,
    })
}

fn read_sources(m: &Mapping<'_>, folder: &Path) -> Option<Sources> {
    let path = |at: At<'_>| at.text().map(|t| folder.join(t));
    let accounts = m.optional("accounts", path);
    let positions = m.required("positions", path);
    let balances = m.optional("balances", path);
    Some(Sources { accounts: accounts?, positions: positions?, balances: balances? })
}

fn read_simulation(m: &Mapping<'_>) -> Option<Simulation> {
    let paths = m.required("paths", |at| at.integer(1..=MAX_PATHS));
    let seed = m.optional("seed", |at| at.integer(0..=MAX_SEED));
    let steps = m.optional("steps", |at| at.integer(1..=MAX_STEPS));
    let exact_steps = m.optional("exact_steps", |at| at.boolean());
    let tolerance = m.optional("tolerance", |at| at.parsed(TOLERANCE, tolerance));
    let device = m.optional("device", |at| at.parsed(DEVICE, DeviceChoice::parse));
    let precision = m.optional("precision", |at| at.one_of(&["f32", "f64"]));
    let smile = m.optional("smile", |at| at.one_of(&["sticky_moneyness", "sticky_strike"]));
    let (device, precision) = (device?.unwrap_or_default(), precision?);
    let precision = if precision == Some(1) { Precision::F64 } else { Precision::F32 };
    if precision == Precision::F64 && device.is_on_gpu() {
        return m.at().fault_found("precision f64 on a GPU", "device: cpu with f64, or precision: f32");
    }
    Some(Simulation {
        paths: paths?,
        seed: seed?.unwrap_or(0),
        steps: steps?.unwrap_or(1) as u32,
        exact_steps: exact_steps?.unwrap_or(true),
        tolerance: tolerance?,
        device,
        precision,
        smile: if smile? == Some(1) { SmileRule::StickyStrike } else { SmileRule::StickyMoneyness },
    })
}

/// Reads a tolerance: a fraction, or a percentage with its sign.
pub fn tolerance(text: &str) -> Option<f64> {
    units::fraction(text).filter(|x| (1e-4..=0.5).contains(x))
}

fn read_stress(m: &Mapping<'_>, market: &Market, folder: &Path) -> Option<(Stress, Option<PathBuf>)> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let factor = |at: At<'_>| at.number("a factor from 0 to 100", |x| (0.0..=100.0).contains(&x));
    let shift = |at: At<'_>| at.number("a shift in [-3, 3]", |x| x.abs() <= 3.0);
    let replay = m.optional("replay", |at| at.mapping(|m| read_replay(m, market, folder)));
    let spot = m.optional("spot", |at| read_spot_moves(at, market));
    let volatility = m.optional("volatility", |at| {
        at.mapping(|m| {
            let multiply = m.optional("multiply", factor);
            let implied_shift = m.optional("implied_shift", shift);
            let skew_shift = m.optional("skew_shift", shift);
            Some(Shock::Volatility {
                multiply: multiply?.unwrap_or(1.0),
                implied_shift: implied_shift?.unwrap_or(0.0),
                skew_shift: skew_shift?.unwrap_or(0.0),
            })
        })
    });
    let correlation = m.optional("correlation", |at| {
        at.mapping(|m| {
            let toward = m.required("toward", |at| at.number("a correlation in [-1, 1]", |x| x.abs() <= 1.0));
            let weight =
                m.required("weight", |at| at.number("a weight in [0, 1]", |x| (0.0..=1.0).contains(&x)));
            Some(Shock::Correlation { toward: toward?, weight: weight? })
        })
    });
    let intensity = m.optional("jump_intensity", |at| {
        at.mapping(|m| Some(Shock::JumpIntensity { multiply: m.required("multiply", factor)? }))
    });
    let basis =
        m.optional("basis", |at| at.mapping(|m| Some(Shock::Basis { shift: m.required("shift", shift)? })));
    let funding = m.optional("funding", |at| {
        at.mapping(|m| Some(Shock::Funding { shift: m.required("shift", shift)? }))
    });
    let total = m.optional("total_volatility", |at| {
        let annual = |at: At<'_>| {
            at.number("an annual volatility from 0 to 20 (0.6 is 60 %)", |x| (0.0..=20.0).contains(&x))
        };
        read_by_asset(at, market, annual).map(Shock::TotalVolatility)
    });
    let liquidity = m.optional("liquidity", |at| at.mapping(read_liquidity_shock));
    let (replay, file) =
        replay?.map_or((None, None), |(replay, file)| (Some(Shock::Replay(replay)), Some(file)));
    let (volatilities, correlation) = ([volatility?, total?], correlation?);
    let all = [replay, spot?].into_iter().chain(volatilities);
    let all = all.chain([correlation, intensity?, basis?, funding?, liquidity?]);
    let shocks: Vec<Shock> = all.flatten().collect();
    if shocks.is_empty() {
        return m.at().fault_found(
            "a stress without a shock",
            "replay, spot, volatility, total_volatility, correlation, jump_intensity, basis, funding or liquidity",
        );
    }
    Some((Stress { name: name?, shocks }, file))
}

fn read_spot_moves(at: At<'_>, market: &Market) -> Option<Shock> {
    let relative = |at: At<'_>| {
        at.number("a relative move above -1 and up to 10; -0.3 is -30 %", |x| x > -1.0 && x <= 10.0)
    };
    read_by_asset(at, market, relative).map(Shock::Spot)
}

/// A number for each of some assets, or for all.
fn read_by_asset(
    at: At<'_>,
    market: &Market,
    number: impl Fn(At<'_>) -> Option<f64>,
) -> Option<Vec<(usize, f64)>> {
    let entries = at.entries(|name, at| {
        let targets: Vec<usize> = match name {
            "all" => (0..market.assets.len()).collect(),
            name => market.asset_index(name).into_iter().collect(),
        };
        if targets.is_empty() {
            return at.fault_found(format!("the unknown asset `{name}`"), "an asset of the market, or all");
        }
        let number = number(at)?;
        Some(targets.into_iter().map(|asset| (asset, number)).collect::<Vec<_>>())
    })?;
    Some(entries.into_iter().flat_map(|(_, numbers)| numbers).collect())
}

fn read_liquidity_shock(m: &Mapping<'_>) -> Option<Shock> {
    let factor = |at: At<'_>| at.number("a factor from 0.0001 to 100", |x| (1e-4..=100.0).contains(&x));
    let multiply = m.optional("multiply", factor);
    let spread = m.optional("spread", factor);
    Some(Shock::Liquidity { multiply: multiply?.unwrap_or(1.0), spread: spread?.unwrap_or(1.0) })
}

fn read_replay(m: &Mapping<'_>, market: &Market, folder: &Path) -> Option<(Replay, PathBuf)> {
    let file = m.required("file", |at| at.text().map(|t| folder.join(t)));
    let rows = m.required("file", |at| {
        let append = |faults| at.document().append(faults);
        let table = Table::read(file.as_ref()?).map_err(append).ok()?;
        read_replay_rows(&table).map_err(append).ok()
    });
    let crisis = m.required("crisis", |at| {
        let name = at.text()?;
        let rows = rows.as_ref()?;
        if !rows.iter().any(|row| row.crisis == name) {
            let mut names: Vec<&str> = rows.iter().map(|row| row.crisis.as_str()).collect();
            names.dedup();
            return at.fault(format!("a crisis of the file ({})", names.join(", ")));
        }
        Some(name.to_owned())
    });
    let (file, rows, crisis) = (file?, rows?, crisis?);
    match replay_of(&rows, &crisis, market) {
        Ok(replay) => Some((replay, file)),
        Err(found) => m.at().fault_found(found, "a row for each asset of the market"),
    }
}

/// Every crisis of a table of replays, in its order, for the assets of a market.
pub fn read_replays(path: &Path, market: &Market) -> Result<Vec<Replay>, Faults> {
    let rows = read_replay_rows(&Table::read(path)?)?;
    let mut names: Vec<&str> = rows.iter().map(|row| row.crisis.as_str()).collect();
    names.dedup();
    let fault = |found: String| Fault {
        field: "asset".to_owned(),
        ..Fault::of_file(path.display(), found, "a row for each asset of the market")
    };
    names.iter().map(|name| replay_of(&rows, name, market).map_err(|found| fault(found).into())).collect()
}

/// One crisis; what is missing where an asset of the market has no row.
fn replay_of(rows: &[ReplayRow], crisis: &str, market: &Market) -> Result<Replay, String> {
    let crisis = crisis.to_owned();
    let mut replay = Replay { crisis, log_returns: Vec::new(), volatility_shifts: Vec::new() };
    for asset in &market.assets {
        let row = rows.iter().find(|row| row.crisis == replay.crisis && row.asset == asset.name);
        let row = row.ok_or_else(|| format!("no row of {} for {}", replay.crisis, asset.name))?;
        replay.log_returns.push(row.log_return);
        replay.volatility_shifts.push(row.volatility_shift);
    }
    Ok(replay)
}

struct ReplayRow {
    crisis: String,
    asset: String,
    log_return: f64,
    volatility_shift: f64,
}

fn read_replay_rows(table: &Table) -> Result<Vec<ReplayRow>, Faults> {
    let columns = [
        required("crisis"),
        required("asset"),
        required("log_return"),
        required("volatility_shift"),
        optional("method"),
    ];
    let small = |x: f64| x.abs() <= 5.0;
    table.rows(&columns, |row| {
        let crisis = row.text("crisis");
        let asset = row.text("asset");
        let log_return = row.number("log_return", "a log return in [-5, 5]", small);
        let volatility_shift = row.number("volatility_shift", "a log shift in [-5, 5]", small);
        Some(ReplayRow {
            crisis: crisis?.to_owned(),
            asset: asset?.to_owned(),
            log_return: log_return?,
            volatility_shift: volatility_shift?,
        })
    })
}
