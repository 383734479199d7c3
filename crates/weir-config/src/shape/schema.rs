//! The few words of JSON Schema that the raw types' schema uses.

use serde_json::Value as Json;

/// A schema, and the document whose `$defs` it may refer to.
#[derive(Clone, Copy)]
pub struct Schema<'s> {
    root: &'s Json,
    /// What stands at the place that uses it: it may have its own description.
    used: &'s Json,
    /// What it refers to.
    meant: &'s Json,
}

impl<'s> Schema<'s> {
    /// The schema of a whole document.
    pub fn root(root: &'s Json) -> Self {
        Self { root, used: root, meant: root }
    }

    /// The schema of the value of a key.
    pub fn member(self, key: &str) -> Option<Self> {
        let member = self.meant.get("properties").and_then(|p| p.get(key)).or_else(|| self.free_members())?;
        Some(self.below(member))
    }

    /// The keys that it names.
    pub fn members(self) -> impl Iterator<Item = &'s str> {
        self.meant
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flat_map(|p| p.keys())
            .map(String::as_str)
    }

    /// The keys that must be there.
    pub fn required(self) -> impl Iterator<Item = &'s str> {
        self.meant.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }

    /// The schema of a list's items.
    pub fn items(self) -> Option<Self> {
        self.meant.get("items").map(|items| self.below(items))
    }

    /// `object`, `array`, `string`, `integer`, `number` or `boolean`.
    pub fn kind(self) -> &'s str {
        match self.meant.get("type") {
            Some(Json::String(kind)) => kind,
            Some(Json::Array(kinds)) => {
                kinds.iter().filter_map(Json::as_str).find(|k| *k != "null").unwrap_or_default()
            }
            _ if self.meant.get("oneOf").is_some() => "string",
            _ => "",
        }
    }

    /// What a message calls such a value.
    pub fn name(self) -> &'s str {
        if let Some(title) =
            self.meant.get("title").and_then(Json::as_str).filter(|_| self.kind() == "string")
        {
            return title;
        }
        match self.kind() {
            "object" => "a mapping",
            "array" => "a list",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "`true` or `false`",
            _ => "a text",
        }
    }

    /// What it means to people.
    pub fn description(self) -> Option<&'s str> {
        self.used.get("description").or_else(|| self.meant.get("description")).and_then(Json::as_str)
    }

    /// The words of a closed set; empty for an open text.
    pub fn words(self) -> Vec<&'s str> {
        let listed = self.meant.get("enum").and_then(Json::as_array).into_iter().flatten();
        let described = self
            .meant
            .get("oneOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("const"));
        listed.chain(described).filter_map(Json::as_str).collect()
    }

    /// Texts that would be right.
    pub fn examples(self) -> Vec<&'s str> {
        let examples = self.meant.get("examples").and_then(Json::as_array);
        examples.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// Whether such a text must not be shown.
    pub fn is_secret(self) -> bool {
        self.meant.get("format").and_then(Json::as_str) == Some("password")
    }

    /// Whether it, or anything below it, must not be shown.
    pub fn holds_secret(self) -> bool {
        self.is_secret()
            || self.items().is_some_and(Self::holds_secret)
            || self.free_members().is_some_and(|m| self.below(m).holds_secret())
            || self.members().any(|key| self.member(key).is_some_and(Self::holds_secret))
    }

    /// The pattern of a text.
    pub fn pattern(self) -> Option<&'s str> {
        self.word("pattern")?.as_str()
    }

    /// A bound of a number.
    pub fn bound(self, word: &str) -> Option<f64> {
        self.word(word)?.as_f64()
    }

    /// A least size.
    pub fn at_least(self, word: &str) -> Option<usize> {
        usize::try_from(self.word(word)?.as_u64()?).ok()
    }

    fn word(self, word: &str) -> Option<&'s Json> {
        self.used.get(word).or_else(|| self.meant.get(word))
    }

    fn free_members(self) -> Option<&'s Json> {
        self.meant.get("additionalProperties").filter(|free| free.is_object())
    }

    fn below(self, used: &'s Json) -> Self {
        Self { root: self.root, used, meant: self.resolve(used) }
    }

    /// Follows `$ref`, and takes what an optional value is when it is there.
    fn resolve(self, schema: &'s Json) -> &'s Json {
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let pointer = reference.trim_start_matches('#');
            return self.root.pointer(pointer).map_or(schema, |found| self.resolve(found));
        }
        let alternatives = schema.get("anyOf").and_then(Json::as_array);
        match alternatives.and_then(|all| all.iter().find(|one| one.get("type") != Some(&Json::from("null"))))
        {
            Some(alternative) => self.resolve(alternative),
            None => schema,
        }
    }
}
