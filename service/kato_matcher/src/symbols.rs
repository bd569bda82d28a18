//! The symbols of a KB: their numbers, their texts and their statistics (engine.md, section 1).
//!
//! A symbol has a number while some pattern holds it. The rest of the crate works on numbers; they never show in an
//! answer, so the order in which symbols come changes nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

const AFFINITY_ONE: f64 = 4_294_967_296.0; // 2^32
const LEAST_WEIGHT: f64 = 0.01;

/// The affinity of one symbol for one emotive. `holders` patterns have the emotive; `sum` is in units of 2^-32.
struct Affinity {
    emotive: u32,
    sum: i128,
    holders: u32,
}

/// One symbol's text and counts. `patterns` is `pattern_member_frequency`.
#[derive(Default)]
struct Entry {
    text: Box<str>,
    chars: u32,
    patterns: u32,
    frequency: u64,
    affinity: Vec<Affinity>,
}

/// All symbols of a KB, by number and by text.
#[derive(Default)]
pub struct Symbols {
    entries: Vec<Entry>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
    hasher: RandomState,
}

impl Symbols {
    /// The number of a known symbol.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(text), |&n| &*self.entries[n as usize].text == text).copied()
    }

    /// The number of a symbol, a new one when it is unknown. It stays only if `count` follows.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        self.entries[number as usize] =
            Entry { text: text.into(), chars: text.chars().count() as u32, ..Entry::default() };
        let (hasher, entries) = (&self.hasher, &self.entries);
        self.numbers.insert_unique(hasher.hash_one(text), number, |&n| hasher.hash_one(&*entries[n as usize].text));
        number
    }

    /// Numbers in use are below this.
    pub fn bound(&self) -> usize {
        self.entries.len()
    }

    /// V of engine.md: the number of distinct symbols.
    pub fn distinct(&self) -> usize {
        self.numbers.len()
    }

    /// The numbers in use, in no order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.numbers.iter().copied()
    }

    /// A symbol's text.
    pub fn text(&self, number: u32) -> &str {
        &self.entries[number as usize].text
    }

    /// Length of a symbol's text in characters.
    pub fn chars(&self, number: u32) -> usize {
        self.entries[number as usize].chars as usize
    }

    /// Occurrences over all learnings.
    pub fn frequency(&self, number: u32) -> u64 {
        self.entries[number as usize].frequency
    }

    /// Distinct patterns that hold the symbol; 0 for a number beyond the bound, which a query gives to unknown ones.
    pub fn patterns(&self, number: u32) -> u32 {
        self.entries.get(number as usize).map_or(0, |entry| entry.patterns)
    }

    /// The affinity weight `|affinity| / 2^32 / frequency + 0.01`; 0.01 for an unknown symbol or emotive.
    pub fn weight(&self, number: u32, emotive: Option<u32>) -> f64 {
        let found = emotive.and_then(|emotive| {
            let entry = self.entries.get(number as usize)?;
            let at = entry.affinity.binary_search_by_key(&emotive, |affinity| affinity.emotive).ok()?;
            Some(entry.affinity[at].sum.unsigned_abs() as f64 / AFFINITY_ONE / entry.frequency as f64)
        });
        found.map_or(LEAST_WEIGHT, |weight| weight + LEAST_WEIGHT)
    }

    /// A symbol's affinity for each emotive that a pattern with it has, as floats.
    pub fn affinity(&self, number: u32) -> impl Iterator<Item = (u32, f64)> + '_ {
        let affinity = &self.entries[number as usize].affinity;
        affinity.iter().map(|affinity| (affinity.emotive, affinity.sum as f64 / AFFINITY_ONE))
    }

    /// Count one more pattern that holds the symbol.
    pub fn hold(&mut self, number: u32) {
        self.entries[number as usize].patterns += 1;
    }

    /// Count one pattern less that holds the symbol; its text stays until `drop_unused`.
    pub fn release(&mut self, number: u32) {
        self.entries[number as usize].patterns -= 1;
    }

    /// Add occurrences, or take them back.
    pub fn occur(&mut self, number: u32, times: i64) {
        let entry = &mut self.entries[number as usize];
        entry.frequency = entry.frequency.wrapping_add_signed(times);
    }

    /// Change the affinity for `emotive` by `sum`, and the number of patterns that have it by `holders` (-1, 0 or 1).
    pub fn feel(&mut self, number: u32, emotive: u32, sum: i128, holders: i32) {
        let affinity = &mut self.entries[number as usize].affinity;
        match affinity.binary_search_by_key(&emotive, |affinity| affinity.emotive) {
            Ok(at) => {
                let found = &mut affinity[at];
                found.sum += sum;
                found.holders = found.holders.wrapping_add_signed(holders);
                if found.holders == 0 {
                    affinity.remove(at);
                }
            }
            Err(at) => affinity.insert(at, Affinity { emotive, sum, holders: 1 }),
        }
    }

    /// Set every count to zero; `drop_unused` belongs after they are counted again.
    pub fn reset(&mut self) {
        for entry in &mut self.entries {
            (entry.patterns, entry.frequency) = (0, 0);
            entry.affinity.clear();
        }
    }

    /// Forget those of `numbers` that no pattern holds.
    pub fn drop_unused(&mut self, numbers: &[u32]) {
        for &number in numbers {
            if self.patterns(number) == 0 {
                self.forget(number);
            }
        }
    }

    /// Bytes in use, texts included.
    pub fn memory(&self) -> usize {
        let texts: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        let affinities: usize = self.entries.iter().map(|entry| entry.affinity.capacity()).sum();
        self.entries.capacity() * size_of::<Entry>()
            + self.numbers.allocation_size()
            + texts
            + affinities * size_of::<Affinity>()
    }

    fn forget(&mut self, number: u32) {
        let hash = self.hasher.hash_one(&*self.entries[number as usize].text);
        if let Ok(found) = self.numbers.find_entry(hash, |&n| n == number) {
            found.remove();
            self.entries[number as usize] = Entry::default();
            self.free.push(number);
        }
    }
}

