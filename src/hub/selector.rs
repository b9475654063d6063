//! What clients ask for in words: the address of a link, and the selector a reader begins with.
//!
//! Addresses come as paths or, from some clients, as whole URLs. Selectors are of the one form that
//! Event Hubs clients write: `amqp.annotation.NAME > 'VALUE'`, also with `>=`.

use fe2o3_amqp_types::messaging::FilterSet;
use fe2o3_amqp_types::primitives::Value;

/// What a link is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Tokens are put here.
    Cbs,
    /// Questions about the hub and its partitions.
    Management,
    Reader {
        hub: String,
        group: String,
        partition: String,
    },
    Writer {
        hub: String,
        partition: Option<String>,
    },
}

impl Node {
    /// Reads an address; `None` for one that no Event Hub has.
    pub fn parse(address: &str) -> Option<Self> {
        let path = match address.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => address,
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is = |part: &str, name: &str| part.eq_ignore_ascii_case(name);
        match *parts.as_slice() {
            ["$cbs"] => Some(Self::Cbs),
            ["$management"] | [_, "$management"] => Some(Self::Management),
            [hub] => Some(Self::Writer { hub: hub.into(), partition: None }),
            [hub, word, partition] if is(word, "Partitions") => {
                Some(Self::Writer { hub: hub.into(), partition: Some(partition.into()) })
            }
            [hub, groups, group, word, partition]
                if is(groups, "ConsumerGroups") && is(word, "Partitions") =>
            {
                Some(Self::Reader { hub: hub.into(), group: group.into(), partition: partition.into() })
            }
            _ => None,
        }
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    Latest,
    Sequence {
        at: i64,
        inclusive: bool,
    },
    Offset {
        at: i64,
        inclusive: bool,
    },
    /// Milliseconds since the epoch.
    Time {
        at: i64,
        inclusive: bool,
    },
}

impl Start {
    /// Reads the selector among the filters of a link; the beginning where there is none. The error is
    /// the text that was not understood.
    pub fn of(filters: Option<&FilterSet>) -> Result<Self, String> {
        let text = filters.into_iter().flat_map(|set| set.values()).find_map(|value| match value {
            Value::Described(described) => match &described.value {
                Value::String(text) => Some(text),
                _ => None,
            },
            Value::String(text) => Some(text),
            _ => None,
        });
        text.map_or(Ok(Self::Earliest), |text| Self::parse(text).ok_or_else(|| text.clone()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('>')?;
        let (inclusive, value) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        let value = value.trim().trim_matches('\'');
        let name = name.trim().strip_prefix("amqp.annotation.")?;
        if value == "@latest" {
            return Some(Self::Latest);
        }
        let at: i64 = value.parse().ok()?;
        match name {
            "x-opt-offset" => Some(Self::Offset { at, inclusive }),
            "x-opt-sequence-number" => Some(Self::Sequence { at, inclusive }),
            "x-opt-enqueued-time" => Some(Self::Time { at, inclusive }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_paths_and_as_urls() {
        let reader = Node::Reader { hub: "h".into(), group: "$Default".into(), partition: "3".into() };
        for text in [
            "amqps://ns.servicebus.windows.net/h/ConsumerGroups/$Default/Partitions/3",
            "h/ConsumerGroups/$Default/Partitions/3",
            "/h/consumergroups/$Default/partitions/3/",
        ] {
            assert_eq!(Node::parse(text), Some(reader.clone()), "{text}");
        }
        let writer =
            |partition: Option<&str>| Node::Writer { hub: "h".into(), partition: partition.map(Into::into) };
        assert_eq!(Node::parse("amqps://ns/h"), Some(writer(None)));
        assert_eq!(Node::parse("h/Partitions/0"), Some(writer(Some("0"))));
        assert_eq!(Node::parse("$cbs"), Some(Node::Cbs));
        assert_eq!(Node::parse("amqps://ns/h/$management"), Some(Node::Management));
        for text in ["", "amqps://ns", "h/Publishers/p", "a/b/c/d/e/f"] {
            assert_eq!(Node::parse(text), None, "{text}");
        }
    }

    #[test]
    fn selectors() {
        let parse = |text: &str| Start::parse(&format!("amqp.annotation.{text}"));
        assert_eq!(parse("x-opt-offset > '@latest'"), Some(Start::Latest));
        assert_eq!(parse("x-opt-offset > '-1'"), Some(Start::Offset { at: -1, inclusive: false }));
        assert_eq!(parse("x-opt-sequence-number >='7'"), Some(Start::Sequence { at: 7, inclusive: true }));
        assert_eq!(parse("x-opt-enqueued-time > 12"), Some(Start::Time { at: 12, inclusive: false }));
        for text in ["x-opt-offset = '1'", "x-opt-offset > 'x'", "other > '1'", "x-opt-offset < '1'"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
