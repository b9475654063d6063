//! `hunt`: saved queries and SQL, parameters, limits, files of rows, and what is said when it is wrong.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Place, Run, record, run_at_root};

/// A query with a parameter of every type.
const QUERY: &str = r#"-- /// query
-- title = "Reads of secrets"
-- description = "Who read which."
-- section = [4]
--
-- [params]
-- who = { type = "string", description = "Whose reads" }
-- least = { type = "int", description = "At least", default = 1 }
-- failed = { type = "bool", description = "Failed ones, too", default = false }
-- from = { type = "time", description = "Not before", default = "2026-01-01" }
-- near = { type = "duration", description = "How near", default = "1h" }
-- net = { type = "cidr", description = "From there", default = "0.0.0.0/0" }
-- names = { type = "string[]", description = "Only these", required = false }
-- ///

SELECT name, count(*) AS n, min(time) AS first_seen
FROM audit
WHERE username = $who
    AND (status_code < 400 OR $failed)
    AND time >= $from AND time < $from + $near + INTERVAL '100 days'
    AND cidr_match(client_ip, $net)
    AND ($names IS NULL OR array_has($names, name))
GROUP BY name, date_bin($near, time)
HAVING count(*) >= $least
ORDER BY name
"#;

fn place() -> Place {
    let place = Place::new();
    place.put("queries/reads.sql", QUERY);
    let lines = [("alice", "db", 1), ("alice", "db", 2), ("alice", "tls", 3), ("o'hara; --", "db", 4)];
    place.put("in.json", lines.map(|(user, name, second)| record(user, name, second)).join("\n"));
    place
}

