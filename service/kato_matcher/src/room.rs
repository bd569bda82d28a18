//! Room that a thread keeps from one prediction to the next, so that a query allocates little.

use crate::align::Aligner;
use crate::columns::Columns;
use crate::query::Tables;

/// All of it.
#[derive(Default)]
pub struct Room {
    /// Positions of S.
    pub tables: Tables,
    /// Rows of the patterns of a block.
    pub columns: Columns,
    /// Counts of symbols.
    pub counter: Counter,
    /// Matching blocks.
    pub aligner: Aligner,
}

/// Counts of symbols, in a table over all symbol numbers.
#[derive(Default)]
pub struct Counter {
    counts: Vec<u32>,
    distinct: Vec<u32>,
}

impl Counter {
    /// Make room for symbol numbers below `bound`.
    pub fn fit(&mut self, bound: usize) {
        if self.counts.len() < bound {
            self.counts.resize(bound, 0);
        }
    }

    /// Count `symbols`; returns the distinct ones in the order of their first occurrence.
    pub fn distinct(&mut self, symbols: &[u32]) -> &[u32] {
        for symbol in self.distinct.drain(..) {
            self.counts[symbol as usize] = 0;
        }
        for &symbol in symbols {
            let count = &mut self.counts[symbol as usize];
            if *count == 0 {
                self.distinct.push(symbol);
            }
            *count += 1;
        }
        &self.distinct
    }

    /// The distinct symbols last counted, in the order of their first occurrence, with their counts.
    pub fn counted(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.distinct.iter().map(|&symbol| (symbol, self.count(symbol)))
    }

    /// How often a symbol was among those last counted.
    pub fn count(&self, symbol: u32) -> u32 {
        self.counts[symbol as usize]
    }

    /// How many of `symbols` were among those last counted.
    pub fn held(&self, symbols: &[u32]) -> usize {
        symbols.iter().filter(|&&symbol| self.count(symbol) > 0).count()
    }
}
