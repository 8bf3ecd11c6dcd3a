//! The page's sections, in the order in which they stand.

use maud::{Markup, PreEscaped, html};

use super::input::{Saved, SavedAccount, SavedCase};
use super::{by_need, section};
use crate::margin::Line;
use crate::plan::Bytes;
use crate::plot::{self, Axes, Axis, Bar, Column, Mark, Scale, Series, Style};
use crate::report::attribution::ComponentResult;
use crate::report::number::{count, decimals, grouped};

/// Rows of a table; a page of more is no longer read.
pub const MOST_ROWS: usize = 1_000;
/// Charts of one kind.
pub const MOST_CHARTS: usize = 40;
/// Positions of an attribution.
const MOST_POSITIONS: usize = 15;

/// Money with as many digits as its size deserves.
pub fn money(x: f64, size: f64) -> String {
    grouped(x, decimals(size.abs()).min(2))
}

/// A figure with its standard error.
pub fn with_error(x: f64, error: f64) -> String {
    let digits = decimals(x.abs().max(error)).min(2);
    format!("{} ± {}", grouped(x, digits), grouped(error, digits))
}

/// A part as a percentage: 0.153 is `15.3 %`.
pub fn percent(x: f64) -> String {
    format!("{} %", grouped(100.0 * x, 1))
}

/// Health as two digits, cut rather than rounded so that 0.999 does not read as 1.
pub fn health(health: Option<f64>) -> String {
    health.map_or_else(|| "–".to_owned(), |h| grouped((100.0 * h).floor() / 100.0, 2))
}

fn state(state: &str) -> String {
    state.replace('_', " ")
}

fn base(saved: &Saved) -> Option<&SavedCase> {
    saved.summary.cases.first().filter(|case| case.failure.is_none())
}

/// What the run found, in a dozen figures.
pub fn summary(saved: &Saved) -> Markup {
    let summary = &saved.summary;
    let levels = &summary.levels;
    let level = |l: &crate::report::document::LevelResult| {
        let days = if l.horizon_days == 1.0 { "day" } else { "days" };
        format!("ES {} % over {} {days}", grouped_short(100.0 * l.confidence), grouped_short(l.horizon_days))
    };
    let content = base(saved).map(|case| {
        let totals = &case.totals;
        let currency = &summary.currency;
        let sum = |x: f64| money(x, x);
        html! {
            p {
                "Maintenance margin from " (level(&levels.maintenance)) ", initial margin from "
                (level(&levels.initial)) ", by full revaluation on " (count(case.paths)) " paths of "
                (case.steps) " steps. Losses and margins are positive; ± is one standard error; "
                "health is equity over maintenance margin."
            }
            div .tiles {
                (tile(&count(case.accounts.len() as u64), "accounts"))
                (tile(&sum(totals.equity), &format!("equity, {currency}")))
                (tile(&sum(totals.maintenance_margin), &format!("maintenance margin, {currency}")))
                (tile(&sum(totals.initial_margin), &format!("initial margin, {currency}")))
                (tile(&count(totals.liquidate), "accounts to liquidate"))
                (tile(&count(totals.margin_call), "margin calls"))
                (tile(&count(totals.healthy), "healthy accounts"))
                (tile(&count(summary.cases.len() as u64 - 1), "stresses"))
            }
        }
    });
    section(
        "Summary",
        Some(content.unwrap_or_else(|| {
            let why =
                summary.cases.first().and_then(|case| case.failure.as_deref()).unwrap_or("it is missing");
            html! { p { "The base case has no result: " (why) } }
        })),
    )
}

fn tile(figure: &str, what: &str) -> Markup {
    html! { div .tile { b { (figure) } span { (what) } } }
}

