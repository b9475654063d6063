//! Databases of addresses, from outside: what SQL can ask them, who fires because of them, and what is said
//! of those that are missing, damaged or of another sort.

use std::path::Path;

use serde_json::Value;

use crate::cli::{Place, ROOT, Run};
use crate::support::mmdb::{self, city, system};

/// Where the three people of the tests are.
fn cities() -> Vec<u8> {
    mmdb::write(
        "GeoLite2-City",
        &[
            ("5.57.16.0/20", city("NL", 52.37, 4.90, 10)),
            ("177.8.0.0/16", city("BR", -23.55, -46.63, 50)),
            ("91.198.120.0/24", city("BE", 51.22, 4.40, 10)),
            ("2a02:898::/32", city("NL", 52.37, 4.90, 10)),
        ],
    )
}

fn systems() -> Vec<u8> {
    let example = "Example Internet Exchange, a name of more than twenty-eight letters";
    mmdb::write(
        "GeoLite2-ASN",
        &[("5.57.16.0/20", system(1200, example)), ("20.50.0.0/16", system(8075, "MS"))],
    )
}

/// Somebody lists namespaces, at this minute of an hour.
pub fn request(user: &str, address: &str, minute: u32) -> String {
    let time = format!("2026-03-01T10:{minute:02}:00.000000Z");
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": format!("{user}-{address}-{minute}"), "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces", "verb": "list",
        "user": { "username": user, "extra": { "oid": ["0a1b2c3d-0000-4000-8000-000000000001"] } },
        "sourceIPs": [address], "objectRef": { "resource": "namespaces", "apiVersion": "v1" },
        "responseStatus": { "code": 200 }, "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    let record = serde_json::json!({
        "category": "kube-audit", "time": time, "properties": { "log": event.to_string() },
        "resourceId": "/subscriptions/a/resourceGroups/b/providers/Microsoft.ContainerService/managedClusters/shop",
    });
    format!("{record}\n")
}

fn place() -> Place {
    let place = Place::new();
    place.put("city.mmdb", cities());
    place.put("asn.mmdb", systems());
    let requests = [
        ("alice@contoso.com", "5.57.16.9", 0),
        ("alice@contoso.com", "177.8.0.4", 20),
        ("bob@contoso.com", "5.57.16.9", 0),
        ("bob@contoso.com", "91.198.120.5", 2),
        ("carol@contoso.com", "10.240.0.4", 1),
        ("carol@contoso.com", "2a02:898::7", 2),
        ("carol@contoso.com", "9.9.9.9", 3),
    ];
    place.put("in.json", requests.map(|(user, from, minute)| request(user, from, minute)).concat());
    place
}

fn rows(run: Run) -> Vec<String> {
    run.code(0).out.lines().map(str::to_owned).collect()
}

