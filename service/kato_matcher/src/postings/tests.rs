//! Postings against the rows that they were made of.

use super::*;
use proptest::prelude::*;

const SIZE: usize = 6;
type Rows = Vec<Vec<u32>>;

fn rows() -> impl Strategy<Value = Rows> {
    // Symbol 0 is so common that it gets a column, the others are not.
    let symbol = prop_oneof![3 => Just(0u32), 2 => 1u32..40];
    prop::collection::vec(prop::collection::vec(symbol, SIZE), 250..400)
}

fn seen(postings: &WordPostings<u16>, symbol: u32) -> Vec<(usize, u16)> {
    let mut found = Vec::new();
    postings.each(symbol, |local, mask| found.push((local, mask)));
    found
}

fn wanted(rows: &Rows, symbol: u32) -> Vec<(usize, u16)> {
    let mask = |row: &Vec<u32>| (0..SIZE).map(|at| u16::from(row[at] == symbol) << at).sum();
    rows.iter().map(mask).enumerate().filter(|&(_, mask)| mask != 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn postings_say_where_symbols_stand(rows in rows(), changed in prop::collection::vec((0usize..250, 1u32..40), 0..60)) {
        let (mut rows, mut postings) = (rows, WordPostings::<u16>::default());
        for (local, row) in rows.iter().enumerate() {
            postings.add(local, row, local + 1);
        }
        for (local, symbol) in changed {
            postings.remove(local, &rows[local]);
            rows[local] = vec![symbol; SIZE];
            postings.add(local, &rows[local], rows.len());
        }
        let mut column: Box<Column<u16>> = vec![u16::MAX; BLOCK].try_into().expect("BLOCK words");
        for symbol in 0..41 {
            prop_assert_eq!(seen(&postings, symbol), wanted(&rows, symbol));
            prop_assert_eq!(postings.held(symbol), wanted(&rows, symbol).len());
            postings.step(symbol, &mut column);
        }
        for (local, row) in rows.iter().enumerate() {
            let mask = |symbol| (0..SIZE).fold(0u16, |mask, at| mask | u16::from(row[at] == symbol) << at);
            prop_assert_eq!(column[local], (0..41).fold(u16::MAX, |word, symbol| word.step(mask(symbol))));
        }
    }

    #[test]
    fn neighbours_are_found(rows in rows(), first in 0u32..5, second in 0u32..5) {
        let mut postings = WordPostings::<u16>::default();
        for (local, row) in rows.iter().enumerate() {
            postings.add(local, row, local + 1);
        }
        let mut column: Box<Column<u16>> = vec![0; BLOCK].try_into().expect("BLOCK words");
        let mut found = vec![0; rows.len().div_ceil(64)];
        postings.follow(&[first], &[second], &mut column, &mut found);
        for (local, row) in rows.iter().enumerate() {
            let follows = row.windows(2).any(|two| two == [first, second]);
            prop_assert_eq!(found[local / 64] >> (local % 64) & 1 == 1, follows);
        }
        prop_assert!(column.iter().all(|&word| word == 0));
    }

    #[test]
    fn long_patterns_step_as_short_ones_do(rows in prop::collection::vec(prop::collection::vec(0u32..4, 150), 1..6), gone in 0usize..6) {
        let mut postings = WidePostings::new(150);
        for (local, row) in rows.iter().enumerate().rev() {
            postings.add(local, row);
        }
        let gone = gone % rows.len();
        postings.remove(gone, &rows[gone]);
        postings.add(gone, &rows[gone]);
        let (mut column, mut plain) = (vec![!0; rows.len() * 3], vec![!0; rows.len() * 3]);
        for symbol in [0, 3, 1, 0, 0, 2, 9, 3] {
            postings.step(symbol, &mut column);
            let mut marks = vec![0; rows.len() * 3];
            postings.mark(symbol, &mut marks);
            for (row, mask) in plain.chunks_mut(3).zip(marks.chunks(3)) {
                bits::step_wide(row, mask);
            }
        }
        prop_assert_eq!(column, plain);
    }
}
