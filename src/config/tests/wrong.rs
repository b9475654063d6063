//! Configurations that are wrong, and what is said of each: the whole text of every message.

use super::*;

/// The messages without the file's name.
fn problems(text: &str) -> Vec<String> {
    let problems = parse(text).err().unwrap_or_default();
    problems.iter().map(|p| p.to_string().replace("aksentry.toml:", "")).collect()
}

/// Wrong texts that say everything but one table rightly, and what is said.
fn check(around: &str, table: &[(&str, &str)]) {
    for (wrong, message) in table {
        let text = around.replace("{}", wrong);
        assert_eq!(problems(&text), [*message], "{text}");
    }
}

#[test]
fn sources() {
    check(
        "{}",
        &[
            (
                "",
                "1:1: no source to read from; add [source.eventhubs] with namespace and hub, or [source.files] with paths",
            ),
            (
                "[source]",
                "1:1: [source] is empty; add [source.eventhubs] with namespace and hub, or [source.files] with paths",
            ),
            (
                "[source.files]\npaths = [\"x\"]\n[source.eventhubs]\nnamespace = \"c.servicebus.windows.net\"\nhub = \"h\"",
                "3:1: two sources; keep one of [source.eventhubs] and [source.files]",
            ),
            (
                "[source.eventhub]\nhub = \"h\"",
                "1:9: unknown key \"eventhub\" in [source]; did you mean \"eventhubs\"?",
            ),
            ("source = 3", "1:10: source must be a table"),
            (
                "[source.files]",
                "1:1: missing key \"paths\" in [source.files]; add a line such as paths = [\"samples\"]",
            ),
            (
                "[source.files]\npaths = \"x\"",
                "2:9: paths must be a list of texts, such as paths = [\"samples\"]",
            ),
            (
                "[source.files]\npaths = []",
                "2:9: paths must be a list of files, folders or globs, such as paths = [\"samples\"]",
            ),
            (
                "[source.files]\npaths = [\"x\"]\nfollow = \"no\"",
                "3:10: follow must be true or false, without quotes, such as follow = true",
            ),
            ("[source.files]\npaths = [\"x\"", "2:13: not TOML: unclosed array, expected `]`"),
            (
                "[sources.files]\npaths = [\"x\"]\n[source.files]\npaths = [\"x\"]",
                "1:2: unknown key \"sources\" in the configuration; did you mean \"source\"?",
            ),
        ],
    );
}

