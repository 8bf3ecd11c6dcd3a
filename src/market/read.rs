//! A market snapshot from its YAML file and the tables that it names.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{
    Asset, Correlation, CorrelationFault, Forward, ImpliedVolatility, JumpSize, Jumps, Market, SurfaceSlice,
    SviSlice, TailGroup, forecasts, liquidity, quotes,
};
use crate::fault::Faults;
use crate::table::{Row, Table, optional, required};
use crate::units::Years;
use crate::yaml::{self, At, Document, Mapping};

/// Most assets of one market: the shaders keep a path's whole state in private memory.
pub const MAX_ASSETS: usize = 64;
pub(super) const MAX_VOLATILITY: f64 = 20.0;
const MAX_INTENSITY: f64 = 100_000.0;

/// Reads and checks a market. All faults of all its files are reported together.
pub fn read(path: &Path) -> Result<Market, Faults> {
    let expected = "a readable market file; paths are relative to the file that names them";
    yaml::read_file(path, expected, read_market)
}

/// The market file and the tables that it names, for hashing. Call it on a market that was read.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    let folder = path.parent().unwrap_or(Path::new("."));
    let Ok(text) = std::fs::read_to_string(path) else { return files };
    let Ok(node) = yaml::parse("", &text) else { return files };
    let document = Document::new("");
    At::root(&node, &document).mapping(|m| {
        for key in ["correlation", "forwards", "surfaces", "quotes", "forecasts"] {
            files.extend(m.optional(key, |at| at.text().map(|t| folder.join(t))).flatten());
        }
        Some(())
    });
    files
}

fn read_market(m: &Mapping<'_>, folder: &Path) -> Option<Market> {
    let as_of = m.required("as_of", |at| {
        at.parsed("an instant such as 2026-02-04T21:33:08Z", |t| t.parse::<Timestamp>().ok())
    });
    let source = m.required("source", |at| at.text().map(str::to_owned));
    let rate = m.optional("discount_rate", |at| at.number("an annual rate in [-1, 1]", |x| x.abs() <= 1.0));
    let groups = m.optional("tail_groups", read_tail_groups).map(Option::unwrap_or_default);
    let common_jumps = m.optional("common_jumps", read_jumps);
    let names: Vec<String> =
        groups.as_ref().map(|g| g.iter().map(|group| group.name.clone()).collect()).unwrap_or_default();
    let mut assets = m.required("assets", |at| read_assets(at, &names));
    let correlation = m.optional("correlation", |at| {
        let assets = assets.as_ref()?;
        let table = read_named_table(at, folder)?;
        read_correlation(at, &table, assets)
    });
    let forwards = m.optional("forwards", |at| {
        let table = read_named_table(at, folder)?;
        append(at, read_forwards(&table, assets.as_ref()?, as_of?))
    });
    let surfaces = m.optional("surfaces", |at| {
        let table = read_named_table(at, folder)?;
        append(at, read_surfaces(&table, assets.as_ref()?, as_of?))
    });
    if let Some(assets) = &mut assets {
        for (index, forward) in forwards.iter().flatten().flatten() {
            assets[*index].forwards.push(*forward);
        }
        for (index, slice) in surfaces.iter().flatten().flatten() {
            assets[*index].surface.push(slice.clone());
        }
    }
    let quoted = m.optional("quotes", |at| {
        let table = read_named_table(at, folder)?;
        // Where the rest of the market is at fault, the quotes are not priced.
        let is_whole = forwards.is_some() && surfaces.is_some();
        let rate = rate.filter(|_| is_whole).map(Option::unwrap_or_default);
        append(at, quotes::read(&table, assets.as_ref()?, as_of?, rate))
    });
    let forecast = m.optional("forecasts", |at| {
        let table = read_named_table(at, folder)?;
        append(at, forecasts::read(&table, assets.as_ref()?, as_of?))
    });
    let (as_of, mut assets, common_jumps) = (as_of?, assets?, common_jumps?);
    forwards?;
    surfaces?;
    for (index, surface) in quoted?.unwrap_or_default() {
        assets[index].surface = surface;
    }
    forecasts::apply(&forecast?.unwrap_or_default(), &mut assets, common_jumps.as_ref());
    check_expectations(m, &assets, common_jumps.as_ref())?;
    let correlation = correlation?.unwrap_or_else(|| Correlation::identity(assets.len()));
    Some(Market {
        as_of,
        source: source?,
        discount_rate_annual: rate?.unwrap_or(0.0),
        assets,
        tail_groups: groups?,
        common_jumps,
        correlation,
    })
}

fn append<T>(at: At<'_>, result: Result<T, Faults>) -> Option<T> {
    result.map_err(|faults| at.document().append(faults)).ok()
}

