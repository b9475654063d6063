//! Where raw input comes from: files and folders today, Event Hubs in the live service.

pub mod files;
