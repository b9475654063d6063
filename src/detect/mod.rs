//! Rules over batches: functions, planning, stateless and windowed evaluation.

pub mod functions;
