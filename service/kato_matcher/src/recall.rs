//! Which patterns a state recalls, and how similar each is (engine.md, section 3; matcher.md, points 1 to 3).
//!
//! Called by `predict`. Each block answers for itself: by a pass over the postings of S, or, where only much of S in
//! common is enough, by the patterns that hold one of its rare symbols.

use crate::bits::{Word, bytes_from, equal_bytes, ones};
use crate::block::{Block, Postings};
use crate::character::Texts;
use crate::columns::{Columns, run_wide, run_words};
use crate::floats::{least_common, similarity_of};
use crate::mutants::{self, Mutant};
use crate::postings::WordPostings;
use crate::query::Query;
use crate::room::Counter;

const FEW: usize = 16; // a block of which less than 1/16 is recalled lists them

const BATCH: usize = 32; // as many rows as a processor fetches side by side, and more

/// A recalled pattern of a block.
///
/// (`size`, `common`) is its class: |P| and the LCS, or in character mode the length of its text and the LCS in
/// characters. `lcs` bounds the number of matches in both modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Number in its block.
    pub local: u16,
    /// LCS in symbols.
    pub lcs: u32,
    /// Length of what is compared.
    pub size: u32,
    /// LCS of what is compared.
    pub common: u32,
}

/// The recalled patterns of one block.
pub enum Recalled {
    /// None at all.
    None,
    /// The LCS of every pattern; those from `least` on are recalled.
    Column {
        /// Least LCS.
        least: u8,
        /// LCS by local number.
        lcs: Vec<u8>,
    },
    /// Patterns one by one, sorted by `lcs`.
    Hits(Vec<Hit>),
}

impl Recalled {
    /// Whether nothing is recalled.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Call `visit` with each recalled pattern of the block, in no particular order.
    #[inline(always)]
    pub fn each(&self, size: usize, mut visit: impl FnMut(Hit)) {
        match self {
            Self::None => {}
            Self::Column { least, lcs } => each_from(lcs, *least, |local| visit(token_hit(local, lcs[local], size))),
            Self::Hits(hits) => hits.iter().copied().for_each(visit),
        }
    }

    /// Call `visit` with each pattern that may be recalled and whether it is: without a branch where most are.
    #[inline(always)]
    pub fn each_or_not(&self, size: usize, mut visit: impl FnMut(Hit, bool)) {
        match self {
            Self::Column { least, lcs } => {
                lcs.iter().enumerate().for_each(|(local, &lcs)| visit(token_hit(local, lcs, size), lcs >= *least));
            }
            _ => self.each(size, |hit| visit(hit, true)),
        }
    }

    /// Call `visit` with each recalled pattern of one `lcs`; of a column only with those whose bit is as `only` says.
    #[inline(always)]
    pub fn each_of(&self, wanted: u32, size: usize, only: Option<(&[u64], bool)>, mut visit: impl FnMut(Hit)) {
        match self {
            Self::None => {}
            Self::Column { lcs, .. } => {
                for (chunk, values) in lcs.chunks(64).enumerate() {
                    let allowed = only.map_or(!0, |(bits, is_set)| if is_set { bits[chunk] } else { !bits[chunk] });
                    if allowed != 0 {
                        let places = ones(equal_bytes(values, wanted as u8) & allowed);
                        places.for_each(|place| visit(token_hit(chunk * 64 + place, wanted as u8, size)));
                    }
                }
            }
            Self::Hits(hits) => {
                let first = hits.partition_point(|hit| hit.lcs < wanted);
                hits[first..].iter().copied().take_while(|hit| hit.lcs == wanted).for_each(visit);
            }
        }
    }
}

/// Call `visit` with patterns of a block, `BATCH` at a time, when their rows are at hand; it says whether to go on.
pub fn in_batches(block: &Block, hits: &[Hit], mut visit: impl FnMut(&[Hit]) -> bool) {
    for batch in hits.chunks(BATCH) {
        block.touch(batch.iter().map(|hit| usize::from(hit.local)));
        if !visit(batch) {
            return;
        }
    }
}

