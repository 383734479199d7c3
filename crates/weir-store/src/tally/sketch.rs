//! How many different ones: exact while there are few, then an estimate of fixed size (HyperLogLog).
//!
//! Two sketches of the same kind of hashes can be united, so that minutes, hours and nodes can be added up without
//! counting anybody twice.

/// Up to here they are kept one by one, and their number is exact.
pub const FEW_MAX: usize = 64;

/// Bits of a hash that choose a register: 1,024 registers of a byte, standard error 1.04 / sqrt(1024) = 3.3 %.
const REGISTER_BITS: u32 = 10;
const REGISTERS: usize = 1 << REGISTER_BITS;

/// A set of hashes of which only the number is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// In ascending order.
    Few(Vec<u64>),
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self(Form::Few(Vec::new()))
    }
}

/// The first byte of a stored sketch.
const FEW: u8 = 0;
const MANY: u8 = 1;

impl Sketch {
    /// Adds one, by a hash that is the same on every node.
    pub fn add(&mut self, hash: u64) {
        match &mut self.0 {
            Form::Few(few) => {
                if let Err(at) = few.binary_search(&hash) {
                    few.insert(at, hash);
                    self.grow();
                }
            }
            Form::Many(registers) => register(registers, hash),
        }
    }

    /// Adds all that another one holds.
    pub fn unite(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Form::Few(few)) => few.iter().for_each(|hash| self.add(*hash)),
            (Form::Many(mine), Form::Many(others)) => {
                for (mine, other) in mine.iter_mut().zip(others.iter()) {
                    *mine = (*mine).max(*other);
                }
            }
            (Form::Few(few), Form::Many(others)) => {
                let mut registers = others.clone();
                few.iter().for_each(|hash| register(&mut registers, *hash));
                self.0 = Form::Many(registers);
            }
        }
    }

    fn grow(&mut self) {
        let Form::Few(few) = &self.0 else { return };
        if few.len() > FEW_MAX {
            let mut registers = Box::new([0; REGISTERS]);
            few.iter().for_each(|hash| register(&mut registers, *hash));
            self.0 = Form::Many(registers);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Form::Few(few) => few.len() as u64,
            Form::Many(registers) => estimate(registers),
        }
    }

    /// How many there are among this many events, each of which is of one of them: an estimate never says more than that.
    #[must_use]
    pub fn count_among(&self, events: u64) -> u64 {
        self.count().clamp(events.min(1), events)
    }

    /// The bytes that [`Self::read`] takes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.0 {
            Form::Few(few) => {
                std::iter::once(FEW).chain(few.iter().flat_map(|hash| hash.to_be_bytes())).collect()
            }
            Form::Many(registers) => std::iter::once(MANY).chain(registers.iter().copied()).collect(),
        }
    }

    /// Reads stored bytes; none when they are no sketch.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            FEW => {
                let (hashes, rest) = rest.as_chunks::<8>();
                let mut sketch = Self::default();
                hashes.iter().for_each(|hash| sketch.add(u64::from_be_bytes(*hash)));
                rest.is_empty().then_some(sketch)
            }
            MANY => Some(Self(Form::Many(Box::new(rest.try_into().ok()?)))),
            _ => None,
        }
    }
}

/// Spreads the bits of a hash, so that all of them may be used.
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn register(registers: &mut [u8; REGISTERS], hash: u64) {
    let hash = mix(hash);
    let at = usize::try_from(hash >> (64 - REGISTER_BITS)).unwrap_or_default();
    // The bit behind the last one bounds the run of zeros.
    let rest = (hash << REGISTER_BITS) | (1 << (REGISTER_BITS - 1));
    let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
    if let Some(register) = registers.get_mut(at) {
        *register = (*register).max(rank);
    }
}

/// Flajolet and others 2007, with linear counting where many registers are empty.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, above zero and far below 2^52"
)]
fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / m);
    let sum: f64 = registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
    let raw = alpha * m * m / sum;
    let empty = registers.iter().filter(|rank| **rank == 0).count();
    let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
    estimate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_says_no_more_than_there_were_events() {
        let mut sketch = Sketch::default();
        let mut excesses = 0;
        for n in 1..=3_000_u64 {
            sketch.add(mix(n));
            excesses += u64::from(sketch.count() > n);
            assert!((1..=n).contains(&sketch.count_among(n)), "{n}");
        }
        assert!(excesses > 0, "it is an estimate, which errs to both sides");
        assert_eq!((Sketch::default().count_among(0), Sketch::default().count_among(7)), (0, 1));
    }
}
