//! What comes in from Python: events as text, records, learnings. Owned, so that the work needs no Python.

use crate::pattern::Name;

/// Events as text: all symbols in one string.
#[derive(Clone, Default)]
pub struct Events {
    text: String,
    ends: Vec<usize>,
    lengths: Vec<usize>,
}

impl Events {
    /// Events given as lists of symbols.
    #[cfg(test)]
    pub fn of<S: AsRef<str>>(events: &[Vec<S>]) -> Self {
        let mut found = Self::default();
        for event in events {
            found.open();
            event.iter().for_each(|symbol| found.push(symbol.as_ref()));
        }
        found
    }

    /// Begin the next event.
    pub fn open(&mut self) {
        self.lengths.push(0);
    }

    /// Add a symbol to the last event.
    pub fn push(&mut self, symbol: &str) {
        self.text.push_str(symbol);
        self.ends.push(self.text.len());
        if let Some(length) = self.lengths.last_mut() {
            *length += 1;
        }
    }

    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Number of symbols of each event.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The symbol at flat position `place`.
    pub fn symbol(&self, place: usize) -> &str {
        let from = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.text[from..self.ends[place]]
    }

    /// All symbols in order.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.symbol(place))
    }
}

/// Name -> value pairs of one observation's emotives.
pub type NamedEmotives = Vec<(String, f64)>;

/// A pattern, or one learning of it: frequency 1 and the emotives, affinity and metadata of that learning.
#[derive(Clone, Default)]
pub struct Record {
    /// The pattern's name.
    pub name: Name,
    /// Its events; each has a symbol at least, and there is one at least.
    pub events: Events,
    /// How often it was learned.
    pub frequency: u32,
    /// Emotive dictionaries, oldest first.
    pub emotives: Vec<NamedEmotives>,
    /// Affinity sums in units of 2^-32.
    pub affinity: Vec<(String, i128)>,
    /// Metadata, in any order.
    pub metadata: Vec<(String, Vec<String>)>,
}
