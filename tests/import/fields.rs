//! Each modifier, on fields of each kind.

use serde_json::json;

use super::{check_items, event, import, rule, user};

#[test]
fn texts() {
    check_items(&[
        (
            "user.username: Alice@Contoso.com",
            &[
                (user("alice@contoso.COM"), true),
                (user("alice@contoso.co"), false),
                (json!({"user": null}), false),
            ],
        ),
        ("user.username|cased: Alice", &[(user("Alice"), true), (user("alice"), false)]),
        (
            "user.username: [bob, 'CAROL*']",
            &[(user("BOB"), true), (user("carol"), true), (user("carolina"), true), (user("xcarol"), false)],
        ),
        ("user.username|startswith: 'System:'", &[(user("system:x"), true), (user("xsystem:"), false)]),
        (
            "user.username|endswith: '@contoso.com'",
            &[(user("a@CONTOSO.com"), true), (user("a@contoso.com."), false)],
        ),
        (
            "user.username|contains: '50%_x'",
            &[(user("a 50%_X b"), true), (user("a 50%%x b"), false), (user("500_x"), false)],
        ),
        ("user.username|contains|all: [ab, cd]", &[(user("xcdab"), true), (user("ab"), false)]),
        ("user.username|startswith|cased: Sys", &[(user("System"), true), (user("system"), false)]),
        ("user.username: 'a?c'", &[(user("abc"), true), (user("ac"), false), (user("abbc"), false)]),
        (r"user.username: 'a\*c'", &[(user("a*c"), true), (user("abc"), false)]),
        (r"user.username: 'dom\\*'", &[(user(r"DOM\x"), true), (user("dom*"), false)]),
        (r"user.username: 'dom\user'", &[(user(r"dom\USER"), true), (user("domuser"), false)]),
        ("user.username: '*'", &[(user("x"), true), (json!({"user": null}), false)]),
        ("user.username: \"o'neil\"", &[(user("O'Neil"), true), (user("oneil"), false)]),
        ("user.username: 'ÄRGER'", &[(user("ärger"), true), (user("arger"), false)]),
        ("user.username|contains: 'ÄR'", &[(user("xärx"), true), (user("xarx"), false)]),
        ("user.username: null", &[(json!({"user": null}), true), (user("x"), false)]),
        (
            "objectRef.subresource: [null, status]",
            &[
                (json!({}), true),
                (json!({"objectRef": {"subresource": "Status"}}), true),
                (json!({"objectRef": {"subresource": "exec"}}), false),
            ],
        ),
        (
            "user.username|neq: bob",
            &[(user("Bob"), false), (user("eve"), true), (json!({"user": null}), true)],
        ),
        ("user.username|neq: [bob, eve]", &[(user("eve"), false), (user("x"), true)]),
        ("user.username|exists: true", &[(user("x"), true), (json!({"user": null}), false)]),
        (
            "objectRef.subresource|exists: false",
            &[(json!({}), true), (json!({"objectRef": {"subresource": "log"}}), false)],
        ),
        ("verb: CREATE", &[(json!({"verb": "create"}), true), (json!({"verb": "update"}), false)]),
        (
            "verb: [get, 'delete*']",
            &[
                (json!({"verb": "deletecollection"}), true),
                (json!({"verb": "get"}), true),
                (json!({"verb": "list"}), false),
            ],
        ),
        ("level: requestresponse", &[(json!({}), true), (json!({"level": "Request"}), false)]),
        (
            "objectRef.name: 123",
            &[(json!({"objectRef": {"name": "123"}}), true), (json!({"objectRef": {"name": "1234"}}), false)],
        ),
        (
            "user.username|expand: '%Jump-Hosts%'",
            &[(user("bastion"), true), (user("eu-jump"), true), (user("%jump-hosts%"), false)],
        ),
        ("user.username: '%jump%'", &[(user("%JUMP%"), true), (user("bastion"), false)]),
        (
            "annotations.authorization.k8s.io/decision: Forbid",
            &[
                (json!({"annotations": {"authorization.k8s.io/decision": "forbid"}}), true),
                (json!({}), false),
            ],
        ),
        (
            "annotations|contains: 'rbac: ALLOWED'",
            &[(json!({}), true), (json!({"annotations": null}), false)],
        ),
        (
            "properties.log.objectRef.resource: secrets",
            &[(json!({"objectRef": {"resource": "secrets"}}), true), (json!({}), false)],
        ),
    ]);
}

