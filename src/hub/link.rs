//! Links: which are accepted, readers that get the events of a partition, writers that add some.

use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::acceptor::{LinkAcceptor, LinkEndpoint, ListenerSessionHandle};
use fe2o3_amqp::link::RecvError;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::{Receiver, Sender};
use fe2o3_amqp_types::definitions::{AmqpError, Error, ErrorCondition, Role};
use fe2o3_amqp_types::messaging::{Body, Data, Source, Target, TargetArchetype};
use fe2o3_amqp_types::performatives::Attach;
use fe2o3_amqp_types::primitives::{Symbol, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::log::{Content, content, partition_key};
use super::node::{Replies, SignIn, answer, reply};
use super::seats::Seat;
use super::selector::{Node, Start};
use super::{SETTLE_AFTER, Shared, batch};

/// The largest delivery a sender may make, as in the service.
const LARGEST: u64 = 1 << 20;
/// Events taken from the log at a time.
const TAKEN: usize = 64;
/// A peer that does not answer a detach is not waited for any longer.
const FAREWELL: Duration = Duration::from_secs(5);
const EPOCH: &str = "com.microsoft:epoch";

/// What becomes of a link that is attached.
enum Plan {
    Reply(Node, String),
    Answer(Node),
    Read(Seat, usize, i64),
    Write(Option<usize>),
}

/// One session's side of its links.
pub(super) struct Links {
    pub hub: Arc<Shared>,
    pub sign_in: Arc<SignIn>,
    pub replies: Arc<Replies>,
    pub running: JoinSet<()>,
}

impl Links {
    /// Accepts or refuses a link, and lets it run.
    pub async fn attach(&mut self, mut attach: Attach, session: &mut ListenerSessionHandle) {
        let plan = self.plan(&attach);
        let name = attach.name.clone();
        let reads = attach.role == Role::Receiver;
        // Some readers leave their own end unnamed, which the library takes for a refusal.
        if reads && attach.target.is_none() {
            attach.target = Some(Box::new(Target::default().into()));
        }
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                tracing::debug!(link = name, ?error, "link refused");
                // An end that does not exist, then a detach that says why.
                if reads {
                    attach.source = None
                } else {
                    attach.target = None
                }
                if let Ok(link) = LinkAcceptor::new().accept_incoming_attach(attach, session).await {
                    self.running.spawn(close(link, error));
                }
                return;
            }
        };
        let acceptor = LinkAcceptor::builder();
        let acceptor = if reads { acceptor } else { acceptor.max_message_size(LARGEST) }.build();
        let link = match acceptor.accept_incoming_attach(attach, session).await {
            Ok(link) => link,
            Err(error) => {
                tracing::debug!(link = name, %error, "link not attached");
                return;
            }
        };
        let hub = Arc::clone(&self.hub);
        match (plan, link) {
            (Plan::Reply(node, address), LinkEndpoint::Sender(link)) => {
                self.running.spawn(reply(link, self.replies.add(node, address)));
            }
            (Plan::Answer(node), LinkEndpoint::Receiver(link)) => {
                self.running.spawn(answer(Arc::clone(&self.sign_in), node, link, Arc::clone(&self.replies)));
            }
            (Plan::Read(seat, partition, from), LinkEndpoint::Sender(link)) => {
                self.running.spawn(read(hub, link, seat, partition, from));
            }
            (Plan::Write(partition), LinkEndpoint::Receiver(link)) => {
                self.running.spawn(write(hub, link, partition));
            }
            // A plan is made for the role of the attach, and so is the link.
            (_, link) => drop(link),
        }
    }

    fn plan(&self, attach: &Attach) -> Result<Plan, Error> {
        let reads = attach.role == Role::Receiver;
        let target =
            attach.target.as_deref().and_then(|TargetArchetype::Target(target)| target.address.clone());
        let source = attach.source.as_deref().and_then(|source| source.address.clone());
        let address = if reads { source } else { target.clone() }.unwrap_or_default();
        let unknown =
            || error(AmqpError::NotFound, format!("The messaging entity '{address}' could not be found."));
        let node = Node::parse(&address).ok_or_else(unknown)?;
        if let Node::Cbs | Node::Management = node {
            let plan = if reads { Plan::Reply(node, target.unwrap_or_default()) } else { Plan::Answer(node) };
            return Ok(plan);
        }
        if !self.sign_in.done() {
            let text = format!("Unauthorized access to '{address}'. Put a token to $cbs first.");
            return Err(error(AmqpError::UnauthorizedAccess, text));
        }
        let partition = |id: &str| {
            let last = self.hub.partitions() - 1;
            self.hub.partition(id).ok_or_else(|| {
                let text = format!("The partition '{id}' is invalid. It should be between 0 and {last}.");
                error(ErrorCondition::Custom(Symbol::from("com.microsoft:argument-out-of-range")), text)
            })
        };
        match node {
            Node::Writer { hub, partition: id } if !reads && self.hub.goes_by(&hub) => {
                Ok(Plan::Write(id.as_deref().map(partition).transpose()?))
            }
            Node::Reader { hub, group, partition: id } if reads && self.hub.goes_by(&hub) => {
                let partition = partition(&id)?;
                let filters = attach.source.as_deref().and_then(|source: &Source| source.filter.as_ref());
                let start = Start::of(filters).map_err(|text| {
                    error(AmqpError::InvalidField, format!("The selector \"{text}\" is not supported."))
                })?;
                let place = (hub.to_ascii_lowercase(), group.to_ascii_lowercase(), partition);
                // Found first: who waits for the reader and then publishes is not to be missed.
                let from = self.hub.log().find(partition, start);
                let seat = self.hub.seats.take(place, epoch(attach))?;
                Ok(Plan::Read(seat, partition, from))
            }
            _ => Err(unknown()),
        }
    }
}

