//! One step of the bit-parallel longest common subsequence (Hyyro 2004), on one word and on many.
//!
//! A row starts with all bits set and has one bit per position of the text that stands still; bits above its length
//! stay set. After a step for each symbol of the other text, the zero bits are the length of the subsequence.

/// A row of one word.
pub trait Word: Copy + Default + PartialEq + Send + Sync + 'static {
    /// All bits set.
    const ONES: Self;
    /// The bit of position `place`.
    fn bit(place: usize) -> Self;
    /// Both sets of bits.
    fn or(self, other: Self) -> Self;
    /// The row after a symbol that stands at the positions `mask`.
    fn step(self, mask: Self) -> Self;
    /// The number of zero bits.
    fn zeros(self) -> u8;
    /// Whether position 0 is set.
    fn has_first(self) -> bool;
    /// Whether some position is set here and the next one in `mask`.
    fn is_before(self, mask: Self) -> bool;
}

macro_rules! word {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const ONES: Self = !0;
            #[inline(always)]
            fn bit(place: usize) -> Self {
                1 << place
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn step(self, mask: Self) -> Self {
                self.wrapping_add(self & mask) | (self & !mask)
            }
            #[inline(always)]
            fn zeros(self) -> u8 {
                self.count_zeros() as u8
            }
            #[inline(always)]
            fn has_first(self) -> bool {
                self & 1 != 0
            }
            #[inline(always)]
            fn is_before(self, mask: Self) -> bool {
                (self << 1) & mask != 0
            }
        }
    )*};
}
word!(u16, u32, u64);

/// `Word::step` of 64 positions.
#[inline(always)]
pub fn step(row: u64, mask: u64) -> u64 {
    Word::step(row, mask)
}

/// One step of one word of a long row; `carry` comes in from the word below and goes out to the one above.
#[inline(always)]
pub fn step_carry(word: u64, mask: u64, carry: &mut bool) -> u64 {
    let (sum, over) = word.overflowing_add(word & mask);
    let (sum, again) = sum.overflowing_add(u64::from(*carry));
    *carry = over | again;
    sum | (word & !mask)
}

/// One step of a row of several words, lowest first.
pub fn step_wide(row: &mut [u64], mask: &[u64]) {
    let mut carry = false;
    for (word, &mask) in row.iter_mut().zip(mask) {
        *word = step_carry(*word, mask, &mut carry);
    }
}

/// The number of zero bits of a row.
pub fn zeros(row: &[u64]) -> usize {
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

/// The bits `low..high` of a word, `high` at most 64.
#[inline(always)]
pub fn range(low: usize, high: usize) -> u64 {
    if low >= high { 0 } else { (!0u64 >> (64 - (high - low))) << low }
}

/// The positions of the set bits, ascending.
#[inline(always)]
pub fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        (bits != 0).then(|| {
            bits &= bits - 1;
            place
        })
    })
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// For up to 64 bytes below 128: the bits of those that equal `wanted`, itself below 128.
#[inline(always)]
pub fn equal_bytes(bytes: &[u8], wanted: u8) -> u64 {
    flags(bytes, !wanted, |eight| {
        let different = eight ^ (LOW * u64::from(wanted));
        !(different + (HIGH - LOW)) & HIGH
    })
}

/// For up to 64 bytes below 128: the bits of those that are `least`, itself below 128, or more.
#[inline(always)]
pub fn bytes_from(bytes: &[u8], least: u8) -> u64 {
    flags(bytes, 0, |eight| ((eight | HIGH) - LOW * u64::from(least)) & HIGH) & range(0, bytes.len())
}

/// One bit per byte, from the high bits that `test` leaves of eight bytes at a time.
#[inline(always)]
fn flags(bytes: &[u8], padding: u8, test: impl Fn(u64) -> u64) -> u64 {
    let mut found = 0;
    let mut eights = bytes.chunks_exact(8);
    let mut place = 0;
    let packed = |high: u64| (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    for eight in &mut eights {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        found |= packed(test(word)) << place;
        place += 8;
    }
    if !eights.remainder().is_empty() {
        let mut rest = [padding & 127; 8];
        rest[..eights.remainder().len()].copy_from_slice(eights.remainder());
        found |= packed(test(u64::from_le_bytes(rest))) << place;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_found(bytes in prop::collection::vec(0u8..65, 0..=64), wanted in 0u8..65) {
            let bits = |is: fn(u8, u8) -> bool| {
                bytes.iter().enumerate().fold(0u64, |bits, (at, &byte)| bits | u64::from(is(byte, wanted)) << at)
            };
            prop_assert_eq!(equal_bytes(&bytes, wanted), bits(|byte, wanted| byte == wanted));
            prop_assert_eq!(bytes_from(&bytes, wanted), bits(|byte, wanted| byte >= wanted));
        }

        #[test]
        fn a_long_row_steps_as_one_number(row in any::<u128>(), mask in any::<u128>()) {
            let mut words = [row as u64, (row >> 64) as u64];
            step_wide(&mut words, &[mask as u64, (mask >> 64) as u64]);
            let whole = row.wrapping_add(row & mask) | (row & !mask);
            prop_assert_eq!(words, [whole as u64, (whole >> 64) as u64]);
        }
    }

    #[test]
    fn ranges_and_ones() {
        assert_eq!((range(0, 64), range(3, 3), range(62, 64)), (!0, 0, 3 << 62));
        assert_eq!(ones(0b1011).collect::<Vec<_>>(), [0, 1, 3]);
    }
}
