//! Headers, rows of the portal and of the query API, and what happens to files that break.

use serde_json::{Value, json};

use super::super::{FileReader, FileStatus, Lacking, Sizes, audit_columns};
use super::Header;

/// The objects a file's rows become, and how it ended; read in small pieces.
fn read(content: &str) -> (Vec<Value>, FileStatus) {
    let sizes = Sizes { chunk: 64, value: 1024, record: 4096 };
    let content: &'static [u8] = content.to_owned().leak().as_bytes();
    let mut reader = match FileReader::of_bytes(content, sizes) {
        Ok(reader) => reader,
        Err(status) => return (Vec::new(), status),
    };
    let mut rows = Vec::new();
    loop {
        match reader.next_batch() {
            Ok(raw) => {
                let bodies = raw.bodies.iter();
                let lines = bodies.flat_map(|body| serde_json::Deserializer::from_slice(body).into_iter());
                rows.extend(lines.map(|line| line.unwrap()));
            }
            Err(status) => return (rows, status),
        }
    }
}

fn lacking(columns: &[&'static str]) -> FileStatus {
    FileStatus::Lacking(Lacking { columns: columns.to_vec(), zone: false })
}

#[test]
fn headers_of_logs_are_known_in_any_case_and_with_a_zone() {
    for names in [
        &["auditid", "whatever"][..],
        &["TimeGenerated [UTC]", "LOG_S"],
        &["Verb", "RequestUri"],
        &["Message", "Category"],
        &["records", "PartitionId"],
        &["time", "properties"],
    ] {
        assert!(Header::new(names).is_some(), "{names:?}");
    }
    for names in [&["a", "b"][..], &["Message"], &["TimeGenerated", "Level", "User"], &["time", "category"]] {
        assert!(Header::new(names).is_none(), "{names:?}");
    }
}

#[test]
fn what_a_table_lacks_leaves_columns_empty() {
    let columns = vec!["RequestObject", "ResponseObject", "SourceIps"];
    let empty = audit_columns(&Lacking { columns, zone: false });
    assert_eq!(empty, ["source_ips", "client_ip", "request_object", "response_object", "object"]);
    let one = Lacking { columns: vec!["RequestObject"], zone: true };
    assert_eq!(audit_columns(&one), ["request_object"]);
    assert_eq!(
        one.to_string(),
        "ok, without the column RequestObject, its times are local ones and were read as UTC"
    );
}

#[test]
fn the_portal_writes_quotes_line_ends_and_empty_fields() {
    let (rows, status) = read(
        "\"TimeGenerated [UTC]\",log_s,Category,ResourceId,pod_s,SomethingElse\r\n\
         \"3/11/2026, 6:00:00.123 PM\",\"{\"\"a\"\":\n1}\",kube-audit,/R,,x\r\n\
         short\r\n\
         ,\"I0311 a, b\",guard,/R,p,\r\n",
    );
    let expected = [
        json!({"TimeGenerated": "3/11/2026, 6:00:00.123 PM", "log_s": "{\"a\":\n1}", "Category": "kube-audit",
               "ResourceId": "/R", "pod_s": null}),
        json!({"row": "short"}),
        json!({"TimeGenerated": null, "log_s": "I0311 a, b", "Category": "guard", "ResourceId": "/R", "pod_s": "p"}),
    ];
    assert_eq!(rows, expected);
    assert_eq!(status, FileStatus::Ok);
}

#[test]
fn a_zone_in_the_header_goes_to_the_values() {
    let file = |zone: &str| format!("TimeGenerated [{zone}],log_s,Category,ResourceId,pod_s\nT,x,c,r,p\n");
    let time = |zone: &str| {
        let (rows, status) = read(&file(zone));
        (rows[0]["TimeGenerated"].as_str().unwrap().to_owned(), status)
    };
    assert_eq!(time("UTC"), ("T".into(), FileStatus::Ok));
    assert_eq!(time("UTC+02:00"), ("T +02:00".into(), FileStatus::Ok));
    assert_eq!(time("-7"), ("T -07:00".into(), FileStatus::Ok));
    let local = FileStatus::Lacking(Lacking { columns: Vec::new(), zone: true });
    assert_eq!(time("Local Time"), ("T".into(), local));
}

#[test]
fn a_quote_that_is_never_closed_ends_the_file_and_not_the_memory() {
    let text = format!("AuditId,Verb\n1,get\n2,\"{}", "x,\n".repeat(9000));
    let (rows, status) = read(&text);
    assert_eq!(rows.len(), 1);
    let status = status.to_string();
    assert!(status.starts_with("incomplete: CSV row 3 at byte "), "{status}");
    assert!(status.contains("is a quote not closed?"), "{status}");
}

#[test]
fn answers_of_the_query_api_are_read_row_by_row() {
    let columns = json!([{"name": "AuditId", "type": "string"}, {"name": "Other", "type": "long"},
                         {"name": "User", "type": "dynamic"}]);
    let rows: Vec<Value> = (0..50).map(|i| json!([format!("{i}"), i, "{\"username\":\"[x\"}"])).collect();
    let mut all = rows.clone();
    all.insert(3, json!(["too", "few"]));
    all.insert(4, json!("none"));
    let text = json!({"statistics": {"tables": []}, "tables": [
        {"name": "Other", "columns": [{"name": "a", "type": "int"}], "rows": [[1], [2]]},
        {"name": "PrimaryResult", "columns": columns, "rows": all},
    ]});
    let (found, status) = read(&text.to_string());
    assert_eq!(found.len(), 52);
    assert_eq!(found[0], json!({"AuditId": "0", "User": "{\"username\":\"[x\"}"}));
    assert_eq!(found[3], json!({"row": "[\"too\",\"few\"]"}));
    assert_eq!(found[4], json!({"row": "\"none\""}));
    assert!(matches!(&status, FileStatus::Lacking(lacking) if lacking.columns.len() == 15), "{status}");

    let pretty = serde_json::to_string_pretty(&text).unwrap();
    assert_eq!(read(&pretty).0.len(), 52);
    let (found, status) = read(&pretty[..pretty.len() - 700]);
    assert!(found.len() > 20 && found.len() < 52);
    assert!(status.to_string().ends_with("it ends before it is complete"), "{status}");
}

#[test]
fn a_query_result_of_something_else_names_its_columns() {
    let text = json!({"tables": [{"name": "PrimaryResult", "columns": [{"name": "count_", "type": "long"}],
                                  "rows": [[1]]}]});
    let (rows, status) = read(&text.to_string());
    assert!(rows.is_empty());
    assert_eq!(status.to_string(), "not a log: a table without the columns of an audit log; it has count_");
}

#[test]
fn a_part_of_an_answer_is_said_to_be_one() {
    let columns = json!([{"name": "log_s", "type": "string"}]);
    let text = json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [["x"]]}],
                      "error": {"code": "PartialError", "message": "too much"}});
    let (rows, status) = read(&text.to_string());
    assert_eq!(rows.len(), 1);
    assert!(status.to_string().contains("only a part of its rows: {\"code\":\"PartialError\""), "{status}");
    assert_ne!(status, lacking(&[]));
}
