//! What is deployed.
