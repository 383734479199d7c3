//! Its members are private.
use std::time::Duration;
use weir_core::{DecisionId, Timestamp};
use weir_rules::enforce::Permit;

fn send(_permit: Permit) {}

fn main() {
    let decision = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
    send(Permit { decision, delay: Duration::ZERO, downgrade: false });
}
