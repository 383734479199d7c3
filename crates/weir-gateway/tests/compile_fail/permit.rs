//! A permit has private fields and no constructor.
use std::time::Duration;

use weir_rules::enforce::Permit;

fn main() {
    let id = weir_core::DecisionId::new(weir_core::Timestamp::UNIX_EPOCH, [0; 10]);
    let _permit = Permit { decision: id, delay: Duration::ZERO, downgrade: false };
}
