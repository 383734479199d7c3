//! Panics of weir's own, as Sentry and the log see them. A program of its own: the hook is the process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that fails should panic"
)]

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use weir_core::secret::Secret;
use weir_report::{DemotionLevel, ReportOptions, Reporter};
use weir_testkit::{FakeSentry, LogCapture, ManualClock};

const SECRET: &str = "the canary's prompt";

#[tokio::test]
async fn a_panic_is_told_of_once_in_a_window_and_without_what_it_was_about() {
    let log = LogCapture::thread();
    let (sentry, clock) = (FakeSentry::start().await, ManualClock::at_ten());
    let options = ReportOptions {
        sentry_dsn: Some(Secret::from(sentry.dsn())),
        release: "weir@0.0.0".to_owned(),
        environment: None,
        window: Duration::from_secs(60),
        level: DemotionLevel::Info,
    };
    let reporter = Reporter::start(options, Arc::new(clock.clone())).unwrap();
    std::panic::set_hook(Box::new(reporter.panic_hook()));
    let formatted = || catch_unwind(|| panic!("no such thing: {SECRET} {}", SECRET.len())).unwrap_err();
    let literal = || catch_unwind(|| panic!("a literal says what went wrong")).unwrap_err();
    for _ in 0..3 {
        formatted();
        literal();
    }
    sentry.wait_for_events(2).await;
    clock.advance(Duration::from_millis(61_000));
    formatted();
    sentry.wait_for_events(3).await;
    drop(std::panic::take_hook());
    assert!(reporter.shutdown(Duration::from_secs(20)).await);
    let events = sentry.events();
    assert_eq!(events.len(), 3, "{events:#?}");
    for event in &events {
        assert_eq!(
            (&event["tags"]["domain"], &event["tags"]["weir.report"]),
            (&"weir".into(), &"defect".into())
        );
        assert!(event["message"].as_str().unwrap().contains("tests/defects.rs:"), "{event}");
    }
    assert_ne!(events[0]["fingerprint"], events[1]["fingerprint"]);
    assert_eq!(events[0]["fingerprint"], events[2]["fingerprint"]);
    assert!(events[1]["message"].as_str().unwrap().ends_with("a literal says what went wrong"));
    let text = format!("{events:?} {}", log.text());
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(log.text().matches("a defect of weir's own").count(), 7, "each is a line of the log");
}
