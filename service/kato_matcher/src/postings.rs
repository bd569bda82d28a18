//! Postings of one block: for each symbol, which patterns hold it and at which positions.
//!
//! `block` keeps them current; `recall` runs a state over them, one symbol after the other, without reading a pattern
//! (matcher.md, points 1 and 2). Patterns of up to 64 symbols have one word each, longer ones several.

use rustc_hash::FxHashMap;

use crate::bits::{self, Word};
use crate::grow;

/// Patterns in a block: local numbers are 16 bits.
pub const BLOCK: usize = 1 << 16;

const DENSE_FROM: usize = 256; // smaller blocks are fast anyway
const DENSE_SHARE: usize = 8; // a symbol in more than 1/8 of a block gets a column
const SPARSE_SHARE: usize = 24; // and loses it below 1/24

/// One word per pattern of a block.
pub type Column<W> = [W; BLOCK];

/// Where one symbol stands: sorted local numbers with their masks, or a mask for every pattern.
enum List<W> {
    Sparse { locals: Vec<u16>, masks: Vec<W> },
    Dense { masks: Vec<W>, held: usize },
}

/// Postings of a block of patterns that fit one word.
#[derive(Default)]
pub struct WordPostings<W> {
    lists: FxHashMap<u32, List<W>>,
}

impl<W: Word> List<W> {
    fn put(&mut self, local: usize, mask: W, patterns: usize) {
        match self {
            List::Sparse { locals, masks } => {
                let at = match locals.last() {
                    Some(&last) if usize::from(last) >= local => locals.partition_point(|&l| usize::from(l) < local),
                    _ => locals.len(),
                };
                grow::insert(locals, at, local as u16);
                grow::insert(masks, at, mask);
                if patterns >= DENSE_FROM && locals.len() * DENSE_SHARE > patterns {
                    self.densify(patterns);
                }
            }
            List::Dense { masks, held } => {
                if masks.len() <= local {
                    grow::resize(masks, local + 1, W::default());
                }
                masks[local] = mask;
                *held += 1;
                if *held * SPARSE_SHARE < patterns {
                    self.thin();
                }
            }
        }
    }

    /// Take a pattern out; true when it was the last.
    fn take(&mut self, local: usize) -> bool {
        match self {
            List::Sparse { locals, masks } => {
                if let Ok(at) = locals.binary_search(&(local as u16)) {
                    locals.remove(at);
                    masks.remove(at);
                }
                locals.is_empty()
            }
            List::Dense { masks, held } => {
                if let Some(mask) = masks.get_mut(local) {
                    *held -= usize::from(*mask != W::default());
                    *mask = W::default();
                }
                *held == 0
            }
        }
    }

    fn densify(&mut self, patterns: usize) {
        if let List::Sparse { locals, masks } = self {
            let mut column = vec![W::default(); patterns];
            for (&local, &mask) in locals.iter().zip(masks.iter()) {
                column[usize::from(local)] = mask;
            }
            *self = List::Dense { masks: column, held: locals.len() };
        }
    }

    fn thin(&mut self) {
        if let List::Dense { masks, .. } = self {
            let held = |(local, &mask): (usize, &W)| (mask != W::default()).then_some((local as u16, mask));
            let (locals, masks) = masks.iter().enumerate().filter_map(held).unzip();
            *self = List::Sparse { locals, masks };
        }
    }
}

impl<W: Word> WordPostings<W> {
    /// Enter the pattern `local` with its symbols; `patterns` is how many the block has then.
    pub fn add(&mut self, local: usize, row: &[u32], patterns: usize) {
        for (place, &symbol) in row.iter().enumerate() {
            if !row[..place].contains(&symbol) {
                let bit = |at: usize| if row[at] == symbol { W::bit(at) } else { W::default() };
                let mask = (place..row.len()).map(bit).fold(W::default(), W::or);
                let empty = || List::Sparse { locals: Vec::new(), masks: Vec::new() };
                self.lists.entry(symbol).or_insert_with(empty).put(local, mask, patterns);
            }
        }
    }

