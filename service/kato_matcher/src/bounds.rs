//! Upper bounds of the metrics over all patterns of one length and one LCS with the state.
//!
//! Called by `rank` to leave out whole classes. Matches never exceed the LCS, blocks never exceed the matches.

use crate::floats::similarity_of;
use crate::metric::Metric;
use crate::metrics::snr;
use crate::mutants::{self, Mutant};

/// The greatest value of `metric` at |P| = `size`, an LCS of `lcs` and |S| = `observed`; infinite without a bound.
///
/// `compared` is |S| in token mode, None in character mode, where similarity goes by texts.
pub fn of(metric: Metric, size: usize, lcs: u32, observed: usize, compared: Option<usize>) -> f64 {
    let matched = lcs as usize;
    let slack = if mutants::is(Mutant::LowRatio) { 0.2 } else { 0.0 };
    let bound = match (metric, compared) {
        (Metric::Similarity | Metric::BayesianLikelihood, Some(observed)) => similarity_of(matched, size + observed),
        (Metric::Evidence, _) => matched as f64 / size as f64,
        (Metric::Snr, _) => snr(matched, observed),
        (Metric::Fragmentation, _) => f64::from(lcs) - 1.0,
        _ => f64::INFINITY,
    };
    bound - slack
}

/// Bounds of the plain potential for one state and the patterns of one block.
pub struct Potential {
    observed: usize,
    size: usize,
    widest: usize,
}

impl Potential {
    /// For |S| = `observed`, |P| = `size` and events of `widest` symbols at most.
    pub fn new(observed: usize, size: usize, widest: usize) -> Self {
        Self { observed, size, widest }
    }

    /// Over any alignment.
    pub fn whole(&self, lcs: u32) -> f64 {
        let slack = if mutants::is(Mutant::LowPotential) { 0.3 } else { 0.0 };
        self.best(lcs, |_| 1) - slack
    }

    /// Over alignments whose blocks all have one symbol: as many blocks as matches.
    pub fn scattered(&self, lcs: u32) -> f64 {
        let slack = if mutants::is(Mutant::LowScattered) { 0.6 } else { 0.0 };
        self.best(lcs, |matched| matched) - slack
    }

    /// The best over 1 to `lcs` matches, itfdf_similarity at its greatest, 1.
    fn best(&self, lcs: u32, least_blocks: impl Fn(usize) -> usize) -> f64 {
        let values = (1..=lcs as usize).map(|matched| self.at(matched, least_blocks(matched)));
        values.fold(if lcs == 0 { 0.0 } else { f64::NEG_INFINITY }, f64::max) + 1.0
    }

    /// (evidence + confidence) * snr + 1 / B at `matched` symbols in `blocks` blocks or more.
    ///
    /// A negative snr rewards a large present. One match has one event around it, one block of m symbols has complete
    /// events of at most m + 2 (widest - 1) symbols; several blocks may span the whole pattern.
    fn at(&self, matched: usize, blocks: usize) -> f64 {
        let (m, p) = (matched as f64, self.size as f64);
        let snr = snr(matched, self.observed);
        if snr >= 0.0 {
            return (m / p + 1.0) * snr + 1.0 / blocks as f64;
        }
        let around = if matched == 1 { self.widest - 1 } else { 2 * (self.widest - 1) };
        let one = (m / p + m / (matched + around).min(self.size) as f64) * snr + 1.0;
        let several = if matched < 2 { f64::NEG_INFINITY } else { 2.0 * m / p * snr + 1.0 / blocks.max(2) as f64 };
        if blocks <= 1 { one.max(several) } else { several }
    }
}
