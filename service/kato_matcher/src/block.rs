//! Up to 65,536 patterns of one length: their columns and their postings.
//!
//! Called by `index`, which decides what goes where. The columns up to `len` are the truth; postings and suffix keys
//! are made from them and can be made again.

use crate::grow;
use crate::pattern::{Name, Row, SuffixHashes};
use crate::postings::{BLOCK, WidePostings, WordPostings};

/// The postings of a block, by the word that its patterns need.
pub enum Postings {
    /// |P| <= 16.
    Narrow(WordPostings<u16>),
    /// |P| <= 32.
    Middle(WordPostings<u32>),
    /// |P| <= 64.
    Full(WordPostings<u64>),
    /// Any |P| above.
    Wide(WidePostings),
}

/// Patterns of `size` symbols.
pub struct Block {
    /// |P|.
    pub size: usize,
    /// Where each symbol stands.
    pub postings: Postings,
    len: usize,
    widest: usize,
    symbols: Vec<u32>,
    starts: Vec<u64>,
    frequencies: Vec<u32>,
    names: Vec<Name>,
    keys: Vec<[u16; 2]>,
}

impl Postings {
    fn new(size: usize) -> Self {
        match size {
            0..=16 => Self::Narrow(WordPostings::default()),
            17..=32 => Self::Middle(WordPostings::default()),
            33..=64 => Self::Full(WordPostings::default()),
            _ => Self::Wide(WidePostings::new(size)),
        }
    }

    fn add(&mut self, local: usize, row: &[u32], patterns: usize) {
        match self {
            Self::Narrow(postings) => postings.add(local, row, patterns),
            Self::Middle(postings) => postings.add(local, row, patterns),
            Self::Full(postings) => postings.add(local, row, patterns),
            Self::Wide(postings) => postings.add(local, row),
        }
    }

    fn remove(&mut self, local: usize, row: &[u32]) {
        match self {
            Self::Narrow(postings) => postings.remove(local, row),
            Self::Middle(postings) => postings.remove(local, row),
            Self::Full(postings) => postings.remove(local, row),
            Self::Wide(postings) => postings.remove(local, row),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Narrow(postings) => postings.memory(),
            Self::Middle(postings) => postings.memory(),
            Self::Full(postings) => postings.memory(),
            Self::Wide(postings) => postings.memory(),
        }
    }
}

impl Block {
    /// An empty block for patterns of `size` symbols.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            postings: Postings::new(size),
            len: 0,
            widest: 1,
            symbols: Vec::new(),
            starts: Vec::new(),
            frequencies: Vec::new(),
            names: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No event of the block's patterns has more symbols.
    pub fn widest(&self) -> usize {
        self.widest
    }

    /// Whether no pattern fits any more.
    pub fn is_full(&self) -> bool {
        self.len == BLOCK
    }