#[inline(always)]
fn each_from(lcs: &[u8], least: u8, mut visit: impl FnMut(usize)) {
    for (chunk, values) in lcs.chunks(64).enumerate() {
        ones(bytes_from(values, least)).for_each(|place| visit(chunk * 64 + place));
    }
}

#[inline(always)]
fn token_hit(local: usize, lcs: impl Into<u32>, size: usize) -> Hit {
    let lcs = lcs.into();
    Hit { local: local as u16, lcs, size: size as u32, common: lcs }
}

/// The recalled patterns of each block.
pub fn recall(query: &Query, columns: &mut Columns, counter: &mut Counter) -> Vec<Recalled> {
    let mut texts = query.text.as_ref().map(|text| Texts::new(text, &query.index.symbols));
    let recalled = query.index.blocks().map(|block| {
        if !length_fits(query, block.size) {
            return Recalled::None;
        }
        let found = if query.len() == 1 { by_first_symbol(query, block) } else { by_threshold(query, block, columns) };
        let found = if let Some(texts) = &mut texts { by_text(query, block, &found, texts) } else { found };
        if query.parameters.jaccard_filter.is_some() { by_overlap(query, block, found, counter) } else { found }
    });
    recalled.collect()
}

/// A state of one symbol recalls the patterns that begin with it.
fn by_first_symbol(query: &Query, block: &Block) -> Recalled {
    fn first<W: Word>(postings: &WordPostings<W>, symbol: u32, visit: &mut impl FnMut(usize)) {
        postings.each(symbol, |local, mask| {
            if mask.has_first() {
                visit(local);
            }
        });
    }
    let mut hits = Vec::new();
    let mut visit = |local| hits.push(token_hit(local, 1u32, block.size));
    match &block.postings {
        Postings::Narrow(postings) => first(postings, query.state[0], &mut visit),
        Postings::Middle(postings) => first(postings, query.state[0], &mut visit),
        Postings::Full(postings) => first(postings, query.state[0], &mut visit),
        Postings::Wide(postings) => postings.each_first(query.state[0], visit),
    }
    Recalled::Hits(hits)
}

/// The least LCS that is recalled: by similarity in token mode, one symbol at least in character mode.
fn least_lcs(query: &Query, size: usize) -> Option<usize> {
    let threshold = query.parameters.recall_threshold;
    let most = size.min(query.len());
    if threshold == 0.0 {
        return Some(0);
    }
    if query.text.is_some() {
        return (most > 0).then_some(1);
    }
    let total = size + query.len();
    if mutants::is(Mutant::CeilLeast) {
        return Some((threshold * total as f64 / 2.0).ceil() as usize).filter(|&least| least <= most);
    }
    least_common(total, most, threshold).map(|least| least + usize::from(mutants::is(Mutant::HighLeast)))
}

fn by_threshold(query: &Query, block: &Block, columns: &mut Columns) -> Recalled {
    let Some(least) = least_lcs(query, block.size) else { return Recalled::None };
    match &block.postings {
        Postings::Narrow(postings) => by_words(query, block, postings, least, columns),
        Postings::Middle(postings) => by_words(query, block, postings, least, columns),
        Postings::Full(postings) => by_words(query, block, postings, least, columns),
        Postings::Wide(postings) => {
            let lcs = run_wide(query, block.len(), postings, columns);
            let hits = lcs.into_iter().enumerate().filter(|&(_, lcs)| lcs >= least as u32);
            sorted(hits.map(|(local, lcs)| token_hit(local, lcs, block.size)).collect())
        }
    }
}