#[test]
fn regular_expressions() {
    check_items(&[
        (
            "user.username|re: '^sys.*m$'",
            &[(user("system"), true), (user("SYSTEM"), false), (user("xsystem"), false)],
        ),
        ("user.username|re: 'b+c'", &[(user("abbcd"), true), (user("ac"), false)]),
        ("user.username|re|i: 'ADMIN[0-9]{2}'", &[(user("xadmin42"), true), (user("admin4"), false)]),
        ("user.username|re: 'a.b'", &[(user("axb"), true), (user("a\nb"), false)]),
        ("user.username|re|s: 'a.b'", &[(user("a\nb"), true)]),
        ("user.username|re: '^b$'", &[(user("a\nb"), false), (user("b"), true)]),
        ("user.username|re|m|i: '^B$'", &[(user("a\nb"), true), (user("ab"), false)]),
        (
            "user.groups|re: '^system:m'",
            &[
                (json!({"user": {"groups": ["x", "system:masters"]}}), true),
                (json!({"user": {"groups": ["x system:m"]}}), false),
            ],
        ),
        (
            "responseStatus.code|re: '^4'",
            &[
                (json!({"responseStatus": {"code": 403}}), true),
                (json!({"responseStatus": {"code": 304}}), false),
            ],
        ),
        (
            r"requestURI|re: '\?command=(ba)?sh'",
            &[
                (json!({"requestURI": "/exec?command=bash"}), true),
                (json!({"requestURI": "/exec?command=zsh"}), false),
            ],
        ),
    ]);
}

#[test]
fn numbers_and_times() {
    let code = |code: i64| json!({"responseStatus": {"code": code}});
    let replicas = |n: i64| json!({"requestObject": {"spec": {"replicas": n}}});
    let at = |hour: u32| json!({"stageTimestamp": format!("2026-11-02T{hour:02}:30:00.000000Z")});
    check_items(&[
        (
            "responseStatus.code: 403",
            &[(code(403), true), (code(40), false), (json!({"responseStatus": null}), false)],
        ),
        ("responseStatus.code: ['401', 403]", &[(code(401), true), (code(403), true), (code(200), false)]),
        (
            "responseStatus.code|gte: 400\nresponseStatus.code|lt: 500",
            &[(code(400), true), (code(499), true), (code(500), false), (code(399), false)],
        ),
        ("responseStatus.code|gt: 400", &[(code(401), true), (code(400), false)]),
        (
            "responseStatus.code|lte: 200",
            &[(code(200), true), (code(201), false), (json!({"responseStatus": null}), false)],
        ),
        ("responseStatus.code|startswith: 4", &[(code(404), true), (code(504), false)]),
        ("responseStatus.code: '40?'", &[(code(404), true), (code(414), false)]),
        (
            "responseStatus.code|neq: 200",
            &[(code(201), true), (code(200), false), (json!({"responseStatus": null}), true)],
        ),
        ("responseStatus.code: null", &[(json!({"responseStatus": null}), true), (code(200), false)]),
        (
            "requestObject.spec.replicas|gt: 3",
            &[(replicas(4), true), (replicas(3), false), (json!({}), false)],
        ),
        ("requestObject.spec.replicas|lte: 0.5", &[(replicas(0), true), (replicas(1), false)]),
        (
            "requestObject.spec.containers.securityContext.runAsUser|lt: 1000",
            &[
                (
                    json!({"requestObject": {"spec": {"containers": [{"securityContext": {"runAsUser": 2000}}, {"securityContext": {"runAsUser": 0}}]}}}),
                    true,
                ),
                (
                    json!({"requestObject": {"spec": {"containers": [{"securityContext": {"runAsUser": 2000}}, {"name": "x"}]}}}),
                    false,
                ),
            ],
        ),
        ("stageTimestamp|hour: 3", &[(at(3), true), (at(13), false)]),
        ("stageTimestamp|hour|gte: 22", &[(at(22), true), (at(21), false)]),
        ("requestReceivedTimestamp|day: 2", &[(json!({}), true)]),
        ("requestReceivedTimestamp|month: 2", &[(json!({}), false)]),
    ]);
}

