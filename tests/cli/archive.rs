//! Commands over the service's own archive: which one is meant when none is named.

use aksentry::store::{Environment, Location, Store};

use super::Place;
use crate::parquet::{archived, sample_batches};

const COUNT: [&str; 3] = ["hunt", "-e", "SELECT count(*) AS n FROM audit"];

/// A configuration with this archive, and with a source whose secret nobody has here.
fn configuration(archive: &str) -> String {
    format!(
        "[source.eventhubs]\nnamespace = \"contoso.servicebus.windows.net\"\nhub = \"h\"\n\
         auth = {{ kind = \"connection-string\", env = \"AKSENTRY_TEST_UNSET\" }}\n{archive}\n"
    )
}

#[test]
fn without_a_path_the_configured_archive_is_read() {
    let place = Place::new();
    let batches = &sample_batches(97)[..2];
    let rows = batches.iter().map(|batch| batch.audit.num_rows()).sum::<usize>();
    let store = Store::open(&Location::Folder(place.path("kept")), &Environment::default()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(archived(&store, batches));
    let url = format!("[archive]\nurl = \"file://{}\"", place.path("kept").display());
    let counted = format!("{{\"n\":{rows}}}\n");

    let nothing = "nothing to read; name files, folders or patterns behind -e SQL, or with --config";
    place.run_args(COUNT).code(2).says(nothing);
    place.run("archive info").code(2).says("name the archive, or a configuration with --config");

    place.put("far/away.toml", configuration(&url));
    let named = ["--config", "far/away.toml"];
    let run = place.run_args(COUNT.iter().chain(&named)).code(0).says("as far/away.toml says");
    assert_eq!(run.out, counted);
    place.put("aksentry.toml", configuration(&url));
    let run =
        place.run_args(COUNT).code(0).says(&format!("reading the archive {}", place.path("kept").display()));
    assert_eq!(run.out, counted);
    assert_eq!(place.run_args(COUNT.iter().chain(&["--quiet"])).code(0).err, "");
    // Paths are read instead of it, not beside it.
    place.put("one.json", super::record("alice", "db", 1));
    assert_eq!(place.run_args(COUNT.iter().chain(&["one.json"])).code(0).out, "{\"n\":1}\n");
    let script = place.command(["shell"]).write_stdin("SELECT count(*) AS n FROM audit;").output().unwrap();
    assert_eq!(String::from_utf8(script.stdout).unwrap(), counted);
    let events = |run: super::Run| -> u64 {
        let lines = run.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["events"].as_u64().unwrap()).sum()
    };
    assert_eq!(events(place.run("archive info --by cluster").code(0)), rows as u64);
    // Where something may be deleted, all of the configuration must be right.
    place.run("archive compact").code(2).says("AKSENTRY_TEST_UNSET is not set");
}

#[test]
fn a_configuration_that_does_not_help_is_told() {
    let place = Place::new();
    for (archive, said) in [
        ("", "c.toml has no [archive]; name the archive, or what else is to be read"),
        ("[archive]\nurl = \"\"", "c.toml has no [archive]"),
        ("[archive]\nurl = \"s3://bucket/x\"", "c.toml: [archive] url"),
        (
            "[archive]\nurl = \"file:///no/such/folder\"",
            "cannot read /no/such/folder: no such file or folder",
        ),
        ("[archive\nurl", "reading c.toml"),
    ] {
        place.put("c.toml", configuration(archive));
        place.run_args(COUNT.iter().chain(&["--config", "c.toml"])).code(2).says(said);
    }
    place.run_args(COUNT.iter().chain(&["--config", "none.toml"])).code(2).says("reading none.toml");
}

#[test]
fn databases_of_addresses_come_from_the_configuration_too() {
    let place = Place::new();
    place.put("one.json", super::record("alice", "db", 1));
    place.put("c.toml", configuration("[enrich]\ngeoip = [\"missing.mmdb\"]"));
    let run =
        place.run_args(COUNT.iter().chain(&["one.json", "--config", "c.toml"])).code(0).says("missing.mmdb");
    assert_eq!(run.out, "{\"n\":1}\n");
}
