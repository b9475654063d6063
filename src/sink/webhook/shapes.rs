//! An alert as people see it in Teams (an Adaptive Card, as the webhook of a workflow takes it) and in Slack
//! (blocks). Names come from whoever called the cluster: they are shown as plain text, never as links,
//! mentions or formatting, and are shortened so that a message stays below what either service takes.

use serde_json::{Map, Value, json};

use crate::alert::{Alert, Severity};
use crate::event::cluster_name;

/// Members of key and evidence that are shown, and how long each may be. Teams takes 28 KB for a card.
const MAX_FACTS: usize = 16;
const MAX_FACT: usize = 400;
const MAX_NAME: usize = 60;
const MAX_TITLE: usize = 140;
const MAX_SUMMARY: usize = 2000;

/// What is said of an alert below its summary: names and values.
fn facts(alert: &Alert) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: String| {
        let known = facts.iter().any(|(said, _)| said == name);
        if !value.is_empty() && !known {
            facts.push((short(name, MAX_NAME), short(&value, MAX_FACT)));
        }
    };
    if let Some(cluster) = &alert.cluster {
        say("cluster", cluster_name(cluster).to_owned());
    }
    if let Some(first) = &alert.first_seen {
        let last = alert.last_seen.as_ref().filter(|last| *last != first);
        say("time", last.map_or_else(|| first.clone(), |last| format!("{first} to {last}")));
    }
    if alert.count > 1 {
        say("events", alert.count.to_string());
    }
    let members = alert.key.iter().chain(&alert.evidence).filter(|(name, _)| *name != "cluster");
    for (name, value) in members.take(MAX_FACTS) {
        say(name, plain(value));
    }
    let attack = [alert.tactic.as_str()].into_iter().chain(alert.attack.iter().map(String::as_str));
    say("ATT&CK", attack.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "));
    say("rule", alert.rule.clone());
    say("alert", alert.id.clone());
    if let Some((first, others)) = alert.audit_ids.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        say("audit id", format!("{}{more}", short(first, 64)));
    }
    facts
}

/// A value without JSON's quotes and brackets as far as a person needs none; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// At most `limit` characters, controls and turned writing directions as blanks.
fn short(text: &str, limit: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean = |c: char| if hidden(c) { ' ' } else { c };
    if text.chars().nth(limit).is_none() {
        return text.chars().map(clean).collect();
    }
    text.chars().map(clean).take(limit.saturating_sub(1)).chain(['…']).collect()
}

fn heading(alert: &Alert) -> String {
    let replayed = if alert.replayed { " (replayed)" } else { "" };
    format!("{}: {}{replayed}", alert.severity.as_str().to_uppercase(), short(&alert.title, MAX_TITLE - 30))
}

/// A message for the webhook of a Teams workflow ("when a Teams webhook request is received").
pub fn teams(alert: &Alert) -> Value {
    // Names of colours are Adaptive Cards'.
    let (color, style) = match alert.severity {
        Severity::Critical | Severity::High => ("attention", "attention"),
        Severity::Medium => ("warning", "warning"),
        Severity::Low => ("accent", "accent"),
        Severity::Informational => ("default", "emphasis"),
    };
    // Runs of text are shown as they are; a TextBlock or a FactSet would read them as Markdown.
    let run = |text: String, more: Value| {
        let mut run =
            Map::from_iter([("type".to_owned(), json!("TextRun")), ("text".to_owned(), json!(text))]);
        run.extend(more.as_object().cloned().unwrap_or_default());
        Value::Object(run)
    };
    let rich = |runs: Vec<Value>, spacing: &str| json!({"type": "RichTextBlock", "spacing": spacing, "inlines": runs});
    let title =
        rich(vec![run(heading(alert), json!({"weight": "bolder", "size": "large", "color": color}))], "none");
    let mut body = vec![
        json!({"type": "Container", "style": style, "bleed": true, "items": [title]}),
        rich(vec![run(short(&alert.summary, MAX_SUMMARY), json!({}))], "medium"),
    ];
    body.extend(facts(alert).into_iter().enumerate().map(|(i, (name, value))| {
        let name = run(format!("{name}: "), json!({"weight": "bolder", "isSubtle": true}));
        rich(vec![name, run(value, json!({}))], if i == 0 { "medium" } else { "small" })
    }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "fallbackText": heading(alert),
                "msteams": {"width": "Full"},
                "body": body,
            },
        }],
    })
}

/// A message for a Slack incoming webhook. Two facts stand side by side, ten in a section, as Slack has it.
pub fn slack(alert: &Alert) -> Value {
    let plain_text = |text: String| json!({"type": "plain_text", "text": text, "emoji": false});
    let mut blocks = vec![
        json!({"type": "header", "text": plain_text(heading(alert))}),
        json!({"type": "section", "text": plain_text(non_empty(short(&alert.summary, MAX_SUMMARY)))}),
    ];
    let fields: Vec<Value> =
        facts(alert).into_iter().map(|(name, value)| plain_text(format!("{name}\n{value}"))).collect();
    blocks.extend(fields.chunks(10).map(|fields| json!({"type": "section", "fields": fields})));
    // What a notification shows is read as Slack's markup.
    json!({"text": escape(&heading(alert)), "blocks": blocks})
}

/// Slack refuses empty text.
fn non_empty(text: String) -> String {
    if text.trim().is_empty() { "(no summary)".to_owned() } else { text }
}

/// The three characters that begin links, mentions and entities.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
