//! A decision whose denial is taken away.

use weir_rules::tool::ToolDecision;

fn run(mut decision: ToolDecision) -> ToolDecision {
    decision.denial = None;
    decision
}

fn main() {
    let _ = run;
}
