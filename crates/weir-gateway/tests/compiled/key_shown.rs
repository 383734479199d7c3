//! Nor can a key.
use weir_core::secret::Secret;

fn main() {
    println!("{}", Secret::from("a key"));
}
