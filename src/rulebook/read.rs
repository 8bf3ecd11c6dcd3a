//! A rulebook from its YAML file. Keys are exactly those of the file.

use jiff::civil::Date;

use super::formula::{Formula, Meaning, Rows};
use super::symbol::{Given, LEVEL_WORDS, LEVELS, Level, Shocked, Symbol};
use super::{ByAsset, Component, Input, KIND_WORDS, Margins, Reduce, Rulebook, Scan, Scenario, Take, What};
use crate::fault::Faults;
use crate::units::finite;
use crate::yaml::{self, At, Document, Mapping};

/// Most scenarios of a scan, and most components of a rulebook.
const MAX_SCENARIOS: usize = 1_000;
const MAX_COMPONENTS: usize = 200;
/// In what a position pays.
pub(super) const SETTLEMENTS: [&str; 2] = ["linear", "inverse"];

/// Reads and checks a rulebook; `file` is its name in faults. All faults are reported together.
pub fn read(file: &str, text: &str) -> Result<Rulebook, Faults> {
    let node = yaml::parse(file, text)?;
    let document = Document::new(file);
    let rulebook = At::root(&node, &document).mapping(read_rulebook);
    document.into_faults().into_result(rulebook)
}

fn read_rulebook(m: &Mapping<'_>) -> Option<Rulebook> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let effective = m
        .required("effective", |at| at.parsed("a date such as 2026-01-15", |text| text.parse::<Date>().ok()));
    let title = m.required("title", |at| at.text().map(str::to_owned));
    let source = m.required("source", |at| at.text().map(str::to_owned));
    let covers = m.optional("covers", |at| at.list(|at| at.one_of(&KIND_WORDS)));
    let settlement = m.optional("settlement", |at| at.one_of(&SETTLEMENTS));
    let names = Names {
        parameters: m.optional("parameters", |at| by_asset(at, &read_number)).flatten().unwrap_or_default(),
        tables: m.optional("tables", |at| by_asset(at, &read_rows)).flatten().unwrap_or_default(),
        ..Names::default()
    };
    let names = std::cell::RefCell::new(names);
    let inputs = m.optional("inputs", |at| {
        at.entries(|name, at| {
            let input = at.mapping(|m| read_input(m, name, &names.borrow()));
            let mut names = names.borrow_mut();
            match input {
                Some(input) => names.inputs.push(input),
                None => names.faulty.push(name.to_owned()),
            }
            Some(())
        })
    });
    let components = m.required("components", |at| {
        let components = at.entries(|name, at| {
            let component = at.mapping(|m| read_component(m, name, &names.borrow()));
            let mut names = names.borrow_mut();
            match component {
                Some(component) => names.components.push(component),
                None => names.faulty.push(name.to_owned()),
            }
            Some(())
        })?;
        match components.len() {
            1..=MAX_COMPONENTS => Some(()),
            _ => at.fault(format!("from 1 to {MAX_COMPONENTS} components")),
        }
    });
    let margins = m.required("margins", |at| at.mapping(|m| read_margins(m, &names.borrow())));
    inputs?;
    components?;
    let Names { parameters, tables, inputs, components, .. } = names.into_inner();
    Some(Rulebook {
        name: name?,
        effective: effective?,
        title: title?,
        source: source?,
        parameters,
        tables,
        inputs,
        inverse: settlement?.is_some_and(|index| SETTLEMENTS[index] == "inverse"),
        covers: covers?.unwrap_or_else(|| (0..KIND_WORDS.len()).collect()),
        components,
        margins: margins?,
    })
}

/// What formulas may name so far.
#[derive(Default)]
struct Names {
    parameters: Vec<ByAsset<f64>>,
    tables: Vec<ByAsset<Rows>>,
    inputs: Vec<Input>,
    components: Vec<Component>,
    /// Names whose own faults say enough: a formula may name them.
    faulty: Vec<String>,
}

