//! The stop-loss: a rule that hits too many, or one that is protected, is back in shadow before it does more harm.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use weir_core::Mode;
use weir_core::failure::{AllExhausted, FailureEvent, FailureObserver, Observers};
use weir_core::stop::{RuleStop, StopWhy};

use crate::support::{Ask, ConfigText, Node, Options, World, eventually};

/// Keeps what it is told of stops.
#[derive(Default)]
struct Told(Mutex<Vec<RuleStop>>);

impl FailureObserver for Told {
    fn failed(&self, _: &FailureEvent) {}
    fn all_exhausted(&self, _: &AllExhausted) {}
    fn rule_stopped(&self, stop: &RuleStop) {
        self.0.lock().unwrap().push(stop.clone());
    }
}

fn config(world: &World, stop_loss: &str) -> ConfigText {
    let config = world
        .config()
        .set("abuse", "{mode: inline}")
        .set("limits", "{unauthenticated: {requests: 1000000, per: 1m}}")
        .set("free_models", "{requests: 1000000, per: 1h}");
    if stop_loss.is_empty() { config } else { config.set("stop_loss", stop_loss) }
}

async fn node(world: &World, stop_loss: &str, rules: &[&str]) -> (Node, Arc<Told>) {
    let rules = rules.iter().map(|rule| format!("- {{{rule}, on: request}}\n")).collect::<String>();
    let told = Arc::new(Told::default());
    let observers = Observers::new(vec![told.clone()]);
    let options = Options { rules: format!("rules:\n{rules}"), observers, ..Options::default() };
    (Node::with(world, &config(world, stop_loss), options).await, told)
}

/// A request of an anonymous identity of its own.
fn ask(n: usize) -> Ask {
    Ask::anonymous(crate::support::Api::Chat, "free/small").header("user-agent", &format!("agent/{n}"))
}

async fn statuses(node: &Node, numbers: impl Iterator<Item = usize>) -> Vec<u16> {
    let mut all = Vec::new();
    for n in numbers {
        all.push(node.send(&ask(n)).await.status);
    }
    all
}

fn blocked(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 403).count()
}

const BLOCK: &str = "id: oops, when: 'true', then: block";

#[tokio::test]
async fn a_rule_let_loose_on_ten_thousand_identities_is_stopped_within_its_window() {
    const IDENTITIES: usize = 10_000;
    const AT_ONCE: usize = 8;
    let world = World::new().await;
    let (node, told) = node(&world, "{share_percent: 10, identities_min: 100, window: 5m}", &[BLOCK]).await;
    let node = Arc::new(node);
    let senders = (0..AT_ONCE).map(|sender| {
        let node = node.clone();
        tokio::spawn(async move { statuses(&node, (0..IDENTITIES).skip(sender).step_by(AT_ONCE)).await })
    });
    let mut all = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        all.extend(sender.await.unwrap());
    }
    assert_eq!(all.len(), IDENTITIES);
    assert!(all.iter().all(|status| matches!(status, 200 | 403)));
    assert!((90..=99).contains(&blocked(&all)), "{} were blocked", blocked(&all));

    let stops = eventually("the stop in the store", async || {
        Some(node.database.rule_stops().await.unwrap()).filter(|stops| !stops.is_empty())
    })
    .await;
    let [stored] = stops.as_slice() else { panic!("{stops:?}") };
    let stop = &stored.stop;
    assert_eq!((stop.rule.as_str(), stop.why, stop.hit, stop.seen), ("oops", StopWhy::Share, 100, 100));
    assert!(stored.in_force() && node.rules.load().is_stopped("oops"));
    let audit = node.database.audit_list(None, 10).await.unwrap();
    assert_eq!((audit[0].author.as_str(), audit[0].action.as_str()), ("stop-loss", "rules.stop"));
    eventually("the report", async || (told.0.lock().unwrap().len() == 1).then_some(())).await;
    assert!(world.logs.text().contains("the stop-loss has taken a rule back to shadow"));

    // The request at which it was stopped was decided without it, and says so.
    node.recorder.flush().await.unwrap();
    let record = node.database.decision(&stop.decision).await.unwrap().unwrap();
    assert_eq!((record.result.status, record.decision.outcome.as_str()), (200, "nothing"));
    assert_eq!(record.decision.matched[0].mode, Mode::Shadow);
}

#[tokio::test]
async fn what_is_stopped_and_what_is_not() {
    let loose = "{share_percent: 50, identities_min: 10, window: 5m, protect: []}";
    let half = "id: half, when: 'request.user_agent.endsWith(\"0\") || request.user_agent.endsWith(\"1\")', then: block";
    let skip = "id: pass, when: 'true', then: skip";
    // Rules, how many of 40 identities are blocked, whether a rule is stopped.
    let table: [(&str, &[&str], usize, bool); 6] = [
        ("without a stop-loss", &[BLOCK], 40, false),
        ("too many", &[BLOCK], 9, true),
        ("below the share", &[half], 8, false),
        ("in shadow", &["id: s, when: 'true', then: block, mode: shadow"], 0, false),
        ("it does nothing", &["id: l, when: 'true', then: log"], 0, false),
        ("lifted by a skip", &[BLOCK, skip], 0, false),
    ];
    for (what, rules, expected, stopped) in table {
        let world = World::new().await;
        let options = if what == "without a stop-loss" { "" } else { loose };
        let (node, _) = node(&world, options, rules).await;
        let all = statuses(&node, 0..40).await;
        assert_eq!(blocked(&all), expected, "{what}");
        let active = node.rules.load();
        let any = active.rules.rules().iter().any(|rule| active.is_stopped(&rule.id));
        assert_eq!(any, stopped, "{what}");
    }
}

