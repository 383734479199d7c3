//! What providers say in a stream in no form of the protocol: it is read as a failure, and none of it reaches a caller.

use serde_json::json;
use weir_core::failure::{Class, Report};
use weir_testkit::Script;

use super::within::{content, failure, last_error};
use super::{Bench, asked, chain, retries};
use crate::support::{Api, Ask};

const KEY: &str = "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12";

/// The events that end an answer well.
fn end(api: Api) -> &'static str {
    match api {
        Api::Chat => "data: [DONE]\n\n",
        Api::Responses => {
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n"
        }
        Api::Messages => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    }
}

fn words() -> String {
    format!("Incorrect API key provided: {KEY} for org-a1B2c3D4e5F6")
}

fn assert_hidden(text: &str) {
    assert!(!text.contains("sk-proj") && !text.contains("org-a1") && !text.contains("Incorrect"), "{text}");
}

#[tokio::test]
async fn an_error_that_is_no_event_ends_the_stream_in_weirs_words() {
    let object = json!({"error": {"message": words(), "code": "invalid_api_key"}});
    let strays = [
        format!("{object}\n"),
        object.to_string(),
        format!("{object:#}\n\n"),
        format!("{}\n", words()),
        format!("DATA: {object}\n\n"),
    ];
    for api in Api::ALL {
        let bench = Bench::with_url("", chain).await;
        for stray in &strays {
            for (seed, cut) in [(false, 0), (true, 1), (false, 30)] {
                let (first, second) = stray.split_at(cut);
                let sent = [format!("{}{first}", content(api)), second.to_owned()];
                bench.world.upstream.respond_with(Script::chunks(sent));
                let ask = Ask::new(api, "a").streamed();
                let (answer, _) = bench.send(&if seed { ask.seed() } else { ask }).await;
                let text = answer.text();
                assert_hidden(text);
                assert!(text.starts_with(&content(api)), "{text}");
                assert!(last_error(api, text).is_object(), "{text}");
                let told = bench.watcher.take_failed();
                assert_eq!(
                    (told.len(), told[0].class, told[0].report),
                    (1, Class::AuthInvalid, Report::Page),
                    "{stray}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_error_that_is_no_event_can_be_followed_by_another_try() {
    for api in Api::ALL {
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
        bench.world.upstream.respond_once(Script::chunks(["The server is overloaded, an error\n"]));
        let (answer, _) = bench.send(&Ask::new(api, "b").streamed()).await;
        assert_eq!((answer.status, asked(&bench.world).len()), (200, 2), "{}", answer.text());
    }
}

#[tokio::test]
async fn comments_and_what_comes_after_the_end_say_nothing() {
    for api in Api::ALL {
        let bench = Bench::with_url("", chain).await;
        let late = format!("data: {}\n\n{}\n", json!({"error": {"message": words()}}), words());
        let sent = format!(
            "{}: ping\n\n: {}\n\nX-Note: {KEY}\n{}{late}data: [DONE]\n\n",
            content(api),
            words(),
            end(api)
        );
        for size in [1, 7, 50, 10_000] {
            let pieces: Vec<Vec<u8>> = sent.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            bench.world.upstream.respond_with(Script::chunks(pieces));
            for ask in [Ask::new(api, "a").streamed(), Ask::new(api, "a").streamed().seed()] {
                let text = bench.send(&ask).await.0.text().to_string();
                assert_hidden(&text);
                let expected = format!("{}: ping\n\n:\n\n{}", content(api), end(api));
                assert!(text.starts_with(&expected) && text.ends_with("data: [DONE]\n\n"), "{size}: {text}");
                assert!(bench.watcher.take_failed().is_empty(), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_within_a_choice_is_a_failure() {
    let choice = json!({"message": {"content": ""}, "delta": {"content": ""}, "finish_reason": "error",
        "error": {"message": "The engine is overloaded", "code": 502}});
    let body = json!({"id": "c", "model": "m", "choices": [choice]});
    let streamed = format!("data: {body}\n\ndata: [DONE]\n\n");
    for (script, stream) in [(Script::json(200, &body), false), (Script::chunks([streamed]), true)] {
        let bench = Bench::with_url("", |config, url| chain(config, url).set("failures", retries(2))).await;
        bench.world.upstream.respond_once(script);
        let ask = Ask::chat("b");
        let (answer, _) = bench.send(&if stream { ask.streamed() } else { ask }).await;
        assert_eq!((answer.status, asked(&bench.world).len()), (200, 2), "{}", answer.text());
        assert_eq!(bench.watcher.take_failed()[0].class, Class::Overloaded);
    }
}

#[tokio::test]
async fn the_log_names_no_account() {
    let names =
        ["acct_1A2b3C4d5E6f7G", "arn:aws:iam::123456789012:user/app", "ops@example.com", "XYZabc12345678"];
    let message = "Invalid request of acct_1A2b3C4d5E6f7G, arn:aws:iam::123456789012:user/app, ops@example.com \
        in organization's (XYZabc12345678)";
    let bench = Bench::with_url("", chain).await;
    bench.world.upstream.respond_with(super::error(400, "invalid_request_error", message));
    bench.send(&Ask::chat("a")).await;
    let told = bench.watcher.take_failed();
    assert!(told[0].message.contains("[REDACTED]"), "{}", told[0].message);
    for name in names {
        assert!(!told[0].message.contains(name), "{}", told[0].message);
    }
}

#[tokio::test]
async fn a_quota_of_ones_own_is_no_rate_limit() {
    let bench = Bench::with_url("", chain).await;
    let said = "You exceeded your current quota, please check your plan and billing details.";
    bench.world.upstream.respond_with(super::error(429, "insufficient_quota", said));
    let (answer, _) = bench.send(&Ask::chat("a").seed().header("x-weir-byok", "canary-own")).await;
    assert_eq!(answer.status, 429);
    assert!(
        answer.text().contains("quota is used up") && answer.text().contains("byok_error"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_carriage_return_ends_a_line_on_every_path() {
    for api in Api::ALL {
        let bench = Bench::with_url("", chain).await;
        let error = json!({"type": "billing_error", "code": "insufficient_quota", "message": "Your credit balance is too low."});
        let sent = format!("{}{}", content(api), failure(api, &error)).replace('\n', "\r");
        bench.world.upstream.respond_with(Script::chunks([sent]));
        let text = bench.send(&Ask::new(api, "a").streamed()).await.0.text().to_string();
        assert!(!text.contains("credit"), "{text}");
        assert_eq!(bench.watcher.take_failed()[0].class, Class::QuotaExhausted, "{api:?}");
    }
}

#[tokio::test]
async fn garbage_within_a_stream_ends_it_in_the_protocol() {
    for api in Api::ALL {
        for garbage in ["\0\0\0\0", "data: \0\0\n\n", "\0\n\n"] {
            let bench = Bench::with_url("", chain).await;
            bench.world.upstream.respond_with(Script::chunks([format!("{}{garbage}", content(api))]));
            let text = bench.send(&Ask::new(api, "a").streamed().seed()).await.0.text().to_string();
            assert!(!text.contains('\0') && last_error(api, &text).is_object(), "{text:?}");
            assert_eq!(bench.watcher.take_failed().len(), 1);
        }
    }
}
