//! Formulas of a rulebook: arithmetic over named quantities.
//!
//! ```text
//! max(minimum_volatility, vol * (1 + 50% * (30 / max(days, 1)) ^ if(days <= 30, 0.3, 0.13)))
//! ```
//! Numbers, `15%`, names, `+ - * / ^`, comparisons (1 where they hold, else 0), and the functions of
//! [`Function`]. A NaN goes through everything, so that a wrong input never looks like a small margin.

use super::symbol::Symbol;

/// Longest formula, in bytes.
const MAX_LENGTH: usize = 2_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 60;

/// A formula whose names are resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// A number.
    Number(f64),
    /// A named quantity.
    Symbol(Symbol),
    /// A function or operator of its arguments.
    Apply(Function, Vec<Formula>),
    /// A look-up in a table of the rulebook, by its index.
    Look(Look, usize, Box<Formula>),
}

/// Functions and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Abs,
    Sqrt,
    Exp,
    Ln,
    Min,
    Max,
    /// `clamp(x, low, high)`.
    Clamp,
    /// `if(condition, then, else)`: only the chosen one counts.
    If,
}

/// How a table of `(from, value)` rows, ascending, is read at `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// `step(TABLE, x)`: the value of the last row whose `from` is at most `x`.
    Step,
    /// `progressive(TABLE, x)`: the values as rates, each on the part of `x` within its row.
    Progressive,
}

/// What a name in a formula means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// A quantity.
    Symbol(Symbol),
    /// A table, the first argument of a look-up.
    Table(usize),
}

/// A table of `(from, value)` rows, `from` ascending.
pub type Rows = Vec<(f64, f64)>;

const FUNCTIONS: [(&str, Function, usize); 6] = [
    ("abs", Function::Abs, 1),
    ("sqrt", Function::Sqrt, 1),
    ("exp", Function::Exp, 1),
    ("ln", Function::Ln, 1),
    ("clamp", Function::Clamp, 3),
    ("if", Function::If, 3),
];

/// Where a formula finds what it names.
pub trait Quantities {
    /// Value of a quantity; NaN where there is none.
    fn value(&self, symbol: Symbol) -> f64;
    /// Rows of a table, `from` ascending; none where there is none.
    fn rows(&self, table: usize) -> &[(f64, f64)];
}

impl Formula {
    /// Reads a formula; `resolve` says what a name means, or why it may not stand here.
    pub fn parse(text: &str, resolve: &dyn Fn(&str) -> Result<Meaning, String>) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("{} bytes; at most {MAX_LENGTH}", text.len()));
        }
        let mut parser = Parser { text, at: 0, depth: 0, resolve };
        let formula = parser.comparison()?;
        parser.skip_space();
        if parser.at < text.len() { Err(parser.stopped("an operator or the end")) } else { Ok(formula) }
    }

    /// Its value; NaN where a quantity that counts has none.
    pub fn evaluate(&self, from: &dyn Quantities) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Symbol(symbol) => from.value(*symbol),
            Self::Apply(function, arguments) => apply(*function, arguments, from),
            Self::Look(look, table, x) => look_up(*look, from.rows(*table), x.evaluate(from)),
        }
    }

    /// Hands every quantity that it names to `see`.
    pub fn visit(&self, see: &mut dyn FnMut(Symbol)) {
        match self {
            Self::Number(_) => {}
            Self::Symbol(symbol) => see(*symbol),
            Self::Apply(_, arguments) => arguments.iter().for_each(|argument| argument.visit(see)),
            Self::Look(_, _, x) => x.visit(see),
        }
    }
}

fn apply(function: Function, arguments: &[Formula], from: &dyn Quantities) -> f64 {
    let at = |index: usize| arguments[index].evaluate(from);
    // Comparisons of NaN are NaN, not false: a condition on nothing decides nothing.
    let truth = |holds: fn(&f64, &f64) -> bool| {
        let (a, b) = (at(0), at(1));
        if a.is_nan() || b.is_nan() { f64::NAN } else { f64::from(u8::from(holds(&a, &b))) }
    };
    match function {
        Function::Negate => -at(0),
        Function::Add => at(0) + at(1),
        Function::Subtract => at(0) - at(1),
        Function::Multiply => at(0) * at(1),
        Function::Divide => at(0) / at(1),
        Function::Power => at(0).powf(at(1)),
        Function::Less => truth(f64::lt),
        Function::AtMost => truth(f64::le),
        Function::More => truth(f64::gt),
        Function::AtLeast => truth(f64::ge),
        Function::Equal => truth(f64::eq),
        Function::Abs => at(0).abs(),
        Function::Sqrt => at(0).sqrt(),
        Function::Exp => at(0).exp(),
        Function::Ln => at(0).ln(),
        Function::Min => arguments.iter().map(|a| a.evaluate(from)).fold(f64::INFINITY, least),
        Function::Max => arguments.iter().map(|a| a.evaluate(from)).fold(f64::NEG_INFINITY, most),
        Function::Clamp => most(at(1), least(at(0), at(2))),
        Function::If => match at(0) {
            condition if condition.is_nan() => f64::NAN,
            0.0 => at(2),
            _ => at(1),
        },
    }
}

