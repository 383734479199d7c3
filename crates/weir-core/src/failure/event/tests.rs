use super::*;

fn failed() -> Failed {
    Failed {
        at: Timestamp::UNIX_EPOCH,
        decision: DecisionId::new(Timestamp::UNIX_EPOCH, [7; 10]),
        request_id: "req-1".to_owned(),
        subject: "user:u1".to_owned(),
        class: Class::AuthInvalid,
        owner: Owner::Operator,
        retry: Retry::Failover,
        report: Report::Page,
        rule: Some("auth-status-401".to_owned()),
        because: None,
        provider: "openai".to_owned(),
        operation: "chat_completions".to_owned(),
        model: "gpt-4o".to_owned(),
        status: 401,
        http_status: 401,
        phase: "body",
        transport: "",
        code: "invalid_api_key".to_owned(),
        kind: "invalid_request_error".to_owned(),
        message: "Incorrect API key provided: sk-abc123DEF456".to_owned(),
        credential: CredentialOwner::Platform,
        attempt: 1,
        attempts: 2,
        house: false,
        causes: vec!["outer".to_owned(), "https://u:hunter22@host/".to_owned()],
    }
}

#[test]
fn an_event_holds_no_secret_and_no_endless_text() {
    let secret = "sk-abc123DEF456";
    let raw = Failed {
        code: secret.to_owned(),
        model: format!("{} {secret}", "m".repeat(5000)),
        causes: vec!["x".repeat(5000); 100],
        ..failed()
    };
    let event = FailureEvent::new(raw);
    let json = serde_json::to_string(&event).unwrap();
    assert!(!json.contains(secret), "{json}");
    assert!(json.len() < 25_000, "{}", json.len());
    assert_eq!(event.causes.len(), CAUSES_MAX);
}

#[test]
fn the_chain_has_all_causes() {
    let event = FailureEvent::new(failed());
    let expected =
        "openai API error (401): Incorrect API key provided: [REDACTED] | outer | https://[REDACTED]@host/";
    assert_eq!(event.chain(), expected);
    let bare =
        FailureEvent::new(Failed { message: String::new(), causes: Vec::new(), status: 0, ..failed() });
    assert_eq!(bare.chain(), "openai API error");
}

#[test]
fn only_the_house_s_own_401_and_403_are_the_session_s() {
    let table = [
        (true, 401, Report::Log, true),
        (true, 403, Report::Log, true),
        (true, 403, Report::Page, false),
        (true, 500, Report::Log, false),
        (false, 401, Report::Log, false),
    ];
    for (house, status, report, expected) in table {
        let event = FailureEvent::new(Failed { house, status, report, ..failed() });
        assert_eq!(event.is_session_expired(), expected, "{house} {status} {report:?}");
    }
}

#[test]
fn an_exhausted_request_has_attempts() {
    assert_eq!(AllExhausted::new("m", Class::Unknown, Vec::new()), None);
    let attempts = vec![FailureEvent::new(failed()); 100];
    let exhausted = AllExhausted::new("m sk-abc123DEF456", Class::AuthInvalid, attempts).unwrap();
    assert_eq!((exhausted.model(), exhausted.attempts().len()), ("m [REDACTED]", ATTEMPTS_MAX));
}
