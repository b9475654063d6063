//! Detections, lists and their folders: text in, checked structures out. Whether the SQL means
//! anything is decided in `detect`, which knows the tables.

mod catalog;
mod detection;
mod diagnostic;
mod duration;
mod header;
mod list;

pub use catalog::{Catalog, Sources};
pub use detection::{Detection, Kind};
pub use diagnostic::{Diagnostic, Level, closest};
pub use duration::parse_duration;
pub use list::List;
