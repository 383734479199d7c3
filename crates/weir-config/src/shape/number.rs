//! Numbers and their ranges.

use serde_json::{Value as Json, json};

use super::schema::Schema;
use crate::document::Value;

/// Up to here every whole number is a float too: 2 to the power of 53.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole one.
    Whole(i128),
    /// Any other.
    Real(f64),
}

/// The number of a node.
pub fn of(value: &Value) -> Option<Number> {
    match value {
        Value::Integer(whole) => Some(Number::Whole(*whole)),
        Value::Float(real) => Some(Number::Real(*real)),
        _ => None,
    }
}

/// The number in a text.
pub fn parsed(text: &str) -> Option<Number> {
    text.parse().map(Number::Whole).or_else(|_| text.parse().map(Number::Real)).ok()
}

/// The number as JSON, if it has the kind and the range that the schema asks for.
pub fn checked(number: Number, schema: Schema<'_>) -> Result<Json, String> {
    let real = match number {
        Number::Whole(whole) => whole as f64,
        Number::Real(real) => real,
    };
    if !real.is_finite() {
        return Err(format!("expected {}, found no finite number", schema.name()));
    }
    if let Some(least) = schema.bound("minimum").filter(|least| real < *least) {
        return Err(format!("the number must be at least {least}"));
    }
    if let Some(most) = schema.bound("maximum").filter(|most| real > *most) {
        return Err(format!("the number must be at most {most}"));
    }
    if schema.kind() != "integer" {
        return Ok(json!(real));
    }
    match number {
        Number::Whole(whole) => u64::try_from(whole).map(|whole| json!(whole)).map_err(|_| too_large()),
        Number::Real(real) if real.fract() == 0.0 && real < MOST_EXACT => Ok(json!(real as u64)),
        Number::Real(real) if real.fract() == 0.0 => Err(too_large()),
        Number::Real(_) => Err(format!("expected {}, found one with a fraction", schema.name())),
    }
}

fn too_large() -> String {
    "the number is too large".to_owned()
}
