//! Archived files as raw batches.