fn error(condition: impl Into<ErrorCondition>, text: String) -> Error {
    Error::new(condition, text, None)
}

fn epoch(attach: &Attach) -> Option<i64> {
    match attach.properties.as_ref()?.get(EPOCH)? {
        Value::Long(epoch) => Some(*epoch),
        Value::Int(epoch) => Some(i64::from(*epoch)),
        Value::Uint(epoch) => Some(i64::from(*epoch)),
        Value::Ulong(epoch) => i64::try_from(*epoch).ok(),
        _ => None,
    }
}

/// Ends a link with an error. That the peer is gone already is as good.
async fn close(link: LinkEndpoint, error: Error) {
    let farewell = async {
        match link {
            LinkEndpoint::Sender(link) => drop(link.close_with_error(error).await),
            LinkEndpoint::Receiver(link) => drop(link.close_with_error(error).await),
        }
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Sends the events of a partition until the link ends or the seat is lost.
async fn read(hub: Arc<Shared>, mut link: Sender, mut seat: Seat, partition: usize, mut from: i64) {
    let Some(mut news) = hub.news(partition) else { return };
    loop {
        news.borrow_and_update();
        let events = if hub.stalled(partition) { Vec::new() } else { hub.log().read(partition, from, TAKEN) };
        if events.is_empty() {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                _ = link.on_detach() => return,
                error = seat.told_to_leave() => {
                    drop(seat);
                    return close(LinkEndpoint::Sender(link), error).await;
                }
            }
        }
        for event in events {
            if hub.stalled(partition) {
                break;
            }
            hub.count_delivery(partition);
            tokio::select! {
                biased;
                error = seat.told_to_leave() => {
                    hub.uncount_delivery(partition);
                    drop(seat);
                    return close(LinkEndpoint::Sender(link), error).await;
                }
                // Waits for credit. The reader's word on a single event changes nothing here.
                sent = link.send_batchable_ref(&event.sendable) => if sent.is_err() {
                    hub.uncount_delivery(partition);
                    return;
                }
            }
            from = event.sequence + 1;
        }
    }
}

/// Adds what a sender sends until the link ends.
async fn write(hub: Arc<Shared>, mut link: Receiver, partition: Option<usize>) {
    let mut kept: Vec<DeliveryInfo> = Vec::new();
    let mut due = Instant::now();
    loop {
        tokio::select! {
            delivery = link.recv::<Body<Value>>() => {
                let delivery = match delivery {
                    Ok(delivery) => delivery,
                    Err(RecvError::MessageSizeExceeded { .. }) => continue,
                    Err(_) => return,
                };
                let batched = *delivery.message_format() == Some(batch::FORMAT);
                let (delivery, message) = delivery.into_parts();
                let Some(messages) = unpack(message, batched) else {
                    let error = error(AmqpError::DecodeError, "The batch holds no messages.".into());
                    tokio::time::sleep(SETTLE_AFTER).await;
                    if link.reject(delivery, error).await.is_err() {
                        return;
                    }
                    continue;
                };
                hub.add(partition, messages);
                if kept.is_empty() {
                    due = Instant::now() + SETTLE_AFTER;
                }
                kept.push(delivery);
            }
            () = tokio::time::sleep_until(due), if !kept.is_empty() => {
                if link.accept_all(kept.drain(..)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The messages of a delivery. All of one delivery go to the same partition.
fn unpack(message: Content, batched: bool) -> Option<Vec<Content>> {
    if !batched {
        return Some(vec![message]);
    }
    let keyed = partition_key(&message).is_some();
    let Body::Data(sections) = &message.body else { return None };
    let annotations = message.message_annotations.filter(|_| keyed);
    let one = |section: &Data| {
        let body = batch::body(&section.0)?;
        Some(Content { message_annotations: annotations.clone(), ..content(body) })
    };
    sections.iter().map(one).collect()
}