fn read_named_table(at: At<'_>, folder: &Path) -> Option<Table> {
    let path = folder.join(at.text()?);
    append(at, Table::read(&path))
}

fn read_tail_groups(at: At<'_>) -> Option<Vec<TailGroup>> {
    let groups = at.entries(|name, at| {
        at.mapping(|m| {
            let right = |x: f64| x > 2.0 && x <= 1000.0;
            let degrees_of_freedom =
                m.required("degrees_of_freedom", |at| at.number("a number above 2 and at most 1000", right))?;
            Some(TailGroup { name: name.to_owned(), degrees_of_freedom })
        })
    })?;
    Some(groups.into_iter().map(|(_, group)| group).collect())
}

fn read_assets(at: At<'_>, groups: &[String]) -> Option<Vec<Asset>> {
    let assets = at.list(|at| at.mapping(|m| read_asset(m, groups)))?;
    if !(1..=MAX_ASSETS).contains(&assets.len()) {
        return at.fault(format!("1 to {MAX_ASSETS} assets"));
    }
    for (index, asset) in assets.iter().enumerate() {
        if assets[..index].iter().any(|other| other.name == asset.name) {
            return at.fault_found(format!("the asset {} twice", asset.name), "each asset once");
        }
    }
    Some(assets)
}

fn read_asset(m: &Mapping<'_>, groups: &[String]) -> Option<Asset> {
    let positive = |at: At<'_>| at.number("a price above zero", |x| x > 0.0 && x < 1e12);
    let rate = |at: At<'_>| at.number("an annual rate in [-10, 10]", |x| x.abs() <= 10.0);
    let name = m.required("name", |at| {
        at.parsed("a ticker of capital letters and digits, such as BTC", |t| {
            is_ticker(t).then(|| t.to_owned())
        })
    });
    let spot = m.required("spot", positive);
    let mark = m.optional("perpetual_mark", positive);
    let volatility = m.required("volatility", |at| {
        at.number("an annual volatility from 0 to 20 (0.6 is 60 %)", |x| (0.0..=MAX_VOLATILITY).contains(&x))
    });
    let drift = m.optional("drift", rate);
    let tail_group = m.optional("tail_group", |at| {
        let expected = format!("a group of tail_groups ({})", groups.join(", "));
        at.parsed(&expected, |name| groups.iter().position(|group| group == name))
    });
    let own_jumps = m.optional("own_jumps", read_jumps);
    let loading =
        m.optional("common_jump_loading", |at| at.number("a number in [-10, 10]", |x| x.abs() <= 10.0));
    let implied_volatility = m.optional("implied_volatility", |at| at.mapping(read_implied_volatility));
    let basis_volatility =
        m.optional("basis_volatility", |at| at.number("a number in [0, 10]", |x| (0.0..=10.0).contains(&x)));
    let funding_rate = m.optional("funding_rate", rate);
    let liquidity = m.optional("liquidity", |at| at.mapping(liquidity::read_liquidity));
    let price_quality = m.optional("oracle", |at| at.mapping(liquidity::read_price_quality));
    let spot = spot?;
    Some(Asset {
        name: name?,
        spot,
        perpetual_mark: mark?.unwrap_or(spot),
        drift_annual: drift?.unwrap_or(0.0),
        volatility_annual: volatility?,
        tail_group: tail_group?,
        own_jumps: own_jumps?,
        common_jump_loading: loading?.unwrap_or(1.0),
        implied_volatility: implied_volatility?,
        implied_volatility_shift: 0.0,
        basis_volatility_annual: basis_volatility?.unwrap_or(0.0),
        funding_rate_annual: funding_rate?.unwrap_or(0.0),
        forwards: Vec::new(),
        surface: Vec::new(),
        liquidity: liquidity?,
        price_quality: price_quality?,
    })
}

