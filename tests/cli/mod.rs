//! The command line as people and scripts meet it: streams, exit codes, formats.

mod archive;
mod commands;
mod config;
mod hostile;
mod hunt;
mod input;
mod shell;
mod state;
mod usage;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// What a run of the program gave.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The run ended with this code; shows everything if not.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no \"{text}\" in stderr:\n{}", self.err);
        self
    }
}

/// The root of this repository: with it as working directory the program takes the pack of ours.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn command_in(folder: impl AsRef<Path>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::cargo_bin("aksentry").unwrap();
    command.current_dir(folder).args(args);
    command
}

/// Runs the program in the repository.
pub fn run_at_root(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    Run::of(command_in(ROOT, args))
}

/// A folder with a rule pack of its own, so that what the program ships does not matter here.
pub struct Place {
    dir: TempDir,
}

/// Fires for every read of a secret that succeeded.
const SECRET_GET: &str = r#"-- /// detection
-- title = "A secret was read"
-- severity = "high"
-- status = "stable"
-- key = ["username"]
-- attack = ["T1552.007"]
-- section = [4]
-- summary = "{username} read secret {name}"
-- description = "Reads of secrets."
-- false_positives = ["Controllers: add them to lists/readers.csv"]
-- ///
SELECT time, cluster, username, name
FROM audit
WHERE resource = 'secrets' AND verb = 'get' AND status_code = 200 AND NOT listed('readers', username)
"#;

impl Place {
    /// With the rule `secret-get`, its cases, and the list `readers`.
    pub fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.put("detections/credential-access/secret-get.sql", SECRET_GET);
        place.put("lists/readers.csv", "value,reason\ngitops,reads what it deploys\n");
        place
    }

    /// Writes a file, with the folders above it.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        command_in(self.dir.path(), args)
    }

    /// Runs the program in this place, words split at blanks.
    pub fn run(&self, args: &str) -> Run {
        self.run_args(args.split_whitespace())
    }

    pub fn run_args(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        Run::of(self.command(args))
    }

    /// Runs a replay with `--stats` and returns those.
    pub fn stats(&self, path: impl AsRef<Path>) -> serde_json::Value {
        let args = [Path::new("replay"), path.as_ref(), Path::new("--stats"), Path::new("stats.json")];
        self.run_args(args).code(0);
        serde_json::from_str(&self.read("stats.json")).unwrap()
    }
}

/// A record as a hub holds it: somebody reads a secret, at this second of an hour.
pub fn record(user: &str, name: &str, second: u32) -> String {
    let time = format!("2026-03-01T10:{:02}:{:02}.000000Z", second / 60, second % 60);
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": format!("{user}-{name}-{second}"), "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/a/secrets/{name}"), "verb": "get",
        "user": { "username": user, "groups": ["system:authenticated"] },
        "sourceIPs": ["203.0.113.7"],
        "objectRef": { "resource": "secrets", "namespace": "a", "name": name, "apiVersion": "v1" },
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    serde_json::json!({
        "time": time, "category": "kube-audit",
        "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
        "properties": { "log": event.to_string() },
    })
    .to_string()
}
