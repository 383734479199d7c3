//! Every path crossed with every phase and every class: one classification each, the same on all paths. What is walked is
//! printed as the tables of `docs/failure-paths.md`, which must be equal.

use std::collections::BTreeMap;

use serde_json::json;
use weir_core::failure::{Class, Report};
use weir_testkit::http::Response;
use weir_testkit::{Script, repository};

use super::telling::{self, members, sent};
use super::{Bench, retries, within};
use crate::support::{Api, Ask};

/// An operation, streamed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    operation: &'static str,
    streamed: bool,
}

impl Path {
    const ALL: [Self; 8] = [
        Self { operation: "chat_completions", streamed: false },
        Self { operation: "chat_completions", streamed: true },
        Self { operation: "responses", streamed: false },
        Self { operation: "responses", streamed: true },
        Self { operation: "messages", streamed: false },
        Self { operation: "messages", streamed: true },
        Self { operation: "embeddings", streamed: false },
        Self { operation: "count_tokens", streamed: false },
    ];

    /// The protocol that it speaks.
    fn api(self) -> Api {
        match self.operation {
            "responses" => Api::Responses,
            "messages" | "count_tokens" => Api::Messages,
            _ => Api::Chat,
        }
    }

    fn ask(self, model: &str) -> Ask {
        let ask = match self.operation {
            "embeddings" => Ask::new(Api::Responses, model).path("/v1/embeddings"),
            "count_tokens" => Ask::new(Api::Messages, model).path("/v1/messages/count_tokens"),
            _ => Ask::new(self.api(), model),
        };
        if self.streamed { ask.streamed() } else { ask }
    }

    fn name(self) -> String {
        format!("{}{}", self.operation, if self.streamed { ", streamed" } else { "" })
    }
}

/// Where a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Connect,
    Head,
    Body,
    Within,
    AfterContent,
    EndOfStream,
}

impl Phase {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Connect, "connect"),
        (Self::Head, "head"),
        (Self::Body, "body"),
        (Self::Within, "in a 200"),
        (Self::AfterContent, "after content"),
        (Self::EndOfStream, "end of stream"),
    ];
}

/// One way to fail: the model that is asked for, what the provider does, and the class that it is.
struct Way {
    phase: Phase,
    what: String,
    model: &'static str,
    script: Script,
    class: Class,
    /// The fact `failure.phase`.
    fact: &'static str,
}

/// What a provider says in words.
const AN_ERROR: &str = "an error";

/// All ways in which a path can fail.
fn ways(path: Path) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut way = |phase, what: &str, model, script, class, fact| {
        ways.push(Way { phase, what: String::from(what), model, script, class, fact });
    };
    let nothing = || Script::status(200);
    way(Phase::Connect, "refused", "m/refused", nothing(), Class::Network, "connect");
    way(Phase::Connect, "no TLS", "m/tls", nothing(), Class::Network, "connect");
    way(Phase::Head, "no head in time", "m/main", Script::hang(), Class::Timeout, "head");
    way(Phase::Head, "cut before the head", "m/main", Script::cut_before_head(), Class::Network, "head");
    for (status, class) in BARE {
        way(
            Phase::Head,
            &format!("{status} and nothing more"),
            "m/main",
            Script::status(status),
            class,
            "head",
        );
    }
    for class in Class::ALL {
        let (Some(script), Some((_, code, message))) = (sent(class), members(class)) else { continue };
        way(Phase::Body, AN_ERROR, "m/main", script, class, "body");
        let error = json!({"type": code, "code": code, "message": message});
        if path.streamed {
            let (event, content) = (within::failure(path.api(), &error), within::content(path.api()));
            let first = Script::chunks([event.clone()]);
            way(Phase::Within, AN_ERROR, "m/main", first, in_words(class, path.streamed), "stream");
            let after = Script::chunks([content, event]);
            way(Phase::AfterContent, AN_ERROR, "m/main", after, in_words(class, path.streamed), "stream");
        } else {
            let whole = Script::json(200, &json!({"error": error}));
            way(Phase::Within, AN_ERROR, "m/main", whole, in_words(class, path.streamed), "body");
        }
    }
    if path.streamed {
        let content = within::content(path.api());
        let cut = Script::cut_mid_stream([content.clone()]);
        way(Phase::AfterContent, "cut off", "m/main", cut, Class::StreamErrorOther, "stream");
        let idle = Script::hang_mid_stream([content.clone()]);
        way(Phase::AfterContent, "nothing more in time", "m/main", idle, Class::StreamErrorOther, "stream");
        let ended = Script::chunks([content]);
        way(Phase::EndOfStream, "no terminal event", "m/main", ended, Class::StreamErrorOther, "stream");
    } else {
        way(Phase::Body, "cut off", "m/main", Script::cut_mid_body(1_000, 10), Class::Network, "body");
        way(Phase::Within, "half an object", "m/main", Script::malformed_json(), Class::Network, "body");
    }
    ways
}

