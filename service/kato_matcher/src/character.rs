//! Character mode: the LCS of a state's text with the texts of patterns, their symbols joined by single spaces.
//!
//! Called by `recall` for the patterns that share a symbol with the state. The texts of symbols are looked up once for
//! each query and symbol, as the rows of the state's masks that their characters have.

use crate::bits;
use crate::symbols::Symbols;
use crate::text::TextPattern;

/// Where a symbol's rows are; `from` is `UNKNOWN` until it is met.
#[derive(Clone, Copy)]
struct Span {
    from: u32,
    to: u32,
}

const UNKNOWN: Span = Span { from: u32::MAX, to: 0 };

/// The texts of a KB's symbols, as one state sees them.
pub struct Texts<'a> {
    state: &'a TextPattern,
    symbols: &'a Symbols,
    spans: Vec<Span>,
    rows: Vec<u32>,
    word_row: Vec<u64>,
}

impl<'a> Texts<'a> {
    /// None met yet.
    pub fn new(state: &'a TextPattern, symbols: &'a Symbols) -> Self {
        Self { state, symbols, spans: vec![UNKNOWN; symbols.bound()], rows: Vec::new(), word_row: Vec::new() }
    }

    /// Length of the text of a pattern, and of its LCS with the state's, in characters.
    pub fn compare(&mut self, row: &[u32]) -> (usize, usize) {
        let size = row.iter().map(|&symbol| self.symbols.chars(symbol)).sum::<usize>() + row.len() - 1;
        for &symbol in row {
            if self.spans[symbol as usize].from == UNKNOWN.from {
                self.meet(symbol);
            }
        }
        let space = self.state.row(' ');
        let spans = row.iter().map(|&symbol| self.spans[symbol as usize]);
        let pieces = spans.map(|span| &self.rows[span.from as usize..span.to as usize]);
        let common = if let Some(masks) = self.state.single() {
            let step = |word, &row: &u32| bits::step(word, masks[row as usize]);
            let word = pieces.enumerate().fold(!0u64, |word, (at, piece)| {
                piece.iter().fold(if at == 0 { word } else { step(word, &space) }, step)
            });
            word.count_zeros() as usize
        } else {
            let rows = pieces.enumerate().flat_map(|(at, piece)| (at > 0).then_some(&space).into_iter().chain(piece));
            self.state.common_rows(rows.copied(), &mut self.word_row)
        };
        (size, common)
    }

    fn meet(&mut self, symbol: u32) {
        let from = self.rows.len() as u32;
        self.rows.extend(self.symbols.text(symbol).chars().map(|character| self.state.row(character)));
        self.spans[symbol as usize] = Span { from, to: self.rows.len() as u32 };
    }
}
