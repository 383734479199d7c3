//! Writing protobuf: the few forms that OTLP has.

/// The wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// The lowest seven bits.
fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

fn tag(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

pub(crate) fn uint(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

/// A signed number as `int64`: the negative ones take ten bytes.
pub(crate) fn int(out: &mut Vec<u8>, field: u64, value: i64) {
    uint(out, field, value.cast_unsigned());
}

pub(crate) fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn fixed32(out: &mut Vec<u8>, field: u64, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    fixed64(out, field, value.to_bits());
}

pub(crate) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, as_u64(value.len()));
    out.extend_from_slice(value);
}

pub(crate) fn text(out: &mut Vec<u8>, field: u64, value: &str) {
    bytes(out, field, value.as_bytes());
}

/// Fixed numbers of eight bytes in a row.
pub(crate) fn packed64(out: &mut Vec<u8>, field: u64, values: impl ExactSizeIterator<Item = u64>) {
    tag(out, field, BYTES);
    varint(out, as_u64(values.len().saturating_mul(8)));
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A message within a message. Its length is known when it is written; most are shorter than 128 bytes, whose length takes
/// the one byte that was left free, and only longer ones are moved.
pub(crate) fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let at = out.len();
    out.push(0);
    write(out);
    let mut length = as_u64(out.len() - at - 1);
    let mut digits = [0_u8; 10];
    let mut count = 0;
    for digit in &mut digits {
        count += 1;
        *digit = low_bits(length) | if length >= 0x80 { 0x80 } else { 0 };
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    let digits = digits.get(..count).unwrap_or_default();
    if let ([digit], Some(place)) = (digits, out.get_mut(at)) {
        *place = *digit;
    } else {
        out.splice(at..=at, digits.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let table: [(u64, &[u8]); 4] = [
            (0, &[0]),
            (127, &[127]),
            (300, &[0xac, 2]),
            (u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ];
        for (value, expected) in table {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, expected, "{value}");
        }
    }

    #[test]
    fn a_message_of_any_length_is_framed() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut out = vec![7];
            message(&mut out, 2, |out| out.extend(std::iter::repeat_n(9, length)));
            let mut expected = vec![7, 2 << 3 | 2];
            varint(&mut expected, as_u64(length));
            expected.extend(std::iter::repeat_n(9, length));
            assert!(out == expected, "{length}");
        }
    }
}
