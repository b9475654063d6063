//! Archives to alerts, in event time.
