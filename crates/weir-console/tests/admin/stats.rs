//! What rules have done, what failed, what is counted; and a stopped rule on all nodes.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_console::{ApplyError, Master, ReportedAt, Rulebook};
use weir_core::failure::{Class, CredentialOwner, Owner, Report, Retry};
use weir_core::record::{
    FailedAttempt, NextStep, ProviderCall, Record, RecordedEvidence, RecordedFacts, RequestResult, Usage,
};
use weir_core::stop::{RuleStop, StopWhy};
use weir_core::{Decision, DecisionId, Matched, Mode};
use weir_rules::{LiveRules, RuleSet, SourceFile};
use weir_store::Database;
use weir_testkit::ManualClock;

use crate::browser::Browser;
use crate::plane::{ADMIN, Plane, memory};

const RULES: &str = "rules:\n  - {id: bites, on: request, when: 'true', then: block}\n  \
    - {id: watched, on: request, when: 'true', then: block, mode: shadow}\n  \
    - {id: quiet, on: request, when: 'false', then: log}\n";

fn record(plane: &Plane, n: u8, subject: &str, matched: &[(&str, &str, Mode)]) -> Record {
    let at = plane.clock.now();
    let mut decision = Decision::unasked(DecisionId::new(at, [n; 10]), subject.to_owned(), 1, at);
    decision.matched = matched
        .iter()
        .map(|(rule, version, mode)| Matched {
            rule: (*rule).to_owned(),
            version: (*version).to_owned(),
            action: "block".to_owned(),
            mode: *mode,
        })
        .collect();
    Record { decision, result: RequestResult::default(), facts: RecordedFacts::default(), call: None }
}

fn failed(class: Class, owner: Owner, report: Report, rule: Option<&str>) -> FailedAttempt {
    FailedAttempt {
        number: 1,
        model: "m".to_owned(),
        provider: "main".to_owned(),
        credential: CredentialOwner::Platform,
        key: 0,
        class,
        owner,
        retry: Retry::Same,
        report,
        rule: rule.map(str::to_owned),
        because: None,
        matched: Vec::new(),
        errored: Vec::new(),
        evidence: RecordedEvidence::default(),
        next: NextStep::End,
        wait_ms: 0,
        skipped: Vec::new(),
    }
}

#[tokio::test]
async fn a_rule_tells_how_often_it_hit_enforced_and_in_shadow() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    for (n, subject) in (1..).zip(["user:ann", "user:bob", "user:ann"]) {
        let hits = [("bites", "v1", Mode::Enforce), ("watched", "v1", Mode::Shadow)];
        plane.parts.recorder.file(&record(&plane, n, subject, &hits));
    }
    plane.parts.recorder.file(&record(&plane, 9, "user:ann", &[("bites", "v2", Mode::Enforce)]));
    plane.parts.recorder.flush().await.unwrap();
    let stats = plane.get("/api/rule-stats").await.ok();
    let rows: Vec<_> = stats["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let numbers =
                json!([row["enforced"]["count"], row["enforced"]["identities"], row["shadow"]["count"]]);
            (row["id"].as_str().unwrap(), row["mode"].as_str().unwrap(), numbers, row["last_hit"].is_string())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("bites", "enforce", json!([4, 2, 0]), true),
            ("watched", "shadow", json!([0, 0, 3]), true),
            ("quiet", "enforce", json!([0, 0, 0]), false),
        ]
    );
    let one = plane.get("/api/rule-stats/bites").await.ok();
    let versions = one["versions"].as_array().unwrap();
    assert_eq!(versions.iter().map(|v| v["count"].as_u64().unwrap()).sum::<u64>(), 4);
    assert_eq!((versions.len(), one["enforced"]["samples"].as_array().unwrap().len()), (2, 4));
    plane.get("/api/rule-stats/none").await.problem(404);
    assert_eq!(plane.get("/api/rule-stats?sinse=1h").await.faults(400), ["sinse"]);
    // What the rules' own endpoint gives can be sent back.
    let rules = plane.get("/api/rules").await.ok();
    plane.json("PUT", "/api/rules", rules).await.ok();
}

