//! The JSON Schema, and what is held against it: the example, the reference and the defaults in the code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

mod common;

use std::path::Path;

use common::{BASE, Given, load_text};
use serde_json::{Value, json};
use weir_config::{load, schema};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// A key of the configuration: `providers[].apis`, its schema where it is used, and what that refers to.
struct Key {
    path: String,
    used: Value,
    meant: Value,
}

fn resolved(root: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(
            root,
            root.pointer(reference.trim_start_matches('#')).expect("a reference into the schema"),
        );
    }
    match schema["anyOf"].as_array() {
        Some(all) => resolved(root, all.iter().find(|one| one["type"] != "null").unwrap()),
        None => schema.clone(),
    }
}

fn keys() -> Vec<Key> {
    let root = schema();
    let mut keys = Vec::new();
    below(&root, &root, "", &mut keys);
    assert!(keys.len() > 100, "{}", keys.len());
    keys
}

fn below(root: &Value, schema: &Value, path: &str, keys: &mut Vec<Key>) {
    let schema = resolved(root, schema);
    if schema["items"].is_object() {
        below(root, &schema["items"], &format!("{path}[]"), keys);
    }
    for (key, used) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        keys.push(Key { path: path.clone(), used: used.clone(), meant: resolved(root, used) });
        below(root, used, &path, keys);
    }
}

#[test]
fn the_schema_is_draft_2020_12_closed_and_explained() {
    let root = schema();
    assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(root["additionalProperties"], false);
    for definition in root["$defs"].as_object().unwrap().values().filter(|d| d["properties"].is_object()) {
        assert_eq!(definition["additionalProperties"], false, "{definition}");
    }
    for key in keys() {
        let explained = key.used["description"].is_string() || key.meant["description"].is_string();
        assert!(explained, "`{}` has no description", key.path);
    }
    assert!(!root.to_string().contains("Raw"), "names of the code");
}

#[test]
fn every_key_is_in_the_reference() {
    let missing: Vec<String> = keys()
        .into_iter()
        .map(|key| key.path)
        .filter(|path| !REFERENCE.contains(&format!("`{path}`")))
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md does not explain {missing:#?}");
}

#[test]
fn every_key_of_the_reference_exists() {
    let known: Vec<String> = keys().into_iter().map(|key| key.path).collect();
    let rows = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let unknown: Vec<&str> =
        rows.map(|(path, _)| path).filter(|path| !known.iter().any(|k| k == path)).collect();
    assert!(unknown.is_empty(), "docs/configuration.md explains what is not there: {unknown:#?}");
}

#[test]
fn the_reference_tells_the_defaults_of_the_schema() {
    for key in keys() {
        let Some(default) = key.used.get("default") else { continue };
        let shown =
            default.as_str().filter(|text| !text.is_empty()).map_or(default.to_string(), str::to_owned);
        let row = REFERENCE.lines().find(|line| line.starts_with(&format!("| `{}` |", key.path)));
        let row = row.unwrap_or_else(|| panic!("no row for `{}`", key.path));
        assert!(row.contains(&format!("| `{shown}` |")), "`{}` is {shown} by default, but: {row}", key.path);
    }
}

/// A configuration that says one default aloud. Lists need an item to say something about.
fn saying(path: &str, value: &Value) -> Value {
    let Some((parent, key)) = path.rsplit_once('.') else { return json!({ path: value }) };
    match parent.strip_suffix("[]") {
        Some(list) => {
            let mut item = match list {
                "providers" => json!({"name": "p", "base_url": "http://p.test", "apis": ["messages"]}),
                "models" => json!({"id": "m", "provider": "sim"}),
                "keys" => json!({"key": "k", "user": "u"}),
                other => panic!("an item of `{other}` is not known here"),
            };
            item[key] = value.clone();
            saying(list, &json!([item]))
        }
        None => saying(parent, &json!({ key: value })),
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_code() {
    let config =
        |text: &str| format!("{:?}", load_text(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).config);
    let mut said = 0;
    for key in keys() {
        let Some(default) = key.used.get("default") else { continue };
        let mut silent = saying(&key.path, default);
        let aloud = silent.to_string();
        remove(&mut silent, key.path.rsplit('.').next().unwrap());
        assert_eq!(config(&aloud), config(&silent.to_string()), "`{}`", key.path);
        said += 1;
    }
    assert!(said > 40, "{said}");
}

/// Removes a key wherever it is: a configuration of [`saying`] has it once.
fn remove(value: &mut Value, key: &str) {
    match value {
        Value::Object(members) if members.contains_key(key) => drop(members.remove(key)),
        Value::Object(members) => members.values_mut().for_each(|member| remove(member, key)),
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, key)),
        _ => {}
    }
}

#[test]
fn the_example_shows_every_section_and_only_known_keys() {
    let example = include_str!("../../../weir.example.yaml");
    for (section, _) in schema()["properties"].as_object().unwrap() {
        let shown =
            example.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{section}:")));
        assert!(shown, "the example does not show `{section}`");
    }
    assert!(load_text(example).is_ok(), "an unknown key would be an error");
    assert!(load(None, Path::new(BASE), &Given::default()).is_ok());
}
