//! What the benchmarks read: Event Hubs messages from the sample generator at a fixed seed, big enough
//! to leave the caches.

#[allow(dead_code)]
#[path = "../../samples/generator/model/mod.rs"]
mod model;

use bytes::Bytes;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Message bodies with that many events in all (20 records a message, about 2.6 KB an event).
pub fn messages(events: usize) -> Vec<Bytes> {
    model::messages(7, events).map(Bytes::from).collect()
}

/// Bytes of all bodies together.
pub fn size(bodies: &[Bytes]) -> u64 {
    bodies.iter().map(|body| body.len() as u64).sum()
}