fn grouped_short(x: f64) -> String {
    grouped(x, 4).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The base case.
pub fn accounts(saved: &Saved) -> Markup {
    let content = base(saved).map(|case| case_table(case, &saved.summary.currency, false));
    section("Accounts by need", content)
}

/// A case's accounts, the neediest first.
fn case_table(case: &SavedCase, currency: &str, stressed: bool) -> Markup {
    let accounts = by_need(case);
    html! {
        p .note { "Money in " (currency) "; Expected Shortfall and Value at Risk at the levels of both margins." }
        div .scroll { table {
            thead { tr {
                th { "account" } th .text { "state" } th { "health" }
                @if stressed { th { "stress P&L" } }
                th { "market value" } th { "equity" }
                th { "ES, maintenance" } th { "VaR, maintenance" }
                th { "ES, initial" } th { "VaR, initial" }
                th { "maintenance margin" } th { "initial margin" }
                th .text { "worst driver: its mean move in the tail, part of the loss" }
            } }
            tbody { @for account in accounts.iter().take(MOST_ROWS) { (account_row(account, stressed)) } }
        } }
        @for failed in &case.failed_accounts {
            p .liquidate { "No figures of " (failed.account) ": " (failed.reason) }
        }
        @if accounts.len() > MOST_ROWS {
            p .note { "The " (count(MOST_ROWS as u64)) " neediest of " (count(accounts.len() as u64))
                " accounts; results.csv has all of them." }
        }
    }
}

fn account_row(account: &SavedAccount, stressed: bool) -> Markup {
    let a = account;
    let class =
        if ["liquidate", "margin_call", "healthy"].contains(&a.state.as_str()) { &*a.state } else { "" };
    html! { tr {
        td { (a.account) @if !a.description.is_empty() { small { (a.description) } } }
        td .text { span class=(class) { (state(&a.state)) } }
        td { (health(a.health)) }
        @if stressed { td { (money(a.stress_profit, a.stress_profit)) } }
        td { (money(a.market_value, a.market_value)) }
        td { (money(a.equity, a.equity)) }
        @for tail in [&a.maintenance, &a.initial] {
            td { (with_error(tail.expected_shortfall, tail.standard_error)) }
            td { (with_error(tail.value_at_risk, tail.value_at_risk_standard_error)) }
        }
        td { (money(a.maintenance_margin, a.maintenance_margin)) }
        td { (money(a.initial_margin, a.initial_margin)) }
        td .text { @match &a.worst_driver {
            Some(driver) => { (driver.asset) " " (percent(driver.mean_return)) ", " (percent(driver.share_of_loss)) }
            None => { "–" }
        } }
    } }
}

/// Losses of the neediest accounts in columns, with VaR and ES.
pub fn distributions(saved: &Saved) -> Markup {
    let currency = &saved.summary.currency;
    let content = base(saved).and_then(|case| {
        let shown: Vec<&SavedAccount> =
            by_need(case).into_iter().filter(|account| account.distribution.is_some()).collect();
        (!shown.is_empty()).then(|| html! {
            p .note {
                "Losses at the horizon of the maintenance margin on the first paths of the run ("
                (count(shown[0].distribution.iter().flat_map(|d| &d.counts).map(|&n| u64::from(n)).sum()))
                " of " (count(case.paths)) "), which show the shape; VaR and ES are from all paths. "
                "Gains are negative. The upright axis is logarithmic, so that the tail can be seen."
                @if shown.len() > MOST_CHARTS { " The " (MOST_CHARTS) " neediest accounts." }
            }
            div .charts { @for account in shown.iter().take(MOST_CHARTS) { (distribution(account, currency)) } }
        })
    });
    section("Loss distributions", content)
}

fn distribution(account: &SavedAccount, currency: &str) -> Markup {
    let Some(found) = &account.distribution else { return html! {} };
    let width = (found.high - found.low) / found.counts.len() as f64;
    let columns = found.counts.iter().enumerate().map(|(index, &height)| Column {
        low: found.low + width * index as f64,
        high: found.low + width * (index + 1) as f64,
        height: f64::from(height),
    });
    let tail = &account.maintenance;
    let label = format!("loss, {currency}");
    let axes = Axes {
        title: "",
        x: Axis { label: &label, scale: Scale::Linear },
        y: Axis { label: "paths", scale: Scale::Log },
    };
    let marks =
        [Mark { name: "VaR", at: tail.value_at_risk }, Mark { name: "ES", at: tail.expected_shortfall }];
    let chart = plot::histogram(&axes, &columns.collect::<Vec<_>>(), &marks);
    html! { figure {
        figcaption {
            b { (account.account) } br;
            "VaR " (with_error(tail.value_at_risk, tail.value_at_risk_standard_error)) ", ES "
            (with_error(tail.expected_shortfall, tail.standard_error)) " " (currency)
        }
        (PreEscaped(chart))
    } }
}

/// What the margins are made of beside Expected Shortfall; nothing where that is all.
pub fn components(saved: &Saved) -> Markup {
    let content = base(saved).and_then(|case| {
        let used = |line: &Line| {
            let has = |account: &SavedAccount| {
                let lines = [&account.maintenance_components, &account.initial_components];
                lines.iter().any(|lines| lines.get(line.name()).is_some_and(|amount| *amount != 0.0))
            };
            case.accounts.iter().any(has)
        };
        let lines: Vec<Line> = Line::ALL.into_iter().filter(used).collect();
        (lines.len() > 1).then(|| {
            html! {
                p .note { "In " (saved.summary.currency) ". Each margin is the sum of its line." }
                div .scroll { table {
                    thead { tr { th { "account" } th .text { "margin" }
                        @for line in &lines { th { (line.name().replace('_', " ")) } } th { "sum" } } }
                    tbody { @for account in by_need(case).into_iter().take(MOST_ROWS) {
                        @for (name, of, total) in [
                            ("maintenance", &account.maintenance_components, account.maintenance_margin),
                            ("initial", &account.initial_components, account.initial_margin),
                        ] { tr {
                            td { (account.account) } td .text { (name) }
                            @for line in &lines {
                                @let amount = of.get(line.name()).copied().unwrap_or(0.0);
                                td { @if amount == 0.0 { "–" } @else { (money(amount, total)) } }
                            }
                            td { (money(total, total)) }
                        } }
                    } }
                } }
            }
        })
    });
    section("What margins are made of", content)
}

/// Every case's sums, then every stress's accounts.
pub fn stresses(saved: &Saved) -> Markup {
    let cases = &saved.summary.cases;
    let currency = &saved.summary.currency;
    let content = (cases.len() > 1).then(|| html! {
        p .note { "Sums over accounts, in " (currency) ". A stress is a shock at once, before the simulation." }
        div .scroll { table {
            thead { tr {
                th { "case" } th { "stress P&L" } th { "market value" } th { "equity" }
                th { "maintenance margin" } th { "initial margin" } th { "liquidate" } th { "margin call" }
                th { "healthy" } th { "paths" } th { "accounts simulated twice" }
            } }
            tbody { @for case in cases { (totals_row(case)) } }
        } }
        (PreEscaped(stress_chart(cases, currency)))
        @for case in cases.iter().skip(1).filter(|case| case.failure.is_none()) {
            h3 { (case.name) }
            (case_table(case, currency, true))
        }
    });
    section("Stresses", content)
}

fn totals_row(case: &SavedCase) -> Markup {
    let totals = &case.totals;
    html! { tr {
        td { (case.name) }
        @match &case.failure {
            Some(reason) => { td .wide colspan="10" { "no result: " (reason) } }
            None => {
                @for sum in [totals.stress_profit, totals.market_value, totals.equity,
                    totals.maintenance_margin, totals.initial_margin] { td { (money(sum, sum)) } }
                td .liquidate { (count(totals.liquidate)) } td .margin_call { (count(totals.margin_call)) }
                td .healthy { (count(totals.healthy)) } td { (count(case.paths)) }
                td { (count(case.repaired_accounts)) }
            }
        }
    } }
}

fn stress_chart(cases: &[SavedCase], currency: &str) -> String {
    let shown = cases.iter().filter(|case| case.failure.is_none());
    let bars: Vec<Bar<'_>> = shown
        .map(|case| Bar {
            name: &case.name,
            value: case.totals.equity - case.totals.maintenance_margin,
            error: 0.0,
        })
        .collect();
    plot::bars("Equity above maintenance margin, all accounts", currency, &bars)
}

/// Expected Shortfall by greek, asset and position, where the run took it apart.
pub fn attribution(saved: &Saved) -> Markup {
    let currency = &saved.summary.currency;
    let of = |case: &SavedCase| {
        let accounts: Vec<Markup> = by_need(case)
            .into_iter()
            .filter_map(|account| {
                let level = &account.attribution.as_ref()?.maintenance;
                let positions: Vec<&ComponentResult> =
                    level.by_position.iter().take(MOST_POSITIONS).map(|p| &p.component).collect();
                Some(html! {
                    h3 { (account.account) }
                    div .charts {
                        (component_chart("By greek", &level.by_greek, currency))
                        (component_chart("By asset", &level.by_asset, currency))
                    }
                    (component_table("position", &positions, currency))
                })
            })
            .take(MOST_CHARTS)
            .collect();
        (!accounts.is_empty()).then(|| html! { @for account in &accounts { (account) } })
    };
    let content = base(saved).and_then(of).map(|accounts| html! {
        p .note {
            "Parts of the Expected Shortfall at the maintenance level, by Euler's decomposition; they add up "
            "to it. Whiskers and ± are one standard error; negative parts offset others. At most "
            (MOST_POSITIONS) " positions an account; attribution.csv has all."
        }
        (accounts)
    });
    section("What the Expected Shortfall is made of", content)
}

fn component_chart(title: &str, components: &[ComponentResult], currency: &str) -> Markup {
    let bars: Vec<Bar<'_>> = components
        .iter()
        .filter(|c| c.expected_shortfall != 0.0)
        .take(MOST_POSITIONS)
        .map(|c| Bar { name: &c.name, value: c.expected_shortfall, error: c.standard_error })
        .collect();
    html! { figure { figcaption { (title) } (PreEscaped(plot::bars("", currency, &bars))) } }
}

fn component_table(of: &str, components: &[&ComponentResult], currency: &str) -> Markup {
    html! { div .scroll { table {
        thead { tr { th { (of) } th { "part of ES, " (currency) } th { "share" } } }
        tbody { @for c in components { tr {
            td { (c.name) }
            td { (with_error(c.expected_shortfall, c.standard_error)) }
            td { (c.share.map_or_else(|| "–".to_owned(), percent)) }
        } } }
    } } }
}

/// The largest losses of each account that was looked at, and what moved.
pub fn worst_paths(saved: &Saved) -> Markup {
    let currency = &saved.summary.currency;
    let content = base(saved).and_then(|case| {
        let accounts: Vec<&SavedAccount> =
            by_need(case).into_iter().filter(|a| !a.worst_paths.is_empty()).take(MOST_CHARTS).collect();
        (!accounts.is_empty()).then(|| html! {
            p .note { "The largest losses at the horizon of the maintenance margin. A path's number and the seed "
                "give the same path on any machine." }
            @for account in accounts {
                h3 { (account.account) }
                div .scroll { table {
                    thead { tr { th { "path" } th { "loss, " (currency) } th .text { "moves of spot" }
                        th .text { "volatility (log shift)" } th .text { "costliest positions, loss" } } }
                    tbody { @for path in &account.worst_paths { tr {
                        td { (path.path) }
                        td { (money(path.loss, path.loss)) }
                        td .text.wide { @for m in &path.assets { (m.asset) " " (percent(m.return_)) "  " } }
                        td .text.wide { @for m in path.assets.iter().filter(|m| m.volatility_shift != 0.0) {
                            (m.asset) " " (grouped(m.volatility_shift, 2)) "  " } }
                        td .text.wide { @for p in path.positions.iter().take(3) {
                            (p.instrument) " " (money(p.loss, path.loss)) "  " } }
                    } } }
                } }
            }
        })
    });
    section("Worst paths", content)
}

/// The same books under every architecture, where `comparison.json` lies in the folder.
pub fn comparison(saved: &Saved) -> Markup {
    let content = saved.comparison.as_ref().map(|comparison| html! {
        p .note { "The " (comparison.level) " margin of the same book under each architecture, in "
            (comparison.currency) "; the ratio is to the Expected Shortfall of the portfolio." }
        @for account in comparison.accounts.iter().take(MOST_CHARTS) {
            h3 { (account.account) }
            div .scroll { table {
                thead { tr { th { "architecture" } th { "margin, " (comparison.currency) } th { "ratio" } th .text { "how" } } }
                tbody { @for row in &account.architectures { tr {
                    td { (row.architecture) }
                    td { @match (row.margin, row.standard_error) {
                        (Some(margin), Some(error)) => { (with_error(margin, error)) }
                        (Some(margin), None) => { (money(margin, margin)) }
                        _ => { "–" }
                    } }
                    td { (row.ratio_to_portfolio_es.map_or_else(|| "–".to_owned(), |x| grouped(x, 2))) }
                    td .text.wide { (row.note) @if let Some(why) = &row.why_not { " no margin: " (why) } }
                } } }
            } }
        }
    });
    section("Comparison of architectures", content)
}

/// Margins over time, where `procyclicality.json` lies in the folder.
pub fn procyclicality(saved: &Saved) -> Markup {
    let content = saved.procyclicality.as_ref().map(|found| {
        let seconds = |date: jiff::civil::Date| {
            date.to_zoned(jiff::tz::TimeZone::UTC)
                .map_or(f64::NAN, |zoned| zoned.timestamp().as_second() as f64)
        };
        let series: Vec<Series<'_>> = found
            .treatments
            .iter()
            .map(|treatment| Series {
                name: &treatment.name,
                style: Style::Line,
                points: treatment.margins.iter().map(|day| (seconds(day.date), day.margin)).collect(),
            })
            .collect();
        let axes = Axes {
            title: "Margin over time",
            x: Axis { label: "day", scale: Scale::Date },
            y: Axis { label: "margin", scale: Scale::Linear },
        };
        let ratio = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| grouped(x, 2));
        let part = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), percent);
        html! {
            p .note { "Margins of a history under each tool, in the unit of the history; rises within "
                (found.within_days) " days." }
            (PreEscaped(plot::xy(&axes, &series, &[])))
            div .scroll { table {
                thead { tr { th { "tool" } th { "days" } th { "mean margin" } th { "peak to trough" }
                    th { "largest rise" } th { "largest call" } th { "daily change, standard deviation" } } }
                tbody { @for t in &found.treatments { tr {
                    td { (t.name) } td { (count(t.days)) } td { (money(t.mean, t.mean)) }
                    td { (ratio(t.peak_to_trough)) } td { (part(t.largest_rise)) }
                    td { (money(t.largest_call, t.mean)) } td { (part(t.deviation)) }
                } } }
            } }
        }
    });
    section("Procyclicality", content)
}

