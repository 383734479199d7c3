//! The way to a permit: a decision that lets the request go on.
use weir_core::{Decision, DecisionId, Timestamp};
use weir_rules::enforce::{Enforcement, enforce};

fn main() {
    let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
    let decision = Decision::unasked(id, "user:a".to_owned(), 1, Timestamp::UNIX_EPOCH);
    assert!(matches!(enforce(&decision), Enforcement::Proceed(permit) if permit.decision() == id));
}
