//! The text of an audit event to an [`AuditRow`], also when it is cut or broken.
//!
//! Owns which key fills which column and what is kept of a cut event: every scalar that is complete,
//! complete items of lists, bodies closed behind their last complete member. Reads the block in place;
//! what is not there as it should be shown (escapes, closed bodies) is put into a tail that the caller
//! appends to the block. Whether the text is an event at all is decided in `record` by [`Evidence`].

use super::block::Span;
use super::columns::AuditRow;
use super::{principal, salvage, time};
use crate::event::json::{Cursor, Stop, Text, unescape};

/// What the API server writes in place of a body over its size limit.
const SKIPPED: &[u8] = b"\"skipped-too-big-size-object\"";

/// What speaks for the text being an audit event.
#[derive(Debug, Default, Clone, Copy)]
pub struct Evidence {
    pub event_kind: bool,
    pub list_kind: bool,
    /// It has a key that says what it is, or no key at all.
    pub says_event: bool,
    pub audit_api: bool,
    /// Keys of an event that held a value of the right type.
    pub fields: u32,
    pub id: bool,
    pub uri: bool,
    pub verb: bool,
    /// Where the array `items` starts.
    pub items: Option<usize>,
}

impl Evidence {
    /// Whether this is an audit event whatever category it came under.
    pub fn is_event(self) -> bool {
        !self.is_list() && (self.id || (self.event_kind && self.audit_api) || (self.uri && self.verb))
    }

    pub fn is_list(self) -> bool {
        self.list_kind && self.items.is_some()
    }

    /// Notes a key of an event. `value` is the raw value behind it.
    pub fn note(&mut self, key: &[u8], value: &[u8]) {
        let text = value.starts_with(b"\"");
        match key {
            b"kind" => {
                self.event_kind = value == b"\"Event\"";
                self.list_kind = value == b"\"EventList\"";
            }
            b"apiVersion" => {
                self.audit_api =
                    value.starts_with(b"\"audit.k8s.io/") || value.starts_with(b"\"audit.k8s.io\\/");
            }
            b"auditID" => self.id |= text,
            b"requestURI" => self.uri |= text,
            b"verb" => self.verb |= text,
            _ => {}
        }
    }
}

/// Reads one event of a block.
pub struct EventReader<'a> {
    cursor: Cursor<'a>,
    /// Appended to the block afterwards; spans behind the block's end point into it.
    tail: &'a mut Vec<u8>,
    base: usize,
    pub evidence: Evidence,
    skipped: bool,
}

impl<'a> EventReader<'a> {
    /// A reader of the event at `start..end` of `block`; `tail` will be appended to `block`.
    pub fn new(block: &'a [u8], start: usize, end: usize, tail: &'a mut Vec<u8>) -> Self {
        let text = block.get(..end).unwrap_or(block);
        let cursor = Cursor { bytes: text, pos: start };
        Self { cursor, tail, base: block.len(), evidence: Evidence::default(), skipped: false }
    }

    /// Reads the event into `row`. Whatever was read before a [`Stop`] is in the row.
    pub fn read(&mut self, row: &mut AuditRow) -> Result<(), Stop> {
        let mut early_time = None;
        let result = self.fields(row, &mut early_time);
        row.received_time = row.received_time.or(early_time);
        row.time = row.time.or(row.received_time);
        row.client_ip = row.source_ips.as_ref().and_then(|ips| ips.first()).copied();
        row.object = if row.verb.is_some_and(|verb| self.get(verb) == b"patch") {
            row.response_object.or(row.request_object)
        } else {
            row.request_object.or(row.response_object)
        };
        if row.name.is_none() && row.verb.is_some_and(|verb| self.get(verb) == b"create") {
            row.name =
                [row.response_object, row.request_object].into_iter().flatten().find_map(|b| self.name_in(b));
        }
        self.annotation_columns(row);
        row.body_skipped |= self.skipped;
        result
    }

