//! A row that is delivered again changes nothing, whatever it comes beside.

use std::cell::RefCell;

use aksentry::detect::Emission;
use proptest::prelude::*;

use super::{check, decode, deeds, engine, note};

#[test]
fn a_row_delivered_again_changes_no_alert() {
    let (engine, forgetful) = (RefCell::new(engine(1 << 20)), RefCell::new(engine(0)));
    let again = deeds().prop_flat_map(|deeds| {
        let twice: Vec<_> = deeds.iter().chain(&deeds).cloned().collect();
        (Just(deeds), Just(twice).prop_shuffle(), 1..10usize)
    });
    check(20, again, |(once, twice, size), raised| {
        let mut engine = engine.borrow_mut();
        engine.set_emission(Emission::Complete);
        engine.reset();
        engine.process(&decode(&once));
        let mut expected = engine.finish();
        note(raised, &expected);
        // Without a window or a baseline, equal lines and events are for `Dedup` to tell.
        expected.retain(|a| a.rule != "denied");
        for engine in [&mut *engine, &mut *forgetful.borrow_mut()] {
            engine.reset();
            for deeds in twice.chunks(size) {
                engine.process(&decode(deeds));
            }
            let mut found = engine.finish();
            found.retain(|a| a.rule != "denied");
            let differs: Vec<_> = found.iter().zip(&expected).filter(|(a, b)| a != b).collect();
            prop_assert!(differs.is_empty() && found.len() == expected.len(), "{differs:#?}");
            prop_assert!(engine.failures().is_empty(), "{:?}", engine.failures());
        }
        Ok(())
    });
}
