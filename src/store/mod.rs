//! Object storage by URL: `az://container/prefix` and `file:///folder`.

use std::path::PathBuf;

/// Where something is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A container of the storage account that the environment names, and a prefix inside (may be empty).
    Azure { container: String, prefix: String },
    /// A folder; made when it is opened.
    Folder(PathBuf),
}
