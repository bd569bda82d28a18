//! The answer as JSON, written at once: the twin of `kato_service/engine/answer.py`, which describes the form.
//!
//! Called by `predict` with the chosen patterns, best first.

use crate::align::Aligner;
use crate::block::Block;
use crate::floats::similarity_of;
use crate::futures::{FuturePotential, Futures};
use crate::json::Json;
use crate::metrics::{Candidate, Meter, unequal};
use crate::pattern::Name;
use crate::query::Query;
use crate::rank::Chosen;
use crate::room::Counter;
use crate::text::TextPattern;

/// Everything that rendering reads, and the room it works in.
pub struct Renderer<'a, 'r> {
    /// The question.
    pub query: &'a Query<'a>,
    /// All blocks.
    pub blocks: &'a [&'a Block],
    /// The metrics.
    pub meter: &'a Meter<'a>,
    /// Room for alignments.
    pub aligner: &'r mut Aligner,
    /// Room for counts.
    pub counter: &'r mut Counter,
}

impl Renderer<'_, '_> {
    /// `{"predictions": [...], "future_potentials": [...]}`.
    pub fn answer(
        &mut self,
        chosen: &[(Chosen, Option<usize>)],
        futures: &Futures,
        shares: &[FuturePotential],
    ) -> Vec<u8> {
        let mut json = Json::with_capacity(2048 * chosen.len() + 64);
        json.raw("{\"predictions\":");
        json.list(chosen, |json, (chosen, future)| {
            let share = future.map_or(0.0, |number| shares[number].aggregate_potential);
            let name = *self.blocks[chosen.block].name(usize::from(chosen.candidate.hit.local));
            self.prediction(json, &name, &chosen.candidate, share);
        });
        json.raw(",\"future_potentials\":");
        self.futures(&mut json, futures, shares);
        json.raw("}");
        json.into_bytes()
    }

    fn prediction(&mut self, json: &mut Json, name: &Name, candidate: &Candidate, share: f64) {
        let pairs = self.aligner.pairs(self.query, candidate.row);
        json.raw("{\"type\":\"prototypical\",\"name\":");
        json.hex(name);
        metrics(
            json,
            self.meter,
            candidate,
            pairs,
            share,
            self.query.parameters.affinity_emotive.is_some(),
            self.counter,
        );
        self.extras(json, name);
        self.lists(json, candidate);
        self.anomalies(json, candidate);
        json.raw("}");
    }

    fn extras(&self, json: &mut Json, name: &Name) {
        let extras = self.query.index.extras(name);
        let emotives = &self.query.index.emotives;
        let mut means: Vec<(&str, f64)> = extras.map_or_else(Vec::new, |extras| {
            extras.means().into_iter().map(|(emotive, mean)| (emotives.name(emotive), mean)).collect()
        });
        means.sort_unstable_by_key(|mean| mean.0);
        json.raw(",\"emotives\":");
        json.object(means, |json, (name, mean)| {
            json.key(name);
            json.float(mean);
        });
        json.raw(",\"metadata\":");
        json.object(extras.map_or(&[][..], |extras| &extras.metadata), |json, (name, values)| {
            json.key(name);
            json.list(values, |json, value| json.string(value));
        });
    }

    fn lists(&mut self, json: &mut Json, candidate: &Candidate) {
        let (query, row, shape) = (self.query, candidate.row, candidate.shape);
        let (start, end) = (shape.start as usize, shape.end as usize);
        let pairs = self.aligner.pairs(query, row);
        json.raw(",\"matches\":");
        json.list(pairs, |json, &(_, at)| json.string(query.symbol(query.state[at as usize])));
        let mut matched: Vec<u32> = pairs.iter().map(|&(_, at)| query.state[at as usize]).collect();
        matched.extend(unequal(pairs, row, &query.state).map(|(expected, _)| expected));
        self.counter.distinct(&matched);
        json.raw(",\"missing\":");
        events_without(json, query, row.events(start, end), |symbol| self.counter.count(symbol) > 0);
        let paired = unequal(pairs, row, &query.state).map(|(_, observed)| observed);
        let found: Vec<u32> = candidate.present().iter().copied().chain(paired).collect();
        self.counter.distinct(&found);
        json.raw(",\"extras\":");
        events_without(json, query, observed_events(query), |symbol| self.counter.count(symbol) > 0);
        for (key, from, to) in
            [("past", 0, start), ("present", start, end), ("future", end, row.len()), ("sequence", 0, row.len())]
        {
            json.raw(",\"");
            json.raw(key);
            json.raw("\":");
            events_without(json, query, row.events(from, to), |_| false);
        }
    }

