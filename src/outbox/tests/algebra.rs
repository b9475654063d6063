//! Whatever is put, settled and reopened in whatever order: each alert ends delivered or in dead letters,
//! once for each sink that was to get it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::outbox::Which;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(u8, u8)>),
    Settle { sink: u8, take: usize, fate: u8 },
    Drop { id: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((any::<u8>(), 0..5u8), 0..6).prop_map(Step::Put),
        4 => (0..3u8, 0..5usize, 0..4u8).prop_map(|(sink, take, fate)| Step::Settle { sink, take, fate }),
        1 => any::<u8>().prop_map(|id| Step::Drop { id }),
        1 => Just(Step::Reopen),
    ]
}

/// The least severities of the sinks, by name.
const SINKS: [(&str, Severity); 3] =
    [("a", Severity::Informational), ("ab", Severity::Medium), ("b", Severity::Critical)];

fn open(place: &Place, max_bytes: u64) -> Outbox {
    let sinks = SINKS.map(|(name, severity)| route(name, severity));
    open_with(place.dir.path(), Config { max_bytes, ..Config::default() }, &sinks).unwrap()
}

fn name(id: u8) -> String {
    format!("{id:03}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_alert_ends_once(steps in prop::collection::vec(step(), 1..25), cap in prop_oneof![Just(8_000u64), Just(1 << 30)]) {
        let place = Place::new();
        let mut outbox = open(&place, cap);
        let mut delivered: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut wanted: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut known: BTreeMap<u8, u8> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(alerts) => {
                    let mut new = 0;
                    let mut batch = Vec::new();
                    for (id, severity) in alerts {
                        // An alert keeps its severity, as its rule does.
                        let severity = *known.entry(id).or_insert_with(|| { new += 1; severity });
                        let severity = Severity::ALL[usize::from(severity)];
                        batch.push(alert(&name(id), severity));
                        for (sink, min) in SINKS.iter().filter(|(_, min)| *min <= severity) {
                            let _ = min;
                            wanted.insert(((*sink).to_owned(), name(id)), 1);
                        }
                    }
                    prop_assert_eq!(outbox.put(&batch, NOW).unwrap(), new);
                }
                Step::Settle { sink, take, fate } => {
                    let sink = SINKS[usize::from(sink)].0;
                    let entries = outbox.due(sink, take).unwrap();
                    let results: Vec<_> = entries.iter().map(|entry| (entry.key, match fate {
                        0 => Settled::Refused { reason: "no".into() },
                        1 => Settled::Retry { reason: "later".into(), after: Duration::ZERO },
                        _ => Settled::Delivered,
                    })).collect();
                    outbox.settle(sink, &results, NOW).unwrap();
                    if fate > 1 {
                        for entry in entries {
                            *delivered.entry((sink.to_owned(), entry.alert.id)).or_default() += 1;
                        }
                    }
                }
                Step::Drop { id } => drop(outbox.drop(None, &Which::Ids(vec![name(id)]), NOW).unwrap()),
                Step::Reopen => {
                    drop(outbox);
                    outbox = open(&place, cap);
                }
            }
            prop_assert!(outbox.usage().bytes <= cap);
        }
        for (sink, _) in SINKS {
            prop_assert_eq!(outbox.depth(sink), outbox.due(sink, 10_000).unwrap().len() as u64);
            for entry in outbox.due(sink, 10_000).unwrap() {
                outbox.settle(sink, &[(entry.key, Settled::Delivered)], NOW).unwrap();
                *delivered.entry((sink.to_owned(), entry.alert.id)).or_default() += 1;
            }
        }
        prop_assert_eq!(outbox.usage().bytes, 0);
        for (sink, alert, _) in place.refused() {
            *delivered.entry((sink, alert)).or_default() += 1;
        }
        prop_assert_eq!(delivered, wanted);
    }
}
