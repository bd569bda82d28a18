//! The sums over everything recalled, the same to the last bit whatever the order of arrival.
//!
//! Called by `predict` between recall and ranking. Integers are summed per class, then the classes in ascending
//! (size, common) order are taken as floats: the twin of `kato_service/engine/ensemble.py`.

use rustc_hash::FxHashMap;

use crate::block::Block;
use crate::floats::similarity_of;
use crate::recall::{Hit, Recalled};

/// (size, common): all patterns of a class have one similarity.
pub type Class = (u32, u32);

/// F, the weight sum of f * similarity, and which LCS occur in which block.
#[derive(Debug, Default)]
pub struct Ensemble {
    /// Recalled patterns.
    pub patterns: u64,
    /// F: the sum of f.
    pub frequency: u64,
    /// The sum of f * similarity.
    pub weight: f64,
    /// Number of the block and an LCS that some recalled pattern of it has.
    pub groups: Vec<(u32, u32)>,
}

impl Ensemble {
    /// Sum what the blocks recalled; `compared` is the length of the state in its mode.
    pub fn of(blocks: &[&Block], recalled: &[Recalled], compared: usize) -> Self {
        let mut ensemble = Self::default();
        let mut classes: FxHashMap<Class, u64> = FxHashMap::default();
        for (at, (block, found)) in blocks.iter().zip(recalled).enumerate() {
            match found {
                Recalled::None => {}
                Recalled::Column { least, lcs } => {
                    for (common, (patterns, frequency)) in histogram(*least, lcs, block.frequencies()) {
                        ensemble.count((at as u32, common), patterns, frequency);
                        *classes.entry((block.size as u32, common)).or_default() += frequency;
                    }
                }
                Recalled::Hits(hits) => {
                    for hit in hits {
                        let frequency = block.frequencies()[usize::from(hit.local)].into();
                        ensemble.count((at as u32, hit.lcs), 1, frequency);
                        *classes.entry((hit.size, hit.common)).or_default() += frequency;
                    }
                }
            }
        }
        ensemble.weight = weight(classes.into_iter().collect(), compared);
        ensemble
    }

    fn count(&mut self, group: (u32, u32), patterns: u64, frequency: u64) {
        self.patterns += patterns;
        self.frequency += frequency;
        if self.groups.last() != Some(&group) {
            self.groups.push(group);
        }
    }
}

/// The sum, from 0.0, of `f * similarity` of each class, classes ascending.
fn weight(mut classes: Vec<(Class, u64)>, compared: usize) -> f64 {
    classes.sort_unstable();
    let weights = classes.iter().map(|&(class, frequency)| frequency as f64 * similarity_in(class, compared));
    weights.fold(0.0, |sum, weight| sum + weight)
}

/// The similarity of a class.
pub fn similarity_in(class: Class, compared: usize) -> f64 {
    similarity_of(class.1 as usize, class.0 as usize + compared)
}

/// The similarity of a recalled pattern.
pub fn similarity(hit: &Hit, compared: usize) -> f64 {
    similarity_in((hit.size, hit.common), compared)
}

/// The sum of f * similarity over some recalled patterns.
#[derive(Default)]
pub struct ClassSum {
    members: Vec<(Class, u32)>,
}

impl ClassSum {
    /// Count a recalled pattern in.
    pub fn add(&mut self, hit: &Hit, frequency: u32) {
        self.members.push(((hit.size, hit.common), frequency));
    }

    /// Number of patterns counted in.
    pub fn patterns(&self) -> usize {
        self.members.len()
    }

    /// The sum, in the order of the classes.
    pub fn weight(&mut self, compared: usize) -> f64 {
        self.members.sort_unstable();
        let same = self.members.chunk_by(|a, b| a.0 == b.0);
        weight(same.map(|part| (part[0].0, part.iter().map(|member| u64::from(member.1)).sum())).collect(), compared)
    }
}

/// Number and frequency of the patterns with each LCS from `least` on that occurs.
fn histogram(least: u8, lcs: &[u8], frequencies: &[u32]) -> Vec<(u32, (u64, u64))> {
    let mut lanes = [[(0u32, 0u64); 65]; 4]; // four at a time, so that equal neighbours do not wait for each other
    for (values, frequencies) in lcs.chunks(4).zip(frequencies.chunks(4)) {
        for ((&value, &frequency), lane) in values.iter().zip(frequencies).zip(&mut lanes) {
            let sum = &mut lane[usize::from(value).min(64)];
            *sum = (sum.0 + 1, sum.1 + u64::from(frequency));
        }
    }
    let total = |at: usize| lanes.iter().fold((0, 0), |sum, lane| (sum.0 + u64::from(lane[at].0), sum.1 + lane[at].1));
    (usize::from(least)..=64).map(|at| (at as u32, total(at))).filter(|(_, sum)| sum.0 > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_does_not_depend_on_the_order_of_its_members() {
        let hit = |size, common| Hit { local: 0, lcs: common, size, common };
        let members = [(hit(5, 1), 3), (hit(3, 2), 1), (hit(5, 1), 9), (hit(7, 3), 2)];
        let sum = |order: &[usize]| {
            let mut sum = ClassSum::default();
            order.iter().for_each(|&at| sum.add(&members[at].0, members[at].1));
            sum.weight(4)
        };
        assert_eq!(sum(&[0, 1, 2, 3]).to_bits(), sum(&[3, 2, 1, 0]).to_bits());
        assert_eq!(sum(&[0, 2]), 12.0 * (2.0 / 9.0));
    }

    #[test]
    fn a_histogram_counts_from_the_least_on() {
        assert_eq!(histogram(1, &[0, 2, 1, 2, 2], &[9, 1, 2, 3, 4]), [(1, (1, 2)), (2, (3, 8))]);
        assert_eq!(histogram(0, &[0], &[9]), [(0, (1, 9))]);
    }
}
