//! The knowledge base: patterns, and everything that is counted over them.
//!
//! Called by the Python module for writes and by `predict` for reads. A write first changes what is derived (postings,
//! places, counts) and at last the truth (the columns up to each block's length, and the extras). When a write panics,
//! `repair` makes the derived part anew from the truth: the write has then not happened.

use rustc_hash::FxHashMap;

use crate::block::Block;
use crate::extras::Extras;
use crate::faults::Faults;
use crate::input::Record;
use crate::pattern::{Name, Row, starts_of};
use crate::store::{Place, Store};
use crate::symbols::{EmotiveNames, Symbols};
use crate::vectors::Vectors;

/// A knowledge base in memory.
#[derive(Default)]
pub struct Index {
    /// Symbols and their statistics.
    pub symbols: Symbols,
    /// Names of emotives.
    pub emotives: EmotiveNames,
    /// Learned vectors.
    pub vectors: Vectors,
    /// Where tests let it panic.
    pub faults: Faults,
    store: Store,
    extras: FxHashMap<Name, Extras>,
    counts: Counts,
}

/// The totals of engine.md, section 1.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// U: distinct patterns.
    pub patterns: usize,
    /// T: all learnings.
    pub frequencies: u64,
    /// Occurrences of all symbols over all learnings.
    pub symbol_frequencies: u64,
}

/// A pattern found by its name.
pub struct Found<'a> {
    /// Its symbols and events.
    pub row: Row<'a>,
    /// How often it was learned.
    pub frequency: u32,
    /// Emotives, affinity and metadata, when it has any.
    pub extras: Option<&'a Extras>,
}

