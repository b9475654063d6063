//! YAML as Sigma rules use it: values with their places, one document at a time.
//!
//! A broken document costs only itself. What could make a small file large (aliases of aliases, deep
//! nesting) is bounded. What the values mean is left to the chapters beside.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Line and column in the file, 1-based.
pub type Place = (usize, usize);

/// Deeper than any rule is.
const MAX_DEPTH: usize = 32;
/// Values of one document, those that aliases repeat counted again.
const MAX_NODES: usize = 50_000;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `plain` is without quotes, so that it may be null, a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub name: String,
    pub place: Place,
}

impl Node {
    /// The text of a scalar, null and numbers too.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The items of a list, or the value alone.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Scalar { .. } => "a value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// A problem with its place.
pub(super) type Problem = (Place, String);

/// The documents of a file in order; each with its first line, and its root or why it has none. Empty
/// documents are left out.
pub(super) fn documents(text: &str) -> Vec<Result<Node, Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    divide(text).into_iter().filter_map(|(before, chunk)| document(chunk, before).transpose()).collect()
}

/// Where a line of three dashes stands begins a document, whatever stood before it. Comments and
/// directives belong to the document behind them.
fn divide(text: &str) -> Vec<(usize, &str)> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line, mut offset, mut filled) = (0, 0, 0, false);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']));
        if marker && filled {
            chunks.push((first_line, &text[start..offset]));
            (start, first_line, filled) = (offset, at, false);
        }
        let words = line.trim();
        filled |= marker || !(words.is_empty() || words.starts_with(['#', '%']));
        offset += line.len();
    }
    chunks.push((first_line, &text[start..]));
    chunks
}

fn document(chunk: &str, before: usize) -> Result<Option<Node>, Problem> {
    let mut loader =
        Loader { parser: Parser::new_from_str(chunk), before, anchors: HashMap::new(), nodes: 0 };
    loop {
        match loader.next()? {
            (Event::StreamEnd, _) => return Ok(None),
            (Event::DocumentStart(_), _) => break,
            _ => {}
        }
    }
    let first = loader.next()?;
    let root = loader.node(first, 0)?;
    loop {
        match loader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), span) => {
                let place = loader.place(&span);
                return Err((place, "a second document without \"---\" before it; write that line".into()));
            }
            _ => {}
        }
    }
    // Nothing but comments.
    Ok((!root.is_null()).then_some(root))
}

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Lines of the file before this document.
    before: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Loader<'a> {
    fn place(&self, span: &Span) -> Place {
        (self.before + span.start.line().max(1), span.start.col() + 1)
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let mark = error.marker();
                let place = (self.before + mark.line().max(1), mark.col() + 1);
                let hint = match error.info().contains("anchor") {
                    true => "; a value that begins with * or & must stand in quotes",
                    false => "",
                };
                Err((place, format!("broken YAML: {}{hint}", error.info())))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn count(&mut self, more: usize, place: Place) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err((place, format!("more than {MAX_NODES} values; no rule is that long")));
        }
        Ok(())
    }

    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Node, Problem> {
        let place = self.place(&span);
        if depth > MAX_DEPTH {
            return Err((place, format!("nested more than {MAX_DEPTH} levels deep; no rule is")));
        }
        self.count(1, place)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                (Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        next => items.push(self.node(next, depth + 1)?),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err((place, "an alias inside of what it stands for".into()));
                };
                self.count(size(&node), place)?;
                return Ok(Node { place, ..node });
            }
            Event::StreamEnd | Event::DocumentEnd => {
                return Err((place, "the document ends where a value should be".into()));
            }
            _ => return Err((place, "no value where one should be".into())),
        };
        let node = Node { value, place };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let next = self.next()?;
            if next.0 == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.node(next, depth + 1)?;
            let Value::Scalar { text: name, .. } = key.value else {
                return Err((key.place, format!("{} as a key; a key is a name", key.kind())));
            };
            // The second would replace the first without a word, and the rule mean something else.
            if !seen.insert(name.clone()) {
                let message = format!("key \"{name}\" stands twice; put its values into one list");
                return Err((key.place, message));
            }
            let next = self.next()?;
            let value = self.node(next, depth + 1)?;
            entries.push((Key { name, place: key.place }, value));
        }
    }
}

fn size(node: &Node) -> usize {
    let inside: usize = match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
    };
    1 + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_with_places() {
        let found = documents("# first\n---\na: 1\nb:\n  - 'x'\n---\nc: [\n---\n# nothing\n---\nd: ~\n");
        let found: Vec<_> = found.into_iter().map(|doc| doc.map(|node| node.place)).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], Ok((3, 1)));
        assert!(
            matches!(&found[1], Err(((7..=8, _), message)) if message.contains("broken YAML")),
            "{found:?}"
        );
        assert_eq!(found[2], Ok((11, 1)));
        let root = documents("a: {b: null, c: 'null', d: ''}").remove(0).unwrap();
        let inner = root.get("a").unwrap();
        let nulls: Vec<bool> = inner.entries().iter().map(|(_, value)| value.is_null()).collect();
        assert_eq!(nulls, [true, false, false]);
    }

    #[test]
    fn what_is_refused() {
        let bomb: String = (0..20)
            .map(|n| {
                format!(
                    "a{n}: &a{n} [{}]\n",
                    match n {
                        0 => "x".to_owned(),
                        n => vec![format!("*a{}", n - 1); 9].join(","),
                    }
                )
            })
            .collect();
        let deep = "[".repeat(60) + &"]".repeat(60);
        for (text, message) in [
            ("a: 1\nb: 2\na: 3\n", "stands twice"),
            ("a: *b\n", "in quotes"),
            ("a: &x [*x]\n", "alias"),
            ("? [a]\n: b\n", "as a key"),
            (bomb.as_str(), "more than 50000 values"),
            (deep.as_str(), "levels deep"),
        ] {
            let found = documents(text);
            let said = found.iter().find_map(|doc| doc.as_ref().err());
            assert!(said.is_some_and(|(_, said)| said.contains(message)), "{text:.40}: {said:?}");
        }
    }
}
