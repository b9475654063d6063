//! The service from outside: the binary, a hub over AMQP, stand-ins over HTTP, real servers.
//!
//! A [`Scene`] is one folder, one hub and one Sentinel; replicas of the service are started in it with
//! what a test changes of the configuration. What must come in the end is waited for, never slept for.

mod archive;
mod azure;
mod clock;
mod crash;
mod disk;
mod faults;
mod messages;
mod outages;
mod poison;
mod refusals;
mod reload;
mod replicas;
mod secrets;
mod send;
mod stream;
mod traffic;
mod unwritable;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use aksentry::hub::{Hub, Options};
use aksentry::store::Store;
use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::support::sentinel::{RULE_ID, STREAM, Sentinel};

const TOKEN: &str = "token-of-the-tests";
const PARTITIONS: u16 = 4;
/// Nothing takes longer than this unless it never comes.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A hub, a Sentinel, and a folder for state.
pub struct Scene {
    pub folder: TempDir,
    pub hub: Hub,
    pub sentinel: Sentinel,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// With a hub of other properties, but for its partitions.
    pub async fn with(options: Options) -> Self {
        // What a test opens itself needs the provider too; another test may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let hub = Hub::start(Options { partitions: PARTITIONS, ..options }).await.unwrap();
        Self { folder: TempDir::new().unwrap(), hub, sentinel: Sentinel::start(TOKEN, &[]).await }
    }

    /// Puts messages into the hub, one partition after the other.
    pub fn publish(&self, messages: &[Bytes]) {
        for message in messages {
            self.hub.publish(None, message.clone());
        }
    }

    /// The ids that `replay` gives for the same messages.
    pub fn replayed(&self, messages: &[Bytes]) -> BTreeSet<String> {
        let path = self.folder.path().join("messages.ndjson");
        let lines: Vec<u8> = messages.iter().flat_map(|m| m.iter().copied().chain([b'\n'])).collect();
        std::fs::write(&path, lines).unwrap();
        let output = program().args(["replay", "--format", "ndjson"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| id(&serde_json::from_str(line).unwrap(), "id")).collect()
    }

    /// The configuration of one replica; `more` are tables behind the common ones.
    pub fn configuration(&self, replica: &str, more: &str) -> String {
        let folder = self.folder.path().display();
        let (endpoint, sentinel) = (self.hub.endpoint(), self.sentinel.url(""));
        format!(
            r#"
[source.eventhubs]
namespace = "localhost"
hub = "aks-audit"
endpoint = "{endpoint}"
auth = {{ kind = "connection-string", env = "TEST_HUB" }}
replica = "{replica}"
lease = "3s"
[checkpoint]
url = "file://{folder}/checkpoints"
[state]
dir = "{folder}/state-{replica}"
[telemetry]
listen = "127.0.0.1:0"
[[sink]]
type = "sentinel"
endpoint = "{}"
rule_id = "{RULE_ID}"
stream = "{STREAM}"
auth = {{ kind = "token", env = "TEST_SENTINEL" }}
{more}
"#,
            sentinel.trim_end_matches('/')
        )
    }

    /// Writes a configuration down.
    pub fn write(&self, replica: &str, configuration: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{replica}.toml"));
        std::fs::write(&path, configuration).unwrap();
        path
    }

    /// Starts a replica with that configuration.
    pub fn start(&self, replica: &str, configuration: &str) -> Service {
        Service::start(&self.write(replica, configuration))
    }

    /// The ids that reached Sentinel.
    pub fn delivered(&self) -> BTreeSet<String> {
        self.sentinel.rows().into_keys().collect()
    }
}

/// The rules that the service is tested with: of each kind some, and of those with windows the ones that
/// speak before late rows have come. `replay` evaluates the windows at the end of the log too, which a
/// service waits with until more comes, and then the two could not be compared.
const RULES: [&str; 20] = [
    "credential-access/secret-access-bulk",
    "credential-access/secret-cross-namespace-sweep",
    "credential-access/secret-get",
    "credential-access/secret-list",
    "credential-access/secret-list-cluster-wide",
    "credential-access/seq-recon-then-secret",
    "defense-evasion/audit-record-truncated",
    "defense-evasion/cluster-silent",
    "defense-evasion/netpol-deleted",
    "discovery/api-denied-distinct-resources",
    "execution/exec-shell-or-tool",
    "execution/pod-exec",
    "impact/pods-mass-deleted",
    "initial-access/anon-request-allowed",
    "initial-access/entra-user-first-seen",
    "initial-access/local-admin-account-used",
    "persistence/webhook-config-changed",
    "privilege-escalation/binding-create-then-delete",
    "privilege-escalation/cluster-admin-binding",
    "privilege-escalation/pod-privileged",
];

/// A folder with these rules of the pack, and with everything else of this repository that a command reads.
static PLACE: LazyLock<TempDir> = LazyLock::new(|| {
    let (place, root) = (TempDir::new().unwrap(), Path::new(crate::cli::ROOT));
    for rule in RULES {
        let to = place.path().join("detections").join(rule).with_extension("sql");
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join("detections").join(rule).with_extension("sql"), to).unwrap();
    }
    let linked = ["detections/lists", "queries", "samples", "deploy"];
    linked
        .iter()
        .for_each(|name| std::os::unix::fs::symlink(root.join(name), place.path().join(name)).unwrap());
    place
});