impl Index {
    /// The totals.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// All blocks, shortest patterns first.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.store.blocks()
    }

    /// The names of all patterns, in no order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.blocks().flat_map(|block| (0..block.len()).map(|local| block.name(local)))
    }

    /// Emotives, affinity and metadata of a pattern, when it has any.
    pub fn extras(&self, name: &Name) -> Option<&Extras> {
        self.extras.get(name)
    }

    /// A pattern by its name.
    pub fn find(&self, name: &Name) -> Option<Found<'_>> {
        let (block, local) = self.store.at(self.store.find(name)?);
        Some(Found { row: block.row(local), frequency: block.frequencies()[local], extras: self.extras(name) })
    }

    /// Put a pattern as it stands, instead of one of that name.
    pub fn put(&mut self, record: &Record) {
        self.delete(&record.name);
        let extras = self.extras_of(record);
        self.insert(record, extras);
    }

    /// Fold one learning in; the events of the first learning stay.
    pub fn learn(&mut self, learning: &Record, persistence: usize) {
        let more = self.extras_of(learning);
        match self.store.find(&learning.name) {
            Some(place) => self.relearn(place, &learning.name, &more, persistence),
            None => self.insert(learning, Extras::default().learned(&more, persistence)),
        }
    }

    /// Forget a pattern; an unknown name changes nothing.
    pub fn delete(&mut self, name: &Name) {
        let Some(place) = self.store.find(name) else { return };
        let (block, local) = self.store.at(place);
        let (symbols, frequency) = (block.row(local).symbols.to_vec(), block.frequencies()[local]);
        self.count(&symbols, frequency, self.extras.get(name).cloned().as_ref(), -1);
        self.store.unindex(place);
        self.faults.pass("delete");
        self.extras.remove(name);
        self.store.remove(place);
        self.symbols.drop_unused(&symbols);
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        let faults = std::mem::take(&mut self.faults);
        *self = Self { faults, ..Self::default() };
    }

    /// Make all that is derived anew from the truth, after a write that did not end.
    pub fn repair(&mut self) {
        self.store.rebuild();
        self.symbols.reset();
        self.counts = Counts::default();
        let store = std::mem::take(&mut self.store);
        let extras = std::mem::take(&mut self.extras);
        for block in store.blocks() {
            for local in 0..block.len() {
                let found = extras.get(block.name(local));
                self.count(block.row(local).symbols, block.frequencies()[local], found, 1);
            }
        }
        (self.store, self.extras) = (store, extras);
        let numbers: Vec<u32> = self.symbols.numbers().collect();
        self.symbols.drop_unused(&numbers);
        self.extras.retain(|name, _| self.store.find(name).is_some());
    }

    /// Put a pattern into the truth alone; `repair` has to follow. None when its events or its frequency cannot be.
    pub fn restore(&mut self, name: Name, row: Row<'_>, frequency: u32) -> Option<()> {
        let last = row.starts.last()?.checked_shr(row.len() as u32 % 64).unwrap_or(0);
        let overhangs = row.len() % 64 != 0 && last != 0;
        if row.starts[0] & 1 == 0 || overhangs || frequency == 0 {
            return None;
        }
        self.store.restore(name, row, frequency);
        Some(())
    }

    /// Put a pattern's extras into the truth alone; `repair` has to follow.
    pub fn restore_extras(&mut self, name: Name, extras: Extras) {
        self.extras.insert(name, extras);
    }

    /// Bytes in use, by what they are used for.
    pub fn memory(&self) -> [(&'static str, usize); 4] {
        let extras: usize = self.extras.values().map(Extras::memory).sum();
        let slots = self.extras.capacity() * (size_of::<(Name, usize)>() + 1);
        [
            ("patterns", self.store.memory()),
            ("symbols", self.symbols.memory()),
            ("extras", extras + slots),
            ("vectors", self.vectors.memory()),
        ]
    }

    fn insert(&mut self, record: &Record, extras: Extras) {
        let symbols: Vec<u32> = record.events.symbols().map(|symbol| self.symbols.intern(symbol)).collect();
        let starts = starts_of(record.events.lengths().iter().copied(), symbols.len());
        let row = Row { symbols: &symbols, starts: &starts };
        let place = self.store.stage(record.name, row, record.frequency);
        self.faults.pass("insert");
        self.count(&symbols, record.frequency, Some(&extras), 1);
        self.store.commit(place);
        if !extras.is_empty() {
            self.extras.insert(record.name, extras);
        }
    }

    fn relearn(&mut self, place: Place, name: &Name, more: &Extras, persistence: usize) {
        let (block, local) = self.store.at(place);
        let (symbols, frequency) = (block.row(local).symbols.to_vec(), block.frequencies()[local]);
        let before = self.extras.get(name).cloned().unwrap_or_default();
        let after = before.learned(more, persistence);
        self.count(&symbols, frequency, Some(&before), -1);
        self.faults.pass("relearn");
        self.count(&symbols, frequency + 1, Some(&after), 1);
        self.store.set_frequency(place, frequency + 1);
        if !after.is_empty() {
            self.extras.insert(*name, after);
        }
    }

    /// Count a pattern in (`sign` 1) or out (-1), given as it is when it counts.
    fn count(&mut self, symbols: &[u32], frequency: u32, extras: Option<&Extras>, sign: i32) {
        let mut sorted = symbols.to_vec();
        sorted.sort_unstable();
        let learnings = i64::from(sign) * i64::from(frequency);
        for same in sorted.chunk_by(|a, b| a == b) {
            let symbol = same[0];
            self.symbols.occur(symbol, learnings * same.len() as i64);
            for &(emotive, sum) in extras.map_or(&[][..], |extras| &extras.affinity) {
                self.symbols.feel(symbol, emotive, i128::from(sign) * sum, sign);
            }
            if sign > 0 { self.symbols.hold(symbol) } else { self.symbols.release(symbol) }
        }
        self.counts.patterns = self.counts.patterns.wrapping_add_signed(sign as isize);
        self.counts.frequencies = self.counts.frequencies.wrapping_add_signed(learnings);
        let occurrences = learnings * symbols.len() as i64;
        self.counts.symbol_frequencies = self.counts.symbol_frequencies.wrapping_add_signed(occurrences);
    }

    fn extras_of(&mut self, record: &Record) -> Extras {
        let emotives = &mut self.emotives;
        let mut metadata: Vec<(Box<str>, Vec<Box<str>>)> = record
            .metadata
            .iter()
            .map(|(name, values)| (name.as_str().into(), values.iter().map(|value| value.as_str().into()).collect()))
            .collect();
        metadata.sort_unstable();
        Extras {
            window: record
                .emotives
                .iter()
                .map(|named| named.iter().map(|(name, value)| (emotives.intern(name), *value)).collect())
                .collect(),
            affinity: record.affinity.iter().map(|(name, sum)| (emotives.intern(name), *sum)).collect(),
            metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::input::Events;
    use crate::predict::predict;
    use crate::query::Parameters;
    use crate::room::Room;
    use crate::snapshot;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Learn(u8, Vec<String>),
        Delete(u8),
    }

    fn symbols() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop_oneof!["[a-c]", ".{0,3}"], 1..70)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..30, symbols()).prop_map(|(name, symbols)| Step::Learn(name, symbols)),
            1 => (0u8..30).prop_map(Step::Delete),
        ];
        prop::collection::vec(step, 1..40)
    }

    fn record(name: u8, symbols: &[String]) -> Record {
        let events: Vec<Vec<&String>> = symbols.chunks(2).map(|event| event.iter().collect()).collect();
        let affinity = if name % 2 == 0 { vec![("joy".into(), i128::from(name) - 9)] } else { Vec::new() };
        Record { name: [name; 20], events: Events::of(&events), frequency: 1, affinity, ..Record::default() }
    }

    fn run(index: &mut Index, step: &Step) {
        match step {
            Step::Learn(name, symbols) => index.learn(&record(*name, symbols), 5),
            Step::Delete(name) => index.delete(&[*name; 20]),
        }
    }

    /// Everything that can be asked of an index, symbols and names sorted.
    fn told(index: &Index, stm: &Events) -> (Vec<u8>, String) {
        let session =
            Parameters { affinity_emotive: Some("joy".into()), recall_threshold: 0.0, ..Parameters::default() };
        let mut symbols: Vec<_> = index.symbols.numbers().collect();
        symbols.sort_by_key(|&number| index.symbols.text(number));
        let told: Vec<_> = symbols
            .iter()
            .map(|&n| {
                (
                    index.symbols.text(n),
                    index.symbols.frequency(n),
                    index.symbols.affinity(n).map(|a| a.1.to_bits()).sum::<u64>(),
                )
            })
            .collect();
        let counts = index.counts();
        let counts = (counts.patterns, counts.frequencies, counts.symbol_frequencies);
        (predict(index, stm, &session, &mut Room::default()), format!("{told:?} {counts:?}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_panic_changes_nothing(steps in steps(), last in steps(), stm in symbols()) {
            let (mut index, stm) = (Index::default(), record(0, &stm).events);
            steps.iter().for_each(|step| run(&mut index, step));
            for (step, point) in last.iter().flat_map(|step| ["insert", "relearn", "delete", ""].map(|point| (step, point))) {
                let before = told(&index, &stm);
                index.faults.arm(point);
                if catch_unwind(AssertUnwindSafe(|| run(&mut index, step))).is_err() {
                    index.repair();
                    prop_assert_eq!(told(&index, &stm), before);
                }
            }
            let mut again = snapshot::read(&snapshot::write(&index)).expect("just written");
            prop_assert_eq!(told(&again, &stm), told(&index, &stm));
            again.clear();
            prop_assert_eq!(told(&again, &stm), told(&Index::default(), &stm));
        }
    }
}
