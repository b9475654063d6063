//! How a story is kept: steps of events, each with the rules it is expected to raise, so that the
//! README and the expected numbers come from what was really written.

use crate::model::Scene;
use crate::model::cluster::Cluster;
use crate::model::event::Event;
use crate::model::random::Random;

/// Midnight (UTC) before the first day, 2026-03-10, in microseconds.
pub const DAY_ONE: i64 = 1_773_100_800_000_000;
pub const HOUR: i64 = 3_600_000_000;
pub const MINUTE: i64 = 60_000_000;
pub const SECOND: i64 = 1_000_000;

/// A moment of day 1 or 2.
pub fn moment(day: i64, hour: i64, minute: i64, second: i64) -> i64 {
    DAY_ONE + (day - 1) * 24 * HOUR + hour * HOUR + minute * MINUTE + second * SECOND
}

/// An event of a step and the rules it takes part in.
#[derive(Debug, Clone)]
pub struct Deed {
    pub event: Event,
    pub rules: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub title: &'static str,
    pub text: &'static str,
    pub deeds: Vec<Deed>,
}

/// Steps in order, being told.
pub struct Tale<'a> {
    pub cluster: &'a Cluster,
    pub random: Random,
    pub steps: Vec<Step>,
}

impl<'a> Tale<'a> {
    pub fn new(cluster: &'a Cluster, name: &str) -> Self {
        Self { cluster, random: Random::named(2026, name), steps: Vec::new() }
    }

    /// Begins a step; [`Tale::tell`] adds to the last one begun.
    pub fn step(&mut self, title: &'static str, text: &'static str) {
        self.steps.push(Step { title, text, deeds: Vec::new() });
    }

    /// Adds an event some microseconds after `at`, as no tool hits a whole second.
    pub fn tell(&mut self, at: i64, rules: &[&'static str], make: impl FnOnce(&mut Scene) -> Event) {
        let at = at + self.random.between(20_000, 900_000);
        let event = make(&mut Scene { cluster: self.cluster, random: &mut self.random, at });
        if let Some(step) = self.steps.last_mut() {
            step.deeds.push(Deed { event, rules: rules.to_vec() });
        }
    }
}
