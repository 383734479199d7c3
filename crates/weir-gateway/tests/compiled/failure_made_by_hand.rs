//! Its members are private.
use weir_rules::failure::UpstreamFailure;

fn answer(_failure: UpstreamFailure) {}

fn main() {
    answer(UpstreamFailure { evidence: todo!(), circumstances: todo!(), found: todo!(), known: [true; 2] });
}
