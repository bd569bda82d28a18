//! The truth of an index as bytes, and back: a start from it skips the decoding of a million documents.
//!
//! Called by the Python module. A snapshot is never the truth of the service: whoever keeps one keeps beside it up to
//! which log entry it goes, and reads the store again when in doubt. Only columns and extras are written; postings,
//! places and counts are made anew.
//!
//! Form, all little-endian: magic and version, checksum of the rest, symbols, emotives, segments, extras. A list is its
//! length (u32) and its items, a text a list of bytes.

use crate::extras::Extras;
use crate::index::Index;
use crate::pattern::{Name, Row};

/// Changes with the form: a snapshot of another form is refused.
const MAGIC: &[u8; 8] = b"KATOIDX1";
const HEAD: usize = 16;

/// Write an index.
pub fn write(index: &Index) -> Vec<u8> {
    let mut writer = Writer { bytes: MAGIC.to_vec() };
    writer.bytes.extend([0; 8]);
    writer.number(index.symbols.bound());
    (0..index.symbols.bound() as u32).for_each(|number| writer.text(index.symbols.text(number)));
    writer.number(index.emotives.len());
    (0..index.emotives.len() as u32).for_each(|number| writer.text(index.emotives.name(number)));
    writer.number(index.blocks().count());
    for block in index.blocks() {
        writer.number(block.size);
        writer.number(block.len());
        for local in 0..block.len() {
            let row = block.row(local);
            writer.bytes.extend_from_slice(block.name(local));
            writer.bytes.extend_from_slice(&block.frequencies()[local].to_le_bytes());
            row.starts.iter().for_each(|word| writer.bytes.extend_from_slice(&word.to_le_bytes()));
            row.symbols.iter().for_each(|symbol| writer.bytes.extend_from_slice(&symbol.to_le_bytes()));
        }
    }
    let extras: Vec<(&Name, &Extras)> = index.names().filter_map(|name| Some((name, index.extras(name)?))).collect();
    writer.number(extras.len());
    extras.into_iter().for_each(|(name, extras)| writer.extras(name, extras));
    let sum = checksum(&writer.bytes[HEAD..]);
    writer.bytes[8..HEAD].copy_from_slice(&sum.to_le_bytes());
    writer.bytes
}

