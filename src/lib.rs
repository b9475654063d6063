//! aksentry: audit-log analytics for Azure Kubernetes Service.
//!
//! ```text
//!  EventHubs ┐                                   ┌→ archive::Writer ─────────────┐ durable
//!  Files     ┘→ RawBatch → Decoder → Batch ──────┤                               ├→ Source::commit
//!                             └→ Reject → dead   └→ Engine → Alert → Outbox ─────┘ durable → Delivery → sinks
//!  replay:   files → RawBatch → Batch ───────────→ Engine → Alert → stdout
//!  hunt:     files → RawBatch → Batch ───────────→ hunt::Session → rows
//!  test:     cases → RawBatch → Batch ───────────→ Engine → compare with the expected alerts
//! ```
//!
//! The seam is [`event::Batch`]: everything upstream exists to make one, nothing downstream can tell
//! where it came from. A detection is a plain `SELECT` over the rows in scope, so the same text runs
//! live, in replay and as a hunt.

pub mod alert;

pub mod archive;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod decode;
pub mod detect;
pub mod event;
pub mod hub;
pub mod hunt;
pub mod identity;
pub mod import;
pub mod outbox;
pub mod pipeline;
pub mod report;
pub mod rules;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
