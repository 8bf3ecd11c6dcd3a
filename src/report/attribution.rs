//! What an account's Expected Shortfall is made of, as reports show it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{AccountResult, Document};
use super::greeks::GreeksMarginResult;
use super::number::{decimals, grouped};
use super::text::{Style, plain};
use crate::attribution::{AssetMove, Attribution, LevelAttribution, PositionLoss, WorstPath};
use crate::engine::{GREEKS, Greek};
use crate::margin::greeks::GreeksMargin;
use crate::risk::Component;
use crate::scenario::Scenario;

/// Lines of a list on a terminal.
const SHOWN_LINES: usize = 8;
/// Worst paths on a terminal.
const SHOWN_PATHS: usize = 5;
/// Characters of the longest bar.
const BAR_WIDTH: usize = 24;

/// Components of both levels.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttributionResult {
    /// At the level of the maintenance margin.
    pub maintenance: LevelAttributionResult,
    /// At the level of the initial margin.
    pub initial: LevelAttributionResult,
}

/// Components of one level's Expected Shortfall. Each list, with `remainder`, adds up to it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LevelAttributionResult {
    /// By position, the costliest first.
    pub by_position: Vec<PositionResult>,
    /// By asset, likewise.
    pub by_asset: Vec<ComponentResult>,
    /// By expiry in the order of time; `none` is spot and perpetuals.
    pub by_expiry: Vec<ComponentResult>,
    /// By greek: delta, gamma, vega, theta, basis, funding, jump_and_higher_order.
    pub by_greek: Vec<ComponentResult>,
    /// The Expected Shortfall less the components' sum: interpolation and rounding.
    pub remainder: f64,
    /// Paths in the tail.
    pub tail_paths: f64,
    /// The classic margin from sensitivities, and where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeks_margin: Option<GreeksMarginResult>,
}

/// A part of an Expected Shortfall; negative where it offsets others.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ComponentResult {
    /// Whose part it is.
    pub name: String,
    /// The part: mean loss over the tail's paths.
    pub expected_shortfall: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Its part of the whole: 0.8 is 80 %; `null` where the whole is zero.
    pub share: Option<f64>,
}

/// A position's part.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PositionResult {
    /// The part; its name is the instrument's.
    #[serde(flatten)]
    pub component: ComponentResult,
    /// Units, negative for a short.
    pub quantity: f64,
    /// The part by greek.
    pub by_greek: GreekResult,
}

/// Money by greek.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct GreekResult {
    /// First order in spot; all of spot and futures but theta, basis and funding.
    pub delta: f64,
    /// Second order in spot.
    pub gamma: f64,
    /// Implied volatility of the options' own strikes.
    pub vega: f64,
    /// Time.
    pub theta: f64,
    /// Change of the basis.
    pub basis: f64,
    /// Funding of perpetuals.
    pub funding: f64,
    /// What delta and gamma do not explain of the move of spot.
    pub jump_and_higher_order: f64,
}

/// One of the worst paths.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorstPathResult {
    /// Its number.
    pub path: u64,
    /// Loss on it.
    pub loss: f64,
    /// What the account's assets did.
    pub assets: Vec<AssetMoveResult>,
    /// The positions that lost most.
    pub positions: Vec<PositionLossResult>,
}

/// What an asset did on a path, over the horizon of the maintenance margin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetMoveResult {
    /// Its name.
    pub asset: String,
    /// Simple return of spot: -0.1 is -10 %.
    #[serde(rename = "return")]
    pub return_: f64,
    /// Shift of the log level of implied volatility at the reference tenor: 0.2 is +22 %.
    pub volatility_shift: f64,
    /// Change of the annualised basis: 0.1 is 10 points.
    pub basis_move: f64,
    /// Loss of the account's positions in it.
    pub loss: f64,
}

/// A position's loss on a path.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PositionLossResult {
    /// Its instrument.
    pub instrument: String,
    /// Units, negative for a short.
    pub quantity: f64,
    /// What it lost.
    pub loss: f64,
}

impl AttributionResult {
    /// An attribution with the names of the scenario's market, and the margins from sensitivities of
    /// both levels where they are known.
    pub fn new(scenario: &Scenario, attribution: &Attribution, greeks: Option<&[GreeksMargin; 2]>) -> Self {
        let level = |level, index: usize| {
            LevelAttributionResult::new(scenario, level, greeks.map(|greeks| &greeks[index]))
        };
        Self { maintenance: level(&attribution.maintenance, 0), initial: level(&attribution.initial, 1) }
    }

