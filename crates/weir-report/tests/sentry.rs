//! The reporter against a Sentry that takes envelopes over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use weir_core::DecisionId;
use weir_core::failure::{
    AllExhausted, Class, CredentialOwner, Failed, FailureEvent, FailureObserver, Owner, Report,
};
use weir_core::secret::Secret;
use weir_report::{DemotionLevel, ReportError, ReportOptions, Reporter};
use weir_testkit::cases::{self, Case};
use weir_testkit::{FakeSentry, LogCapture, ManualClock};

const WINDOW: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(20);

/// Something that looks like a key, in everything that a provider or a caller may have written.
const CANARY: &str = "sk-canary0123456789ABCdef";

struct Scene {
    sentry: FakeSentry,
    clock: ManualClock,
    reporter: Reporter,
    log: LogCapture,
}

fn options(dsn: Option<String>) -> ReportOptions {
    ReportOptions {
        sentry_dsn: dsn.map(Secret::from),
        release: "weir@0.0.0".to_owned(),
        environment: Some("test".to_owned()),
        window: WINDOW,
        level: DemotionLevel::Info,
    }
}

impl Scene {
    async fn new() -> Self {
        let log = LogCapture::thread();
        let (sentry, clock) = (FakeSentry::start().await, ManualClock::at_ten());
        let reporter = Reporter::start(options(Some(sentry.dsn())), Arc::new(clock.clone())).unwrap();
        Self { sentry, clock, reporter, log }
    }

    fn failed(&self, class: Class, user: usize) -> FailureEvent {
        self.made(class, user, |_| {})
    }

    /// Enters a failure by its class's own row, but for what `change` changes.
    fn made(&self, class: Class, user: usize, change: impl FnOnce(&mut Failed)) -> FailureEvent {
        let owner = class.owner();
        let mut failed = Failed {
            at: self.clock.now(),
            decision: DecisionId::new(self.clock.now(), [7; 10]),
            request_id: "req-1".to_owned(),
            subject: format!("user:u{user}"),
            class,
            owner,
            retry: class.retry(),
            report: if owner == Owner::Operator { Report::Page } else { Report::Log },
            rule: Some("auth-status-401".to_owned()),
            because: Some(format!("the key {CANARY}")),
            provider: "openai".to_owned(),
            operation: "chat_completions".to_owned(),
            model: "gpt-4o".to_owned(),
            status: 401,
            http_status: 401,
            phase: "body",
            transport: "",
            code: "invalid_api_key".to_owned(),
            kind: "invalid_request_error".to_owned(),
            message: format!("Incorrect API key provided: {CANARY}"),
            credential: CredentialOwner::Platform,
            attempt: 1,
            attempts: 1,
            house: false,
            causes: vec![format!("https://me:{CANARY}@host/")],
        };
        change(&mut failed);
        let event = FailureEvent::new(failed);
        self.reporter.failed(&event);
        event
    }

    /// Sends what is queued; the events so far.
    async fn events(&self) -> Vec<Value> {
        assert!(self.reporter.shutdown(DEADLINE).await);
        assert_eq!(self.sentry.faults(), Vec::<String>::new());
        assert!(!self.sentry.text().contains(CANARY) && !self.log.text().contains(CANARY));
        self.sentry.events()
    }

    fn error_lines(&self) -> usize {
        self.log.events().iter().filter(|line| line.level == tracing_level("ERROR")).count()
    }

    fn info_lines(&self) -> Vec<weir_testkit::logs::LoggedEvent> {
        self.log.events().into_iter().filter(|line| line.level == tracing_level("INFO")).collect()
    }
}

fn case(id: &str) -> Case {
    cases::area("B").into_iter().find(|case| case.id == id).unwrap()
}

fn tracing_level(word: &str) -> tracing::Level {
    word.parse().unwrap()
}