/// Whether a name can stand in an instrument's name.
pub fn is_ticker(name: &str) -> bool {
    (1..=12).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn read_jumps(at: At<'_>) -> Option<Jumps> {
    at.mapping(|m| {
        let intensity = m.required("intensity", |at| {
            at.number("an expected number of jumps a year, 0 to 100000", |x| {
                (0.0..=MAX_INTENSITY).contains(&x)
            })
        });
        let law = m.required("law", |at| at.one_of(&["merton", "kou"]));
        let size = match law? {
            0 => {
                let mean = m.required("mean", |at| at.number("a log size in [-3, 3]", |x| x.abs() <= 3.0));
                let sd =
                    m.required("sd", |at| at.number("a log size in [0, 3]", |x| (0.0..=3.0).contains(&x)));
                JumpSize::Merton { mean: mean?, sd: sd? }
            }
            _ => {
                let rate = |at: At<'_>| at.number("a rate above 0", |x| x > 0.0 && x <= 1e6);
                let up_probability = m.required("up_probability", |at| {
                    at.number("a probability", |x| (0.0..=1.0).contains(&x))
                });
                let up_rate = m.required("up_rate", rate);
                let down_rate = m.required("down_rate", rate);
                JumpSize::Kou { up_probability: up_probability?, up_rate: up_rate?, down_rate: down_rate? }
            }
        };
        Some(Jumps { intensity_annual: intensity?, size })
    })
}

fn read_implied_volatility(m: &Mapping<'_>) -> Option<ImpliedVolatility> {
    let nonnegative = |top: f64| {
        move |at: At<'_>| at.number(&format!("a number in [0, {top}]"), |x| (0.0..=top).contains(&x))
    };
    let shift = |at: At<'_>| at.number("a log shift in [-3, 3]", |x| x.abs() <= 3.0);
    let tenor = |at: At<'_>| {
        at.parsed("a duration above zero, such as 30d", |t| Years::parse(t).filter(|y| y.get() > 0.0))
    };
    let mean_reversion = m.required("mean_reversion", nonnegative(10_000.0));
    let volatility = m.required("volatility", nonnegative(20.0));
    let correlation = m.optional("spot_correlation", |at| at.number("a correlation", |x| x.abs() <= 1.0));
    let common = m.optional("common_jump_shift", shift);
    let own = m.optional("own_jump_shift", shift);
    let reference = m.optional("reference_tenor", tenor);
    let power = m.optional("term_power", nonnegative(2.0));
    let minimum = m.optional("minimum_tenor", tenor);
    let days = |n: f64| Years::from_days(n).expect("a positive number of days");
    Some(ImpliedVolatility {
        mean_reversion_annual: mean_reversion?,
        volatility_annual: volatility?,
        spot_correlation: correlation?.unwrap_or(0.0),
        common_jump_shift: common?.unwrap_or(0.0),
        own_jump_shift: own?.unwrap_or(0.0),
        reference_tenor: reference?.unwrap_or(days(30.0)),
        term_power: power?.unwrap_or(0.5),
        minimum_tenor: minimum?.unwrap_or(days(1.0)),
    })
}

fn read_correlation(at: At<'_>, table: &Table, assets: &[Asset]) -> Option<Correlation> {
    let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
    let expected_header: Vec<&str> = std::iter::once("asset").chain(names.iter().copied()).collect();
    if table.header().iter().ne(expected_header.iter()) {
        return at.fault_found(
            format!("a correlation table with the columns {}", table.header().join(",")),
            expected_header.join(","),
        );
    }
    let mut rows: Vec<Option<Vec<f64>>> = vec![None; names.len()];
    append(
        at,
        table.rows_any(|row| {
            let name = row.text("asset")?;
            let Some(index) = names.iter().position(|other| other == &name) else {
                return row.fault("asset", format!("`{name}`"), format!("one of {}", names.join(", ")));
            };
            let values: Vec<Option<f64>> = names
                .iter()
                .map(|name| row.number(name, "a correlation in [-1, 1]", |x| x.abs() <= 1.0))
                .collect();
            rows[index] = Some(values.into_iter().collect::<Option<Vec<f64>>>()?);
            Some(())
        }),
    )?;
    let missing: Vec<&str> =
        names.iter().zip(&rows).filter(|(_, row)| row.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        return at.fault_found(format!("no row for {}", missing.join(", ")), "one row for each asset");
    }
    let values: Vec<f64> = rows.into_iter().flatten().flatten().collect();
    match Correlation::new(names.len(), values) {
        Ok(correlation) => Some(correlation),
        Err(fault @ CorrelationFault::NotPositive { .. }) => {
            let CorrelationFault::NotPositive { nearest, .. } = &fault else { unreachable!() };
            at.fault_found(
                fault.to_string(),
                format!("a positive semidefinite matrix; the nearest is\n{}", as_csv(nearest, &names)),
            )
        }
        Err(fault) => {
            at.fault_found(fault.to_string(), "a symmetric matrix of entries in [-1, 1] with a unit diagonal")
        }
    }
}

fn as_csv(correlation: &Correlation, names: &[&str]) -> String {
    let mut text = format!("asset,{}\n", names.join(","));
    for (row, name) in names.iter().enumerate() {
        let values: Vec<String> =
            (0..names.len()).map(|c| format!("{:.6}", correlation.get(row, c))).collect();
        text.push_str(&format!("{name},{}\n", values.join(",")));
    }
    text
}

