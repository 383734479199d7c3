//! What a limit is called in `x-weir-limit`, in records and where it is counted: `abuse`, `free-model`, `address`, or
//! `rule:<id>` for one that a rule puts on an identity.

/// What stands before the rule's id.
const OF_RULE: &str = "rule:";

/// The name of a rule's limit.
#[must_use]
pub fn limit_of_rule(rule: &str) -> String {
    format!("{OF_RULE}{rule}")
}

/// The rule that the limit of this name belongs to; none when it is no rule's.
#[must_use]
pub fn rule_of_limit(limit: &str) -> Option<&str> {
    limit.strip_prefix(OF_RULE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_a_rule_is_told_by_its_name_and_no_other_is_one() {
        for rule in ["a", "free-model", "rule:a"] {
            assert_eq!(rule_of_limit(&limit_of_rule(rule)), Some(rule));
        }
        for limit in ["abuse", "free-model", "address", "", "a-rule:x"] {
            assert_eq!(rule_of_limit(limit), None, "{limit}");
        }
    }
}
