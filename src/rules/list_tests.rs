//! Lists as they are read and asked.

use super::*;

fn parse(text: &str) -> (List, Vec<String>) {
    let (list, problems) = List::parse("x", Path::new("lists/x.csv"), text);
    (list, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn exact_entries_patterns_and_ranges() {
    let (list, problems) = parse(
        "value,reason\r\n# people\r\nalice@example.com,on call\r\nsystem:serviceaccount:*:backup,\"nightly, everywhere\"\r\n*-bot,bots\n\
         a*b*c,three parts\n10.1.0.0/16,office\n2001:db8::/32,office\n2001:DB8:1::7,spelled out\n\"#1\",a quoted hash\nkube-system/coredns,not an address\n",
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(list.entries().len(), 9);
    assert_eq!(
        list.entries()[1],
        Entry {
            value: "system:serviceaccount:*:backup".into(),
            reason: "nightly, everywhere".into(),
            expires: None,
            cells: Vec::new(),
            line: 4
        }
    );
    for value in [
        "alice@example.com",
        "system:serviceaccount:velero:backup",
        "system:serviceaccount::backup",
        "renovate-bot",
        "-bot",
        "abc",
        "axbxbyc",
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "2001:db8:9::1",
        "2001:0db8:0001::0007",
        "#1",
        "kube-system/coredns",
    ] {
        assert!(list.contains(value, None), "{value}");
    }
    for value in [
        "",
        "Alice@example.com",
        "alice",
        "system:serviceaccount:backup",
        "bot",
        "ab",
        "acb",
        "10.2.0.1",
        "10.1.0.0/16",
        "fe80::1",
    ] {
        assert!(!list.contains(value, None), "{value}");
    }
}

#[test]
fn a_star_alone_matches_everything_and_ends_do_not_overlap() {
    let (list, _) = parse("value,reason\n*,all\n");
    assert!(list.contains("", None) && list.contains("anything", None));
    let (list, _) = parse("value,reason\naba*aba,x\n");
    assert!(list.contains("abaaba", None) && !list.contains("ababa", None));
}

#[test]
fn bad_rows_are_reported_and_the_others_kept() {
    let (list, problems) = parse(
        "value,reason\na,because\nb\nc,\n,no value\nd,x,y\n10.0.0/8,office\n10.0.0.0/33,office\na,again\n\ne,fine\n",
    );
    assert_eq!(
        problems,
        [
            "lists/x.csv:3:1: no reason for \"b\"; write behind a comma why it is on the list",
            "lists/x.csv:4:1: no reason for \"c\"; write behind a comma why it is on the list",
            "lists/x.csv:5:1: no value; remove the row or fill it in",
            "lists/x.csv:6:1: 3 columns where value and reason belong; put quotes around text with a comma",
            "lists/x.csv:7:1: \"10.0.0/8\" is no CIDR; write one such as 10.0.0.0/8",
            "lists/x.csv:8:1: \"10.0.0.0/33\" is no CIDR; write one such as 10.0.0.0/8",
            "lists/x.csv:9:1: warning: \"a\" is already in line 2; remove one",
        ]
    );
    assert_eq!(list.entries().iter().map(|e| e.value.as_str()).collect::<Vec<_>>(), ["a", "e"]);
}

#[test]
fn the_first_line_names_the_columns() {
    let begins = "a list begins with the line value,reason";
    assert_eq!(parse("").1, [format!("lists/x.csv:1:1: {begins}")]);
    assert_eq!(parse("value;reason\n").1[0], format!("lists/x.csv:1:1: {begins}"));
    let (list, problems) = parse("a,because\n");
    assert_eq!(problems, [format!("lists/x.csv:1:1: {begins}")]);
    assert!(list.contains("a", None));
    assert_eq!(parse("\u{feff}value,reason\n").1, [""; 0]);
}

#[test]
fn further_columns_are_read_by_name() {
    let (list, problems) = parse(
        "value,reason,owner,authorized_ranges\n*/aks-a,prod,team a,10.0.0.0/8 192.0.2.1\n*/aks-*,any\n10.0.0.0/8,wide,w\n10.1.0.0/16,narrow,n\n",
    );
    assert_eq!(problems, [""; 0]);
    let ask = |key: &str, column: &str| {
        let column = list.column(column).unwrap();
        list.find(key, None).and_then(|entry| column.of(entry)).map(str::to_owned)
    };
    assert_eq!(ask("/x/aks-a", "owner").as_deref(), Some("team a"));
    assert_eq!(ask("/x/aks-b", "owner"), None);
    assert_eq!(ask("/x/aks-b", "value").as_deref(), Some("*/aks-*"));
    // The smallest range around an address speaks, whatever comes first.
    assert_eq!(ask("10.1.2.3", "owner").as_deref(), Some("n"));
    assert_eq!(ask("10.2.2.3", "reason").as_deref(), Some("wide"));
    assert_eq!(ask("other", "reason"), None);
    let unknown = "list \"x\" has no column \"ownr\"; did you mean \"owner\"?";
    assert_eq!(list.column("ownr").unwrap_err(), unknown);
    let unknown = "list \"x\" has no column \"kind\"; it has value, reason, owner, authorized_ranges";
    assert_eq!(list.column("kind").unwrap_err(), unknown);
}

#[test]
fn an_entry_counts_until_it_expires() {
    let (list, problems) = parse(
        "value,reason,expires\nalice,leaves,2026-03-01\nal*,all of them,\nbob,leaves,2026-03-01T12:00:00+02:00\n",
    );
    assert_eq!(problems, [""; 0]);
    let at = |time: &str| crate::rules::parse_instant(time);
    let reason = |who: &str, time| list.find(who, time).map(|entry| entry.reason.as_str());
    assert_eq!(reason("alice", at("2026-02-28T23:59:59Z")), Some("leaves"));
    // An entry that is over leaves the word to the next that fits.
    assert_eq!(reason("alice", at("2026-03-01")), Some("all of them"));
    assert!(
        list.contains("bob", at("2026-03-01T09:59:59Z")) && !list.contains("bob", at("2026-03-01T10:00:00Z"))
    );
    assert!(list.expires() && list.contains("bob", None));
    assert!(!parse("value,reason,expires\na,b,\n").0.expires());
}

#[test]
fn columns_that_cannot_be_are_refused() {
    let (_, problems) = parse(
        "value,reason,Owner,a,a,expires,x_ranges\nv,r,o,1,2,soon\nw,r,o,1,2,,10.0.0.0/8 10.0/8\nx,r,o,1,2,,,3\n",
    );
    assert_eq!(
        problems,
        [
            "lists/x.csv:1:1: \"Owner\" is no name of a column; use lower-case letters, digits and _",
            "lists/x.csv:1:1: column \"a\" is there twice; rename one",
            "lists/x.csv:2:1: expires: \"soon\" is no time; write 2026-01-31 or 2026-01-31T08:00:00Z",
            "lists/x.csv:3:1: x_ranges: \"10.0/8\" is no CIDR; write one such as 10.0.0.0/8, several with blanks between them",
            "lists/x.csv:4:1: 8 columns where 7 belong; put quotes around text with a comma",
        ]
    );
}
