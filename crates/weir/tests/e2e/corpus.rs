//! One corpus of facts, decided on every way that leads to a decision: `weir decide`, the gateway, `/api/classify` and
//! the examples that the loader runs. Each must say the same.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use weir_core::identity::FingerprintParts;
use weir_core::{Action, IdentityKey};
use weir_testkit::http::Response;
use weir_testkit::{WeirCommand, WeirProcess};

use crate::support::{
    assert_no_canary, binary, eventually, make_key_of, post, read, record, simulated, write,
};

const RULES: &str = include_str!("../data/corpus-rules.yaml");
const CORPUS: &str = include_str!("../data/corpus.jsonl");

/// What the protocol of the abuse service has no member for. These facts, and nothing else, are empty for
/// `/api/classify`; it is held against what `weir decide` says of the same facts without them.
const NOT_TOLD_TO_THE_SERVICE: [&str; 4] = ["api", "path", "headers", "body_bytes"];
/// The time is that of the server, and counters are those of earlier requests: a caller can send neither. Cases that
/// give them are decided by `weir decide` and the loader alone, and these are all of them.
const NOT_SENT: [&str; 4] = ["at-three", "at-four", "busy", "busy-not"];
/// Examples test `when` alone. Whether these matched does not follow from it: two are not asked, one only for some.
const NOT_BY_WHEN_ALONE: [&str; 3] = ["switched-off", "expired", "half"];

const FREE: &str = "sim/free";
const ADDRESS: &str = "198.51.100.7";

/// One line of the corpus with all that follows from it: what is sent, and the facts that weir will see.
struct Case {
    id: String,
    facts: Value,
    body: Value,
    sent: bool,
}

impl Case {
    fn read(line: &str) -> Self {
        let given: Value = serde_json::from_str(line).unwrap();
        let id = given["id"].as_str().unwrap().to_owned();
        let mut request = object(&given["request"]);
        let mut identity = object(&given["identity"]);
        let mut set = |name: &str, value: Value| _ = request.entry(name).or_insert(value);
        set("api", json!("chat_completions"));
        set("model", json!(FREE));
        set("ip", json!(ADDRESS));
        set("user_agent", json!("corpus"));
        set("user_prompt", json!("hello"));
        if request.get("system_prompt") == Some(&json!("LARGE")) {
            request["system_prompt"] = json!("much ".repeat(1000));
        }
        let model = request["model"].as_str().unwrap().to_owned();
        let path = format!("/v1{}", path_of(request["api"].as_str().unwrap()));
        request.insert("path".to_owned(), json!(path));
        request.insert("provider".to_owned(), json!(model.split('/').next().unwrap()));
        request.insert("free".to_owned(), json!(model == FREE));
        if request["api"] == "embeddings" {
            request.insert("user_prompt".to_owned(), json!(""));
        }
        let body = body(&request);
        request.insert("body_bytes".to_owned(), json!(body.to_string().len()));
        complete_identity(&mut identity, &request);
        let mut facts = object(&given);
        facts.insert("request".to_owned(), Value::Object(request));
        facts.insert("identity".to_owned(), Value::Object(identity));
        let sent = !facts.contains_key("now") && !facts.contains_key("stats");
        Self { id, facts: Value::Object(facts), body, sent }
    }

    fn request(&self, name: &str) -> &Value {
        &self.facts["request"][name]
    }

    fn identity(&self, name: &str) -> &Value {
        &self.facts["identity"][name]
    }

    fn user(&self) -> Option<&str> {
        (self.identity("kind") == "user").then(|| self.identity("user_id").as_str().unwrap())
    }

