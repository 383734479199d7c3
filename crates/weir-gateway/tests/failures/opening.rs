//! How an answer begins, and what is said of one that is none; what happens when weir itself fails.

use std::sync::Arc;

use serde_json::json;
use weir_core::failure::{AllExhausted, FailureEvent, FailureObserver, Observers};
use weir_testkit::Script;

use super::within::{content, failure, last_error};
use super::{Bench, chain, error, retries, told};
use crate::support::{Api, Ask, Node, Options, World};

/// What only announces an answer, in each protocol.
fn announcement(api: Api) -> &'static str {
    match api {
        Api::Chat => {
            "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
        }
        Api::Responses => {
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\nevent: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{\"id\":\"r\"}}\n\n"
        }
        Api::Messages => {
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[]}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n"
        }
    }
}

/// An announcement is no content: an error that comes at once after it is mended by another try, also in a chunk of
/// its own.
#[tokio::test]
async fn an_error_after_an_announcement_alone_is_mended() {
    let told = json!({"type": "overloaded_error", "code": "overloaded_error", "message": "Overloaded"});
    for api in Api::ALL {
        for pieces in [1, 2] {
            let bench =
                Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
            let (begin, bad) = (announcement(api).to_owned(), failure(api, &told));
            let chunks = if pieces == 1 { vec![begin + &bad] } else { vec![begin, bad] };
            bench.world.upstream.respond_once(Script::chunks(chunks));
            let (answer, pauses) = bench.send(&Ask::new(api, "b").streamed()).await;
            assert_eq!((answer.status, pauses.len()), (200, 1), "{api:?} {pieces} {}", answer.text());
            assert!(!answer.text().contains("verloaded"), "{}", answer.text());
        }
        // After content never.
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
        let chunks = [announcement(api).to_owned() + &content(api), failure(api, &told)];
        bench.world.upstream.respond_once(Script::chunks(chunks));
        let (answer, pauses) = bench.send(&Ask::new(api, "b").streamed()).await;
        assert_eq!(pauses.len(), 0);
        assert_eq!(last_error(api, answer.text())["error_type"], "temporarily_unavailable");
    }
}

/// An announcement is not held back for an answer that takes its time.
#[tokio::test]
async fn an_announcement_alone_is_passed_on_soon() {
    for api in Api::ALL {
        let bench = Bench::new(|config| config).await;
        bench.world.upstream.respond_with(Script::hang_mid_stream([announcement(api)]));
        let mut stream = bench.node.open(&Ask::new(api, "paid/big").streamed()).await;
        assert_eq!(stream.next_text().await, announcement(api));
    }
}

/// An answer that is empty or cut off was not unreachable, and the caller is told so.
#[tokio::test]
async fn an_answer_that_is_none_is_called_so() {
    let bench = Bench::new(|config| config).await;
    let scripts = [
        Script::status(200),
        Script::status(204),
        Script::body(200, "application/json", ""),
        Script::cut_mid_body(100, 10),
        Script::malformed_json(),
    ];
    for script in scripts {
        bench.world.upstream.respond_with(script.clone());
        for api in Api::ALL {
            let answer = bench.send(&Ask::new(api, "paid/big")).await.0;
            let error = told(api, &answer.body);
            let words = error["message"].as_str().unwrap();
            assert_eq!((answer.status, &error["error_type"]), (502, &json!("network")), "{script:?}");
            assert!(words.contains("empty or") && !words.contains("reached"), "{words}");
        }
    }
    bench.world.upstream.respond_with(Script::cut_before_head());
    let answer = bench.send(&Ask::chat("paid/big")).await.0;
    assert!(answer.text().contains("could not be reached"), "{}", answer.text());
}

/// Every fallback is a decision of its own, and all of them are recorded.
#[tokio::test]
async fn each_fallback_leaves_its_own_decision() {
    let rules = "rules:\n  - {id: watch-b, on: request, when: 'request.model == \"b\"', then: log, because: b is watched}\n  - {id: no-c, on: request, when: 'request.model == \"c\"', then: block}\n";
    let bench = Bench::with_url(rules, |config, url| {
        chain(config, url).set("failures", retries(1)).set(
            "models",
            "[{id: a, provider: one, fallbacks: [c, b]}, {id: b, provider: two}, {id: c, provider: three}]",
        )
    })
    .await;
    bench.world.upstream.respond_to_model("a", error(500, "server_error", "It broke."));
    let answer = bench.send(&Ask::chat("a")).await.0;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = bench.node.record_of(&answer).await;
    let decided: Vec<_> = record
        .result
        .fallbacks
        .iter()
        .map(|decided| {
            (decided.model.as_str(), decided.outcome.as_str(), decided.rule.as_deref(), decided.taken)
        })
        .collect();
    // The most severe is the record's; the one that it replaced stands among the others.
    let expected = [
        ("c", "block", Some("no-c"), false),
        ("b", "log", Some("watch-b"), true),
        ("a", "nothing", None, true),
    ];
    assert_eq!(decided, expected);
    assert_eq!(record.decision.rule.as_deref(), Some("watch-b"));
    assert_eq!(record.result.fallbacks[1].because.as_deref(), Some("b is watched"));
    assert_eq!(record.result.fallbacks[1].matched[0].rule, "watch-b");
}

/// Stands for a defect of weir's own, on the way of a request and in the middle of a stream.
struct Defective;

impl FailureObserver for Defective {
    fn failed(&self, _: &FailureEvent) {
        panic!("a defect");
    }

    fn all_exhausted(&self, _: &AllExhausted) {}
}

/// A defect of weir's ends one request, in its own dialect, and nothing else.
#[tokio::test]
async fn a_panic_is_answered_in_the_callers_dialect() {
    let world = World::new().await;
    let config = world.config().set("abuse", "{mode: inline}");
    let observers = Observers::new(vec![Arc::new(Defective)]);
    let node = Node::with(&world, &config, Options { observers, ..Options::default() }).await;
    for api in Api::ALL {
        world.upstream.respond_with(error(500, "server_error", "It broke."));
        for ask in [Ask::new(api, "paid/big"), Ask::new(api, "paid/big").streamed()] {
            let answer = node.send(&ask).await;
            let error = told(api, &answer.body);
            assert_eq!((answer.status, &error["error_type"]), (503, &json!("temporarily_unavailable")));
            assert_eq!(error["decision"], answer.header("x-weir-decision").unwrap());
            assert_eq!(node.record_of(&answer).await.result.status, 503);
        }
        let answer = node.send(&Ask::new(api, "paid/big").seed()).await;
        assert_eq!((answer.status, &answer.json()["error_type"]), (503, &json!("temporarily_unavailable")));
        world.upstream.respond_with(Script::cut_mid_stream([content(api)]));
        let answer = node.send(&Ask::new(api, "paid/big").streamed()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            last_error(api, answer.text())["error_type"],
            "temporarily_unavailable",
            "{}",
            answer.text()
        );
        let record = node.record_of(&answer).await;
        assert_eq!(record.result.error_type.as_deref(), Some("temporarily_unavailable"));
        world.upstream.respond_by_default();
        assert_eq!(node.send(&Ask::new(api, "paid/big")).await.status, 200);
    }
}
