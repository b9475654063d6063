//! Where a row lies: `table=audit/cluster=NAME/date=2026-11-23/hour=08/FILE.parquet`.
//!
//! Hive style, so that Spark, DuckDB and others see the folders as columns and skip those they do not
//! need. Date and hour are UTC and of the event; what is unknown has the name that Hive gives to null.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, NaiveDate};
use sha2::{Digest as _, Sha256};

use crate::event::{Table, cluster_name};

/// The value of a folder for rows that have none.
pub const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const DAY: i64 = 24 * HOUR;

/// What the rows of one folder have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub table: Table,
    pub cluster: Option<Arc<str>>,
    /// Hours since the epoch.
    pub hour: Option<i64>,
}

impl Slot {
    /// The folder, without a slash at its end.
    pub fn folder(&self) -> String {
        let time = self.hour.and_then(|hour| DateTime::from_timestamp_micros(hour.checked_mul(HOUR)?));
        // A year of five digits would not sort, and is no time of an event.
        let time = time.filter(|time| (1..=9999).contains(&time.year()));
        let (date, hour) = match time {
            Some(time) => (time.format("%Y-%m-%d").to_string(), time.format("%H").to_string()),
            None => (NULL.to_owned(), NULL.to_owned()),
        };
        let cluster = cluster_folder(self.cluster.as_deref());
        format!("table={}/cluster={cluster}/date={date}/hour={hour}", self.table.name())
    }
}

/// The folder of a cluster: the name people know it by, and behind a dot a hash of the resource id, so that
/// clusters of one name have folders of their own. A bare name, as replayed logs may carry, is taken as it is.
pub fn cluster_folder(id: Option<&str>) -> String {
    let Some(id) = id else { return NULL.to_owned() };
    let id = id.to_lowercase();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // Never a dot in the name, so that no bare name looks like a name with a hash.
    let name: String =
        cluster_name(&id).chars().take(63).map(|c| if plain(c) || c == '_' { c } else { '_' }).collect();
    if name == id && !name.is_empty() {
        return name;
    }
    let hash: String = Sha256::digest(id.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("{name}.{hash}")
}

/// What the path of a file says of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<'a> {
    pub table: Table,
    /// Folder name of the cluster, see [`cluster_folder`].
    pub cluster: &'a str,
    /// First microsecond of the hour its rows are of; none for rows without a time.
    pub hour: Option<i64>,
    /// The name behind the folders.
    pub name: &'a str,
}

impl<'a> Placed<'a> {
    /// Reads a path that ends as the archive's do: `…table=audit/cluster=…/date=…/hour=…/NAME`.
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.rsplit('/');
        let name = parts.next()?;
        let hour = parts.next()?.strip_prefix("hour=")?;
        let date = parts.next()?.strip_prefix("date=")?;
        let cluster = parts.next()?.strip_prefix("cluster=")?;
        let table = parts.next()?.strip_prefix("table=")?;
        let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
        let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok();
        let start = day.and_then(|day| day.and_hms_opt(hour.parse().ok()?, 0, 0));
        Some(Self { table, cluster, hour: start.map(|time| time.and_utc().timestamp_micros()), name })
    }

    /// Whether rows of a cluster, given as people do, may be here.
    pub fn may_hold_cluster(&self, wanted: &str) -> bool {
        let folder = cluster_folder(Some(wanted));
        if self.cluster == folder {
            return true;
        }
        // A name stands for every resource id that ends in it.
        match self.cluster.rsplit_once('.') {
            Some((name, _)) => !wanted.contains('/') && folder.split('.').next() == Some(name),
            None => false,
        }
    }
}

/// The folder of a path, without a slash at its end.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Who wrote a file, told by its name: files of one run of a writer share it.
pub(super) fn run_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let run = name.split_once('-').and_then(|(_, rest)| {
        let last = rest.rfind('-')? + 1;
        rest.get(..last + 8)
    });
    run.unwrap_or(name)
}

/// The end of the day that a `…/date=YYYY-MM-DD` folder holds, microseconds since the epoch.
pub(super) fn day_end(folder: &str) -> Option<i64> {
    let (_, date) = folder.rsplit_once("/date=")?;
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros() + DAY)
}

