//! Servers of `tests/servers` as child processes: started, told what to do, listened to. Each ends when its
//! standard input does, so that even a test that is killed leaves none behind. Which servers there are is in
//! the modules beside this one.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far longer than anything takes here; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it ends when this is dropped.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    events: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Server {
    /// Starts a script of `tests/servers` and waits until it listens; the event that says so comes along.
    pub fn start(script: &str, argument: Option<&Value>) -> (Self, Value) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
        assert!(
            Path::new(folder).join("node_modules").is_dir(),
            "the servers of the tests are not installed: start the tests with tests/run.sh, or run tests/prepare.sh once"
        );
        let mut child = Command::new("node")
            .arg(Path::new(folder).join(script))
            .args(argument.map(Value::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be started: run tests/prepare.sh");
        let events = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let output = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::clone(&events);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line));
                heard.0.lock().unwrap().push(event);
                heard.1.notify_all();
            }
        });
        let input = child.stdin.take();
        let server = Self { child, input, events };
        let listening = server.wait("listening", 1);
        (server, listening)
    }

    /// Waits for the `n`-th event (from 1) of a name and returns it.
    pub fn wait(&self, name: &str, n: usize) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.0.lock().unwrap();
        loop {
            if let Some(event) = events.iter().filter(|event| event["event"] == name).nth(n - 1) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no event \"{name}\" number {n} among {events:#?}");
            events = self.events.1.wait_timeout(events, left).unwrap().0;
        }
    }

    /// The events of a name so far.
    pub fn seen(&self, name: &str) -> Vec<Value> {
        self.events.0.lock().unwrap().iter().filter(|event| event["event"] == name).cloned().collect()
    }

    /// Sends a line to the server's standard input.
    pub fn tell(&mut self, line: &Value) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its standard input ends, and so does it; waiting for it leaves no zombie.
        self.input = None;
        let _ = self.child.wait();
    }
}
