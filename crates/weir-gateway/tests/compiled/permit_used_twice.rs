//! One permit is for one request: it cannot be copied.
use weir_core::{Decision, DecisionId, Timestamp};
use weir_rules::enforce::{Enforcement, Permit, enforce};

fn send(_permit: Permit) {}

fn main() {
    let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
    let decision = Decision::unasked(id, "user:a".to_owned(), 1, Timestamp::UNIX_EPOCH);
    if let Enforcement::Proceed(permit) = enforce(&decision) {
        send(permit);
        send(permit);
    }
}