pub(super) fn asset_of(row: &Row<'_>, assets: &[Asset]) -> Option<usize> {
    let name = row.text("asset")?;
    assets
        .iter()
        .position(|asset| asset.name == name)
        .or_else(|| row.fault("asset", format!("`{name}`"), "an asset of this market"))
}

pub(super) fn expiry_of(row: &Row<'_>, as_of: Timestamp) -> Option<Timestamp> {
    let expiry =
        row.parsed("expiry", "an instant such as 2026-03-27T08:00:00Z", |t| t.parse::<Timestamp>().ok())?;
    if expiry <= as_of {
        return row.fault(
            "expiry",
            format!("{expiry}, already expired"),
            format!("an instant after {as_of}"),
        );
    }
    Some(expiry)
}

fn read_forwards(table: &Table, assets: &[Asset], as_of: Timestamp) -> Result<Vec<(usize, Forward)>, Faults> {
    let mut seen = Vec::new();
    let columns = [required("asset"), required("expiry"), required("forward")];
    let mut forwards = table.rows(&columns, |row| {
        let asset = asset_of(row, assets);
        let expiry = expiry_of(row, as_of);
        let price = row.number("forward", "a price above zero", |x| x > 0.0 && x < 1e12);
        let (asset, expiry, price) = (asset?, expiry?, price?);
        if seen.contains(&(asset, expiry)) {
            return row.fault("expiry", "the same asset and expiry twice", "each once");
        }
        seen.push((asset, expiry));
        Some((asset, Forward { expiry, price }))
    })?;
    forwards.sort_by_key(|(asset, forward)| (*asset, forward.expiry));
    Ok(forwards)
}

fn read_surfaces(
    table: &Table,
    assets: &[Asset],
    as_of: Timestamp,
) -> Result<Vec<(usize, SurfaceSlice)>, Faults> {
    let columns = [
        required("asset"),
        required("expiry"),
        required("a"),
        required("b"),
        required("rho"),
        required("m"),
        required("sigma"),
        optional("forward"),
        optional("quotes"),
        optional("rmse_vol"),
        optional("max_error_vol"),
    ];
    let any = |_: f64| true;
    let mut rows = table.rows(&columns, |row| {
        let asset = asset_of(row, assets);
        let expiry = expiry_of(row, as_of);
        let parameter = |column| row.number(column, "a finite number", any);
        let (a, b, rho, m, sigma) =
            (parameter("a"), parameter("b"), parameter("rho"), parameter("m"), parameter("sigma"));
        let rmse_volatility = row.optional_number("rmse_vol", "a finite number", any)?;
        let max_error_volatility = row.optional_number("max_error_vol", "a finite number", any)?;
        let svi = SviSlice { a: a?, b: b?, rho: rho?, m: m?, sigma: sigma? };
        if let Err(fault) = svi.check() {
            return row.fault("a,b,rho,m,sigma", fault.to_string(), "a slice free of butterfly arbitrage");
        }
        Some((
            asset?,
            SurfaceSlice { expiry: expiry?, svi, rmse_volatility, max_error_volatility },
            row.number_in_file(),
        ))
    })?;
    rows.sort_by_key(|(asset, slice, _)| (*asset, slice.expiry));
    let faults = calendar_faults(table, assets, &rows);
    faults.into_result(Some(rows.into_iter().map(|(asset, slice, _)| (asset, slice)).collect()))
}

fn calendar_faults(table: &Table, assets: &[Asset], rows: &[(usize, SurfaceSlice, u64)]) -> Faults {
    let mut faults = Faults::default();
    for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let found = if pair[0].1.expiry == pair[1].1.expiry {
            "the same asset and expiry twice".to_owned()
        } else if let Err(fault) = pair[1].1.svi.check_after(&pair[0].1.svi) {
            format!("{fault} against the expiry {} of {}", pair[0].1.expiry, assets[pair[0].0].name)
        } else {
            continue;
        };
        faults.push(table.fault_at(
            pair[1].2,
            "a,b,rho,m,sigma",
            found,
            "total variance that grows with expiry",
        ));
    }
    faults
}

/// Every jump law must have the expectation that its compensator needs.
fn check_expectations(m: &Mapping<'_>, assets: &[Asset], common: Option<&Jumps>) -> Option<()> {
    let mut all = Some(());
    for asset in assets {
        let own = asset.own_jumps.map(|jumps| jumps.size.expected_growth(1.0));
        let shared = common.map(|jumps| jumps.size.expected_growth(asset.common_jump_loading));
        if own == Some(None) || shared == Some(None) {
            all = m.at().fault_found(
                format!("Kou jumps of {} whose up_rate is not above the loading", asset.name),
                "an up_rate above 1 (own jumps) and above common_jump_loading (common jumps)",
            );
        }
    }
    all
}