/// Names of emotives by number, kept until the KB is cleared.
#[derive(Default)]
pub struct EmotiveNames {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl EmotiveNames {
    /// Numbers in use are below this.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of a known emotive.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The number of an emotive, a new one when it is unknown.
    pub fn intern(&mut self, name: &str) -> u32 {
        self.find(name).unwrap_or_else(|| {
            let number = self.names.len() as u32;
            self.names.push(name.into());
            self.numbers.insert(name.into(), number);
            number
        })
    }

    /// An emotive's name.
    pub fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lives_while_a_pattern_holds_the_symbol() {
        let mut symbols = Symbols::default();
        let (a, b) = (symbols.intern("a"), symbols.intern("b"));
        symbols.hold(a);
        symbols.hold(b);
        assert_eq!((symbols.intern("a"), symbols.distinct()), (a, 2));
        symbols.release(a);
        symbols.drop_unused(&[a, b]);
        assert_eq!((symbols.find("a"), symbols.distinct()), (None, 1));
        assert_eq!(symbols.intern("c"), a);
        assert_eq!(symbols.text(a), "c");
    }

    #[test]
    fn weights_follow_the_formula() {
        let mut symbols = Symbols::default();
        let a = symbols.intern("a");
        symbols.hold(a);
        symbols.occur(a, 4);
        symbols.feel(a, 7, -(3 << 32), 1);
        assert_eq!(symbols.weight(a, Some(7)), 3.0 / 4.0 + 0.01);
        assert_eq!(symbols.weight(a, Some(8)), 0.01);
        assert_eq!(symbols.weight(9, Some(7)), 0.01);
        symbols.feel(a, 7, 3 << 32, -1);
        assert_eq!(symbols.affinity(a).count(), 0);
    }
}