#[test]
fn hubs() {
    let hub = "[source.eventhubs]\nnamespace = \"c.servicebus.windows.net\"\nhub = \"aks-audit\"\n{}";
    check(
        hub,
        &[
            (
                "consumer-group = \"x\"",
                "4:1: unknown key \"consumer-group\" in [source.eventhubs]; did you mean \"consumer_group\"?",
            ),
            (
                "colour = 3",
                "4:1: unknown key \"colour\" in [source.eventhubs]; it can hold namespace, hub, consumer_group, start, endpoint, transport, auth, replica, prefetch, lease",
            ),
            (
                "start = \"yesterday\"",
                "4:9: start \"yesterday\" is none of earliest, latest, or a time such as 2026-01-31T08:00:00Z",
            ),
            (
                "transport = \"websockets\"",
                "4:13: unknown transport \"websockets\"; did you mean \"websocket\"?",
            ),
            (
                "prefetch = \"32\"",
                "4:12: prefetch: \"32\" is no size; write a whole number and KB, MB or GB, such as \"64MB\"",
            ),
            ("prefetch = \"1KB\"", "4:12: prefetch must be at least \"1MB\""),
            ("prefetch = 32", "4:12: prefetch must be a size in quotes, such as prefetch = \"32MB\""),
            ("lease = \"1s\"", "4:9: lease must be at least \"2s\""),
            ("lease = \"20m\"", "4:9: lease must be at most \"10m\""),
            (
                "replica = \"a b\"",
                "4:11: replica must be at most 64 letters, digits, dots, dashes and underscores, such as replica = \"aksentry-0\"",
            ),
            (
                "endpoint = \"amqp://hub.contoso.com:5672\"",
                "4:12: endpoint \"amqp://hub.contoso.com:5672\" is plaintext and hub.contoso.com is not this machine, so anybody on the way could read and change what is sent; use amqps://, or a loopback address such as 127.0.0.1 for development",
            ),
            (
                "endpoint = \"https://127.0.0.1\"",
                "4:12: endpoint \"https://127.0.0.1\" must begin with amqps:// or amqp://",
            ),
            (
                "endpoint = \"127.0.0.1:5672\"",
                "4:12: endpoint \"127.0.0.1:5672\" is no address; write amqps://HOST",
            ),
            (
                "endpoint = \"amqps://user:hunter2@x.y\"",
                "4:12: endpoint holds a user or password; take them out of the address and sign in with auth",
            ),
            ("auth = \"auto\"", "4:8: auth must be a table, such as auth = { kind = \"auto\" }"),
            (
                "auth = { kind = \"token\", env = \"SENTINEL_TOKEN\" }",
                "4:17: unknown kind of auth \"token\"; use auto, workload, managed, client-secret, cli, connection-string",
            ),
            (
                "auth = { kind = \"manged\" }",
                "4:17: unknown kind of auth \"manged\"; did you mean \"managed\"?",
            ),
            (
                "auth = { kind = \"cli\", env = \"X\" }",
                "4:30: auth of kind \"cli\" does not use env; remove it, or use another kind",
            ),
            (
                "auth = { kind = \"connection-string\" }",
                "4:8: missing key \"env\" in auth; add a line such as env = \"EVENTHUBS_CONNECTION_STRING\"",
            ),
            (
                "auth = { kind = \"connection-string\", env = \"HUB\" }",
                "4:44: environment variable HUB is not set; it must hold the connection string (in Kubernetes: env with valueFrom.secretKeyRef)",
            ),
            (
                "auth = { kind = \"connection-string\", env = \"SENTINEL_TOKEN\" }",
                "4:8: the variable that auth names holds no connection string of Event Hubs; those look like Endpoint=sb://NAMESPACE/;SharedAccessKeyName=…;SharedAccessKey=…",
            ),
            (
                "auth = { kind = \"connection-string\", env = \"EVENTHUBS_CONNECTION_STRING\" }",
                "2:13: namespace is \"c.servicebus.windows.net\", the connection string is for \"contoso.servicebus.windows.net\"; correct one, or leave namespace out",
            ),
        ],
    );
    check(
        "[source.eventhubs]\nhub = \"h\"\nnamespace = \"{}\"",
        &[
            (
                "contoso",
                "3:13: namespace \"contoso\" is no full host name; write namespace = \"contoso.servicebus.windows.net\"",
            ),
            (
                "sb://c.servicebus.windows.net/",
                "3:13: namespace must be a host name alone; write namespace = \"c.servicebus.windows.net\"",
            ),
            (
                "c .x",
                "3:13: namespace must be a host name, such as namespace = \"contoso.servicebus.windows.net\"",
            ),
            (
                "  ",
                "3:13: namespace must be more than nothing, such as namespace = \"contoso.servicebus.windows.net\"",
            ),
        ],
    );
    assert_eq!(
        problems("[source.eventhubs]\nhub = 3"),
        [
            "1:1: missing key \"namespace\" in [source.eventhubs]; add a line such as namespace = \"contoso.servicebus.windows.net\"",
            "2:7: hub must be text in quotes, such as hub = \"aks-audit\"",
        ]
    );
    assert_eq!(
        problems(
            "[source.eventhubs]\nhub = \"other\"\nauth = { kind = \"connection-string\", env = \"EVENTHUBS_CONNECTION_STRING\" }"
        ),
        [
            "2:7: hub is \"other\", the connection string is for \"aks-audit\"; use a connection string of this hub or of its namespace"
        ],
    );
    assert_eq!(
        problems(
            "[source.eventhubs]\nhub = \"h\"\nnamespace = \"a.b\"\nauth = { kind = \"client-secret\", tenant_id = \"t\" }"
        ),
        [
            "4:8: auth of kind \"client-secret\" needs client_id; add it, or set the environment variable AZURE_CLIENT_ID",
            "4:8: auth of kind \"client-secret\" needs the secret; set the environment variable AZURE_CLIENT_SECRET, or name another one with env",
        ],
    );
}

