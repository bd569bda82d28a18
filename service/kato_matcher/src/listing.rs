//! Listings: names page by page, and the statistics of all symbols as JSON (form: `kato_service/engine/oracle.py`).
//!
//! Called by `python`. A page costs one pass over the names, whichever page it is, and no more room than it has names.

use std::collections::BinaryHeap;

use crate::index::Index;
use crate::json::{Json, hex_of};
use crate::pattern::Name;

/// Which names are asked for: those behind `after` that begin with `start`, of patterns with `symbol`, `count` at most.
pub struct Page<'a> {
    /// Text that all of them come behind.
    pub after: &'a str,
    /// Text that all of them begin with.
    pub start: &'a str,
    /// A symbol that the patterns hold.
    pub symbol: Option<&'a str>,
    /// The most names.
    pub count: usize,
}

/// The first names that fit, sorted, in hex.
pub fn names(index: &Index, page: &Page<'_>) -> Vec<String> {
    let symbol = page.symbol.map(|symbol| index.symbols.find(symbol));
    if symbol == Some(None) || page.count == 0 {
        return Vec::new();
    }
    let mut first: BinaryHeap<Name> = BinaryHeap::new(); // the last of the first names is on top
    for block in index.blocks() {
        for local in 0..block.len() {
            let name = block.name(local);
            let full = first.len() == page.count;
            if full && first.peek().is_some_and(|last| name > last) {
                continue;
            }
            let held = |number: Option<u32>| number.is_some_and(|number| block.row(local).symbols.contains(&number));
            if follows(name, page) && symbol.is_none_or(held) {
                if full {
                    first.pop();
                }
                first.push(*name);
            }
        }
    }
    let mut found = first.into_vec();
    found.sort_unstable();
    found.iter().map(|name| String::from_utf8_lossy(&hex_of(name)).into_owned()).collect()
}

fn follows(name: &Name, page: &Page<'_>) -> bool {
    let text = hex_of(name);
    &text[..] > page.after.as_bytes() && text.starts_with(page.start.as_bytes())
}

/// `{symbol: {"frequency", "pattern_member_frequency", "affinity"}}`, symbols and emotives by code point.
pub fn statistics(index: &Index) -> Vec<u8> {
    let symbols = &index.symbols;
    let mut json = Json::default();
    json.object(sorted(index), |json, number| {
        json.key(symbols.text(number));
        json.raw("{\"frequency\":");
        json.int(symbols.frequency(number));
        json.raw(",\"pattern_member_frequency\":");
        json.int(symbols.patterns(number));
        json.raw(",\"affinity\":");
        affinity(json, index, number);
        json.raw("}");
    });
    json.into_bytes()
}

/// `{symbol: {emotive: affinity}}` of the symbols that have any.
pub fn affinities(index: &Index) -> Vec<u8> {
    let mut json = Json::default();
    let felt = sorted(index).into_iter().filter(|&number| index.symbols.affinity(number).next().is_some());
    json.object(felt, |json, number| {
        json.key(index.symbols.text(number));
        affinity(json, index, number);
    });
    json.into_bytes()
}

fn affinity(json: &mut Json, index: &Index, number: u32) {
    let sums = index.symbols.affinity(number).map(|(emotive, sum)| (index.emotives.name(emotive), sum));
    let mut sums: Vec<(&str, f64)> = sums.collect();
    sums.sort_unstable_by_key(|sum| sum.0);
    json.object(sums, |json, (emotive, sum)| {
        json.key(emotive);
        json.float(sum);
    });
}

fn sorted(index: &Index) -> Vec<u32> {
    let mut numbers: Vec<u32> = index.symbols.numbers().collect();
    numbers.sort_unstable_by(|&a, &b| index.symbols.text(a).cmp(index.symbols.text(b)));
    numbers
}