/// Read an index; None when the bytes are damaged, of another form, or none at all.
pub fn read(bytes: &[u8]) -> Option<Index> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != checksum(rest) {
        return None;
    }
    let mut reader = Reader { bytes: rest };
    let mut index = Index::default();
    let symbols: Vec<u32> =
        (0..reader.number()?).map(|_| Some(index.symbols.intern(reader.text()?))).collect::<Option<_>>()?;
    for _ in 0..reader.number()? {
        index.emotives.intern(reader.text()?);
    }
    for _ in 0..reader.number()? {
        let (size, patterns) = (reader.number()?, reader.number()?);
        for _ in 0..patterns {
            let name = *reader.take::<20>()?;
            let frequency = u32::from_le_bytes(*reader.take()?);
            let starts = reader.words(size.div_ceil(64))?;
            let row: Vec<u32> = reader.symbols(size, &symbols)?;
            index.restore(name, Row { symbols: &row, starts: &starts }, frequency)?;
        }
    }
    for _ in 0..reader.number()? {
        let (name, extras) = reader.extras(index.emotives.len())?;
        index.restore_extras(name, extras);
    }
    index.repair();
    reader.bytes.is_empty().then_some(index)
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn number(&mut self, number: usize) {
        self.bytes.extend_from_slice(&(number as u32).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn extras(&mut self, name: &Name, extras: &Extras) {
        self.bytes.extend_from_slice(name);
        self.number(extras.window.len());
        for emotives in &extras.window {
            self.number(emotives.len());
            for &(emotive, value) in emotives {
                self.number(emotive as usize);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        self.number(extras.affinity.len());
        for &(emotive, sum) in &extras.affinity {
            self.number(emotive as usize);
            self.bytes.extend_from_slice(&sum.to_le_bytes());
        }
        self.number(extras.metadata.len());
        for (name, values) in &extras.metadata {
            self.text(name);
            self.number(values.len());
            values.iter().for_each(|value| self.text(value));
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(*self.take()?) as usize)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.slice(length)?).ok()
    }

    fn words(&mut self, count: usize) -> Option<Vec<u64>> {
        let words = self.slice(count.checked_mul(8)?)?.chunks_exact(8);
        words.map(|word| Some(u64::from_le_bytes(word.try_into().ok()?))).collect()
    }

    fn symbols(&mut self, count: usize, known: &[u32]) -> Option<Vec<u32>> {
        let symbols = self.slice(count.checked_mul(4)?)?.chunks_exact(4);
        symbols.map(|four| known.get(u32::from_le_bytes(four.try_into().ok()?) as usize).copied()).collect()
    }

    fn emotive(&mut self, known: usize) -> Option<u32> {
        self.number().filter(|&number| number < known).map(|number| number as u32)
    }

    fn extras(&mut self, emotives: usize) -> Option<(Name, Extras)> {
        let name = *self.take::<20>()?;
        let mut extras = Extras::default();
        for _ in 0..self.number()? {
            let count = self.number()?;
            let one = |_| Some((self.emotive(emotives)?, f64::from_le_bytes(*self.take()?)));
            extras.window.push((0..count).map(one).collect::<Option<_>>()?);
        }
        for _ in 0..self.number()? {
            extras.affinity.push((self.emotive(emotives)?, i128::from_le_bytes(*self.take()?)));
        }
        for _ in 0..self.number()? {
            let (name, count) = (self.text()?, self.number()?);
            let values = (0..count).map(|_| self.text().map(Into::into)).collect::<Option<_>>()?;
            extras.metadata.push((name.into(), values));
        }
        Some((name, extras))
    }
}

/// A sum over words of eight bytes in which every bit counts; damage is what it has to notice, not malice.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
    words.remainder().iter().fold(sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Events, Record};
    use crate::predict::predict;
    use crate::query::Parameters;
    use crate::room::Room;
    use proptest::prelude::*;

    fn known() -> Index {
        let mut index = Index::default();
        for name in 0..9u8 {
            let symbols: Vec<String> = (0..=name * 9).map(|number| format!("s{}", number % (name + 2))).collect();
            let events: Vec<Vec<&String>> = symbols.chunks(2).map(|event| event.iter().collect()).collect();
            let learning = Record {
                name: [name; 20],
                events: Events::of(&events),
                frequency: 1,
                emotives: vec![vec![("joy".into(), f64::from(name))]],
                affinity: vec![("joy".into(), i128::from(name))],
                metadata: vec![("src".into(), vec!["x".into()])],
            };
            index.learn(&learning, 5);
        }
        index
    }

    /// Give bytes the head of a snapshot: what is wrong with them is not seen by the checksum.
    fn signed(rest: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &checksum(rest).to_le_bytes(), rest].concat()
    }

    fn asked(bytes: &[u8]) {
        let Some(index) = read(bytes) else { return };
        let stm = Events::of(&[vec!["s0"], vec!["s1", "s2"]]);
        let session = Parameters { recall_threshold: 0.0, ..Parameters::default() };
        predict(&index, &stm, &session, &mut Room::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn a_forged_snapshot_panics_at_nothing(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            length in any::<prop::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let mut rest = write(&known())[HEAD..].to_vec();
            changes.iter().for_each(|(at, byte)| { let at = at.index(rest.len()); rest[at] = *byte; });
            rest.truncate(if cut { length.index(rest.len()) } else { rest.len() });
            asked(&signed(&rest));
        }

        #[test]
        fn noise_is_no_snapshot(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            asked(&signed(&rest));
            prop_assert!(read(&rest).is_none());
        }
    }
}