/// Where commands of these tests run.
pub fn place() -> &'static Path {
    PLACE.path()
}

/// The program, with the rules of these tests.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aksentry"));
    command.current_dir(place());
    command
}

pub fn id(object: &serde_json::Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("no \"{key}\" in {object}")).to_owned()
}

/// A running replica; killed when dropped.
pub struct Service {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub fn start(configuration: &Path) -> Self {
        Self::start_with(configuration, |_| ())
    }

    /// The same with other flags or variables.
    pub fn start_with(configuration: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = program();
        command.args(["run", "--config"]).arg(configuration);
        Self::spawn_with(&mut command, change)
    }

    /// Starts a command that is the service, or becomes it.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, |_| ())
    }

    fn spawn_with(command: &mut Command, change: impl FnOnce(&mut Command)) -> Self {
        command
            .env("TEST_HUB", "Endpoint=sb://localhost/;SharedAccessKeyName=test;SharedAccessKey=dGVzdA==")
            .env("TEST_SENTINEL", TOKEN)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        change(command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, into) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                into.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What one of its addresses answers.
    pub fn get(&self, path: &str) -> String {
        get(&format!("http://{}/{path}", self.telemetry()))
    }

    /// Waits until it says that it is not ready, with all of these words; the whole answer.
    #[track_caller]
    pub fn not_ready(&self, words: &[&str]) -> String {
        let said = || {
            let text = self.get("readyz");
            let all = words.iter().all(|word| text.contains(word));
            (text.starts_with("HTTP/1.0 503") && all).then_some(text)
        };
        wait_for(&format!("{words:?} in /readyz"), said, || format!("{}\n{}", self.get("readyz"), self.log()))
    }

    /// Waits until it is ready.
    #[track_caller]
    pub fn ready(&self) {
        let ready = || self.get("readyz").starts_with("HTTP/1.0 200").then_some(());
        wait_for("readiness", ready, || format!("{}\n{}", self.get("readyz"), self.log()));
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// As a crash would: nothing is finished.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; the exit code.
    pub fn ended(&mut self) -> i32 {
        let code = wait_for("the end of the service", || self.child.try_wait().unwrap(), String::new);
        code.code().unwrap_or(-1)
    }

    /// Tells it to stop; how long that took.
    pub fn stop(mut self) -> (i32, Duration, String) {
        let begun = Instant::now();
        self.signal("-TERM");
        let code = self.ended();
        (code, begun.elapsed(), self.log())
    }

    /// Where its metrics are, once it said so.
    pub fn telemetry(&self) -> String {
        let address = || {
            let log = self.log();
            let at = log.find("telemetry\":\"").map(|at| at + "telemetry\":\"".len())?;
            log[at..].split('"').next().map(str::to_owned)
        };
        wait_for("the address of its metrics", address, || self.log())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is there; `why` is asked for an account when it never comes.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>, why: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come:\n{}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until exactly these ids are delivered.
#[track_caller]
pub fn wait_for_ids(scene: &Scene, wanted: &BTreeSet<String>, services: &[&Service]) {
    let arrived = || wanted.is_subset(&scene.delivered()).then_some(());
    let account = || {
        let delivered = scene.delivered();
        let missing: Vec<_> = wanted.difference(&delivered).collect();
        let logs: Vec<String> = services.iter().map(|service| service.log()).collect();
        format!("{} of {} missing: {missing:?}\n{}", missing.len(), wanted.len(), logs.join("\n---\n"))
    };
    wait_for("every alert", arrived, account);
    let surplus: Vec<String> = scene.delivered().difference(wanted).cloned().collect();
    assert!(surplus.is_empty(), "alerts that replay does not give: {surplus:?}");
}

/// The ids of the alerts in a file sink.
pub fn ids_in(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    whole.map(|alert: serde_json::Value| id(&alert, "id")).collect()
}

/// The dead letters of a state folder.
pub fn dead_letters(state: &Path) -> Vec<serde_json::Value> {
    let Ok(files) = std::fs::read_dir(state.join("dead-letters")) else { return Vec::new() };
    let texts = files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let text: String = texts.collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The audit ids in an archive, each with how many rows have it.
pub async fn archived(store: &Store) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for file in store.list("table=audit").await.unwrap() {
        // A file may go while we look.
        let Some((content, _)) = store.get(&file.key).await.unwrap() else { continue };
        for batch in ParquetRecordBatchReaderBuilder::try_new(content).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let ids = batch.column_by_name("audit_id").unwrap();
            let ids = arrow::compute::cast(ids, &DataType::Utf8).unwrap();
            for id in ids.as_string::<i32>() {
                *rows.entry(id.unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    rows
}

/// Waits until so many different rows are in an archive.
#[track_caller]
pub fn wait_for_rows(store: &Store, rows: usize, service: &Service) {
    let count = || tokio::task::block_in_place(|| Handle::current().block_on(archived(store))).len();
    let account = || format!("{} of {rows}\n{}", count(), service.log());
    wait_for("every row in the archive", || (count() == rows).then_some(()), account);
}

/// What an address answers, in plain HTTP; empty if it does not.
pub fn get(url: &str) -> String {
    use std::io::{Read, Write};
    let rest = url.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let answer = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(host)?;
        write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    answer().unwrap_or_default()
}