/// The smaller one; NaN if either is.
pub fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The larger one; NaN if either is.
pub fn most(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn look_up(look: Look, rows: &[(f64, f64)], x: f64) -> f64 {
    let Some(&(first, _)) = rows.first() else { return f64::NAN };
    if !(x >= first) {
        return f64::NAN;
    }
    let reached = rows.partition_point(|(from, _)| *from <= x);
    match look {
        Look::Step => rows[reached - 1].1,
        Look::Progressive => {
            let ends = rows[1..reached].iter().map(|(from, _)| *from).chain([x]);
            rows.iter().zip(ends).map(|((from, rate), end)| rate * (end - from)).sum()
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    resolve: &'a dyn Fn(&str) -> Result<Meaning, String>,
}

impl Parser<'_> {
    fn comparison(&mut self) -> Result<Formula, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("a formula nested more than {MAX_DEPTH} deep"));
        }
        let left = self.sum()?;
        let operators = [
            ("<=", Function::AtMost),
            (">=", Function::AtLeast),
            ("==", Function::Equal),
            ("<", Function::Less),
            (">", Function::More),
        ];
        let formula = match operators.iter().find(|(sign, _)| self.take(sign)) {
            Some((_, function)) => Formula::Apply(*function, vec![left, self.sum()?]),
            None => left,
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn sum(&mut self) -> Result<Formula, String> {
        let mut left = self.product()?;
        loop {
            let function = if self.take("+") {
                Function::Add
            } else if self.take("-") {
                Function::Subtract
            } else {
                return Ok(left);
            };
            left = Formula::Apply(function, vec![left, self.product()?]);
        }
    }

    fn product(&mut self) -> Result<Formula, String> {
        let mut left = self.signed()?;
        loop {
            let function = if self.take("*") {
                Function::Multiply
            } else if self.take("/") {
                Function::Divide
            } else {
                return Ok(left);
            };
            left = Formula::Apply(function, vec![left, self.signed()?]);
        }
    }

    /// `-x ^ y` is `-(x ^ y)`, and `x ^ y ^ z` is `x ^ (y ^ z)`, as in mathematics.
    fn signed(&mut self) -> Result<Formula, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("a formula nested more than {MAX_DEPTH} deep"));
        }
        let formula = if self.take("-") {
            Formula::Apply(Function::Negate, vec![self.signed()?])
        } else {
            let base = self.primary()?;
            match self.take("^") {
                true => Formula::Apply(Function::Power, vec![base, self.signed()?]),
                false => base,
            }
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn primary(&mut self) -> Result<Formula, String> {
        if self.take("(") {
            let inside = self.comparison()?;
            return if self.take(")") { Ok(inside) } else { Err(self.stopped("`)`")) };
        }
        let rest = &self.text[self.at..];
        match rest.chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(),
            _ => Err(self.stopped("a number, a name or `(`")),
        }
    }

    fn number(&mut self) -> Result<Formula, String> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut length = 0;
        while let Some(c) = rest.get(length) {
            let signed = matches!(c, b'+' | b'-') && length > 0 && matches!(rest[length - 1], b'e' | b'E');
            if !(c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E') || signed) {
                break;
            }
            length += 1;
        }
        let text = &self.text[self.at..self.at + length];
        let number = crate::units::finite(text).ok_or_else(|| format!("`{text}` is not a number"))?;
        self.at += length;
        Ok(Formula::Number(if self.take("%") { number / 100.0 } else { number }))
    }

    fn named(&mut self) -> Result<Formula, String> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..length];
        self.at += length;
        if !self.take("(") {
            return match (self.resolve)(name)? {
                Meaning::Symbol(symbol) => Ok(Formula::Symbol(symbol)),
                Meaning::Table(_) => {
                    Err(format!("`{name}` is a table: step({name}, x) or progressive({name}, x)"))
                }
            };
        }
        match name {
            "step" => self.look(Look::Step),
            "progressive" => self.look(Look::Progressive),
            "min" => Ok(Formula::Apply(Function::Min, self.arguments(name, None)?)),
            "max" => Ok(Formula::Apply(Function::Max, self.arguments(name, None)?)),
            _ => {
                let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
                let (_, function, count) = found.ok_or_else(|| {
                    let known: Vec<&str> = FUNCTIONS.iter().map(|(known, ..)| *known).collect();
                    format!(
                        "no function `{name}`; there are {}, min, max, step, progressive",
                        known.join(", ")
                    )
                })?;
                Ok(Formula::Apply(*function, self.arguments(name, Some(*count))?))
            }
        }
    }

    fn arguments(&mut self, name: &str, count: Option<usize>) -> Result<Vec<Formula>, String> {
        let mut arguments = vec![self.comparison()?];
        while self.take(",") {
            arguments.push(self.comparison()?);
        }
        if !self.take(")") {
            return Err(self.stopped("`,` or `)`"));
        }
        match count {
            Some(count) if count != arguments.len() => {
                Err(format!("{name}() takes {count} arguments, not {}", arguments.len()))
            }
            _ => Ok(arguments),
        }
    }

    fn look(&mut self, look: Look) -> Result<Formula, String> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..length];
        let Ok(Meaning::Table(table)) = (self.resolve)(name) else {
            return Err(format!("`{name}` is no table of this rulebook"));
        };
        self.at += length;
        if !self.take(",") {
            return Err(self.stopped("`,`"));
        }
        let x = self.comparison()?;
        if !self.take(")") {
            return Err(self.stopped("`)`"));
        }
        Ok(Formula::Look(look, table, Box::new(x)))
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let taken = self.text[self.at..].starts_with(sign);
        if taken {
            self.at += sign.len();
        }
        taken
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn stopped(&self, wanted: &str) -> String {
        let rest: String = self.text[self.at..].chars().take(20).collect();
        if rest.is_empty() {
            format!("it ends where {wanted} should stand")
        } else {
            format!("`{rest}` where {wanted} should stand")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::symbol::Given;

    struct Nothing;

    impl Quantities for Nothing {
        fn value(&self, _: Symbol) -> f64 {
            f64::NAN
        }
        fn rows(&self, _: usize) -> &[(f64, f64)] {
            &[(0.0, 0.01), (100.0, 0.02), (300.0, 0.05)]
        }
    }

    fn read(text: &str) -> Result<Formula, String> {
        Formula::parse(text, &|name| match name {
            "x" => Ok(Meaning::Symbol(Symbol::Given(Given::Spot))),
            "tiers" => Ok(Meaning::Table(0)),
            _ => Err(format!("no {name}")),
        })
    }

    #[test]
    fn arithmetic_follows_the_usual_rules() {
        for (text, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("8 - 4 - 2", 2.0),
            ("-2 ^ 2", -4.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("2 ^ -1", 0.5),
            ("15%", 0.15),
            ("1e-3 * 2E+3", 2.0),
            ("if(2 <= 2, 5, 6)", 5.0),
            ("if(1 == 2, 5, 6)", 6.0),
            ("clamp(7, -1, 1)", 1.0),
            ("min(3, 2, 4) + max(1, 5)", 7.0),
            ("step(tiers, 100)", 0.02),
            ("progressive(tiers, 400)", 1.0 + 4.0 + 5.0),
            ("progressive(tiers, 50)", 0.5),
            ("if(0, x, 1)", 1.0),
        ] {
            assert_eq!(read(text).unwrap().evaluate(&Nothing), value, "{text}");
        }
    }

    #[test]
    fn what_is_missing_stays_missing() {
        for text in [
            "x",
            "max(x, 0)",
            "min(1, x)",
            "if(x > 0, 1, 2)",
            "clamp(x, 0, 1)",
            "step(tiers, x)",
            "step(tiers, -1)",
        ] {
            assert!(read(text).unwrap().evaluate(&Nothing).is_nan(), "{text}");
        }
    }

    #[test]
    fn what_is_no_formula_is_refused() {
        let deep = "(".repeat(10_000);
        let minus = "-".repeat(1_000);
        for text in [
            "",
            "1 +",
            "1 2",
            "y",
            "abs(1, 2)",
            "foo(1)",
            "tiers",
            "step(x, 1)",
            "1..2",
            "é",
            "if(1,2)",
            &deep,
            &minus,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
