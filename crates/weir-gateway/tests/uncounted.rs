//! Answers whose tokens the provider has not counted: what stands in the record for them, and what a budget loses.

use serde_json::json;
use weir_core::record::UsageRecord;
use weir_testkit::upstream::{INPUT_TOKENS, OUTPUT_TOKENS, chat, messages, responses};
use weir_testkit::{Gate, Script};

use crate::callers::{OWN, error_type};
use crate::support::{Api, Ask, Node, USER_KEY, World, eventually};

/// The text of one delta, which is estimated as so many tokens.
const SAID: &str = "twelve bytes";
const SAID_TOKENS: u64 = 3;

async fn node(world: &World, budget_usd: &str) -> Node {
    let keys = format!("[{{key: {USER_KEY}, user: a, budget_usd: {budget_usd}}}]");
    Node::start(world, &world.open_config().set("keys", keys)).await
}

/// How a streamed answer begins, and one piece of it.
fn pieces(api: Api) -> (String, String) {
    let event = |data: serde_json::Value| {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
    };
    match api {
        Api::Chat => {
            let chunk = |delta| json!({"id": "chatcmpl-1", "model": "big-1", "choices": [{"index": 0, "delta": delta}]});
            let event = |delta| format!("data: {}\n\n", chunk(delta));
            (event(json!({"role": "assistant"})), event(json!({"content": SAID})))
        }
        Api::Responses => {
            let mut begun = responses("big-1");
            (begun["output"], begun["usage"]) = (json!([]), json!(null));
            let delta = json!({"type": "response.output_text.delta", "item_id": "msg_1", "delta": SAID});
            (event(json!({"type": "response.created", "response": begun})), event(delta))
        }
        Api::Messages => {
            let mut begun = messages("big-1");
            begun["content"] = json!([]);
            begun["usage"]["output_tokens"] = json!(1);
            let delta = json!({"type": "text_delta", "text": SAID});
            (
                event(json!({"type": "message_start", "message": begun})),
                event(json!({"type": "content_block_delta", "index": 0, "delta": delta})),
            )
        }
    }
}

/// Asks for a stream that never ends, and leaves it after so many pieces.
async fn leave_after(world: &World, node: &Node, ask: &Ask, api: Api, count: usize) {
    let (start, piece) = pieces(api);
    let (gate, aborted) = (Gate::new(), world.upstream.aborted());
    let script = [start].into_iter().chain(std::iter::repeat_n(piece, count + 1));
    world.upstream.respond_with(Script::gated(&gate, script));
    let mut stream = node.open(ask).await;
    for _ in 0..=count {
        gate.release();
        stream.next_text().await;
    }
    drop(stream);
    world.upstream.wait_for_aborted(aborted + 1).await;
}

/// What the provider reads, by the estimate: a quarter of the bytes of the one member that these requests have.
fn read_estimate(ask: &Ask) -> u64 {
    let body: serde_json::Value = serde_json::from_slice(&ask.body).unwrap();
    let read =
        ["messages", "input", "system", "instructions", "tools"].iter().filter_map(|name| body.get(*name));
    read.map(|value| value.to_string().len() as u64).sum::<u64>().div_ceil(4)
}

async fn usage(node: &Node, count: usize) -> Vec<UsageRecord> {
    node.wait_for_records(count).await;
    node.usage().await
}

#[tokio::test]
async fn a_client_that_always_leaves_has_its_budget_used_up() {
    for api in Api::ALL {
        let world = World::new().await;
        let node = node(&world, "0.0002").await;
        let ask = Ask::new(api, "paid/big").streamed();
        leave_after(&world, &node, &ask, api, 3).await;
        let rows = usage(&node, 1).await;
        let row = &rows[0].usage;
        // What Anthropic tells at the start stays: the tokens read, and one that is written.
        let (read, written) = match api {
            Api::Messages => (INPUT_TOKENS, 1 + 3 * SAID_TOKENS),
            Api::Chat | Api::Responses => (read_estimate(&ask), 3 * SAID_TOKENS),
        };
        assert!(row.estimated, "{api:?}");
        assert_eq!((row.input_tokens, row.output_tokens), (read, written), "{api:?}");
        let cost = (read * 25).div_ceil(10) + written * 10;
        let spent = || node.directory.keys()[0].spent();
        assert_eq!((row.cost_microusd, spent()), (cost, cost), "{api:?}");
        let record = &node.records().await[0];
        assert!(record.result.client_gone && record.result.usage.is_some_and(|usage| usage.estimated));

        let mut left = 1;
        while spent() < 200 {
            leave_after(&world, &node, &ask, api, 3).await;
            left += 1;
            assert_eq!(usage(&node, left).await.len(), left);
        }
        assert!((2..=2_000 / cost as usize).contains(&left), "{api:?}: {left}");
        let refused = node.send(&ask).await;
        assert_eq!((refused.status, error_type(&refused).as_str()), (402, "usage_limit_exceeded"), "{api:?}");
        node.leaks_nothing(&world).await;
    }
}