fn by_words<W: Word>(
    query: &Query,
    block: &Block,
    postings: &WordPostings<W>,
    least: usize,
    columns: &mut Columns,
) -> Recalled
where
    Columns: AsMut<Option<Box<crate::postings::Column<W>>>>,
{
    if least > 1 && !query.is_fuzzy() && query.len() <= 64 {
        let mut held: Vec<(usize, u32)> = query.state.iter().map(|&symbol| (postings.held(symbol), symbol)).collect();
        if held.iter().filter(|(held, _)| *held > 0).count() < least {
            return Recalled::None;
        }
        held.sort_unstable();
        let rare = &held[..query.len() - least + usize::from(!mutants::is(Mutant::FewRare))];
        let visited: usize = rare.iter().map(|(held, _)| held).sum();
        let passed: usize = held.iter().map(|(held, _)| (*held).min(block.len() / 6)).sum();
        if visited * (40 + block.size) < passed + block.len() / 3 {
            return by_rare_symbols(query, block, postings, rare, least, columns);
        }
    }
    of_column(run_words(query, block.len(), postings, columns), least as u8, block.size)
}

/// A column, or where few of a block are recalled, these.
fn of_column(lcs: Vec<u8>, least: u8, size: usize) -> Recalled {
    let recalled = lcs.iter().filter(|&&lcs| lcs >= least).count();
    if recalled * FEW >= lcs.len() {
        return Recalled::Column { least, lcs };
    }
    let mut hits = Vec::with_capacity(recalled);
    each_from(&lcs, least, |local| hits.push(token_hit(local, lcs[local], size)));
    sorted(hits)
}

/// Look at the patterns that hold one of the `rare` symbols: any other misses too many symbols of S to be recalled.
fn by_rare_symbols<W: Word>(
    query: &Query,
    block: &Block,
    postings: &WordPostings<W>,
    rare: &[(usize, u32)],
    least: usize,
    columns: &mut Columns,
) -> Recalled {
    let seen = columns.seen(block.len());
    for &(_, symbol) in rare {
        postings.each(symbol, |local, _| seen[local / 64] |= 1 << (local % 64));
    }
    let mut hits = Vec::new();
    for (word, &bits) in seen.iter().enumerate() {
        for local in ones(bits).map(|place| word * 64 + place) {
            let row = block.row(local).symbols;
            let lcs = row.iter().fold(!0u64, |word, &symbol| word.step(query.mask(symbol))).zeros();
            if usize::from(lcs) >= least {
                hits.push(token_hit(local, lcs, block.size));
            }
        }
    }
    sorted(hits)
}

/// Character mode: compare the texts of the patterns found, and keep those that reach the threshold.
fn by_text(query: &Query, block: &Block, found: &Recalled, texts: &mut Texts) -> Recalled {
    let (compared, threshold) = (query.compared(), query.parameters.recall_threshold);
    let mut hits = Vec::new();
    found.each(block.size, |hit| {
        let (size, common) = texts.compare(block.row(usize::from(hit.local)).symbols);
        if query.len() == 1 || similarity_of(common, size + compared) >= threshold {
            hits.push(Hit { size: size as u32, common: common as u32, ..hit });
        }
    });
    sorted(hits)
}

/// The length filter: bounds on |P| / |S|, inclusive; the ratio to an empty state is infinite.
fn length_fits(query: &Query, size: usize) -> bool {
    let Some((least, most)) = query.parameters.length_filter else { return true };
    let ratio = if query.len() == 0 { f64::INFINITY } else { size as f64 / query.len() as f64 };
    least.is_none_or(|least| ratio >= least) && most.is_none_or(|most| ratio <= most)
}

/// The jaccard filter: bounds on the distinct identical symbols, their number and their share of all distinct ones.
fn by_overlap(query: &Query, block: &Block, found: Recalled, counter: &mut Counter) -> Recalled {
    let Some((share, number)) = query.parameters.jaccard_filter else { return found };
    let observed: Vec<u32> = counter.distinct(&query.state).to_vec();
    let mut hits = Vec::new();
    found.each(block.size, |hit| {
        let row = block.row(usize::from(hit.local)).symbols;
        let both = counter.distinct(row).len() + observed.len();
        let common = counter.held(&observed);
        let fits = share.is_none_or(|share| common as f64 / (both - common) as f64 >= share);
        if fits && number.is_none_or(|number| common as u64 >= number) {
            hits.push(hit);
        }
    });
    sorted(hits)
}

fn sorted(mut hits: Vec<Hit>) -> Recalled {
    hits.sort_by_key(|hit| hit.lcs);
    Recalled::Hits(hits)
}
