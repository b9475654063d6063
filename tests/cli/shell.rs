//! `shell` as a script: statements and commands from standard input.

use super::{Place, Run, record};

fn shell(place: &Place, args: &[&str], script: &str) -> Run {
    let mut command = place.command(["shell"].iter().chain(args));
    command.write_stdin(script);
    Run::of(command)
}

fn place() -> Place {
    let place = Place::new();
    let lines =
        [("alice", "db", 1), ("bob", "tls", 2)].map(|(user, name, second)| record(user, name, second));
    place.put("in.json", lines.join("\n"));
    place.put(
        "queries/reads.sql",
        "-- /// query\n-- title = \"Reads\"\n-- description = \"d\"\n-- [params]\n\
         -- who = { type = \"string\", description = \"whose\" }\n-- ///\n\
         SELECT name FROM audit WHERE username = $who ORDER BY name",
    );
    place
}

#[test]
fn statements_and_commands_run_one_after_another() {
    let place = place();
    let script = "\\timing\nSELECT username\nFROM audit -- ; no end\nORDER BY time; SELECT 1 AS a;\n\
                  \\run reads who=bob\n\\format csv\nSELECT 2 AS b;\n\\q\nSELECT nonsense;\n";
    let run = shell(&place, &["in.json"], script).code(0).says("timing is off").says("2 rows\n");
    assert_eq!(
        run.out,
        "{\"username\":\"alice\"}\n{\"username\":\"bob\"}\n{\"a\":1}\n{\"name\":\"tls\"}\nb\r\n2\r\n"
    );
    // The last statement may do without its semicolon.
    assert_eq!(shell(&place, &["in.json"], "SELECT count(*) AS n FROM audit").code(0).out, "{\"n\":2}\n");
}

#[test]
fn a_script_ends_at_its_first_error_which_has_a_place() {
    let place = place();
    for (script, said) in [
        ("SELECT 1;\n\nSELECT usernam\nFROM audit;\nSELECT 3;", "script:3:8: no column \"usernam\" in audit"),
        ("\\dd", "no command \\dd; did you mean \\d?"),
        ("\\d adit", "no table \"adit\"; did you mean \"audit\"?"),
        ("\\run", "\\run NAME [PARAMETER=VALUE…]: run a saved query"),
        ("\\run raeds who=x", "no query \"raeds\"; did you mean \"reads\"?"),
        ("\\run reads whom=x", "no parameter \"whom\"; did you mean \"who\"?"),
        ("\\run reads who", "write name=value"),
        ("\\run reads who='x", "a quote is not closed"),
        ("\\format xml", "there are table, ndjson, json and csv"),
        ("\\o x.txt\nSELECT 1;", "end the name with .parquet"),
        ("DROP TABLE audit;", "script:1:1: DROP is not allowed"),
    ] {
        let run = shell(&place, &["in.json"], script).code(2).says(said);
        assert!(!run.out.contains('3'), "{}", run.out);
    }
}

#[test]
fn tables_functions_and_queries_are_described() {
    let place = place();
    let out = shell(&place, &["in.json", "--format", "table"], "\\d\n\\d audit\n\\df cidr\n\\l\n\\help\n")
        .code(0)
        .out;
    for said in [
        "control_plane",
        "username",
        "who authenticated",
        "cidr_match(address, 'cidr')",
        "reads  Reads",
        "\\timing",
    ] {
        assert!(out.contains(said), "no \"{said}\" in\n{out}");
    }
    let upright =
        shell(&place, &["in.json", "--format", "table"], "\\x\nSELECT username, verb FROM audit LIMIT 1;");
    assert_eq!(upright.code(0).out, "--- row 1\nusername  alice\nverb      get\n");
}

#[test]
fn what_was_decoded_is_kept_and_gives_the_same_rows() {
    let place = place();
    let script = "SELECT count(*) AS n FROM audit;\nSELECT count(*) AS n FROM audit a JOIN audit b ON a.verb = b.verb;\n\
                  SELECT count(*) AS n FROM control_plane;\nSELECT username FROM audit WHERE name = 'db';";
    let expected = "{\"n\":2}\n{\"n\":4}\n{\"n\":0}\n{\"username\":\"alice\"}\n";
    for cache in ["1GB", "0", "100"] {
        assert_eq!(shell(&place, &["in.json", "--cache", cache], script).code(0).out, expected, "{cache}");
    }
}

#[test]
fn rows_of_one_query_go_to_a_file() {
    let place = place();
    let run =
        shell(&place, &["in.json"], "\\o out.csv\nSELECT username FROM audit ORDER BY 1;\nSELECT 1 AS a;");
    assert_eq!(run.code(0).says("2 rows in out.csv").out, "{\"a\":1}\n");
    assert_eq!(place.read("out.csv"), "username\r\nalice\r\nbob\r\n");
}

#[test]
fn without_input_the_tables_are_empty() {
    let place = place();
    let run = shell(&place, &[], "SELECT count(*) AS n FROM audit;").code(0).says("the tables are empty");
    assert_eq!(run.out, "{\"n\":0}\n");
    shell(&place, &["nowhere"], "").code(2).says("nowhere: no such file or folder");
}
