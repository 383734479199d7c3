use weir_core::record::{
    FailedAttempt, NextStep, ProviderCall, Record, RecordedEvidence, RecordedFacts, RequestResult, Stats,
    ToolRecord,
};
use weir_core::{Boundary, Decision, DecisionId, Timestamp};

use super::super::{Body, Prepared, blocks};
use weir_core::record::Past;

/// A record whose members all have a value of their own, made from JSON so that none is forgotten: every member that a
/// struct has by then is set by its serialized default, and those that a replay reads differ from it.
fn full(boundary: Boundary) -> Record {
    let at: Timestamp = "2026-11-20T10:00:00.123456789Z".parse().unwrap();
    let mut decision = Decision::unasked(DecisionId::new(at, [9; 10]), "user:é".to_owned(), 70_000, at);
    decision.boundary = boundary;
    decision.outcome = weir_core::Outcome::new("quarantine-2");
    decision.rule = Some("a-rule".to_owned());
    decision.because = Some("x".repeat(300));
    decision.source = weir_core::Source::Cache;
    decision.sus_score = -5;
    decision.matched = vec![weir_core::Matched {
        rule: "r".to_owned(),
        version: String::new(),
        action: "log".to_owned(),
        mode: weir_core::Mode::Shadow,
    }];
    decision.errored = vec![weir_core::Errored { rule: "e".to_owned(), error: "no".to_owned() }];
    decision.obligations = vec![weir_core::Obligation::DelayMs(6000), weir_core::Obligation::Downgrade(true)];
    let mut facts = RecordedFacts { stats_known: true, redacted: true, ..RecordedFacts::default() };
    let request = &mut facts.request;
    request.api = "messages".to_owned();
    request.path = "/v1/messages".to_owned();
    request.model = "m".repeat(70_000);
    request.provider = "p".to_owned();
    (request.free, request.stream, request.has_tools, request.byok) = (true, false, true, true);
    request.max_tokens = -1;
    request.feature = "f".repeat(40);
    request.editor = "ed".to_owned();
    request.user_agent = "agent/1".to_owned();
    request.ip = "::1".to_owned();
    request.ja4 = "j".to_owned();
    request.country = "DE".to_owned();
    request.city = "Köln".to_owned();
    request.body_bytes = 5_000_000_000;
    let identity = &mut facts.identity;
    identity.key = "user:é".to_owned();
    identity.kind = "user".to_owned();
    identity.user_id = "é".to_owned();
    identity.org_id = "o".to_owned();
    identity.project_id = "pr".to_owned();
    identity.plan = "pro".to_owned();
    (identity.verified, identity.blocked, identity.age_days) = (true, true, -200);
    identity.tags = vec!["a".to_owned(), String::new(), "c".repeat(20)];
    facts.stats = Stats {
        requests_per_second: 0.25,
        requests_1h: 300,
        tokens_1h: i64::MAX,
        spend_1h_usd: 1e-3,
        denied_1h: i64::MIN,
        ips_1h: -40_000,
        first_seen_s: 1,
    };
    let evidence =
        RecordedEvidence { status: 529, code: Some("c".to_owned()), ..RecordedEvidence::default() };
    let failure = FailedAttempt {
        number: 1,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        credential: weir_core::failure::CredentialOwner::User,
        key: 2,
        class: weir_core::failure::Class::Overloaded,
        owner: weir_core::failure::Owner::Provider,
        retry: weir_core::failure::Retry::Same,
        report: weir_core::failure::Report::Log,
        rule: None,
        because: None,
        matched: Vec::new(),
        errored: Vec::new(),
        evidence,
        next: NextStep::Again,
        wait_ms: 7,
        skipped: Vec::new(),
    };
    let result = RequestResult {
        ended_at: Some("limit".to_owned()),
        limit: Some("rule:x".to_owned()),
        status: 429,
        failures: vec![failure],
        tool: Some(Box::new(ToolRecord { name: "bash".to_owned(), ..ToolRecord::default() })),
        ..RequestResult::default()
    };
    let call = ProviderCall { key_id: Some("key_1".to_owned()), ..ProviderCall::default() };
    Record { decision, result, facts, call: Some(call) }
}

fn empty() -> Record {
    let at = Timestamp::UNIX_EPOCH;
    Record {
        decision: Decision::unasked(DecisionId::new(at, [0; 10]), String::new(), 0, at),
        result: RequestResult::default(),
        facts: RecordedFacts::default(),
        call: None,
    }
}

#[test]
fn a_record_is_read_for_replaying_as_it_is_read_as_a_whole() {
    for record in [full(Boundary::Request), full(Boundary::Tool), empty()] {
        let block = blocks(&[Prepared::of(&record).unwrap()]).unwrap().remove(0);
        let body = Body::open(block.boundary, &block.body).unwrap();
        let entry = body.entries().next().unwrap().unwrap();
        let whole = entry.record().unwrap();
        assert_eq!(whole, record);
        let mut seen = false;
        entry
            .see(&mut Vec::new(), |past| {
                // Debug shows every member.
                assert_eq!(format!("{past:?}"), format!("{:?}", Past::from(&whole)));
                seen = true;
            })
            .unwrap();
        assert!(seen);
    }
}

#[test]
fn a_record_that_is_cut_anywhere_is_an_error_and_never_a_panic() {
    let record = Prepared::of(&empty()).unwrap();
    for length in 0..record.record.len() {
        let entry = super::super::Entry {
            id: record.id,
            subject: 0,
            boundary: Boundary::Request,
            record: &record.record[..length],
        };
        assert!(entry.see(&mut Vec::new(), |_| ()).is_err(), "cut at {length}");
    }
}