#[tokio::test]
async fn one_user_s_eight_thousand_rate_limits_make_no_event() {
    let scene = Scene::new().await;
    for _ in 0..8000 {
        scene.failed(Class::RateLimited, 1);
    }
    assert_eq!(scene.events().await, Vec::<Value>::new());
    assert_eq!((scene.error_lines(), scene.info_lines().len()), (0, 8000));
}

#[tokio::test]
async fn a_revoked_key_pages_at_once_and_is_summed_up_while_it_goes_on() {
    let scene = Scene::new().await;
    scene.failed(Class::AuthInvalid, 0);
    scene.sentry.wait_for_events(1).await;
    for user in 0..500 {
        scene.failed(Class::AuthInvalid, user % 20);
    }
    scene.clock.wait_for_sleepers(1).await;
    scene.clock.advance(WINDOW);
    scene.sentry.wait_for_events(2).await;
    let events = scene.events().await;
    let reports: Vec<_> = events.iter().map(|event| event["tags"]["weir.report"].as_str().unwrap()).collect();
    assert_eq!(reports, ["first", "summary"]);
    assert_eq!((&events[1]["extra"]["count"], &events[1]["extra"]["identities"]), (&501.into(), &20.into()));
    assert_eq!(events[0]["fingerprint"], serde_json::json!(["weir", "openai", "auth_invalid", "operator"]));
    assert_eq!(events[0]["fingerprint"], events[1]["fingerprint"]);
    assert_eq!((scene.error_lines(), scene.info_lines().len()), (2, 500));
}

