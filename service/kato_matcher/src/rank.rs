//! Which recalled patterns are predicted, in which order (engine.md, section 4; matcher.md, point 5).
//!
//! Called by `predict`. Patterns are visited by classes, those with the highest possible value first, and aligned only
//! while they can still enter the answer. A metric without a bound is computed for all.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::align::Aligner;
use crate::block::Block;
use crate::bounds;
use crate::columns::{Columns, runs};
use crate::futures::Futures;
use crate::metric::Metric;
use crate::metrics::{Candidate, Meter};
use crate::pattern::Name;
use crate::query::Query;
use crate::recall::{Hit, Recalled, in_batches};
use crate::room::Counter;

/// More than any rounding error of a bound, less than any difference worth a look.
const MARGIN: f64 = 1e-9;

/// A chosen pattern: number of its block, and how it matches.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    /// Number of the block.
    pub block: usize,
    /// The pattern.
    pub candidate: Candidate<'a>,
}

impl<'a> Chosen<'a> {
    fn new(block: usize, of: &'a Block, hit: Hit) -> Self {
        let local = usize::from(hit.local);
        let (row, frequency) = (of.row(local), of.frequencies()[local]);
        Self { block, candidate: Candidate { row, frequency, hit, shape: Default::default() } }
    }
}

/// The order of the answer: highest value first, equal ones by name.
struct Entry<'a> {
    value: f64,
    name: Name,
    chosen: Chosen<'a>,
}

impl Ord for Entry<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = other.value.partial_cmp(&self.value).unwrap_or(Ordering::Equal);
        by_value.then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Entry<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry<'_> {}

/// The best entries so far, the last of them on top.
struct Top<'a> {
    count: usize,
    heap: BinaryHeap<Entry<'a>>,
}

impl<'a> Top<'a> {
    fn new(count: usize) -> Self {
        Self { count, heap: BinaryHeap::new() }
    }

    /// The value that an entry has to reach.
    fn least(&self) -> f64 {
        if self.heap.len() < self.count { f64::NEG_INFINITY } else { self.heap.peek().map_or(0.0, |last| last.value) }
    }

    fn offer(&mut self, value: f64, name: &Name, chosen: Chosen<'a>) {
        if value < self.least() {
            return;
        }
        self.heap.push(Entry { value, name: *name, chosen });
        if self.heap.len() > self.count {
            self.heap.pop();
        }
    }

    fn into_sorted(self) -> Vec<Chosen<'a>> {
        self.heap.into_sorted_vec().into_iter().map(|entry| entry.chosen).collect()
    }
}

/// Recalled patterns of one block and one LCS, and the highest potential that they can have.
struct Part {
    bound: f64,
    at: usize,
    lcs: u32,
    has_run: Option<bool>,
}

/// Everything that ranking reads, and the room it works in.
pub struct Ranking<'a, 'r> {
    /// The question.
    pub query: &'a Query<'a>,
    /// All blocks.
    pub blocks: &'a [&'a Block],
    /// What they recalled.
    pub recalled: &'a [Recalled],
    /// The metrics.
    pub meter: &'a Meter<'a>,
    /// Room for alignments.
    pub aligner: &'r mut Aligner,
    /// Room for counts.
    pub counter: &'r mut Counter,
    /// Room for columns.
    pub columns: &'r mut Columns,
    /// Runs found, by block.
    pub known_runs: FxHashMap<usize, Option<Rc<[u64]>>>,
}

