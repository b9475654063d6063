//! Detections, queries, lists and their folders: text in, checked structures out. Whether the SQL means
//! anything is decided in `detect` and `hunt`, which know the tables.

mod case;
mod catalog;
mod detection;
mod diagnostic;
mod draft;
mod duration;
mod fence;
mod geoip;
mod header;
mod idle;
mod list;
mod parameter;
mod peers;
mod query;
mod summary;
mod tree;

pub use case::Case;
pub use catalog::{Catalog, Sources, compiled};
pub use detection::{Detection, Kind, TACTICS, parse as parse_detection};
pub use diagnostic::{Diagnostic, Level, closest};
pub use draft::{Hints, Parts, header as draft_header};
pub use duration::{parse_duration, parse_instant, parse_time};
pub use geoip::{Fact, Geoip, Place};
pub use list::{Column as ListColumn, Entry, List};
pub use parameter::{Parameter, ParameterKind, ParameterValue};
pub use peers::{Peer, Peers};
pub use query::{Queries, Query, TOPICS};
pub use summary::Summary;