#[tokio::test]
async fn nothing_is_estimated_before_an_answer_has_begun() {
    for api in Api::ALL {
        for head in [false, true] {
            let world = World::new().await;
            let node = node(&world, "1").await;
            let ask = Ask::new(api, "paid/big").streamed();
            if head {
                world.upstream.respond_with(Script::hang_mid_stream([": a sign of life\n\n"]));
                drop(node.open(&ask).await);
            } else {
                world.upstream.respond_with(Script::hang());
                let asking = node.spawn(&ask);
                world.upstream.wait_for_calls(1).await;
                asking.abort();
            }
            world.upstream.wait_for_aborted(1).await;
            let rows = usage(&node, 1).await;
            let row = &rows[0].usage;
            assert_eq!((row.input_tokens, row.output_tokens, row.estimated), (0, 0, false), "{api:?} {head}");
            assert_eq!(node.directory.keys()[0].spent(), 0, "{api:?} {head}");
        }
    }
}

#[tokio::test]
async fn what_a_provider_never_counts_is_estimated() {
    for api in Api::ALL {
        let (start, piece) = pieces(api);
        let world = World::new().await;
        let node = node(&world, "1").await;
        let streamed = Ask::new(api, "paid/big").streamed();

        // A stream that breaks after some of it, and one that breaks before.
        world.upstream.respond_with(Script::cut_mid_stream([start.clone(), piece.clone()]));
        let broken = node.usage_of(&node.send(&streamed).await).await.usage;
        assert!(broken.estimated && broken.output_tokens >= SAID_TOKENS, "{api:?}: {broken:?}");
        world.upstream.respond_with(Script::cut_mid_stream([start.clone()]));
        let unbegun = node.usage_of(&node.send(&streamed).await).await.usage;
        assert!(!unbegun.estimated, "{api:?}: {unbegun:?}");

        // An answer without usage.
        let whole = Ask::new(api, "paid/big");
        let mut body = match api {
            Api::Chat => chat("big-1"),
            Api::Responses => responses("big-1"),
            Api::Messages => messages("big-1"),
        };
        let counted = body.as_object_mut().unwrap().remove("usage");
        world.upstream.respond_with(Script::json(200, &body));
        let row = node.usage_of(&node.send(&whole).await).await.usage;
        assert!(row.estimated && row.cost_microusd > 0, "{api:?}: {row:?}");
        assert_eq!(row.input_tokens, read_estimate(&whole), "{api:?}");
        assert!((1..=20).contains(&row.output_tokens), "{api:?}: {row:?}");

        // The same with usage.
        body["usage"] = counted.unwrap();
        world.upstream.respond_with(Script::json(200, &body));
        let row = node.usage_of(&node.send(&whole).await).await.usage;
        assert_eq!(
            (row.input_tokens, row.output_tokens, row.estimated),
            (INPUT_TOKENS, OUTPUT_TOKENS, false),
            "{api:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_opened_counts_by_its_bytes() {
    let world = World::new().await;
    let node = node(&world, "1").await;
    let script =
        Script::body(200, "application/json", vec![0xff_u8; 101]).header("content-encoding", "x-own");
    world.upstream.respond_with(script);
    let ask = Ask::chat("paid/big");
    let row = node.usage_of(&node.send(&ask).await).await.usage;
    assert_eq!((row.input_tokens, row.output_tokens, row.estimated), (read_estimate(&ask), 26, true));
}

#[tokio::test]
async fn an_estimate_costs_nothing_where_nothing_is_charged() {
    let world = World::new().await;
    let node = node(&world, "0.0001").await;
    let own = Ask::chat("paid/big").streamed().header("x-weir-byok", OWN);
    for (count, ask) in [own, Ask::chat("free/small").streamed()].iter().enumerate() {
        leave_after(&world, &node, ask, Api::Chat, 3).await;
        let rows = usage(&node, count + 1).await;
        assert!(rows.iter().all(|row| row.usage.estimated && row.usage.cost_microusd == 0), "{rows:?}");
    }
    assert_eq!(node.directory.keys()[0].spent(), 0);
    // What has no price is counted all the same, for the rules that read it.
    let stats = eventually("stats", async || {
        let key = node.records().await[0].decision.subject.clone();
        let stats =
            node.cache.stats_read(&weir_core::IdentityKey::from_stored(&key), world.clock.manual.now()).await;
        (stats.tokens_1h > 0).then_some(stats)
    });
    assert!(stats.await.spend_1h_usd.abs() < f64::EPSILON);
}
