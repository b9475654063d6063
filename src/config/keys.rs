//! Every key a configuration may hold: its type, its default, an example and what it means. The reader
//! refuses whatever is not in this list, and the tables of `docs/configuration.md` are made from it.

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table as it is written: `source.eventhubs`; for the tables of a list, with their type:
    /// `sink`, `sink.email`; for inline tables their place: `auth`, `sink.email.auth`.
    pub table: &'static str,
    pub name: &'static str,
    /// As people call it: `text`, `duration`, `list of text`.
    pub kind: &'static str,
    /// `required`, `none`, or the value.
    pub default: &'static str,
    /// A value as it is written in TOML.
    pub example: &'static str,
    pub meaning: &'static str,
}

const fn key(
    table: &'static str,
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { table, name, kind, default, example, meaning }
}

/// All keys, in the order they are documented.
pub const KEYS: &[Key] = &[
    key("", "source", "table", "required", "", "Where messages come from: exactly one table inside."),
    key("", "checkpoint", "table", "see below", "", "Where it is noted how far everything is done."),
    key("", "archive", "table", "none", "", "Where rows are kept; without it none are."),
    key("", "state", "table", "see below", "", "The folder for what must outlive a restart."),
    key("", "outbox", "table", "see below", "", "Alerts on disk until they are delivered."),
    key("", "detect", "table", "see below", "", "How rules run, and changes to single rules."),
    key("", "enrich", "table", "none", "", "What rules and queries can look addresses up in."),
    key("", "sink", "list of tables", "none", "", "Where alerts go; one `[[sink]]` each."),
    key("", "telemetry", "table", "see below", "", "Metrics, health and logs."),
    key("source", "eventhubs", "table", "one of the two", "", "An Azure Event Hub."),
    key("source", "files", "table", "one of the two", "", "Files and folders."),
    key(
        "source.eventhubs",
        "namespace",
        "text",
        "required",
        r#""contoso.servicebus.windows.net""#,
        "The namespace's full host name. May be left out with a connection string, which names it.",
    ),
    key("source.eventhubs", "hub", "text", "required", r#""aks-audit""#, "The event hub in the namespace."),
    key(
        "source.eventhubs",
        "consumer_group",
        "text",
        r#"`"$Default"`"#,
        r#""aksentry""#,
        "The consumer group; one of its own keeps other readers apart.",
    ),
    key(
        "source.eventhubs",
        "start",
        "text",
        r#"`"earliest"`"#,
        r#""earliest""#,
        "Where reading begins where no checkpoint exists: `earliest`, `latest`, or a time such as `2026-01-31T08:00:00Z`.",
    ),
    key(
        "source.eventhubs",
        "endpoint",
        "address",
        "the namespace",
        r#""amqp://127.0.0.1:5672""#,
        "Connect here instead: `amqps://` (or `wss://` with WebSocket); `amqp://` and `ws://` for loopback only.",
    ),
    key(
        "source.eventhubs",
        "transport",
        "text",
        r#"`"tcp"`"#,
        r#""tcp""#,
        "`tcp` (port 5671), or `websocket` (port 443) where a firewall lets nothing else out.",
    ),
    key(
        "source.eventhubs",
        "auth",
        "table",
        r#"`{ kind = "auto" }`"#,
        r#"{ kind = "auto" }"#,
        "How to sign in; see Signing in. Any kind but `token`.",
    ),
    key(
        "source.eventhubs",
        "replica",
        "text",
        "`HOSTNAME`, else made up",
        r#""aksentry-0""#,
        "The name under which partitions are owned: different for each replica, and best the same after a restart, as that of a StatefulSet's pod.",
    ),
    key(
        "source.eventhubs",
        "prefetch",
        "size",
        r#"`"32MB"`"#,
        r#""32MB""#,
        "Messages taken ahead, all partitions together; from 1MB to 4GB.",
    ),
    key(
        "source.eventhubs",
        "lease",
        "duration",
        r#"`"30s"`"#,
        r#""30s""#,
        "A replica not heard of for this long loses its partitions to others; from 2s to 10m.",
    ),
    key(
        "source.files",
        "paths",
        "list of text",
        "required",
        r#"["samples"]"#,
        "Files, folders or globs; the format is recognised by content.",
    ),
    key("source.files", "follow", "true or false", "`false`", "true", "Whether to wait for more at the end."),
    key(
        "checkpoint",
        "url",
        "location",
        "`checkpoints` in the state folder",
        r#""az://checkpoints/aksentry""#,
        "`az://CONTAINER/PREFIX` of the storage account, which replicas can share, or `file:///FOLDER` for one node.",
    ),
    key(
        "archive",
        "url",
        "location",
        "required",
        r#""az://audit-archive/v1""#,
        "`az://CONTAINER/PREFIX` of the storage account, or `file:///FOLDER`.",
    ),
    key(
        "archive",
        "retention",
        "duration",
        "none",
        r#""400d""#,
        "Days older than this are removed; without it everything is kept.",
    ),
    key(
        "archive",
        "roll",
        "duration",
        r#"`"60s"`"#,
        r#""60s""#,
        "How long rows are collected before a file is finished; positions are committed behind it. At most 1h.",
    ),
    key(
        "state",
        "dir",
        "path",
        r#"`"/var/lib/aksentry"`"#,
        r#""/var/lib/aksentry""#,
        "Folder of the outbox, windows, baselines and dead letters; on a disk that outlives the process.",
    ),
    key(
        "outbox",
        "max",
        "size",
        r#"`"1GB"`"#,
        r#""1GB""#,
        "Room on disk for alerts not delivered yet; beyond it the oldest of low severity become dead letters.",
    ),
    key(
        "detect",
        "allowed_lateness",
        "duration",
        r#"`"10m"`"#,
        r#""10m""#,
        "How much later than others a row may come and still be counted by windows.",
    ),
    key(
        "detect",
        "memory",
        "size",
        r#"`"64MB"`"#,
        r#""64MB""#,
        "Rows that windows and baselines hold in memory; more go to temporary files. At least 1MB.",
    ),
    key(
        "detect",
        "rules",
        "table",
        "none",
        r#"{ disable = ["pod-exec"] }"#,
        "Changes to single rules, by their ids.",
    ),
    key("detect.rules", "disable", "list of text", "none", r#"["pod-exec"]"#, "Rules that do not run."),
    key(
        "detect.rules",
        "shadow",
        "list of text",
        "none",
        r#"["pod-exec"]"#,
        "Rules that run and are counted, and whose alerts are not sent.",
    ),
    key(
        "detect.rules",
        "severity",
        "table",
        "none",
        r#"{ "secret-get" = "low" }"#,
        "Another severity for a rule.",
    ),
    key(
        "enrich",
        "geoip",
        "path or list of paths",
        "none",
        r#"["GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb"]"#,
        "Databases of addresses in MaxMind's format: types City or Country (`country`, `distance_km`) and ASN (`asn`, `as_owner`). The first that knows an address speaks; read anew when a file changes.",
    ),
    key("sink", "type", "text", "required", r#""file""#, "`sentinel`, `email`, `webhook` or `file`."),
    key(
        "sink",
        "name",
        "text",
        "the type; `-2`, `-3` for further ones",
        r#""soc-mail""#,
        "The sink's name in metrics, logs and the outbox. Give names where there are several of a type: alerts that wait belong to a name.",
    ),
    key(
        "sink",
        "min_severity",
        "text",
        r#"`"informational"`"#,
        r#""low""#,
        "Alerts below it are not sent here: `critical`, `high`, `medium`, `low` or `informational`.",
    ),
    key(
        "sink.sentinel",
        "endpoint",
        "address",
        "required",
        r#""https://x.westeurope-1.ingest.monitor.azure.com""#,
        "Logs ingestion endpoint of the data collection rule (or of a data collection endpoint); `http://` for loopback only.",
    ),
    key(
        "sink.sentinel",
        "rule_id",
        "text",
        "required",
        r#""dcr-0123456789abcdef0123456789abcdef""#,
        "The immutable id of the data collection rule.",
    ),
    key(
        "sink.sentinel",
        "stream",
        "text",
        "required",
        r#""Custom-AksentryAlerts""#,
        "The stream that the data collection rule declares.",
    ),
    key(
        "sink.sentinel",
        "auth",
        "table",
        r#"`{ kind = "auto" }`"#,
        r#"{ kind = "auto" }"#,
        "How to sign in; see Signing in. Any kind but `connection-string`.",
    ),
    key(
        "sink.email",
        "server",
        "address",
        "required",
        r#""smtp://smtp.azurecomm.net:587""#,
        "`smtp://` requires STARTTLS (but for a loopback address that has none), port 587; `smtps://` is TLS from the first byte, port 465.",
    ),
    key(
        "sink.email",
        "auth",
        "table",
        r#"`{ kind = "none" }`"#,
        r#"{ kind = "login", user = "alerts@contoso.com", password_env = "SMTP_PASSWORD" }"#,
        "How to sign in to the mail server; see below.",
    ),
    key("sink.email", "from", "mail address", "required", r#""aksentry@contoso.com""#, "The sender."),
    key("sink.email", "to", "list of mail addresses", "required", r#"["soc@contoso.com"]"#, "The receivers."),
    key(
        "sink.email",
        "digest",
        "duration",
        r#"`"0s"`"#,
        r#""5m""#,
        "Alerts of this long go into one mail; `\"0s\"` is one mail each. At most 1d.",
    ),
    key("sink.email.auth", "kind", "text", "required", r#""login""#, "`login`, `xoauth2` or `none`."),
    key(
        "sink.email.auth",
        "user",
        "text",
        "required",
        r#""alerts@contoso.com""#,
        "The user; not with `none`.",
    ),
    key(
        "sink.email.auth",
        "password_env",
        "variable",
        "required for `login`",
        r#""SMTP_PASSWORD""#,
        "The environment variable that holds the password.",
    ),
    key(
        "sink.email.auth",
        "auth",
        "table",
        r#"`{ kind = "auto" }`"#,
        r#"{ kind = "auto" }"#,
        "With `xoauth2`: how the token is got; see Signing in.",
    ),
    key(
        "sink.email.auth",
        "scope",
        "text",
        r#"`"https://outlook.office365.com/.default"`"#,
        r#""https://outlook.office365.com/.default""#,
        "With `xoauth2`: what the token is for.",
    ),
    key(
        "sink.webhook",
        "url_env",
        "variable",
        "required",
        r#""WEBHOOK_URL""#,
        "The environment variable that holds the address, which is a secret; `http://` for loopback only.",
    ),
    key(
        "sink.webhook",
        "shape",
        "text",
        r#"`"generic"`"#,
        r#""teams""#,
        "`generic` (the alert as JSON), `teams` or `slack`.",
    ),
    key(
        "sink.webhook",
        "hmac_env",
        "variable",
        "none",
        r#""WEBHOOK_KEY""#,
        "The environment variable that holds the key with which the body is signed.",
    ),
    key(
        "sink.file",
        "path",
        "path",
        "required",
        r#""/var/log/aksentry/alerts.ndjson""#,
        "A file to which one JSON object a line is appended; `-` is standard output.",
    ),
    key(
        "auth",
        "kind",
        "text",
        "required",
        r#""auto""#,
        "`auto`, `workload`, `managed`, `client-secret`, `cli`, `connection-string` or `token`.",
    ),
    key(
        "auth",
        "client_id",
        "text",
        "none",
        r#""00000000-0000-0000-0000-000000000000""#,
        "With `managed`: which identity, where the machine has several. With `client-secret`: the application; default `AZURE_CLIENT_ID`.",
    ),
    key(
        "auth",
        "tenant_id",
        "text",
        "`AZURE_TENANT_ID`",
        r#""00000000-0000-0000-0000-000000000000""#,
        "With `client-secret`: the directory.",
    ),
    key(
        "auth",
        "env",
        "variable",
        "required for `connection-string` and `token`",
        r#""EVENTHUBS_CONNECTION_STRING""#,
        "The environment variable that holds the secret; with `client-secret` default `AZURE_CLIENT_SECRET`.",
    ),
    key(
        "telemetry",
        "listen",
        "address and port",
        r#"`"127.0.0.1:9464"`"#,
        r#""127.0.0.1:9464""#,
        "Where `/metrics`, `/healthz`, `/readyz` and `/status` are served; `\"0.0.0.0:9464\"` in a container.",
    ),
    key(
        "telemetry",
        "log",
        "text",
        r#"`"info"`"#,
        r#""info""#,
        "`error`, `warn`, `info`, `debug` or `trace`, also by part: `\"info,aksentry::source=debug\"`.",
    ),
];

/// The keys of a table.
pub(super) fn of(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// The key of this name in one of the tables.
pub(super) fn find(tables: &[&str], name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name && tables.contains(&key.table))
}

/// What to write instead of a key that would hold a secret; `None` for keys that would not.
pub(super) fn instead_of_secret(table: &str, name: &str) -> Option<String> {
    let plain = name.to_lowercase().replace('-', "_");
    let secret = ["password", "secret", "token", "key", "connection_string", "sas", "credential", "pwd"];
    let is_secret = (plain == "url" || plain.starts_with("hmac")) && table == "sink.webhook"
        || secret.iter().any(|word| plain == *word || plain.ends_with(&format!("_{word}")))
        || ["passwd", "pass", "connectionstring", "sharedaccesskey", "accountkey", "clientsecret"]
            .contains(&plain.as_str());
    if !is_secret || find(&[table], name).is_some() {
        return None;
    }
    let name = match table {
        "sink.email.auth" => r#"password_env = "SMTP_PASSWORD""#,
        "sink.email" => r#"auth = { kind = "login", user = "…", password_env = "SMTP_PASSWORD" }"#,
        "sink.webhook" if plain == "url" => r#"url_env = "WEBHOOK_URL""#,
        "sink.webhook" => r#"hmac_env = "WEBHOOK_KEY""#,
        "source.eventhubs" => r#"auth = { kind = "connection-string", env = "EVENTHUBS_CONNECTION_STRING" }"#,
        "sink.sentinel" => r#"auth = { kind = "client-secret", env = "AZURE_CLIENT_SECRET" }"#,
        "checkpoint" | "archive" => {
            return Some("put it in the environment variable AZURE_STORAGE_ACCOUNT_KEY".to_owned());
        }
        _ => r#"env = "NAME""#,
    };
    Some(format!("put it in an environment variable and name it with {name}"))
}
