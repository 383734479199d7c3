//! The cases about identity: the function that derives the key, and, where a request can carry what a case gives, a
//! request that is counted under it.

use serde_json::{Value, json};
use weir_core::address::{TrustedProxies, client_address};
use weir_core::identity::{FingerprintParts, IdentityKey};

use super::given::Given;
use crate::support::{Node, World};

/// The key that a whole request was counted under; none where no request can lack an address.
pub async fn play(given: &Given) -> Option<String> {
    given.forwarded_for.as_ref()?;
    let world = World::new().await;
    let mut anonymous = Given { model: "free".to_owned(), user_id: None, ..Given::default() };
    anonymous.forwarded_for.clone_from(&given.forwarded_for);
    anonymous.ja4.clone_from(&given.ja4);
    anonymous.user_agent.clone_from(&given.user_agent);
    anonymous.trusted_proxies = trusted(given);
    let node = Node::start(&world, &anonymous.config(&world)).await;
    let answer = node.send(&anonymous.ask()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Some(node.record_of(&answer).await.decision.subject)
}

/// # Errors
/// The first member that does not hold, or is not known.
pub fn check(expect: &Value, given: &Given, counted_as: &Option<String>) -> Result<(), String> {
    let derived = derive(given);
    if counted_as.as_ref().is_some_and(|counted| *counted != derived) {
        return Err(format!("the request was counted as {counted_as:?}, the function says {derived}"));
    }
    expect.as_object().unwrap().iter().try_for_each(|(name, value)| {
        let holds = match name.as_str() {
            "seed_behaviour" => true,
            "identity" => *value == json!(derived),
            "same_identity_as" => Given::read(value).is_ok_and(|mut other| {
                other.trusted_proxies = trusted(given);
                derive(&other) == derived
            }),
            _ => false,
        };
        if holds { Ok(()) } else { Err(format!("`{name}`: expected {value}, found {derived}")) }
    })
}

/// Behind a proxy on the loopback, as the tests are.
fn derive(given: &Given) -> String {
    let networks = trusted(given).iter().map(|network| network.parse().unwrap()).collect();
    let peer = "127.0.0.1".parse().unwrap();
    let address = given
        .forwarded_for
        .as_deref()
        .map(|line| client_address(peer, [line].into_iter(), &TrustedProxies::new(networks)).to_string());
    let parts = FingerprintParts {
        address: address.as_deref(),
        ja4: given.ja4.as_deref(),
        user_agent: given.user_agent.as_deref(),
    };
    // A case that gives parts of a fingerprint is about a caller without a name.
    let user = given.user_id.as_deref().filter(|_| given.forwarded_for.is_none());
    IdentityKey::derive(user, parts).as_str().to_owned()
}

fn trusted(given: &Given) -> Vec<String> {
    match &given.trusted_proxies[..] {
        [] => vec!["127.0.0.1/32".to_owned()],
        trusted => trusted.to_vec(),
    }
}
