//! Rules over batches: planning, row filters, windows, baselines, and the alerts they raise.
//!
//! A detection is planned once and split at its row filter. The [`Matcher`] evaluates all row filters
//! together and is shared by threads; the [`Engine`] takes what is left of each batch, in order, and
//! runs the rest of each rule over it. DataFusion's types stay in here.

mod advance;
mod baseline;
mod blind;
mod bodies;
mod buffer;
mod codec;
mod collector;
mod condition;
mod crowd;
mod cut;
mod dormant;
pub mod doubts;
#[cfg(test)]
mod drawn;
mod emitted;
mod engine;
mod expiry;
mod explain;
mod filters;
mod firing;
pub mod functions;
mod gate;
mod gathered;
mod index;
mod lacking;
mod lint;
mod matcher;
mod monotone;
mod needs;
mod parts;
mod pattern;
mod plan;
mod prepare;
mod promote;
mod rows;
mod runner;
mod runs;
mod saved;
pub mod session;
mod slices;
mod spill;
mod state;
pub mod table;
mod thin;
mod window;

pub use advance::Watermarks;
pub use codec::SavedError;
pub use collector::Emission;
pub use engine::{Engine, EngineConfig, Failure, Scope, Usage};
pub use explain::problem;
pub use lint::{Explain, Linted, Problem, Purpose, lint, suggestion};
pub use matcher::{Matcher, Matches};
pub use promote::{Promotion, promote};
pub use saved::{Absorbed, Restored};
