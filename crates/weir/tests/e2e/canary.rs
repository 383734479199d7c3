//! Keys, prompts and secret headers go through every way that a request can take, and stay in none.

use serde_json::{Value, json};
use weir_testkit::weir::Signal;
use weir_testkit::{FakeSentry, Script, ScriptedUpstream, WeirProcess, http};

use crate::support::{
    CANARY, FREE, PAID, PROMPT, admin, assert_no_canary, binary, config, eventually, make_key, make_key_of,
    place_of, post, read, rule_for, secret_in, write,
};

/// A body of each API, with the canary in every place where a caller's words can stand.
fn bodies(model: &str, stream: bool) -> [(&'static str, Value); 4] {
    let schema = json!({"type": "object", "properties": {"canary-argument": {"type": "string"}}});
    [
        (
            "/chat/completions",
            json!({
                "model": model, "stream": stream, "user": "canary-user", "metadata": {"canary-name": "canary"},
                "messages": [
                    {"role": "system", "content": "canary of the system"}, {"role": "user", "content": PROMPT},
                    {"role": "assistant", "content": "canary of the assistant"}, {"role": "user", "content": PROMPT},
                ],
                "tools": [{"type": "function", "function": {"name": "canary-tool", "parameters": schema}}],
            }),
        ),
        (
            "/responses",
            json!({
                "model": model, "stream": stream, "instructions": "canary of the system", "input": PROMPT,
                "tools": [{"type": "function", "name": "canary-tool", "parameters": schema}],
            }),
        ),
        (
            "/messages",
            json!({
                "model": model, "stream": stream, "max_tokens": 9, "system": "canary of the system",
                "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
                "tools": [{"name": "canary-tool", "input_schema": schema}],
            }),
        ),
        ("/embeddings", json!({"model": model, "input": [PROMPT]})),
    ]
}

/// Headers that hold secrets or a caller's words. The names of models, users and programs are no secrets.
fn headers(key: &str) -> Vec<(String, String)> {
    let pairs = [
        ("authorization", format!("Bearer {key}")),
        ("x-weir-byok", "own-canary-key".to_owned()),
        ("cookie", "session=canary-session".to_owned()),
        ("x-anything", "canary-header".to_owned()),
        ("referer", "http://canary.example/".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn send(weir: &WeirProcess, key: &str, path: &str, body: &Value, own_key: bool) -> u16 {
    let headers = headers(key);
    let headers = headers.iter().filter(|(name, _)| own_key || name != "x-weir-byok");
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    post(weir, path, &headers, body).await.status
}

/// Rules that read what is never kept, one for each action, by the user.
async fn write_rules(weir: &WeirProcess) {
    for action in ["log", "rate-limit", "quarantine-1", "quarantine-3", "block"] {
        let mut rule = rule_for(action, &json!(action));
        rule["when"] = json!(format!(
            "identity.user_id == \"{action}\" && (request.user_prompt.contains(\"sing\") || \
             request.system_prompt.contains(\"of the system\") || request.headers[\"x-anything\"] != \"\")"
        ));
        write(weir, "POST", "/api/rules", &rule, 201).await;
    }
}

/// What providers answer: well, and in every bad way that repeats what it was asked.
fn scripts() -> Vec<Script> {
    let told = format!("you asked `{PROMPT}` with provider-canary-key");
    vec![
        Script::error(400, "invalid_request_error", &told),
        Script::error(401, "invalid_api_key", &told),
        Script::error(429, "rate_limit_exceeded", &told),
        Script::error(500, "server_error", &told),
        Script::body(503, "text/html", format!("<html>{told}</html>")),
        Script::chunks([format!("data: {{\"error\": {{\"message\": \"{told}\"}}}}\n\n")]),
        Script::cut_mid_stream([format!(
            "data: {{\"choices\": [{{\"delta\": {{\"content\": \"{told}\"}}}}]}}\n\n"
        )]),
        Script::body(200, "application/json", format!("{{\"not json\": {told}")),
    ]
}

/// Bodies and heads that are refused before a rule is asked.
async fn send_what_is_refused(weir: &WeirProcess, key: &str) {
    let authorization = format!("Bearer {key}");
    let broken = [
        "{\"model\": \"canary-model\", \"messages\": [canary".to_owned(),
        "\"canary\"".to_owned(),
        json!({"model": 7, "messages": "canary"}).to_string(),
        json!({"model": PAID.0, "messages": {"canary": "canary"}}).to_string(),
        json!({"model": PAID.0, "max_tokens": "canary", "messages": []}).to_string(),
    ];
    for body in broken {
        for path in
            ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/gateway/v1/chat/completions"]
        {
            let url = format!("{}{path}", weir.data());
            let answer =
                http::request("POST", &url, &[("authorization", &authorization)], body.clone()).await;
            // A member of another API is none of this one's business, so that some of these pass.
            assert!(answer.status < 500, "{path} {body}: {}", answer.text());
        }
    }
    for (header, value) in [
        ("authorization", "Bearer wrong-canary-key"),
        ("x-api-key", "wrong-canary-key"),
        ("authorization", "Basic canary"),
    ] {
        let answer =
            post(weir, "/v1/chat/completions", &[(header, value)], &bodies(PAID.0, false)[0].1).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
}

async fn through_every_way(weir: &WeirProcess, upstream: &ScriptedUpstream) {
    write_rules(weir).await;
    let mut seen = std::collections::BTreeSet::new();
    for user in ["nobody", "log", "rate-limit", "quarantine-1", "quarantine-3", "block"] {
        let key = make_key(weir, user).await;
        for (stream, own_key) in [(false, false), (true, false), (false, true)] {
            for (path, body) in bodies(PAID.0, stream) {
                seen.insert(send(weir, &key, &format!("/v1{path}"), &body, own_key).await);
            }
        }
    }
    let key = make_key(weir, "nobody-else").await;
    for script in scripts() {
        for stream in [false, true] {
            upstream.respond_once(script.clone());
            let (path, body) = &bodies(PAID.0, stream)[0];
            let authorization = format!("Bearer {key}");
            let url = format!("{}/v1{path}", weir.data());
            let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
            if let Ok(answer) = http::try_request("POST", &url, &headers, body.to_string()).await {
                seen.insert(answer.status);
            }
        }
    }
    send_what_is_refused(weir, &key).await;
    for status in [200, 403, 429] {
        assert!(seen.contains(&status), "no way led to {status}: {seen:?}");
    }
    assert!(upstream.requests().iter().any(|request| request.model == FREE.1), "nothing was downgraded");
}

/// What the abuse service is told, it keeps as little as the gateway does.
async fn through_the_service(weir: &WeirProcess) {
    let asked = json!({
        "kilo_user_id": "block", "user_prompt": PROMPT, "system_prompt": "canary of the system", "requested_model": PAID.0,
    });
    let said = write(weir, "POST", "/api/classify", &asked, 200).await.json();
    assert_eq!(said["verdict"], "HARD_BLOCK", "{said}");
    for wrong in [json!({"user_prompt": {"canary": 1}}), json!({"max_tokens": "canary"}), json!("canary")] {
        let answer = admin(weir, "POST", "/api/classify", &wrong).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(!answer.text().contains(CANARY), "{}", answer.text());
    }
    let own = json!({"user": "holder", "byok": {"vendor": "own-canary-key"}});
    make_key_of(weir, &own).await;
    for path in ["/api/keys", "/api/audit", "/api/rules/history", "/api/openapi.json"] {
        assert_eq!(secret_in(read(weir, path).await.to_string().as_bytes()), None, "{path}");
    }
    let url = format!("{}/api/rules", weir.admin());
    let answer = http::request("GET", &url, &[("authorization", "Bearer wrong-canary-token")], "").await;
    assert_eq!(answer.status, 401);
}

/// Everything that lies in the folder of a node, file by file.
fn files_below(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn assert_no_canary_on_disk(weir: &WeirProcess) {
    let files = files_below(&weir.folder().join("weir-data"));
    // Records lie compressed, and are looked through where they are read again; keys, rules and identities do not.
    let named = files.iter().any(|(_, bytes)| place_of(bytes, "quarantine-3").is_some());
    assert!(named, "what is kept can be found, so that a canary could be");
    for (path, bytes) in files {
        let found = secret_in(&bytes);
        assert!(found.is_none(), "in {}: {found:?}", path.display());
    }
}

async fn nothing_is_kept(mode: &str) {
    let upstream = ScriptedUpstream::start().await;
    let log = "telemetry: {log: \"debug,hyper=info\"}";
    let sentry = FakeSentry::start().await;
    let failures = format!("failures: {{sentry_dsn: \"{}\"}}", sentry.dsn());
    let abuse = format!("abuse: {{{mode}, quarantine: {{first: 1ms, second: 2ms}}}}\n{log}\n{failures}");
    let mut weir = WeirProcess::start(binary(), &config(&upstream, &abuse)).await;
    through_every_way(&weir, &upstream).await;
    // Once more: what the first round cached is enforced now.
    let key = make_key(&weir, "block").await;
    eventually("the block to be enforced", async || {
        (send(&weir, &key, "/v1/messages", &bodies(PAID.0, false)[2].1, false).await == 403).then_some(())
    })
    .await;
    through_the_service(&weir).await;
    // Records are written in the background, within a second.
    eventually("all of it to be recorded", async || {
        let recorded = read(&weir, "/api/decisions?limit=1000").await;
        (recorded["items"].as_array().unwrap().len() > 80).then_some(())
    })
    .await;
    assert_no_canary(&weir).await;
    assert_no_canary_on_disk(&weir);
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0));
    assert_no_canary_on_disk(&weir);
    assert!(!weir.stderr().contains(CANARY), "the last words");
    assert!(!sentry.events().is_empty(), "nothing was reported, so that no canary could be");
    let found = secret_in(sentry.text().as_bytes());
    assert!(found.is_none(), "at Sentry: {found:?} in {}", sentry.text());
}

#[tokio::test]
async fn no_key_prompt_or_header_is_kept_or_shown_with_rules_asked_inline() {
    nothing_is_kept("mode: inline").await;
}

#[tokio::test]
async fn no_key_prompt_or_header_is_kept_or_shown_with_cached_actions() {
    nothing_is_kept("mode: cached").await;
}

/// Words of a provider, and something in them that looks like a key.
const PARROT: &str = "parrot";
const PARROT_KEY: &str = "sk-parrot0123456789ABCdefGHI";

/// An error in a stream that has begun well, as the protocol of this path has it.
fn error_in_stream(path: &str, told: &str) -> Script {
    let error = json!({"message": told, "type": PARROT, "code": PARROT});
    match path {
        "/messages" => {
            Script::chunks([format!("event: error\ndata: {}\n\n", json!({"type": "error", "error": error}))])
        }
        "/responses" => Script::chunks([format!(
            "event: response.failed\ndata: {}\n\n",
            json!({"type": "response.failed", "response": {"status": "failed", "error": error}})
        )]),
        _ => Script::chunks([format!("data: {}\n\n", json!({"error": error}))]),
    }
}

#[tokio::test]
async fn what_a_provider_says_is_in_no_record_and_no_metric_and_its_secrets_are_nowhere() {
    let (upstream, sentry) = (ScriptedUpstream::start().await, FakeSentry::start().await);
    let more = format!("failures: {{sentry_dsn: \"{}\", retries: {{attempts: 1}}}}", sentry.dsn());
    let mut weir = WeirProcess::start(binary(), &config(&upstream, &more)).await;
    let key = make_key(&weir, "nobody").await;
    let told = format!("a {PARROT} says {PARROT_KEY} and https://{PARROT}:{PARROT_KEY}@h/?key={PARROT_KEY}");
    let scripts = [
        Script::error(400, "invalid_request_error", &told),
        Script::error(401, "invalid_api_key", &told),
        Script::error(403, "access_terminated_error", &told),
        Script::error(404, "not_found", &told),
        Script::error(429, "rate_limit_exceeded", &told),
        Script::error(500, PARROT, &told),
        Script::body(502, "text/html", format!("<html><title>{told}</title></html>")),
        Script::body(500, "text/plain", format!("{told}\0{}", "\u{fffd}".repeat(300))),
    ];
    let mut asked = 0;
    for script in scripts.into_iter().map(Some).chain([None]) {
        for stream in [false, true] {
            for (path, body) in bodies(PAID.0, stream) {
                upstream.respond_once(script.clone().unwrap_or_else(|| error_in_stream(path, &told)));
                let authorization = format!("Bearer {key}");
                // A program's name is recorded; a key in it is not.
                let agent = format!("agent/1.0 {PARROT_KEY}");
                let headers = [("authorization", authorization.as_str()), ("user-agent", &agent)];
                let answer = post(&weir, &format!("/v1{path}"), &headers, &body).await;
                let said = format!("{:?} {}", answer.headers, answer.text());
                assert!(!said.contains(PARROT_KEY), "{path}: {said}");
                asked += 1;
            }
        }
    }
    eventually("all of it to be recorded", async || {
        let recorded = read(&weir, "/api/decisions?limit=1000").await;
        (recorded["items"].as_array().unwrap().len() >= asked).then_some(())
    })
    .await;
    for path in ["/metrics", "/api/decisions?limit=1000", "/api/usage?limit=1000"] {
        let answer = admin(&weir, "GET", path, &Value::Null).await;
        assert!(!answer.text().contains(PARROT), "{path}: {}", answer.text());
    }
    weir.signal(Signal::TERM);
    assert_eq!(weir.wait().await.code(), Some(0));
    for (path, bytes) in files_below(&weir.folder().join("weir-data")) {
        assert!(place_of(&bytes, PARROT).is_none(), "in {}", path.display());
    }
    // The log and Sentry have the words, for those who must act on them, and no key.
    for (place, text) in [("the log", weir.stderr()), ("Sentry", sentry.text())] {
        assert!(text.contains(PARROT), "{place} says nothing of it");
        assert!(!text.contains(PARROT_KEY) && !text.contains("0123456789ABCdefGHI"), "{place}: {text}");
    }
}
