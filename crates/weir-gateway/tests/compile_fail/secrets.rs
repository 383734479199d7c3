//! Keys and prompts cannot be formatted, and prompts cannot be serialised.
use weir_core::secret::{Prompt, Secret};

fn main() {
    let key = Secret::from("a key");
    println!("{key}");
    let prompt = Prompt::new("a prompt".to_owned());
    println!("{prompt}");
    println!("{prompt:?}");
    let _json = serde_json::to_string(&prompt);
}
