//! Who reads a partition: several readers without an epoch, or one with the highest.
//!
//! A link takes a [`Seat`] before it reads and is told through it when it must go: because a reader
//! with the same or a higher epoch came, or because a test wants all links gone. The rules are those
//! of Event Hubs, within one hub name and consumer group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fe2o3_amqp_types::definitions::{AmqpError, Error, LinkError};
use tokio::sync::{oneshot, watch};

/// As in the service: readers without an epoch on one partition in one consumer group.
const MOST: usize = 5;

/// Hub name, consumer group, partition.
pub(super) type Place = (String, String, usize);

#[derive(Debug)]
struct Reader {
    id: u64,
    epoch: Option<i64>,
    leave: oneshot::Sender<Error>,
}

#[derive(Debug, Default)]
struct Taken {
    places: HashMap<Place, Vec<Reader>>,
    id: u64,
}

/// All readers of a hub.
#[derive(Debug)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
    count: watch::Sender<usize>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { taken: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Seats {
    fn change<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut taken);
        self.count.send_replace(taken.places.values().map(Vec::len).sum());
        result
    }

    /// How many links read now.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// A place to read at; those who must give way are told. The error is what to refuse the link with.
    pub fn take(self: &Arc<Self>, place: Place, epoch: Option<i64>) -> Result<Seat, Error> {
        self.change(|taken| {
            taken.id += 1;
            let (id, readers) = (taken.id, taken.places.entry(place.clone()).or_default());
            let highest = readers.iter().filter_map(|reader| reader.epoch).max();
            match (epoch, highest) {
                (Some(epoch), Some(highest)) if epoch < highest => {
                    return Err(stolen(format!(
                        "A receiver with a higher epoch '{highest}' already exists. A new receiver with epoch \
                         {epoch} cannot be created."
                    )));
                }
                (None, Some(highest)) => {
                    return Err(stolen(format!(
                        "At least one receiver for the endpoint is created with epoch of '{highest}', and so \
                         non-epoch receiver is not allowed."
                    )));
                }
                (None, None) if readers.len() >= MOST => {
                    let text = format!(
                        "Exceeded the maximum number of allowed receivers per partition in a consumer group \
                         which is {MOST}."
                    );
                    return Err(Error::new(AmqpError::ResourceLimitExceeded, text, None));
                }
                (None, None) => {}
                (Some(epoch), _) => {
                    for reader in readers.drain(..) {
                        let text = format!(
                            "New receiver with higher epoch of '{epoch}' is created hence current receiver \
                             with epoch '{}' is getting disconnected.",
                            reader.epoch.map_or_else(|| "none".into(), |epoch| epoch.to_string())
                        );
                        // One whose link is just ending does not listen any more.
                        let _ = reader.leave.send(stolen(text));
                    }
                }
            }
            let (leave, told) = oneshot::channel();
            readers.push(Reader { id, epoch, leave });
            Ok(Seat { seats: Arc::clone(self), place, id, told })
        })
    }

    /// Tells every reader to go.
    pub fn clear(&self, error: &Error) {
        self.change(|taken| {
            for reader in taken.places.drain().flat_map(|(_, readers)| readers) {
                let _ = reader.leave.send(error.clone());
            }
        });
    }
}

fn stolen(text: String) -> Error {
    Error::new(LinkError::Stolen, text, None)
}

/// The right to read a partition, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    place: Place,
    id: u64,
    told: oneshot::Receiver<Error>,
}

impl Seat {
    /// Waits until this reader must go, and says why. Not to be asked again after that.
    pub async fn told_to_leave(&mut self) -> Error {
        match (&mut self.told).await {
            Ok(error) => error,
            // Only this seat itself takes the reader away without a word.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.change(|taken| {
            if let Some(readers) = taken.places.get_mut(&self.place) {
                readers.retain(|reader| reader.id != self.id);
                if readers.is_empty() {
                    taken.places.remove(&self.place);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fe2o3_amqp_types::definitions::ErrorCondition;

    fn place(group: &str) -> Place {
        ("hub".into(), group.into(), 0)
    }

    fn told(seat: &mut Seat) -> bool {
        matches!(
            seat.told.try_recv(),
            Ok(Error { condition: ErrorCondition::LinkError(LinkError::Stolen), .. })
        )
    }

    #[test]
    fn a_higher_or_equal_epoch_steals() {
        let seats = Arc::new(Seats::default());
        let mut plain = seats.take(place("a"), None).unwrap();
        let mut other = seats.take(place("b"), None).unwrap();
        let mut first = seats.take(place("a"), Some(1)).unwrap();
        assert!(told(&mut plain) && !told(&mut other));
        let mut second = seats.take(place("a"), Some(1)).unwrap();
        assert!(told(&mut first) && !told(&mut second));
        assert!(seats.take(place("a"), Some(0)).is_err());
        assert!(seats.take(place("a"), None).is_err());
        assert!(!told(&mut second));
        // A seat that was lost long ago does not take its successor's away.
        drop(first);
        assert_eq!(*seats.count().borrow(), 2);
        drop(second);
        assert!(seats.take(place("a"), None).is_ok());
    }

    #[test]
    fn readers_without_epoch_are_limited() {
        let seats = Arc::new(Seats::default());
        let taken: Vec<_> = (0..MOST).map(|_| seats.take(place("a"), None).unwrap()).collect();
        let error = seats.take(place("a"), None).unwrap_err();
        assert_eq!(error.condition, ErrorCondition::AmqpError(AmqpError::ResourceLimitExceeded));
        drop(taken);
        assert!(seats.take(place("a"), None).is_ok());
    }
}