    /// One pattern.
    #[inline]
    pub fn row(&self, local: usize) -> Row<'_> {
        let words = self.size.div_ceil(64);
        Row {
            symbols: &self.symbols[local * self.size..(local + 1) * self.size],
            starts: &self.starts[local * words..(local + 1) * words],
        }
    }

    /// Read the first and the last symbol of some patterns at once, so that their rows come from memory together.
    #[inline]
    pub fn touch(&self, locals: impl Iterator<Item = usize>) {
        let ends = locals.map(|local| self.symbols[local * self.size] ^ self.symbols[(local + 1) * self.size - 1]);
        std::hint::black_box(ends.fold(0, |all, end| all ^ end));
    }

    /// The frequencies of all patterns.
    pub fn frequencies(&self) -> &[u32] {
        &self.frequencies[..self.len]
    }

    /// Change one pattern's frequency.
    pub fn set_frequency(&mut self, local: usize, frequency: u32) {
        self.frequencies[local] = frequency;
    }

    /// One pattern's name.
    #[inline]
    pub fn name(&self, local: usize) -> &Name {
        &self.names[local]
    }

    /// The low 16 bits of the hashes of one pattern's last event and of its last two events.
    #[inline]
    pub fn keys(&self, local: usize) -> [u16; 2] {
        self.keys[local]
    }

    /// Write a pattern behind the last one; it counts from `commit` on.
    pub fn stage(&mut self, name: Name, row: Row<'_>, frequency: u32) {
        self.write(name, row, frequency);
        self.index(self.len);
    }

    /// Write a pattern behind the last one, so that it counts; `rebuild` has to follow.
    pub fn restore(&mut self, name: Name, row: Row<'_>, frequency: u32) {
        self.write(name, row, frequency);
        self.commit();
    }

    /// Make the staged pattern count.
    pub fn commit(&mut self) {
        self.len += 1;
    }

    /// Take the last pattern out of the postings; `pop` takes it out of the columns.
    pub fn unindex_last(&mut self) {
        let row = &self.symbols[(self.len - 1) * self.size..self.len * self.size];
        self.postings.remove(self.len - 1, row);
        self.keys.truncate(self.len - 1);
    }

    /// Take one pattern out of the postings and enter `symbols` in its place; `overwrite` does it in the columns.
    pub fn reindex(&mut self, local: usize, other: Row<'_>) {
        let row = &self.symbols[local * self.size..(local + 1) * self.size];
        self.postings.remove(local, row);
        self.postings.add(local, other.symbols, self.len);
        self.keys[local] = keys_of(other);
        self.widest = self.widest.max(widest_of(other));
    }

    /// Remove the last pattern from the columns.
    pub fn pop(&mut self) {
        self.len -= 1;
        self.truncate();
    }

    /// Put another pattern in the place of one, in the columns.
    pub fn overwrite(&mut self, local: usize, name: Name, row: Row<'_>, frequency: u32) {
        let words = row.starts.len();
        self.symbols[local * self.size..(local + 1) * self.size].copy_from_slice(row.symbols);
        self.starts[local * words..(local + 1) * words].copy_from_slice(row.starts);
        self.names[local] = name;
        self.frequencies[local] = frequency;
    }

    /// Make postings and keys anew from the columns.
    pub fn rebuild(&mut self) {
        self.truncate();
        self.keys.clear();
        self.postings = Postings::new(self.size);
        for local in 0..self.len {
            self.index(local);
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.symbols.capacity() * 4
            + self.starts.capacity() * 8
            + self.frequencies.capacity() * 4
            + self.names.capacity() * size_of::<Name>()
            + self.keys.capacity() * 4
            + self.postings.memory()
    }

    fn write(&mut self, name: Name, row: Row<'_>, frequency: u32) {
        self.truncate();
        grow::extend(&mut self.symbols, row.symbols);
        grow::extend(&mut self.starts, row.starts);
        grow::push(&mut self.frequencies, frequency);
        grow::push(&mut self.names, name);
    }

    fn index(&mut self, local: usize) {
        let row = &self.symbols[local * self.size..(local + 1) * self.size];
        self.postings.add(local, row, local + 1);
        let (keys, widest) = (keys_of(self.row(local)), widest_of(self.row(local)));
        grow::push(&mut self.keys, keys);
        self.widest = self.widest.max(widest);
    }

    /// Drop what was staged and not committed.
    fn truncate(&mut self) {
        self.symbols.truncate(self.len * self.size);
        self.starts.truncate(self.len * self.size.div_ceil(64));
        self.frequencies.truncate(self.len);
        self.names.truncate(self.len);
        self.keys.truncate(self.len);
    }
}

fn widest_of(row: Row<'_>) -> usize {
    row.events(0, row.len()).map(<[u32]>::len).max().unwrap_or(1)
}

fn keys_of(row: Row<'_>) -> [u16; 2] {
    let mut hashes = SuffixHashes::new(row);
    let (start, one) = hashes.next_start();
    let two = if start > 0 { hashes.next_start().1 } else { one };
    [one as u16, two as u16]
}
