//! YAML read as a tree that remembers lines and columns, and readers that report every fault.
//!
//! The only user of the YAML crate. A [`Mapping`] hands out its fields by name, notes what it was
//! asked for, and counts anything else as an unknown key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use crate::fault::{Fault, Faults};

/// Deepest nesting of a document; ours need five.
const MAX_DEPTH: usize = 32;
/// Most nodes of a document: tables belong in CSV or Parquet.
const MAX_NODES: usize = 250_000;

/// A YAML value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, u64, u64, Node)>),
}

/// Reads a file whose root is a mapping; `read` gets the mapping and the folder to which the file's
/// paths are relative. `expected` says what a file that cannot be opened should be. All faults are
/// reported together.
pub fn read_file<T>(
    path: &Path,
    expected: &str,
    read: impl FnOnce(&Mapping<'_>, &Path) -> Option<T>,
) -> Result<T, Faults> {
    let file = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|error| Fault::of_file(&file, error.to_string(), expected))?;
    let node = parse(&file, &text)?;
    let document = Document::new(&file);
    let folder = path.parent().unwrap_or(Path::new("."));
    let value = At::root(&node, &document).mapping(|m| read(m, folder));
    document.into_faults().into_result(value)
}

/// Parses a document. Syntax errors come back as one fault with its line and column.
pub fn parse(file: &str, text: &str) -> Result<Node, Faults> {
    let budget = serde_yaml::budget! {
        max_depth: MAX_DEPTH,
        max_nodes: MAX_NODES,
    };
    // Readers refuse NaN and infinities themselves, each with its field.
    let options = serde_yaml::options! {
        budget: budget,
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
    };
    let fault = |line, column, found: String, expected: &str| {
        Faults::from(Fault {
            file: file.to_owned(),
            line,
            column,
            field: String::new(),
            found,
            expected: expected.to_owned(),
        })
    };
    if text.trim().is_empty() {
        return Err(fault(
            0,
            0,
            "an empty file".to_owned(),
            "a YAML mapping; `shortfall init DIR` writes an example",
        ));
    }
    serde_yaml::from_str_with_options::<Node>(text, options).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        fault(
            line,
            column,
            format!("a YAML error ({})", error.to_string().replace('\n', " ")),
            "well-formed YAML",
        )
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node {
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = sequence.next_element()? {
            nodes.push(node);
        }
        Ok(Value::Sequence(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            fields.push((key.value, key.referenced.line(), key.referenced.column(), map.next_value()?));
        }
        Ok(Value::Mapping(fields))
    }
}

impl Node {
    fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::Text(value) => format!("`{}`", value.chars().take(60).collect::<String>()),
            Value::Sequence(items) => format!("a list of {}", items.len()),
            Value::Mapping(fields) => format!("a mapping of {} keys", fields.len()),
        }
    }
}

/// Where faults of one document go.
pub struct Document {
    file: String,
    faults: RefCell<Faults>,
}

impl Document {
    /// A document of this name, without faults yet.
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), faults: RefCell::default() }
    }

    /// All faults that the readers found.
    pub fn into_faults(self) -> Faults {
        self.faults.into_inner()
    }

    /// Adds the faults of another file that this one names.
    pub fn append(&self, faults: Faults) {
        self.faults.borrow_mut().append(faults);
    }

    fn push(&self, line: u64, column: u64, field: &str, found: String, expected: String) {
        let fault = Fault { file: self.file.clone(), line, column, field: field.to_owned(), found, expected };
        self.faults.borrow_mut().push(fault);
    }
}

/// A value at a path of a document, being read.
#[derive(Clone, Copy)]
pub struct At<'a> {
    node: &'a Node,
    document: &'a Document,
    path: &'a str,
}

impl<'a> At<'a> {
    /// The root of a document.
    pub fn root(node: &'a Node, document: &'a Document) -> Self {
        Self { node, document, path: "" }
    }

    /// Notes that this value is wrong. Returns `None`, so that a reader can end with it.
    pub fn fault<T>(&self, expected: impl Into<String>) -> Option<T> {
        self.document.push(
            self.node.line,
            self.node.column,
            self.path,
            self.node.describe(),
            expected.into(),
        );
        None
    }

