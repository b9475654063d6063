//! Which rows are wanted, and what the paths of files say of that before any is opened.

use super::layout::{NULL, Placed, day_end};
use super::stored::Stored;
use crate::event::{DAY, HOUR};

/// A range of event time and a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// First microsecond since the epoch that is in.
    pub since: Option<i64>,
    /// First microsecond that is out.
    pub until: Option<i64>,
    /// Resource id or name of a cluster, in any case.
    pub cluster: Option<String>,
}

impl Selection {
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a file may hold such rows, as far as its path tells.
    pub fn may_hold(&self, path: &str) -> bool {
        let Some(placed) = Placed::parse(path) else { return true };
        let timed = self.since.is_some() || self.until.is_some();
        let in_time = match placed.hour {
            Some(hour) => {
                self.since.is_none_or(|since| hour.saturating_add(HOUR) > since)
                    && self.until.is_none_or(|until| hour < until)
            }
            // Rows without a time, or with one that no calendar has.
            None => !timed || self.since.is_none() || self.until.is_none(),
        };
        in_time && self.cluster.as_deref().is_none_or(|wanted| placed.may_hold_cluster(wanted))
    }

    /// Whether a folder of an archive may hold such rows somewhere below it, as far as its path tells.
    pub fn may_hold_below(&self, folder: &str) -> bool {
        let last = folder.rsplit('/').next().unwrap_or(folder);
        if last.starts_with("hour=") {
            return self.may_hold(&format!("{folder}/-"));
        }
        if last.starts_with("cluster=") {
            let below = format!("{folder}/date={NULL}/hour={NULL}/-");
            let may = |placed: Placed<'_>| self.cluster.as_deref().is_none_or(|c| placed.may_hold_cluster(c));
            return Placed::parse(&below).is_none_or(may);
        }
        match day_end(folder) {
            Some(end)
                if last.starts_with("date=") && Placed::parse(&format!("{folder}/hour=00/-")).is_some() =>
            {
                self.since.is_none_or(|since| end > since)
                    && self.until.is_none_or(|until| end.saturating_sub(DAY) < until)
            }
            _ => true,
        }
    }

    /// Leaves the files that may hold such rows.
    pub fn prune(&self, files: &mut Vec<Stored>) {
        if !self.is_all() {
            files.retain(|file| self.may_hold(&file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_outside_are_left_out() {
        let at = |hour: &str| format!("x/table=audit/cluster=prod/date=2026-11-23/hour={hour}/f.parquet");
        let eight = 1_795_420_800_000_000;
        let range = |since, until| Selection { since, until, cluster: None };
        assert!(range(Some(eight + HOUR - 1), None).may_hold(&at("08")));
        assert!(!range(Some(eight + HOUR), None).may_hold(&at("08")));
        assert!(range(None, Some(eight + 1)).may_hold(&at("08")));
        assert!(!range(None, Some(eight)).may_hold(&at("08")));
        let null =
            "x/table=audit/cluster=prod/date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__/f";
        assert!(range(Some(eight), None).may_hold(null), "a time beyond the calendar");
        assert!(!range(Some(eight), Some(eight + 1)).may_hold(null));
        let below = |range: &Selection, folder: &str| range.may_hold_below(folder);
        let day = "x/table=audit/cluster=prod/date=2026-11-23";
        assert!(below(&range(Some(eight), Some(eight + 1)), day));
        assert!(
            !below(&range(Some(eight + 16 * HOUR), None), day)
                && !below(&range(None, Some(eight - 8 * HOUR)), day)
        );
        assert!(below(&range(Some(eight + 16 * HOUR - 1), None), day));
        let (hour, other) = (format!("{day}/hour=08"), format!("{day}/hour=09"));
        assert!(below(&range(None, Some(eight + 1)), &hour) && !below(&range(None, Some(eight + 1)), &other));
        assert!(below(&range(Some(eight + 16 * HOUR), None), "logs/date=2026-11-23"), "no archive");
        let of = |cluster: &str| Selection { cluster: Some(cluster.to_owned()), ..Selection::default() };
        assert!(of("PROD").may_hold(&at("08")) && !of("dev").may_hold(&at("08")));
        assert!(of("dev").may_hold("somewhere/else.parquet"));
        let cluster = "x/table=audit/cluster=prod";
        assert!(
            below(&of("PROD"), cluster) && !below(&of("dev"), cluster) && below(&of("dev"), "cluster=prod")
        );
    }
}