    /// Both levels with their names.
    pub(super) fn levels(&self) -> [(&'static str, &LevelAttributionResult); 2] {
        [("maintenance", &self.maintenance), ("initial", &self.initial)]
    }
}

impl LevelAttributionResult {
    fn new(scenario: &Scenario, level: &LevelAttribution, greeks: Option<&GreeksMargin>) -> Self {
        let sum: f64 = level.by_position.iter().map(|p| p.component.expected_shortfall).sum();
        let whole = sum + level.remainder;
        let result = |name: String, component: &Component| ComponentResult {
            name,
            expected_shortfall: component.expected_shortfall,
            standard_error: component.standard_error,
            share: Some(component.expected_shortfall / whole).filter(|share| share.is_finite()),
        };
        let assets = level.by_asset.iter();
        let mut by_asset: Vec<ComponentResult> =
            assets.map(|(asset, c)| result(scenario.market.assets[*asset].name.clone(), c)).collect();
        let position = |position: &crate::attribution::PositionComponent| PositionResult {
            component: result(position.instrument.clone(), &position.component),
            quantity: position.quantity,
            by_greek: GreekResult::new(&position.by_greek),
        };
        let mut by_position: Vec<PositionResult> = level.by_position.iter().map(position).collect();
        by_asset.sort_by(|a, b| b.expected_shortfall.total_cmp(&a.expected_shortfall));
        by_position.sort_by(|a, b| b.component.expected_shortfall.total_cmp(&a.component.expected_shortfall));
        let expiry = |expiry: &Option<jiff::Timestamp>| expiry.map_or("none".to_owned(), |e| e.to_string());
        let by_greek: Vec<ComponentResult> =
            level.by_greek.iter().map(|(g, c)| result(g.name().to_owned(), c)).collect();
        Self {
            greeks_margin: greeks.map(|greeks| GreeksMarginResult::new(greeks, &by_greek, level.remainder)),
            by_position,
            by_asset,
            by_expiry: level.by_expiry.iter().map(|(e, c)| result(expiry(e), c)).collect(),
            by_greek,
            remainder: level.remainder,
            tail_paths: level.tail_paths,
        }
    }

    /// Every list with its name.
    fn lists(&self) -> [(&'static str, Vec<&ComponentResult>); 4] {
        [
            ("position", self.by_position.iter().map(|position| &position.component).collect()),
            ("asset", self.by_asset.iter().collect()),
            ("expiry", self.by_expiry.iter().collect()),
            ("greek", self.by_greek.iter().collect()),
        ]
    }
}

impl GreekResult {
    fn new(money: &[f64; GREEKS]) -> Self {
        let of = |greek: Greek| money[greek as usize];
        Self {
            delta: of(Greek::Delta),
            gamma: of(Greek::Gamma),
            vega: of(Greek::Vega),
            theta: of(Greek::Theta),
            basis: of(Greek::Basis),
            funding: of(Greek::Funding),
            jump_and_higher_order: of(Greek::JumpAndHigherOrder),
        }
    }

