//! Numbers and their nouns, as people read them on pages, in a terminal and in messages.

use std::borrow::Cow;

/// A number with a comma at every third digit: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An English noun as it stands behind a count: `identity` of one, `identities` of none or several.
#[must_use]
pub fn noun(count: impl TryInto<u64>, singular: &str) -> Cow<'_, str> {
    if matches!(count.try_into(), Ok(1)) {
        return Cow::Borrowed(singular);
    }
    match singular.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => Cow::Owned(format!("{stem}ies")),
        _ => Cow::Owned(format!("{singular}s")),
    }
}

/// A count with its noun: `1 identity`, `1,200 decisions`. What is below zero is no count and shown as the largest.
#[must_use]
pub fn counted(count: impl TryInto<u64>, singular: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {}", grouped(count), noun(count, singular))
}

/// A number of bytes in a unit that fits, with one digit behind the point unless that is a zero: `1 MiB`, `1.5 KiB`.
#[must_use]
pub fn size(bytes: impl TryInto<u64>) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let bytes = bytes.try_into().unwrap_or(u64::MAX);
    let (unit, name) = match bytes {
        0..KIB => return counted(bytes, "byte"),
        KIB..MIB => (KIB, "KiB"),
        _ => (MIB, "MiB"),
    };
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit behind the point")]
    let shown = format!("{:.1}", bytes as f64 / unit as f64);
    format!("{} {name}", shown.strip_suffix(".0").unwrap_or(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_its_noun_in_the_right_number() {
        let table = [
            (0_usize, "identity", "0 identities"),
            (1, "identity", "1 identity"),
            (2, "identity", "2 identities"),
            (1, "decision", "1 decision"),
            (1_200, "decision", "1,200 decisions"),
            (2, "day", "2 days"),
            (1_234_567, "tool call", "1,234,567 tool calls"),
        ];
        for (count, singular, expected) in table {
            assert_eq!(counted(count, singular), expected);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn bytes_are_told_in_a_unit_that_fits() {
        let table = [
            (0_u64, "0 bytes"),
            (1, "1 byte"),
            (1_023, "1,023 bytes"),
            (1_024, "1 KiB"),
            (1_536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            ((5 << 20) + 1, "5 MiB"),
            (3 << 29, "1536 MiB"),
        ];
        for (bytes, expected) in table {
            assert_eq!(size(bytes), expected);
        }
    }
}