#[tokio::test]
async fn the_same_identities_again_and_old_ones_do_not_count() {
    let world = World::new().await;
    let (node, _) =
        node(&world, "{share_percent: 50, identities_min: 10, window: 160s, protect: []}", &[BLOCK]).await;
    assert_eq!(blocked(&statuses(&node, (0..30).map(|n| n % 9)).await), 30, "nine, however often");
    world.clock.advance_ms(170_000);
    assert_eq!(blocked(&statuses(&node, 100..109).await), 9, "the first nine are out of the window");
    assert_eq!(blocked(&statuses(&node, 109..112).await), 0, "the tenth within one window");
}

#[tokio::test]
async fn a_protected_identity_is_never_harmed() {
    // `user-123` has the plan `pro`.
    let protect = "{share_percent: 99, identities_min: 1000, window: 5m, protect: [paying]}";
    let quarantine = "id: slow, when: 'true', then: quarantine-3";
    let limit = "id: tight, when: 'true', then: {rate-limit: {requests: 1, per: 1m}}";
    for rule in [BLOCK, quarantine, limit, "id: r, when: 'true', then: rate-limit"] {
        let world = World::new().await;
        let (node, _) = node(&world, protect, &[rule]).await;
        for _ in 0..3 {
            assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200, "{rule}");
        }
        assert!(world.clock.slept().is_empty(), "{rule}: no delay");
        let stops = eventually("the stop", async || {
            Some(node.database.rule_stops().await.unwrap()).filter(|stops| !stops.is_empty())
        })
        .await;
        assert_eq!((stops.len(), stops[0].stop.why), (1, StopWhy::Paying), "{rule}");
    }
}

#[tokio::test]
async fn a_caller_with_a_key_of_its_own_is_protected_where_that_is_asked_for() {
    for (protect, status) in [("[byok]", 200), ("[]", 403)] {
        let world = World::new().await;
        let stop_loss =
            format!("{{share_percent: 99, identities_min: 1000, window: 5m, protect: {protect}}}");
        let (node, _) = node(&world, &stop_loss, &[BLOCK]).await;
        let ask = Ask::chat("own/keys-only").header("x-weir-byok", "canary-own-key");
        assert_eq!(node.send(&ask).await.status, status, "{protect}");
        assert_eq!(node.rules.load().is_stopped("oops"), status == 200);
    }
}

#[tokio::test]
async fn a_resumed_version_is_not_stopped_again() {
    let world = World::new().await;
    let (node, told) = node(&world, "{share_percent: 10, identities_min: 5, window: 5m}", &[BLOCK]).await;
    assert_eq!(blocked(&statuses(&node, 0..20).await), 4);
    let version = node.rules.load().rules.get("oops").unwrap().version.to_string();
    let stored = async || node.database.rule_stops().await.unwrap();
    eventually("the stop", async || (!stored().await.is_empty()).then_some(())).await;
    let now = world.clock.manual.now();
    assert!(node.database.rule_resume("oops", &version, "ada", now).await.unwrap());
    assert!(!node.database.rule_resume("oops", &version, "ada", now).await.unwrap(), "once");
    let stop = weir_rules::Stopped { resumed: true, ..weir_rules::Stopped::new("oops", &version) };
    node.rules.set_stops(vec![stop]);
    assert_eq!(blocked(&statuses(&node, 20..60).await), 40, "the operator has said so");
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 403, "also for protected ones");
    assert_eq!((stored().await.len(), told.0.lock().unwrap().len()), (1, 1));
    assert!(stored().await[0].resumed_by.as_deref() == Some("ada"));
}

#[tokio::test]
async fn an_exempt_identity_is_not_hit() {
    let world = World::new().await;
    let (node, _) = node(&world, "{share_percent: 1, identities_min: 1, window: 5m}", &[BLOCK]).await;
    let identity = weir_core::IdentityKey::from_stored("user:user-123");
    let until = world.clock.manual.now() + Duration::from_secs(3600);
    node.database.identity_exempt(&identity, Some(until), "ada", world.clock.manual.now()).await.unwrap();
    node.directory.refresh().await.unwrap();
    assert_eq!(node.send(&Ask::chat("paid/big")).await.status, 200);
    assert!(!node.rules.load().is_stopped("oops"), "nobody was hit");
    assert_eq!(json!(node.database.rule_stops().await.unwrap()), json!([]));
}