#[tokio::test]
async fn what_weir_refuses_by_itself_and_what_a_limit_refuses_is_shown_as_that() {
    let plane = Plane::start().await;
    let refused = |n: u8, error_type: &str, limit: Option<&str>| {
        let mut record = record(&plane, n, if n == 1 { "" } else { "user:ann" }, &[]);
        record.result.status = if limit.is_some() { 429 } else { 401 };
        record.result.error_type = Some(error_type.to_owned());
        record.result.ended_at = Some("identify".to_owned());
        record.result.limit = limit.map(str::to_owned);
        record
    };
    plane.parts.recorder.file(&refused(1, "invalid_api_key", None));
    plane.parts.recorder.file(&refused(2, "rate_limit_exceeded", Some("rule:slow")));
    plane.parts.recorder.flush().await.unwrap();
    let tallies = plane.get("/api/tallies?kind=request").await.ok();
    let outcomes: Vec<_> = tallies["items"].as_array().unwrap().iter().map(|item| &item["outcome"]).collect();
    assert!(outcomes.contains(&&json!("refused")) && outcomes.contains(&&json!("rate-limit")), "{tallies}");
    assert_eq!(outcomes.len(), 2, "{tallies}");
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let now = browser.get("/").await.text();
    assert!(now.contains("<strong>1</strong><span>refused without a rule</span>"), "{now}");
    assert!(now.contains("where=error_type%3Dinvalid_api_key"), "{now}");
    // Nothing looks as if it had passed: neither in lists nor on its own page.
    let id =
        plane.get("/api/decisions?outcome=nothing").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    for path in ["/decisions", "/decisions?outcome=nothing", &format!("/decisions/{id}")] {
        let page = browser.get(path).await.text();
        assert!(
            page.contains("</span>refused</span>") && !page.contains("</span>nothing</span>"),
            "{path}: {page}"
        );
    }
    let page = browser.get(&format!("/decisions/{id}")).await.text();
    assert!(page.contains("by weir itself: no rule refused it"), "{page}");
    for query in ["rule=slow", "outcome=rate-limit", "where=rule%3Dslow", "where=outcome%3Drate-limit"] {
        let page = browser.get(&format!("/decisions?{query}")).await.text();
        assert!(page.contains("user:ann") && page.contains("href=\"/rules/slow\""), "{query}: {page}");
        assert!(!page.contains("invalid_api_key"), "{query}");
    }
    for query in ["rule=slow", "outcome=rate-limit", "outcome=rate-limit&rule=slow&subject=user:ann"] {
        let items = plane.get(&format!("/api/decisions?{query}")).await.ok()["items"].clone();
        assert_eq!(
            (items.as_array().unwrap().len(), &items[0]["result"]["limit"]),
            (1, &json!("rule:slow")),
            "{query}"
        );
    }
    let id = plane.get("/api/decisions?rule=slow").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let page = browser.get(&format!("/decisions/{id}")).await.text();
    assert!(page.contains("by the limit of the rule"), "{page}");
    let recent = plane.get("/api/identities/user:ann").await.ok()["recent"][0].clone();
    assert_eq!((&recent["outcome"], &recent["rule"]), (&json!("rate-limit"), &json!("slow")));
}

#[tokio::test]
async fn tokens_that_were_estimated_are_shown_as_that() {
    let plane = Plane::start().await;
    let counted = Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() };
    let mut ids = Vec::new();
    for (n, estimated) in [(1, false), (2, true)] {
        let mut record = record(&plane, n, "user:ann", &[]);
        record.result.usage = Some(Usage { estimated, ..counted });
        record.call = Some(ProviderCall::default());
        ids.push(record.decision.id);
        plane.parts.recorder.file(&record);
    }
    plane.parts.recorder.flush().await.unwrap();
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    for (id, estimated) in ids.into_iter().zip([false, true]) {
        let page = browser.get(&format!("/decisions/{id}")).await.text();
        assert!(page.contains("3 read, 4 written"), "{page}");
        assert_eq!(page.contains("4 written, estimated"), estimated, "{page}");
        let usage = plane.get("/api/usage").await.ok()["items"].clone();
        let mine = usage.as_array().unwrap().iter().find(|item| item["decision"] == json!(id)).cloned();
        assert_eq!(mine.unwrap()["estimated"], estimated, "{usage}");
        let found = browser.get("/decisions?where=estimated%3Dtrue").await.text();
        assert_eq!(found.contains(&id.to_text()), estimated, "{found}");
    }
    let list = browser.get("/decisions").await.text();
    assert_eq!(list.matches("7 tokens").count(), 2, "{list}");
    assert_eq!(list.matches("7 tokens, estimated").count(), 1, "{list}");
}

