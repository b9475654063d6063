//! Any alert becomes rows that fit, each alert in exactly one body.
