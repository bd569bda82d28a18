//! The Ratcliff-Obershelp blocks of (P, S), as Python's difflib finds them with `autojunk=False` (engine.md, section 3).
//!
//! Called by `rank` for the patterns that can still enter the answer, and by `render`. The longest block comes first,
//! of equal ones the one earliest in P, then in S; then the same left and right of it. Pattern and state of up to 64
//! symbols work on bits, longer ones on lists.

use crate::bits::{ones, range};
use crate::pattern::Row;
use crate::query::Query;

/// What the blocks leave behind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// m: matched symbols.
    pub matched: u32,
    /// B: blocks, adjacent ones counted once.
    pub blocks: u32,
    /// Present: from the first matched symbol's event to the last one's, all of the pattern without a match.
    pub start: u32,
    /// End of present, exclusive.
    pub end: u32,
}

/// Room for the work, and the matched positions of the last alignment.
pub struct Aligner {
    pairs: Vec<(u32, u32)>,
    masks: [u64; 64],
    partners: [u8; 64],
    runs: [[u8; 64]; 2],
    open: Vec<Span>,
    rows: [Vec<u32>; 2],
}

/// Part of P (`a`) and of S (`b`) that is still to be aligned.
#[derive(Clone, Copy)]
struct Span {
    a: (usize, usize),
    b: (usize, usize),
}

/// `size` symbols of P from `a` on that match S from `b` on.
#[derive(Clone, Copy, Default)]
struct Match {
    a: usize,
    b: usize,
    size: usize,
}

impl Default for Aligner {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            masks: [0; 64],
            partners: [0; 64],
            runs: [[0; 64]; 2],
            open: Vec::new(),
            rows: [Vec::new(), Vec::new()],
        }
    }
}

impl Aligner {
    /// Align a pattern with the state; `lcs` is their LCS.
    pub fn shape(&mut self, query: &Query, row: Row<'_>, lcs: u32) -> Shape {
        if row.len() > 64 || query.len() > 64 {
            self.align_long(query, row);
            return self.shape_of_pairs(row);
        }
        let held = self.load(query, row);
        if lcs <= 1 {
            return single(row, held);
        }
        let matched = self.align_words(held, row.len(), query.len());
        self.shape_of_words(row, matched)
    }

    /// Align a pattern with the state and return the matched positions (in P, in S), ascending in both.
    pub fn pairs(&mut self, query: &Query, row: Row<'_>) -> &[(u32, u32)] {
        if row.len() > 64 || query.len() > 64 {
            self.align_long(query, row);
        } else {
            let held = self.load(query, row);
            let matched = self.align_words(held, row.len(), query.len());
            self.pairs.clear();
            self.pairs.extend(ones(matched).map(|at| (at as u32, u32::from(self.partners[at]))));
        }
        &self.pairs
    }

    /// Load the positions of S equal to each symbol of P; returns which symbols have any.
    #[inline(always)]
    fn load(&mut self, query: &Query, row: Row<'_>) -> u64 {
        let mut held = 0;
        for (at, &symbol) in row.symbols.iter().enumerate() {
            let mask = query.mask(symbol);
            self.masks[at] = mask;
            held |= u64::from(mask != 0) << at;
        }
        held
    }

    /// Align by the masks loaded; returns the matched positions of P, their partners are in `partners`.
    fn align_words(&mut self, held: u64, size: usize, state: usize) -> u64 {
        let mut matched = 0;
        self.open.clear();
        self.open.push(Span { a: (0, size), b: (0, state) });
        while let Some(span) = self.open.pop() {
            let found = self.longest_in_words(span, held);
            for step in 0..found.size {
                self.partners[found.a + step] = (found.b + step) as u8;
            }
            matched |= range(found.a, found.a + found.size);
            self.split(span, found);
        }
        matched
    }

    #[inline(always)]
    fn longest_in_words(&mut self, span: Span, held: u64) -> Match {
        let inside = range(span.b.0, span.b.1);
        let mut best = Match::default();
        let (mut before, mut before_at, mut current) = (0u64, usize::MAX, 0);
        for at in ones(held & range(span.a.0, span.a.1)) {
            let mask = self.masks[at] & inside;
            if at != before_at.wrapping_add(1) {
                before = 0;
            }
            let longer = (before << 1) & mask;
            for position in ones(mask) {
                let run = if longer >> position & 1 != 0 { self.runs[current][position - 1] + 1 } else { 1 };
                self.runs[1 - current][position] = run;
                if usize::from(run) > best.size {
                    let size = usize::from(run);
                    best = Match { a: at + 1 - size, b: position + 1 - size, size };
                }
            }
            (before, before_at, current) = (mask, at, 1 - current);
        }
        best
    }

    fn shape_of_words(&self, row: Row<'_>, matched: u64) -> Shape {
        let (mut blocks, mut next) = (0, (usize::MAX, 0));
        for at in ones(matched) {
            let partner = self.partners[at];
            blocks += u32::from((at, partner) != next);
            next = (at + 1, partner + 1);
        }
        let (first, last) = (matched.trailing_zeros() as usize, 63 - matched.leading_zeros() as usize);
        present(row, matched.count_ones(), blocks, first, last)
    }

    fn align_long(&mut self, query: &Query, row: Row<'_>) {
        self.pairs.clear();
        self.open.clear();
        self.open.push(Span { a: (0, row.len()), b: (0, query.len()) });
        for runs in &mut self.rows {
            runs.clear();
            runs.resize(query.len() + 1, 0);
        }
        while let Some(span) = self.open.pop() {
            let found = self.longest_in_lists(query, row.symbols, span);
            self.pairs.extend((0..found.size).map(|step| ((found.a + step) as u32, (found.b + step) as u32)));
            self.split(span, found);
        }
        self.pairs.sort_unstable();
    }

