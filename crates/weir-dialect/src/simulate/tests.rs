use std::time::Duration;

use serde_json::{Value, json};
use weir_core::{ApiKind, Timestamp};

use super::{End, SLOW_GAP, Simulated, simulate};
use crate::{Observed, UsageReader};

const KINDS: [ApiKind; 5] = [
    ApiKind::ChatCompletions,
    ApiKind::Responses,
    ApiKind::Messages,
    ApiKind::Embeddings,
    ApiKind::CountTokens,
];
const STREAMING: [ApiKind; 3] = [ApiKind::ChatCompletions, ApiKind::Responses, ApiKind::Messages];

fn created() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn request(kind: ApiKind, more: Value) -> Value {
    let mut request = json!({"model": "sim/echo"});
    let messages = json!([{"role": "user", "content": "say four little words"}]);
    match kind {
        ApiKind::ChatCompletions | ApiKind::Messages | ApiKind::CountTokens => request["messages"] = messages,
        ApiKind::Responses | ApiKind::Embeddings => request["input"] = "say four little words".into(),
    }
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

fn answer(kind: ApiKind, model: &str, more: Value) -> Simulated {
    simulate(kind, model, "asked/name", request(kind, more).to_string().as_bytes(), 7, created())
}

fn text(answer: &Simulated) -> String {
    answer.parts.iter().map(|part| String::from_utf8_lossy(&part.bytes).into_owned()).collect()
}

fn body(answer: &Simulated) -> Value {
    serde_json::from_str(&text(answer)).unwrap()
}

fn observed(kind: ApiKind, answer: &Simulated) -> Observed {
    let stream = answer.headers.iter().any(|(_, value)| value.starts_with("text/event-stream"));
    let mut reader = UsageReader::new(kind, stream);
    for part in &answer.parts {
        reader.push(&part.bytes);
    }
    reader.finish()
}

fn takes(answer: &Simulated) -> Duration {
    answer.parts.iter().map(|part| part.after).sum()
}

#[test]
fn whole_answers_are_those_of_the_protocols() {
    let all: Vec<Value> = KINDS.iter().map(|kind| body(&answer(*kind, "sim/echo", json!({})))).collect();
    insta::assert_json_snapshot!(all);
}

#[test]
fn streams_are_those_of_the_protocols() {
    let mut all = String::new();
    for kind in STREAMING {
        let answer = answer(kind, "free", json!({"stream": true, "stream_options": {"include_usage": true}}));
        all.push_str(&format!("=== {kind} {} {:?}\n{}", answer.status, answer.headers, text(&answer)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn usage_is_in_words_and_read_back() {
    for kind in STREAMING {
        for stream in [true, false] {
            let answer =
                answer(kind, "echo", json!({"stream": stream, "stream_options": {"include_usage": true}}));
            let seen = observed(kind, &answer);
            let usage = seen.usage.unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens), (4, 4), "{kind} {stream}");
            assert_eq!(
                (seen.finished, seen.model.as_deref(), answer.end),
                (true, Some("asked/name"), End::Complete)
            );
            assert!(seen.message_id.unwrap().ends_with("00000007"));
            assert_eq!(takes(&answer), Duration::ZERO);
        }
    }
    let silent = answer(ApiKind::ChatCompletions, "echo", json!({"stream": true}));
    assert!(!text(&silent).contains("usage"));
}

#[test]
fn the_system_and_earlier_turns_count_as_input() {
    let more = json!({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "one two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four five"},
    ], "system": "six seven"});
    let seen = observed(ApiKind::Messages, &answer(ApiKind::Messages, "echo", more.clone()));
    assert_eq!(seen.usage.unwrap().input_tokens, 7);
    assert_eq!(body(&answer(ApiKind::CountTokens, "echo", more)), json!({"input_tokens": 7}));
}

#[test]
fn slow_sends_ten_pieces_apart() {
    for kind in STREAMING {
        let streamed = answer(kind, "slow", json!({"stream": true}));
        let gaps = streamed.parts.iter().filter(|part| part.after == SLOW_GAP).count();
        assert_eq!((gaps, takes(&streamed)), (9, Duration::from_millis(1800)), "{kind}");
        assert_eq!(takes(&answer(kind, "sim/slow", json!({}))), Duration::from_millis(1800));
        assert!(observed(kind, &streamed).finished);
    }
}

#[test]
fn a_long_text_is_sent_in_few_pieces_and_stays_whole() {
    let long = "word ".repeat(10_000);
    let answer = answer(
        ApiKind::ChatCompletions,
        "echo",
        json!({"messages": [{"role": "user", "content": long}], "stream": true}),
    );
    assert!(answer.parts.len() < 80);
    let said: String = text(&answer)
        .split("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, long);
}

#[test]
fn errors_are_in_the_providers_own_shape() {
    let mut all = String::new();
    for status in [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529] {
        for kind in [ApiKind::ChatCompletions, ApiKind::Messages] {
            let answer = answer(kind, &format!("sim/error-{status}"), json!({"stream": true}));
            assert_eq!(answer.status, status);
            let waits = answer.headers.iter().any(|(name, _)| name == "retry-after");
            all.push_str(&format!(
                "{status} {kind}{} {}\n",
                if waits { " retry-after" } else { "" },
                text(&answer)
            ));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn an_unknown_model_is_the_providers_404() {
    for model in
        ["nothing", "sim/nothing", "error-", "error-200", "error-600", "error-99999", "openai/echo", ""]
    {
        for kind in KINDS {
            let answer = answer(kind, model, json!({}));
            assert_eq!(answer.status, 404, "{model}");
            assert!(body(&answer)["error"]["message"].as_str().unwrap().contains("does not exist"));
        }
    }
}

#[test]
fn a_bad_request_is_the_providers_400() {
    for (kind, expected) in [(ApiKind::Messages, "error"), (ApiKind::Responses, "invalid_request_error")] {
        let answer = simulate(kind, "echo", "m", b"{", 0, created());
        let body = body(&answer);
        assert_eq!(answer.status, 400);
        assert!(body["type"] == expected || body["error"]["type"] == expected, "{body}");
    }
}

#[test]
fn cut_ends_in_the_middle() {
    for kind in STREAMING {
        let streamed = answer(kind, "cut", json!({"stream": true}));
        let seen = observed(kind, &streamed);
        assert_eq!((streamed.end, seen.finished, seen.mid_event), (End::Cut, false, false), "{kind}");
        assert!(seen.events > 0 && text(&streamed).contains("say"), "{kind}: {}", text(&streamed));
        let whole = answer(kind, "cut", json!({}));
        assert_eq!(whole.end, End::Cut);
        assert!(!whole.parts[0].bytes.is_empty() && serde_json::from_str::<Value>(&text(&whole)).is_err());
    }
}

#[test]
fn garbage_is_neither_events_nor_json_and_hang_says_nothing() {
    for kind in KINDS {
        let garbage = answer(kind, "garbage", json!({}));
        let bytes = &garbage.parts[0].bytes;
        assert!(std::str::from_utf8(bytes).is_err() && serde_json::from_slice::<Value>(bytes).is_err());
        let hang = answer(kind, "hang", json!({"stream": true}));
        assert_eq!((hang.end, hang.parts.len()), (End::Hang, 0));
    }
    let garbage = answer(ApiKind::ChatCompletions, "garbage", json!({"stream": true}));
    assert!(garbage.headers[0].1.starts_with("text/event-stream"));
    let seen = observed(ApiKind::ChatCompletions, &garbage);
    assert_eq!((seen.finished, seen.usage), (false, None));
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["city", "unit", "days", "exact", "tags", "at", "either", "none", "fixed", "unknown", "maybe"],
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 3},
            "exact": {"type": "boolean"},
            "tags": {"type": "array"},
            "at": {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "none": {"type": "null"},
            "fixed": {"const": 5},
            "maybe": {"type": ["string", "null"]},
            "left_out": {"type": "string"},
        },
    })
}

fn tools(kind: ApiKind) -> Value {
    match kind {
        ApiKind::ChatCompletions => {
            json!([{"type": "function", "function": {"name": "weather", "parameters": schema()}}])
        }
        ApiKind::Responses => {
            json!([{"type": "web_search"}, {"type": "function", "name": "weather", "parameters": schema()}])
        }
        _ => json!([{"name": "weather", "input_schema": schema()}]),
    }
}

#[test]
fn tool_calls_the_first_tool_with_arguments_that_its_schema_accepts() {
    let user = "say four little words";
    let expected = json!({
        "city": user, "unit": "c", "days": 3, "exact": true, "tags": [], "at": {"lat": 1}, "either": 1, "none": null,
        "fixed": 5, "unknown": null, "maybe": user,
    });
    let mut all = String::new();
    for kind in STREAMING {
        let whole = body(&answer(kind, "tool", json!({"tools": tools(kind)})));
        let (name, arguments) = match kind {
            ApiKind::ChatCompletions => {
                let function = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
                (&function["name"], serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap())
            }
            ApiKind::Responses => {
                let item = &whole["output"][0];
                (&item["name"], serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap())
            }
            _ => (&whole["content"][0]["name"], whole["content"][0]["input"].clone()),
        };
        assert_eq!((name, arguments), (&json!("weather"), expected.clone()), "{kind}");
        let tool = json!([{"name": "noop", "type": "function", "function": {"name": "noop"}}]);
        all.push_str(&text(&answer(kind, "tool", json!({"stream": true, "tools": tool}))));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn tool_repeats_the_result_that_the_conversation_ends_with() {
    let table = [
        (
            ApiKind::ChatCompletions,
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "c", "content": "sunny day"}]}),
        ),
        (
            ApiKind::Responses,
            json!({"input": [{"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "c", "output": "sunny day"}]}),
        ),
        (
            ApiKind::Messages,
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "sunny day"}]}]}]}),
        ),
    ];
    for (kind, mut more) in table {
        more["tools"] = tools(kind);
        let said = text(&answer(kind, "tool", more));
        assert!(said.contains("\"sunny day\"") && !said.contains("weather"), "{said}");
        let none = text(&answer(kind, "tool", json!({})));
        assert!(none.contains("No tool was offered."), "{none}");
    }
}

