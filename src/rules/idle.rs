//! Entries of a list that change nothing, because another entry of it covers them.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::list::Pattern;
use super::{Entry, List};
use crate::event::address;

impl List {
    /// Entries that a wider one covers, each with that one, in order of the file.
    pub fn idle(&self) -> Vec<(&Entry, &Entry)> {
        let mut idle: HashMap<usize, &Entry> = HashMap::new();
        let mut note = |entry: &Entry, wider| {
            idle.entry(entry.line).or_insert(wider);
        };
        let patterns: Vec<(&Entry, Pattern)> = self
            .entries()
            .iter()
            .filter(|entry| entry.value.contains('*'))
            .map(|entry| (entry, Pattern::new(&entry.value)))
            .collect();
        for entry in self.entries() {
            // A pattern that matches another's text, stars and all, matches whatever the other does.
            let wider = patterns.iter().find(|(wider, pattern)| {
                wider.line != entry.line && pattern.matches(&entry.value) && !same(entry, wider)
            });
            if let Some((wider, _)) = wider {
                note(entry, wider);
            }
        }
        let mut ranges: Vec<(IpNet, &Entry)> =
            self.entries().iter().filter_map(|entry| Some((range(&entry.value)?, entry))).collect();
        // Networks lie in each other or apart: in this order the last open one is the narrowest around.
        ranges.sort_by_key(|(range, entry)| (range.network(), range.prefix_len(), entry.line));
        let mut open: Vec<(IpNet, &Entry)> = Vec::new();
        for (range, entry) in ranges {
            while open.last().is_some_and(|(wider, _)| !wider.contains(&range)) {
                open.pop();
            }
            match open.last() {
                Some((_, wider)) => note(entry, wider),
                None => open.push((range, entry)),
            }
        }
        self.entries().iter().filter_map(|entry| Some((entry, *idle.get(&entry.line)?))).collect()
    }
}

/// Whether two patterns say the same, so that the first of them stays.
fn same(entry: &Entry, wider: &Entry) -> bool {
    wider.line > entry.line && Pattern::new(&entry.value).matches(&wider.value)
}

/// The range or the one address that an entry is.
fn range(value: &str) -> Option<IpNet> {
    let of = |address: IpAddr| IpNet::from(address);
    match value.parse::<IpNet>() {
        Ok(range) => Some(range.trunc()),
        Err(_) => address::parse(value).map(of),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_a_wider_entry_covers_is_idle() {
        let text = "value,reason\n\
            10.1.0.0/16,x\n10.0.0.0/8,x\n10.9.9.9,x\n192.168.0.0/24,x\n192.168.1.0/24,x\n\
            system:serviceaccount:flux:a,x\nsystem:serviceaccount:flux:*,x\nsystem:serviceaccount:*,x\n\
            b**,x\nb*,x\n2001:DB8::1,x\n2001:db8::1,x\nalone,x\n10.0.0.0/7,x\n";
        let (list, problems) = List::parse("x", Path::new("x.csv"), text);
        assert_eq!(problems, []);
        let idle: Vec<(&str, &str)> =
            list.idle().iter().map(|(a, b)| (a.value.as_str(), b.value.as_str())).collect();
        assert_eq!(
            idle,
            [
                ("10.1.0.0/16", "10.0.0.0/7"),
                ("10.0.0.0/8", "10.0.0.0/7"),
                ("10.9.9.9", "10.0.0.0/7"),
                ("system:serviceaccount:flux:a", "system:serviceaccount:flux:*"),
                ("system:serviceaccount:flux:*", "system:serviceaccount:*"),
                ("b*", "b**"),
                ("2001:db8::1", "2001:DB8::1"),
            ]
        );
    }

    #[test]
    fn everything_covers_everything_else() {
        let (list, _) = List::parse("x", Path::new("x.csv"), "value,reason\n10.0.0.0/8,x\n*,x\nname,x\n");
        let idle: Vec<usize> = list.idle().iter().map(|(entry, _)| entry.line).collect();
        assert_eq!(idle, [2, 4]);
    }
}
