//! The hub over the Azure SDK.
