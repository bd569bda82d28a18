//! One prediction's question: the state S, what counts as equal to its symbols, and the session's parameters.
//!
//! Made by `predict`; every later step reads it. The tables are room that a thread keeps from one query to the next.

use crate::floats::similarity_of;
use crate::index::Index;
use crate::input::Events;
use crate::metric::Metric;
use crate::text::TextPattern;

/// The parameters of a session that matter here (engine.md, section 5).
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Least similarity, inclusive.
    pub recall_threshold: f64,
    /// Predictions in the answer, at most.
    pub max_predictions: usize,
    /// Token mode, or else character mode.
    pub use_token_matching: bool,
    /// Similarity from which two symbols count as equal; 0 for identity.
    pub fuzzy_token_threshold: f64,
    /// What predictions are ranked by.
    pub rank_sort_algo: Metric,
    /// The emotive of the weighted metrics.
    pub affinity_emotive: Option<String>,
    /// Least and greatest |P| / |S|, when the length filter is on.
    pub length_filter: Option<(Option<f64>, Option<f64>)>,
    /// Least share and least number of common distinct symbols, when the jaccard filter is on.
    pub jaccard_filter: Option<(Option<f64>, Option<u64>)>,
}

#[cfg(test)]
impl Default for Parameters {
    fn default() -> Self {
        Self {
            recall_threshold: 0.1,
            max_predictions: 100,
            use_token_matching: true,
            fuzzy_token_threshold: 0.0,
            rank_sort_algo: Metric::Potential,
            affinity_emotive: None,
            length_filter: None,
            jaccard_filter: None,
        }
    }
}

/// Positions of S that each pattern symbol counts as equal to.
#[derive(Default)]
pub struct Tables {
    slots: Vec<u32>,
    used: Vec<u32>,
    masks: Vec<u64>,
    positions: Vec<Vec<u32>>,
}

/// A state made ready.
pub struct Query<'a> {
    /// The knowledge base.
    pub index: &'a Index,
    /// The session's parameters.
    pub parameters: &'a Parameters,
    /// The STM as text.
    pub events: &'a Events,
    /// S as numbers; those from `index.symbols.bound()` on are unknown to the KB.
    pub state: Vec<u32>,
    /// The text of S and its length, in character mode.
    pub text: Option<TextPattern>,
    tables: &'a Tables,
    unknown: Vec<&'a str>,
    equals: Vec<u32>,
    ends: Vec<usize>,
}

impl Tables {
    fn clear(&mut self, symbols: usize) {
        for symbol in self.used.drain(..) {
            self.slots[symbol as usize] = 0;
        }
        if self.slots.len() < symbols {
            self.slots.resize(symbols, 0);
        }
        self.masks.clear();
        self.masks.push(0);
        self.positions.clear();
        self.positions.push(Vec::new());
    }

    fn enter(&mut self, symbol: u32, position: usize, long: bool) {
        let slot = &mut self.slots[symbol as usize];
        if *slot == 0 {
            *slot = self.masks.len() as u32;
            self.used.push(symbol);
            self.masks.push(0);
            self.positions.push(Vec::new());
        }
        let slot = *slot as usize;
        if long {
            self.positions[slot].push(position as u32);
        } else {
            self.masks[slot] |= 1 << position;
        }
    }
}

impl<'a> Query<'a> {
    /// Prepare `events` as a state of the KB.
    pub fn new(index: &'a Index, events: &'a Events, parameters: &'a Parameters, tables: &'a mut Tables) -> Self {
        let (state, unknown) = numbered(index, events);
        let (equals, ends) = equal_symbols(index, events, &state, parameters.fuzzy_token_threshold);
        tables.clear(index.symbols.bound() + unknown.len());
        let mut from = 0;
        for (position, &end) in ends.iter().enumerate() {
            for &symbol in &equals[from..end] {
                tables.enter(symbol, position, state.len() > 64);
            }
            from = end;
        }
        let text = (!parameters.use_token_matching).then(|| TextPattern::new(&joined(events)));
        Self { index, parameters, events, state, text, tables, unknown, equals, ends }
    }

