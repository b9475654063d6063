//! SQL functions over audit bodies, identities, addresses and images.
