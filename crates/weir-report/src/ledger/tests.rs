use weir_core::DecisionId;
use weir_core::failure::{CredentialOwner, Failed, Retry};

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn start() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    start() + jiff::SignedDuration::from_secs(seconds)
}

/// A failure of this class by its own row, at this second, of this user.
fn failed(class: Class, provider: &str, second: i64, user: usize) -> FailureEvent {
    let owner = class.owner();
    FailureEvent::new(Failed {
        at: at(second),
        decision: DecisionId::new(start(), [7; 10]),
        request_id: "req-1".to_owned(),
        subject: format!("user:u{user}"),
        class,
        owner,
        retry: Retry::Failover,
        report: if owner == Owner::Operator { Report::Page } else { Report::Log },
        rule: None,
        because: None,
        provider: provider.to_owned(),
        operation: "chat_completions".to_owned(),
        model: "m".to_owned(),
        status: 401,
        http_status: 401,
        phase: "body",
        transport: "",
        code: String::new(),
        kind: String::new(),
        message: "no".to_owned(),
        credential: CredentialOwner::Platform,
        attempt: 1,
        attempts: 1,
        house: false,
        causes: Vec::new(),
    })
}

fn exhausted(attempts: &[(Class, &str)], second: i64, user: usize) -> AllExhausted {
    let events = attempts.iter().map(|(class, provider)| failed(*class, provider, second, user)).collect();
    AllExhausted::new("m", attempts[0].0, events).unwrap()
}

fn kinds(told: &[Notice]) -> Vec<&'static str> {
    told.iter().map(Notice::kind).collect()
}

#[test]
fn a_page_is_told_at_once_and_what_follows_in_one_summary_for_each_window() {
    let mut ledger = Ledger::new(WINDOW);
    assert!(matches!(ledger.failed(&failed(Class::AuthInvalid, "a", 0, 0)), Verdict::Tell(_)));
    for second in 1..60 {
        assert_eq!(
            ledger.failed(&failed(Class::AuthInvalid, "a", second, second as usize % 7)),
            Verdict::Folded
        );
    }
    assert_eq!(ledger.next_end(), Some(at(60)));
    assert_eq!(ledger.turn(at(59)), []);
    let told = ledger.turn(at(60));
    let [Notice::Summary(tally)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((tally.count, tally.identities.number, tally.window), (60, 7, WINDOW));
    // It goes on for one failure more: no page, one summary; then it is quiet, and the next is a page again.
    assert_eq!(ledger.failed(&failed(Class::AuthInvalid, "a", 61, 1)), Verdict::Folded);
    assert_eq!(kinds(&ledger.turn(at(120))), ["summary"]);
    assert_eq!(ledger.turn(at(180)), []);
    assert!(matches!(ledger.failed(&failed(Class::AuthInvalid, "a", 181, 1)), Verdict::Tell(_)));
}

#[test]
fn one_page_alone_has_no_summary() {
    let mut ledger = Ledger::new(WINDOW);
    ledger.failed(&failed(Class::AuthInvalid, "a", 0, 0));
    assert_eq!(ledger.turn(at(60)), []);
    assert_eq!((ledger.windows(), ledger.next_end()), (0, None));
}

#[test]
fn another_class_provider_or_owner_is_another_page() {
    let mut ledger = Ledger::new(WINDOW);
    let operator = failed(Class::AuthInvalid, "a", 0, 0);
    let events = [
        operator.clone(),
        failed(Class::QuotaExhausted, "a", 0, 0),
        failed(Class::AuthInvalid, "b", 0, 0),
        FailureEvent::new(Failed { owner: Owner::Provider, ..(*operator).clone() }),
    ];
    for event in &events {
        assert!(matches!(ledger.failed(event), Verdict::Tell(_)), "{event:?}");
    }
    assert_eq!(ledger.failed(&operator), Verdict::Folded);
}

#[test]
fn a_surge_is_one_event_and_needs_many_identities() {
    for (identities, class, expected) in [
        (SURGE_IDENTITIES_MIN, Class::RateLimited, vec!["surge"]),
        (SURGE_IDENTITIES_MIN - 1, Class::RateLimited, vec![]),
        (340, Class::InvalidRequest, vec!["surge"]),
        (1, Class::RateLimited, vec![]),
    ] {
        let mut ledger = Ledger::new(WINDOW);
        for n in 0..8000 {
            assert_eq!(ledger.failed(&failed(class, "a", n as i64 % 60, n % identities)), Verdict::Expected);
        }
        let told = ledger.turn(at(60));
        assert_eq!(kinds(&told), expected, "{identities} {class}");
        if let [Notice::Surge(tally)] = told.as_slice() {
            assert_eq!((tally.count, tally.identities.number), (8000, identities));
            assert!(told[0].message().contains(&format!("for {identities} identities in 60 s")), "{told:?}");
        }
        assert_eq!(ledger.windows(), 0);
    }
}

#[test]
fn an_outage_is_told_once_in_a_window_and_is_no_surge_besides() {
    let mut ledger = Ledger::new(WINDOW);
    let mut told = Vec::new();
    let mut enter = |ledger: &mut Ledger, second: i64, user: usize| {
        let request = exhausted(&[(Class::Overloaded, "a"), (Class::Timeout, "b")], second, user);
        for event in request.attempts() {
            assert_eq!(ledger.failed(event), Verdict::Expected);
        }
        if let Verdict::Tell(notice) = ledger.all_exhausted(&request) {
            told.push(*notice);
        }
    };
    for user in 0..600 {
        enter(&mut ledger, user as i64 / 10, user);
    }
    let surges = ledger.turn(at(60));
    assert_eq!(surges, []);
    enter(&mut ledger, 61, 1);
    assert_eq!(kinds(&told), ["all_exhausted"; 2]);
    let Notice::Exhausted(second) = &told[1] else { panic!() };
    assert_eq!(second.providers, ["a", "b"]);
    assert_eq!(second.before, Some((600, Distinct { number: 600, more: false })));
    assert_eq!(ledger.turn(at(61 + 120)), []);
    assert_eq!(ledger.windows(), 0);
}

#[test]
fn what_makes_an_outage() {
    use Class::{AuthInvalid, ContentPolicy, Overloaded, RateLimited, Timeout};
    type Attempts = &'static [(Class, &'static str)];
    let table: &[(Attempts, &[&str])] = &[
        (&[(Overloaded, "a")], &["a"]),
        (&[(RateLimited, "a")], &[]),
        (&[(RateLimited, "a"), (ContentPolicy, "b")], &[]),
        (&[(RateLimited, "a"), (Timeout, "b")], &["b"]),
        // What was paged is not told again; the fault of another provider is.
        (&[(AuthInvalid, "a"), (RateLimited, "b")], &[]),
        (&[(AuthInvalid, "a")], &[]),
        (&[(AuthInvalid, "a"), (Overloaded, "b")], &["b"]),
    ];
    for (attempts, expected) in table {
        let verdict = Ledger::new(WINDOW).all_exhausted(&exhausted(attempts, 0, 0));
        let providers = match verdict {
            Verdict::Tell(notice) => match *notice {
                Notice::Exhausted(told) => told.providers,
                other => panic!("{other:?}"),
            },
            _ => Vec::new(),
        };
        assert_eq!(providers, *expected, "{attempts:?}");
    }
}