/// The name of a file: its first event, so that names sort by time, then what makes it unique.
pub(super) fn file_name(first: Option<i64>, replica: &str, run: u32, number: u64) -> String {
    let time = first.and_then(DateTime::from_timestamp_micros).filter(|t| (1..=9999).contains(&t.year()));
    let time = match time {
        Some(time) => time.format("%Y%m%dT%H%M%S%6fZ").to_string(),
        None => "unknown".to_owned(),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let replica: String = replica.chars().take(63).map(safe).collect();
    format!("{time}-{replica}-{run:08x}{number:06}.parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(cluster: Option<&str>, time: Option<i64>) -> String {
        let hour = time.map(|t| t.div_euclid(HOUR));
        Slot { table: Table::Audit, cluster: cluster.map(Arc::from), hour }.folder()
    }

    #[test]
    fn a_folder_says_cluster_and_hour() {
        let id =
            "/subscriptions/s/resourcegroups/g/providers/microsoft.containerservice/managedclusters/prod-1";
        let folder = slot(Some(id), Some(1_795_422_600_000_000));
        assert!(folder.starts_with("table=audit/cluster=prod-1."), "{folder}");
        assert!(folder.ends_with("/date=2026-11-23/hour=08"), "{folder}");
        assert_eq!(slot(Some("prod-1"), Some(0)), "table=audit/cluster=prod-1/date=1970-01-01/hour=00");
        assert_eq!(slot(Some("prod-1"), Some(-1)), "table=audit/cluster=prod-1/date=1969-12-31/hour=23");
        assert_eq!(slot(None, None), format!("table=audit/cluster={NULL}/date={NULL}/hour={NULL}"));
        assert!(slot(None, Some(i64::MAX)).ends_with(&format!("date={NULL}/hour={NULL}")));
    }

    #[test]
    fn clusters_never_share_a_folder() {
        let ids = ["a/x", "b/x", "x", "x/", "x.y", "x_y", "x y", "../x", "", "/", "ü"];
        let folders: Vec<String> = ids.iter().map(|id| cluster_folder(Some(id))).collect();
        for (n, folder) in folders.iter().enumerate() {
            assert!(!folders[..n].contains(folder), "{folder}");
            assert!(!folder.contains('/') && folder != "..", "{folder}");
        }
        // Resource ids differ in case between services.
        assert_eq!(cluster_folder(Some("/S/RG/Prod")), cluster_folder(Some("/s/rg/prod")));
    }

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(day_end("table=audit/cluster=x/date=1970-01-01"), Some(DAY));
        assert_eq!(day_end(&format!("table=audit/cluster=x/date={NULL}")), None);
        assert_eq!(day_end("table=audit/cluster=x"), None);
    }

    #[test]
    fn paths_are_read_back() {
        let id = "/subscriptions/s/managedclusters/prod-1";
        let folder = slot(Some(id), Some(1_795_422_600_000_000));
        let path = format!("az://c/v1/{folder}/{}", file_name(Some(1), "pod-0", 7, 3));
        let placed = Placed::parse(&path).unwrap();
        assert_eq!((placed.table, placed.hour), (Table::Audit, Some(1_795_420_800_000_000)));
        for (wanted, holds) in [
            (id, true),
            ("prod-1", true),
            ("PROD-1", true),
            ("prod", false),
            ("/x/managedclusters/prod-1", false),
        ] {
            assert_eq!(placed.may_hold_cluster(wanted), holds, "{wanted}");
        }
        let bare = format!("{}/x.parquet", slot(Some("prod-1"), None));
        let bare = Placed::parse(&bare).unwrap();
        assert_eq!(bare.hour, None);
        assert!(bare.may_hold_cluster("prod-1") && !bare.may_hold_cluster(id));
        assert_eq!(Placed::parse("y=2026/m=03/d=10/h=08/m=00/PT1H.json"), None);
        assert_eq!(run_of(&path), "pod-0-00000007");
        assert_eq!(run_of("a/x.parquet"), "x.parquet");
    }

    #[test]
    fn names_sort_by_time() {
        let name = |time| file_name(time, "pod/a b", 0xabc, 7);
        assert_eq!(
            name(Some(1_795_422_600_000_001)),
            "20261123T083000000001Z-pod_a_b-00000abc000007.parquet"
        );
        assert_eq!(name(None), "unknown-pod_a_b-00000abc000007.parquet");
        assert!(name(Some(1)) < name(Some(10)));
    }
}
