//! What changed, in one line for people.

use weir_rules::{Change, ChangeKind};

/// How many rules a summary names; of more it says how many.
const NAMED_MAX: usize = 10;

/// `added a; changed b (then, when); removed c; moved d`.
pub(super) fn of(changes: &[Change]) -> String {
    let parts: Vec<String> = [
        ("added", ChangeKind::Added),
        ("changed", ChangeKind::Changed),
        ("removed", ChangeKind::Removed),
        ("moved", ChangeKind::Reordered),
    ]
    .into_iter()
    .filter_map(|(word, kind)| part(word, kind, changes))
    .collect();
    if parts.is_empty() { "the text only".to_owned() } else { parts.join("; ") }
}

fn part(word: &str, kind: ChangeKind, changes: &[Change]) -> Option<String> {
    let of_kind: Vec<&Change> = changes.iter().filter(|change| change.kind == kind).collect();
    if of_kind.is_empty() {
        return None;
    }
    let named: Vec<String> = of_kind.iter().take(NAMED_MAX).map(|change| name(change)).collect();
    let more = of_kind.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{word} {}{more}", named.join(", ")))
}

fn name(change: &Change) -> String {
    if change.fields.is_empty() {
        change.rule.clone()
    } else {
        format!("{} ({})", change.rule, change.fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(rule: &str, kind: ChangeKind, fields: &[&str]) -> Change {
        Change { rule: rule.to_owned(), kind, fields: fields.iter().map(|f| (*f).to_owned()).collect() }
    }

    #[test]
    fn a_summary_says_what_changed_and_is_short() {
        assert_eq!(of(&[]), "the text only");
        let changes = [
            change("c", ChangeKind::Removed, &[]),
            change("a", ChangeKind::Added, &[]),
            change("b", ChangeKind::Changed, &["then", "when"]),
            change("d", ChangeKind::Reordered, &[]),
        ];
        assert_eq!(of(&changes), "added a; changed b (then, when); removed c; moved d");
        let many: Vec<_> = (0..12).map(|n| change(&format!("r{n}"), ChangeKind::Added, &[])).collect();
        assert!(of(&many).ends_with("r9 and 2 more"), "{}", of(&many));
    }
}
