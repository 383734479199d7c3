//! It cannot be shown.
use weir_core::secret::Prompt;

fn main() {
    println!("{}", Prompt::new("a prompt".to_owned()));
}
