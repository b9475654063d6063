//! What the benchmarks read: Event Hubs messages from the sample generator at a fixed seed, big enough
//! to leave the caches. Each bench takes what it needs of this.

#![allow(dead_code, unused_imports)]

#[path = "../../samples/generator/model/mod.rs"]
mod model;

mod yardstick;

use aksentry::event::RawBatch;
use bytes::Bytes;

pub use yardstick::two_levels;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Message bodies with that many events in all (20 records a message, about 2.6 KB an event).
pub fn messages(events: usize) -> Vec<Bytes> {
    model::messages(7, events).map(Bytes::from).collect()
}

/// The same one after another, as they are made.
pub fn stream(events: usize) -> impl Iterator<Item = Vec<u8>> {
    model::messages(7, events)
}

/// Bytes of all bodies together.
pub fn size(bodies: &[Bytes]) -> u64 {
    bodies.iter().map(|body| body.len() as u64).sum()
}

/// Batches of about a megabyte, as replay reads them.
pub fn batches(bodies: &[Bytes]) -> Vec<RawBatch> {
    let per_batch = (1 << 20) / bodies.first().map_or(1, |b| b.len().max(1));
    bodies.chunks(per_batch.max(1)).map(|chunk| RawBatch { bodies: chunk.to_vec() }).collect()
}