/// Where a formula stands: its level, and the quantities of a scenario that it sees.
#[derive(Clone, Copy)]
struct Place {
    level: Level,
    shocked: &'static [Shocked],
}

impl Names {
    fn formula(&self, at: At<'_>, place: Place) -> Option<Formula> {
        let text = at.word()?;
        match Formula::parse(&text, &|name| self.resolve(name, place)) {
            Ok(formula) => Some(formula),
            Err(reason) => at.fault_found(reason, "a formula that docs/rulebooks.md describes"),
        }
    }

    fn resolve(&self, name: &str, place: Place) -> Result<Meaning, String> {
        let level = place.level;
        let per = LEVEL_WORDS[level as usize];
        if let Some(given) = Given::ALL.iter().find(|given| given.word() == name) {
            return match level <= given.level() || given.is_additive() {
                true => Ok(Meaning::Symbol(Symbol::Given(*given))),
                false => Err(format!("`{name}` has no value per {per}")),
            };
        }
        if let Some(shocked) = place.shocked.iter().find(|shocked| shocked.word() == name) {
            return Ok(Meaning::Symbol(Symbol::Shocked(*shocked)));
        }
        if let Some(index) = self.components.iter().position(|c| c.name == name) {
            let Component { level: at, reduce, .. } = self.components[index];
            return match level <= at || reduce != Reduce::Each {
                true => Ok(Meaning::Symbol(Symbol::Component(index))),
                false => Err(format!(
                    "`{name}` is one number for each {}, not one per {per}",
                    LEVEL_WORDS[at as usize]
                )),
            };
        }
        if let Some(index) = self.inputs.iter().position(|input| input.name == name) {
            return match level <= self.inputs[index].level {
                true => Ok(Meaning::Symbol(Symbol::Input(index))),
                false => Err(format!("`{name}` has no value per {per}")),
            };
        }
        let differs = |assets: usize| assets > 0 && level == Level::Book;
        if let Some(index) = self.parameters.iter().position(|p| p.name == name) {
            return match differs(self.parameters[index].assets.len()) {
                false => Ok(Meaning::Symbol(Symbol::Parameter(index))),
                true => Err(format!("`{name}` differs by asset: it has no value per book")),
            };
        }
        if let Some(index) = self.tables.iter().position(|t| t.name == name) {
            return match differs(self.tables[index].assets.len()) {
                false => Ok(Meaning::Table(index)),
                true => Err(format!("`{name}` differs by asset: it has no value per book")),
            };
        }
        match self.faulty.iter().any(|faulty| faulty == name) {
            true => Ok(Meaning::Symbol(Symbol::Parameter(usize::MAX))),
            false => Err(format!("the unknown name `{name}`")),
        }
    }

    /// Whether a new name is one, and free.
    fn is_new(&self, at: At<'_>, name: &str) -> Option<()> {
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        let right = starts && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !right || name.len() > 60 {
            return at.fault_found(format!("the name `{name}`"), "a name of a-z, 0-9 and _");
        }
        let any = Place { level: Level::Position, shocked: Shocked::ALL };
        match self.resolve(name, any) {
            Err(_) => Some(()),
            Ok(_) => at.fault_found(format!("the name `{name}` again"), "a name that is not taken"),
        }
    }
}

fn read_number(at: At<'_>) -> Option<f64> {
    at.parsed("a number, or a part such as 15%", |text| match text.trim().strip_suffix('%') {
        Some(percent) => finite(percent).map(|x| x / 100.0),
        None => finite(text),
    })
}

/// `[[from, value], ...]`, `from` ascending.
fn read_rows(at: At<'_>) -> Option<Rows> {
    let rows = at.list(|at| {
        let row = at.list(read_number)?;
        match row[..] {
            [from, value] => Some((from, value)),
            _ => at.fault("a row [from, value]"),
        }
    })?;
    let ascending = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if rows.is_empty() || !ascending { at.fault("rows [from, value], from ascending") } else { Some(rows) }
}