#[tokio::test]
async fn failures_are_told_in_groups() {
    let plane = Plane::start().await;
    let mut first = record(&plane, 1, "user:ann", &[]);
    first.result.failures = vec![
        failed(Class::AuthInvalid, Owner::Operator, Report::Page, Some("auth-1")),
        failed(Class::AuthInvalid, Owner::Operator, Report::Page, Some("auth-2")),
        failed(Class::Overloaded, Owner::Provider, Report::Log, None),
    ];
    plane.parts.recorder.file(&first);
    plane.parts.recorder.flush().await.unwrap();
    let groups = plane.get("/api/failures?since=1h").await.ok();
    let items = groups["items"].as_array().unwrap();
    let auth = &items[0];
    assert_eq!((items.len(), &auth["count"], &auth["identities"]), (2, &json!(2), &json!(1)));
    // What the rule says is one thing; that nobody was told, where nothing reports, is another.
    assert_eq!(groups["reports_to"], json!(null));
    assert_eq!((&auth["class"], &auth["report"]), (&json!("auth_invalid"), &json!("page")));
    assert_eq!((&auth["reported"], &auth["reported_at"]), (&json!(false), &json!(null)));
    let page = Browser::signed_in(&plane, ADMIN).await.get("/failures").await.text();
    assert!(page.contains("would be reported") && page.contains("no DSN is configured"), "{page}");
    assert!(!page.contains("somebody is called"), "{page}");
    assert_eq!(auth["rules"], json!(["auth-1", "auth-2"]));
    assert!(auth["why"].as_str().unwrap().contains("operator"), "{auth}");
    assert_eq!((&items[1]["class"], &items[1]["reported"]), (&json!("overloaded"), &json!(false)));
    // Where a report was sent, it says when.
    let at = plane.clock.now();
    let sent: ReportedAt = Arc::new(move |class, provider, owner| {
        ((class, provider, owner) == ("auth_invalid", "main", "operator")).then_some(at)
    });
    let reporting = plane.reporting(sent);
    let items = reporting.get("/api/failures?since=1h").await.ok()["items"].clone();
    assert_eq!((&items[0]["reported"], &items[0]["reported_at"]), (&json!(true), &json!(at)));
    assert_eq!(items[1]["reported"], json!(false));
    let minutes = plane.get("/api/tallies?since=1h&step=1m&kind=failure").await.ok();
    assert_eq!((&minutes["step_s"], minutes["items"].as_array().unwrap().len()), (&json!(60), 3));
    assert_eq!(plane.get("/api/tallies?since=2160h&step=1m").await.faults(400), ["step"]);
    let now = plane.get("/api/failures?since=never").await;
    assert_eq!(now.faults(400), ["since"]);
}

fn stop(rule: &str, version: &str) -> RuleStop {
    let at = ManualClock::at_ten().now();
    RuleStop {
        rule: rule.to_owned(),
        version: version.to_owned(),
        at,
        why: StopWhy::Share,
        hit: 12,
        seen: 100,
        decision: DecisionId::new(at, [1; 10]),
    }
}

#[tokio::test]
async fn a_stopped_rule_is_shown_and_can_be_resumed() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    let version = plane.parts.rules.load().rules.get("bites").unwrap().version.to_string();
    plane.call("POST", "/api/rules/bites/resume", "").await.problem(409);
    plane.call("POST", "/api/rules/nobody/resume", "").await.problem(404);
    assert!(plane.parts.database.rule_stop(&stop("bites", &version)).await.unwrap());
    assert!(!plane.parts.database.rule_stop(&stop("bites", &version)).await.unwrap(), "once");
    plane.parts.rulebook.reload_from_store().await.unwrap();
    let shown = async || plane.get("/api/rule-stats/bites").await.ok();
    let row = shown().await;
    assert_eq!((&row["mode"], &row["in_force"]), (&json!("enforce"), &json!("shadow")));
    assert_eq!((&row["stopped"]["why"], &row["stopped"]["share"]), (&json!("share"), &json!(12.0)));
    assert_eq!((&row["stopped"]["identities"], &row["stopped"]["seen"]), (&json!(12), &json!(100)));
    assert_eq!(plane.get("/api/rules/bites").await.ok().get("mode"), None, "as it is written");

    plane.call("POST", "/api/rules/bites/resume", "").await.ok();
    let row = shown().await;
    assert_eq!((&row["in_force"], &row["stopped"]), (&json!("enforce"), &Value::Null));
    plane.call("POST", "/api/rules/bites/resume", "").await.problem(409);
    assert_eq!(plane.audited().await[..2], ["rules.resume", "rules.stop"]);
    assert!(plane.parts.rules.load().is_resumed("bites"));

    let only = plane.get("/api/audit?action=rules&actor=stop-loss").await.ok();
    assert_eq!(only["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        plane.get("/api/audit?action=rules.resume&since=1h").await.ok()["items"][0]["subject"],
        "bites"
    );
    assert_eq!(plane.get("/api/audit?action=rule").await.ok()["items"], json!([]));
    assert_eq!(plane.get("/api/audit?since=soon").await.faults(400), ["since"]);
}

