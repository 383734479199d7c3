//! The only way: a decision that allows the call.

use weir_core::tool::Arguments;
use weir_rules::tool::{Permitted, ToolDecision};

fn execute(call: Permitted) {
    drop(call);
}

fn run(decision: ToolDecision) {
    if let Ok(permitted) = decision.permit(Arguments::default()) {
        execute(permitted);
    }
}

fn main() {
    let _ = run;
}
