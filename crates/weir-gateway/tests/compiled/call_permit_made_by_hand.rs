//! A permit for a call that no decision gave.

use weir_core::DecisionId;
use weir_core::tool::{Arguments, PermissionLevel};
use weir_rules::tool::Permitted;

fn run(decision: DecisionId) -> Permitted {
    Permitted {
        tool: String::new(),
        server: String::new(),
        args: Arguments::default(),
        level: PermissionLevel::None,
        decision,
    }
}

fn main() {
    let _ = run;
}
