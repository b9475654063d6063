//! Restarts: a snapshot, the journal of what came since, and rows that the hub delivers again.

use std::cell::RefCell;
use std::collections::BTreeSet;

use aksentry::detect::{Absorbed, SavedError, Scope};
use proptest::prelude::*;

use super::{arrivals, check, decode, deeds, engine, engine_of, live, lived, note, same, watermarks};

/// Deeds as they arrive.
fn input() -> impl Strategy<Value = Vec<super::Deed>> {
    deeds().prop_flat_map(arrivals)
}

#[test]
fn going_on_from_a_snapshot_is_going_on() {
    let engines = [1 << 20, 1 << 20, 0].map(|memory| RefCell::new(engine(memory)));
    let cut = (input(), 0.0..1.0f64, 1..6usize);
    check(20, cut, |(arrived, cut, size), raised| {
        let (before, after) = arrived.split_at((arrived.len() as f64 * cut) as usize);
        let mut one = engines[0].borrow_mut();
        live(&mut one);
        let mut whole = lived(&mut one, before, size);
        whole.extend(lived(&mut one, after, size));
        whole.extend(one.finish_all().unwrap());
        note(raised, &whole);
        whole.retain(|a| a.rule != "denied");

        drop(one);
        for [first, second] in [[0, 1], [2, 0], [1, 2]] {
            let (mut first, mut second) = (engines[first].borrow_mut(), engines[second].borrow_mut());
            let (first, second) = (&mut *first, &mut *second);
            live(first);
            let mut alerts = lived(first, before, size);
            let snapshot = first.snapshot().unwrap();
            live(second);
            let restored = second.restore(&snapshot).unwrap();
            prop_assert_eq!(restored.rules.len(), 9);
            prop_assert!(restored.anew.is_empty() && restored.gone.is_empty());
            alerts.extend(lived(second, after, size));
            alerts.extend(second.finish_all().unwrap());
            alerts.retain(|a| a.rule != "denied");
            prop_assert_eq!(&alerts, &whole);
            prop_assert!(second.failures().is_empty(), "{:?}", second.failures());
        }
        Ok(())
    });
}

#[test]
fn an_old_snapshot_and_the_journal_since_miss_nothing() {
    let engines = RefCell::new([engine(1 << 20), engine(1 << 20)]);
    let plan = (input(), 0.0..1.0f64, 0.0..1.0f64, 1..6usize, 1..4usize, any::<prop::sample::Index>());
    check(25, plan, |(arrived, old, died, size, replicas, again), raised| {
        let [leader, next] = &mut *engines.borrow_mut();
        let at = |part: f64, of: usize| (of as f64 * part) as usize;
        let died = at(died, arrived.len());
        let old = at(old, died);
        let (before, after) = arrived.split_at(died);

        live(leader);
        let mut whole = lived(leader, before, size);
        whole.extend(lived(leader, after, size));
        whole.extend(leader.finish_all().unwrap());
        note(raised, &whole);

        // A leader dies some time after its last snapshot; what it said until then was heard.
        live(leader);
        let mut alerts = lived(leader, &before[..old], size);
        let snapshot = leader.snapshot().unwrap();
        let mut journal = Vec::new();
        for deeds in before[old..].chunks(size) {
            let matches = leader.matcher().evaluate(&decode(deeds));
            journal.push(leader.encode(&matches).unwrap().unwrap());
            alerts.extend(leader.absorb(matches, Scope::All));
            alerts.extend(leader.advance(watermarks(leader)));
        }

        // The next one has rows of its own already, for single-row rules.
        live(next);
        for deeds in after.chunks(size) {
            let matches = next.matcher().evaluate(&decode(deeds));
            alerts.extend(next.absorb(matches, Scope::SingleRows));
        }
        next.reset();
        next.restore(&snapshot).unwrap();
        // Segments in any order, joined in any way.
        let turn = if journal.is_empty() { 0 } else { again.index(journal.len()) };
        journal.rotate_left(turn);
        for segments in journal.chunks(replicas) {
            let absorbed = next.absorb_encoded(&segments.concat()).unwrap();
            prop_assert_eq!(absorbed.left_out, 0);
        }
        alerts.extend(next.advance(watermarks(next)));
        // The hub delivers again from its last checkpoint.
        alerts.extend(lived(next, &before[again.index(died + 1)..], size));
        alerts.extend(lived(next, after, size));
        alerts.extend(next.finish_all().unwrap());
        same(&alerts, &whole)?;
        prop_assert!(next.failures().is_empty(), "{:?}", next.failures());
        Ok(())
    });
}