    /// Take the pattern `local` out.
    pub fn remove(&mut self, local: usize, row: &[u32]) {
        for &symbol in row {
            if self.lists.get_mut(&symbol).is_some_and(|list| list.take(local)) {
                self.lists.remove(&symbol);
            }
        }
    }

    /// How many patterns hold `symbol`.
    pub fn held(&self, symbol: u32) -> usize {
        match self.lists.get(&symbol) {
            None => 0,
            Some(List::Sparse { locals, .. }) => locals.len(),
            Some(List::Dense { held, .. }) => *held,
        }
    }

    /// Let every pattern of `column` take a step with `symbol`.
    #[inline(always)]
    pub fn step(&self, symbol: u32, column: &mut Column<W>) {
        match self.lists.get(&symbol) {
            None => {}
            Some(List::Sparse { locals, masks }) => {
                for (&local, &mask) in locals.iter().zip(masks) {
                    let word = &mut column[usize::from(local)];
                    *word = word.step(mask);
                }
            }
            Some(List::Dense { masks, .. }) => {
                for (word, &mask) in column.iter_mut().zip(masks) {
                    *word = word.step(mask);
                }
            }
        }
    }

    /// Call `visit` with each pattern that holds `symbol` and its mask there.
    #[inline(always)]
    pub fn each(&self, symbol: u32, mut visit: impl FnMut(usize, W)) {
        match self.lists.get(&symbol) {
            None => {}
            Some(List::Sparse { locals, masks }) => {
                for (&local, &mask) in locals.iter().zip(masks) {
                    visit(usize::from(local), mask);
                }
            }
            Some(List::Dense { masks, .. }) => {
                for (local, &mask) in masks.iter().enumerate() {
                    if mask != W::default() {
                        visit(local, mask);
                    }
                }
            }
        }
    }

    /// Set the bits in `found` of the patterns where a symbol of `second` follows right after one of `first`.
    ///
    /// `column` is room, all zero before and after.
    #[inline(always)]
    pub fn follow(&self, first: &[u32], second: &[u32], column: &mut Column<W>, found: &mut [u64]) {
        for symbol in first {
            match self.lists.get(symbol) {
                Some(List::Dense { masks, .. }) => {
                    column.iter_mut().zip(masks).for_each(|(word, &mask)| *word = word.or(mask));
                }
                _ => self.each(*symbol, |local, mask| column[local] = column[local].or(mask)),
            }
        }
        for symbol in second {
            match self.lists.get(symbol) {
                Some(List::Dense { masks, .. }) => follow_dense(column, masks, found),
                _ => self.each(*symbol, |local, mask| {
                    found[local / 64] |= u64::from(column[local].is_before(mask)) << (local % 64);
                }),
            }
        }
        for symbol in first {
            match self.lists.get(symbol) {
                Some(List::Dense { masks, .. }) => column[..masks.len()].fill(W::default()),
                _ => self.each(*symbol, |local, _| column[local] = W::default()),
            }
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        let lists: usize = self
            .lists
            .values()
            .map(|list| match list {
                List::Sparse { locals, masks } => locals.capacity() * 2 + masks.capacity() * size_of::<W>(),
                List::Dense { masks, .. } => masks.capacity() * size_of::<W>(),
            })
            .sum();
        lists + self.lists.capacity() * (size_of::<(u32, List<W>)>() + 1)
    }
}

#[inline(always)]
fn follow_dense<W: Word>(column: &Column<W>, masks: &[W], found: &mut [u64]) {
    for ((words, masks), bits) in column.chunks(64).zip(masks.chunks(64)).zip(found) {
        let mut follows = [0; 64];
        for ((follow, word), &mask) in follows.iter_mut().zip(words).zip(masks) {
            *follow = u8::from(word.is_before(mask));
        }
        *bits |= bits::equal_bytes(&follows, 1);
    }
}

/// Where one symbol stands in long patterns: an entry per word that is not empty, sorted by (pattern, word).
#[derive(Default)]
struct WideList {
    locals: Vec<u16>,
    words: Vec<u16>,
    masks: Vec<u64>,
}

/// Postings of a block of patterns of more than 64 symbols, `words` words each.
#[derive(Default)]
pub struct WidePostings {
    words: usize,
    lists: FxHashMap<u32, WideList>,
}

impl WidePostings {
    /// Postings for patterns of `size` symbols.
    pub fn new(size: usize) -> Self {
        Self { words: size.div_ceil(64), lists: FxHashMap::default() }
    }

