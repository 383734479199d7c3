//! Writing protobuf: the few forms that OTLP has.

/// The wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// How many bytes a number takes.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// How many bytes a text takes as a member whose tag takes one.
#[inline]
pub(crate) fn text_len(value: &str) -> usize {
    1 + varint_len(as_u64(value.len())) + value.len()
}

/// The beginning of a message within a message, of so many bytes.
#[inline]
pub(crate) fn head(out: &mut Vec<u8>, field: u64, length: usize) {
    tag(out, field, BYTES);
    varint(out, as_u64(length));
}

/// The lowest seven bits.
#[inline]
fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

#[inline]
fn tag(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[inline]
pub(crate) fn uint(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

#[inline]
pub(crate) fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub(crate) fn fixed32(out: &mut Vec<u8>, field: u64, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub(crate) fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    fixed64(out, field, value.to_bits());
}

#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    head(out, field, value.len());
    out.extend_from_slice(value);
}

#[inline]
pub(crate) fn text(out: &mut Vec<u8>, field: u64, value: &str) {
    bytes(out, field, value.as_bytes());
}

/// Fixed numbers of eight bytes in a row.
pub(crate) fn packed64(out: &mut Vec<u8>, field: u64, values: impl ExactSizeIterator<Item = u64>) {
    head(out, field, values.len().saturating_mul(8));
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A message within a message, whose length is known when it is written. One byte is left free for it, which is enough for
/// most; what is longer is moved.
#[inline]
pub(crate) fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    match (u8::try_from(length), out.get_mut(at)) {
        (Ok(short @ 0..0x80), Some(place)) => *place = short,
        _ => widen(out, at, length),
    }
}

/// Puts a length of several bytes in the place of one.
fn widen(out: &mut Vec<u8>, at: usize, length: usize) {
    let mut rest = as_u64(length);
    let (width, end) = (varint_len(rest), out.len());
    out.resize(end + width - 1, 0);
    out.copy_within(at + 1..end, at + width);
    for place in out.iter_mut().skip(at).take(width) {
        *place = low_bits(rest) | if rest < 0x80 { 0 } else { 0x80 };
        rest >>= 7;
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
            assert_eq!(varint_len(value), expected.len(), "{value}");
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
