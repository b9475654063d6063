//! A service whose state folder is a small volume of its own: a tmpfs in a namespace that the service
//! alone is in, which needs no root where the kernel lets users make one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Scene, Service};

/// Words that start a command in such a namespace.
const NAMESPACE: [&str; 4] = ["--user", "--map-root-user", "--mount", "--"];

/// A commit that is under way deletes files when it is done: a volume is full when it stays so.
const ROUNDS: usize = 6;
const PAUSE: Duration = Duration::from_millis(250);

/// A running service and its volume.
pub struct Volume {
    pub service: Service,
    /// The volume as this process sees it.
    pub folder: PathBuf,
}

/// Starts a replica whose state folder is a tmpfs with these mount options; `None` where users may make
/// no namespaces.
pub fn start(scene: &Scene, replica: &str, configuration: &str, options: &str) -> Option<Volume> {
    let mut probe = Command::new("unshare");
    probe.args(NAMESPACE).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!(
            "left out: this kernel or container lets users make no namespaces (unshare --user --mount)"
        );
        return None;
    }
    let state = scene.folder.path().join(format!("state-{replica}"));
    std::fs::create_dir_all(&state).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(NAMESPACE)
        .args(["sh", "-c", "mount -t tmpfs -o \"$2\" state \"$3\" && exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_aksentry"))
        .arg(scene.write(replica, configuration))
        .arg(options)
        .arg(&state)
        .current_dir(super::place());
    let service = Service::spawn(&mut command);
    let root = PathBuf::from(format!("/proc/{}/root", service.pid()));
    let folder = root.join(state.strip_prefix("/").unwrap());
    Some(Volume { service, folder })
}

impl Volume {
    /// Takes all the room there is, and for a while what the service gives back.
    pub fn fill(&self) {
        let mut ballast = File::create(self.folder.join("ballast")).unwrap();
        let mut found_none = 0;
        while found_none < ROUNDS {
            let mut taken = 0;
            for size in [1 << 16, 1 << 12, 1] {
                while ballast.write_all(&vec![0; size]).is_ok() {
                    taken += size;
                }
            }
            found_none = if taken == 0 { found_none + 1 } else { 0 };
            std::thread::sleep(PAUSE);
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.folder.join("ballast")).unwrap();
    }

    /// Whether nothing is in the files of a folder below.
    pub fn is_empty(&self, below: impl AsRef<Path>) -> bool {
        let files = std::fs::read_dir(self.folder.join(below)).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).all(|data| data.len() == 0)
    }
}
