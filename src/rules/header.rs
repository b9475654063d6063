//! The fence: TOML in the comments at the top of a detection.