    /// Words of a pattern.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Enter the pattern `local` with its symbols.
    pub fn add(&mut self, local: usize, row: &[u32]) {
        for (place, &symbol) in row.iter().enumerate() {
            let key = (local as u16, (place / 64) as u16);
            let list = self.lists.entry(symbol).or_default();
            match list.search(key) {
                Ok(at) => list.masks[at] |= 1 << (place % 64),
                Err(at) => {
                    grow::insert(&mut list.locals, at, key.0);
                    grow::insert(&mut list.words, at, key.1);
                    grow::insert(&mut list.masks, at, 1 << (place % 64));
                }
            }
        }
    }

    /// Take the pattern `local` out.
    pub fn remove(&mut self, local: usize, row: &[u32]) {
        for &symbol in row {
            let Some(list) = self.lists.get_mut(&symbol) else { continue };
            let first = list.locals.partition_point(|&l| usize::from(l) < local);
            let after = list.locals.partition_point(|&l| usize::from(l) <= local);
            list.locals.drain(first..after);
            list.words.drain(first..after);
            list.masks.drain(first..after);
            if list.locals.is_empty() {
                self.lists.remove(&symbol);
            }
        }
    }

    /// Let every pattern of `column` (`words` words each) take a step with `symbol`.
    pub fn step(&self, symbol: u32, column: &mut [u64]) {
        let Some(list) = self.lists.get(&symbol) else { return };
        let mut at = 0;
        while at < list.locals.len() {
            let local = usize::from(list.locals[at]);
            let row = &mut column[local * self.words..(local + 1) * self.words];
            at = list.step_row(at, row);
        }
    }

    /// Set in `column` the positions where `symbol` stands.
    pub fn mark(&self, symbol: u32, column: &mut [u64]) {
        let Some(list) = self.lists.get(&symbol) else { return };
        for (at, &mask) in list.masks.iter().enumerate() {
            column[usize::from(list.locals[at]) * self.words + usize::from(list.words[at])] |= mask;
        }
    }

    /// Call `visit` with each pattern that begins with `symbol`.
    pub fn each_first(&self, symbol: u32, mut visit: impl FnMut(usize)) {
        let Some(list) = self.lists.get(&symbol) else { return };
        for (at, &local) in list.locals.iter().enumerate() {
            if list.words[at] == 0 && list.masks[at] & 1 != 0 {
                visit(usize::from(local));
            }
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        let entries: usize = self.lists.values().map(|list| list.locals.capacity()).sum();
        entries * (2 + 2 + 8) + self.lists.capacity() * (size_of::<(u32, WideList)>() + 1)
    }
}

impl WideList {
    fn search(&self, key: (u16, u16)) -> Result<usize, usize> {
        if self.locals.last().is_none_or(|&last| last < key.0) {
            return Err(self.locals.len());
        }
        let first = self.locals.partition_point(|&local| local < key.0);
        let after = self.locals.partition_point(|&local| local <= key.0);
        self.words[first..after].binary_search(&key.1).map(|at| first + at).map_err(|at| first + at)
    }

    /// Step one pattern's row by the entries from `at` on; returns where the next pattern's begin.
    fn step_row(&self, mut at: usize, row: &mut [u64]) -> usize {
        let local = self.locals[at];
        let mut carry = false;
        for (place, word) in row.iter_mut().enumerate().skip(usize::from(self.words[at])) {
            let mine = self.locals.get(at) == Some(&local);
            if !mine && !carry {
                break;
            }
            let mask = if mine && usize::from(self.words[at]) == place { self.masks[at] } else { 0 };
            at += usize::from(mask != 0);
            *word = bits::step_carry(*word, mask, &mut carry);
        }
        at
    }
}

#[cfg(test)]
mod tests;
