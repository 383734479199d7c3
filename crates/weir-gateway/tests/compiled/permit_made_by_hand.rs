//! Its members are private.
use std::time::Duration;
use weir_rules::enforce::Permit;

fn send(_permit: Permit) {}

fn main() {
    send(Permit { delay: Duration::ZERO, downgrade: false });
}