/// What a status says where there is nothing else.
const BARE: [(u16, Class); 12] = [
    (400, Class::Unknown),
    (401, Class::AuthInvalid),
    (402, Class::QuotaExhausted),
    (403, Class::PermissionDenied),
    (404, Class::GatewayMisconfig),
    (408, Class::Timeout),
    (413, Class::PayloadTooLarge),
    (429, Class::RateLimited),
    (500, Class::Upstream5xx),
    (503, Class::Overloaded),
    (504, Class::Timeout),
    (529, Class::Overloaded),
];

/// What an error says whose status is not known. Within a stream the words for lost time say that it broke.
fn in_words(class: Class, streamed: bool) -> Class {
    if streamed && class == Class::Timeout { Class::StreamErrorOther } else { class }
}

#[tokio::test]
async fn every_path_fails_alike() {
    let bench = bench().await;
    let mut walked: BTreeMap<(Path, Phase), usize> = BTreeMap::new();
    let mut told = Told::new();
    let mut wrong = Vec::new();
    for path in Path::ALL {
        for way in ways(path) {
            let name = format!("{} {:?} {} {}", path.name(), way.phase, way.what, way.class);
            bench.world.upstream.respond_with(way.script.clone());
            let answer = bench.send(&path.ask(way.model)).await.0;
            let cell = match one_classification(&bench, path, &way, &answer, &name).await {
                Ok(cell) => cell,
                Err(class) => {
                    wrong.push(format!("{name}: {class}"));
                    continue;
                }
            };
            *walked.entry((path, way.phase)).or_default() += 1;
            let before = told.entry((way.phase, way.what, way.class)).or_insert_with(|| cell.clone());
            assert_eq!(*before, cell, "{name} is told otherwise than another path");
        }
    }
    assert!(wrong.is_empty(), "classed otherwise:\n{}", wrong.join("\n"));
    bench.node.leaks_nothing(&bench.world).await;
    let file = repository::root().join("docs/failure-paths.md");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let mut tables = vec![paths_table(&walked), words_table(&told), wordless_table(&told)];
    tables.retain(|table| !written.contains(table));
    assert!(tables.is_empty(), "docs/failure-paths.md must have:\n{}", tables.join("\n"));
}

/// By phase, what happened and class: the owner, the retry and the answer.
type Told = BTreeMap<(Phase, String, Class), [String; 3]>;

async fn bench() -> Bench {
    Bench::with_url("", |config, url| {
        let apis = "apis: [chat_completions, responses, messages, embeddings], api_key: canary-key";
        let refused = weir_testkit::upstream::refused_url();
        let tls = url.replace("http://", "https://");
        config
            .set(
                "providers",
                format!(
                    "[{{name: main, base_url: \"{url}\", {apis}}}, {{name: refused, base_url: \"{refused}/v1\", {apis}}}, \
                      {{name: tls, base_url: \"{tls}\", {apis}}}]"
                ),
            )
            .set("models", "[{id: m/main, provider: main}, {id: m/refused, provider: refused}, {id: m/tls, provider: tls}]")
            .set("limits", "{upstream: {first_byte: 100ms, idle: 100ms}}")
            .set("failures", retries(1))
    })
    .await
}

