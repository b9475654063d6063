//! Rules and lists of a running service: read again whole or not at all, and the log says what changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;

use super::{Scene, Service, id, wait_for};
use crate::cli::{Place, record};
use crate::support::mmdb::{self, city};

/// Fires for the secret of this name.
const SPECIAL: &str = r#"-- /// detection
-- title = "A special secret was read"
-- severity = "high"
-- status = "stable"
-- key = ["username"]
-- attack = ["T1552.007"]
-- section = [4]
-- summary = "{username} read secret {name}"
-- description = "Reads of one secret."
-- false_positives = ["None"]
-- ///
SELECT time, cluster, username, name
FROM audit
WHERE resource = 'secrets' AND name = 'special'
"#;

/// A service with a pack of its own and a file of its alerts.
struct Rig {
    scene: Scene,
    place: Place,
    alerts: PathBuf,
    service: Service,
}

impl Rig {
    async fn start(place: Place) -> Self {
        let scene = Scene::new().await;
        let alerts = scene.folder.path().join("alerts.ndjson");
        let more = format!("[[sink]]\ntype = \"file\"\npath = \"{}\"\n", alerts.display());
        let path = scene.folder.path().join("aksentry.toml");
        std::fs::write(&path, scene.configuration("a", &more)).unwrap();
        let service = Service::start_with(&path, |command| {
            command.arg("--detections").arg(place.path("detections"));
            command.arg("--lists").arg(place.path("lists"));
            for database in glob::glob(&place.path("databases/*.mmdb").to_string_lossy()).unwrap() {
                command.arg("--geoip").arg(database.unwrap());
            }
        });
        Self { scene, place, alerts, service }
    }

    /// Rules and users of the alerts so far.
    fn seen(&self) -> BTreeSet<(String, String)> {
        let text = std::fs::read_to_string(&self.alerts).unwrap_or_default();
        let alerts = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        alerts.map(|alert| (id(&alert, "rule"), id(&alert["key"], "username"))).collect()
    }

    /// Somebody reads a secret.
    fn read(&self, user: &str, name: &str) {
        self.scene.publish(&[Bytes::from(record(user, name, 1))]);
    }

    #[track_caller]
    fn alerted(&self, rule: &str, user: &str) {
        let wanted = (rule.to_owned(), user.to_owned());
        wait_for(
            &format!("{rule} of {user}"),
            || self.seen().contains(&wanted).then_some(()),
            || self.service.log(),
        );
    }

