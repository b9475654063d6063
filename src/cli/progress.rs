//! The bar on a terminal for work that takes longer than a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::Progress;

const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of disk read out of all there are. Shows itself only after a second.
pub(super) struct Bar {
    bar: ProgressBar,
    start: Mutex<Instant>,
    watched: bool,
    /// Whether it still waits to be shown.
    waiting: AtomicBool,
}

impl Bar {
    /// A bar over `total` bytes; hidden for good unless somebody watches.
    pub fn new(total: u64, watched: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, start: Mutex::new(Instant::now()), watched, waiting: AtomicBool::new(watched) }
    }

    /// Begins anew, over other work of `total` bytes.
    pub fn begin(&self, total: u64) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        self.bar.reset();
        self.bar.set_length(total);
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.waiting.store(self.watched && total > 0, Ordering::Relaxed);
    }

    /// Removes the bar from the screen, for good or until it begins anew.
    pub fn clear(&self) {
        self.waiting.store(false, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }

    fn is_due(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
            && self.start.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > PATIENCE
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if self.is_due() && self.waiting.swap(false, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}