#[tokio::test]
async fn an_event_has_the_tags_and_the_whole_chain() {
    let scene = Scene::new().await;
    let event = scene.failed(Class::AuthInvalid, 1);
    let events = scene.events().await;
    let told = json!({"events": events.len(), "log_error_lines": scene.error_lines()});
    assert_eq!(told, case("B191").expect);
    let expected = [
        ("domain", "llm_provider"),
        ("operation", "chat_completions"),
        ("provider", "openai"),
        ("model", "gpt-4o"),
        ("status", "401"),
        ("failure", "non_2xx"),
        ("weir.class", "auth_invalid"),
        ("weir.owner", "operator"),
        ("weir.provider", "openai"),
        ("weir.phase", "body"),
        ("weir.credential", "platform"),
        ("weir.report", "first"),
    ];
    let tags = events[0]["tags"].as_object().unwrap();
    assert_eq!(tags.len(), expected.len(), "{tags:?}");
    for (name, value) in expected {
        assert_eq!(tags[name], value, "{name}");
    }
    let message = events[0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "openai API error (401): Incorrect API key provided: [REDACTED] | https://[REDACTED]@host/"
    );
    assert_eq!(events[0]["extra"]["decision"], event.decision.to_string());
    assert_eq!(events[0]["extra"]["because"], "the key [REDACTED]");
    assert_eq!((&events[0]["release"], &events[0]["environment"]), (&"weir@0.0.0".into(), &"test".into()));
    for absent in ["user", "request", "server_name", "breadcrumbs", "contexts"] {
        assert_eq!(events[0][absent], Value::Null, "{absent}");
    }
    assert_eq!(events[0]["event_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn an_outage_of_every_provider_makes_exactly_one() {
    let scene = Scene::new().await;
    for user in 0..300 {
        let attempts = ["openai", "anthropic"].map(|provider| {
            scene.made(Class::Overloaded, user, |failed| {
                failed.provider = provider.to_owned();
                (failed.status, failed.http_status) = (503, 503);
            })
        });
        let request = AllExhausted::new("gpt-4o", Class::Overloaded, attempts.to_vec()).unwrap();
        scene.reporter.all_exhausted(&request);
    }
    scene.sentry.wait_for_events(1).await;
    scene.clock.wait_for_sleepers(1).await;
    scene.clock.advance(WINDOW);
    let events = scene.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    let tags = &events[0]["tags"];
    assert_eq!((&tags["failure"], &tags["attempts"]), (&"all_exhausted".into(), &"2".into()));
    assert_eq!(tags["weir.providers"], "anthropic,openai");
    let message = events[0]["message"].as_str().unwrap();
    assert!(message.starts_with("all providers/models failed: anthropic, openai"), "{message}");
    assert_eq!(message.lines().count(), 3);
    assert_eq!(scene.error_lines(), 1);
}

#[tokio::test]
async fn an_access_policy_s_403_makes_none_and_one_info_line_on_each_path() {
    let scene = Scene::new().await;
    let paths = ["chat_completions", "responses", "messages", "embeddings", "count_tokens"];
    for path in paths {
        let event = scene.made(Class::AccessPolicyDenied, 1, |failed| {
            failed.operation = path.to_owned();
            (failed.status, failed.http_status) = (403, 403);
        });
        scene.reporter.all_exhausted(&AllExhausted::new("m", event.class, vec![event]).unwrap());
    }
    assert_eq!(scene.events().await, Vec::<Value>::new());
    let lines = scene.info_lines();
    assert_eq!(lines.len(), paths.len());
    for (line, path) in lines.iter().zip(paths) {
        let expected: [(&str, Value); 7] = [
            ("domain", "llm_provider".into()),
            ("operation", path.into()),
            ("provider", "openai".into()),
            ("model", "gpt-4o".into()),
            ("status", 403.into()),
            ("failure", "non_2xx".into()),
            ("kind", "provider_access_policy".into()),
        ];
        for (name, value) in expected {
            assert_eq!(line.field(name), &value, "{line}");
        }
        assert!(line.message.starts_with(path) && line.message.contains("not reported"), "{line}");
    }
}

#[tokio::test]
async fn all_demotions_share_the_level_that_is_configured() {
    let scene = Scene::new().await;
    let classes = Class::ALL.into_iter().filter(|class| class.owner() != Owner::Operator);
    for class in classes.clone() {
        scene.failed(class, 1);
    }
    let mut warned = options(Some(scene.sentry.dsn()));
    warned.level = DemotionLevel::Warn;
    scene.reporter.reload(warned).unwrap();
    for class in classes.clone() {
        scene.failed(class, 1);
    }
    let levels: Vec<_> = scene.log.events().iter().map(|line| line.level).collect();
    let (first, second) = levels.split_at(classes.count());
    assert!(first.iter().all(|level| *level == tracing_level("INFO")), "{levels:?}");
    assert!(second.iter().all(|level| *level == tracing_level("WARN")), "{levels:?}");
    assert_eq!(first.len(), second.len());
}

/// B192: those that the seed demotes, with the caller's own key where they are about an account.
#[tokio::test]
async fn what_the_seed_demotes_shares_one_level() {
    let scene = Scene::new().await;
    let case = case("B192");
    for class in case.given["classes"].as_array().unwrap() {
        let class = match class.as_str().unwrap() {
            "budget" => Class::QuotaExhausted,
            "access_policy" => Class::AccessPolicyDenied,
            "config_rejection" => Class::ModelNotFound,
            other => panic!("a class that spec B0 does not map: {other}"),
        };
        scene.made(class, 1, |failed| {
            (failed.owner, failed.report) = (Owner::User, Report::Log);
            failed.credential = CredentialOwner::User;
        });
    }
    assert_eq!(scene.events().await, Vec::<Value>::new());
    let lines = scene.log.events();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let distinct: BTreeSet<_> = lines.iter().map(|line| line.level).collect();
    assert_eq!(json!({"levels_distinct": distinct.len()}), case.expect);
}

#[tokio::test]
async fn what_the_guard_drops_is_told_in_a_client_report() {
    let scene = Scene::new().await;
    // A rule that pages for a caller's own key: the ledger believes it, the guard does not.
    for provider in ["a", "b"] {
        scene.made(Class::AuthInvalid, 1, |failed| {
            failed.provider = provider.to_owned();
            failed.credential = CredentialOwner::User;
        });
    }
    scene.clock.wait_for_sleepers(1).await;
    scene.clock.advance(WINDOW);
    scene.sentry.wait_for_client_reports(1).await;
    let report = &scene.sentry.client_reports()[0];
    let discarded = &report["discarded_events"][0];
    assert_eq!(
        (&discarded["reason"], &discarded["category"], &discarded["quantity"]),
        (&"before_send".into(), &"error".into(), &2.into())
    );
    assert_eq!(scene.events().await, Vec::<Value>::new());
    assert_eq!((scene.error_lines(), scene.info_lines().len()), (0, 2));
}

#[tokio::test]
async fn a_page_that_could_not_be_sent_is_tried_again() {
    let scene = Scene::new().await;
    scene.sentry.cut_once();
    scene.sentry.refuse_once(502, &[]);
    scene.failed(Class::AuthInvalid, 1);
    for _ in 0..2 {
        // One sleeper is the window's, the other is the pause before the next try.
        scene.clock.wait_for_sleepers(2).await;
        scene.clock.advance(Duration::from_secs(5));
    }
    scene.sentry.wait_for_events(1).await;
    assert_eq!(scene.events().await.len(), 1);
}

#[tokio::test]
async fn sentry_is_left_alone_for_as_long_as_it_asks_and_told_what_was_lost() {
    let scene = Scene::new().await;
    let page = |provider: &'static str| {
        scene.made(Class::AuthInvalid, 1, |failed| failed.provider = provider.to_owned());
    };
    scene.sentry.refuse_once(429, &[("retry-after", "30")]);
    page("a");
    scene.sentry.wait_for_refusals().await;
    assert_eq!(scene.events().await, Vec::<Value>::new());
    page("b");
    assert_eq!(scene.events().await, Vec::<Value>::new());
    scene.clock.advance(Duration::from_secs(31));
    page("c");
    let events = scene.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["tags"]["provider"], "c");
    let report = &scene.sentry.client_reports()[0]["discarded_events"][0];
    assert_eq!((&report["reason"], &report["quantity"]), (&"ratelimit_backoff".into(), &1.into()));
}

