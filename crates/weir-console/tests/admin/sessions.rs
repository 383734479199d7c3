//! Signing in and out, how sessions end, and what a session alone may not do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::browser::{Browser, HOST, ORIGIN, encoded, hidden};
use crate::plane::{ADMIN, Plane, VIEWER, config};

const APPROVER: &str = "canary-approver-token";

async fn keys(plane: &Plane) -> usize {
    plane.get("/api/keys").await.ok()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_good_token_opens_a_session_and_a_bad_one_does_not() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    for token in ["", "wrong", "canary-admin-toke", "canary-access-secret"] {
        let refused = browser.post("/sign-in", &[("token", token), ("then", "/keys")]).await;
        assert_eq!(refused.status, 403, "{token}");
        assert!(refused.text().contains("no admin token that is valid now"));
        assert_eq!(hidden(&refused.text(), "then").as_deref(), Some("/keys"));
        assert!(browser.cookies.is_empty());
    }
    let opened = browser.post("/sign-in", &[("token", ADMIN), ("then", "/decisions?outcome=block")]).await;
    assert_eq!((opened.status.as_u16(), opened.header("location")), (303, "/decisions?outcome=block"));
    let cookie = opened.header("set-cookie");
    assert!(cookie.starts_with("weir-session=") && !cookie.contains("Secure"), "{cookie}");
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(browser.get("/sign-in?then=%2Fkeys").await.header("location"), "/keys");
    assert_eq!(plane.audited().await, ["session.open"]);
    let audit = plane.get("/api/audit").await.ok();
    assert_eq!((&audit["items"][0]["author"], audit.to_string().contains(ADMIN)), (&json!("admin"), false));
}

#[tokio::test]
async fn behind_https_the_cookie_is_for_https_alone() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    let headers = [("origin", "https://weir.example"), ("content-type", "application/x-www-form-urlencoded")];
    let opened = browser.call("POST", "/sign-in", &headers, encoded(&[("token", ADMIN)])).await;
    let cookie = opened.header("set-cookie");
    assert!(cookie.starts_with("__Host-weir-session=") && cookie.contains("; Secure"), "{cookie}");
    assert_eq!(browser.get("/").await.status, 200);
}

