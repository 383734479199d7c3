//! Failures that a provider delivers inside of a success: in a 200 body, as the first event of a stream, after content.

use serde_json::{Value, json};
use weir_core::failure::Class;
use weir_testkit::{Gate, Script};

use super::{Bench, asked, chain, retries, told};
use crate::support::{Api, Ask};

/// An event of content of each protocol, and one that tells an error with these members.
pub fn content(api: Api) -> String {
    match api {
        Api::Chat => "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n".to_owned(),
        Api::Responses => "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}\n\n".to_owned(),
        Api::Messages => "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Hello\"}}\n\n".to_owned(),
    }
}

pub fn failure(api: Api, error: &Value) -> String {
    match api {
        Api::Chat => format!("data: {}\n\n", json!({"error": error})),
        Api::Responses => {
            let response = json!({"id": "r", "status": "failed", "error": error});
            format!(
                "event: response.failed\ndata: {}\n\n",
                json!({"type": "response.failed", "response": response})
            )
        }
        Api::Messages => format!("event: error\ndata: {}\n\n", json!({"type": "error", "error": error})),
    }
}

/// The error of a stream's last event, which is the protocol's own terminal one.
pub fn last_error(api: Api, text: &str) -> Value {
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let data = last.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_else(|| panic!("{text}"));
    let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {text}"));
    match api {
        Api::Chat => data["error"].clone(),
        Api::Responses => {
            assert!(last.starts_with("event: response.failed\n"), "{text}");
            data["response"]["error"].clone()
        }
        Api::Messages => {
            assert!(last.starts_with("event: error\n"), "{text}");
            data["error"].clone()
        }
    }
}

fn overloaded() -> Value {
    json!({"type": "overloaded_error", "code": "overloaded_error", "message": "Overloaded"})
}

#[tokio::test]
async fn an_error_before_any_content_is_mended_by_another_try() {
    for api in Api::ALL {
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
        let announced = match api {
            Api::Chat => String::new(),
            Api::Responses => "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n".to_owned(),
            Api::Messages => "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n".to_owned(),
        };
        bench
            .world
            .upstream
            .respond_once(Script::chunks([format!("{announced}{}", failure(api, &overloaded()))]));
        let (answer, pauses) = bench.send(&Ask::new(api, "b").streamed()).await;
        assert_eq!((answer.status, pauses.len()), (200, 1), "{api:?} {}", answer.text());
        assert!(!answer.text().contains("verloaded"), "{}", answer.text());
        let record = bench.node.record_of(&answer).await;
        let attempt = &record.result.failures[0];
        assert_eq!((attempt.class, attempt.evidence.phase.as_str()), (Class::Overloaded, "stream"));
    }
}

