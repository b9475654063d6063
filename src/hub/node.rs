//! Requests and replies: `$cbs`, where tokens are put, and `$management`, which describes the hub.
//!
//! A client attaches a link for requests and one for replies; which replies belong where is kept by
//! [`Replies`], one for a session. What is answered follows Event Hubs, names and types included.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fe2o3_amqp::{Delivery, Receiver, Sender};
use fe2o3_amqp_types::messaging::{AmqpValue, ApplicationProperties, Body, Message, Properties};
use fe2o3_amqp_types::primitives::{Array, OrderedMap, SimpleValue, Timestamp, Value};
use tokio::sync::mpsc;

use super::log::Content;
use super::selector::Node;
use super::{SETTLE_AFTER, Shared, sas};

/// Replies waiting for one link.
const REPLIES: usize = 16;

/// A connection's sign-in.
#[derive(Debug)]
pub(super) struct SignIn {
    hub: Arc<Shared>,
    done: AtomicBool,
}

impl SignIn {
    pub fn new(hub: Arc<Shared>) -> Self {
        let open = hub.options.key.is_none();
        Self { hub, done: AtomicBool::new(open) }
    }

    pub fn done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Signs in with what SASL PLAIN brings: `\0NAME\0KEY`, perhaps with an identity before it.
    pub fn plain(&self, response: &[u8]) -> bool {
        let mut parts = response.split(|byte| *byte == 0).skip(1);
        let given = (parts.next(), parts.next());
        let right = self
            .hub
            .options
            .key
            .as_ref()
            .is_none_or(|(name, key)| given == (Some(name.as_bytes()), Some(key.expose().as_bytes())));
        if right {
            self.done.store(true, Ordering::Release);
        }
        right
    }

    fn put_token(&self, token: &str) -> Status {
        if let Some((name, key)) = &self.hub.options.key
            && let Err(reason) = sas::check(token, name, key, self.hub.now())
        {
            return Status(401, reason.into());
        }
        self.done.store(true, Ordering::Release);
        Status(202, "Accepted".into())
    }
}

struct Status(i32, String);

/// The links for replies of one session.
#[derive(Debug, Default)]
pub(super) struct Replies(Mutex<Vec<(Node, String, mpsc::Sender<Content>)>>);

impl Replies {
    /// A link that takes replies of a node for those who name this address.
    pub fn add(&self, node: Node, address: String) -> mpsc::Receiver<Content> {
        let (give, take) = mpsc::channel(REPLIES);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, _, give)| !give.is_closed());
        links.push((node, address, give));
        take
    }

    /// The link for an address, or the latest where none goes by it.
    fn find(&self, node: &Node, address: &str) -> Option<mpsc::Sender<Content>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = || links.iter().rev().filter(|link| link.0 == *node);
        of_node().find(|link| link.1 == address).or_else(|| of_node().next()).map(|link| link.2.clone())
    }
}

/// Sends the replies of a link until it ends.
pub(super) async fn reply(mut link: Sender, mut replies: mpsc::Receiver<Content>) {
    loop {
        tokio::select! {
            reply = replies.recv() => {
                let Some(reply) = reply else { return };
                // Nobody waits for the outcome: a requester that is gone needs no reply.
                if link.send_batchable(reply).await.is_err() {
                    return;
                }
            }
            _ = link.on_detach() => return,
        }
    }
}

/// Answers the requests of a link until it ends.
pub(super) async fn answer(sign_in: Arc<SignIn>, node: Node, mut link: Receiver, replies: Arc<Replies>) {
    while let Ok(request) = link.recv::<Body<Value>>().await {
        tokio::time::sleep(SETTLE_AFTER).await;
        if link.accept(&request).await.is_err() {
            return;
        }
        let to = request.message().properties.as_ref().and_then(|p| p.reply_to.clone()).unwrap_or_default();
        let reply = response(&sign_in, &node, request);
        if let Some(link) = replies.find(&node, &to) {
            // The link may have ended meanwhile; then nobody wants to know.
            let _ = link.send(reply).await;
        }
    }
}