impl<'a> Ranking<'a, '_> {
    /// The first `max_predictions` of the recalled patterns, in order.
    pub fn chosen(&mut self) -> Vec<Chosen<'a>> {
        let parameters = self.query.parameters;
        let metric = parameters.rank_sort_algo;
        match metric {
            Metric::Potential if parameters.affinity_emotive.is_none() => self.by_potential(),
            Metric::PredictiveInformation => self.by_predictive_information(),
            _ => self.by_value(metric),
        }
    }

    /// Which patterns of a block have blocks of more than one symbol; made once for each block.
    fn runs(&mut self, at: usize) -> Option<Rc<[u64]>> {
        let (query, block, columns) = (self.query, self.blocks[at], &mut *self.columns);
        self.known_runs.entry(at).or_insert_with(|| runs(query, block, columns).map(Rc::from)).clone()
    }

    fn align(&mut self, chosen: &mut Chosen<'a>) {
        let candidate = &mut chosen.candidate;
        candidate.shape = self.aligner.shape(self.query, candidate.row, candidate.hit.lcs);
    }

    /// Groups of recalled patterns of one block and one LCS, the highest `bound` first.
    fn groups(&self, bound: impl Fn(&Block, u32) -> f64) -> Vec<(f64, usize, u32)> {
        let groups = self.meter.ensemble().groups.iter();
        let mut bounded: Vec<(f64, usize, u32)> =
            groups.map(|&(block, lcs)| (bound(self.blocks[block as usize], lcs), block as usize, lcs)).collect();
        bounded.sort_by(|a, b| b.0.total_cmp(&a.0));
        bounded
    }

    /// Any metric by its exact value, group by group while the group's bound allows.
    fn by_value(&mut self, metric: Metric) -> Vec<Chosen<'a>> {
        let mut top = Top::new(self.query.parameters.max_predictions);
        let observed = self.query.len();
        let compared = self.query.text.is_none().then_some(observed);
        for (bound, at, lcs) in self.groups(|block, lcs| bounds::of(metric, block.size, lcs, observed, compared)) {
            if bound < top.least() {
                break;
            }
            let block = self.blocks[at];
            self.recalled[at].each_of(lcs, block.size, None, |hit| {
                let mut chosen = Chosen::new(at, block, hit);
                if !metric.is_early() {
                    self.align(&mut chosen);
                }
                let value = self.value(metric, &chosen.candidate);
                top.offer(value, block.name(usize::from(hit.local)), chosen);
            });
        }
        let mut sorted = top.into_sorted();
        if metric.is_early() {
            sorted.iter_mut().for_each(|chosen| self.align(chosen));
        }
        sorted
    }

    fn value(&mut self, metric: Metric, candidate: &Candidate) -> f64 {
        let meter = self.meter;
        match metric {
            Metric::Similarity | Metric::BayesianLikelihood => meter.similarity(&candidate.hit),
            Metric::Frequency => f64::from(candidate.frequency),
            Metric::BayesianPrior => meter.prior(candidate.frequency),
            Metric::BayesianPosterior => meter.posterior(&candidate.hit, candidate.frequency),
            Metric::Evidence => meter.plain(candidate).evidence,
            Metric::Confidence => meter.plain(candidate).confidence,
            Metric::Snr => meter.plain(candidate).snr,
            Metric::Fragmentation => f64::from(candidate.shape.blocks) - 1.0,
            Metric::Entropy => meter.entropies(candidate.present(), self.counter).entropy,
            Metric::NormalizedEntropy => meter.entropies(candidate.present(), self.counter).normalized,
            Metric::GlobalNormalizedEntropy => meter.entropies(candidate.present(), self.counter).global,
            Metric::TfidfScore => meter.entropies(candidate.present(), self.counter).tfidf,
            Metric::ItfdfSimilarity => meter.itfdf(candidate, self.counter),
            Metric::Confluence => meter.confluence(candidate),
            Metric::PredictiveInformation => unreachable!("ranked with the futures at hand"),
            Metric::Potential => self.potential(candidate),
            Metric::WeightedSimilarity => self.weighted(candidate, |ratios| ratios.similarity),
            Metric::WeightedEvidence => self.weighted(candidate, |ratios| ratios.evidence),
            Metric::WeightedConfidence => self.weighted(candidate, |ratios| ratios.confidence),
            Metric::WeightedSnr => self.weighted(candidate, |ratios| ratios.snr),
        }
    }

    /// A weighted ratio, 0 when no emotive is set.
    fn weighted(&mut self, candidate: &Candidate, ratio: impl Fn(&crate::metrics::Ratios) -> f64) -> f64 {
        if self.query.parameters.affinity_emotive.is_none() {
            return 0.0;
        }
        let pairs = self.aligner.pairs(self.query, candidate.row);
        ratio(&self.meter.weighted(candidate, pairs, self.counter))
    }

    fn potential(&mut self, candidate: &Candidate) -> f64 {
        let ratios = if self.query.parameters.affinity_emotive.is_some() {
            let pairs = self.aligner.pairs(self.query, candidate.row);
            self.meter.weighted(candidate, pairs, self.counter)
        } else {
            self.meter.plain(candidate)
        };
        let itfdf = self.meter.itfdf(candidate, self.counter);
        self.meter.potential(&ratios, itfdf, candidate.shape.blocks)
    }

    /// Plain potential: bounds before the alignment, the cosine only for those that may enter.
    fn by_potential(&mut self) -> Vec<Chosen<'a>> {
        let count = self.query.parameters.max_predictions;
        let (mut least, mut near) = (Least::new(count), Vec::new());
        let frequency = self.meter.ensemble().frequency as f64;
        let mut hits = Vec::new();
        for Part { bound, at, lcs, has_run } in self.parts() {
            if bound < least.value() {
                break;
            }
            let (block, runs) = (self.blocks[at], has_run.and_then(|_| self.runs(at)));
            let only = runs.as_deref().map(|runs| (runs, has_run == Some(true)));
            hits.clear();
            self.recalled[at].each_of(lcs, block.size, only, |hit| hits.push(hit));
            in_batches(block, &hits, |batch| {
                for &hit in batch {
                    let mut chosen = Chosen::new(at, block, hit);
                    self.align(&mut chosen);
                    let candidate = &chosen.candidate;
                    let high = self.meter.potential(&self.meter.plain(candidate), 1.0, candidate.shape.blocks);
                    if high >= least.value() {
                        least.offer(high - f64::from(candidate.frequency) / frequency);
                        near.push((high, chosen));
                    }
                }
                bound >= least.value()
            });
        }
        self.best_of(near)
    }

    /// The best by potential among patterns with its upper bounds.
    fn best_of(&mut self, mut near: Vec<(f64, Chosen<'a>)>) -> Vec<Chosen<'a>> {
        let mut top = Top::new(self.query.parameters.max_predictions);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (high, chosen) in near {
            if high + MARGIN < top.least() {
                break;
            }
            let name = self.blocks[chosen.block].name(usize::from(chosen.candidate.hit.local));
            top.offer(self.potential(&chosen.candidate), name, chosen);
        }
        top.into_sorted()
    }

    /// The recalled patterns by block, LCS and, where it can be told, whether a block has more than one symbol.
    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for &(at, lcs) in &self.meter.ensemble().groups {
            let at = at as usize;
            let block = self.blocks[at];
            let bounds = bounds::Potential::new(self.query.len(), block.size, block.widest());
            let is_split = lcs > 1 && matches!(self.recalled[at], Recalled::Column { .. });
            let part = |bound, has_run| Part { bound, at, lcs, has_run };
            parts.push(part(bounds.whole(lcs), is_split.then_some(true)));
            if is_split {
                parts.push(part(bounds.scattered(lcs), Some(false)));
            }
        }
        parts.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        parts
    }

    /// Predictive information needs the share of every future: every recalled pattern is aligned.
    fn by_predictive_information(&mut self) -> Vec<Chosen<'a>> {
        let mut futures = Futures::new(self.query, self.blocks);
        let mut all = Vec::new();
        for (at, (block, found)) in self.blocks.iter().zip(self.recalled).enumerate() {
            found.each(block.size, |hit| {
                let mut chosen = Chosen::new(at, block, hit);
                self.align(&mut chosen);
                all.push((chosen, futures.add(&chosen)));
            });
        }
        let shares = futures.shares(self.meter.ensemble().weight);
        let mut top = Top::new(self.query.parameters.max_predictions);
        for (chosen, future) in all {
            let share = future.map_or(0.0, |future| shares[future].aggregate_potential);
            let value = self.meter.predictive_information(&chosen.candidate, share);
            top.offer(value, self.blocks[chosen.block].name(usize::from(chosen.candidate.hit.local)), chosen);
        }
        top.into_sorted()
    }
}

/// The least value that still enters, by lower bounds of those seen.
struct Least {
    count: usize,
    heap: BinaryHeap<Reverse<Total>>,
}

#[derive(PartialEq)]
struct Total(f64);

impl Eq for Total {}

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Least {
    fn new(count: usize) -> Self {
        Self { count, heap: BinaryHeap::new() }
    }

    #[inline]
    fn value(&self) -> f64 {
        match self.heap.peek() {
            Some(Reverse(Total(last))) if self.heap.len() == self.count => last - MARGIN,
            _ => f64::NEG_INFINITY,
        }
    }

    fn offer(&mut self, low: f64) {
        self.heap.push(Reverse(Total(low)));
        if self.heap.len() > self.count {
            self.heap.pop();
        }
    }
}
