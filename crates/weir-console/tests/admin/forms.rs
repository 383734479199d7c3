//! Forms that are sent otherwise than a page of the console sends them: nothing is done, and nothing that was typed is lost.

use serde_json::json;

use crate::browser::{Browser, ORIGIN, encoded, hidden};
use crate::plane::{ADMIN, Answer, Plane};

const RULE: &str = "id: typed\non: request\nwhen: request.free\nthen: log\n";

/// Sends a form's body as it stands, with the session's token behind it.
async fn raw(browser: &mut Browser<'_>, path: &str, body: &str) -> Answer {
    let body = format!("{body}&{}", encoded(&[("csrf", &browser.csrf.clone())]));
    let headers = [("origin", ORIGIN), ("content-type", "application/x-www-form-urlencoded")];
    browser.call("POST", path, &headers, body).await
}

#[tokio::test]
async fn an_editor_without_a_button_does_nothing_and_keeps_the_text() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let odd: [(&[(&str, &str)], &str); 4] = [
        (&[("text", RULE)], "it is missing"),
        (&[("text", RULE), ("do", "")], "it is missing"),
        (&[("text", RULE), ("do", "off")], "is none of the buttons"),
        (&[("text", RULE), ("do", "<b>")], "is none of the buttons"),
    ];
    for (pairs, said) in odd {
        let answer = browser.form("/rules/new", pairs).await;
        let text = answer.text();
        assert_eq!(answer.status, 400, "{pairs:?}: {text}");
        assert!(text.contains("which button was pressed") && text.contains(said), "{pairs:?}: {text}");
        assert!(text.contains("id: typed\non: request") && !text.contains("<b>"), "{pairs:?}: {text}");
    }
    let rules = plane.get("/api/rules").await.ok();
    assert!(!rules.to_string().contains("typed"), "nothing was saved: {rules}");
    let checked = browser.form("/rules/new", &[("text", RULE), ("do", "check")]).await;
    assert!(checked.status == 200 && checked.text().contains("no mistakes found"), "{}", checked.text());
    let saved = browser.form("/rules/new", &[("text", RULE), ("do", "shadow")]).await;
    assert_eq!(browser.page_after(&saved), "/rules/typed");
}

#[tokio::test]
async fn a_form_that_is_too_large_is_shown_again_to_be_shortened() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let long = format!("{RULE}# {}\n# the end & <all>\n", "a".repeat(4 << 20));
    let answer = browser.form("/rules/new", &[("text", &long), ("do", "shadow")]).await;
    let text = answer.text();
    assert_eq!(answer.status, 413);
    assert!(
        text.contains("larger than 4 MiB") && text.contains("action=\"/rules/new\""),
        "{}",
        text.chars().take(3_000).collect::<String>()
    );
    assert!(
        text.contains("id: typed\non: request") && text.contains("# the end &amp; &lt;all&gt;\n</textarea>")
    );
    assert!(!text.contains("readonly"), "it can be mended");
    // What the page sends, shortened.
    let button = hidden(&text, "do").unwrap();
    browser.csrf = hidden(&text, "csrf").unwrap();
    let saved = browser.form("/rules/new", &[("text", RULE), ("do", &button)]).await;
    assert_eq!(browser.page_after(&saved), "/rules/typed");
    // What is not read at all can come back from the browser alone; a program is told the same.
    let answer = browser.form("/rules/new", &[("text", &"a".repeat(17 << 20))]).await;
    assert!(answer.status == 413 && answer.text().contains("larger than 4 MiB"), "{}", answer.text());
    let authorization = format!("Bearer {ADMIN}");
    let headers =
        [("authorization", authorization.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let answer = plane.call_with("POST", "/rules/new", &headers, encoded(&[("text", &long)])).await;
    answer.problem(413);
}

#[tokio::test]
async fn a_form_that_says_two_things_or_no_text_is_not_taken() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let many = (0..150).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
    let odd = [
        ("user=ada&user=eve&plan=pro", "is given twice", "<pre>eve</pre>"),
        ("user=ada&plan=pro&us%65r=eve", "is given twice", "<pre>eve</pre>"),
        ("user=ad%ff&plan=pro", "what is in it is no UTF-8", "value=\"ad\u{fffd}\""),
        ("user=ada&plan=pro&pl%c3=x", "what is in it is no UTF-8", "value=\"ada\""),
        (&format!("user=ada&plan=pro&{many}"), "there are more than 100 fields", "value=\"ada\""),
    ];
    let authorization = format!("Bearer {ADMIN}");
    let program =
        [("authorization", authorization.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    for (body, said, kept) in odd {
        let answer = raw(&mut browser, "/keys", body).await;
        let text = answer.text();
        assert_eq!(answer.status, 400, "{body}: {text}");
        for part in [said, kept, "value=\"pro\"", "action=\"/keys\""] {
            assert!(text.contains(part), "`{part}` of {body}: {text}");
        }
        plane.call_with("POST", "/keys", &program, body.to_owned()).await.problem(400);
    }
    assert_eq!(plane.get("/api/keys").await.ok()["items"].as_array().unwrap().len(), 1, "none was made");
    assert!(plane.audited().await.iter().all(|action| action != "key.create"));
    // What is shown is sent once more.
    let made = raw(&mut browser, "/keys", "user=ada&plan=pro").await;
    assert!(browser.page_after(&made).ends_with("/made"));
    let keys = plane.get("/api/keys").await.ok();
    assert!(keys["items"].as_array().unwrap().iter().any(|key| key["user"] == json!("ada")), "{keys}");
}
