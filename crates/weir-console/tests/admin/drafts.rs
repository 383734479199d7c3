//! One rule as an editor has it: read, checked, saved with a mode, and not over what somebody else has saved.

use serde_json::json;
use weir_console::rulebook::Saved;
use weir_core::Mode;

use crate::plane::Plane;

const SET: &str = "# the set
rules:
  # about anna
  - id: a
    on: request
    when: >
      request.model == \"é🕷\" ||
      request.stream
    then: log   # why
  - {id: b, on: request, when: 'true', then: nothing, mode: shadow}
";

async fn with_set() -> Plane {
    let plane = Plane::start().await;
    assert_eq!(plane.call("PUT", "/api/rules", SET).await.status, 200);
    plane
}

#[tokio::test]
async fn the_text_of_a_rule_keeps_its_comments_and_is_in_block_style() {
    let plane = with_set().await;
    let book = &plane.parts.rulebook;
    let a = book.text_of("a").await.unwrap().text;
    assert_eq!(
        a,
        "# about anna\nid: a\non: request\nwhen: >\n  request.model == \"é🕷\" ||\n  request.stream\nthen: log   # why\n"
    );
    let b = book.text_of("b").await.unwrap().text;
    assert!(b.starts_with("id: b\n") && b.contains("\nmode: shadow"), "{b}");
    assert!(book.text_of("c").await.is_err());
}

#[tokio::test]
async fn a_mode_is_changed_and_nothing_else() {
    let table = [
        // Text, mode, what is saved.
        (
            "id: x\non: request\nwhen: 'true'\nthen: log\n",
            Mode::Shadow,
            "id: x\non: request\nmode: shadow\nwhen: 'true'\nthen: log\n",
        ),
        (
            "id: x\nmode: off # for now\non: request\nwhen: 'true'\nthen: log\n",
            Mode::Shadow,
            "id: x\nmode: shadow\non: request\nwhen: 'true'\nthen: log\n",
        ),
        (
            "id: x\nmode: off\non: request\nwhen: 'true'\nthen: log\n",
            Mode::Enforce,
            "id: x\non: request\nwhen: 'true'\nthen: log\n",
        ),
        // What cannot be edited line by line is written anew.
        (
            "{id: x, on: request, when: 'true', then: log}",
            Mode::Off,
            "id: x\non: request\nwhen: 'true'\nthen: log\nmode: off\n",
        ),
    ];
    for (text, mode, expected) in table {
        let plane = Plane::start().await;
        let book = &plane.parts.rulebook;
        assert!(matches!(book.save(text, Some(mode), None, "ada").await, Ok(Saved::Done(_))), "{text}");
        let saved =
            book.text_of("x").await.unwrap().text.replace("'true'", "true").replace("\"true\"", "true");
        assert_eq!(saved, expected.replace("'true'", "true"), "{text}");
        let rule = plane.get("/api/rules/x").await.ok();
        assert_eq!(rule.get("mode").and_then(|mode| mode.as_str()).unwrap_or("enforce"), mode.as_str());
    }
}

#[tokio::test]
async fn what_somebody_else_has_saved_is_not_overwritten() {
    let plane = with_set().await;
    let book = &plane.parts.rulebook;
    let (mine, theirs) =
        (book.text_of("a").await.unwrap(), "id: a\non: request\nwhen: 'true'\nthen: block\n");
    // A change of another rule does not matter.
    let other = book.text_of("b").await.unwrap();
    let saved = book.save(&other.text, Some(Mode::Enforce), Some(("b", &other.version)), "bob").await;
    assert!(matches!(saved, Ok(Saved::Done(_))));
    let saved = book.save(theirs, None, Some(("a", &mine.version)), "bob").await;
    assert!(matches!(saved, Ok(Saved::Done(_))));
    match book.save(&mine.text, None, Some(("a", &mine.version)), "ada").await {
        Ok(Saved::Overtaken(Some(now))) => assert_eq!(now.text, theirs),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(book.save(theirs, None, None, "ada").await, Ok(Saved::Overtaken(Some(_)))),
        "it is not new"
    );
    book.delete("a", "bob", None).await.unwrap();
    let saved = book.save(&mine.text, None, Some(("a", &mine.version)), "ada").await;
    assert!(matches!(saved, Ok(Saved::Overtaken(None))));
    // Who has seen that it is gone sends no version.
    let text = format!("# kept\n{theirs}");
    let saved = book.save(&text, None, Some(("a", "")), "ada").await;
    let Ok(Saved::Done(first)) = saved else { panic!("{saved:?}") };
    let now = book.text_of("a").await.unwrap();
    assert_eq!(now.text, text);
    let saved = book.save(&now.text, None, Some(("a", &now.version)), "ada").await;
    let Ok(Saved::Done(again)) = saved else { panic!("{saved:?}") };
    assert_eq!((again.epoch, book.text_of("a").await.unwrap().text), (first.epoch, text));
}

#[tokio::test]
async fn a_draft_has_its_mistakes_at_their_places_and_its_examples_tried() {
    let plane = with_set().await;
    let check = async |text: &str| plane.call("POST", "/api/rules/draft", text.to_owned()).await.ok();
    let wrong = "id: x\non: request\nwhen: 'request.model == \"é🕷\" || request.modell == \"\"'\nthen: log\n";
    let found = check(wrong).await;
    let diagnostic = &found["diagnostics"][0];
    // At the member that is unknown, in characters: bytes and UTF-16 units would give others.
    assert_eq!((&diagnostic["line"], &diagnostic["column"]), (&json!(3), &json!(41)), "{found}");
    let tried = "id: x\non: request\nwhen: request.stream\nthen: log\nmatch:\n  - {request: {stream: true}}\n  - {request: {stream: false}}\n";
    let examples = check(tried).await["examples"].clone();
    assert_eq!((&examples[0]["holds"], &examples[1]["holds"]), (&json!(true), &json!(false)), "{examples}");
    let broken = tried.replace("request.stream\n", "request.streem\n");
    assert_eq!(check(&broken).await["examples"][0]["holds"], json!(null));
    // An id that is taken is told by the save, two rules by the check.
    assert!(check("- id: x\n- id: y\n").await["diagnostics"][0]["message"].is_string());
}

#[tokio::test]
async fn words_come_with_their_types_and_what_they_mean() {
    let words = Plane::start().await.get("/api/rules/vocabulary").await.ok();
    let fact =
        words["facts"].as_array().unwrap().iter().find(|fact| fact["name"] == "request.model").unwrap();
    assert_eq!((&fact["type"], &fact["on"]), (&json!("string"), &json!(["request", "failure"])));
    assert!(
        words["functions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["name"] == "contains" && f["is_method"] == true)
    );
}
