//! The arguments of a call, printed.

use weir_core::tool::Arguments;

fn main() {
    println!("{:?}", Arguments::default());
}
