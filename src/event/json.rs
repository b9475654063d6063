//! A borrowed view of JSON text.
