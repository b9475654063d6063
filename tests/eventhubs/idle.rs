//! When the hub is said to have no more: not while anything waits to be taken.

use std::collections::BTreeMap;
use std::time::Duration;

use aksentry::source::Source as _;
use tokio::time::sleep;

use super::Rig;

#[tokio::test]
async fn what_waits_to_be_taken_is_not_nothing() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 3);
    let mut reading = rig.open("a").await;
    let all: usize = counts.values().sum();
    let partitions: Vec<String> = (0..rig.hub.partitions()).map(|number| number.to_string()).collect();
    // Everything was handed on and the hub was asked again, several times; nobody took anything.
    reading.while_reading(|reading| reading.owned() as usize == counts.len()).await;
    rig.publish(&mut counts, 5);
    sleep(Duration::from_secs(1)).await;
    let waiting = |reading: &super::Reading| {
        let idle = partitions.iter().filter(|partition| reading.source.is_idle(partition));
        idle.count()
    };
    assert_eq!(waiting(&reading), 0, "{} of {all} were taken", reading.count());
    reading.until(counts.values().sum()).await;
    reading.while_reading(|reading| waiting(reading) == partitions.len()).await;
    reading.assert_complete(&counts);
}
