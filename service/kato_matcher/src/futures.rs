//! Futures: which recalled patterns share one, and what share of the ensemble each has (engine.md, section 4).
//!
//! Called by `predict` for the futures of the answer, and by `rank` for all of them. Futures are compared by value, event
//! by event, the order inside an event aside; hashes only find those worth comparing.

use hashbrown::HashTable;

use crate::align::Aligner;
use crate::block::Block;
use crate::ensemble::ClassSum;
use crate::pattern::{Row, SuffixHashes};
use crate::query::Query;
use crate::rank::Chosen;
use crate::recall::{Hit, Recalled, in_batches};

/// One distinct future and what it is made of.
pub struct FuturePotential {
    /// Its share A of the ensemble's weight.
    pub aggregate_potential: f64,
    /// Number of patterns with that future.
    pub supporting_patterns: usize,
    /// The sum of f * similarity over them.
    pub total_weighted_frequency: f64,
}

/// Where a future can be read: the pattern it was first seen in, and where it starts there.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    row: Row<'a>,
    from: usize,
    hash: u64,
}

impl<'a> Sample<'a> {
    fn new(row: Row<'a>, from: usize) -> Self {
        Self { row, from, hash: row.suffix_hash(from) }
    }

    /// The events.
    pub fn events(&self) -> impl Iterator<Item = &'a [u32]> {
        self.row.events(self.from, self.row.len())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.row.len() - self.from == other.row.len() - other.from
            && self.events().map(<[u32]>::len).eq(other.events().map(<[u32]>::len))
            && self.events().zip(other.events()).all(|(one, two)| same_symbols(one, two))
    }
}

fn same_symbols(one: &[u32], two: &[u32]) -> bool {
    let sorted = |symbols: &[u32]| {
        let mut symbols = symbols.to_vec();
        symbols.sort_unstable();
        symbols
    };
    one == two || sorted(one) == sorted(two)
}

/// Distinct futures with their sums.
pub struct Futures<'a> {
    query: &'a Query<'a>,
    blocks: &'a [&'a Block],
    samples: Vec<Sample<'a>>,
    sums: Vec<ClassSum>,
    numbers: HashTable<usize>,
}

