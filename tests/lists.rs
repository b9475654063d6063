//! Lists from outside: further columns in SQL, entries that expire with the events, facts of clusters, and
//! own lists over those of the pack.

use crate::cli::Place;
use crate::geoip::request;

/// Fires for requests from outside what the list of clusters allows.
const OUTSIDE: &str = r#"-- /// detection
-- title = "From outside"
-- severity = "high"
-- status = "stable"
-- key = ["cluster", "username"]
-- summary = "{username} from {client_ip}, owned by {team}"
-- description = "Requests from outside the authorised ranges."
-- ///
SELECT cluster, username, client_ip, list_value('clusters', cluster, 'team') AS team
FROM audit
WHERE NOT cidr_match(client_ip, list_value('clusters', cluster, 'authorized_ranges'))
  AND NOT listed('readers', username)
"#;

fn place(clusters: &str) -> Place {
    let place = Place::new();
    std::fs::remove_dir_all(place.path("detections")).unwrap();
    place.put("detections/initial-access/outside.sql", OUTSIDE);
    place.put("lists/clusters.csv", format!("value,reason,team,authorized_ranges\n{clusters}"));
    let requests = [
        ("alice", "20.1.2.3", 1),
        ("alice", "20.2.2.3", 2),
        ("bob", "192.0.2.1", 3),
        ("carol", "10.0.0.1", 4),
        ("gitops", "20.2.2.3", 5),
    ];
    place.put("in.json", requests.map(|(user, from, minute)| request(user, from, minute)).concat());
    place
}

/// The summaries of the alerts of a replay.
fn summaries(place: &Place) -> (Vec<String>, String) {
    let run = place.run("replay in.json").code(0);
    let alerts = run.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    (alerts.map(|alert| alert["summary"].as_str().unwrap().to_owned()).collect(), run.err)
}

#[test]
fn facts_of_clusters_decide_and_what_they_do_not_say_is_told() {
    let (told, notes) = summaries(&place("*/managedclusters/shop,the shop,team a,20.1.0.0/16; 192.0.2.1\n"));
    assert_eq!(told, ["alice from 20.2.2.3, owned by team a", "carol from 10.0.0.1, owned by team a"]);
    assert!(!notes.contains("silent on"), "{notes}");

    // Nothing is known of this cluster: silent, and it says so.
    let (told, notes) = summaries(&place("*/managedclusters/other,x,team b,20.1.0.0/16\n"));
    assert_eq!(told, [""; 0]);
    assert!(notes.contains("outside: silent on shop, which lists/clusters.csv has no entry for"), "{notes}");

    // Nothing is known of any.
    for clusters in ["", "*/managedclusters/shop,the shop,team a,\n"] {
        let place = place(clusters);
        let (told, notes) = summaries(&place);
        assert_eq!(told, [""; 0]);
        let lacks = "cannot fire: no entry of lists/clusters.csv has authorized_ranges";
        assert!(notes.contains(&format!("outside: {lacks}")), "{notes}");
        place.run("check").code(0).says(&format!("outside {lacks}"));
    }
}

#[test]
fn an_entry_ends_for_the_events_behind_it() {
    let place = place("*/managedclusters/shop,the shop,team a,20.1.0.0/16\n");
    place.put(
        "lists/readers.csv",
        "value,reason,expires\ngitops,deploys,2026-03-01T10:05:00Z\ncarol,on leave,2026-03-01T10:04:01Z\nbob,always,\n",
    );
    let (told, _) = summaries(&place);
    assert_eq!(told, ["alice from 20.2.2.3, owned by team a", "gitops from 20.2.2.3, owned by team a"]);
    // Where rows have no time any more there is nothing to compare with.
    let grouped = "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING NOT listed('readers', username) ORDER BY username";
    place
        .run_args(["hunt", "-e", grouped, "in.json"])
        .code(2)
        .says("list \"readers\" has entries that expire");
    let timed = grouped.replace("('readers', username)", "('readers', username, max(time))");
    let run = place.run_args(["hunt", "-e", &timed, "in.json"]).code(0);
    assert_eq!(run.out, "{\"username\":\"alice\",\"n\":2}\n{\"username\":\"gitops\",\"n\":1}\n");
    // Of two rows each is asked at its own time.
    let joined = "SELECT a.username AS who, listed('readers', a.username) AS early, listed('readers', b.username) AS late \
                  FROM audit a JOIN audit b ON a.username = 'carol' AND b.username = 'gitops' ORDER BY who";
    let run = place.run_args(["hunt", "-e", joined, "in.json"]).code(0);
    assert_eq!(run.out, "{\"who\":\"carol\",\"early\":true,\"late\":false}\n");
}

#[test]
fn lists_and_columns_that_do_not_exist_are_told_with_their_place() {
    let place = place("");
    for (call, says) in [
        (
            "list_value('clusters', cluster, 'taem')",
            "1:40: list \"clusters\" has no column \"taem\"; did you mean \"team\"?",
        ),
        ("list_value('cluster', cluster, 'team')", "1:19: no list \"cluster\"; did you mean \"clusters\"?"),
        ("list_value('clusters', cluster, username)", "takes the column's name as a literal"),
        ("list_value('clusters', cluster)", "list_value takes 3 argument(s), not 2"),
        ("listed('readers', username, 'x')", "argument 3 of listed must be a time"),
        ("cidr_match(client_ip, '10.0.0.0/8 x')", "\"x\" is no CIDR"),
    ] {
        let sql = format!("SELECT {call} FROM audit");
        place.run_args(["hunt", "-e", &sql, "in.json"]).code(2).says(says);
    }
}

#[test]
fn own_lists_lie_over_those_of_the_pack() {
    // No folder of detections: the pack inside the program, with one list of ours.
    let place = place("");
    std::fs::remove_dir_all(place.path("detections")).unwrap();
    std::fs::remove_dir_all(place.path("lists")).unwrap();
    place.put("mine/clusters.csv", "value,reason,team\n*,every cluster,team c\n");
    let sql = "SELECT list_value('clusters', 'x', 'team') AS team, listed('system_namespaces', 'kube-system') AS pack";
    let run = place.run_args(["hunt", "-e", sql, "in.json", "--lists", "mine"]).code(0);
    assert_eq!(run.out, "{\"team\":\"team c\",\"pack\":true}\n");
    place.run("check --lists mine").code(0).says("0 errors");
}