    /// |S|.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Length of what similarity compares: |S|, or the length of the text of S.
    pub fn compared(&self) -> usize {
        self.text.as_ref().map_or(self.len(), TextPattern::chars)
    }

    /// A symbol's text, be it known to the KB or of S alone.
    pub fn symbol(&self, number: u32) -> &str {
        match (number as usize).checked_sub(self.index.symbols.bound()) {
            Some(at) => self.unknown[at],
            None => self.index.symbols.text(number),
        }
    }

    /// Numbers of symbols are below this.
    pub fn bound(&self) -> usize {
        self.index.symbols.bound() + self.unknown.len()
    }

    /// The pattern symbols that count as equal to S at `position`.
    #[inline]
    pub fn equals(&self, position: usize) -> &[u32] {
        let from = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.equals[from..self.ends[position]]
    }

    /// Whether fuzzy tokens are on.
    pub fn is_fuzzy(&self) -> bool {
        self.parameters.fuzzy_token_threshold > 0.0
    }

    /// The positions of S equal to a pattern symbol, as bits; for states of up to 64 symbols.
    #[inline(always)]
    pub fn mask(&self, symbol: u32) -> u64 {
        self.tables.masks[self.tables.slots[symbol as usize] as usize]
    }

    /// The positions of S equal to a pattern symbol, ascending; for states of more than 64 symbols.
    pub fn positions(&self, symbol: u32) -> &[u32] {
        &self.tables.positions[self.tables.slots[symbol as usize] as usize]
    }

    /// Whether a pattern symbol is equal to any of S.
    #[inline(always)]
    pub fn matches(&self, symbol: u32) -> bool {
        self.tables.slots[symbol as usize] != 0
    }
}

/// S as numbers: known symbols by theirs, unknown ones by the next free ones, each distinct text once.
fn numbered<'a>(index: &Index, events: &'a Events) -> (Vec<u32>, Vec<&'a str>) {
    let mut unknown: Vec<&str> = Vec::new();
    let mut fresh = std::collections::HashMap::new();
    let state = events
        .symbols()
        .map(|text| {
            index.symbols.find(text).unwrap_or_else(|| {
                *fresh.entry(text).or_insert_with(|| {
                    unknown.push(text);
                    (index.symbols.bound() + unknown.len() - 1) as u32
                })
            })
        })
        .collect();
    (state, unknown)
}

/// For each position of S the known symbols that count as equal, flat, and where each position's end.
fn equal_symbols(index: &Index, events: &Events, state: &[u32], threshold: f64) -> (Vec<u32>, Vec<usize>) {
    let (mut equals, mut ends) = (Vec::new(), Vec::new());
    let mut similar = std::collections::HashMap::new();
    for (position, &symbol) in state.iter().enumerate() {
        if threshold > 0.0 {
            let found: &Vec<u32> = similar
                .entry(symbol)
                .or_insert_with(|| similar_symbols(index, symbol, events.symbol(position), threshold));
            equals.extend_from_slice(found);
        } else if (symbol as usize) < index.symbols.bound() {
            equals.push(symbol);
        }
        ends.push(equals.len());
    }
    (equals, ends)
}

/// The known symbols that are identical with `text` or reach `threshold` by indel similarity.
fn similar_symbols(index: &Index, symbol: u32, text: &str, threshold: f64) -> Vec<u32> {
    let pattern = TextPattern::new(text);
    let mut row = Vec::new();
    let mut is_similar = |other: u32| {
        let chars = index.symbols.chars(other);
        let total = chars + pattern.chars();
        similarity_of(chars.min(pattern.chars()), total) >= threshold
            && similarity_of(pattern.common(index.symbols.text(other), &mut row), total) >= threshold
    };
    index.symbols.numbers().filter(|&other| other == symbol || is_similar(other)).collect()
}

fn joined(events: &Events) -> String {
    events.symbols().collect::<Vec<_>>().join(" ")
}