#[tokio::test]
async fn one_leads_nobody_to_another_site_and_signs_nobody_in_from_there() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    for then in ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        let opened = browser.post("/sign-in", &[("token", ADMIN), ("then", then)]).await;
        assert_eq!(opened.header("location"), "/", "{then}");
    }
    for origin in ["", "null", "http://evil.example", "http://weir.example.evil.example"] {
        let headers = [("origin", origin), ("content-type", "application/x-www-form-urlencoded")];
        let refused =
            Browser::new(&plane).call("POST", "/sign-in", &headers, encoded(&[("token", ADMIN)])).await;
        assert_eq!(refused.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn attempts_are_throttled_for_a_while() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    for _ in 0..10 {
        assert_eq!(browser.post("/sign-in", &[("token", "guess")]).await.status, 403);
    }
    plane.clock.advance(Duration::from_secs(100));
    let refused = browser.post("/sign-in", &[("token", ADMIN)]).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "200"));
    plane.clock.advance(Duration::from_secs(200));
    assert_eq!(browser.post("/sign-in", &[("token", ADMIN)]).await.status, 303);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_after_its_time() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    // In use every 50 minutes: it ends after eight hours all the same.
    for _ in 0..9 {
        plane.clock.advance(Duration::from_secs(50 * 60));
        assert_eq!(browser.get("/").await.status, 200);
    }
    plane.clock.advance(Duration::from_secs(30 * 60));
    let ended = browser.get("/keys").await;
    assert_eq!((ended.status.as_u16(), ended.header("location")), (303, "/sign-in?then=%2Fkeys"));

    let mut idle = Browser::signed_in(&plane, ADMIN).await;
    plane.clock.advance(Duration::from_secs(40 * 60));
    // A page that brings itself up to date is nobody's presence.
    assert_eq!(idle.call("GET", "/", &[("x-weir-live", "1")], String::new()).await.status, 200);
    plane.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(idle.get("/").await.status, 303);
    assert_eq!(idle.call("GET", "/", &[("x-weir-live", "1")], String::new()).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_by_signing_out() {
    const OTHER: &str = "
admin:
  tokens:
    - {name: eyes, token: another-viewer-token, role: viewer}
    - {name: duty, token: canary-approver-token, role: operator}
";
    let plane = Plane::start().await;
    let mut eyes = Browser::signed_in(&plane, VIEWER).await;
    let mut duty = Browser::signed_in(&plane, APPROVER).await;
    let mut admin = Browser::signed_in(&plane, ADMIN).await;
    plane.parts.live.replace(Arc::new(config(OTHER)), &ADMIN.to_owned().into());
    assert_eq!(eyes.get("/").await.status, 303, "its token is another");
    assert_eq!(duty.get("/").await.status, 303, "its role is another");
    assert_eq!(admin.get("/").await.status, 200);

    let kept = admin.cookies.clone();
    let out = admin.form("/sign-out", &[]).await;
    assert_eq!((out.status.as_u16(), out.header("location")), (303, "/sign-in"));
    assert!(admin.get("/sign-in").await.text().contains("You are signed out."));
    // The cookie itself is worth nothing any more.
    admin.cookies = kept;
    assert_eq!(admin.get("/").await.status, 303);
}

#[tokio::test]
async fn a_change_needs_the_token_of_the_session_and_an_own_page() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    let csrf = browser.csrf.clone();
    let other = Browser::signed_in(&plane, ADMIN).await.csrf;
    assert_ne!(csrf, other, "each session has its own");
    let user = ("user", "mallory");
    let form = "application/x-www-form-urlencoded";
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);
    let table: &[Case<'_>] = &[
        ("no token", vec![user], ORIGIN),
        ("an empty token", vec![user, ("csrf", "")], ORIGIN),
        ("the token of another session", vec![user, ("csrf", &other)], ORIGIN),
        ("another origin", vec![user, ("csrf", &csrf)], "http://evil.example"),
        ("no origin", vec![user, ("csrf", &csrf)], ""),
    ];
    for (what, pairs, origin) in table {
        let headers = [("origin", *origin), ("content-type", form)];
        let refused = browser.call("POST", "/keys", &headers, encoded(pairs)).await;
        assert_eq!(refused.status, 403, "{what}");
    }
    // The API with the cookie alone is no different; a bearer token needs nothing beside it.
    let body = json!({"user": "mallory"}).to_string();
    let json_kind = ("content-type", "application/json");
    for extra in [
        vec![],
        vec![("x-weir-csrf", other.as_str())],
        vec![("x-weir-csrf", csrf.as_str()), ("origin", "http://evil.example")],
    ] {
        let mut headers = vec![json_kind, ("accept", "application/json"), ("origin", ORIGIN)];
        headers.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        headers.extend(extra.clone());
        let refused = browser.call("POST", "/api/keys", &headers, body.clone()).await;
        refused.problem(403);
    }
    assert_eq!(keys(&plane).await, 1, "none was made");
    let good =
        [json_kind, ("origin", ORIGIN), ("x-weir-csrf", csrf.as_str()), ("accept", "application/json")];
    assert_eq!(browser.call("POST", "/api/keys", &good, body.clone()).await.status, 201);
    let fetched = [json_kind, ("sec-fetch-site", "same-origin"), ("x-weir-csrf", csrf.as_str())];
    assert_eq!(browser.call("POST", "/api/keys", &fetched, body.clone()).await.status, 201);
    assert_eq!(plane.json("POST", "/api/keys", json!({"user": "ada"})).await.status, 201);
}

#[tokio::test]
async fn programs_and_browsers_are_refused_in_their_own_way() {
    let plane = Plane::start().await;
    let mut browser = Browser::new(&plane);
    for (path, location) in [
        ("/", "/sign-in"),
        ("/decisions?outcome=block&rule=a", "/sign-in?then=%2Fdecisions%3Foutcome%3Dblock%26rule%3Da"),
        ("/nothing", "/sign-in?then=%2Fnothing"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, location));
        let program = browser.call("GET", path, &[("accept", "*/*")], String::new()).await;
        assert_eq!(program.problem(401)["status"], 401);
    }
    for path in ["/api/rules", "/api/nothing", "/metrics"] {
        browser.get(path).await.problem(401);
    }
    let bearer = ("authorization", "Bearer wrong");
    browser.call("GET", "/", &[bearer], String::new()).await.problem(401);
    // A link on another site: the strict cookie comes with the second request, which our own page makes.
    let led = browser.call("GET", "/decisions", &[("sec-fetch-site", "cross-site")], String::new()).await;
    assert_eq!(led.status, 200);
    assert!(led.text().contains("http-equiv=\"refresh\" content=\"0;url=/decisions\""), "{}", led.text());
    let mut signed_in = Browser::signed_in(&plane, ADMIN).await;
    let missing = signed_in.get("/nothing").await;
    assert_eq!((missing.status.as_u16(), missing.header("content-type")), (404, "text/html; charset=utf-8"));
    signed_in.get("/api/nothing").await.problem(404);
}