impl<'a> Futures<'a> {
    /// None yet.
    pub fn new(query: &'a Query<'a>, blocks: &'a [&'a Block]) -> Self {
        Self { query, blocks, samples: Vec::new(), sums: Vec::new(), numbers: HashTable::new() }
    }

    /// Count a pattern in; returns the number of its future, None when it is empty.
    pub fn add(&mut self, chosen: &Chosen<'a>) -> Option<usize> {
        let number = self.enter(chosen)?;
        self.sums[number].add(&chosen.candidate.hit, chosen.candidate.frequency);
        Some(number)
    }

    /// The number of a pattern's future, None when it is empty.
    pub fn enter(&mut self, chosen: &Chosen<'a>) -> Option<usize> {
        let (row, from) = (chosen.candidate.row, chosen.candidate.shape.end as usize);
        if from == row.len() {
            return None;
        }
        let sample = Sample::new(row, from);
        Some(self.find(&sample).unwrap_or_else(|| {
            let (number, samples) = (self.samples.len(), &mut self.samples);
            samples.push(sample);
            self.numbers.insert_unique(sample.hash, number, |&known| samples[known].hash);
            self.sums.push(ClassSum::default());
            number
        }))
    }

    /// Count in every recalled pattern that has one of the futures entered.
    pub fn gather(&mut self, recalled: &[Recalled], aligner: &mut Aligner) {
        if self.samples.is_empty() {
            return;
        }
        let wanted = Wanted::of(&self.samples);
        let mut hits = Vec::new();
        for (block, found) in self.blocks.iter().zip(recalled) {
            hits.clear();
            found.each(block.size, |hit| {
                if hit.lcs > 0 && wanted.events(block.keys(usize::from(hit.local))) > 0 {
                    hits.push(hit);
                }
            });
            in_batches(block, &hits, |batch| {
                for &hit in batch {
                    let events = wanted.events(block.keys(usize::from(hit.local)));
                    self.gather_one(block, hit, events, aligner);
                }
                true
            });
        }
    }

    /// The share of each future, by number; `whole` is the weight of the ensemble.
    pub fn shares(&mut self, whole: f64) -> Vec<FuturePotential> {
        let compared = self.query.compared();
        let share = |sum: &mut ClassSum| {
            let weight = sum.weight(compared);
            FuturePotential {
                aggregate_potential: if whole == 0.0 { 0.0 } else { weight / whole },
                supporting_patterns: sum.patterns(),
                total_weighted_frequency: weight,
            }
        };
        self.sums.iter_mut().map(share).collect()
    }

    /// The future of that number.
    pub fn sample(&self, number: usize) -> &Sample<'a> {
        &self.samples[number]
    }

    fn find(&self, sample: &Sample) -> Option<usize> {
        self.numbers.find(sample.hash, |&number| self.samples[number].is_same(sample)).copied()
    }

    /// Align a pattern only when it ends like a wanted future of up to `events` and has a match in the event before.
    fn gather_one(&mut self, block: &'a Block, hit: Hit, events: usize, aligner: &mut Aligner) {
        let row = block.row(usize::from(hit.local));
        if !self.ends_as_wanted(row, events) {
            return;
        }
        let shape = aligner.shape(self.query, row, hit.lcs);
        if (shape.end as usize) < row.len() {
            if let Some(number) = self.find(&Sample::new(row, shape.end as usize)) {
                self.sums[number].add(&hit, block.frequencies()[usize::from(hit.local)]);
            }
        }
    }

    fn ends_as_wanted(&self, row: Row<'_>, events: usize) -> bool {
        let mut hashes = SuffixHashes::new(row);
        for _ in 0..events {
            let (from, hash) = hashes.next_start();
            if from == 0 {
                return false;
            }
            if self.is_matched_before(row, from) && self.has_hash(hash) {
                return true;
            }
        }
        false
    }

    fn has_hash(&self, hash: u64) -> bool {
        self.numbers.find(hash, |&number| self.samples[number].hash == hash).is_some()
    }

    /// Whether the event before `from` holds a symbol of S: present has to end with a match.
    fn is_matched_before(&self, row: Row<'_>, from: usize) -> bool {
        from > 0 && row.symbols[row.event_start(from - 1)..from].iter().any(|&symbol| self.query.matches(symbol))
    }
}

/// Which suffix keys the wanted futures have, as bits, one for each key.
struct Wanted {
    one: Vec<u64>,
    more: Vec<u64>,
    longest: usize,
}

impl Wanted {
    fn of(samples: &[Sample]) -> Self {
        let mut wanted = Self { one: vec![0; 1024], more: vec![0; 1024], longest: 0 };
        for sample in samples {
            let events = sample.events().count();
            let mut hashes = SuffixHashes::new(sample.row);
            let one = hashes.next_start().1;
            if events == 1 {
                set(&mut wanted.one, one as u16);
            } else {
                set(&mut wanted.more, hashes.next_start().1 as u16);
            }
            wanted.longest = wanted.longest.max(events);
        }
        wanted
    }

    /// How many events a wanted future that ends with these keys can have; 0 when none ends so.
    #[inline(always)]
    fn events(&self, keys: [u16; 2]) -> usize {
        if is_set(&self.more, keys[1]) { self.longest } else { usize::from(is_set(&self.one, keys[0])) }
    }
}

fn set(bits: &mut [u64], key: u16) {
    bits[usize::from(key) / 64] |= 1 << (key % 64);
}

#[inline(always)]
fn is_set(bits: &[u64], key: u16) -> bool {
    bits[usize::from(key) / 64] >> (key % 64) & 1 != 0
}