/// The names in the rows of the saved query.
fn names(run: Run) -> Vec<String> {
    let run = run.code(0);
    let rows = run.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn parameters_of_every_type_are_bound() {
    let place = place();
    let run = |params: &str| place.run(&format!("hunt reads in.json -p who=alice {params}"));
    assert_eq!(names(run("")), ["db", "tls"]);
    assert_eq!(names(run("-p least=2")), ["db"]);
    assert_eq!(names(run("-p from=2026-03-02")), [""; 0]);
    assert_eq!(names(run("-p net=10.0.0.0/8")), [""; 0]);
    assert_eq!(names(run("-p net=203.0.113.7")), ["db", "tls"]);
    assert_eq!(names(run("-p names=tls,other")), ["tls"]);
    assert_eq!(names(run("-p names=tls -p names=db")), ["db", "tls"]);
    assert_eq!(names(run("-p near=1s")), ["db", "db", "tls"]);
    assert_eq!(names(run("-p failed=true -p near=2h")), ["db", "tls"]);
    // A value is never part of the SQL.
    let args = ["hunt", "reads", "in.json", "-p", "who=o'hara; --"];
    assert_eq!(names(place.run_args(args)), ["db"]);
    let args = ["hunt", "reads", "in.json", "-p", "who=x' OR '1'='1"];
    assert_eq!(names(place.run_args(args)), [""; 0]);
}

#[test]
fn wrong_parameters_say_which_and_what_there_is() {
    let place = place();
    for (params, said) in [
        ("", "parameter \"who\" is missing: Whose reads; give it with -p who=…"),
        ("", "least (int, default 1)"),
        ("-p whom=alice", "no parameter \"whom\"; did you mean \"who\"?"),
        ("-p who=a -p least=two", "parameter \"least\" (int): \"two\" is no whole number"),
        ("-p who=a -p failed=maybe", "write true or false"),
        ("-p who=a -p from=yesterday", "\"yesterday\" is not a time; write 2026"),
        ("-p who=a -p near=1", "\"1\" is no duration"),
        ("-p who=a -p net=10.0.0.0/40", "is no CIDR"),
        ("-p who", "\"who\" is no parameter; write name=value"),
    ] {
        let run = place.run(&format!("hunt reads in.json {params}")).code(2).says(said);
        assert_eq!(run.out, "");
    }
}

#[test]
fn parameters_of_sql_have_the_types_it_asks_for() {
    let place = place();
    let run = |sql: &str, params: &[&str]| {
        let given = params.iter().flat_map(|param| ["-p", param]);
        place.run_args(["hunt", "in.json", "-e", sql].into_iter().chain(given))
    };
    let count =
        "SELECT count(*) AS n FROM audit WHERE status_code = $code AND username = $who AND time > $from";
    let given = ["code=200", "who=alice", "from=2026-03-01T10:00:01.5Z"];
    assert_eq!(run(count, &given).code(0).out, "{\"n\":2}\n");
    run(count, &["code=x", "who=a", "from=24h"]).code(2).says("parameter \"code\" (int): \"x\" is no");
    run(count, &["code=1"]).code(2).says("parameter \"from\" is missing");
    run("SELECT 1", &["a=1"]).code(2).says("no parameter \"a\"; the SQL has no $name");
    run("SELECT $1", &[]).code(2).says("SQL:1:8: \"$1\" is no parameter; write a name such as $identity");
}

#[test]
fn the_question_may_be_a_name_a_file_or_a_detection() {
    let place = place();
    place.put("mine/x.sql", QUERY.replace("ORDER BY name", "ORDER BY name DESC"));
    place.put("plain.sql", "-- how many\nSELECT count(*) AS n FROM audit");
    assert_eq!(names(place.run("hunt mine/x.sql in.json -p who=alice")), ["tls", "db"]);
    assert_eq!(place.run("hunt plain.sql in.json").code(0).out, "{\"n\":4}\n");
    assert_eq!(names(place.run("hunt secret-get in.json")).len(), 4);
    for (args, said) in [
        ("hunt read in.json", "no query \"read\"; did you mean \"reads\"?"),
        ("hunt zzz in.json", "`aksentry hunt --list` shows all"),
        ("hunt none.sql in.json", "cannot read none.sql: no such file"),
        ("hunt in.json", "in.json is no query: a file of SQL ends with .sql"),
        ("hunt", "no query; name a saved one"),
        ("hunt reads -p who=a", "nothing to read; name files, folders or patterns behind reads"),
        ("hunt reads nowhere.json -p who=a", "nowhere.json: no such file or folder"),
        ("hunt plain.sql in.json --memory 1MB", "--memory: a query needs at least"),
        ("hunt plain.sql in.json --memory much", "is no size"),
        ("hunt plain.sql in.json --timeout soon", "is no duration"),
        ("hunt plain.sql in.json -o out.txt", "end the name with .parquet"),
        ("hunt plain.sql in.json -o no/such/out.csv", "writing no/such/out.csv"),
    ] {
        let run = place.run(args).code(2).says(said);
        assert_eq!(run.out, "", "{args}");
    }
}

#[test]
fn wrong_sql_is_told_with_its_place() {
    let place = place();
    for (sql, said) in [
        (
            "SELECT\n  usernam FROM audit",
            "SQL:2:3: no column \"usernam\" in audit; did you mean \"username\"?",
        ),
        ("SELECT 1 FROM adit", "SQL:1:15: no table \"adit\"; did you mean \"audit\"?"),
        ("SELECT cidr_mach(client_ip, 'x') FROM audit", "did you mean \"cidr_match\"?"),
        ("SELECT 1 FROM audit WHERE status_code = 'ALLOW'", "SQL:1:41: 'ALLOW' is no integer"),
        ("SELECT listed('reader', username) FROM audit", "no list \"reader\"; did you mean \"readers\"?"),
        ("SELEC 1", "SQL:1:1: syntax error"),
        ("SELECT 1; SELECT 2", "SQL:1:11: more than one statement"),
        ("DROP TABLE audit", "DROP is not allowed: nothing is changed here"),
        ("INSERT INTO audit SELECT * FROM audit", "INSERT is not allowed"),
        ("CREATE TABLE x AS SELECT 1", "CREATE is not allowed"),
        ("COPY audit TO 'x.csv'", "COPY is not allowed"),
        ("SET x = 1", "SET is not allowed"),
        ("SELECT 1 INTO x", "write a SELECT without INTO"),
        ("EXPLAIN DROP TABLE audit", "DROP is not allowed"),
    ] {
        let run = place.run_args(["hunt", "in.json", "-e", sql]).code(2).says(said);
        assert_eq!(run.out, "", "{sql}");
    }
    place.put("queries/reads.sql", QUERY.replace("count(*) AS n", "cuont(*) AS n"));
    place.run("hunt reads in.json -p who=a").code(2).says("queries/reads.sql:16:14: no function \"cuont\"");
    assert!(!place.path("x.csv").exists());
}

#[test]
fn check_reports_what_is_wrong_with_queries() {
    let place = place();
    place.run("check").code(0).says("1 detection, 1 query");
    for (name, from, to) in [
        ("a-unknown", "$least", "$leest"),
        ("b-unordered", "ORDER BY name", ""),
        ("c-type", "status_code < 400", "status_code = $who"),
        ("d-clock", "time >= $from", "time >= now()"),
        ("e-column", "cidr_match(client_ip", "cidr_match(client_pi"),
        ("f-statement", "SELECT name,", "DELETE FROM audit; SELECT name,"),
        ("g-see", "-- section = [4]", "-- see_also = [\"raeds\"]"),
        ("h-header", "-- title", "-- titel"),
    ] {
        let text = QUERY.replace(from, to);
        assert_ne!(text, QUERY, "{from}");
        place.put(&format!("queries/{name}.sql"), text);
    }
    let run = place.run("check").code(1);
    for said in [
        "queries/a-unknown.sql:24:20: no parameter \"leest\"; did you mean \"least\"?",
        "queries/b-unordered.sql:16:1: no ORDER BY",
        "queries/c-type.sql:19:24: parameter \"who\" is of type string, and \"status_code\" is a int column",
        "queries/d-clock.sql:20:17: now reads a clock; a query has none",
        "queries/e-column.sql:21:20: no column \"client_pi\" in audit; did you mean \"client_ip\"?",
        "queries/f-statement.sql:16:20: more than one statement",
        "queries/g-see.sql:4:16: no query \"raeds\"; did you mean \"reads\"?",
        "queries/h-header.sql:2:4: unknown key \"titel\"; did you mean \"title\"?",
    ] {
        assert!(run.out.contains(said), "no \"{said}\" in\n{}", run.out);
    }
    place.run("check").code(1);
    // A query that is wrong is no concern of another.
    assert_eq!(names(place.run("hunt reads in.json -p who=alice -p least=2")), ["db"]);
    place.run("hunt h-header in.json").code(2).says("unknown key \"titel\"");
}

#[test]
fn unused_parameters_are_a_mistake() {
    let place = place();
    place.put("queries/reads.sql", QUERY.replace("HAVING count(*) >= $least\n", ""));
    let out = place.run("check").code(1).out;
    assert!(out.contains("queries/reads.sql:8:4: parameter \"least\" is not used"), "{out}");
}

#[test]
fn queries_are_listed_and_shown() {
    let place = place();
    let table = place.run("hunt --list --format table").code(0).out;
    assert!(table.contains("reads  Reads of secrets") && table.contains("who [least]"), "{table}");
    let json: Value = serde_json::from_str(&place.run("hunt --list --format json").code(0).out).unwrap();
    assert_eq!(json[0]["params"][1]["default"], "1");
    let page = place.run("hunt reads --show --format table").code(0).out;
    assert!(page.contains("-p net (cidr, default 0.0.0.0/0): From there"), "{page}");
    let shown: Value = serde_json::from_str(&place.run("hunt reads --show").code(0).out).unwrap();
    assert!(shown["sql"].as_str().unwrap().starts_with("SELECT name"));
    // Without a folder the pack in the program counts, with --queries that folder.
    std::fs::rename(place.path("queries"), place.path("elsewhere")).unwrap();
    let pack = place.run("hunt --list").code(0).out;
    assert!(pack.contains("\"identity-timeline\"") && !pack.contains("\"id\":\"reads\""), "{pack}");
    let given = place.run("hunt --list --queries elsewhere").code(0).out;
    assert!(given.contains("\"reads\"") && !given.contains("identity-timeline"), "{given}");
}

#[test]
fn rows_are_written_to_a_file_whole_or_not_at_all() {
    let place = place();
    let sql = "SELECT a.username, 1 AS n, b.username, a.user_extra -> 'a' AS j \
               FROM audit a JOIN audit b ON a.audit_id = b.audit_id ORDER BY a.time";
    let hunt = |file: &str| place.run_args(["hunt", "in.json", "-e", sql, "-o", file]);
    assert_eq!(hunt("out.csv").code(0).says("4 rows in out.csv").out, "");
    assert_eq!(place.read("out.csv").lines().nth(1), Some("alice,1,alice,"));
    hunt("out.json").code(0);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&place.read("out.json")).unwrap().len(), 4);
    hunt("out.ndjson").code(0);
    assert_eq!(place.read("out.ndjson").lines().count(), 4);
    hunt("out.parquet").code(0);
    let file = std::fs::File::open(place.path("out.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 4);
    let schema = batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["username", "n", "username_2", "j"]);
    // A query that fails leaves what was there before.
    let failing = "SELECT CAST(username AS INT) FROM audit";
    place.run_args(["hunt", "in.json", "-e", failing, "-o", "out.csv"]).code(2).says("running the query");
    assert!(place.read("out.csv").starts_with("username,n,username_2,j"));
    let left = std::fs::read_dir(place.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".aksentry"));
    assert_eq!(left.count(), 0);
}

