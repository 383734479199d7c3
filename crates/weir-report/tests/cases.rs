//! The cases of area B about redaction and the last guard; and that no text of a provider is taken for a secret that
//! is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use weir_core::redact::redact;
use weir_report::guard::drops;
use weir_testkit::cases;

#[test]
fn the_cases_of_the_guard_hold() {
    let cases: Vec<_> =
        cases::area("B").into_iter().filter(|case| case.given["layer"] == "presend").collect();
    assert!(cases.len() >= 4);
    for case in cases {
        let tags = case.given["tags"].as_object().unwrap();
        let tags =
            tags.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let text = case.given["message"].as_str().unwrap_or_default();
        assert_eq!(drops(&tags, text), case.expect["dropped"], "{} {}", case.id, case.name);
    }
}

#[test]
fn the_cases_of_redaction_hold() {
    let cases: Vec<_> =
        cases::area("B").into_iter().filter(|case| case.name.starts_with("redact ")).collect();
    assert!(cases.len() >= 5);
    for case in cases {
        assert_eq!(
            redact(case.given["text"].as_str().unwrap()),
            case.expect["out"].as_str().unwrap(),
            "{}",
            case.id
        );
    }
}

/// What real providers said: people have taken the secrets out of these texts, and nothing else looks like one.
#[test]
fn what_providers_say_is_left_as_it_is() {
    let failures = cases::failures();
    assert!(failures.len() >= 100, "only {} texts were read", failures.len());
    for body in failures.iter().filter_map(|failure| failure["body"].as_str()) {
        assert_eq!(redact(body), body);
    }
}
