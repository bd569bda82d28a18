//! One prediction, step by step: the recipe over the other modules.
//!
//! Called by the Python module with the index held for reading and the GIL released.

use crate::block::Block;
use crate::ensemble::Ensemble;
use crate::futures::Futures;
use crate::index::Index;
use crate::input::Events;
use crate::metrics::Meter;
use crate::postings::BLOCK;
use crate::query::{Parameters, Query};
use crate::rank::Ranking;
use crate::recall::recall;
use crate::render::Renderer;
use crate::room::Room;

/// The JSON bytes of the answer to a state.
pub fn predict(index: &Index, events: &Events, parameters: &Parameters, room: &mut Room) -> Vec<u8> {
    let Room { tables, columns, counter, aligner } = room;
    let query = Query::new(index, events, parameters, tables);
    let blocks: Vec<&Block> = index.blocks().collect();
    counter.fit(query.bound());

    let recalled = recall(&query, columns, counter);
    index.faults.pass("predict");
    let ensemble = Ensemble::of(&blocks, &recalled, query.compared());
    let meter = Meter::new(&query, &ensemble, counter);
    let mut ranking = Ranking {
        query: &query,
        blocks: &blocks,
        recalled: &recalled,
        meter: &meter,
        aligner,
        counter,
        columns,
        known_runs: Default::default(),
    };
    let chosen = ranking.chosen();

    let mut futures = Futures::new(&query, &blocks);
    let chosen: Vec<_> = chosen.into_iter().map(|chosen| (chosen, futures.enter(&chosen))).collect();
    futures.gather(&recalled, aligner);

    let shares = futures.shares(ensemble.weight);
    Renderer { query: &query, blocks: &blocks, meter: &meter, aligner, counter }.answer(&chosen, &futures, &shares)
}

/// The ensemble alone: where each recalled pattern is (block times 65,536 plus its number there) and its LCS.
pub fn recalled(index: &Index, events: &Events, parameters: &Parameters, room: &mut Room) -> (Vec<u32>, Vec<u16>) {
    let query = Query::new(index, events, parameters, &mut room.tables);
    room.counter.fit(query.bound());
    let found = recall(&query, &mut room.columns, &mut room.counter);
    let most = index.blocks().zip(&found).map(|(block, found)| if found.is_none() { 0 } else { block.len() }).sum();
    let (mut places, mut lcs, mut count) = (vec![0; most], vec![0; most], 0);
    for (number, (block, found)) in index.blocks().zip(&found).enumerate() {
        found.each_or_not(block.size, |hit, is_recalled| {
            places[count] = (number * BLOCK + usize::from(hit.local)) as u32;
            lcs[count] = hit.lcs as u16;
            count += usize::from(is_recalled);
        });
    }
    places.truncate(count);
    lcs.truncate(count);
    (places, lcs)
}
