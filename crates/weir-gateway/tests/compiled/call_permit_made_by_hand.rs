//! A permit for a call that no decision gave.

use weir_core::tool::Arguments;
use weir_rules::tool::Permitted;

fn run() -> Permitted {
    Permitted { tool: String::new(), args: Arguments::default() }
}

fn main() {
    let _ = run;
}
