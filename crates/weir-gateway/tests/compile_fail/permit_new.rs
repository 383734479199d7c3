//! Nor is there any other way to one.
use weir_rules::enforce::Permit;

fn main() {
    let _default = Permit::default();
    let _copied = |permit: &Permit| -> Permit { permit.clone() };
}
