//! There is no failure without a classification.
use weir_rules::failure::UpstreamFailure;

fn answer(_failure: UpstreamFailure) {}

fn made<T: Default>() -> T {
    T::default()
}

fn main() {
    answer(made());
}