    /// The facts without what the protocol of the abuse service does not tell.
    fn as_told_to_the_service(&self) -> Value {
        let mut facts = self.facts.clone();
        for name in NOT_TOLD_TO_THE_SERVICE {
            facts["request"].as_object_mut().unwrap().remove(name);
        }
        facts
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn path_of(api: &str) -> &'static str {
    match api {
        "chat_completions" => "/chat/completions",
        "responses" => "/responses",
        "messages" => "/messages",
        "count_tokens" => "/messages/count_tokens",
        "embeddings" => "/embeddings",
        other => panic!("{other}"),
    }
}

/// Who sends it, as weir derives it.
fn complete_identity(identity: &mut Map<String, Value>, request: &Map<String, Value>) {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let parts = FingerprintParts { address: text("ip"), ja4: text("ja4"), user_agent: text("user_agent") };
    let user = identity.get("user_id").and_then(Value::as_str).map(ToOwned::to_owned);
    let key = IdentityKey::derive(user.as_deref(), parts);
    let kind = if user.is_some() { "user" } else { "anonymous" };
    let user_id = user.unwrap_or_else(|| format!("anon:{}", request["ip"].as_str().unwrap()));
    identity.insert("key".to_owned(), json!(key.as_str()));
    identity.insert("kind".to_owned(), json!(kind));
    identity.insert("user_id".to_owned(), json!(user_id));
}

/// The body that a caller would send.
fn body(request: &Map<String, Value>) -> Value {
    let api = request["api"].as_str().unwrap();
    let (user, system) = (&request["user_prompt"], request.get("system_prompt"));
    let mut body = json!({"model": request["model"]});
    match api {
        "responses" => {
            body["input"] = user.clone();
            body["instructions"] = json!(system);
        }
        "embeddings" => body["input"] = json!("hello"),
        "chat_completions" => {
            let system = system.map(|text| json!({"role": "system", "content": text}));
            let user = json!({"role": "user", "content": user});
            body["messages"] = system.into_iter().chain([user]).collect();
        }
        _ => {
            body["messages"] = json!([{"role": "user", "content": user}]);
            if let Some(system) = system {
                body["system"] = system.clone();
            }
        }
    }
    if let Some(tokens) = request.get("max_tokens") {
        let name = if api == "responses" { "max_output_tokens" } else { "max_tokens" };
        body[name] = tokens.clone();
    }
    if request.get("stream") == Some(&json!(true)) {
        body["stream"] = json!(true);
    }
    if request.get("has_tools") == Some(&json!(true)) {
        let schema = json!({"type": "object", "properties": {}});
        body["tools"] = json!([match api {
            "messages" => json!({"name": "look", "input_schema": schema}),
            "responses" => json!({"type": "function", "name": "look", "parameters": schema}),
            _ => json!({"type": "function", "function": {"name": "look", "parameters": schema}}),
        }]);
    }
    body
}

/// What was decided, as far as it does not name the single request.
#[derive(Clone, Debug, PartialEq)]
struct Decided(BTreeMap<&'static str, Value>);

impl Decided {
    fn of(decision: &Value) -> Self {
        let members = [
            "boundary",
            "subject",
            "outcome",
            "rule",
            "because",
            "instead",
            "sus_score",
            "matched",
            "errored",
            "obligations",
            "source",
        ];
        Self(members.into_iter().map(|name| (name, decision[name].clone())).collect())
    }

    fn rules(&self, of: &str) -> Vec<String> {
        let rules = self.0[of].as_array().unwrap();
        rules.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
    }
}

/// A node with the rules of the corpus, and the cases.
struct Corpus {
    weir: WeirProcess,
    cases: Vec<Case>,
}

impl Corpus {
    async fn start() -> Self {
        let config = simulated(
            "providers: [{name: sim, simulated: true}, {name: labs, simulated: true}]\n\
             rules: [corpus-rules.yaml]\n\
             abuse: {mode: inline, quarantine: {first: 1ms, second: 2ms}}",
        );
        let weir = WeirCommand::new(binary(), &config).file("corpus-rules.yaml", RULES).start().await;
        let cases: Vec<_> = CORPUS.lines().map(Case::read).collect();
        let unsent: Vec<_> = cases.iter().filter(|case| !case.sent).map(|case| case.id.as_str()).collect();
        assert_eq!(unsent, NOT_SENT);
        Self { weir, cases }
    }

    /// What `weir decide` says of facts, line by line.
    fn decide(&self, facts: impl Iterator<Item = Value>) -> Vec<Decided> {
        let lines: String = facts.map(|facts| format!("{facts}\n")).collect();
        let args = ["decide", "--on", "request", "--config", "weir.yaml"];
        let output = run(self.weir.folder(), &args, &lines);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| Decided::of(&serde_json::from_str(line).unwrap())).collect()
    }

    fn sent(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.sent)
    }
}

