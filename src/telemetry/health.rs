//! Whether the service works: loops that must turn, conditions that must hold, and what else is worth
//! knowing. Components say; `/healthz`, `/readyz` and `/status` ask.
//!
//! *Healthy*: no loop has stopped turning; if one has, only a restart helps. *Ready*: healthy, and no
//! component says that something keeps it from its work, such as a stalled partition, an archive that
//! cannot be written, an outbox over its cap. A sink that is away is neither: alerts wait for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A loop that has not turned for this long has stopped.
pub const STOPPED_AFTER: Duration = Duration::from_secs(60);

/// What components said last.
#[derive(Debug, Default)]
pub struct Health {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    ticks: BTreeMap<String, Instant>,
    troubles: BTreeMap<String, String>,
    notes: BTreeMap<String, String>,
}

impl Health {
    /// Says what keeps a component from its work, or with `None` that nothing does any more.
    pub fn set(&self, component: &str, trouble: Option<&str>) {
        put(&mut self.said().troubles, component, trouble);
    }

    /// Something worth knowing that keeps nobody from work, such as a sink's last error.
    pub fn note(&self, component: &str, text: Option<&str>) {
        put(&mut self.said().notes, component, text);
    }

    /// A loop turns. From its first tick on it must tick more often than every [`STOPPED_AFTER`].
    pub fn tick(&self, name: &str) {
        self.tick_at(name, Instant::now());
    }

    fn tick_at(&self, name: &str, now: Instant) {
        let mut said = self.said();
        // Ticks are many and names few: no new text for a name that is known.
        match said.ticks.get_mut(name) {
            Some(last) => *last = now,
            None => {
                said.ticks.insert(name.to_owned(), now);
            }
        }
    }

    /// A loop has come to its end as it should; nobody waits for its ticks any more.
    pub fn ended(&self, name: &str) {
        self.said().ticks.remove(name);
    }

    /// Loops that have stopped, one line each; empty while the service is healthy.
    pub fn stopped(&self) -> Vec<String> {
        self.stopped_at(Instant::now())
    }

    fn stopped_at(&self, now: Instant) -> Vec<String> {
        let said = self.said();
        let age = |last: &Instant| now.saturating_duration_since(*last);
        let stopped = said.ticks.iter().filter(|(_, last)| age(last) > STOPPED_AFTER);
        stopped.map(|(name, last)| format!("{name}: has not moved for {} s", age(last).as_secs())).collect()
    }

    /// Why the service is not ready, one line each; empty while it is.
    pub fn troubles(&self) -> Vec<String> {
        let mut lines = self.stopped();
        lines.extend(self.said().troubles.iter().map(|(component, text)| format!("{component}: {text}")));
        lines
    }

    /// What [`Health::note`] said, by component.
    pub fn notes(&self) -> BTreeMap<String, String> {
        self.said().notes.clone()
    }

    /// A thread that panicked while it held the lock has left whole values behind.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(map: &mut BTreeMap<String, String>, component: &str, text: Option<&str>) {
    match text {
        Some(text) if map.get(component).is_some_and(|known| known == text) => {}
        Some(text) => {
            map.insert(component.to_owned(), text.to_owned());
        }
        None => {
            map.remove(component);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_until_a_component_says_otherwise_and_after_it_takes_it_back() {
        let health = Health::default();
        assert!(health.troubles().is_empty());
        health.set("partition 3", Some("stalled since 08:00"));
        health.set("archive", Some("cannot be written"));
        health.note("email", Some("451 try later"));
        assert_eq!(health.troubles(), ["archive: cannot be written", "partition 3: stalled since 08:00"]);
        assert!(health.stopped().is_empty());
        health.set("archive", None);
        health.set("partition 3", None);
        assert!(health.troubles().is_empty());
        assert_eq!(health.notes().get("email").map(String::as_str), Some("451 try later"));
    }

    #[test]
    fn a_loop_that_stands_still_is_found_and_one_that_ended_is_not() {
        let health = Health::default();
        let start = Instant::now();
        health.tick_at("detect", start);
        health.tick_at("deliver", start);
        assert!(health.stopped_at(start + STOPPED_AFTER).is_empty());
        let later = start + STOPPED_AFTER + Duration::from_secs(1);
        health.tick_at("deliver", later);
        assert_eq!(health.stopped_at(later), ["detect: has not moved for 61 s"]);
        health.tick_at("detect", later);
        assert!(health.stopped_at(later).is_empty());
        health.ended("detect");
        assert_eq!(health.stopped_at(later + STOPPED_AFTER * 2), ["deliver: has not moved for 120 s"]);
    }
}