#[test]
fn tables_with_little_in_them() {
    check(
        "[source.files]\npaths = [\"x\"]\n{}",
        &[
            (
                "[checkpoint]\nurl = \"/var/x\"",
                "4:7: url: cannot use \"/var/x\" as a storage location: write file:///var/x",
            ),
            (
                "[checkpoint]\nurl = \"az://A\"",
                "4:7: url: cannot use \"az://A\" as a storage location: \"A\" is no container name: 3 to 63 lower-case letters, digits and single hyphens",
            ),
            (
                "[archive]\nurl = \"https://x.blob.core.windows.net/audit\"",
                "4:7: url: cannot use \"https://x.blob.core.windows.net/audit\" as a storage location: write az://audit and set AZURE_STORAGE_ACCOUNT_NAME=x",
            ),
            (
                "[archive]\nretention = \"400d\"",
                "3:1: missing key \"url\" in [archive]; add a line such as url = \"az://audit-archive/v1\"",
            ),
            (
                "[archive]\nurl = \"file:///a\"\nretention = \"1y\"",
                "5:13: retention: \"1y\" is no duration; write a whole number and s, m, h or d, such as \"10m\"",
            ),
            ("[archive]\nurl = \"file:///a\"\nroll = \"0s\"", "5:8: roll must be at least \"1s\""),
            ("[state]\ndir = []", "4:7: dir must be text in quotes, such as dir = \"/var/lib/aksentry\""),
            (
                "[outbox]\nmax = \"big\"",
                "4:7: max: \"big\" is no size; write a whole number and KB, MB or GB, such as \"64MB\"",
            ),
            (
                "[telemetry]\nlisten = \"9464\"",
                "4:10: listen must be an IP address and a port, such as listen = \"127.0.0.1:9464\"",
            ),
            (
                "[telemetry]\nlog = \"inof\"",
                "4:7: log: \"inof\" is no level; use error, warn, info, debug or trace, or a part of the program with one, such as aksentry::source=debug",
            ),
            (
                "[detect]\nallowed_lateness = \"10 m\"",
                "4:20: allowed_lateness: \"10 m\" is no duration; write a whole number and s, m, h or d, such as \"10m\"",
            ),
            (
                "[detect]\nrules = { disabled = [] }",
                "4:11: unknown key \"disabled\" in rules of [detect]; did you mean \"disable\"?",
            ),
            (
                "[detect]\nrules = { disable = [\"a\", \"a\"] }",
                "4:27: \"a\" stands twice in disable; remove one",
            ),
            (
                "[detect]\nrules = { disable = [\"a\"], shadow = [\"a\"] }",
                "4:38: \"a\" is disabled, so this is without effect; remove one of the two",
            ),
            (
                "[detect]\nrules = { severity = { a = \"urgent\" } }",
                "4:28: unknown severity \"urgent\"; use critical, high, medium, low or informational",
            ),
        ],
    );
    let nothing = Config::parse(
        Path::new("c.toml"),
        "[source.files]\npaths = [\"x\"]\n[checkpoint]\nurl = \"az://abc\"",
        &|_| None,
    );
    assert_eq!(
        nothing.unwrap_err()[0].to_string(),
        "c.toml:4:7: environment variable AZURE_STORAGE_ACCOUNT_NAME is not set; az:// needs it to hold the name of the storage account"
    );
    let plain = |name: &str| match name {
        STORAGE_ACCOUNT => Some("a".to_owned()),
        STORAGE_ENDPOINT => Some("http://10.0.0.1:10000/a".to_owned()),
        _ => None,
    };
    let found = Config::parse(
        Path::new("c.toml"),
        "[source.files]\npaths = [\"x\"]\n[archive]\nurl = \"az://abc\"",
        &plain,
    );
    assert!(found.unwrap_err()[0].to_string().starts_with(
        "c.toml:4:7: AZURE_STORAGE_ENDPOINT \"http://10.0.0.1:10000/a\" is plaintext and 10.0.0.1 is not this machine"
    ));
}

