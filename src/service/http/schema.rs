//! All that is wrong with the form of a JSON value, told by the schema that the service publishes.

use serde_json::{Map, Value};

/// Faults after which a hopeless value is left.
const MOST: usize = 100;

/// Place, what stands there, what would be right.
pub type Found = (String, String, String);

/// What keeps `value` from being a `name` of these schemas (`components.schemas` of the document).
pub fn faults(schemas: &Value, name: &str, value: &Value) -> Vec<Found> {
    let mut reader = Reader { schemas, faults: Vec::new() };
    if let Some(schema) = schemas.get(name) {
        reader.check(schema, value, "body");
    }
    reader.faults
}

struct Reader<'a> {
    schemas: &'a Value,
    faults: Vec<Found>,
}

impl Reader<'_> {
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        if self.faults.len() >= MOST {
            return;
        }
        if let Some(target) = self.referred(schema) {
            return self.check(&target.clone(), value, place);
        }
        if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
            return self.check_choices(choices, value, place);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return parts.iter().for_each(|part| self.check(part, value, place));
        }
        if let Some(words) =
            schema.get("enum").and_then(Value::as_array).filter(|words| !words.contains(value))
        {
            let wanted: Vec<String> = words.iter().map(described).collect();
            return self.note(place, described(value), format!("one of {}", wanted.join(", ")));
        }
        let kinds = kinds_of(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(kind, value)) {
            return self.note(place, described(value), kinds.join(" or "));
        }
        match value {
            Value::Object(fields) => self.check_object(schema, fields, place),
            Value::Array(items) => {
                let Some(schema) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.check(schema, item, &format!("{place}[{index}]"));
                }
            }
            Value::Number(number) => self.check_range(schema, number.as_f64(), place),
            _ => {}
        }
    }

    fn check_object(&mut self, schema: &Value, fields: &Map<String, Value>, place: &str) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (name, value) in fields {
            match known.get(name) {
                Some(schema) => self.check(schema, value, &format!("{place}.{name}")),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    let names: Vec<&str> = known.keys().map(String::as_str).collect();
                    let place = format!("{place}.{}", name.chars().take(60).collect::<String>());
                    self.note(&place, "an unknown field".to_owned(), format!("one of {}", names.join(", ")));
                }
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
            let wanted = known.get(name).map(|schema| self.kinds_behind(schema)).unwrap_or_default();
            self.note(&format!("{place}.{name}"), "nothing".to_owned(), wanted);
        }
    }

    /// `null` beside one other choice is how an optional field looks: the fault is that choice's.
    fn check_choices(&mut self, choices: &[Value], value: &Value, place: &str) {
        let mut shortest: Option<Vec<Found>> = None;
        for choice in choices.iter().filter(|choice| kinds_of(choice) != ["null"] || value.is_null()) {
            let mut reader = Reader { schemas: self.schemas, faults: Vec::new() };
            reader.check(choice, value, place);
            if shortest.as_ref().is_none_or(|found| reader.faults.len() < found.len()) {
                shortest = Some(reader.faults);
            }
        }
        self.faults.extend(shortest.unwrap_or_default());
    }

    fn check_range(&mut self, schema: &Value, number: Option<f64>, place: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let Some(number) = number else { return };
        if let Some(least) = bound("minimum").filter(|least| !(number >= *least)) {
            self.note(place, number.to_string(), format!("at least {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| !(number <= *most)) {
            self.note(place, number.to_string(), format!("at most {most}"));
        }
    }

    fn referred(&self, schema: &Value) -> Option<&Value> {
        let target = schema.get("$ref")?.as_str()?;
        self.schemas.get(target.rsplit('/').next()?)
    }

    fn kinds_behind(&self, schema: &Value) -> String {
        match self.referred(schema) {
            Some(target) => kinds_of(target).join(" or "),
            None => kinds_of(schema).join(" or "),
        }
    }

    fn note(&mut self, place: &str, found: String, wanted: String) {
        self.faults.push((place.to_owned(), found, wanted));
    }
}

fn kinds_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("an object of {} fields", fields.len()),
        Value::String(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_faults_are_found_with_their_places() {
        let schemas = json!({
            "Order": {
                "type": "object",
                "required": ["instrument", "quantity"],
                "properties": {
                    "instrument": {"type": "string"},
                    "quantity": {"type": "number"},
                    "entry": {"type": ["number", "null"]},
                    "side": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Side"}]}
                },
                "additionalProperties": false
            },
            "Side": {"type": "string", "enum": ["buy", "sell"]},
            "Orders": {"type": "object", "properties": {
                "orders": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
                "limit": {"type": "integer", "minimum": 0}
            }}
        });
        let value = json!({"orders": [
            {"instrument": 3, "quantity": "x", "entry": null, "side": null},
            {"quantity": 1.5, "colour": "red", "side": "hold"},
        ], "limit": -1});
        let found: Vec<String> = faults(&schemas, "Orders", &value)
            .into_iter()
            .map(|(place, found, wanted)| format!("{place}: {found}; {wanted}"))
            .collect();
        assert_eq!(
            found,
            [
                "body.limit: -1; at least 0",
                "body.orders[0].instrument: 3; string",
                "body.orders[0].quantity: `x`; number",
                "body.orders[1].colour: an unknown field; one of entry, instrument, quantity, side",
                "body.orders[1].side: `hold`; one of `buy`, `sell`",
                "body.orders[1].instrument: nothing; string",
            ]
        );
        assert!(faults(&schemas, "Orders", &json!({"orders": []})).is_empty());
    }
}
