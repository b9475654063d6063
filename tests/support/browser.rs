//! A page in a headless Chromium: opened from disk, asked, clicked and looked at.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::servers::Server;

/// Names Chromium goes by.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// An open page; the browser ends when this is dropped.
pub struct Page {
    server: Mutex<(Server, usize)>,
}

impl Page {
    /// Opens a file. Pictures and prints go into `shots`.
    pub fn open(file: &Path, shots: &Path) -> Self {
        let program = PROGRAMS.iter().find_map(|name| on_path(name));
        let program = program.expect("a Chromium is on the PATH: run tests/prepare.sh");
        let argument = json!({ "browser": program, "file": file, "shots": shots });
        let (server, _) = Server::start("page.mjs", Some(&argument));
        Self { server: Mutex::new((server, 0)) }
    }

    /// Does one of the actions of `tests/servers/page.mjs`.
    #[track_caller]
    pub fn act(&self, action: Value) -> Value {
        let mut server = self.server.lock().unwrap();
        server.0.tell(&action);
        server.1 += 1;
        let done = server.0.wait("done", server.1);
        assert!(done.get("failure").is_none(), "{action}: {done}");
        done["value"].clone()
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn evaluate(&self, script: &str) -> Value {
        self.act(json!({ "do": "evaluate", "script": script }))
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.act(json!({ "do": "click", "selector": selector }));
    }

    /// How many elements there are.
    #[track_caller]
    pub fn count(&self, selector: &str) -> u64 {
        self.evaluate(&format!("document.querySelectorAll({selector:?}).length")).as_u64().unwrap()
    }

    /// The text of the first element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        self.evaluate(&format!("document.querySelector({selector:?}).innerText")).as_str().unwrap().to_owned()
    }

    /// Nothing was fetched and nothing went wrong.
    #[track_caller]
    pub fn is_quiet(&self) {
        let heard = self.act(json!({ "do": "heard" }));
        assert_eq!(heard, json!({ "requests": [], "errors": [] }));
    }
}

#[expect(clippy::disallowed_methods, reason = "a browser is looked for as a shell looks for it")]
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
