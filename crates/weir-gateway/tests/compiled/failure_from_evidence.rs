//! The way to a failure: evidence that is classified.
use weir_core::Timestamp;
use weir_core::record::RecordedFacts;
use weir_dialect::failure::Evidence;
use weir_rules::failure::{About, Circumstances, UpstreamFailure};
use weir_rules::{EvaluateContext, RuleSet};

fn answer(_failure: UpstreamFailure) {}

fn main() {
    let context = EvaluateContext { subject: "", at: Timestamp::UNIX_EPOCH };
    let recorded = RecordedFacts::default();
    let about = About { recorded: &recorded, headers: None, prompts: ["", ""], context: &context };
    let rules = RuleSet::default();
    answer(UpstreamFailure::classify(&rules, Evidence::default(), Circumstances::default(), &about));
}
