//! Labelled errors of real providers, scored as they are scored elsewhere: class, retry, who is silenced, who is paged
//! for nothing.
//!
//! The pack was written with one half of the rows in view (the first byte of the SHA-256 of a row's id is even). The other
//! half shows what it does with errors it was not written for.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir_core::failure::Class;
use weir_rules::{Classification, Report};

use super::{classified, lines};

#[derive(Debug, Default)]
struct Score {
    rows: usize,
    class: usize,
    retry: usize,
    silenced: Vec<String>,
    noise: Vec<String>,
    user_key: Vec<String>,
    unstable: Vec<String>,
    wrong: Vec<String>,
}

fn line(row: &Value, body: &str, owner: &str) -> Value {
    json!({
        "provider": row["provider"], "operation": row["api"], "status": row["status"], "headers": row["headers"],
        "body": body, "transport": row["transport"], "credential_owner": owner,
    })
}

fn is_class(row: &Value, class: Class) -> bool {
    row["label"] == class.as_str()
        || row["alt"].as_array().is_some_and(|alt| alt.iter().any(|c| *c == class.as_str()))
}

fn score(rows: &[Value]) -> Score {
    let mut score = Score::default();
    for row in rows.iter().filter(|row| row["ambiguous"] != true) {
        let body = row["body"].as_str().unwrap();
        score.add(row, &classified(&line(row, body, "platform")), &classified(&line(row, body, "user")));
    }
    score
}

impl Score {
    fn add(&mut self, row: &Value, found: &Classification, users: &Classification) {
        let id = || row["id"].as_str().unwrap().to_owned();
        let label = row["label"].as_str().unwrap();
        let (operator, page) = (row["owner"] == "operator", found.report == Report::Page);
        let account = matches!(
            label,
            "quota_exhausted" | "auth_invalid" | "permission_denied" | "access_policy_denied"
        );
        let personal = row["owner"] == "user" && (account || label == "model_not_found");
        self.rows += 1;
        if is_class(row, found.class) {
            self.class += 1
        } else {
            self.wrong.push(id())
        }
        let retry = serde_json::to_value(found.retry).unwrap();
        self.retry += usize::from(retry == row["retry"] || label == "unknown");
        self.silenced.extend((operator && !page).then(id));
        self.noise.extend((!operator && page && label != "unknown" && !personal).then(id));
        self.user_key.extend((account && users.report == Report::Page).then(id));
        self.unstable.extend((found.class != users.class).then(id));
    }

    fn per_cent(&self, good: usize) -> f64 {
        100.0 * good as f64 / self.rows as f64
    }

    fn hold(&self, name: &str, class: f64, retry: f64) {
        println!(
            "{name}: {} rows, class {:.1} %, retry {:.1} %",
            self.rows,
            self.per_cent(self.class),
            self.per_cent(self.retry)
        );
        assert!(self.per_cent(self.class) >= class, "{name}: {self:#?}");
        assert!(self.per_cent(self.retry) >= retry, "{name}: {self:#?}");
        assert!(self.silenced.is_empty() && self.noise.len() <= 2, "{name}: {self:#?}");
        assert!(self.user_key.len() <= 1 && self.unstable.is_empty(), "{name}: {self:#?}");
    }
}

fn in_view(row: &Value) -> bool {
    Sha256::digest(row["id"].as_str().unwrap())[0] % 2 == 0
}

#[test]
fn labelled_failures_are_classified() {
    let rows = lines("failures.jsonl");
    assert!(rows.len() > 300);
    let (seen, unseen): (Vec<Value>, Vec<Value>) = rows.into_iter().partition(in_view);
    assert!(seen.len() > 140 && unseen.len() > 140);
    // Every row in view must hold, whoever's key it is.
    assert!(score(&seen).user_key.is_empty());
    score(&seen).hold("in view", 99.0, 99.0);
    score(&unseen).hold("not in view", 97.5, 96.5);
}

/// A way in which an error arrives changed.
type Change = (&'static str, fn(&str) -> String);

fn json_string(body: &str) -> String {
    serde_json::to_string(body).unwrap()
}

/// Ways that keep all that the error says.
const WRAPPED: &[Change] = &[
    ("as it is", ToOwned::to_owned),
    ("in a string", |body| format!("{{\"error\":{}}}", json_string(body))),
    ("in strings in strings", |body| {
        let inner = format!("{{\"error\":{{\"message\":{}}}}}", json_string(body));
        format!("{{\"detail\":{}}}", json_string(&inner))
    }),
    ("as raw metadata", |body| {
        format!(
            "{{\"error\":{{\"message\":\"Provider failed\",\"metadata\":{{\"raw\":{}}}}}}}",
            json_string(body)
        )
    }),
    ("in a list", |body| format!("[{{\"error\":{{\"message\":{}}}}}]", json_string(body))),
    ("as an event", |body| {
        format!("event: error\ndata: {{\"error\":{{\"message\":{}}}}}\n\n", json_string(body))
    }),
    ("behind words", |body| format!("turn failed after 3 steps: {body}")),
    ("cut short", |body| {
        let text = format!("{{\"error\":{{\"message\":{}", json_string(body));
        text.trim_end_matches('"').to_owned()
    }),
    ("beside the request", |body| {
        format!(
            "{{\"request_id\":\"req_429401\",\"input\":\"rate limit exceeded, insufficient_quota\",\"error\":{{\"message\":{}}}}}",
            json_string(body)
        )
    }),
];

#[test]
fn layers_around_an_error_do_not_change_its_class() {
    let rows = lines("failures.jsonl");
    let plain: Vec<&Value> = rows
        .iter()
        .filter(|row| row["ambiguous"] != true && row["transport"] != "sse" && row["label"] != "unknown")
        .collect();
    for (name, change) in WRAPPED {
        let mut changed = Vec::new();
        for row in &plain {
            let found = classified(&line(row, &change(row["body"].as_str().unwrap()), "platform"));
            if !is_class(row, found.class) {
                changed.push(format!("{}: {}", row["id"], found.class));
            }
        }
        let kept = 100.0 * (plain.len() - changed.len()) as f64 / plain.len() as f64;
        println!("{name}: {kept:.1} % of {}", plain.len());
        assert!(kept >= 97.0, "{name}: {kept:.1} %: {changed:#?}");
    }
}

#[test]
fn letter_case_does_not_change_a_class() {
    let rows = lines("failures.jsonl");
    let mut changed = Vec::new();
    for row in rows.iter().filter(|row| row["transport"] == "http" && row["ambiguous"] != true) {
        let body = row["body"].as_str().unwrap();
        let (plain, upper) = (
            classified(&line(row, body, "platform")),
            classified(&line(row, &upper_values(body), "platform")),
        );
        if plain.class != upper.class {
            changed.push(format!("{}: {} {}", row["id"], plain.class, upper.class));
        }
    }
    assert!(changed.len() <= 3, "{changed:#?}");
}

/// A JSON body whose messages are in capitals; any other body as it is.
fn upper_values(body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    fn walk(name: &str, value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| walk(name, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item)),
            Value::String(text) if name == "message" && !text.contains('{') => *text = text.to_uppercase(),
            _ => {}
        }
    }
    walk("", &mut value);
    value.to_string()
}