#[test]
fn what_could_not_be_read_is_told() {
    let place = place();
    let sql = "SELECT count(*) AS n FROM audit";
    let hunt = |files: &[&str]| place.run_args(["hunt", "-e", sql].into_iter().chain(files.iter().copied()));
    let run = hunt(&["in.json"]).code(0);
    assert!(!run.err.contains("incomplete"), "{}", run.err);
    let mut cut = Vec::new();
    let whole = place.read("in.json").repeat(50);
    flate2::read::GzEncoder::new(whole.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut cut)
        .unwrap();
    cut.truncate(cut.len() - 40);
    place.put("cut.json.gz", cut);
    place.put("photo.png", [0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0]);
    let run = hunt(&["in.json", "cut.json.gz", "photo.png"]).code(0);
    let run = run.says("cut.json.gz: incomplete: gzip cut short").says("photo.png: not a log");
    run.says("the account is incomplete: 1 file not fully read");
    place.put("bad.json", "{\"time\": nonsense}\n");
    hunt(&["in.json", "bad.json"]).code(0).says("the account is incomplete: 1 record that cannot be decoded");
    let run = place.run_args(["hunt", "-e", sql, "in.json", "--since", "2026-06-01"]).code(0);
    assert_eq!(run.out, "{\"n\":0}\n");
    run.says("no row is in range: the files hold 2026-03-01T10:00:01Z to 2026-03-01T10:00:04Z");
    let run = place.run_args(["hunt", "-e", sql, "in.json", "--cluster", "other"]).code(0);
    run.says("no row of cluster other is in range");
    let quiet = place.run_args(["hunt", "-e", sql, "cut.json.gz", "--quiet"]).code(0);
    // Quiet is no reason to hide that rows are missing.
    assert_eq!(quiet.err, "cut.json.gz: incomplete: gzip cut short\n");
}

