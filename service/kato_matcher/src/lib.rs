//! The fast matcher of the KATO service: exact, index-based, byte-identical to the Python oracle.
//!
//! Imported as `kato_service.engine._matcher` by `kato_service/engine/matcher.py`. What is computed is said in
//! engine.md, how it is fast in matcher.md; the way of one prediction is `predict`.

#![cfg_attr(not(feature = "python"), allow(dead_code))] // the Python module is what calls the rest

mod align;
mod bits;
mod block;
mod bounds;
mod character;
mod columns;
#[cfg(feature = "python")]
mod convert;
mod ensemble;
mod extras;
mod faults;
mod floats;
mod futures;
mod grow;
mod index;
mod input;
mod json;
mod listing;
mod metric;
mod metrics;
mod mutants;
mod pattern;
mod postings;
mod predict;
#[cfg(feature = "python")]
mod python;
mod query;
mod rank;
mod recall;
mod render;
mod room;
mod snapshot;
mod store;
mod symbols;
mod text;
mod vectors;
