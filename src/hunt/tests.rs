//! Placeholder until the tests below.
