//! A model of what AKS writes: clusters, identities, audit events, klog lines and the envelope around
//! them. It knows nothing of the sample scenario, so that a benchmark can include it and make as much
//! input as it wants:
//!
//! ```ignore
//! #[allow(dead_code)]
//! #[path = "../samples/generator/model/mod.rs"]
//! mod model;
//! let bodies: Vec<Vec<u8>> = model::messages(1, 100_000).collect();
//! ```
//!
//! Nothing here reads a clock or the machine's randomness: the same arguments give the same bytes.

pub mod apps;
pub mod body;
pub mod cluster;
pub mod envelope;
pub mod event;
pub mod identity;
pub mod klog;
pub mod random;
pub mod stream;
pub mod system;

use event::Event;
use random::Random;

pub use stream::messages;

/// What a maker of events works with: where, when, and the source of chance.
pub struct Scene<'a> {
    pub cluster: &'a cluster::Cluster,
    pub random: &'a mut Random,
    /// Stage timestamp of the event to make, microseconds since the epoch.
    pub at: i64,
}

/// One thing that identities of a cluster do over and over.
pub struct Habit {
    /// Share in the mix of the samples, which is mostly small records.
    pub weight: u32,
    /// Share in the mix of [`messages`], where bodies bring the mean to what big clusters show.
    pub heavy: u32,
    /// Whether kube-audit-admin has it too (everything but get, list and watch).
    pub write: bool,
    pub make: fn(&mut Scene) -> Event,
}

/// All habits, those of AKS itself first.
pub fn habits() -> impl Iterator<Item = &'static Habit> {
    system::HABITS.iter().chain(apps::HABITS)
}