fn run(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Makes the user of a case known as its facts say, and gives its key.
async fn make_known(weir: &WeirProcess, case: &Case, user: &str) -> String {
    let mut key = json!({"user": user});
    for (member, fact) in [("org", "org_id"), ("project", "project_id"), ("plan", "plan"), ("tags", "tags")] {
        if !case.identity(fact).is_null() {
            key[member] = case.identity(fact).clone();
        }
    }
    let key = make_key_of(weir, &key).await;
    let mut data = json!({"kilo_user_id": user});
    for fact in ["verified", "blocked", "age_days"] {
        if !case.identity(fact).is_null() {
            data[fact] = case.identity(fact).clone();
        }
    }
    write(weir, "POST", "/api/events", &json!({"events": [{"type": "user.updated", "data": data}]}), 202)
        .await;
    key
}

/// Sends a case as its caller would.
async fn send(weir: &WeirProcess, case: &Case, key: Option<&str>) -> Response {
    let mut headers: Vec<(String, String)> = Vec::new();
    let named = [
        ("ip", "x-forwarded-for"),
        ("user_agent", "user-agent"),
        ("feature", "x-weir-feature"),
        ("editor", "x-weir-editor"),
        ("ja4", "x-vercel-ja4-digest"),
        ("country", "x-vercel-ip-country"),
        ("city", "x-vercel-ip-city"),
    ];
    for (fact, header) in named {
        if let Some(value) = case.request(fact).as_str() {
            headers.push((header.to_owned(), value.to_owned()));
        }
    }
    for (name, value) in object(case.request("headers")) {
        headers.push((name, value.as_str().unwrap().to_owned()));
    }
    headers.extend(key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))));
    if case.request("byok") == true {
        headers.push(("x-weir-byok".to_owned(), "own-canary-key".to_owned()));
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    post(weir, case.request("path").as_str().unwrap(), &headers, &case.body).await
}

/// What another gateway would ask of a case.
fn classification(case: &Case) -> Value {
    let mut asked = json!({
        "kilo_user_id": case.identity("user_id"), "organization_id": case.identity("org_id"),
        "project_id": case.identity("project_id"),
    });
    let members = [
        ("ip_address", "ip"),
        ("geo_city", "city"),
        ("geo_country", "country"),
        ("ja4_digest", "ja4"),
        ("user_agent", "user_agent"),
        ("provider", "provider"),
        ("requested_model", "model"),
        ("user_prompt", "user_prompt"),
        ("system_prompt", "system_prompt"),
        ("max_tokens", "max_tokens"),
        ("has_tools", "has_tools"),
        ("streamed", "stream"),
        ("is_user_byok", "byok"),
        ("editor_name", "editor"),
        ("feature", "feature"),
    ];
    for (member, fact) in members {
        asked[member] = case.request(fact).clone();
    }
    asked
}

