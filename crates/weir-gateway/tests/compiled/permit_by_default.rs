//! It has no default.
use weir_rules::enforce::Permit;

fn send(_permit: Permit) {}

fn main() {
    send(Default::default());
}