#[test]
fn embeddings_follow_from_the_text_alone() {
    let vectors = |more: Value| body(&answer(ApiKind::Embeddings, "echo", more));
    let found = vectors(json!({"input": ["same", "other", "same", ""], "dimensions": 3}));
    let vector = |i: usize| found["data"][i]["embedding"].as_array().unwrap().clone();
    assert_eq!(vector(0), vector(2));
    assert_ne!(vector(0), vector(1));
    assert_eq!(vector(0).len(), 3);
    let length: f64 = vector(1).iter().map(|n| n.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5);
    assert_eq!(found["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));

    let packed = vectors(json!({"input": "same", "dimensions": 3, "encoding_format": "base64"}));
    let bytes = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        packed["data"][0]["embedding"].as_str().unwrap(),
    )
    .unwrap();
    let unpacked: Vec<f64> =
        bytes.chunks(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect();
    let plain: Vec<f64> = vector(0).iter().map(|n| n.as_f64().unwrap()).collect();
    assert!(unpacked.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6));

    assert_eq!(vectors(json!({"input": [1, 2, 3]}))["usage"]["prompt_tokens"], 3);
    let two = vectors(json!({"input": [[1, 2], [3]], "dimensions": 1_000_000}));
    assert_eq!((two["data"].as_array().unwrap().len(), two["usage"]["prompt_tokens"].as_u64()), (2, Some(3)));
    assert_eq!(two["data"][0]["embedding"].as_array().unwrap().len(), 4096);
}