#[test]
fn sinks() {
    check(
        "[source.files]\npaths = [\"x\"]\n{}",
        &[
            (
                "[sink]\ntype = \"file\"\npath = \"-\"",
                "3:1: sinks are a list; write [[sink]] with two brackets, once for each sink",
            ),
            (
                "[[sink]]\npath = \"-\"",
                "3:1: missing key \"type\" in [[sink]]; add a line such as type = \"file\"",
            ),
            (
                "[[sink]]\ntype = \"sentinal\"",
                "4:8: unknown type of sink \"sentinal\"; did you mean \"sentinel\"?",
            ),
            (
                "[[sink]]\ntype = \"kafka\"",
                "4:8: unknown type of sink \"kafka\"; use sentinel, email, webhook, file",
            ),
            (
                "[[sink]]\ntype = \"file\"",
                "3:1: missing key \"path\" in a sink of type \"file\"; add a line such as path = \"/var/log/aksentry/alerts.ndjson\"",
            ),
            (
                "[[sink]]\ntype = \"file\"\npath = \"-\"\nmin_severity = \"hihg\"",
                "6:16: min_severity: unknown severity \"hihg\"; use critical, high, medium, low or informational",
            ),
            (
                "[[sink]]\ntype = \"file\"\npath = \"-\"\nurl_env = \"X\"",
                "6:1: unknown key \"url_env\" in a sink of type \"file\"; it can hold type, name, min_severity, path",
            ),
            (
                "[[sink]]\ntype = \"file\"\npath = \"-\"\nname = \"A b\"",
                "6:8: name must be at most 40 lower case letters, digits and dashes, such as name = \"soc-mail\"",
            ),
            (
                "[[sink]]\ntype = \"file\"\npath = \"-\"\n[[sink]]\ntype = \"file\"\nname = \"file\"\npath = \"/x\"",
                "8:8: name \"file\" is that of the sink in line 3; give this one another",
            ),
            (
                "[[sink]]\ntype = \"webhook\"\nurl = \"https://hooks.contoso.com/secret-part\"",
                "5:1: \"url\" is a secret, and secrets do not stand in this file; put it in an environment variable and name it with url_env = \"WEBHOOK_URL\"",
            ),
            (
                "[[sink]]\ntype = \"webhook\"\nurl_env = \"https://hooks.contoso.com/secret-part\"",
                "5:11: url_env must be the name of an environment variable that holds the address of the webhook, such as url_env = \"WEBHOOK_URL\"; if this is the address of the webhook itself, take it out of the file and renew it",
            ),
            (
                "[[sink]]\ntype = \"webhook\"\nurl_env = \"EMPTY\"",
                "5:11: environment variable EMPTY is empty; it must hold the address of the webhook (in Kubernetes: env with valueFrom.secretKeyRef)",
            ),
            (
                "[[sink]]\ntype = \"webhook\"\nurl_env = \"WEBHOOK_PLAIN\"",
                "5:11: the address in WEBHOOK_PLAIN is plaintext and its host is not this machine, so anybody on the way could read and change what is sent; use https://, or a loopback address such as 127.0.0.1 for development",
            ),
            (
                "[[sink]]\ntype = \"webhook\"\nurl_env = \"SENTINEL_TOKEN\"",
                "5:11: the address in SENTINEL_TOKEN is no address; write https://HOST",
            ),
        ],
    );
    let sentinel =
        "[source.files]\npaths = [\"x\"]\n[[sink]]\ntype = \"sentinel\"\nstream = \"Custom-A\"\n{}";
    check(
        sentinel,
        &[
            (
                "endpoint = \"https://x.y\"\nrule_id = \"dcr-123\"",
                "7:11: rule_id \"dcr-123\" is no immutable id of a data collection rule, which is dcr- and 32 hexadecimal digits; `az monitor data-collection rule show` prints it as immutableId",
            ),
            (
                "endpoint = \"http://x.y\"\nrule_id = \"dcr-0123456789abcdef0123456789abcdef\"",
                "6:12: endpoint \"http://x.y\" is plaintext and x.y is not this machine, so anybody on the way could read and change what is sent; use https://, or a loopback address such as 127.0.0.1 for development",
            ),
            (
                "endpoint = \"https://x.y/dataCollectionRules/\"\nrule_id = \"dcr-0123456789abcdef0123456789abcdef\"",
                "6:12: endpoint must end behind its host and port; write https://x.y",
            ),
        ],
    );
    let email = "[source.files]\npaths = [\"x\"]\n[[sink]]\ntype = \"email\"\nfrom = \"a@b.c\"\n{}";
    check(
        email,
        &[
            (
                "server = \"smtp://h\"\nto = [\"soc\"]",
                "7:7: to \"soc\" is no mail address; write one such as soc@contoso.com",
            ),
            (
                "server = \"smtp://h\"\nto = []",
                "7:6: to must be a list of mail addresses, such as to = [\"soc@contoso.com\"]",
            ),
            (
                "server = \"smtp.contoso.com:587\"\nto = [\"a@b.c\"]",
                "6:10: server \"smtp.contoso.com:587\" must begin with smtp:// or smtps://",
            ),
            (
                "server = \"smtp://h\"\nto = [\"a@b.c\"]\ndigest = \"2d\"",
                "8:10: digest must be at most \"1d\"",
            ),
            (
                "server = \"smtp://h\"\nto = [\"a@b.c\"]\nauth = { kind = \"login\", user = \"u\", password = \"hunter2\", password_env = \"SMTP_PASSWORD\" }",
                "8:38: \"password\" is a secret, and secrets do not stand in this file; put it in an environment variable and name it with password_env = \"SMTP_PASSWORD\"",
            ),
            (
                "server = \"smtp://h\"\nto = [\"a@b.c\"]\nauth = { kind = \"ntlm\", user = \"u\" }",
                "8:17: unknown kind of auth \"ntlm\"; use login, xoauth2, none",
            ),
        ],
    );
}

