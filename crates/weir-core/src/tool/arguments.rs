//! What a call asks for.

use serde_json::{Map, Value};

/// The arguments of a call: always an object. They can be read and sent on, but not printed or recorded: there is no
/// `Debug`, `Display` or `Serialize` (design, section 2).
#[derive(Clone, PartialEq)]
pub struct Arguments(Value);

impl Default for Arguments {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl Arguments {
    /// Takes what a model gave; what is no object counts as none (spec C4).
    #[must_use]
    pub fn new(given: Value) -> Self {
        if given.is_object() { Self(given) } else { Self::default() }
    }

    /// The arguments as an object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// One argument.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The arguments by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.as_object().into_iter().flatten()
    }

    /// The names of the arguments, sorted: what may be recorded of them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The object itself, for who runs the call.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(members: Map<String, Value>) -> Self {
        Self(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_object_counts_as_none() {
        for given in [json!([1, 2]), json!("a"), json!(null), json!(1), json!({})] {
            assert_eq!(Arguments::new(given).as_value(), &json!({}));
        }
        assert_eq!(Arguments::new(json!({"b": 1, "a": [2]})).names(), ["a", "b"]);
    }
}
