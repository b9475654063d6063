//! The webhook sink against a server that keeps what it gets.