/// Named values, each one for all assets or a mapping of assets to values.
fn by_asset<T: Clone>(at: At<'_>, read: &dyn Fn(At<'_>) -> Option<T>) -> Option<Vec<ByAsset<T>>> {
    let empty = Names::default();
    let all = at.entries(|name, at| {
        empty.is_new(at, name)?;
        if !at.is_mapping() {
            return Some(ByAsset { name: name.to_owned(), default: Some(read(at)?), assets: Vec::new() });
        }
        let mut assets = at.entries(|_, at| read(at))?;
        let default = assets.iter().position(|(asset, _)| asset == "default");
        let default = default.map(|index| assets.remove(index).1);
        Some(ByAsset { name: name.to_owned(), default, assets })
    })?;
    Some(all.into_iter().map(|(_, value)| value).collect())
}

fn read_level(at: At<'_>) -> Option<Level> {
    at.one_of(&LEVEL_WORDS).map(|index| LEVELS[index])
}

fn read_input(m: &Mapping<'_>, name: &str, names: &Names) -> Option<Input> {
    let is_new = names.is_new(m.at(), name);
    let level = m.required("at", read_level);
    let default = m.optional("default", |at| names.formula(at, Place { level: level?, shocked: &[] }));
    let note = m.optional("note", |at| at.text().map(|_| ()));
    note?;
    is_new?;
    match level? {
        Level::Strike => m.at().fault("an input at position, expiry, underlying or book"),
        level => Some(Input { name: name.to_owned(), level, default: default? }),
    }
}

fn read_component(m: &Mapping<'_>, name: &str, names: &Names) -> Option<Component> {
    let is_new = names.is_new(m.at(), name);
    let note = m.optional("note", |at| at.text().map(str::to_owned));
    let unit = m.optional("unit", |at| at.text().map(str::to_owned));
    let level = m.required("at", read_level);
    let place = Place { level: level.unwrap_or(Level::Position), shocked: &[] };
    let condition = m.optional("where", |at| names.formula(at, place));
    let scan = m.optional("scan", |at| at.mapping(|m| read_scan(m, names, place.level)));
    let formula = |key| m.optional(key, |at| names.formula(at, place));
    let (sum, max, min, each) = (formula("sum"), formula("max"), formula("min"), formula("each"));
    is_new?;
    let (level, scan) = (level?, scan?);
    let kinds = [(Reduce::Sum, sum?), (Reduce::Max, max?), (Reduce::Min, min?), (Reduce::Each, each?)];
    let mut given = kinds.into_iter().filter_map(|(reduce, formula)| formula.map(|f| (reduce, f)));
    let condition = condition?;
    let (reduce, what) = match (given.next(), given.next(), scan, condition) {
        (Some((reduce, formula)), None, None, condition) => (reduce, What::Formula { condition, formula }),
        (None, None, Some(scan), None) => (Reduce::Sum, What::Scan(Box::new(scan))),
        _ => return m.at().fault("one of sum, max, min, each, scan (and `where` with the first four)"),
    };
    if matches!(what, What::Scan(_)) && !matches!(level, Level::Expiry | Level::Underlying) {
        return m.at().fault("a scan at expiry or underlying");
    }
    Some(Component {
        name: name.to_owned(),
        note: note?.unwrap_or_default(),
        unit: unit?.unwrap_or_else(|| "USD".to_owned()),
        level,
        reduce,
        what,
    })
}