    #[track_caller]
    fn logged(&self, text: &str) {
        wait_for(text, || self.service.log().contains(text).then_some(()), || self.service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_taken_whole_or_not_at_all() {
    let rig = Rig::start(Place::new()).await;
    rig.read("alice", "db");
    rig.alerted("secret-get", "alice");

    rig.place.put("detections/credential-access/secret-special.sql", SPECIAL);
    rig.logged("reloaded: rule secret-special is new");
    rig.read("bob", "special");
    rig.alerted("secret-special", "bob");

    // A rule that cannot be used, and a good one beside it: neither is taken.
    rig.place.put("detections/credential-access/secret-other.sql", SPECIAL.replace("'special'", "'other'"));
    rig.place.put("detections/credential-access/secret-broken.sql", SPECIAL.replace("AND name", "AND nmae"));
    rig.logged("secret-broken.sql:14:32: no column \\\"nmae\\\" in audit");
    rig.logged("rules and lists were not reloaded; the last good ones stay");
    rig.read("carol", "special");
    rig.alerted("secret-special", "carol");
    let metrics = super::get(&format!("http://{}/metrics", rig.service.telemetry()));
    assert!(metrics.contains("aksentry_reloads_total{outcome=\"refused\"} "), "{metrics}");

    std::fs::remove_file(rig.place.path("detections/credential-access/secret-broken.sql")).unwrap();
    rig.place.put("lists/readers.csv", "value,reason\ngitops,reads what it deploys\ndave,on call\n");
    rig.logged("reloaded: list readers changed");
    rig.read("dave", "other");
    rig.read("erin", "other");
    rig.alerted("secret-get", "erin");
    rig.alerted("secret-other", "dave");
    assert!(!rig.seen().contains(&("secret-get".into(), "dave".into())), "the list was not read again");

    let text = rig.place.read("detections/credential-access/secret-get.sql");
    rig.place.put("detections/credential-access/secret-get.sql", text.replace("\"high\"", "\"low\""));
    rig.logged("reloaded: rule secret-get changed");
    std::fs::remove_file(rig.place.path("detections/credential-access/secret-special.sql")).unwrap();
    rig.logged("reloaded: rule secret-special is gone");
    rig.read("frank", "special");
    rig.alerted("secret-get", "frank");
    assert!(!rig.seen().contains(&("secret-special".into(), "frank".into())));
    let (code, _, log) = rig.service.stop();
    assert_eq!(code, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reads_what_nobody_watches() {
    let place = Place::new();
    // Changes behind a link are not noticed in the folder it lies in.
    let text = place.read("detections/credential-access/secret-get.sql");
    let elsewhere = place.put("elsewhere/secret-get.sql", &text);
    let link = place.path("detections/credential-access/secret-get.sql");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let rig = Rig::start(place).await;
    rig.read("alice", "db");
    rig.alerted("secret-get", "alice");
    rig.service.signal("-HUP");
    rig.logged("rules and lists were read again: nothing changed");
    rig.place.put("elsewhere/secret-get.sql", text.replace("status_code = 200", "status_code = 201"));
    rig.service.signal("-HUP");
    rig.logged("reloaded: rule secret-get changed");
    let (code, _, log) = rig.service.stop();
    assert_eq!(code, 0, "{log}");
}

/// Fires for requests from abroad.
const ABROAD: &str = r#"-- /// detection
-- title = "A request from abroad"
-- severity = "high"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} came from {country}"
-- description = "Requests from abroad."
-- ///
SELECT time, cluster, username, country(client_ip) AS country
FROM audit
WHERE resource = 'namespaces' AND country(client_ip) <> 'NL'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_taken_anew_whole_or_not_at_all() {
    let place = Place::new();
    let at = |country| mmdb::write("GeoLite2-City", &[("8.8.8.0/24", city(country, 1.0, 2.0, 3))]);
    let file = place.put("databases/city.mmdb", at("NL"));
    place.put("detections/initial-access/abroad.sql", ABROAD);
    let rig = Rig::start(place).await;
    rig.logged("city.mmdb: GeoLite2-City of 2026-01-01");
    let list = |user: &str, minute| {
        rig.scene.publish(&[Bytes::from(crate::geoip::request(user, "8.8.8.8", minute))]);
    };
    list("alice", 1);
    rig.read("alice", "db");
    rig.alerted("secret-get", "alice");

    // As an updater does it: a new file takes the old one's place.
    let put = |bytes: &[u8]| {
        let new = rig.place.put("databases/city.mmdb.new", bytes);
        std::fs::rename(new, &file).unwrap();
    };
    put(&at("BR"));
    rig.logged("reloaded: address database ");
    list("bob", 2);
    rig.alerted("abroad", "bob");
    assert!(!rig.seen().contains(&("abroad".into(), "alice".into())));

    let whole = at("NL");
    put(&whole[..whole.len() - 40]);
    rig.logged("city.mmdb:1:1: not a usable MaxMind database");
    rig.logged("rules and lists were not reloaded; the last good ones stay");
    list("carol", 3);
    rig.alerted("abroad", "carol");

    // A file that is named must be there.
    std::fs::remove_file(&file).unwrap();
    rig.logged("cannot read the address database");
    let (code, _, log) = rig.service.stop();
    assert_eq!(code, 0, "{log}");
}
