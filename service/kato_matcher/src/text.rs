//! Longest common subsequences of texts, by code points: for fuzzy tokens and character mode.
//!
//! A `TextPattern` holds, for each character of one text, the bits of its positions; another text then runs over it
//! (Hyyro 2004), 64 positions a step.

use rustc_hash::FxHashMap;

use crate::bits;

const ASCII: usize = 128;

/// One text made ready for comparison with many.
pub struct TextPattern {
    chars: usize,
    words: usize,
    ascii: [u32; ASCII],
    others: FxHashMap<char, u32>,
    masks: Vec<u64>,
}

impl TextPattern {
    /// Prepare `text`.
    pub fn new(text: &str) -> Self {
        let chars = text.chars().count();
        let words = chars.div_ceil(64);
        let mut pattern = Self { chars, words, ascii: [0; ASCII], others: FxHashMap::default(), masks: vec![0; words] };
        for (place, symbol) in text.chars().enumerate() {
            let row = pattern.enter(symbol);
            pattern.masks[row * words + place / 64] |= 1 << (place % 64);
        }
        pattern
    }

    /// Length of the text in characters.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// Length of a longest common subsequence of the text and another; `room` is room to work in.
    pub fn common(&self, other: &str, room: &mut Vec<u64>) -> usize {
        self.common_rows(other.chars().map(|symbol| self.row(symbol)), room)
    }

    /// The same for a text given as the rows of its characters.
    pub fn common_rows(&self, rows: impl Iterator<Item = u32>, room: &mut Vec<u64>) -> usize {
        if let Some(masks) = self.single() {
            return rows.fold(!0, |word, row| bits::step(word, masks[row as usize])).count_zeros() as usize;
        }
        room.clear();
        room.resize(self.words, !0);
        for row in rows {
            let at = row as usize * self.words;
            if at > 0 {
                bits::step_wide(room, &self.masks[at..at + self.words]);
            }
        }
        bits::zeros(room)
    }

    /// The masks by row, when the text has up to 64 characters.
    pub fn single(&self) -> Option<&[u64]> {
        (self.words == 1).then_some(&self.masks)
    }

    /// The row of a character; 0, which is empty, for one that is not in the text.
    #[inline]
    pub fn row(&self, symbol: char) -> u32 {
        match self.ascii.get(symbol as usize) {
            Some(&row) => row,
            None => self.others.get(&symbol).copied().unwrap_or(0),
        }
    }

    /// The row of `symbol`, a new one at its first occurrence; row 0 stays empty, for the characters that are not there.
    fn enter(&mut self, symbol: char) -> usize {
        let next = self.masks.len().checked_div(self.words).unwrap_or(0) as u32;
        let row = match self.ascii.get_mut(symbol as usize) {
            Some(row) => row,
            None => self.others.entry(symbol).or_insert(0),
        };
        if *row == 0 {
            *row = next;
            self.masks.resize(self.masks.len() + self.words, 0);
        }
        *row as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(first: &str, second: &str) -> usize {
        let second: Vec<char> = second.chars().collect();
        let mut above = vec![0; second.len() + 1];
        for a in first.chars() {
            let mut row = vec![0];
            for (j, &b) in second.iter().enumerate() {
                row.push(if a == b { above[j] + 1 } else { row[j].max(above[j + 1]) });
            }
            above = row;
        }
        above[second.len()]
    }

    proptest! {
        #[test]
        fn common_is_the_textbook_table(first in "[abcé😀]{0,150}", second in "[abcé😀]{0,150}") {
            let found = TextPattern::new(&first).common(&second, &mut Vec::new());
            prop_assert_eq!(found, plain(&first, &second));
        }
    }

    #[test]
    fn an_empty_text_has_nothing_in_common() {
        assert_eq!(TextPattern::new("").common("ab", &mut Vec::new()), 0);
        assert_eq!(TextPattern::new("ab").common("", &mut Vec::new()), 0);
    }
}
