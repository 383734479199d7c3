use std::time::Duration;

use weir_core::clock::Sleep;

use super::*;

/// A time of day that stands still.
struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

fn point(rules: &str) -> DecisionPoint {
    let file = weir_rules::SourceFile { name: "r.yaml".into(), text: rules.into() };
    let now = "2026-11-20T10:00:00Z".parse().unwrap();
    let loaded = weir_rules::load(&[file], &weir_rules::LoadOptions { now }).unwrap();
    DecisionPoint {
        on: On::Request,
        house: Vec::new(),
        rules: loaded.rules,
        delays: QuarantineDelays::default(),
        tools: ToolWorld::new(crate::settings::load(None).unwrap().config.tools),
    }
}

fn answer(point: &DecisionPoint, input: &str) -> (Verdict, Vec<Json>) {
    let mut output = Vec::new();
    let clock = Fixed("2026-11-20T10:00:00Z".parse().unwrap());
    let verdict = point.answer(input.as_bytes(), &mut output, &clock).unwrap();
    let lines = String::from_utf8(output).unwrap();
    (verdict, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn the_time_is_that_of_the_run_unless_the_facts_give_one() {
    let point = point("rules: [{id: ten, on: request, when: now.getHours() == 10, then: log}]\n");
    let (verdict, lines) = answer(&point, "{}\n{\"now\": \"2026-11-20T11:00:00Z\"}\n");
    assert_eq!(verdict, Verdict::Good);
    assert_eq!((&lines[0]["outcome"], &lines[1]["outcome"]), (&"log".into(), &"nothing".into()));
}

#[test]
fn an_id_is_echoed_or_counted() {
    let point = point("rules: []\n");
    let (_, lines) = answer(&point, "{\"id\": \"x\"}\n{\"id\": 5}\n{\"id\": null}\n{}\n{\"id\": \"\"}");
    let ids: Vec<&Json> = lines.iter().map(|line| &line["id"]).collect();
    assert_eq!(serde_json::to_string(&ids).unwrap(), r#"["x",5,"3","4",""]"#);
}

#[test]
fn one_bad_line_is_a_bad_input_and_no_line_is_none() {
    let point = point("rules: []\n");
    let table = [("", Verdict::Good, 0), ("{}", Verdict::Good, 1), ("{}\nx\n{}\n", Verdict::BadInput, 3)];
    for (input, verdict, lines) in table {
        let answered = answer(&point, input);
        assert_eq!((answered.0, answered.1.len()), (verdict, lines), "{input}");
    }
}

#[test]
fn a_line_that_is_too_long_is_answered_in_its_place() {
    let error = point("rules: []\n").read(&Line::TooLong, Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(error.0.is_none() && error.1.message.contains("64 MiB"), "{error:?}");
}

#[test]
fn a_member_that_stands_twice_is_refused_with_its_path() {
    let point = point("rules: [{id: r, on: request, when: request.model == \"b\", then: block}]\n");
    let input = "{\"id\": \"x\", \"request\": {\"model\": \"a\", \"model\": \"b\"}}\n\
        {\"request\": {}, \"request\": {\"model\": \"b\"}}\n\
        {\"id\": 1, \"id\": 2}\n\
        {\"request\": {\"headers\": {\"x-a\": \"1\", \"x-a\": \"2\"}}}\n\
        {\"request\": {\"model\": \"b\"}}\n";
    let (verdict, lines) = answer(&point, input);
    assert_eq!(verdict, Verdict::BadInput);
    let told: Vec<_> = lines.iter().map(|line| (&line["id"], &line["error"]["path"])).collect();
    let expected = [("x", "request.model"), ("2", "request"), ("3", "id"), ("4", "request.headers.x-a")];
    for (at, (id, path)) in expected.into_iter().enumerate() {
        assert_eq!(told[at], (&id.into(), &path.into()), "{lines:?}");
    }
    assert_eq!(lines[4]["outcome"], "block", "the others go on");
}

fn failure_point(rules: &str, house: &[&str]) -> DecisionPoint {
    let house = house.iter().map(|name| (*name).to_owned()).collect();
    DecisionPoint { on: On::Failure, house, ..point(rules) }
}

#[test]
fn a_failure_has_exactly_the_members_of_the_contract() {
    let input = r#"{"id": "a", "provider": "p", "operation": "chat", "model": "m", "status": 429,
        "headers": {"retry-after": "Fri, 20 Nov 2026 10:00:07 GMT"}, "body": "x", "transport": "http"}"#;
    let (verdict, lines) = answer(&failure_point("rules: []\n", &[]), &input.replace('\n', " "));
    assert_eq!(verdict, Verdict::Good);
    let expected = serde_json::json!({
        "id": "a", "class": "rate_limited", "owner": "provider", "retry": "same", "report": "log", "rule": "status-429",
        "because": "HTTP 429 with nothing that says more.", "instead": null, "retry_after_s": 7.0,
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn the_operators_rules_are_asked_before_the_pack() {
    let point = failure_point(
        "rules: [{id: mine, on: failure, when: failure.status == 429, then: {class: quota_exhausted}}]\n",
        &[],
    );
    let (_, lines) = answer(&point, "{\"status\": 429}\n{\"status\": 401}\n");
    let rules: Vec<&Json> = lines.iter().map(|line| &line["rule"]).collect();
    assert_eq!(rules, ["mine", "status-401"]);
}

#[test]
fn a_provider_of_the_house_is_known_by_its_name_also_in_a_wrapped_text() {
    let point = failure_point("rules: []\n", &["OpenHuman"]);
    let input = "{\"provider\": \"OpenHuman\", \"status\": 401}\n\
        {\"transport\": \"wrapped\", \"body\": \"OpenHuman API error (401 Unauthorized): x\"}\n\
        {\"provider\": \"other\", \"status\": 401}\n\
        {\"provider\": \"OpenHuman\", \"status\": 401, \"failure\": {\"house\": false}}\n";
    let (_, lines) = answer(&point, input);
    let rules: Vec<&Json> = lines.iter().map(|line| &line["rule"]).collect();
    assert_eq!(rules, ["house-session", "house-session", "status-401", "status-401"]);
}

#[test]
fn a_failure_that_is_wrong_is_answered_in_its_place() {
    let input =
        "{\"id\": 1, \"status\": \"x\"}\n{\"request\": {\"model\": \"m\"}, \"status\": 0}\n{\"tool\": {}}\n";
    let (verdict, lines) = answer(&failure_point("rules: []\n", &[]), input);
    assert_eq!(verdict, Verdict::BadInput);
    assert_eq!(lines[0]["error"]["path"], "status");
    assert_eq!(lines[1]["class"], "unknown");
    assert_eq!(lines[2]["error"]["path"], "tool");
}
