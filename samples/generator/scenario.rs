//! The two days put together: normal traffic at an even pace, the harmless and the harmful stories,
//! and the log lines; then what each cluster's diagnostic settings make of it.

use crate::intrusion::{self, SILENCE};
use crate::model::apps::PEOPLE;
use crate::model::cluster::{Cluster, clusters};
use crate::model::envelope::Record;
use crate::model::event::Event;
use crate::model::klog::{self, Line};
use crate::model::random::Random;
use crate::model::system::AFTERMATH;
use crate::model::{Habit, Scene, habits};
use crate::tale::{DAY_ONE, HOUR, MINUTE, SECOND, Step, Tale, moment};
use crate::{foothold, near_miss};

/// Everything that was logged, and the story behind it.
pub struct Scenario {
    pub clusters: Vec<Cluster>,
    /// Cluster number and record, by upload time.
    pub records: Vec<(usize, Record)>,
    pub steps: Vec<Step>,
}

/// A cluster shows signs of life at least this often, less the jitter: the rule about silent clusters
/// waits longer.
const PACE: i64 = 6 * MINUTE;
const JITTER: i64 = 2 * MINUTE;

pub fn scenario() -> Scenario {
    let clusters = clusters();
    let mut steps = Vec::new();
    let mut records = Vec::new();
    for (n, cluster) in clusters.iter().enumerate() {
        let mut events = background(cluster);
        let mut lines = log_lines(cluster);
        for day in [1, 2] {
            let mut tale = Tale::new(cluster, &format!("harmless/{}/{day}", cluster.name));
            near_miss::tell(&mut tale, day);
            events.extend(tale.steps.into_iter().flat_map(|s| s.deeds).map(|d| d.event));
        }
        if n == 0 {
            let mut tale = Tale::new(cluster, "intrusion");
            intrusion::tell(&mut tale);
            foothold::tell(&mut tale);
            steps = tale.steps;
            events.extend(aftermath(cluster));
            events.extend(steps.iter().flat_map(|s| &s.deeds).map(|d| d.event.clone()));
            events.retain(|e| e.at < SILENCE);
            lines.retain(|l| l.at < SILENCE);
        }
        lines.extend(guard_lines(cluster, &events));
        records.extend(logged(cluster, &events, &lines).into_iter().map(|r| (n, r)));
    }
    records.sort_by_key(|(n, record)| (record.time, *n));
    Scenario { clusters, records, steps }
}

fn background(cluster: &Cluster) -> Vec<Event> {
    let mut random = Random::named(1, cluster.name);
    let all: Vec<&Habit> = habits().filter(|h| h.write || cluster.audit).collect();
    let mut events = Vec::new();
    for slot in 0..(48 * HOUR / PACE) {
        let at = DAY_ONE + slot * PACE + random.between(0, JITTER);
        // Now and then the same controller comes right back.
        let burst = if random.below(8) == 0 { 2 } else { 1 };
        let habit = weighted(&all, &mut random);
        for n in 0..burst {
            let at = at + n * random.between(SECOND, 9 * SECOND);
            events.push((habit.make)(&mut Scene { cluster, random: &mut random, at }));
        }
    }
    if cluster.guard {
        let people: Vec<&Habit> = PEOPLE.iter().collect();
        for day in [1, 2] {
            let mut at = moment(day, 7, 30, 0);
            while at < moment(day, 17, 0, 0) {
                at += random.between(4 * MINUTE, 40 * MINUTE);
                let habit = weighted(&people, &mut random);
                events.push((habit.make)(&mut Scene { cluster, random: &mut random, at }));
            }
        }
    }
    events
}

/// Controllers and kubelets busy with what was deleted, up to the minute the logs end. A busy cluster
/// that falls silent is what the rule about it looks for; a quiet one may just have nothing to say.
fn aftermath(cluster: &Cluster) -> Vec<Event> {
    let mut random = Random::named(5, cluster.name);
    let small: Vec<&Habit> = AFTERMATH.iter().collect();
    let mut events = Vec::new();
    let mut at = moment(2, 21, 6, 0);
    while at < SILENCE {
        at += random.between(40 * SECOND, 70 * SECOND);
        let habit = weighted(&small, &mut random);
        events.push((habit.make)(&mut Scene { cluster, random: &mut random, at }));
    }
    events
}

fn weighted<'a>(habits: &[&'a Habit], random: &mut Random) -> &'a Habit {
    let total = habits.iter().map(|h| u64::from(h.weight)).sum();
    let mut ticket = random.below(total);
    for habit in habits {
        let weight = u64::from(habit.weight);
        if ticket < weight {
            return habit;
        }
        ticket -= weight;
    }
    habits[0]
}

fn log_lines(cluster: &Cluster) -> Vec<Line> {
    let mut random = Random::named(2, cluster.name);
    let mut lines = Vec::new();
    let mut at = DAY_ONE;
    while at < DAY_ONE + 48 * HOUR - HOUR {
        at += random.between(20 * MINUTE, 60 * MINUTE);
        lines.push(klog::everyday(&mut Scene { cluster, random: &mut random, at }));
    }
    if cluster.guard {
        let mut at = DAY_ONE;
        while at < DAY_ONE + 47 * HOUR {
            at += random.between(HOUR, 4 * HOUR);
            lines.push(klog::guard(&mut Scene { cluster, random: &mut random, at }));
        }
        for (day, hour) in [(1, 6), (2, 12)] {
            let at = moment(day, hour, 17, 44);
            lines.extend(klog::slow_request(&mut Scene { cluster, random: &mut random, at }));
        }
    } else {
        lines.extend(klog::stack_trace(moment(2, 3, 8, 51)));
    }
    lines
}

/// What guard says of the requests of Entra users: a third of them, as it caches its verdicts.
fn guard_lines(cluster: &Cluster, events: &[Event]) -> Vec<Line> {
    let mut random = Random::named(3, cluster.name);
    let entra = |e: &&Event| cluster.guard && e.actor.extra.iter().any(|(key, _)| *key == "oid");
    let mut lines = Vec::new();
    for event in events.iter().filter(entra).step_by(3) {
        let allowed = event.status["code"] != 403;
        let at = event.at - event.took / 2;
        let target = &event.target;
        lines.push(klog::guard_check(
            at,
            &random.uuid(),
            allowed,
            target.resource,
            event.verb,
            &target.namespace,
        ));
    }
    lines
}

/// What the diagnostic setting of the cluster sends: kube-audit has every event, kube-audit-admin all
/// but get, list and watch, and with both on most events come twice.
fn logged(cluster: &Cluster, events: &[Event], lines: &[Line]) -> Vec<Record> {
    let mut random = Random::named(4, cluster.name);
    let mut records = Vec::new();
    for event in events {
        if cluster.audit {
            records.push(Record::audit(cluster, event, "kube-audit", &mut random));
        }
        if cluster.admin && !matches!(event.verb, "get" | "list" | "watch") {
            records.push(Record::audit(cluster, event, "kube-audit-admin", &mut random));
        }
    }
    records.extend(lines.iter().map(|line| Record::line(cluster, line, &mut random)));
    records
}
