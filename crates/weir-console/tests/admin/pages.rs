//! The pages: what they show on an empty and on a filled store, and that data never becomes markup.

use std::time::Duration;

use serde_json::json;
use weir_store::database::{NewApproval, Question};

use crate::browser::{Browser, hidden};
use crate::plane::{ADMIN, Answer, CONFIGURED_KEY, Plane};

const PAGES: [&str; 9] = [
    "/",
    "/?range=7d",
    "/decisions",
    "/decisions?outcome=block&where=user_agent~script&since=24h",
    "/identities",
    "/identities/user%3Aada",
    "/approvals",
    "/keys",
    "/audit",
];

const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

const RULES: &str = "
rules:
  - {id: evil-agents, on: request, when: 'request.user_agent.contains(\"<script>\")', then: block,
     because: '<script>alert(1)</script>', instead: '<img src=x onerror=alert(2)>'}
  - {id: ads, on: request, when: 'identity.user_id == \"ada\"', then: log}
";

/// What holds for every page, whatever it shows.
#[track_caller]
fn is_safe(path: &str, answer: &Answer) {
    let page = answer.text();
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{path}: {policy}"
    );
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
    assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        assert!(
            !tag.starts_with("script") || tag.contains("src=\"/assets/"),
            "{path}: inline script <{tag}>"
        );
        assert!(!tag.starts_with("style"), "{path}: inline style");
        // What stands in quotes is a value, and a quote within is escaped.
        let tag: String = tag.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
        assert!(!tag.contains(" style=\""), "{path}: <{tag}>");
        assert!(
            !tag.contains(" onerror") && !tag.contains(" onclick") && !tag.contains("javascript:"),
            "{path}: <{tag}>"
        );
        assert!(!tag.starts_with("img"), "{path}: <{tag}>");
    }
}

async fn fill(plane: &Plane) -> String {
    plane.rules(RULES).await;
    for (user, agent) in [("ada", "curl/8"), (EVIL, EVIL), ("bob", EVIL)] {
        plane
            .json(
                "POST",
                "/api/classify",
                json!({"kilo_user_id": user, "user_agent": agent, "requested_model": EVIL}),
            )
            .await
            .ok();
    }
    plane
        .json("POST", "/api/keys", json!({"user": EVIL, "org": EVIL, "plan": "pro", "tags": ["<b>t</b>"]}))
        .await
        .ok();
    plane.json("PUT", "/api/identities/user:ada/tags", json!({"tags": ["<i>x</i>"]})).await.ok();
    approval(plane, "apr_1").await;
    plane.parts.recorder.flush().await.unwrap();
    let page = plane.get("/api/decisions?outcome=block&limit=1").await.ok();
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

pub async fn approval(plane: &Plane, id: &str) {
    let now = plane.clock.now();
    let question = Question {
        tool: "<b>rm</b>".into(),
        digest: id.into(),
        reason: EVIL.into(),
        args: vec![EVIL.into()],
        rule: Some("ads".into()),
        session: "s".into(),
        ..Question::default()
    };
    let expires_at = now + Duration::from_secs(600);
    let caller = "user:ada".to_owned();
    let new = NewApproval { id: id.to_owned(), caller, question, expires_at, of_session: false };
    plane.parts.database.approval_ask(&new, now).await.unwrap();
}

#[tokio::test]
async fn every_page_answers_on_an_empty_store_and_says_what_to_do() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    for path in PAGES {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        is_safe(path, &answer);
        assert!(answer.text().contains("<a class=\"skip\" href=\"#main\">"), "{path}");
        assert!(answer.text().contains("aria-current=\"page\""), "{path}");
    }
    for (path, words) in [
        ("/", "There was no traffic in this time."),
        ("/decisions", "Nothing was decided yet."),
        ("/identities", "No identity was active yet."),
        ("/approvals", "No tool call waits for an answer."),
    ] {
        assert!(browser.get(path).await.text().contains(words), "{path}");
    }
    let sign_in = Browser::new(&plane).get("/sign-in").await;
    is_safe("/sign-in", &sign_in);
}

