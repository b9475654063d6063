//! Alerts that wait for the end of a replay: neither where they wait nor how many threads make them changes
//! anything about them.

use std::cell::RefCell;

use aksentry::detect::Emission;
use proptest::prelude::*;

use super::{arrivals, check, decode, deeds, engine, note, replayed};

#[test]
fn alerts_put_aside_on_disk_are_those_held_in_memory() {
    let (engine, forgetful) = (RefCell::new(engine(1 << 20)), RefCell::new(engine(0)));
    let input = deeds().prop_flat_map(|deeds| (Just(deeds.clone()), arrivals(deeds), 1..6usize, 1..3usize));
    check(40, input, |(deeds, arrived, size, threads), raised| {
        // Both get every deed once: what comes twice is taken out before rules see it.
        let expected = replayed(&mut engine.borrow_mut(), &deeds);
        note(raised, &expected);
        let mut once: Vec<_> = arrived;
        let mut seen = std::collections::BTreeSet::new();
        once.retain(|deed| seen.insert(deed.id));
        let mut forgetful = forgetful.borrow_mut();
        forgetful.set_emission(Emission::Complete);
        forgetful.reset();
        for deeds in once.chunks(size) {
            forgetful.process(&decode(deeds));
        }
        let mut found = Vec::new();
        let finished = forgetful.finish(threads, &mut |alert| {
            found.push(alert);
            Ok::<(), std::io::Error>(())
        });
        finished.unwrap();
        prop_assert!(forgetful.failures().is_empty(), "{:?}", forgetful.failures());
        prop_assert_eq!(found, expected);
        Ok(())
    });
}
