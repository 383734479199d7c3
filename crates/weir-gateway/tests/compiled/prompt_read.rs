//! A prompt can be read where it is used.
use weir_core::secret::Prompt;

fn main() {
    assert_eq!(Prompt::new("a prompt".to_owned()).expose(), "a prompt");
}