    /// Notes a fault whose finding is more than the value itself.
    pub fn fault_found<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        self.document.push(self.node.line, self.node.column, self.path, found.into(), expected.into());
        None
    }

    /// The path of this value: `simulation.paths`.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The document that this value belongs to.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// Text; a number where text stands is a fault (quote it).
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => self.fault("text"),
        }
    }

    /// Text, a number written without quotes included.
    pub fn word(&self) -> Option<String> {
        match &self.node.value {
            Value::Number(number) => Some(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// A finite number for which `is_right` holds.
    pub fn number(&self, expected: &str, is_right: impl Fn(f64) -> bool) -> Option<f64> {
        match self.node.value {
            Value::Number(value) if value.is_finite() && is_right(value) => Some(value),
            _ => self.fault(expected),
        }
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        // Above 2^53 neighbours cannot be told apart once read as a number.
        let top = (1u64 << 53).min(*range.end());
        let expected = format!("a whole number from {} to {top}", range.start());
        let right = |x: f64| x >= *range.start() as f64 && x <= top as f64 && x.fract() == 0.0;
        self.number(&expected, right).map(|x| x as u64)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.fault("true or false"),
        }
    }

    /// One of a list of words, by its index.
    pub fn one_of(&self, words: &[&str]) -> Option<usize> {
        let expected = || format!("one of {}", words.join(", "));
        let Value::Text(text) = &self.node.value else { return self.fault(expected()) };
        words.iter().position(|word| word == text).or_else(|| self.fault(expected()))
    }

    /// Text that `read` understands.
    pub fn parsed<T>(&self, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.word()?;
        read(&text).or_else(|| self.fault(expected))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    /// Whether it is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// Each item of a list through `read`; `None` if any of them is wrong.
    pub fn list<T>(&self, read: impl Fn(At<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Sequence(items) = &self.node.value else { return self.fault("a list") };
        let mut all = Some(Vec::with_capacity(items.len()));
        for (index, node) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.path);
            let item = read(At { node, document: self.document, path: &path });
            all = all.zip(item).map(|(mut all, item)| {
                all.push(item);
                all
            });
        }
        all
    }

    /// Each value of a mapping with free keys through `read`; `None` if any of them is wrong.
    pub fn entries<T>(&self, read: impl Fn(&str, At<'_>) -> Option<T>) -> Option<Vec<(String, T)>> {
        let Value::Mapping(fields) = &self.node.value else { return self.fault("a mapping") };
        let mut all = Some(Vec::with_capacity(fields.len()));
        for (key, _, _, node) in fields {
            let path = self.join(key);
            let item = read(key, At { node, document: self.document, path: &path });
            all = all.zip(item).map(|(mut all, item)| {
                all.push((key.clone(), item));
                all
            });
        }
        all
    }

    /// The fields of a mapping through `read`; keys that `read` does not ask for are faults.
    pub fn mapping<T>(&self, read: impl FnOnce(&Mapping<'_>) -> Option<T>) -> Option<T> {
        let Value::Mapping(fields) = &self.node.value else { return self.fault("a mapping") };
        let mapping = Mapping { at: *self, fields, asked: RefCell::default() };
        let result = read(&mapping);
        let asked = mapping.asked.into_inner();
        let mut all_known = true;
        for (key, line, column, _) in fields {
            if !asked.contains(key.as_str()) {
                let known: Vec<&str> = asked.iter().copied().collect();
                let expected = format!("one of {}", known.join(", "));
                self.document.push(
                    *line,
                    *column,
                    &self.join(key),
                    format!("the unknown key `{key}`"),
                    expected,
                );
                all_known = false;
            }
        }
        result.filter(|_| all_known)
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A mapping whose fields are being read.
pub struct Mapping<'a> {
    at: At<'a>,
    fields: &'a [(String, u64, u64, Node)],
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Mapping<'_> {
    /// The mapping as a value, for faults of the whole.
    pub fn at(&self) -> At<'_> {
        self.at
    }

    /// A field that must be there.
    pub fn required<T>(&self, key: &'static str, read: impl FnOnce(At<'_>) -> Option<T>) -> Option<T> {
        match self.find(key) {
            Some(node) => self.read(key, node, read),
            None => {
                let At { node, document, .. } = self.at;
                document.push(
                    node.line,
                    node.column,
                    &self.at.join(key),
                    "nothing".to_owned(),
                    format!("the key `{key}`"),
                );
                None
            }
        }
    }

    /// A field that may be missing: `Some(None)` then; `None` only if it is wrong.
    pub fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(At<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.find(key) {
            Some(node) => self.read(key, node, read).map(Some),
            None => Some(None),
        }
    }

    fn find(&self, key: &'static str) -> Option<&Node> {
        self.asked.borrow_mut().insert(key);
        let found = self.fields.iter().find(|(name, ..)| name == key).map(|(.., node)| node);
        found.filter(|node| !matches!(node.value, Value::Null))
    }

    fn read<T>(&self, key: &str, node: &Node, read: impl FnOnce(At<'_>) -> Option<T>) -> Option<T> {
        let path = self.at.join(key);
        read(At { node, document: self.at.document, path: &path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        let document = Document::new("t.yaml");
        let node = parse("t.yaml", text).unwrap();
        At::root(&node, &document).mapping(|m| {
            let paths = m.required("paths", |at| at.integer(1..=10));
            let name = m.required("name", |at| at.text().map(str::to_owned));
            let sizes =
                m.optional("sizes", |at| at.list(|at| at.number("a number of at least 0", |x| x >= 0.0)));
            Some((paths?, name?, sizes?))
        });
        document.into_faults().as_slice().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_reported_with_its_place() {
        let faults = faults_of("paths: 0\nnmae: x\nsizes: [1, .nan, -2]\n");
        assert_eq!(
            faults,
            [
                "t.yaml:1:8: paths: found 0; expected a whole number from 1 to 10",
                "t.yaml:1:1: name: found nothing; expected the key `name`",
                "t.yaml:3:12: sizes[1]: found NaN; expected a number of at least 0",
                "t.yaml:3:18: sizes[2]: found -2; expected a number of at least 0",
                "t.yaml:2:1: nmae: found the unknown key `nmae`; expected one of name, paths, sizes",
            ]
        );
        assert!(faults_of("paths: 3\nname: x\n").is_empty());
    }

    #[test]
    fn syntax_errors_and_hostile_nesting_are_faults() {
        for text in ["a: [1, 2", "a: b: c: d", "", "   ", &"[".repeat(100_000), "a: 1\na: 2\n"] {
            assert!(parse("t.yaml", text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
