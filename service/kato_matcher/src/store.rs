//! Where patterns are: blocks by length, and a place for each name.
//!
//! Called by `index`. Patterns of one length are numbered without holes: the last one moves where one is removed.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use crate::block::Block;
use crate::pattern::{Name, Row};
use crate::postings::BLOCK;

/// Where a pattern is: its length and its number among the patterns of that length.
#[derive(Clone, Copy, PartialEq)]
pub struct Place {
    size: u32,
    number: u32,
}

/// All patterns.
#[derive(Default)]
pub struct Store {
    segments: BTreeMap<u32, Vec<Block>>,
    places: HashTable<Place>,
}

impl Place {
    fn new(size: u32, block: usize, local: usize) -> Self {
        Self { size, number: (block * BLOCK + local) as u32 }
    }

    fn block(self) -> usize {
        self.number as usize / BLOCK
    }

    fn local(self) -> usize {
        self.number as usize % BLOCK
    }
}

impl Store {
    /// All blocks, shortest patterns first.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.segments.values().flatten()
    }

    /// Where the pattern of that name is.
    pub fn find(&self, name: &Name) -> Option<Place> {
        self.places.find(hash(name), |&place| self.name(place) == name).copied()
    }

    /// The block of a place and the pattern's number there.
    pub fn at(&self, place: Place) -> (&Block, usize) {
        (&self.segments[&place.size][place.block()], place.local())
    }

    /// Change a pattern's frequency.
    pub fn set_frequency(&mut self, place: Place, frequency: u32) {
        self.block(place.size, place.block()).set_frequency(place.local(), frequency);
    }

    /// Enter a new pattern; it counts from `commit` on.
    pub fn stage(&mut self, name: Name, row: Row<'_>, frequency: u32) -> Place {
        let block = self.open_block(row.len());
        block.stage(name, row, frequency);
        let local = block.len();
        let place = Place::new(row.len() as u32, self.segments[&(row.len() as u32)].len() - 1, local);
        self.enter(&name, place);
        place
    }

    /// Put a pattern into the columns alone; `rebuild` has to follow.
    pub fn restore(&mut self, name: Name, row: Row<'_>, frequency: u32) {
        self.open_block(row.len()).restore(name, row, frequency);
    }

    /// Make the pattern staged at `place` count.
    pub fn commit(&mut self, place: Place) {
        self.block(place.size, place.block()).commit();
    }

    /// Take a pattern out of all that is derived; `remove` has to follow.
    pub fn unindex(&mut self, place: Place) {
        let last = self.last(place.size);
        let name = *self.name(place);
        self.leave(&name, place);
        self.block(last.size, last.block()).unindex_last();
        if last != place {
            let moved = *self.name(last);
            self.leave(&moved, last);
            self.enter(&moved, place);
            let (symbols, starts) = self.copy(last);
            let row = Row { symbols: &symbols, starts: &starts };
            self.block(place.size, place.block()).reindex(place.local(), row);
        }
    }

    /// Take a pattern that is no longer indexed out of the columns; the last one moves to its place.
    pub fn remove(&mut self, place: Place) {
        let last = self.last(place.size);
        let (name, frequency) = (*self.name(last), self.at(last).0.frequencies()[last.local()]);
        let (symbols, starts) = self.copy(last);
        self.block(last.size, last.block()).pop();
        if last != place {
            let row = Row { symbols: &symbols, starts: &starts };
            self.block(place.size, place.block()).overwrite(place.local(), name, row, frequency);
        }
        self.drop_empty(place.size);
    }

    /// Make all that is derived anew from the columns.
    pub fn rebuild(&mut self) {
        for blocks in self.segments.values_mut() {
            blocks.iter_mut().for_each(Block::rebuild);
        }
        for size in self.segments.keys().copied().collect::<Vec<_>>() {
            self.drop_empty(size);
        }
        self.places.clear();
        let places: Vec<(Name, Place)> = self.all_places().collect();
        for (name, place) in places {
            self.enter(&name, place);
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.places.allocation_size() + self.blocks().map(Block::memory).sum::<usize>()
    }

    fn all_places(&self) -> impl Iterator<Item = (Name, Place)> + '_ {
        self.segments.iter().flat_map(|(&size, blocks)| {
            blocks.iter().enumerate().flat_map(move |(at, block)| {
                (0..block.len()).map(move |local| (*block.name(local), Place::new(size, at, local)))
            })
        })
    }

    fn name(&self, place: Place) -> &Name {
        let (block, local) = self.at(place);
        block.name(local)
    }

    fn last(&self, size: u32) -> Place {
        let blocks = &self.segments[&size];
        Place::new(size, blocks.len() - 1, blocks[blocks.len() - 1].len() - 1)
    }

    fn copy(&self, place: Place) -> (Vec<u32>, Vec<u64>) {
        let (block, local) = self.at(place);
        let row = block.row(local);
        (row.symbols.to_vec(), row.starts.to_vec())
    }

    /// The last block of a length, a new one when it is full.
    fn open_block(&mut self, size: usize) -> &mut Block {
        let blocks = self.segments.entry(size as u32).or_default();
        if blocks.last().is_none_or(Block::is_full) {
            blocks.push(Block::new(size));
        }
        blocks.last_mut().expect("pushed when there was none")
    }

    fn block(&mut self, size: u32, at: usize) -> &mut Block {
        let blocks = self.segments.get_mut(&size).expect("a place has a segment");
        &mut blocks[at]
    }

    fn enter(&mut self, name: &Name, place: Place) {
        let segments = &self.segments;
        let hash_of = |known: &Place| hash(segments[&known.size][known.block()].name(known.local()));
        self.places.insert_unique(hash(name), place, hash_of);
    }

    fn leave(&mut self, name: &Name, place: Place) {
        if let Ok(entry) = self.places.find_entry(hash(name), |&known| known == place) {
            entry.remove();
        }
    }

    fn drop_empty(&mut self, size: u32) {
        if let Some(blocks) = self.segments.get_mut(&size) {
            blocks.retain(|block| block.len() > 0);
            if blocks.is_empty() {
                self.segments.remove(&size);
            }
        }
    }
}

/// Names are SHA-1: any eight bytes are as good as a hash.
fn hash(name: &Name) -> u64 {
    u64::from_le_bytes([name[0], name[1], name[2], name[3], name[4], name[5], name[6], name[7]])
}
