//! A browser for one test: it keeps its cookie, sends what browsers send, and finds the token in the forms it got.

use std::collections::BTreeMap;

use axum::body::Body;

use crate::plane::{Answer, Plane};

pub const HOST: &str = "weir.example";
pub const ORIGIN: &str = "http://weir.example";
const HTML: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

pub struct Browser<'p> {
    plane: &'p Plane,
    pub cookies: BTreeMap<String, String>,
    pub csrf: String,
}

/// A form's body.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// What a page says of an attribute `name="…" value="`, such as a hidden field's.
pub fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    let value = rest.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

impl<'p> Browser<'p> {
    pub fn new(plane: &'p Plane) -> Self {
        Self { plane, cookies: BTreeMap::new(), csrf: String::new() }
    }

    pub async fn signed_in(plane: &'p Plane, token: &str) -> Self {
        let mut browser = Self::new(plane);
        let answer = browser.post("/sign-in", &[("token", token)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"), "{}", answer.text());
        browser.learn().await;
        browser
    }

    /// Reads the token of the session's forms.
    pub async fn learn(&mut self) {
        self.csrf = hidden(&self.get("/audit").await.text(), "csrf").unwrap();
    }

    pub async fn call(&mut self, method: &str, path: &str, extra: &[(&str, &str)], body: String) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("host", HOST), ("accept", HTML)];
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        headers.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        headers.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
        let answer = self.plane.call_with(method, path, &headers, Body::from(body)).await;
        for set in answer.headers.get_all("set-cookie") {
            let (pair, rest) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[], String::new()).await
    }

    /// Sends a form as it stands.
    pub async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let headers = [("origin", ORIGIN), ("content-type", "application/x-www-form-urlencoded")];
        self.call("POST", path, &headers, encoded(pairs)).await
    }

    /// Sends a form of a page of this session.
    pub async fn form(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        self.post(path, &[pairs, &[("csrf", csrf.as_str())]].concat()).await
    }

    /// Sends a form that does its work, and gives the page that it leads to.
    #[track_caller]
    pub fn page_after(&mut self, answer: &Answer) -> String {
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").to_owned()
    }
}
