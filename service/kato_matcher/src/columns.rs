//! The pass over the postings: the LCS of a state with every pattern of a block at once (matcher.md, point 2).
//!
//! Called by `recall`. The loops are compiled twice on x86-64: for the baseline, and for processors with AVX2.

use crate::bits::{self, Word};
use crate::block::{Block, Postings};
use crate::postings::{BLOCK, Column, WidePostings, WordPostings};
use crate::query::Query;

/// Room for the rows of a block's patterns, kept from one block to the next.
#[derive(Default)]
pub struct Columns {
    narrow: Option<Box<Column<u16>>>,
    middle: Option<Box<Column<u32>>>,
    full: Option<Box<Column<u64>>>,
    wide: Vec<u64>,
    marks: Vec<u64>,
    seen: Vec<u64>,
}

macro_rules! column {
    ($($field:ident: $word:ty),*) => {$(
        impl AsMut<Option<Box<Column<$word>>>> for Columns {
            fn as_mut(&mut self) -> &mut Option<Box<Column<$word>>> {
                &mut self.$field
            }
        }
    )*};
}
column!(narrow: u16, middle: u32, full: u64);

impl Columns {
    /// A clear bit for each of `patterns`.
    pub fn seen(&mut self, patterns: usize) -> &mut [u64] {
        self.seen.clear();
        self.seen.resize(patterns.div_ceil(64), 0);
        &mut self.seen
    }
}

/// The LCS of S and each of the first `patterns` patterns of a block.
pub fn run_words<W: Word>(query: &Query, patterns: usize, postings: &WordPostings<W>, columns: &mut Columns) -> Vec<u8>
where
    Columns: AsMut<Option<Box<Column<W>>>>,
{
    let column = columns.as_mut().get_or_insert_with(fresh_column);
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has the features that the function is compiled for.
        return unsafe { run_words_avx2(query, patterns, postings, column) };
    }
    run_words_plain(query, patterns, postings, column)
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("popcnt")
}

/// # Safety
/// The processor has AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn run_words_avx2<W: Word>(
    query: &Query,
    patterns: usize,
    postings: &WordPostings<W>,
    column: &mut Column<W>,
) -> Vec<u8> {
    run_words_plain(query, patterns, postings, column)
}

#[inline(always)]
fn run_words_plain<W: Word>(
    query: &Query,
    patterns: usize,
    postings: &WordPostings<W>,
    column: &mut Column<W>,
) -> Vec<u8> {
    column[..patterns].fill(W::ONES);
    for position in 0..query.len() {
        match query.equals(position) {
            [] => {}
            &[symbol] => postings.step(symbol, column),
            symbols => step_any(postings, symbols, &mut column[..patterns]),
        }
    }
    column[..patterns].iter().map(|word| word.zeros()).collect()
}

/// A step with a symbol of S that counts as equal to several symbols.
fn step_any<W: Word>(postings: &WordPostings<W>, symbols: &[u32], column: &mut [W]) {
    let mut masks = vec![W::default(); column.len()];
    for &symbol in symbols {
        postings.each(symbol, |local, mask| masks[local] = masks[local].or(mask));
    }
    for (word, mask) in column.iter_mut().zip(masks) {
        *word = word.step(mask);
    }
}

/// The patterns of a block that hold two neighbours of S side by side, as bits: the others have blocks of one symbol.
///
/// None for patterns of more than 64 symbols.
pub fn runs(query: &Query, block: &Block, columns: &mut Columns) -> Option<Vec<u64>> {
    match &block.postings {
        Postings::Narrow(postings) => Some(runs_of(query, block.len(), postings, columns)),
        Postings::Middle(postings) => Some(runs_of(query, block.len(), postings, columns)),
        Postings::Full(postings) => Some(runs_of(query, block.len(), postings, columns)),
        Postings::Wide(_) => None,
    }
}

fn runs_of<W: Word>(query: &Query, patterns: usize, postings: &WordPostings<W>, columns: &mut Columns) -> Vec<u64>
where
    Columns: AsMut<Option<Box<Column<W>>>>,
{
    let column = columns.as_mut().get_or_insert_with(fresh_column);
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has the features that the function is compiled for.
        return unsafe { runs_avx2(query, patterns, postings, column) };
    }
    runs_plain(query, patterns, postings, column)
}

/// # Safety
/// The processor has AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn runs_avx2<W: Word>(
    query: &Query,
    patterns: usize,
    postings: &WordPostings<W>,
    column: &mut Column<W>,
) -> Vec<u64> {
    runs_plain(query, patterns, postings, column)
}

#[inline(always)]
fn runs_plain<W: Word>(query: &Query, patterns: usize, postings: &WordPostings<W>, column: &mut Column<W>) -> Vec<u64> {
    let mut found = vec![0; patterns.div_ceil(64)];
    column[..patterns].fill(W::default());
    for position in 1..query.len() {
        postings.follow(query.equals(position - 1), query.equals(position), column, &mut found);
    }
    found
}

/// The same for patterns of more than 64 symbols.
pub fn run_wide(query: &Query, patterns: usize, postings: &WidePostings, columns: &mut Columns) -> Vec<u32> {
    let (column, marks) = (&mut columns.wide, &mut columns.marks);
    let words = postings.words();
    column.clear();
    column.resize(patterns * words, !0);
    for position in 0..query.len() {
        match query.equals(position) {
            [] => {}
            &[symbol] => postings.step(symbol, column),
            symbols => {
                marks.clear();
                marks.resize(patterns * words, 0);
                symbols.iter().for_each(|&symbol| postings.mark(symbol, marks));
                for (row, mask) in column.chunks_mut(words).zip(marks.chunks(words)) {
                    bits::step_wide(row, mask);
                }
            }
        }
    }
    column.chunks(words).map(|row| bits::zeros(row) as u32).collect()
}

fn fresh_column<W: Word>() -> Box<Column<W>> {
    vec![W::default(); BLOCK].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("BLOCK words"))
}
