//! Every number of a prediction (engine.md, section 4), each by the expression that `kato_service/engine/metrics.py`
//! documents, in its order of operations.
//!
//! Called by `rank` for one metric at a time and by `render` for all.

use std::cell::RefCell;

use crate::align::Shape;
use crate::ensemble::{Ensemble, similarity};
use crate::floats::log2;
use crate::pattern::Row;
use crate::query::Query;
use crate::recall::Hit;
use crate::room::Counter;

/// A recalled pattern and how it matches.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its symbols and events.
    pub row: Row<'a>,
    /// f.
    pub frequency: u32,
    /// Its class.
    pub hit: Hit,
    /// Its blocks.
    pub shape: Shape,
}

impl<'a> Candidate<'a> {
    /// The symbols of present.
    pub fn present(&self) -> &'a [u32] {
        &self.row.symbols[self.shape.start as usize..self.shape.end as usize]
    }
}

/// The four ratios that exist plain and weighted by affinity.
#[derive(Clone, Copy)]
pub struct Ratios {
    /// similarity or weighted_similarity.
    pub similarity: f64,
    /// evidence or weighted_evidence.
    pub evidence: f64,
    /// confidence or weighted_confidence.
    pub confidence: f64,
    /// snr or weighted_snr.
    pub snr: f64,
}

/// The measures of the symbols of present.
#[derive(Clone, Copy)]
pub struct Entropies {
    /// entropy.
    pub entropy: f64,
    /// normalized_entropy.
    pub normalized: f64,
    /// global_normalized_entropy.
    pub global: f64,
    /// tfidf_score.
    pub tfidf: f64,
}

/// What all metrics of one query have in common.
pub struct Meter<'a> {
    query: &'a Query<'a>,
    ensemble: &'a Ensemble,
    observed: Vec<(u32, u64)>,
    observed_squares: u128,
    emotive: Option<u32>,
    weights: RefCell<Vec<f64>>,
    state_weight: f64,
    patterns: f64,
    vocabulary: usize,
}

impl<'a> Meter<'a> {
    /// Prepare the metrics of a query over its ensemble.
    pub fn new(query: &'a Query<'a>, ensemble: &'a Ensemble, counter: &mut Counter) -> Self {
        let symbols = &query.index.symbols;
        counter.distinct(&query.state);
        let holders = |symbol, count| u64::from(symbols.patterns(symbol)) * u64::from(count);
        let observed: Vec<(u32, u64)> =
            counter.counted().map(|(symbol, count)| (symbol, holders(symbol, count))).collect();
        let emotive = query.parameters.affinity_emotive.as_ref().and_then(|name| query.index.emotives.find(name));
        let mut meter = Self {
            query,
            ensemble,
            observed_squares: observed.iter().map(|&(_, value)| square(value)).sum(),
            observed,
            emotive,
            weights: RefCell::default(),
            state_weight: 0.0,
            patterns: query.index.counts().patterns as f64,
            vocabulary: symbols.distinct(),
        };
        if query.parameters.affinity_emotive.is_some() {
            meter.weights = RefCell::new(vec![f64::NAN; query.bound()]);
            meter.state_weight = meter.weigh(query.state.iter().copied());
        }
        meter
    }

    /// The sums of the ensemble.
    pub fn ensemble(&self) -> &Ensemble {
        self.ensemble
    }

    /// similarity and bayesian_likelihood.
    pub fn similarity(&self, hit: &Hit) -> f64 {
        similarity(hit, self.query.compared())
    }

    /// bayesian_prior: f / F.
    pub fn prior(&self, frequency: u32) -> f64 {
        f64::from(frequency) / self.ensemble.frequency as f64
    }

    /// bayesian_posterior: f * similarity / weight, 0 without weight.
    pub fn posterior(&self, hit: &Hit, frequency: u32) -> f64 {
        if self.ensemble.weight == 0.0 {
            return 0.0;
        }
        f64::from(frequency) * self.similarity(hit) / self.ensemble.weight
    }

    /// predictive_information: similarity * prior / A, 0 when A is 0.
    pub fn predictive_information(&self, candidate: &Candidate, share: f64) -> f64 {
        if share == 0.0 {
            return 0.0;
        }
        self.similarity(&candidate.hit) * self.prior(candidate.frequency) / share
    }

    /// The plain ratios.
    pub fn plain(&self, candidate: &Candidate) -> Ratios {
        let matched = candidate.shape.matched as usize;
        Ratios {
            similarity: self.similarity(&candidate.hit),
            evidence: matched as f64 / candidate.row.len() as f64,
            confidence: matched as f64 / candidate.present().len() as f64,
            snr: snr(matched, self.query.len()),
        }
    }