#[test]
fn explain_shows_the_plan() {
    let place = place();
    let sql = "EXPLAIN SELECT username FROM audit WHERE username = $who";
    let args = ["hunt", "in.json", "-e", sql, "-p", "who=alice", "--format", "table"];
    let out = place.run_args(args).code(0).out;
    assert!(out.starts_with("logical_plan\n") && out.contains("\n  TableScan: audit"), "{out}");
    let analyzed = ["hunt", "in.json", "-e", "EXPLAIN ANALYZE SELECT count(*) FROM audit"];
    assert!(place.run_args(analyzed).code(0).out.contains("output_rows=1"));
}

/// Events of many identities, so that grouping and sorting them needs room.
fn crowd(place: &Place, events: u32) {
    let lines: Vec<String> = (0..events)
        .map(|n| record(&format!("user-{}-of-the-crowd", n % 9973), &format!("secret-{n}"), n % 3000))
        .collect();
    place.put("crowd.json", lines.join("\n"));
}

#[test]
fn beyond_its_memory_a_query_goes_to_disk_or_says_what_to_change() {
    let place = Place::new();
    crowd(&place, 40_000);
    let sql = "SELECT username, name, request_uri, audit_id, count(*) AS n FROM audit \
               GROUP BY username, name, request_uri, audit_id ORDER BY name DESC, username";
    let hunt = |sql: &str, memory: &str| {
        place.run_args(["hunt", "crowd.json", "-e", sql, "--memory", memory, "--threads", "2"])
    };
    let small = hunt(sql, "16MB").code(0);
    assert!(small.out == hunt(sql, "1GB").code(0).out, "other rows with less memory");
    assert_eq!(small.out.lines().count(), 40_000);
    let plan = hunt(&format!("EXPLAIN ANALYZE {sql}"), "16MB").code(0).out;
    let spilled = plan
        .match_indices("spill_count=")
        .any(|(at, found)| plan[at + found.len()..].chars().next().is_some_and(|digit| digit != '0'));
    assert!(spilled, "{plan}");
    let side = "(SELECT verb, repeat(request_uri, 50) AS much FROM audit)";
    let join = &format!("SELECT count(*) FROM {side} a JOIN {side} b ON a.verb = b.verb AND a.much < b.much");
    hunt(join, "16MB").code(2).says("the query needs more than 16 MB of memory").says("--memory");
}