/// What made the figures.
pub fn manifest(saved: &Saved) -> Markup {
    let manifest = &saved.manifest;
    let device = &manifest.device;
    let facts: Vec<(&str, String)> = vec![
        ("run", manifest.run_id.clone()),
        ("shortfall", manifest.shortfall_version.clone()),
        ("device", format!("{} {}, {} ({})", device.engine, device.name, device.detail, device.reason)),
        ("precision, seed", format!("{}, {}", saved.summary.precision, saved.summary.seed)),
        ("tolerance", saved.summary.tolerance.map_or_else(|| "none".to_owned(), percent)),
        ("started, finished", format!("{}, {}", manifest.started, manifest.finished)),
        ("simulation", format!("{} seconds", grouped(saved.summary.elapsed_seconds, 2))),
        ("planned peak memory", Bytes(manifest.planned_peak_memory_bytes).to_string()),
        ("shaders, BLAKE3", manifest.shaders_blake3.clone().unwrap_or_else(|| "none".to_owned())),
        ("configuration, BLAKE3", manifest.configuration_blake3.clone()),
    ];
    let configuration = serde_json::to_string_pretty(&manifest.configuration).unwrap_or_default();
    section(
        "Run manifest",
        Some(html! {
            p .note { "Two runs with one run hash have the same figures." }
            div .scroll { table { tbody { @for (name, fact) in &facts {
                tr { td { (name) } td .text.wide { code { (fact) } } }
            } } } }
            @for (title, files) in [("Inputs", &manifest.inputs), ("Outputs", &manifest.outputs)] {
                @if !files.is_empty() {
                    h3 { (title) }
                    div .scroll { table {
                        thead { tr { th { "file" } th { "bytes" } th .text { "BLAKE3" } } }
                        tbody { @for file in files { tr {
                            td { (file.path) } td { (count(file.bytes)) } td .text.wide { code { (file.blake3) } }
                        } } }
                    } }
                }
            }
            details { summary { "Configuration" } pre { code { (configuration) } } }
        }),
    )
}