#[tokio::test]
async fn the_gateway_and_the_abuse_service_decide_as_weir_decide_does() {
    let corpus = Corpus::start().await;
    let expected = corpus.decide(corpus.sent().map(|case| case.facts.clone()));
    let without = corpus.decide(corpus.sent().map(Case::as_told_to_the_service));
    every_rule_is_of_use(&corpus);
    let mut differing = Vec::new();
    for ((case, expected), without) in corpus.sent().zip(expected).zip(without) {
        let key = match case.user() {
            Some(user) => Some(make_known(&corpus.weir, case, user).await),
            None => None,
        };
        let answer = send(&corpus.weir, case, key.as_deref()).await;
        let by_gateway = Decided::of(&record(&corpus.weir, &answer).await);
        if by_gateway != expected {
            differing.push(format!("{} by the gateway: {by_gateway:#?}\nnot {expected:#?}", case.id));
        }
        let (said, by_service) = classified(&corpus.weir, case).await;
        if by_service != without {
            differing.push(format!("{} by the service: {by_service:#?}\nnot {without:#?}", case.id));
        }
        says_what_it_decided(case, &said, &without);
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert_no_canary(&corpus.weir).await;
}

/// Every rule matches some case, and some case is matched by none: a corpus that does not ask a rule says nothing of it.
fn every_rule_is_of_use(corpus: &Corpus) {
    let all = corpus.decide(corpus.cases.iter().map(|case| case.facts.clone()));
    let mut seen: Vec<String> = all.iter().flat_map(|decided| decided.rules("matched")).collect();
    seen.extend(all.iter().flat_map(|decided| decided.rules("errored")));
    seen.extend(["switched-off".to_owned(), "expired".to_owned()]);
    let ids = RULES.lines().filter_map(|line| line.trim().strip_prefix("- id: "));
    let unused: Vec<_> = ids.filter(|id| !seen.iter().any(|rule| rule == id)).collect();
    assert!(unused.is_empty(), "no case is about {unused:?}");
    assert!(all.iter().any(|decided| decided.rules("matched") == ["limit"]));
    let outcomes: std::collections::BTreeSet<String> =
        all.iter().map(|decided| decided.0["outcome"].to_string()).collect();
    assert_eq!(outcomes.len(), Action::ALL.len(), "the corpus reaches every outcome: {outcomes:?}");
    let rolled =
        all.iter().filter(|decided| decided.rules("matched").iter().any(|rule| rule == "half")).count();
    assert!((1..4).contains(&rolled), "of four identities a rollout of one half took {rolled}");
}

/// What the service answers, and the decision that it recorded.
async fn classified(weir: &WeirProcess, case: &Case) -> (Value, Decided) {
    let said = write(weir, "POST", "/api/classify", &classification(case), 200).await.json();
    let number = said["request_id"].to_string();
    let path = format!("/api/decisions?limit=20&subject={}", case.identity("key").as_str().unwrap());
    let decision = eventually("the record of a classification", async || {
        let page = read(weir, &path).await;
        page["items"].as_array().unwrap().iter().find(|item| item["result"]["request_id"] == number).cloned()
    });
    (said.clone(), Decided::of(&decision.await))
}

fn says_what_it_decided(case: &Case, said: &Value, decided: &Decided) {
    let engine = &said["rules_engine"];
    let all: Vec<_> =
        engine["matches"].as_array().unwrap().iter().map(|m| m["rule_id"].as_str().unwrap()).collect();
    assert_eq!(all, decided.rules("matched"), "{}: {said}", case.id);
    let enforced: Vec<_> = all.iter().filter(|rule| **rule != "shadowed").collect();
    assert_eq!(engine["matched_abuse_rule_ids"], json!(enforced), "{}: {said}", case.id);
    assert_eq!(engine["sus_score"], decided.0["sus_score"], "{}: {said}", case.id);
    let action = &decided.0["outcome"];
    let none = decided.0["rule"].is_null() && action == "nothing";
    assert_eq!(
        engine["resolved_action"],
        if none { Value::Null } else { action.clone() },
        "{}: {said}",
        case.id
    );
}

/// The rules of the corpus, with each case as an example of every rule: of those that match it, or of those that
/// do not.
async fn with_examples(corpus: &Corpus) -> Value {
    let decided = corpus.decide(corpus.cases.iter().map(|case| case.facts.clone()));
    let mut rules = read(&corpus.weir, "/api/rules").await["rules"].take();
    for rule in rules.as_array_mut().unwrap() {
        let id = rule["id"].as_str().unwrap().to_owned();
        if NOT_BY_WHEN_ALONE.contains(&id.as_str()) {
            continue;
        }
        let examples = |matching: bool| {
            let cases = corpus.cases.iter().zip(&decided);
            // An example on which the condition fails is none of either kind.
            let fitting = cases.filter(|(_, decided)| {
                !decided.rules("errored").contains(&id) && decided.rules("matched").contains(&id) == matching
            });
            fitting
                .map(|(case, _)| {
                    let mut facts = case.facts.clone();
                    facts.as_object_mut().unwrap().remove("id");
                    facts
                })
                .collect::<Vec<_>>()
        };
        rule["match"] = json!(examples(true));
        rule["no_match"] = json!(examples(false));
    }
    rules
}

#[tokio::test]
async fn the_loaders_examples_decide_as_weir_decide_does() {
    let corpus = Corpus::start().await;
    let mut rules = with_examples(&corpus).await;
    let file = corpus.weir.folder().join("examples.yaml");
    std::fs::write(&file, json!({"rules": rules}).to_string()).unwrap();
    let good = run(corpus.weir.folder(), &["check", "examples.yaml"], "");
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));

    // One example in the wrong list is noticed, so the others were looked at.
    let wrong = rules[0]["no_match"][0].take();
    rules[0]["match"].as_array_mut().unwrap().push(wrong);
    rules[0]["no_match"].as_array_mut().unwrap().remove(0);
    std::fs::write(&file, json!({"rules": rules}).to_string()).unwrap();
    let bad = run(corpus.weir.folder(), &["check", "examples.yaml"], "");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.contains("equal"), "{said}");
}