fn read_scan(m: &Mapping<'_>, names: &Names, level: Level) -> Option<Scan> {
    use Shocked::{BaseValue, Black, BlackDelta, Forward, Move, Profit, ShockedValue, Weight};
    const FREE: Place = Place { level: Level::Underlying, shocked: &[] };
    const MOVED: Place = Place { level: Level::Position, shocked: &[Move, Weight] };
    const PRICED: Place =
        Place { level: Level::Position, shocked: &[Move, Weight, Black, BlackDelta, Forward] };
    const SUMMED: Place = Place { level: Level::Expiry, shocked: &[Move, Weight, ShockedValue, BaseValue] };
    let total = Place { level, shocked: &[Move, Weight, Profit] };

    let shocks = m.optional("volatilities", |at| at.entries(|_, at| names.formula(at, MOVED)));
    let mut all = vec![("none".to_owned(), Formula::Symbol(Symbol::Given(Given::Volatility)))];
    all.extend(shocks.clone().flatten().unwrap_or_default());
    let scenarios = m.required("scenarios", |at| {
        // The names of faulty shocks are unknown, which is not the scenarios' fault.
        shocks.as_ref()?;
        let blocks = at.list(|at| at.mapping(|m| read_block(m, names, &all, FREE)))?;
        let scenarios: Vec<Scenario> = blocks.into_iter().flatten().collect();
        match scenarios.len() {
            1..=MAX_SCENARIOS => Some(scenarios),
            _ => at.fault(format!("from 1 to {MAX_SCENARIOS} scenarios")),
        }
    });
    let or = |key, default: &str, place: Place| {
        let given = m.optional(key, |at| names.formula(at, place))?;
        let parse = || Formula::parse(default, &|name| names.resolve(name, place)).ok();
        given.or_else(parse)
    };
    let forward = or("forward", "forward * (1 + move)", MOVED);
    let option = or("option", "quantity * df * black", PRICED);
    let expiry = or("expiry", "shocked - base", SUMMED);
    let future = or("future", "quantity * price * move", MOVED);
    let perpetual = or("perpetual", "quantity * price * move", MOVED);
    let collateral = or("collateral", "quantity * price * move", MOVED);
    let figure = or("total", "weight * pnl", total);
    let take = m.optional("take", |at| at.one_of(&["worst", "sum"]));
    let offset = m.optional("offset", |at| names.formula(at, FREE));
    Some(Scan {
        scenarios: scenarios?,
        volatilities: all,
        forward: forward?,
        option: option?,
        expiry: expiry?,
        future: future?,
        perpetual: perpetual?,
        collateral: collateral?,
        total: figure?,
        take: if take? == Some(1) { Take::Sum } else { Take::Worst },
        offset: offset?,
    })
}

/// A block of scenarios: every price with every volatility; a weight for all, or one for each price.
fn read_block(
    m: &Mapping<'_>,
    names: &Names,
    volatilities: &[(String, Formula)],
    place: Place,
) -> Option<Vec<Scenario>> {
    let formulas = |at: At<'_>| match at.is_list() {
        true => at.list(|at| names.formula(at, place)),
        false => names.formula(at, place).map(|formula| vec![formula]),
    };
    let words: Vec<&str> = volatilities.iter().map(|(name, _)| name.as_str()).collect();
    let prices = m.required("price", formulas);
    let shocks = m.optional("volatility", |at| match at.is_list() {
        true => at.list(|at| at.one_of(&words)),
        false => at.one_of(&words).map(|index| vec![index]),
    });
    let weights = m.optional("weight", formulas);
    let (prices, shocks) = (prices?, shocks?.unwrap_or_else(|| vec![0]));
    let weights = weights?.unwrap_or_else(|| vec![Formula::Number(1.0)]);
    if weights.len() != 1 && weights.len() != prices.len() {
        return m.at().fault("one weight, or one for each price");
    }
    let weights = weights.iter().cycle();
    let blocks = prices.iter().zip(weights).flat_map(|(price, weight)| {
        let scenario = |&volatility| Scenario { price: price.clone(), weight: weight.clone(), volatility };
        shocks.iter().map(scenario).collect::<Vec<_>>()
    });
    Some(blocks.collect())
}

fn read_margins(m: &Mapping<'_>, names: &Names) -> Option<Margins> {
    let book = Place { level: Level::Book, shocked: &[] };
    let maintenance = m.required("maintenance", |at| names.formula(at, book));
    let initial = m.required("initial", |at| names.formula(at, book));
    let equity = m.optional("equity", |at| names.formula(at, book));
    Some(Margins { maintenance: maintenance?, initial: initial?, equity: equity? })
}