#[test]
fn sql_asks_where_an_address_is_and_whose() {
    let place = place();
    let sql = "SELECT DISTINCT client_ip, country(client_ip) AS country, asn(client_ip) AS asn, \
               as_owner(client_ip) AS owner, distance_km(client_ip, '177.8.0.4') AS km FROM audit ORDER BY client_ip";
    let with = ["hunt", "-e", sql, "in.json", "--geoip", "city.mmdb", "--geoip", "asn.mmdb"];
    assert_eq!(
        rows(place.run_args(with)),
        [
            r#"{"client_ip":"10.240.0.4","country":null,"asn":null,"owner":null,"km":null}"#,
            r#"{"client_ip":"177.8.0.4","country":"BR","asn":null,"owner":null,"km":0}"#,
            r#"{"client_ip":"2a02:898::7","country":"NL","asn":null,"owner":null,"km":9745}"#,
            r#"{"client_ip":"5.57.16.9","country":"NL","asn":1200,"owner":"Example Internet Exchange, a name of more than twenty-eight letters","km":9745}"#,
            r#"{"client_ip":"9.9.9.9","country":null,"asn":null,"owner":null,"km":null}"#,
            r#"{"client_ip":"91.198.120.5","country":"BE","asn":null,"owner":null,"km":9631}"#,
        ]
    );
    let nothing: Vec<String> = rows(place.run_args(&with[..4]));
    assert!(nothing.iter().all(|row| row.contains(r#""country":null,"asn":null,"owner":null,"km":null"#)));

    // One's own networks, asked first.
    place.put(
        "own.csv",
        "value,reason,country,asn,owner\n5.57.16.8/29,VPN of the head office,BR,64500,Contoso\n",
    );
    let sql = "SELECT country('5.57.16.9') AS a, country('5.57.17.9') AS b, as_owner('5.57.16.9') AS c";
    let run = place.run_args(["hunt", "-e", sql, "in.json", "--geoip", "own.csv", "--geoip", "city.mmdb"]);
    assert_eq!(rows(run), [r#"{"a":"BR","b":"NL","c":"Contoso"}"#]);
    // At the shell, too.
    let mut shell = place.command(["shell", "in.json", "--geoip", "city.mmdb"]);
    let output = shell.write_stdin("SELECT country('5.57.16.9') AS a;").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"a\":\"NL\"}\n");
}

#[test]
fn impossible_travel_fires_with_a_database_and_says_so_without() {
    let place = place();
    // The rule as it is shipped, alone.
    std::fs::remove_dir_all(place.path("detections")).unwrap();
    let ours = |name: &str| std::fs::read(Path::new(ROOT).join("detections").join(name)).unwrap();
    for name in ["initial-access/impossible-travel.sql", "lists/shared_egress.csv"] {
        place.put(&format!("detections/{name}"), ours(name));
    }
    let run = place.run("replay in.json --geoip city.mmdb").code(0);
    let alerts: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(alerts.len(), 1, "{}", run.out);
    assert_eq!(alerts[0]["key"]["username"], "alice@contoso.com");
    assert_eq!(alerts[0]["evidence"]["journeys"], "NL 5.57.16.9 to BR 177.8.0.4 in 20 min");
    assert_eq!(alerts[0]["status"], "shadow");
    assert!(!run.err.contains("cannot fire"), "{}", run.err);

    let lacks = "cannot fire: distance_km() needs a City database";
    let silent = format!("impossible-travel: {lacks}");
    assert_eq!(place.run("replay in.json").code(0).says(&silent).out, "");
    let run = place.run("rules coverage --format ndjson").code(0);
    let blind = r#"{"by":"blind","value":"impossible-travel","name":"distance_km() needs a City database"#;
    assert!(run.out.contains(blind), "{}", run.out);
    // A database of countries knows no places.
    place.put("country.mmdb", mmdb::write("GeoLite2-Country", &[("5.0.0.0/8", city("NL", 0.0, 0.0, 0))]));
    place.run("replay in.json --geoip country.mmdb").code(0).says(&silent);

    // The configuration's databases serve a replay with it; a flag takes their place.
    place.put("aksentry.toml", format!("{TOML}[enrich]\ngeoip = \"city.mmdb\"\n"));
    let run = place.run("replay in.json --config aksentry.toml --send").code(0);
    assert!(!run.err.contains("cannot fire"), "{}", run.err);
    place.run("replay in.json --config aksentry.toml --send --geoip asn.mmdb").code(0).says(&silent);
    let run =
        place.run("check --config aksentry.toml").code(0).says("city.mmdb: GeoLite2-City of 2026-01-01");
    assert!(!run.err.contains("cannot fire"), "{}", run.err);
    place.run("check").code(0).says(&format!("impossible-travel {lacks}"));
}

/// A configuration without databases.
const TOML: &str = "[source.files]\npaths = [\"in.json\"]\n[state]\ndir = \"state\"\n[[sink]]\ntype = \"file\"\npath = \"alerts.ndjson\"\n";

#[test]
fn what_is_no_database_is_refused_with_its_path() {
    let place = place();
    let whole = cities();
    place.put("cut.mmdb", &whole[..whole.len() - 60]);
    place.put("empty.mmdb", "");
    place.put("text.mmdb", "not a database\n");
    place.put("anonymous.mmdb", mmdb::write("GeoIP2-Anonymous-IP", &[("5.0.0.0/8", system(1, "x"))]));
    place.put("own.csv", "value,reason,latitude,longitude\nhome,a word,1,2\n20.1.0.0/16,far,91,x\n");
    for (file, says) in [
        ("gone.mmdb", "--geoip gone.mmdb: cannot read the address database: No such file"),
        ("cut.mmdb", "--geoip cut.mmdb: not a usable MaxMind database: "),
        ("empty.mmdb", "--geoip empty.mmdb: not a usable MaxMind database: "),
        ("text.mmdb", "--geoip text.mmdb: not a usable MaxMind database: "),
        (
            "anonymous.mmdb",
            "--geoip anonymous.mmdb: a database of type \"GeoIP2-Anonymous-IP\" holds neither",
        ),
        ("own.csv", "--geoip own.csv: \"home\" is no network; write one such as 20.50.0.0/16"),
    ] {
        for command in ["replay in.json", "hunt -e SELECT--1 in.json", "check", "test"] {
            let args = command.split(' ').map(|word| word.replace("--1", " 1"));
            place.run_args(args.chain(["--geoip".into(), file.into()])).code(2).says(says);
        }
    }
    // A record whose bytes are wrong: whoever will use it for long looks at all of them.
    let mut bent = whole.clone();
    let at = bent.windows(2).position(|two| two == b"NL").unwrap();
    bent[at] = 0xff;
    place.put("bent.mmdb", bent);
    let run = |geoip: &str| {
        place.put("aksentry.toml", format!("{TOML}[enrich]\ngeoip = {geoip}\n"));
        place.run("check --config aksentry.toml")
    };
    for (geoip, says) in [
        ("[\"city.mmdb\", \"bent.mmdb\"]", "bent.mmdb:1:1: not a usable MaxMind database: "),
        ("[\"cut.mmdb\", \"gone.mmdb\"]", "gone.mmdb:1:1: cannot read the address database: "),
        (
            "[\"city.mmdb\", \"city.mmdb\"]",
            "aksentry.toml:9:23: \"city.mmdb\" stands twice in geoip; remove one",
        ),
        (
            "7",
            "aksentry.toml:9:9: geoip must be the path of a MaxMind database, or a list of them, such as geoip = ",
        ),
        ("\"\"", "aksentry.toml:9:9: geoip must be the path of a MaxMind database"),
    ] {
        let found = run(geoip).code(1);
        assert!(found.out.contains(says), "{says}\n{}", found.out);
    }
    run("[\"city.mmdb\", \"asn.mmdb\"]").code(0);
    // The service does not begin with one that it could not trust.
    place.put("aksentry.toml", format!("{TOML}[enrich]\ngeoip = \"bent.mmdb\"\n"));
    place.run("run --config aksentry.toml").code(2).says("bent.mmdb:1:1: not a usable MaxMind database: ");
}