    /// The class of the row's identity.
    pub fn principal(&self, row: &AuditRow) -> Option<&'static str> {
        let masters = || row.groups.iter().flatten().any(|group| self.get(*group) == b"system:masters");
        let oid = || row.user_extra.is_some_and(|extra| self.member(extra, b"oid").is_some());
        row.username.map(|name| principal::class(self.get(name), masters, oid))
    }

    /// Bytes of a span of the block or the tail.
    pub fn get(&self, span: Span) -> &[u8] {
        let range = span.range();
        let found = if range.start >= self.base {
            self.tail.get(range.start - self.base..range.end - self.base)
        } else {
            self.cursor.bytes.get(range)
        };
        found.unwrap_or_default()
    }

    fn fields(&mut self, row: &mut AuditRow, early_time: &mut Option<i64>) -> Result<(), Stop> {
        self.cursor.expect(b'{')?;
        let bytes = self.cursor.bytes;
        self.evidence.says_event = self.cursor.peek() == Some(b'}');
        while let Some(key) = self.cursor.key()? {
            let key = &bytes[key.range];
            match key {
                b"kind" | b"apiVersion" => {
                    self.evidence.says_event = true;
                    let value = self.cursor.value()?;
                    self.evidence.note(key, &bytes[value]);
                }
                // Other components log JSON with a level, too: that alone makes no event.
                b"level" => {
                    let before = self.evidence.fields;
                    self.text(&mut row.level)?;
                    self.evidence.fields = before;
                }
                b"auditID" => {
                    self.text(&mut row.audit_id)?;
                    self.evidence.id |= row.audit_id.is_some();
                }
                b"stage" => self.text(&mut row.stage)?,
                b"requestURI" => {
                    self.text(&mut row.request_uri)?;
                    self.evidence.uri |= row.request_uri.is_some();
                }
                b"verb" => {
                    self.text(&mut row.verb)?;
                    self.evidence.verb |= row.verb.is_some();
                }
                b"user" => self.user(row)?,
                b"impersonatedUser" => self.impersonated(row)?,
                b"sourceIPs" => self.list(&mut row.source_ips)?,
                b"userAgent" => self.text(&mut row.user_agent)?,
                b"objectRef" => self.object_ref(row)?,
                b"responseStatus" => self.status(row)?,
                b"requestObject" => self.body(&mut row.request_object)?,
                b"responseObject" => self.body(&mut row.response_object)?,
                b"requestReceivedTimestamp" => self.time(&mut row.received_time)?,
                b"stageTimestamp" => self.time(&mut row.time)?,
                b"timestamp" => self.time(early_time)?,
                b"annotations" => self.object(&mut row.annotations)?,
                b"items" => {
                    if self.cursor.peek() == Some(b'[') {
                        self.evidence.items = Some(self.cursor.pos);
                    }
                    self.cursor.value()?;
                }
                _ => {
                    self.cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn user(&mut self, row: &mut AuditRow) -> Result<(), Stop> {
        let bytes = self.cursor.bytes;
        if !self.enter()? {
            return Ok(());
        }
        while let Some(key) = self.cursor.key()? {
            match &bytes[key.range] {
                b"username" => self.text(&mut row.username)?,
                b"uid" => self.text(&mut row.user_uid)?,
                b"groups" => self.list(&mut row.groups)?,
                b"extra" => self.object(&mut row.user_extra)?,
                _ => {
                    self.cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn impersonated(&mut self, row: &mut AuditRow) -> Result<(), Stop> {
        let bytes = self.cursor.bytes;
        if !self.enter()? {
            return Ok(());
        }
        while let Some(key) = self.cursor.key()? {
            match &bytes[key.range] {
                b"username" => self.text(&mut row.impersonated_username)?,
                b"groups" => self.list(&mut row.impersonated_groups)?,
                _ => {
                    self.cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn object_ref(&mut self, row: &mut AuditRow) -> Result<(), Stop> {
        let bytes = self.cursor.bytes;
        if !self.enter()? {
            return Ok(());
        }
        while let Some(key) = self.cursor.key()? {
            match &bytes[key.range] {
                b"resource" => self.text(&mut row.resource)?,
                b"namespace" => self.text(&mut row.namespace)?,
                b"name" => self.text(&mut row.name)?,
                b"uid" => self.text(&mut row.object_uid)?,
                b"apiGroup" => self.text(&mut row.api_group)?,
                b"apiVersion" => self.text(&mut row.api_version)?,
                b"subresource" => self.text(&mut row.subresource)?,
                _ => {
                    self.cursor.value()?;
                }
            }
        }
        Ok(())
    }

    fn status(&mut self, row: &mut AuditRow) -> Result<(), Stop> {
        let bytes = self.cursor.bytes;
        if !self.enter()? {
            return Ok(());
        }
        while let Some(key) = self.cursor.key()? {
            match &bytes[key.range] {
                b"code" => {
                    let value = self.cursor.value()?;
                    row.status_code = int(&bytes[value]);
                }
                b"reason" => self.text(&mut row.status_reason)?,
                b"message" => self.text(&mut row.status_message)?,
                _ => {
                    self.cursor.value()?;
                }
            }
        }
        Ok(())
    }

    /// Consumes an opening brace; any other value is skipped and gives `false`.
    fn enter(&mut self) -> Result<bool, Stop> {
        if self.cursor.peek() == Some(b'{') {
            self.cursor.pos += 1;
            self.evidence.fields += 1;
            return Ok(true);
        }
        self.cursor.value()?;
        Ok(false)
    }

    /// A string, or the text of a number or boolean; other values leave the slot empty.
    #[inline]
    fn text(&mut self, slot: &mut Option<Span>) -> Result<(), Stop> {
        if self.cursor.peek() == Some(b'"') {
            let text = self.cursor.string()?;
            // The API server leaves empty fields out, so an empty one means the same as none.
            *slot = if text.range.is_empty() { None } else { self.shown(&text) };
            self.evidence.fields += 1;
            return Ok(());
        }
        let range = self.cursor.value()?;
        let scalar = self.cursor.bytes.get(range.start).is_some_and(|b| !matches!(b, b'{' | b'[' | b'n'));
        *slot = if scalar { Span::new(range) } else { None };
        Ok(())
    }

    /// The place of a string's value.
    fn shown(&mut self, text: &Text) -> Option<Span> {
        if !text.escaped {
            return Span::new(text.range.clone());
        }
        let start = self.tail.len();
        unescape(self.cursor.bytes.get(text.range.clone())?, self.tail);
        Span::new(self.base + start..self.base + self.tail.len())
    }

    /// Complete items of an array; a string alone counts as one item.
    fn list(&mut self, slot: &mut Option<Vec<Span>>) -> Result<(), Stop> {
        if self.cursor.peek() != Some(b'[') {
            let mut single = None;
            self.text(&mut single)?;
            *slot = single.map(|span| vec![span]);
            return Ok(());
        }
        self.cursor.pos += 1;
        self.evidence.fields += 1;
        let mut items = slot.take().unwrap_or_default();
        items.clear();
        let result = self.items(&mut items);
        *slot = Some(items);
        result
    }

    fn items(&mut self, items: &mut Vec<Span>) -> Result<(), Stop> {
        while self.cursor.item()? {
            let mut item = None;
            if self.cursor.peek() == Some(b'"') {
                let text = self.cursor.string()?;
                item = self.shown(&text);
            } else {
                let range = self.cursor.value()?;
                if !matches!(self.cursor.bytes.get(range.start), Some(b'{' | b'[' | b'n')) {
                    item = Span::new(range);
                }
            }
            items.extend(item);
        }
        Ok(())
    }

    /// An object or array as JSON text, closed if it is cut.
    fn object(&mut self, slot: &mut Option<Span>) -> Result<(), Stop> {
        match self.cursor.peek() {
            Some(b'{' | b'[') => self.evidence.fields += 1,
            _ => {
                self.cursor.value()?;
                return Ok(());
            }
        }
        let start = self.cursor.pos;
        match self.cursor.value() {
            Ok(range) => {
                *slot = Span::new(range);
                Ok(())
            }
            Err(stop) => {
                let end = match stop {
                    Stop::Bad(at) => at,
                    Stop::Cut => self.cursor.bytes.len(),
                };
                let from = self.tail.len();
                salvage::close(self.cursor.bytes.get(start..end).unwrap_or_default(), self.tail);
                *slot = Span::new(self.base + from..self.base + self.tail.len());
                Err(stop)
            }
        }
    }

    /// A body: any JSON value but null and the marker of a skipped one.
    fn body(&mut self, slot: &mut Option<Span>) -> Result<(), Stop> {
        if matches!(self.cursor.peek(), Some(b'{' | b'[')) {
            return self.object(slot);
        }
        let range = self.cursor.value()?;
        match &self.cursor.bytes[range.clone()] {
            b"null" => {}
            value if value == SKIPPED => self.skipped = true,
            _ => *slot = Span::new(range),
        }
        Ok(())
    }

    fn time(&mut self, slot: &mut Option<i64>) -> Result<(), Stop> {
        if self.cursor.peek() == Some(b'"') {
            let text = self.cursor.string()?;
            *slot = time::parse(&self.cursor.bytes[text.range]);
            self.evidence.fields += u32::from(slot.is_some());
        } else {
            self.cursor.value()?;
        }
        Ok(())
    }

    fn annotation_columns(&mut self, row: &mut AuditRow) {
        let Some(annotations) = row.annotations else { return };
        let mut decision = None;
        let mut reason = None;
        let text = self.get(annotations);
        let mut cursor = Cursor { bytes: text, pos: 1 };
        let mut truncated = false;
        while let (true, Ok(Some(key))) = (text.starts_with(b"{"), cursor.key()) {
            let name = &text[key.range];
            let wanted = match name {
                b"authorization.k8s.io/decision" | b"authorization.k8s.io\\/decision" => &mut decision,
                b"authorization.k8s.io/reason" | b"authorization.k8s.io\\/reason" => &mut reason,
                _ => {
                    truncated |= matches!(name, b"audit.k8s.io/truncated" | b"audit.k8s.io\\/truncated");
                    if cursor.value().is_err() {
                        break;
                    }
                    continue;
                }
            };
            if cursor.peek() == Some(b'"') {
                let Ok(value) = cursor.string() else { break };
                *wanted = Some(value);
            } else if cursor.value().is_err() {
                break;
            }
        }
        let at = annotations.start as usize;
        row.decision = decision.and_then(|text| self.moved(at, text));
        row.decision_reason = reason.and_then(|text| self.moved(at, text));
        self.skipped |= truncated;
    }

    /// The place of a string's value that was found in the text starting at `at`.
    fn moved(&mut self, at: usize, text: Text) -> Option<Span> {
        let place = Span::new(at + text.range.start..at + text.range.end)?;
        if !text.escaped {
            return Some(place);
        }
        let escaped = self.get(place).to_vec();
        let start = self.tail.len();
        unescape(&escaped, self.tail);
        Span::new(self.base + start..self.base + self.tail.len())
    }

    /// `metadata.name` of a body.
    fn name_in(&mut self, body: Span) -> Option<Span> {
        let metadata = self.member(body, b"metadata")?;
        let name = self.member(metadata, b"name")?;
        let text = self.get(name);
        let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if inner.is_empty() {
            return None;
        }
        let text = Text { range: 1..1 + inner.len(), escaped: inner.contains(&b'\\') };
        self.moved(name.start as usize, text)
    }

    /// The raw value of a member of an object.
    fn member(&self, object: Span, name: &[u8]) -> Option<Span> {
        let text = self.get(object);
        let mut cursor = Cursor::new(text);
        cursor.expect(b'{').ok()?;
        while let Some(key) = cursor.key().ok()? {
            let value = cursor.value().ok()?;
            if &text[key.range] == name {
                let at = object.start as usize;
                return Span::new(at + value.start..at + value.end);
            }
        }
        None
    }
}

/// A whole number, also inside quotes.
fn int(value: &[u8]) -> Option<i64> {
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    std::str::from_utf8(value).ok()?.parse().ok()
}