#[tokio::test]
async fn a_sentry_that_does_not_answer_holds_up_nothing() {
    let log = LogCapture::thread();
    let dsn = weir_testkit::upstream::refused_url().replace("http://", "http://key@") + "/42";
    let clock = ManualClock::at_ten();
    let scene = Scene {
        sentry: FakeSentry::start().await,
        reporter: Reporter::start(options(Some(dsn)), Arc::new(clock.clone())).unwrap(),
        clock,
        log,
    };
    // More pages than the queue holds: the rest is dropped, and said.
    for provider in 0..300 {
        scene.made(Class::AuthInvalid, 1, |failed| failed.provider = format!("p{provider}"));
    }
    assert!(!scene.reporter.shutdown(Duration::from_millis(50)).await);
    assert!(scene.log.text().contains("its queue is full"));
    assert_eq!(scene.error_lines(), 300, "the log has every page");
}

#[tokio::test]
async fn without_a_dsn_the_log_has_everything() {
    let log = LogCapture::thread();
    let clock = ManualClock::at_ten();
    let scene = Scene {
        sentry: FakeSentry::start().await,
        reporter: Reporter::start(options(None), Arc::new(clock.clone())).unwrap(),
        clock,
        log,
    };
    scene.failed(Class::AuthInvalid, 1);
    scene.failed(Class::AuthInvalid, 2);
    assert_eq!(scene.events().await, Vec::<Value>::new());
    // The page, and the summary at the end.
    assert_eq!((scene.error_lines(), scene.info_lines().len()), (2, 1));
    // A DSN that comes later is used.
    scene.reporter.reload(options(Some(scene.sentry.dsn()))).unwrap();
    scene.failed(Class::AuthInvalid, 3);
    assert_eq!(scene.events().await.len(), 1);
}

