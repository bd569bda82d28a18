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