fn response(sign_in: &SignIn, node: &Node, request: Delivery<Body<Value>>) -> Content {
    let request = request.into_message();
    let property = |name: &str| {
        let value = request.application_properties.as_ref().and_then(|p| p.0.get(name))?;
        if let SimpleValue::String(text) = value { Some(text.as_str()) } else { None }
    };
    let operation = property("operation").unwrap_or_default();
    let (Status(code, text), body) = match (node, operation) {
        (Node::Cbs, "put-token") => match &request.body {
            Body::Value(AmqpValue(Value::String(token))) => (sign_in.put_token(token), None),
            _ => (Status(400, "BadRequest: the token must be a string".into()), None),
        },
        (Node::Management, "READ") if sign_in.done() => {
            let hub = &sign_in.hub;
            match read(hub, property("type"), property("name").unwrap_or_default(), property("partition")) {
                Ok(body) => (Status(200, "OK".into()), Some(body)),
                Err(status) => (status, None),
            }
        }
        (Node::Management, "READ") => (Status(401, "Unauthorized: put a token first".into()), None),
        _ => (Status(501, format!("NotImplemented: {operation}")), None),
    };
    let mut properties = ApplicationProperties(OrderedMap::new());
    properties.0.insert("status-code".into(), SimpleValue::Int(code));
    properties.0.insert("status-description".into(), SimpleValue::String(text));
    let ids = request.properties.unwrap_or_default();
    let ids = Properties { correlation_id: ids.message_id, to: ids.reply_to, ..Properties::default() };
    Message {
        properties: Some(ids),
        application_properties: Some(properties),
        ..Message::from(Body::Value(AmqpValue(body.map_or(Value::Null, Value::Map))))
    }
}

type Map = OrderedMap<Value, Value>;

/// What the hub or one of its partitions is like.
fn read(hub: &Shared, kind: Option<&str>, name: &str, partition: Option<&str>) -> Result<Map, Status> {
    if !hub.goes_by(name) {
        return Err(Status(404, format!("The messaging entity '{name}' could not be found.")));
    }
    let text = |text: &str| Value::String(text.to_owned());
    let fields: Vec<(&str, Value)> = match kind {
        Some("com.microsoft:eventhub") => {
            let ids: Vec<Value> = (0..hub.partitions()).map(|id| Value::String(id.to_string())).collect();
            vec![
                ("name", text(name)),
                ("type", text("com.microsoft:eventhub")),
                ("created_at", Value::Timestamp(Timestamp::from_milliseconds(hub.created))),
                ("partition_count", Value::Int(i32::try_from(ids.len()).unwrap_or(i32::MAX))),
                ("partition_ids", Value::Array(Array(ids))),
            ]
        }
        Some("com.microsoft:partition") => {
            let id = partition.unwrap_or_default();
            let bounds = hub.partition(id).and_then(|partition| hub.log().bounds(partition));
            let Some(bounds) = bounds else {
                return Err(Status(404, format!("The partition '{id}' could not be found.")));
            };
            let (sequence, offset, time) = bounds.last.unwrap_or((-1, -1, 0));
            vec![
                ("name", text(name)),
                ("type", text("com.microsoft:partition")),
                ("partition", text(id)),
                ("begin_sequence_number", Value::Long(bounds.begin)),
                ("begin_sequence_number_epoch", Value::Int(-1)),
                ("last_enqueued_sequence_number", Value::Long(sequence)),
                ("last_enqueued_sequence_number_epoch", Value::Int(-1)),
                ("last_enqueued_offset", Value::String(offset.to_string())),
                ("last_enqueued_time_utc", Value::Timestamp(Timestamp::from_milliseconds(time))),
                ("is_partition_empty", Value::Bool(bounds.empty)),
            ]
        }
        other => return Err(Status(400, format!("BadRequest: type {}", other.unwrap_or("is missing")))),
    };
    Ok(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}
