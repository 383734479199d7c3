//! Requests as callers send them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Node, USER_KEY};

/// Stands in every prompt and every key of these tests, and so must stand in no log line and no record.
pub const CANARY: &str = "canary";
/// The prompt of every request.
pub const PROMPT: &str = "the canary sings";

/// One of the three protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Responses,
    Messages,
}

impl Api {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Responses, Self::Messages];

    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
        }
    }

    pub fn body(self, model: &str) -> Value {
        match self {
            Self::Chat => json!({"model": model, "messages": [{"role": "user", "content": PROMPT}]}),
            Self::Responses => json!({"model": model, "input": PROMPT}),
            Self::Messages => {
                json!({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": PROMPT}]})
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Ask {
    /// A request of `user-123` under `/v1`.
    pub fn new(api: Api, model: &str) -> Self {
        Self::anonymous(api, model).header("authorization", &format!("Bearer {USER_KEY}"))
    }

    /// The same without a key.
    pub fn anonymous(api: Api, model: &str) -> Self {
        let path = format!("/v1{}", api.path());
        Self {
            method: "POST".to_owned(),
            path,
            headers: Vec::new(),
            body: api.body(model).to_string().into(),
        }
        .header("content-type", "application/json")
    }

    pub fn chat(model: &str) -> Self {
        Self::new(Api::Chat, model)
    }

    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Under the seed's prefix.
    pub fn seed(mut self) -> Self {
        self.path = format!("/api/gateway{}", self.path);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(given, _)| given != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Once more: the header stands twice.
    pub fn header_again(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a member of the JSON body.
    pub fn with(mut self, member: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body[member] = value;
        self.body = body.to_string().into();
        self
    }

    pub fn streamed(self) -> Self {
        self.with("stream", json!(true))
    }

    pub fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    pub fn url(&self, node: &Node) -> String {
        format!("{}{}", node.url, self.path)
    }
}
