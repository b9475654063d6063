//! What a run's input had no place for: columns that stay empty not because nothing happened, but
//! because the format cannot say it. Which rules suffer is the engine's to tell.

use std::collections::BTreeMap;

use crate::event::Counts;
use crate::source::files::{FileReport, FileStatus, audit_columns};

/// Columns of `audit` that some events of a run cannot fill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lack {
    /// What it is, for a person.
    pub what: String,
    pub columns: Vec<&'static str>,
    /// Events it concerns, duplicates included.
    pub events: u64,
    /// Rules that cannot fire on such an event.
    pub blind: Vec<String>,
    /// Rules that read the columns and may fire all the same, or fire too often.
    pub weaker: Vec<String>,
}

/// What was lacking, by the account of a run; `cluster` was given for events that name none.
pub fn of(counts: &Counts, files: &[FileReport], cluster: Option<&str>) -> Vec<Lack> {
    let lack = |what: &str, columns: &[&'static str], events: u64| Lack {
        what: what.into(),
        columns: columns.to_vec(),
        events,
        ..Lack::default()
    };
    let mut lacks = Vec::new();
    if counts.composed > 0 {
        let columns = ["impersonated_username", "impersonated_groups"];
        lacks.push(lack(
            "AKSAudit and AKSAuditAdmin have no column for who was impersonated",
            &columns,
            counts.composed,
        ));
    }
    let events = counts.events + counts.duplicates;
    if counts.metadata > 0 && counts.metadata == events {
        let columns = ["request_object", "response_object", "object"];
        lacks.push(lack("events at level Metadata have no bodies", &columns, events));
    }
    if counts.unnamed > 0 && cluster.is_none() {
        let what = "records that name no cluster (give it with --cluster)";
        lacks.push(lack(what, &["cluster"], counts.unnamed));
    }
    let mut by_columns: BTreeMap<&[&'static str], (Vec<&'static str>, u64)> = BTreeMap::new();
    for file in files {
        if let FileStatus::Lacking(lacking) = &file.status {
            let columns = audit_columns(lacking);
            if !columns.is_empty() {
                by_columns.entry(&lacking.columns).or_insert((columns, 0)).1 += file.records;
            }
        }
    }
    for (names, (columns, events)) in by_columns {
        let noun = if names.len() == 1 { "column" } else { "columns" };
        lacks.push(lack(&format!("tables without the {noun} {}", names.join(", ")), &columns, events));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::Lacking;

    #[test]
    fn only_what_is_lacking_is_told() {
        assert!(of(&Counts { events: 5, metadata: 4, ..Counts::default() }, &[], None).is_empty());
        let report = |columns: &[&'static str], records| FileReport {
            path: "x".into(),
            bytes: 1,
            records,
            status: FileStatus::Lacking(Lacking { columns: columns.to_vec(), zone: false }),
        };
        let files = [report(&["UserAgent"], 3), report(&["UserAgent"], 4), report(&["Category"], 5)];
        let counts =
            Counts { events: 10, duplicates: 2, composed: 7, metadata: 12, unnamed: 1, ..Counts::default() };
        let lacks = of(&counts, &files, None);
        let told: Vec<(&[&str], u64)> = lacks.iter().map(|lack| (&lack.columns[..], lack.events)).collect();
        let expected: [(&[&str], u64); 4] = [
            (&["impersonated_username", "impersonated_groups"], 7),
            (&["request_object", "response_object", "object"], 12),
            (&["cluster"], 1),
            (&["user_agent"], 7),
        ];
        assert_eq!(told, expected);
        assert_eq!(of(&counts, &[], Some("aks")).len(), 2);
    }
}