    fn anomalies(&mut self, json: &mut Json, candidate: &Candidate) {
        let pairs = self.aligner.pairs(self.query, candidate.row);
        let query = self.query;
        json.raw(",\"anomalies\":");
        json.list(unequal(pairs, candidate.row, &query.state), |json, (expected, observed)| {
            let (expected, observed) = (query.symbol(expected), query.symbol(observed));
            json.raw("{\"observed\":");
            json.string(observed);
            json.raw(",\"expected\":");
            json.string(expected);
            json.raw(",\"similarity\":");
            json.float(text_similarity(observed, expected));
            json.raw("}");
        });
    }

    fn futures(&self, json: &mut Json, futures: &Futures, shares: &[FuturePotential]) {
        let texts = |number| -> Vec<Vec<&str>> {
            let events = futures.sample(number).events();
            events.map(|event| sorted_texts(event.iter().map(|&symbol| self.query.symbol(symbol)))).collect()
        };
        let mut shown: Vec<(Vec<Vec<&str>>, &FuturePotential)> =
            shares.iter().enumerate().map(|(number, share)| (texts(number), share)).collect();
        shown.sort_by(|a, b| {
            let by_share = b.1.aggregate_potential.total_cmp(&a.1.aggregate_potential);
            by_share.then_with(|| a.0.cmp(&b.0))
        });
        json.list(shown, |json, (events, share)| {
            json.raw("{\"future\":");
            json.list(events, |json, event| json.list(event, |json, symbol| json.string(symbol)));
            json.raw(",\"aggregate_potential\":");
            json.float(share.aggregate_potential);
            json.raw(",\"supporting_patterns\":");
            json.int(share.supporting_patterns);
            json.raw(",\"total_weighted_frequency\":");
            json.float(share.total_weighted_frequency);
            json.raw("}");
        });
    }
}

/// The numeric fields, in the order of `metrics.Metrics` in Python.
fn metrics(
    json: &mut Json,
    meter: &Meter,
    candidate: &Candidate,
    pairs: &[(u32, u32)],
    share: f64,
    is_weighted: bool,
    counter: &mut Counter,
) {
    let plain = meter.plain(candidate);
    let weighted = is_weighted.then(|| meter.weighted(candidate, pairs, counter));
    let entropies = meter.entropies(candidate.present(), counter);
    let itfdf = meter.itfdf(candidate, counter);
    json.raw(",\"frequency\":");
    json.int(candidate.frequency);
    json.field("similarity", plain.similarity);
    json.field("evidence", plain.evidence);
    json.field("confidence", plain.confidence);
    json.field("snr", plain.snr);
    json.raw(",\"fragmentation\":");
    json.int(i64::from(candidate.shape.blocks) - 1);
    json.field("entropy", entropies.entropy);
    json.field("normalized_entropy", entropies.normalized);
    json.field("global_normalized_entropy", entropies.global);
    json.field("itfdf_similarity", itfdf);
    json.field("confluence", meter.confluence(candidate));
    json.field("tfidf_score", entropies.tfidf);
    json.field("bayesian_prior", meter.prior(candidate.frequency));
    json.field("bayesian_likelihood", plain.similarity);
    json.field("bayesian_posterior", meter.posterior(&candidate.hit, candidate.frequency));
    json.field("predictive_information", meter.predictive_information(candidate, share));
    json.field("potential", meter.potential(weighted.as_ref().unwrap_or(&plain), itfdf, candidate.shape.blocks));
    json.field("weighted_similarity", weighted.map(|ratios| ratios.similarity));
    json.field("weighted_evidence", weighted.map(|ratios| ratios.evidence));
    json.field("weighted_confidence", weighted.map(|ratios| ratios.confidence));
    json.field("weighted_snr", weighted.map(|ratios| ratios.snr));
}

/// Events as lists, without the symbols that `is_left_out`.
fn events_without<'e>(
    json: &mut Json,
    query: &Query,
    events: impl Iterator<Item = &'e [u32]>,
    is_left_out: impl Fn(u32) -> bool,
) {
    json.list(events, |json, event| {
        let kept = event.iter().copied().filter(|&symbol| !is_left_out(symbol));
        json.list(kept, |json, symbol| json.string(query.symbol(symbol)));
    });
}

fn observed_events<'q>(query: &'q Query) -> impl Iterator<Item = &'q [u32]> {
    let mut at = 0;
    query.events.lengths().iter().map(move |length| {
        at += length;
        &query.state[at - length..at]
    })
}

fn sorted_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts
}

fn text_similarity(first: &str, second: &str) -> f64 {
    let pattern = TextPattern::new(first);
    similarity_of(pattern.common(second, &mut Vec::new()), pattern.chars() + second.chars().count())
}