    /// `rows[..][position + 1]` is the length of the run that ends at `position`; all are 0 before and after.
    fn longest_in_lists(&mut self, query: &Query, symbols: &[u32], span: Span) -> Match {
        let mut best = Match::default();
        let [mut before, mut current] = std::mem::take(&mut self.rows);
        for at in span.a.0..span.a.1 {
            each_position(query, symbols[at], span.b, |position| {
                let run = before[position] + 1;
                current[position + 1] = run;
                if run as usize > best.size {
                    let size = run as usize;
                    best = Match { a: at + 1 - size, b: position + 1 - size, size };
                }
            });
            if at > span.a.0 {
                each_position(query, symbols[at - 1], span.b, |position| before[position + 1] = 0);
            }
            std::mem::swap(&mut before, &mut current);
        }
        if let Some(&last) = symbols[span.a.0..span.a.1].last() {
            each_position(query, last, span.b, |position| before[position + 1] = 0);
        }
        self.rows = [before, current];
        best
    }

    fn shape_of_pairs(&self, row: Row<'_>) -> Shape {
        let (Some(first), Some(last)) = (self.pairs.first(), self.pairs.last()) else {
            return Shape { end: row.len() as u32, ..Shape::default() };
        };
        let steps = self.pairs.windows(2).filter(|two| two[1] != (two[0].0 + 1, two[0].1 + 1)).count();
        present(row, self.pairs.len() as u32, steps as u32 + 1, first.0 as usize, last.0 as usize)
    }

    /// Leave what is left and right of a match to be aligned.
    #[inline(always)]
    fn split(&mut self, span: Span, found: Match) {
        if found.size == 0 {
            return;
        }
        if span.a.0 < found.a && span.b.0 < found.b {
            self.open.push(Span { a: (span.a.0, found.a), b: (span.b.0, found.b) });
        }
        let (a, b) = (found.a + found.size, found.b + found.size);
        if a < span.a.1 && b < span.b.1 {
            self.open.push(Span { a: (a, span.a.1), b: (b, span.b.1) });
        }
    }
}

/// The shape at an LCS of at most one: the first symbol of P that S has is the only match.
fn single(row: Row<'_>, held: u64) -> Shape {
    if held == 0 {
        return Shape { end: row.len() as u32, ..Shape::default() };
    }
    let first = held.trailing_zeros() as usize;
    present(row, 1, 1, first, first)
}

fn present(row: Row<'_>, matched: u32, blocks: u32, first: usize, last: usize) -> Shape {
    Shape { matched, blocks, start: row.event_start(first) as u32, end: row.event_end(last) as u32 }
}

/// Call `visit` with the positions of S inside `span` that are equal to a pattern symbol, ascending.
fn each_position(query: &Query, symbol: u32, span: (usize, usize), mut visit: impl FnMut(usize)) {
    if query.len() <= 64 {
        ones(query.mask(symbol) & range(span.0, span.1)).for_each(visit);
    } else {
        let positions = query.positions(symbol);
        let from = positions.partition_point(|&position| (position as usize) < span.0);
        for &position in positions[from..].iter().take_while(|&&position| (position as usize) < span.1) {
            visit(position as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use crate::input::{Events, Record};
    use crate::query::{Parameters, Tables};
    use proptest::prelude::*;

    /// The longest run of equal symbols, the earliest in P, then in S; the same left and right of it.
    fn defined(a: &[u32], b: &[u32], at: (u32, u32), found: &mut Vec<(u32, u32)>) {
        let run = |i: usize, j: usize| a[i..].iter().zip(&b[j..]).take_while(|(x, y)| x == y).count();
        let starts = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j)));
        let Some((size, i, j)) = starts.map(|(i, j)| (run(i, j), i, j)).rev().max_by_key(|&(size, ..)| size) else {
            return;
        };
        if size == 0 {
            return;
        }
        defined(&a[..i], &b[..j], at, found);
        found.extend((0..size as u32).map(|k| (at.0 + i as u32 + k, at.1 + j as u32 + k)));
        let after = (at.0 + (i + size) as u32, at.1 + (j + size) as u32);
        defined(&a[i + size..], &b[j + size..], after, found);
    }

    fn events(symbols: &[u32]) -> Events {
        Events::of(&symbols.iter().map(|symbol| vec![format!("s{symbol}")]).collect::<Vec<_>>())
    }

    fn check(pattern: &[u32], state: &[u32]) {
        let mut index = Index::default();
        index.put(&Record { name: [7; 20], events: events(pattern), frequency: 1, ..Record::default() });
        let (stm, parameters, mut tables) = (events(state), Parameters::default(), Tables::default());
        let query = Query::new(&index, &stm, &parameters, &mut tables);
        let (row, mut aligner) = (index.find(&[7; 20]).expect("put above").row, Aligner::default());
        let mut wanted = Vec::new();
        defined(pattern, state, (0, 0), &mut wanted);
        assert_eq!(aligner.pairs(&query, row), wanted);
        aligner.align_long(&query, row);
        assert_eq!(aligner.pairs, wanted);
        let shape = aligner.shape_of_pairs(row);
        assert_eq!(aligner.shape(&query, row, 2.min(wanted.len() as u32)), shape);
        assert_eq!(shape.matched as usize, wanted.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn blocks_are_as_defined(pattern in prop::collection::vec(0u32..4, 1..20), state in prop::collection::vec(0u32..5, 0..20)) {
            check(&pattern, &state);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn long_blocks_are_as_defined(pattern in prop::collection::vec(0u32..9, 50..90), state in prop::collection::vec(0u32..9, 50..90)) {
            check(&pattern, &state);
        }
    }
}