fn node(database: &Database, master: Master) -> (Rulebook, Arc<LiveRules>) {
    let live = Arc::new(LiveRules::new(RuleSet::default(), 0));
    let book = Rulebook::new(database.clone(), Some(live.clone()), master, Arc::new(ManualClock::at_ten()));
    (book, live)
}

/// Two nodes over one store, the rules in the store or in files, and a node that starts later.
#[tokio::test]
async fn what_one_node_has_stopped_is_stopped_on_all_also_after_a_start() {
    let files = [SourceFile { name: "a.yaml".to_owned(), text: RULES.to_owned() }];
    for master in [Master::Store, Master::Files(vec![PathBuf::from("a.yaml")])] {
        let in_files = matches!(master, Master::Files(_));
        let database = memory().await;
        let start = async || {
            let (book, live) = node(&database, master.clone());
            if in_files {
                book.install_from_files(&files, "files").await.unwrap();
            } else if live.load().epoch == 0 && database.rules_current().await.unwrap().epoch == 0 {
                book.apply(&files, "ada", None).await.unwrap();
            }
            book.reload_from_store().await.unwrap();
            (book, live)
        };
        let (_, first) = start().await;
        let (book, second) = start().await;
        let position = database.changes_position().await.unwrap();
        let version = first.load().rules.get("bites").unwrap().version.to_string();
        first.stop([weir_rules::Stopped::new("bites", &version)]);
        assert!(first.load().is_stopped("bites") && !second.load().is_stopped("bites"));
        database.rule_stop(&stop("bites", &version)).await.unwrap();
        let (_, changes) = database.changes_since(position).await.unwrap();
        assert_eq!(changes.len(), 1, "the feed tells the other node");
        book.reload_from_store().await.unwrap();
        assert!(second.load().is_stopped("bites"), "in files: {in_files}");
        let (_, third) = start().await;
        assert!(third.load().is_stopped("bites"), "after a start");
        assert!(!third.load().is_stopped("quiet"));

        book.resume("bites", "ada").await.unwrap();
        assert!(!second.load().is_stopped("bites"));
        assert!(matches!(book.resume("bites", "ada").await, Err(ApplyError::NotStopped(_))));
        let (_, fourth) = start().await;
        assert!(fourth.load().is_resumed("bites"));
    }
}

#[tokio::test]
async fn history_says_what_changed_from_what_to_what_and_can_be_taken_back() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    let changed = json!({"id": "quiet", "on": "request", "when": "request.stream", "then": "block"});
    plane.json("PUT", "/api/rules/quiet", changed).await.ok();
    let history = plane.get("/api/rules/history").await.ok();
    let last = &history["items"][0];
    assert_eq!((&last["epoch"], &last["author"]), (&json!(2), &history["items"][1]["author"]));
    assert_eq!(
        last["changes"],
        json!([{
            "rule": "quiet", "kind": "changed", "fields": ["then", "when"],
            "values": [
                {"key": "then", "from": "log", "to": "block"},
                {"key": "when", "from": "false", "to": "request.stream"},
            ],
        }])
    );
    let added = &history["items"][1]["changes"][0];
    assert_eq!((&added["kind"], &added["values"][0]["from"]), (&json!("added"), &Value::Null));
    plane.json("POST", "/api/rules/rollback", json!({"epoch": 1})).await.ok();
    assert_eq!(plane.get("/api/rules/quiet").await.ok()["then"], "log");
    assert_eq!(plane.audited().await, ["rules.rollback", "rules.put", "rules.apply"]);
}

#[tokio::test]
async fn of_two_who_save_the_same_rule_the_second_is_told_of_both_versions_and_nothing_is_lost() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    let token = format!("Bearer {}", crate::plane::ADMIN);
    let headers =
        [("authorization", token.as_str()), ("content-type", "application/json"), ("if-match", "\"1\"")];
    let save = async |then: &str| {
        let rule = json!({"id": "quiet", "on": "request", "when": "false", "then": then});
        plane.call_with("PUT", "/api/rules/quiet", &headers, rule.to_string()).await
    };
    save("block").await.ok();
    let problem = save("rate-limit").await.problem(409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("epoch 2") && detail.contains("epoch 1"), "{detail}");
    assert_eq!(problem["epoch"], 2);
    assert_eq!(plane.get("/api/rules/quiet").await.ok()["then"], "block", "the first one's");
}
