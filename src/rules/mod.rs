//! Detections, lists and their folders: text in, checked structures out. Whether the SQL means
//! anything is decided in `detect`, which knows the tables.

mod case;
mod catalog;
mod detection;
mod diagnostic;
mod draft;
mod duration;
mod fence;
mod header;
mod list;
mod summary;
mod tree;

pub use case::Case;
pub use catalog::{Catalog, Sources, compiled, compiled_lists};
pub use detection::{Detection, Kind};
pub use diagnostic::{Diagnostic, Level, closest};
pub use draft::{Hints, Parts, header as draft_header};
pub use duration::parse_duration;
pub use header::{TACTICS, parse as parse_detection};
pub use list::{Entry, List};
pub use summary::Summary;