/// Exactly one classification, in the event, in the record and in the answer.
async fn one_classification(
    bench: &Bench,
    path: Path,
    way: &Way,
    answer: &Response,
    name: &str,
) -> Result<[String; 3], Class> {
    let (events, exhausted) = (bench.watcher.take_failed(), bench.watcher.take_exhausted());
    assert_eq!((events.len(), exhausted.len()), (1, 1), "{name}: {events:?} {}", answer.text());
    let event = &events[0];
    if event.class != way.class {
        return Err(event.class);
    }
    assert_eq!((event.operation.as_str(), event.phase), (path.operation, way.fact), "{name}: {event:?}");
    assert_eq!(event.report == Report::Page, event.owner.as_str() == "operator", "{name}: {event:?}");
    let record = bench.node.record_of(answer).await;
    let [attempt] = &record.result.failures[..] else { panic!("{name}: {:?}", record.result.failures) };
    assert_eq!((attempt.class, attempt.rule.as_ref()), (event.class, event.rule.as_ref()), "{name}");
    assert_eq!(record.result.failure_class.as_deref(), Some(way.class.as_str()), "{name}");
    assert_eq!(record.facts.request.api, path.operation, "{name}");
    let error = if answer.status == 200 {
        within::last_error(path.api(), answer.text())
    } else {
        super::told(path.api(), &answer.body)
    };
    assert_eq!(error["decision"], answer.header("x-weir-decision").unwrap(), "{name}");
    let (status, error_type, ..) = telling::answer(way.class);
    let operators = event.owner.as_str() == "operator" && way.class != Class::Unknown;
    let (status, error_type) =
        if operators { (503, "temporarily_unavailable") } else { (status, error_type) };
    assert_eq!(error["error_type"], error_type, "{name}: {}", answer.text());
    let after = matches!(way.phase, Phase::AfterContent | Phase::EndOfStream);
    assert_eq!(answer.status, if after { 200 } else { status }, "{name}: {}", answer.text());
    let answer = format!("{} `{error_type}`", answer.status);
    Ok([event.owner.as_str().to_owned(), event.retry.as_str().to_owned(), answer])
}

fn paths_table(walked: &BTreeMap<(Path, Phase), usize>) -> String {
    let heads: Vec<&str> = Phase::ALL.iter().map(|(_, name)| *name).collect();
    let mut table = format!("| path | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for path in Path::ALL {
        let cells: Vec<String> = Phase::ALL
            .iter()
            .map(|(phase, _)| match walked.get(&(path, *phase)) {
                Some(ways) => ways.to_string(),
                None => {
                    assert!(!path.streamed, "a gap: {} {phase:?}", path.name());
                    "no stream".to_owned()
                }
            })
            .collect();
        table.push_str(&format!("| {} | {} |\n", path.name(), cells.join(" | ")));
    }
    table
}

/// What is said in words: a row for each class, a column for each phase in which words can come.
fn words_table(told: &Told) -> String {
    let phases = [Phase::Body, Phase::Within, Phase::AfterContent];
    let mut table =
        "| class | owner | retry | body | in a 200 | after content |\n|---|---|---|---|---|---|\n".to_owned();
    for class in Class::ALL {
        let cell = |phase| told.get(&(phase, AN_ERROR.to_owned(), class));
        let Some([owner, retry, _]) = phases.iter().find_map(|phase| cell(*phase)) else { continue };
        let cells: Vec<&str> =
            phases.iter().map(|phase| cell(*phase).map_or("", |[.., answer]| answer.as_str())).collect();
        table.push_str(&format!("| `{class}` | {owner} | {retry} | {} |\n", cells.join(" | ")));
    }
    table
}

/// What comes without words.
fn wordless_table(told: &Told) -> String {
    let mut table =
        "| phase | what happens | class | owner | retry | the caller is told |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for ((phase, what, class), [owner, retry, answer]) in
        told.iter().filter(|((_, what, _), _)| what != AN_ERROR)
    {
        let (_, name) = Phase::ALL.iter().find(|(found, _)| found == phase).unwrap();
        table.push_str(&format!("| {name} | {what} | `{class}` | {owner} | {retry} | {answer} |\n"));
    }
    table
}