    /// The ratios weighted by affinity; `pairs` are the matched positions.
    pub fn weighted(&self, candidate: &Candidate, pairs: &[(u32, u32)], counter: &mut Counter) -> Ratios {
        let state = &self.query.state;
        counter.distinct(candidate.present());
        let paired: Vec<u32> = unequal(pairs, candidate.row, state).map(|(_, observed)| observed).collect();
        let is_extra = |symbol: &u32| counter.count(*symbol) == 0 && !paired.contains(symbol);
        let matched = self.weigh(pairs.iter().map(|&(_, at)| state[at as usize]));
        let extra = self.weigh(state.iter().copied().filter(is_extra));
        let pattern = self.weigh(candidate.row.symbols.iter().copied());
        let present = self.weigh(candidate.present().iter().copied());
        let total = matched + extra;
        Ratios {
            similarity: 2.0 * matched / (self.state_weight + pattern),
            evidence: matched / pattern,
            confidence: matched / present,
            snr: if total == 0.0 { 0.0 } else { matched / total },
        }
    }

    /// potential, of plain or weighted ratios.
    pub fn potential(&self, ratios: &Ratios, itfdf: f64, blocks: u32) -> f64 {
        let cohesion = if blocks == 0 { 0.0 } else { 1.0 / f64::from(blocks) };
        (ratios.evidence + ratios.confidence) * ratios.snr + itfdf + cohesion
    }

    /// entropy, the two normalized ones and tfidf_score.
    pub fn entropies(&self, present: &[u32], counter: &mut Counter) -> Entropies {
        let (mut entropy, mut global, mut tfidf) = (0.0, 0.0, 0.0);
        let distinct = counter.distinct(present).len() as f64;
        for (symbol, count) in counter.counted() {
            let share = f64::from(count) / present.len() as f64;
            let holders = f64::from(self.query.index.symbols.patterns(symbol));
            let spread = holders / self.patterns;
            entropy -= share * log2(share);
            global -= spread * log2(spread);
            tfidf += share * (log2(self.patterns / holders) + 1.0);
        }
        let tfidf = tfidf / distinct;
        if self.vocabulary < 2 {
            return Entropies { entropy, normalized: 0.0, global: 0.0, tfidf };
        }
        let base = log2(self.vocabulary as f64);
        Entropies { entropy, normalized: entropy / base, global: global / base, tfidf }
    }

    /// confluence: (f / T) * (1.0 - product of pr over the symbols of present).
    pub fn confluence(&self, candidate: &Candidate) -> f64 {
        let symbols = &self.query.index.symbols;
        let spread = |&symbol: &u32| f64::from(symbols.patterns(symbol)) / self.patterns;
        let product = candidate.present().iter().map(spread).fold(1.0, |product, spread| product * spread);
        f64::from(candidate.frequency) / self.query.index.counts().frequencies as f64 * (1.0 - product)
    }

    /// itfdf_similarity: 1.0 - distance * f / F.
    pub fn itfdf(&self, candidate: &Candidate, counter: &mut Counter) -> f64 {
        let distance = self.cosine_distance(candidate.present(), counter);
        1.0 - distance * f64::from(candidate.frequency) / self.ensemble.frequency as f64
    }

    /// The cosine distance of S and present; dot product and norms are exact integers.
    fn cosine_distance(&self, present: &[u32], counter: &mut Counter) -> f64 {
        let symbols = &self.query.index.symbols;
        counter.distinct(present);
        let value = |symbol, count| u64::from(symbols.patterns(symbol)) * u64::from(count);
        let squares: u128 = counter.counted().map(|(symbol, count)| square(value(symbol, count))).sum();
        let norms = self.observed_squares as f64 * squares as f64;
        if norms == 0.0 {
            return 1.0;
        }
        let product =
            |&(symbol, observed): &(u32, u64)| u128::from(observed) * u128::from(value(symbol, counter.count(symbol)));
        let dot: u128 = self.observed.iter().map(product).sum();
        1.0 - dot as f64 / norms.sqrt()
    }

    /// The sum of the affinity weights of symbols, in ascending order of the weights.
    fn weigh(&self, symbols: impl Iterator<Item = u32>) -> f64 {
        let known = &mut *self.weights.borrow_mut();
        let mut weights: Vec<f64> = symbols.map(|symbol| self.weight(symbol, &mut known[symbol as usize])).collect();
        weights.sort_unstable_by(f64::total_cmp);
        weights.iter().fold(0.0, |sum, weight| sum + weight)
    }

    /// The affinity weight of a symbol; `known` keeps it.
    fn weight(&self, symbol: u32, known: &mut f64) -> f64 {
        if known.is_nan() {
            *known = self.query.index.symbols.weight(symbol, self.emotive);
        }
        *known
    }
}

/// (2m - x) / (2m + x), 0 when both are 0.
pub fn snr(matched: usize, observed: usize) -> f64 {
    let (twice, extra) = (2 * matched as i64, (observed - matched) as i64);
    if twice + extra == 0 { 0.0 } else { (twice - extra) as f64 / (twice + extra) as f64 }
}

/// The matched pairs of different symbols, as (pattern symbol, observed symbol).
pub fn unequal<'a>(pairs: &'a [(u32, u32)], row: Row<'a>, state: &'a [u32]) -> impl Iterator<Item = (u32, u32)> + 'a {
    let symbols = pairs.iter().map(move |&(a, b)| (row.symbols[a as usize], state[b as usize]));
    symbols.filter(|(expected, observed)| expected != observed)
}

fn square(value: u64) -> u128 {
    u128::from(value) * u128::from(value)
}