#[test]
fn fewer_providers_of_a_known_outage_are_no_news_and_more_are() {
    let mut ledger = Ledger::new(WINDOW);
    let mut told = |attempts: &[(Class, &str)]| {
        matches!(ledger.all_exhausted(&exhausted(attempts, 0, 0)), Verdict::Tell(_))
    };
    assert!(told(&[(Class::Overloaded, "a"), (Class::Overloaded, "b")]));
    assert!(!told(&[(Class::Timeout, "b")]));
    assert!(told(&[(Class::Timeout, "b"), (Class::Timeout, "c")]));
}

#[test]
fn what_no_rule_wants_to_know_is_only_counted() {
    let mut ledger = Ledger::new(WINDOW);
    for user in 0..1000 {
        let event = failed(Class::InvalidRequest, "a", 0, user);
        let event = FailureEvent::new(Failed { report: Report::None, ..(*event).clone() });
        assert_eq!(ledger.failed(&event), Verdict::Expected);
    }
    assert_eq!(ledger.turn(at(600)), []);
}

#[test]
fn windows_and_identities_are_bounded_and_nothing_is_silenced() {
    let mut ledger = Ledger::new(WINDOW);
    let mut told = 0;
    for provider in 0..3000 {
        let event = failed(Class::AuthInvalid, &format!("p{provider}"), 0, provider);
        told += usize::from(matches!(ledger.failed(&event), Verdict::Tell(_)));
        ledger.all_exhausted(&exhausted(&[(Class::Timeout, &format!("p{provider}"))], 0, 0));
    }
    assert_eq!(told, WINDOWS_MAX + 1);
    assert!(ledger.windows() <= 2 * WINDOWS_MAX + 2);
    // Those beyond are in the summary of what has no name.
    let told = ledger.turn(at(60));
    let [Notice::Summary(tally)] = told.as_slice() else { panic!("{}", told.len()) };
    assert_eq!(tally.count, 3000 - WINDOWS_MAX as u64);
    let mut ledger = Ledger::new(WINDOW);
    for user in 0..12_000 {
        ledger.failed(&failed(Class::RateLimited, "a", 0, user));
    }
    let told = ledger.turn(at(60));
    assert!(told[0].message().contains("for more than 10000 identities"), "{}", told[0].message());
}

#[test]
fn at_the_end_of_the_process_everything_is_told() {
    let mut ledger = Ledger::new(WINDOW);
    for user in 0..100 {
        ledger.failed(&failed(Class::AuthInvalid, "a", 0, user));
        ledger.failed(&failed(Class::RateLimited, "a", 0, user));
    }
    assert_eq!(kinds(&ledger.finish(at(1))), ["summary", "surge"]);
    assert_eq!(ledger.finish(at(2)), []);
}