#[test]
fn lists_and_addresses() {
    let groups = |groups: &[&str]| json!({"user": {"groups": groups}});
    let ips = |ips: &[&str]| json!({"sourceIPs": ips});
    check_items(&[
        (
            "user.groups: System:Masters",
            &[
                (groups(&["a", "system:masters"]), true),
                (groups(&["system:masters2"]), false),
                (groups(&[]), false),
            ],
        ),
        (
            "user.groups|cased: System:Masters",
            &[(groups(&["system:masters"]), false), (groups(&["System:Masters"]), true)],
        ),
        (
            "user.groups: [a.b, c]",
            &[(groups(&["a.b"]), true), (groups(&["C"]), true), (groups(&["axb"]), false)],
        ),
        (
            "user.groups|contains|all: [one, two]",
            &[(groups(&["xone", "twox"]), true), (groups(&["one"]), false)],
        ),
        ("user.groups: 'sys*:?'", &[(groups(&["system:a"]), true), (groups(&["system:ab"]), false)]),
        (
            "user.groups|neq: x",
            &[(groups(&["x", "y"]), false), (groups(&["y"]), true), (json!({"user": null}), true)],
        ),
        ("user.groups: null", &[(json!({"user": {"groups": null}}), true), (groups(&["a"]), false)]),
        ("user.groups: '*'", &[(groups(&["a"]), true), (json!({"user": {"groups": null}}), false)]),
        (
            "sourceIPs|cidr: 10.0.0.0/8",
            &[(json!({}), true), (ips(&["11.0.0.1"]), false), (ips(&["no address"]), false)],
        ),
        (
            "sourceIPs|cidr: ['192.168.0.0/16', '2001:db8::/32', 172.16.0.9]",
            &[
                (ips(&["192.168.7.7"]), true),
                (ips(&["2001:db8::1"]), true),
                (ips(&["172.16.0.9"]), true),
                (ips(&["172.16.0.8"]), false),
            ],
        ),
        (
            "sourceIPs: 203.0.113.7",
            &[(json!({}), true), (ips(&["203.0.113.70"]), false), (ips(&["203x0.113.7"]), false)],
        ),
        (
            "objectRef.name|cidr: 10.0.0.0/8",
            &[(json!({"objectRef": {"name": "10.9.9.9"}}), true), (json!({}), false)],
        ),
    ]);
}

#[test]
fn bodies() {
    let spec = |spec: serde_json::Value| json!({"requestObject": {"spec": spec, "metadata": {"labels": {"app.kubernetes.io/name": "Web"}}}});
    check_items(&[
        (
            "requestObject.spec.containers.image: 'Evil/*'",
            &[
                (spec(json!({"containers": [{"image": "ok"}, {"image": "evil/x:1"}]})), true),
                (spec(json!({"containers": [{"image": "not-evil/x"}]})), false),
                (json!({}), false),
            ],
        ),
        (
            "requestObject.spec.containers[*].securityContext.privileged: true",
            &[
                (
                    spec(json!({"containers": [{"name": "a"}, {"securityContext": {"privileged": true}}]})),
                    true,
                ),
                (spec(json!({"containers": [{"securityContext": {"privileged": false}}]})), false),
            ],
        ),
        (
            "requestObject.spec.containers[1].image: b",
            &[
                (spec(json!({"containers": [{"image": "a"}, {"image": "b"}]})), true),
                (spec(json!({"containers": [{"image": "b"}, {"image": "a"}]})), false),
            ],
        ),
        (
            "requestObject.spec.hostPID|exists: true",
            &[
                (spec(json!({"hostPID": false})), true),
                (spec(json!({"hostIPC": true})), false),
                (json!({}), false),
            ],
        ),
        (
            "requestObject.spec.hostPID|exists: false",
            &[(spec(json!({"hostPID": false})), false), (json!({}), true)],
        ),
        (
            "requestObject.spec.hostPID: null",
            &[
                (spec(json!({"hostPID": null})), true),
                (json!({}), true),
                (spec(json!({"hostPID": true})), false),
            ],
        ),
        (
            "requestObject.spec.volumes.hostPath.path: '*'",
            &[
                (spec(json!({"volumes": [{"hostPath": {"path": "/"}}]})), true),
                (spec(json!({"volumes": []})), false),
            ],
        ),
        (
            "requestObject.metadata.labels.app.kubernetes.io/name: web",
            &[(spec(json!({})), true), (json!({}), false)],
        ),
        (
            "requestObject|contains: hostpid",
            &[(spec(json!({"hostPID": true})), true), (spec(json!({})), false)],
        ),
        (
            "responseObject.status.phase|endswith: ING",
            &[(json!({"responseObject": {"status": {"phase": "Running"}}}), true), (json!({}), false)],
        ),
        ("user.extra.oid: O-1", &[(json!({}), true), (json!({"user": {"extra": {"oid": ["o-2"]}}}), false)]),
        (
            "requestObject.data.x|cidr: 10.0.0.0/8",
            &[(json!({"requestObject": {"data": {"x": "10.1.1.1"}}}), true), (json!({}), false)],
        ),
        (
            "requestObject.data.x: ''",
            &[
                (json!({"requestObject": {"data": {"x": ""}}}), true),
                (json!({"requestObject": {"data": {"x": "y"}}}), false),
            ],
        ),
    ]);
}

