//! Deliberate mistakes in bounds, for the test which shows that the comparison with the oracle would notice them.
//!
//! Only there with the feature `mutants`, which no installation has; without it `is` is false when compiled.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
pub enum Mutant {
    /// The bound of the potential is too low.
    LowPotential,
    /// The bound of the potential is too low where no block has two symbols.
    LowScattered,
    /// The bounds of evidence, snr and the like are too low.
    LowRatio,
    /// The least LCS is one too high.
    HighLeast,
    /// The least LCS is taken as ceil(t n / 2).
    CeilLeast,
    /// The prefix filter looks at one symbol too few.
    FewRare,
}

#[cfg(not(feature = "mutants"))]
/// Whether a mistake is made.
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is};

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Mutant;

    const NONE: u8 = u8::MAX;
    const ALL: [Mutant; 6] = [
        Mutant::LowPotential,
        Mutant::LowScattered,
        Mutant::LowRatio,
        Mutant::HighLeast,
        Mutant::CeilLeast,
        Mutant::FewRare,
    ];
    static CHOSEN: AtomicU8 = AtomicU8::new(NONE);

    /// Whether a mistake is made.
    pub fn is(mutant: Mutant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == mutant as u8
    }

    /// Make the mistake of that name from now on, none for any other name; returns all names.
    pub fn choose(name: &str) -> Vec<String> {
        let found = ALL.iter().find(|mutant| format!("{mutant:?}") == name);
        CHOSEN.store(found.map_or(NONE, |&mutant| mutant as u8), Ordering::Relaxed);
        ALL.iter().map(|mutant| format!("{mutant:?}")).collect()
    }
}