#[tokio::test]
async fn roles_hide_what_they_may_not_do_and_are_refused_it() {
    let plane = Plane::start().await;
    let mut eyes = Browser::signed_in(&plane, VIEWER).await;
    let mut duty = Browser::signed_in(&plane, APPROVER).await;
    let mut admin = Browser::signed_in(&plane, ADMIN).await;
    assert!(admin.get("/keys").await.text().contains("Make the key"));
    assert!(admin.get("/identities/user%3Aada").await.text().contains("Set the tags"));
    for browser in [&mut eyes, &mut duty] {
        assert!(!browser.get("/keys").await.text().contains("Make the key"));
        assert!(!browser.get("/identities/user%3Aada").await.text().contains("Set the tags"));
        for path in
            ["/keys", "/keys/key_1/revoke", "/identities/user%3Aada/tags", "/identities/user%3Aada/exempt"]
        {
            let refused = browser.form(path, &[("user", "a")]).await;
            assert_eq!(refused.status, 403, "{path}");
            assert!(refused.text().contains("needs the role operator"), "{}", refused.text());
        }
    }
    assert_eq!(eyes.form("/approvals/apr_1/answer", &[("answer", "deny")]).await.status, 403);
    assert_eq!(duty.form("/approvals/apr_1/answer", &[("answer", "deny")]).await.status, 303);
    assert_eq!(keys(&plane).await, 1);
    // The look and the way out are everybody's.
    let look = eyes.form("/theme", &[("theme", "dark"), ("then", "/keys")]).await;
    assert_eq!((look.status.as_u16(), look.header("location")), (303, "/keys"));
    assert!(eyes.get("/keys").await.text().contains("data-theme=\"dark\""));
    assert_eq!(eyes.form("/sign-out", &[]).await.status, 303);
}

#[tokio::test]
async fn what_was_typed_outlives_the_session() {
    let plane = Plane::start().await;
    let mut browser = Browser::signed_in(&plane, ADMIN).await;
    plane.clock.advance(Duration::from_secs(2 * 3600));
    let asked =
        browser.form("/keys", &[("user", "ada & \"bob\""), ("plan", "pro"), ("tags", "a\r\nb")]).await;
    assert_eq!(asked.status, 401);
    let (then, kept) = (hidden(&asked.text(), "then").unwrap(), hidden(&asked.text(), "kept").unwrap());
    assert_eq!(then, "/keys");
    let again = browser.post("/sign-in", &[("token", "wrong"), ("then", &then), ("kept", &kept)]).await;
    assert_eq!(hidden(&again.text(), "kept"), Some(kept.clone()), "a slip loses nothing either");
    let offered = browser.post("/sign-in", &[("token", ADMIN), ("then", &then), ("kept", &kept)]).await;
    let page = offered.text();
    assert_eq!(offered.status, 200, "{page}");
    assert!(
        page.contains("action=\"/keys\"") && page.contains("Send it now") && page.contains("a\r\nb"),
        "{page}"
    );
    assert_eq!(hidden(&page, "user").as_deref(), Some("ada & \"bob\""));
    assert_eq!(keys(&plane).await, 1, "nothing is done before somebody says so");
    let csrf = hidden(&page, "csrf").unwrap();
    let user = hidden(&page, "user").unwrap();
    let made = browser.post("/keys", &[("csrf", &csrf), ("user", &user), ("plan", "pro")]).await;
    assert_eq!(made.status, 303, "{}", made.text());
    assert_eq!(keys(&plane).await, 2);

    // A tab of the session before: its token is old, its text is kept.
    let stale = browser.form("/keys", &[("user", "cyd")]).await;
    assert_eq!(stale.status, 403);
    assert_eq!(hidden(&stale.text(), "user").as_deref(), Some("cyd"));
    // Another site can have nothing kept.
    let mut stranger = Browser::new(&plane);
    let headers = [("origin", "http://evil.example"), ("content-type", "application/x-www-form-urlencoded")];
    let refused = stranger.call("POST", "/keys", &headers, encoded(&[("user", "mallory")])).await;
    assert!(refused.status == 403 && !refused.text().contains("mallory"), "{}", refused.text());
    assert_eq!(HOST, "weir.example");
}