#[tokio::test]
async fn a_bad_dsn_is_refused_and_not_shown() {
    let clock = Arc::new(ManualClock::at_ten());
    for bad in ["", "nonsense", "http://host/1", "ftp://hunter22secret@host/1"] {
        let refused = Reporter::start(options(Some(bad.to_owned())), clock.clone());
        let Err(ReportError::Dsn(said)) = refused else { panic!("{bad} is taken") };
        assert!(!said.contains("hunter22secret"), "{said}");
    }
}

/// The value of each series of a metric, by its labels.
fn series(text: &str, name: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines
        .map(|line| {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            (labels.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn reported_suppressed_and_expected_add_up_to_all_failures() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let scene = Scene::new().await;
            for user in 0..20 {
                for class in Class::ALL {
                    scene.failed(class, user);
                }
            }
            // The guard drops this one.
            scene.made(Class::AuthInvalid, 1, |failed| {
                failed.provider = "theirs".to_owned();
                failed.credential = CredentialOwner::User;
            });
            scene.made(Class::AuthInvalid, 1, |failed| {
                (failed.house, failed.report, failed.owner) = (true, Report::Log, Owner::User);
            });
            for provider in 0..300 {
                scene.made(Class::Timeout, 1, |failed| failed.provider = format!("p{provider}"));
            }
            scene.events().await;
        });
    });
    let text = handle.render();
    let all = series(&text, "weir_failures_total");
    let of = |outcome: &str| -> u64 {
        all.iter()
            .filter(|(labels, _)| labels.contains(&format!("outcome=\"{outcome}\"")))
            .map(|(_, n)| n)
            .sum()
    };
    let operators = Class::ALL.iter().filter(|class| class.owner() == Owner::Operator).count() as u64;
    let expected = (Class::ALL.len() as u64 - operators) * 20 + 1 + 300;
    assert_eq!((of("reported"), of("suppressed"), of("expected")), (operators, operators * 19 + 1, expected));
    assert_eq!(all.iter().map(|(_, n)| n).sum::<u64>(), Class::ALL.len() as u64 * 20 + 302);
    let timeouts = all.iter().filter(|(labels, _)| labels.contains("class=\"timeout\""));
    assert!(timeouts.clone().count() <= 257, "labels are bounded");
    assert!(timeouts.clone().any(|(labels, _)| labels.contains("provider=\"other\"")));
    assert_eq!(series(&text, "weir_sessions_expired_total").len(), 1);
    assert!(!text.contains(CANARY) && !text.contains("user:u"), "{text}");
}

#[tokio::test]
async fn a_rule_that_the_stop_loss_has_stopped_is_one_event_with_its_numbers() {
    use weir_core::stop::{RuleStop, StopWhy};
    let scene = Scene::new().await;
    let at = scene.clock.now();
    scene.reporter.rule_stopped(&RuleStop {
        rule: "oops".to_owned(),
        version: "v1".to_owned(),
        at,
        why: StopWhy::Share,
        hit: 100,
        seen: 400,
        decision: DecisionId::new(at, [7; 10]),
    });
    let events = scene.events().await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let tags = &event["tags"];
    assert_eq!((&tags["domain"], &tags["weir.report"]), (&"rules".into(), &"rule_stopped".into()));
    assert_eq!((&tags["rule"], &tags["why"]), (&"oops".into(), &"share".into()));
    assert_eq!(
        (&event["extra"]["identities_hit"], &event["extra"]["identities_seen"]),
        (&100.into(), &400.into())
    );
    assert_eq!(event["fingerprint"], serde_json::json!(["weir", "rule_stopped", "oops"]));
    let message = event["message"].as_str().or(event["logentry"]["message"].as_str()).unwrap();
    assert!(message.contains("`oops` is back in shadow") && message.contains("25.0 %"), "{message}");
}