#[tokio::test]
async fn an_error_in_a_whole_answer_is_mended_by_another_try() {
    for api in Api::ALL {
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
        for _ in 0..2 {
            bench.world.upstream.respond_once(Script::json(200, &json!({"error": overloaded()})));
        }
        let (answer, _) = bench.send(&Ask::new(api, "c")).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(told(api, &answer.body)["error_type"], "temporarily_unavailable");
        assert_eq!(asked(&bench.world).len(), 2);
        let (answer, _) = bench.send(&Ask::new(api, "c")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// After content there is no other try: the client has part of an answer, and gets its end in its own protocol, once.
#[tokio::test]
async fn an_error_after_content_ends_the_stream_in_weirs_words() {
    let spent = json!({"type": "billing_error", "code": "insufficient_quota", "message": "Your credit balance is too low."});
    for api in Api::ALL {
        for pieces in 1..=3 {
            let bench =
                Bench::with_url("", |config, url| chain(config, url).set("failures", retries(3))).await;
            let event = failure(api, &spent);
            let chunks: Vec<String> = match pieces {
                1 => vec![format!("{}{event}", content(api))],
                2 => vec![content(api), event],
                _ => {
                    let (begin, end) = event.split_at(event.len() / 2);
                    vec![content(api), begin.to_owned(), end.to_owned()]
                }
            };
            let gate = Gate::new();
            bench.world.upstream.respond_with(Script::gated(&gate, chunks.clone()));
            let mut stream = bench.node.open(&Ask::new(api, "a").streamed()).await;
            assert_eq!(stream.status, 200);
            gate.release();
            let mut text = stream.next_text().await;
            assert!(text.starts_with(&content(api)), "{text}");
            gate.open();
            while let Some(chunk) = stream.next_chunk().await {
                text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
            }
            assert!(!text.contains("credit"), "{api:?} in {pieces}: {text}");
            let error = last_error(api, &text);
            assert_eq!(error["error_type"], "temporarily_unavailable", "{text}");
            assert_eq!(
                text.matches("temporarily_unavailable").count(),
                error.to_string().matches("temporarily_unavailable").count()
            );
            assert_eq!(asked(&bench.world), ["a"], "no other try after content");
            let records = bench.node.wait_for_records(1).await;
            assert_eq!(records[0].result.failure_class.as_deref(), Some("quota_exhausted"));
            assert_eq!((bench.watcher.take_failed().len(), bench.watcher.take_exhausted().len()), (1, 1));
        }
    }
}

/// With a key of one's own, and under the seed's prefixes, the provider's own event is the end.
#[tokio::test]
async fn the_providers_own_event_reaches_the_owner_of_the_key() {
    for api in Api::ALL {
        let bench = Bench::with_url("", chain).await;
        let sent = format!("{}{}", content(api), failure(api, &overloaded()));
        bench.world.upstream.respond_with(Script::chunks([sent.clone()]));
        let own = Ask::new(api, "a").streamed().header("x-weir-byok", "canary-own");
        assert_eq!(bench.send(&own).await.0.text(), sent, "{api:?}");
        let seed = Ask::new(api, "a").streamed().seed();
        assert_eq!(bench.send(&seed).await.0.text(), sent, "{api:?}");
        for record in bench.node.records().await {
            assert_eq!(record.result.failure_class.as_deref(), Some("overloaded"));
            assert_eq!(record.result.failures.len(), 1);
        }
    }
}

/// The head of a stream does not wait for content.
#[tokio::test]
async fn a_stream_that_is_slow_to_begin_is_opened_at_once() {
    let bench = Bench::new(|config| config).await;
    let gate = Gate::new();
    let event = content(Api::Chat);
    bench.world.upstream.respond_with(Script::gated(&gate, [event.clone(), "data: [DONE]\n\n".to_owned()]));
    let mut stream = bench.node.open(&Ask::chat("paid/big").streamed()).await;
    assert_eq!(stream.status, 200);
    gate.open();
    assert!(stream.next_text().await.starts_with(&event));
}

/// Some answer a request for a stream with an object, and call it a stream.
#[tokio::test]
async fn an_object_in_the_place_of_a_stream_is_an_error() {
    for api in Api::ALL {
        let bench = Bench::new(|config| config).await;
        let spent =
            json!({"error": {"code": "insufficient_quota", "message": "Your credit balance is too low."}});
        bench.world.upstream.respond_with(Script::chunks([spent.to_string()]));
        let answer = bench.send(&Ask::new(api, "paid/big").streamed()).await.0;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.text().contains("credit"), "{}", answer.text());
        assert_eq!(bench.watcher.take_failed()[0].class, Class::QuotaExhausted);
    }
}

/// Gateways of providers tell of errors in forms of their own: what is no answer of the API, and what is no event of the
/// protocol, does not reach the caller.
#[tokio::test]
async fn an_error_in_a_form_of_its_own_is_no_answer() {
    const WORDS: &str = "Insufficient balance of org-canary";
    let whole = [
        json!({"base_resp": {"status_code": 1008, "status_msg": WORDS}, "choices": null}),
        json!({"code": 1113, "msg": WORDS}),
        json!({"detail": WORDS}),
        json!([{"error": {"message": WORDS}}]),
    ];
    let events = [
        format!("event: error\ndata: {WORDS}\n\n"),
        format!("data: [ERROR] {WORDS}\n\ndata: [DONE]\n\n"),
        format!("data: {}\n\n", json!({"code": 402, "msg": WORDS})),
    ];
    for api in Api::ALL {
        let bench = Bench::new(|config| config.set("failures", retries(1))).await;
        let whole = whole.iter().map(|body| (false, Script::json(200, body)));
        let streamed = events.iter().map(|events| (true, Script::chunks([events.clone()])));
        for (stream, script) in whole.chain(streamed) {
            bench.world.upstream.respond_with(script);
            let ask = Ask::new(api, "paid/big");
            let answer = bench.send(&if stream { ask.streamed() } else { ask }).await.0;
            let text = answer.text();
            assert!(!text.contains("org-canary"), "{api:?} {text}");
            assert!(answer.status >= 400, "{api:?} {} {text}", answer.status);
            assert_eq!(bench.watcher.take_failed().len(), 1, "{api:?} {text}");
        }
    }
}