#[test]
fn rows_of_other_replicas_make_the_same_windows() {
    let engines = RefCell::new([engine(1 << 20), engine(1 << 20), engine(1 << 20)]);
    check(15, (input(), 1..6usize), |(arrived, size), raised| {
        let [one, leader, follower] = &mut *engines.borrow_mut();
        live(one);
        let mut whole = lived(one, &arrived, size);
        whole.extend(one.finish_all().unwrap());
        note(raised, &whole);

        live(leader);
        live(follower);
        let mut alerts = Vec::new();
        for (n, deeds) in arrived.chunks(size).enumerate() {
            let matches = leader.matcher().evaluate(&decode(deeds));
            if n % 2 == 0 {
                alerts.extend(leader.absorb(matches, Scope::All));
            } else {
                let segment = follower.encode(&matches).unwrap().unwrap();
                let single = follower.absorb(matches, Scope::SingleRows);
                prop_assert!(single.iter().all(|a| a.rule == "denied"));
                alerts.extend(single);
                leader.absorb_encoded(&segment).unwrap();
            }
            alerts.extend(leader.advance(watermarks(leader)));
            prop_assert!(follower.usage().all(|usage| usage.rows == 0));
        }
        alerts.extend(leader.finish_all().unwrap());
        same(&alerts, &whole)?;
        Ok(())
    });
}

#[test]
fn a_changed_rule_starts_anew_and_the_others_go_on() {
    let mut old = engine(1 << 20);
    live(&mut old);
    let deed = |id: usize| super::Deed { id, user: 0, resource: 0, second: 130, line: false, allowed: true };
    let deeds: Vec<_> = (0..2).map(deed).collect();
    let matches = old.matcher().evaluate(&decode(&deeds));
    let journal = old.encode(&matches).unwrap().unwrap();
    old.absorb(matches, Scope::All);
    let snapshot = old.snapshot().unwrap();

    let mut new = engine_of(1 << 20, |id, rule| match id {
        // Which rows it keeps changes.
        "few" => Some(rule.replace("FROM audit ", "FROM audit WHERE verb = 'list' ")),
        "thinned" => None,
        // What it makes of the same rows changes.
        "burst" => Some(rule.replace(">= 3", ">= 2").replace("A rule", "Another title")),
        _ => Some(rule.into()),
    });
    live(&mut new);
    let restored = new.restore(&snapshot).unwrap();
    assert_eq!((restored.anew, restored.gone), (vec!["few".to_string()], vec!["thinned".to_string()]));
    let rows = |rule: &str| new.usage().find(|usage| usage.rule == rule).map(|usage| usage.rows);
    assert_eq!((rows("burst"), rows("few")), (Some(2), Some(0)));
    let told: BTreeSet<String> = new.finish_all().unwrap().into_iter().map(|a| a.rule).collect();
    assert!(told.contains("burst") && told.contains("alone") && !told.contains("few"), "{told:?}");

    new.reset();
    // `burst`, `alone` with one of its two scans, `silent`, `first`; not two rows each of the two others.
    let absorbed = new.absorb_encoded(&journal).unwrap();
    let kept = new.usage().map(|usage| usage.rows as u64).sum();
    assert_eq!(absorbed, Absorbed { rows: kept, left_out: 4 - 1 });
}

#[test]
fn damaged_bytes_are_an_error_and_change_nothing() {
    let mut engine = engine(1 << 20);
    let deed = |id: usize| super::Deed {
        id,
        user: 0,
        resource: 0,
        second: 60 * id as u32,
        line: id.is_multiple_of(4),
        allowed: id.is_multiple_of(3),
    };
    let deeds: Vec<_> = (0..40).map(deed).collect();
    live(&mut engine);
    let matches = engine.matcher().evaluate(&decode(&deeds));
    let journal = engine.encode(&matches).unwrap().unwrap();
    engine.absorb(matches, Scope::All);
    engine.advance(watermarks(&engine));
    let snapshot = engine.snapshot().unwrap();
    let rows: Vec<usize> = engine.usage().map(|usage| usage.rows).collect();
    for (whole, is_journal) in [(&journal, true), (&snapshot, false)] {
        let mut damaged: Vec<Vec<u8>> = (1..whole.len()).step_by(7).map(|n| whole[..n].to_vec()).collect();
        damaged.extend((0..whole.len()).step_by(3).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            bytes
        }));
        for bytes in damaged {
            let error = match is_journal {
                true => engine.absorb_encoded(&bytes).err(),
                false => engine.restore(&bytes).err(),
            };
            assert!(matches!(error, Some(SavedError::Damaged(_) | SavedError::Version(_))));
            assert!(engine.usage().map(|usage| usage.rows).eq(rows.iter().copied()));
        }
    }
    assert!(engine.absorb_encoded(&snapshot).is_err() && engine.restore(&journal).is_err());
    assert_eq!(engine.absorb_encoded(&[]).unwrap(), Absorbed::default());
}
