//! A pattern as the index keeps it: flat symbol numbers and the bits where its events start.

/// SHA-1 of a pattern, 20 bytes. Byte order is the order of the names.
pub type Name = [u8; 20];

/// One pattern's symbols and event starts; bit j of `starts` (64 a word) is set where an event starts at symbol j.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Symbol numbers, all events after each other; at least one.
    pub symbols: &'a [u32],
    /// Event starts; bit 0 is always set.
    pub starts: &'a [u64],
}

impl<'a> Row<'a> {
    /// |P|.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Where the event of position `place` starts.
    #[inline]
    pub fn event_start(&self, place: usize) -> usize {
        let mut word = place / 64;
        let mut bits = self.starts[word] & (!0 >> (63 - place % 64));
        while bits == 0 {
            word -= 1;
            bits = self.starts[word];
        }
        word * 64 + 63 - bits.leading_zeros() as usize
    }

    /// Where the event of position `place` ends, exclusive.
    #[inline]
    pub fn event_end(&self, place: usize) -> usize {
        let next = place + 1;
        let mut word = next / 64;
        if word >= self.starts.len() {
            return self.len();
        }
        let mut bits = self.starts[word] & (!0 << (next % 64));
        while bits == 0 {
            word += 1;
            match self.starts.get(word) {
                Some(&more) => bits = more,
                None => return self.len(),
            }
        }
        word * 64 + bits.trailing_zeros() as usize
    }

    /// The events from position `from` (an event start) up to `to` (an event end).
    pub fn events(self, from: usize, to: usize) -> impl Iterator<Item = &'a [u32]> {
        let mut at = from;
        std::iter::from_fn(move || {
            (at < to).then(|| {
                let end = self.event_end(at);
                let event = &self.symbols[at..end];
                at = end;
                event
            })
        })
    }

    /// Hash of the events from `from` to the end, the same for any order of symbols inside an event.
    pub fn suffix_hash(self, from: usize) -> u64 {
        let mut hashes = SuffixHashes::new(self);
        loop {
            let (start, hash) = hashes.next_start();
            if start <= from {
                return hash;
            }
        }
    }
}

/// The hashes of a pattern's last event, of its last two, and so on.
pub struct SuffixHashes<'a> {
    row: Row<'a>,
    end: usize,
    hash: u64,
}

impl<'a> SuffixHashes<'a> {
    /// Before the last event.
    pub fn new(row: Row<'a>) -> Self {
        Self { row, end: row.len(), hash: 0 }
    }

    /// Take one event more; returns where it starts and the hash from there to the end of the pattern.
    pub fn next_start(&mut self) -> (usize, u64) {
        let start = self.row.event_start(self.end - 1);
        let event = self.row.symbols[start..self.end].iter().map(|&symbol| mixed(u64::from(symbol) + 1));
        let sum = event.fold(0, u64::wrapping_add);
        self.hash = mixed(self.hash.rotate_left(5) ^ sum);
        self.end = start;
        (start, self.hash)
    }
}

fn mixed(x: u64) -> u64 {
    let y = (x ^ (x >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    y ^ (y >> 29)
}

/// The bits of event starts for events of these lengths.
pub fn starts_of(lengths: impl IntoIterator<Item = usize>, size: usize) -> Vec<u64> {
    let mut starts = vec![0; size.div_ceil(64)];
    let mut at = 0;
    for length in lengths {
        starts[at / 64] |= 1 << (at % 64);
        at += length;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_are_cut_where_they_start(lengths in prop::collection::vec(1usize..40, 1..12)) {
            let size = lengths.iter().sum();
            let symbols: Vec<u32> = (0..size as u32).collect();
            let starts = starts_of(lengths.iter().copied(), size);
            let row = Row { symbols: &symbols, starts: &starts };
            let found: Vec<usize> = row.events(0, size).map(<[u32]>::len).collect();
            prop_assert_eq!(&found, &lengths);
            let mut at = 0;
            for length in lengths {
                for place in at..at + length {
                    prop_assert_eq!((row.event_start(place), row.event_end(place)), (at, at + length));
                }
                at += length;
            }
        }
    }

    #[test]
    fn suffix_hashes_forget_the_order_inside_events_alone() {
        let starts = starts_of([1, 2, 2], 5);
        let hash = |symbols: &[u32], from| Row { symbols, starts: &starts }.suffix_hash(from);
        assert_eq!(hash(&[9, 1, 2, 3, 4], 1), hash(&[8, 2, 1, 4, 3], 1));
        assert_ne!(hash(&[9, 1, 2, 3, 4], 1), hash(&[9, 3, 4, 1, 2], 1));
        assert_ne!(hash(&[9, 1, 2, 3, 4], 1), hash(&[9, 1, 2, 3, 4], 3));
    }
}
