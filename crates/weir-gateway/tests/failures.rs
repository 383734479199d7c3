//! Providers that fail, on every path: how it is classed, what is done about it, what the caller is told.

mod acting;
mod area_b;
mod discretion;
mod encoded;
mod matrix;
mod opening;
mod pools;
mod stray;
mod telling;
mod throttled;
mod within;

use serde_json::{Value, json};
use weir_testkit::Script;

use crate::support::{Api, Ask, ConfigText, Node, Options, Watcher, World};

/// A node, and who is told of its failures.
struct Bench {
    world: World,
    node: Node,
    watcher: Watcher,
}

impl Bench {
    async fn new(change: impl FnOnce(ConfigText) -> ConfigText) -> Self {
        Self::with_url("", |config, _| change(config)).await
    }

    /// With rules, and a configuration that names the provider's URL.
    async fn with_url(rules: &str, change: impl FnOnce(ConfigText, &str) -> ConfigText) -> Self {
        let world = World::new().await;
        let watcher = Watcher::default();
        let config = change(world.config().set("abuse", "{mode: inline}"), &world.upstream.base_url());
        let options =
            Options { rules: rules.to_owned(), observers: watcher.observers(), ..Options::default() };
        let node = Node::with(&world, &config, options).await;
        Self { world, node, watcher }
    }

    /// Sends a request, moving the clock past every pause, and says how long the pauses were, in milliseconds.
    async fn send(&self, ask: &Ask) -> (weir_testkit::http::Response, Vec<u64>) {
        let before = self.world.clock.slept().len();
        let mut pauses = Vec::new();
        let mut request = self.node.spawn(ask);
        loop {
            tokio::select! {
                biased;
                answer = &mut request => return (answer.unwrap(), pauses),
                pause = self.world.clock.nth_sleep(before + pauses.len()) => {
                    let ms = u64::try_from(pause.as_millis()).unwrap();
                    pauses.push(ms);
                    self.world.clock.advance_ms(ms);
                }
            }
        }
    }
}

/// Three models of three providers, each of which can be told apart by the name that it is sent.
fn chain(config: ConfigText, url: &str) -> ConfigText {
    let provider = |name: &str| {
        format!(
            "{{name: {name}, base_url: \"{url}\", api_key: canary-{name}, apis: [chat_completions, responses, messages, embeddings]}}"
        )
    };
    config.set("providers", format!("[{}, {}, {}]", provider("one"), provider("two"), provider("three"))).set(
        "models",
        "[{id: a, provider: one, fallbacks: [b, c], context_window: 1000}, \
              {id: b, provider: two, context_window: 1000}, {id: c, provider: three, context_window: 2000}]",
    )
}

fn retries(attempts: u32) -> String {
    format!("{{retries: {{attempts: {attempts}, base: 100ms, max: 1s}}}}")
}

fn error(status: u16, code: &str, message: &str) -> Script {
    Script::error(status, code, message)
}

/// The models that the provider was asked for, in order.
fn asked(world: &World) -> Vec<String> {
    world.upstream.requests().into_iter().map(|request| request.model).collect()
}

/// The error of an answer, in whichever dialect.
fn told(api: Api, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
    assert_eq!(body["type"] == "error", api == Api::Messages, "{body}");
    body["error"].clone()
}