/// A query that goes on for much longer than a test.
const ENDLESS: &str = "SELECT count(*) FROM audit a JOIN audit b ON a.verb = b.verb \
                       JOIN audit c ON b.verb = c.verb WHERE concat(a.name, b.name) < c.name";

#[test]
fn a_query_ends_with_its_time_or_with_ctrl_c() {
    let place = Place::new();
    crowd(&place, 3_000);
    let run = place.run_args(["hunt", "crowd.json", "-e", ENDLESS, "--timeout", "1s"]).code(2);
    run.says("no end after 1s; give it more --timeout");
    let mut child = Command::new(env!("CARGO_BIN_EXE_aksentry"))
        .current_dir(place.path(""))
        .args(["hunt", "crowd.json", "-e", ENDLESS])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It listens for the signal when it has threads for queries.
    let threads = format!("/proc/{}/task", child.id());
    let listens = || {
        let tasks = std::fs::read_dir(&threads).into_iter().flatten().flatten();
        let mut names =
            tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        names.any(|name| name.trim() == "query")
    };
    while !listens() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    // The threads are there a moment before the handler is.
    let caught = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
        u64::from_str_radix(mask, 16).unwrap_or(0) & 0b10 != 0
    };
    while !caught(child.id()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("stopped; the rows are not all"), "{err}");
}

#[test]
fn the_queries_that_are_shipped_run_on_the_samples() {
    let run = run_at_root(["hunt", "denied-by-identity", "samples/hub", "-p", "least=2"]).code(0);
    assert!(run.out.lines().count() > 1, "{}", run.out);
    let who = "identity=ben.okafor@contoso.com";
    for query in ["identity-timeline", "secrets-read-by-identity"] {
        run_at_root(["hunt", query, "samples/hub", "-p", who]).code(0).says(" row");
    }
}
