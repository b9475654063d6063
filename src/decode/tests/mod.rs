//! What the decoder must survive, by its own samples; helpers for reading the tables it makes.