#[test]
fn encodings() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let encoded = |bytes: &[u8]| user(&format!("x {} y", STANDARD.encode(bytes)));
    let wide: Vec<u8> = "..cmd.exe".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "cmd.exe".encode_utf16().flat_map(u16::to_be_bytes).collect();
    check_items(&[
        ("user.username|base64|cased: foo", &[(user("Zm9v"), true), (user("zm9v"), false)]),
        ("user.username|base64|contains: foo", &[(user("xxZm9vxx"), true), (user("foo"), false)]),
        (
            "user.username|base64offset|contains|cased: cmd.exe",
            &[
                (encoded(b"cmd.exe /c"), true),
                (encoded(b"1cmd.exe /c"), true),
                (encoded(b"12cmd.exe"), true),
                (encoded(b"cmd_exe /c"), false),
            ],
        ),
        (
            "user.username|wide|base64offset|contains|cased: cmd.exe",
            &[(encoded(&wide), true), (encoded(b"cmd.exe"), false)],
        ),
        (
            "user.username|utf16be|base64offset|contains|cased: cmd.exe",
            &[(encoded(&big), true), (encoded(b"cmd.exe"), false)],
        ),
        (
            "userAgent|windash|contains: ' -f '",
            &[(json!({"userAgent": "x /f y"}), true), (json!({"userAgent": "x f y"}), false)],
        ),
        ("userAgent|contains|cased: x", &[(json!({"userAgent": "X"}), false)]),
    ]);
}

#[test]
fn dashes_stand_for_each_other() {
    check_items(&[(
        "userAgent|windash|contains: ' -force'",
        &[
            (json!({"userAgent": "x /FORCE"}), true),
            (json!({"userAgent": "x –force"}), true),
            (json!({"userAgent": "x ―force"}), true),
            (json!({"userAgent": "x +force"}), false),
        ],
    )]);
}

#[test]
fn one_field_with_another() {
    let both = |name: &str, resource: &str| json!({"objectRef": {"name": name, "resource": resource}});
    check_items(&[
        (
            "objectRef.name|fieldref: objectRef.resource",
            &[(both("PODS", "pods"), true), (both("pod", "pods"), false)],
        ),
        (
            "objectRef.name|fieldref|cased: objectRef.resource",
            &[(both("PODS", "pods"), false), (both("pods", "pods"), true)],
        ),
        (
            "objectRef.name|fieldref|startswith: objectRef.resource",
            &[(both("pods-1", "Pods"), true), (both("xpods", "pods"), false)],
        ),
        (
            "objectRef.name|fieldref|endswith: objectRef.resource",
            &[(both("xpods", "pods"), true), (both("pods1", "pods"), false)],
        ),
        (
            "objectRef.name|fieldref|contains: objectRef.resource",
            &[(both("xPodsx", "pods"), true), (both("pod", "pods"), false)],
        ),
        (
            "objectRef.name|fieldref|neq: objectRef.resource",
            &[(both("a", "pods"), true), (both("pods", "pods"), false)],
        ),
    ]);
}

#[test]
fn the_file_says_where_it_comes_from() {
    let text = rule("A \"title\" \\ here", "sel:\n  requestObject.spec.hostPID: true\ncondition: sel")
        + "id: 11111111-2222-3333-4444-555555555555\nauthor: 'Some One'\ndate: 2025-01-02\nreferences: ['https://example.com/x', 'a book']\nfalsepositives: [Unknown, 'An \"admin\"']\ndescription: |\n  First line.\n\n  ///\n  \"\"\" and \\ stay\nstatus: test\n";
    let outcome = import(&text);
    let made = outcome.detections.first().unwrap();
    let path = std::path::Path::new("x");
    let rule = aksentry::rules::parse_detection(path, made.tactic, &made.id, &made.text).unwrap();
    assert_eq!(rule.title, "A \"title\" \\ here");
    assert_eq!((rule.tactic.as_str(), rule.severity.as_str()), ("discovery", "low"));
    assert_eq!(rule.references, ["https://example.com/x"]);
    assert_eq!(rule.false_positives, ["An \"admin\""]);
    for part in [
        "First line.",
        "///",
        "\"\"\" and \\ stay",
        "11111111-2222-3333-4444-555555555555 by Some One (2025-01-02), file own.yml",
        "a book",
        "level Metadata",
    ] {
        assert!(rule.description.contains(part), "{part}: {}", rule.description);
    }
    assert_eq!(
        super::alerts(&outcome, &[event("1", &json!({"requestObject": {"spec": {"hostPID": true}}}))]).len(),
        1
    );
}