    fn of(&self, greek: Greek) -> f64 {
        match greek {
            Greek::Delta => self.delta,
            Greek::Gamma => self.gamma,
            Greek::Vega => self.vega,
            Greek::Theta => self.theta,
            Greek::Basis => self.basis,
            Greek::Funding => self.funding,
            Greek::JumpAndHigherOrder => self.jump_and_higher_order,
        }
    }
}

impl WorstPathResult {
    /// A path with the names of the scenario's market.
    pub fn new(scenario: &Scenario, path: &WorstPath) -> Self {
        let asset = |m: &AssetMove| AssetMoveResult {
            asset: scenario.market.assets[m.asset].name.clone(),
            return_: m.return_,
            volatility_shift: m.volatility_shift,
            basis_move: m.basis_move,
            loss: m.loss,
        };
        let position = |position: &PositionLoss| PositionLossResult {
            instrument: position.instrument.clone(),
            quantity: position.quantity,
            loss: position.loss,
        };
        Self {
            path: path.path,
            loss: path.loss,
            assets: path.assets.iter().map(asset).collect(),
            positions: path.positions.iter().map(position).collect(),
        }
    }
}

/// Whether any account has an attribution.
pub fn is_in(document: &Document) -> bool {
    attributed(document).next().is_some()
}

fn attributed(document: &Document) -> impl Iterator<Item = (&str, &AccountResult, &AttributionResult)> {
    document.cases.iter().flat_map(|case| {
        let accounts = case.accounts.iter();
        accounts.filter_map(|account| Some((case.name.as_str(), account, account.attribution.as_ref()?)))
    })
}

/// `attribution.csv`: one row per case, account, level and component, with each list's remainder;
/// numbers read back as the same f64.
pub fn write_components(document: &Document, output: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    let mut header: Vec<&str> =
        vec!["case", "account", "level", "by", "name", "expected_shortfall", "standard_error", "quantity"];
    header.extend(Greek::ALL.map(Greek::name));
    writer.write_record(&header)?;
    for (case, account, attribution) in attributed(document) {
        for (level, components) in attribution.levels() {
            for (by, list) in components.lists() {
                let row = |name: &str, shortfall: f64, error: String, position: Option<&PositionResult>| {
                    let mut row: Vec<String> =
                        [case, &account.account, level, by, name].map(str::to_owned).to_vec();
                    row.extend([number(shortfall), error]);
                    row.push(position.map_or_else(String::new, |p| number(p.quantity)));
                    let greek = |greek| position.map_or_else(String::new, |p| number(p.by_greek.of(greek)));
                    row.extend(Greek::ALL.map(greek));
                    row
                };
                for (index, c) in list.iter().enumerate() {
                    let position = (by == "position").then(|| &components.by_position[index]);
                    let error = number(c.standard_error);
                    writer.write_record(row(&c.name, c.expected_shortfall, error, position))?;
                }
                writer.write_record(row("remainder", components.remainder, String::new(), None))?;
            }
        }
    }
    writer.flush()
}

/// `worst_paths.csv`: one row per case, account, path and asset.
pub fn write_worst_paths(document: &Document, output: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record([
        "case",
        "account",
        "rank",
        "path",
        "loss",
        "asset",
        "return",
        "volatility_shift",
        "basis_move",
        "asset_loss",
        "worst_position",
        "worst_position_quantity",
        "worst_position_loss",
    ])?;
    for (case, account, _) in attributed(document) {
        for (index, path) in account.worst_paths.iter().flatten().enumerate() {
            let worst = path.positions.first();
            for asset in &path.assets {
                let moves = [asset.return_, asset.volatility_shift, asset.basis_move, asset.loss];
                let mut row = vec![case.to_owned(), account.account.clone(), (index + 1).to_string()];
                row.extend([path.path.to_string(), number(path.loss), asset.asset.clone()]);
                row.extend(moves.map(number));
                row.push(worst.map_or_else(String::new, |worst| worst.instrument.clone()));
                row.extend(
                    [worst.map(|w| w.quantity), worst.map(|w| w.loss)]
                        .map(|x| x.map_or_else(String::new, number)),
                );
                writer.write_record(row)?;
            }
        }
    }
    writer.flush()
}

/// Debug writes the shortest text that reads back as the same number.
fn number(x: f64) -> String {
    if x.is_finite() { format!("{x:?}") } else { String::new() }
}

/// What the one attributed account of the base case is made of; nothing where there are more.
pub(super) fn render(document: &Document, style: Style) -> String {
    let base = document.cases.first().map_or(&[][..], |case| &case.accounts);
    let mut accounts = base.iter().filter_map(|a| a.attribution.as_ref().map(|attribution| (a, attribution)));
    let (Some((account, attribution)), None) = (accounts.next(), accounts.next()) else {
        return String::new();
    };
    let mut text = String::from("\n");
    let tails = [&account.maintenance, &account.initial];
    for ((name, level), tail) in attribution.levels().into_iter().zip(tails) {
        let decimals = decimals(tail.expected_shortfall.abs());
        text.push_str(&format!(
            "{}: {name} ES {} {} over {} tail paths, by greek, asset, expiry and position; ± one standard error\n",
            plain(&account.account),
            grouped(tail.expected_shortfall, decimals),
            document.currency,
            grouped(level.tail_paths, 0),
        ));
        for (by, list) in [3, 1, 2, 0].map(|index| level.lists()[index].clone()) {
            text.push_str(&bars(by, list, decimals, style));
        }
        level.greeks_margin.iter().for_each(|margin| text.push_str(&super::greeks::render(margin)));
    }
    text.push_str(&worst_paths(account, &document.currency));
    text
}

/// A list with bars, the largest first.
fn bars(by: &str, mut list: Vec<&ComponentResult>, decimals: usize, style: Style) -> String {
    list.retain(|c| c.expected_shortfall != 0.0);
    list.sort_by(|a, b| b.expected_shortfall.abs().total_cmp(&a.expected_shortfall.abs()));
    let largest = list.first().map_or(1.0, |c| c.expected_shortfall.abs());
    let shown = &list[..list.len().min(SHOWN_LINES)];
    let names: Vec<String> = shown.iter().map(|c| plain(&c.name.replace('_', " "))).collect();
    let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let name_width = width(&mut names.iter().map(|name| name.chars().count()));
    let cells: Vec<(String, String)> = shown
        .iter()
        .map(|c| (grouped(c.expected_shortfall, decimals), grouped(c.standard_error, decimals)))
        .collect();
    let (left, right) = (
        width(&mut cells.iter().map(|cell| cell.0.chars().count())),
        width(&mut cells.iter().map(|cell| cell.1.chars().count())),
    );
    let mut text = format!("  by {by}\n");
    for ((component, name), (figure, error)) in shown.iter().zip(&names).zip(&cells) {
        let length = (component.expected_shortfall.abs() / largest * BAR_WIDTH as f64).round() as usize;
        let bar = if component.expected_shortfall < 0.0 { "░" } else { "█" }.repeat(length);
        let percent = component.share.map_or("–".to_owned(), |share| format!("{:+.1} %", 100.0 * share));
        let line = format!("    {name:<name_width$}  {figure:>left$} ± {error:>right$}  {percent:>9}");
        let room = style.width.saturating_sub(line.chars().count() + 2);
        text.push_str(if room >= length { format!("{line}  {bar}") } else { line }.trim_end());
        text.push('\n');
    }
    if list.len() > shown.len() {
        let rest: f64 = list[shown.len()..].iter().map(|c| c.expected_shortfall).sum();
        let count = list.len() - shown.len();
        text.push_str(&format!("    … {count} more: {}\n", grouped(rest, decimals)));
    }
    text
}

fn worst_paths(account: &AccountResult, currency: &str) -> String {
    let paths = account.worst_paths.as_deref().unwrap_or_default();
    let mut text = format!(
        "  what kills this book: the worst of {} paths over {}\n",
        paths.len(),
        super::text::days(account.maintenance.horizon_days)
    );
    for (index, path) in paths.iter().take(SHOWN_PATHS).enumerate() {
        text.push_str(&format!("    {}. {}\n", index + 1, in_words(path, currency)));
    }
    text
}

/// A path as a trader says it.
fn in_words(path: &WorstPathResult, currency: &str) -> String {
    let decimals = decimals(path.loss.abs());
    let mut assets: Vec<&AssetMoveResult> = path.assets.iter().collect();
    assets.sort_by(|a, b| b.loss.abs().total_cmp(&a.loss.abs()));
    let moved = |asset: &&AssetMoveResult| {
        let mut words = format!("{} {:+.1} %", plain(&asset.asset), 100.0 * asset.return_);
        // A half of a per cent of volatility, a tenth of a point of basis: below it nobody looks.
        if asset.volatility_shift.abs() > 0.005 {
            words.push_str(&format!(", volatility {:+.0} %", 100.0 * asset.volatility_shift.exp_m1()));
        }
        if asset.basis_move.abs() > 0.001 {
            words.push_str(&format!(", basis {:+.1} points", 100.0 * asset.basis_move));
        }
        words
    };
    let moves: Vec<String> = assets.iter().take(3).map(moved).collect();
    let lost = |position: &PositionLossResult| {
        let side = if position.quantity < 0.0 { "short" } else { "long" };
        format!("{side} {} {}", plain(&position.instrument), grouped(position.loss, decimals))
    };
    let lost: Vec<String> = path.positions.iter().take(3).map(lost).collect();
    let lost = if lost.is_empty() { String::new() } else { format!("; lost most on {}", lost.join(", ")) };
    format!(
        "path {} loses {} {currency}: {}{lost}",
        path.path,
        grouped(path.loss, decimals),
        moves.join("; ")
    )
}