#[test]
fn secrets_are_refused_and_never_repeated() {
    let wrong = [
        "[source.eventhubs]\nconnection_string = \"Endpoint=sb://x/;SharedAccessKey=hunter2\"",
        "[source.eventhubs]\nnamespace = \"Endpoint=sb://x/;SharedAccessKey=hunter2\"\nhub = \"h\"",
        "[source.eventhubs]\nnamespace = \"x.y\"\nhub = \"h\"\nauth = { kind = \"connection-string\", env = \"Endpoint=sb://x/;SharedAccessKey=hunter2\" }",
        "[source.eventhubs]\nnamespace = \"x.y\"\nhub = \"h\"\nauth = { kind = \"client-secret\", tenant_id = \"t\", client_id = \"c\", secret = \"hunter2\" }",
        "[source.files]\npaths = [\"x\"]\n[checkpoint]\nurl = \"az://abc/x\"\naccount_key = \"hunter2\"",
        "[source.files]\npaths = [\"x\"]\n[archive]\nurl = \"https://x.blob.core.windows.net/a?sv=1&sig=hunter2\"",
        "[source.files]\npaths = [\"x\"]\npassword = \"hunter2\"",
        "[source.files]\npaths = [\"x\"]\n[[sink]]\ntype = \"email\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\nserver = \"smtp://u:hunter2@h\"",
        "[source.files]\npaths = [\"x\"]\n[[sink]]\ntype = \"sentinel\"\ntoken = hunter2\n",
        "[source.files]\npaths = [\"x\"]\n[[sink]]\ntype = \"webhook\"\nhmac = \"hunter2\"\nurl_env = \"WEBHOOK_URL\"",
    ];
    for text in wrong {
        let found = problems(text).join("\n");
        assert!(!found.is_empty() && !found.contains("hunter2"), "{text}\n{found}");
        let says = ["environment variable", "user or password", "AZURE_STORAGE_ACCOUNT_KEY", "not TOML"];
        assert!(says.iter().any(|say| found.contains(say)), "{text}\n{found}");
    }
}

#[test]
fn every_problem_at_once_and_in_order() {
    let text = "[source.eventhubs]\nnamespce = \"x\"\nhub = 3\n\n[telemetry]\nlisten = \"x\"\n[[sink]]\ntype = \"fil\"\n";
    assert_eq!(
        problems(text),
        [
            "1:1: missing key \"namespace\" in [source.eventhubs]; add a line such as namespace = \"contoso.servicebus.windows.net\"",
            "2:1: unknown key \"namespce\" in [source.eventhubs]; did you mean \"namespace\"?",
            "3:7: hub must be text in quotes, such as hub = \"aks-audit\"",
            "6:10: listen must be an IP address and a port, such as listen = \"127.0.0.1:9464\"",
            "8:8: unknown type of sink \"fil\"; did you mean \"file\"?",
        ]
    );
}

#[test]
fn rules_that_do_not_exist() {
    let (catalog, _) = Catalog::load(&Sources::default());
    let id = &catalog.detections[0].id;
    let text =
        format!("{SMALLEST}[detect]\nrules = {{ disable = [\"{id}x\"], severity = {{ \"!\" = \"low\" }} }}");
    let found: Vec<String> = good(&text).check_rules(&catalog).iter().map(ToString::to_string).collect();
    let severity = "rules = { disable = [\"x\"], severity = { ".len() + id.len() + 1;
    assert_eq!(
        found,
        [
            format!("aksentry.toml:4:22: no rule \"{id}x\"; did you mean \"{id}\"?"),
            format!("aksentry.toml:4:{severity}: no rule \"!\"; `aksentry rules list` shows all"),
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let found = Config::load(Path::new("/nowhere/aksentry.toml"), &environment).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "/nowhere/aksentry.toml:1:1: cannot read the configuration: No such file or directory (os error 2); check the path and who may read it"
    );
}
