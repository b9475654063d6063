//! What a mail says, and that hostile text of a log stays text. The server's side is tested against a real
//! one, with the integration tests.