#[tokio::test]
async fn every_page_answers_on_a_filled_store_and_data_stays_text() {
    let plane = Plane::start().await;
    let id = fill(&plane).await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let one = format!("/decisions/{id}");
    for path in PAGES.into_iter().chain([
        one.as_str(),
        "/identities/user%3A%3Cscript%3E",
        "/decisions?subject=user%3A%3Cscript%3E",
    ]) {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        is_safe(path, &answer);
        assert!(!answer.text().contains(CONFIGURED_KEY), "{path}");
    }
    let decisions = browser.get("/decisions").await.text();
    assert!(decisions.contains("&lt;script&gt;alert(1)") && decisions.contains(&one), "{decisions}");
    let told = browser.get(&one).await.text();
    for words in
        ["&lt;script&gt;alert(1)&lt;/script&gt;", "/rules/evil-agents", "Because:", "Instead:", "epoch 1"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(browser.get("/approvals").await.text().contains("&lt;b&gt;rm&lt;/b&gt;"));
    assert!(browser.get("/keys").await.text().contains("&lt;b&gt;t&lt;/b&gt;"));
    for path in ["/decisions/dec_nothing", "/decisions/%3Cscript%3E", "/identities/nothing", "/%3Cscript%3E"]
    {
        let answer = browser.get(path).await;
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        is_safe(path, &answer);
    }
}

#[tokio::test]
async fn a_filter_that_nobody_can_read_says_so_at_its_field_and_is_kept() {
    let plane = Plane::start().await;
    fill(&plane).await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    for (query, words, kept) in [
        (
            "where=statis%3E3",
            "at character 1: there is no field <code>statis</code>; near are: status",
            "statis&gt;3",
        ),
        ("where=%3Cscript%3E", "the name of a field belongs here", "&lt;script&gt;"),
        ("since=yesterday", "it must be a time such as", "yesterday"),
        ("boundary=all", "it must be one of: request, failure, tool", "Boundary"),
        (
            "outcome=blok",
            "did you mean <code>block</code>? it must be one of: nothing, log",
            "value=\"blok\"",
        ),
        (
            "boundary=tool&outcome=block",
            "it must be one of: allow, require-approval, deny",
            "value=\"block\"",
        ),
        (
            "where=outcome%3Dblok",
            "at character 1: <code>outcome</code> is never <code>blok</code>: did you mean <code>block</code>?",
            "outcome=blok",
        ),
        (
            "subject=ada",
            "did you mean <code>user:ada</code>? it must be <code>user:</code> and an id",
            "value=\"ada\"",
        ),
        ("outcme=block", "did you mean <code>outcome</code>? known are: boundary, outcome", ""),
        ("cursor=x", "it is no cursor of this list", ""),
        ("colour=red", "the parameter is unknown", ""),
    ] {
        let answer = browser.get(&format!("/decisions?{query}")).await;
        let page = answer.text();
        assert_eq!(answer.status, 400, "{query}: {page}");
        assert!(page.contains(words), "{query}: {page}");
        if kept != "Boundary" {
            assert!(page.contains(kept), "{query}: {page}");
        }
        is_safe(query, &answer);
    }
    let found = browser.get("/decisions?where=user_agent~CURL").await.text();
    assert!(found.contains("user:ada") && !found.contains("user:bob"), "{found}");
    let none = browser.get("/decisions?where=status%3E500").await.text();
    assert!(none.contains("No decision is like this."));
    let typo = browser.get("/decisions?rule=evil-agnts").await.text();
    assert!(typo.contains("No rule evil-agnts is in force; did you mean evil-agents?"), "{typo}");
}

#[tokio::test]
async fn decisions_are_paged_with_their_filter() {
    let plane = Plane::start().await;
    plane.rules(RULES).await;
    for n in 0..5 {
        let agent = if n % 2 == 0 { "even" } else { "odd" };
        plane.clock.advance(Duration::from_secs(1));
        plane
            .json("POST", "/api/classify", json!({"kilo_user_id": format!("u{n}"), "user_agent": agent}))
            .await
            .ok();
    }
    plane.parts.recorder.flush().await.unwrap();
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let first = browser.get("/decisions?limit=2&where=user_agent%3Deven").await.text();
    assert!(first.contains("user:u4") && first.contains("user:u2") && !first.contains("user:u3"), "{first}");
    let link =
        first.split("href=\"").find(|link| link.contains("cursor=")).unwrap().split('"').next().unwrap();
    let next = browser.get(&link.replace("&amp;", "&")).await.text();
    assert!(next.contains("user:u0") && !next.contains("user:u2"), "{next}");
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_revoked() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    // What is wrong is said by a page of its own, so that going back sends nothing again.
    let wrong = browser.form("/keys", &[("user", "a\u{7}"), ("budget_usd", "5"), ("plan", "<b>")]).await;
    let refused = browser.page_after(&wrong);
    let wrong = browser.get(&refused).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("aria-invalid=\"true\"") && wrong.text().contains("value=\"&lt;b&gt;\""));
    let wrong = browser.form("/keys", &[("user", "ada"), ("budget_usd", "much")]).await;
    let refused = browser.page_after(&wrong);
    let wrong = browser.get(&refused).await;
    assert!(
        wrong.text().contains("it must be a number of US dollars") && wrong.text().contains("value=\"much\"")
    );
    let wrong = browser.form("/keys", &[("user", "ada"), ("budget_usd", "0.0000001")]).await;
    let wrong = browser.page_after(&wrong);
    let wrong = browser.get(&wrong).await;
    assert!(wrong.status == 400 && wrong.text().contains("at least 0.000001 US dollars"), "{}", wrong.text());
    assert!(wrong.text().contains("value=\"0.0000001\""), "{}", wrong.text());
    let long = "x".repeat(5_000);
    let wrong = browser.form("/keys", &[("user", long.as_str())]).await;
    assert!(wrong.status == 400 && wrong.text().contains(&long), "too long for an address");
    // An address can fill the form; a viewer has none.
    let filled = browser.get("/keys?user=ada&plan=pro").await;
    assert!(filled.status == 200 && filled.text().contains("value=\"ada\""), "{}", filled.text());
    let fields = [("user", "ada"), ("budget_usd", "2.5"), ("tags", "a, b"), ("plan", "pro")];
    let made = browser.form("/keys", &fields).await;
    let once = browser.page_after(&made);
    assert!(!once.contains("sk"), "no key in an address: {once}");
    // Not for another session, and not for who asks for the head alone.
    let mut other = Browser::signed_in(&plane, ADMIN).await;
    assert!(!other.get(&once).await.text().contains("made-key"));
    assert_eq!(browser.call("HEAD", &once, &[], String::new()).await.status, 410);
    let shown = browser.get(&once).await;
    assert_eq!((shown.status.as_u16(), shown.header("cache-control")), (200, "no-store"));
    let page = shown.text();
    let key = page.split("id=\"made-key\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let found = plane.parts.directory.find_key(&key).expect("it works at once");
    assert_eq!((found.owner.budget_usd, found.owner.tags.len()), (Some(2.5), 2));
    let again = browser.get(&once).await;
    assert_eq!(again.status, 410);
    assert!(!again.text().contains(&key) && again.text().contains("is not shown again"), "{}", again.text());
    assert_eq!(plane.get("/api/keys").await.ok()["items"].as_array().unwrap().len(), 2, "one was made");
    let list = browser.get("/keys").await.text();
    assert!(
        !list.contains(&key) && list.contains("$0.00 of $2.50") && list.contains("data-confirm="),
        "{list}"
    );
    let revoked = browser.form(&format!("/keys/{}/revoke", found.id), &[]).await;
    assert_eq!(browser.page_after(&revoked), "/keys");
    assert!(browser.get("/keys").await.text().contains("is revoked"), "the message is shown");
    assert!(!browser.get("/keys").await.text().contains("is revoked; it is not"), "and shown once");
    assert!(plane.parts.directory.find_key(&key).is_none());
    let again = browser.form(&format!("/keys/{}/revoke", found.id), &[]).await;
    assert_eq!(browser.page_after(&again), "/keys");
    assert!(browser.get("/keys").await.text().contains("Not done: </strong>there is no valid key"));
    assert_eq!(plane.audited().await, ["key.revoke", "session.open", "key.create", "session.open"]);
    // A key that nobody comes for is forgotten.
    let late = browser.form("/keys", &[("user", "ada")]).await;
    let late = browser.page_after(&late);
    plane.clock.advance(Duration::from_secs(61));
    assert_eq!(browser.get(&late).await.status, 410);
}

#[tokio::test]
async fn a_waiting_call_is_answered_and_a_yes_withdrawn() {
    let plane = Plane::start().await;
    for id in ["apr_1", "apr_2"] {
        approval(&plane, id).await;
    }
    let mut duty = Browser::signed_in(&plane, "canary-approver-token").await;
    let page = duty.get("/approvals").await.text();
    assert!(page.contains("action=\"/approvals/apr_1/answer\""), "{page}");
    let late = duty.form("/approvals/apr_1/answer", &[("answer", "approve"), ("scope", "until")]).await;
    assert_eq!(duty.page_after(&late), "/approvals");
    assert!(duty.get("/approvals").await.text().contains("the scope `until` needs it"));
    let until = [("answer", "approve"), ("scope", "until"), ("until", "2026-11-20T12:00")];
    duty.form("/approvals/apr_1/answer", &until).await;
    let page = duty.get("/approvals").await.text();
    assert!(page.contains("is approved.") && page.contains("title=\"2026-11-20 12:00:00 UTC\""), "{page}");
    duty.form("/approvals/apr_2/answer", &[("answer", "deny")]).await;
    duty.form("/approvals/apr_1/withdraw", &[]).await;
    let page = duty.get("/approvals").await.text();
    assert!(page.contains("withdrawn") && page.contains("denied") && page.contains("by duty"), "{page}");
    let audit = plane.get("/api/audit").await.ok();
    assert_eq!(audit["items"][0]["author"], "duty");
    assert_eq!(plane.audited().await[..3], ["approval.withdraw", "approval.deny", "approval.approve"]);
}

#[tokio::test]
async fn an_identity_is_found_exempted_and_tagged() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    assert_eq!(browser.get("/identities?q=ada").await.header("location"), "/identities/user%3Aada");
    assert_eq!(browser.get("/identities?q=user%3Aa").await.header("location"), "/identities/user%3Aa");
    let wrong = browser.get("/identities?q=finger%3A%3Cb%3E").await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text().contains("value=\"finger:&lt;b&gt;\"") && wrong.text().contains("64 hexadecimal digits")
    );
    let path = "/identities/user%3Aada";
    let past =
        browser.form(&format!("{path}/exempt"), &[("for", "until"), ("until", "2020-01-01T00:00")]).await;
    assert_eq!(past.status, 400);
    assert!(past.text().contains("it must be a time to come") && past.text().contains("2020-01-01T00:00"));
    let done = browser.form(&format!("{path}/exempt"), &[("for", "24")]).await;
    assert_eq!(browser.page_after(&done), path);
    let page = browser.get(path).await.text();
    assert!(
        page.contains("It is exempt until 2026-11-21 10:00:00 UTC") && page.contains("End the exemption"),
        "{page}"
    );
    browser.form(&format!("{path}/unexempt"), &[]).await;
    browser.form(&format!("{path}/tags"), &[("tags", "good customer, beta")]).await;
    let wrong = browser.form(&format!("{path}/tags"), &[("tags", "a\u{7}")]).await;
    assert_eq!(wrong.status, 400);
    let key = crate::plane::identity("user:ada");
    plane.parts.cache.action_set(&key, "block").await.unwrap();
    assert!(browser.get(path).await.text().contains("Clear the action"));
    browser.form(&format!("{path}/clear"), &[]).await;
    assert_eq!(plane.parts.cache.action_get(&key).await.unwrap(), None);
    // Of the tags that rules read only its own are offered for editing; those of its keys stay theirs.
    plane.json("POST", "/api/keys", json!({"user": "ada", "tags": ["of-key"]})).await.ok();
    let page = browser.get(path).await.text();
    assert!(page.contains("value=\"beta, good customer\"") && page.contains("its keys bring"), "{page}");
    browser.form(&format!("{path}/tags"), &[("tags", "beta, good customer")]).await;
    let view = plane.get("/api/identities/user:ada").await.ok();
    assert_eq!(
        (&view["own_tags"], &view["key_tags"]),
        (&json!(["beta", "good customer"]), &json!(["of-key"]))
    );
    assert_eq!(view["facts"]["tags"], json!(["of-key", "beta", "good customer"]));
    let stored = plane.parts.database.identity(&key).await.unwrap().unwrap();
    assert_eq!(stored.tags, ["beta", "good customer"]);
    plane
        .json(
            "DELETE",
            &format!("/api/keys/{}", plane.get("/api/keys").await.ok()["items"][1]["id"].as_str().unwrap()),
            json!(null),
        )
        .await;
    let view = plane.get("/api/identities/user:ada").await.ok();
    assert_eq!(
        (&view["facts"]["tags"], &view["exempt_until"]),
        (&json!(["beta", "good customer"]), &json!(null))
    );
    assert_eq!(plane.audited().await[..4], ["key.revoke", "identity.tags", "key.create", "action.clear"]);
}

#[tokio::test]
async fn files_are_kept_for_good_by_their_names() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    let page = browser.get("/sign-in").await.text();
    for name in ["console.", "icon."] {
        let path = page.split('"').find(|part| part.starts_with("/assets/") && part.contains(name)).unwrap();
        let file = browser.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        let known = browser.call("GET", path, &[("if-none-match", file.header("etag"))], String::new()).await;
        assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    }
    assert_eq!(browser.get("/assets/console.css").await.header("cache-control"), "public, no-cache");
    assert_eq!(browser.get("/assets/nothing.js").await.status, 404);
    let script = browser.get("/assets/console.js").await.text();
    assert!(!script.contains("innerHTML") && !script.contains("eval("));
    assert!(hidden(&page, "then").is_some());
}
