//! A row that is delivered again changes nothing, whatever it comes beside.

use std::cell::RefCell;

use proptest::prelude::*;

use super::{Deed, arrivals, check, decode, deeds, engine, live, lived, note, replayed, same};

#[test]
fn a_row_delivered_again_changes_no_alert() {
    let (engine, forgetful) = (RefCell::new(engine(1 << 20)), RefCell::new(engine(0)));
    let again = deeds().prop_flat_map(|deeds| {
        let twice: Vec<_> = deeds.iter().chain(&deeds).cloned().collect();
        (Just(deeds), Just(twice).prop_shuffle(), 1..10usize)
    });
    check(20, again, |(once, twice, size), raised| {
        let mut engine = engine.borrow_mut();
        let mut expected = replayed(&mut engine, &once);
        note(raised, &expected);
        // Without a window or a baseline, equal lines and events are for `Dedup` to tell.
        expected.retain(|a| a.rule != "denied");
        for engine in [&mut *engine, &mut *forgetful.borrow_mut()] {
            engine.reset();
            for deeds in twice.chunks(size) {
                engine.process(&decode(deeds));
            }
            let mut found = engine.finish_all().unwrap();
            found.retain(|a| a.rule != "denied");
            let differs: Vec<_> = found.iter().zip(&expected).filter(|(a, b)| a != b).collect();
            prop_assert!(differs.is_empty() && found.len() == expected.len(), "{differs:#?}");
            prop_assert!(engine.failures().is_empty(), "{:?}", engine.failures());
        }
        Ok(())
    });
}

#[test]
fn a_row_that_comes_again_hours_later_raises_nothing_new() {
    let engine = RefCell::new(engine(1 << 20));
    let input = deeds().prop_flat_map(|deeds| (arrivals(deeds.clone()), Just(deeds)));
    check(10, input, |(arrived, once), raised| {
        let mut engine = engine.borrow_mut();
        // Somebody else's deeds, so that event time goes on and rows are let go.
        let later = [4000, 5000, 6000].map(|second| Deed {
            id: second as usize,
            user: 9,
            resource: 0,
            second,
            line: false,
            allowed: true,
        });
        let expected = replayed(&mut engine, &[&once[..], &later[..]].concat());
        note(raised, &expected);
        live(&mut engine);
        let mut alerts = lived(&mut engine, &arrived, 3);
        for other in later {
            alerts.extend(lived(&mut engine, &[other], 1));
            alerts.extend(lived(&mut engine, &once, 7));
        }
        alerts.extend(engine.finish_all().unwrap());
        same(&alerts, &expected)?;
        Ok(())
    });
}
