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
    DecisionPoint { rules: loaded.rules, delays: QuarantineDelays::default() }
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
    let error = read(&Line::TooLong).unwrap_err();
    assert!(error.0.is_none() && error.1.message.contains("67108864 bytes"), "{error:?}");
}
