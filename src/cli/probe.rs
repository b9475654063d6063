//! `check --online`: whether everything that the configuration names answers, a line each.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::{clock, service};
use crate::config::{Config, Source};
use crate::sink;
use crate::source::eventhubs::EventHubs;
use crate::source::files::Inputs;
use crate::store::{Environment, Location, Metadata, Store, StoreError};

/// Who has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(30);

/// An object that is written and removed again.
const PROBE: &str = "aksentry-probe";

/// What was found, or what to do.
pub(super) type Found = Result<String, String>;

/// One thing to try.
pub(super) struct Probe {
    /// `hub contoso/aks-audit`, `sink email`.
    pub name: String,
    pub run: Pin<Box<dyn Future<Output = Found> + Send>>,
}

impl Probe {
    pub fn new(name: impl Into<String>, run: impl Future<Output = Found> + Send + 'static) -> Self {
        Self { name: name.into(), run: Box::pin(run) }
    }
}

/// What can be tried on this machine alone: files, folders.
pub(super) fn local(config: &Config) -> Vec<Probe> {
    let state = config.state.clone();
    let mut probes = vec![Probe::new("state", async move { writable_folder(&state) })];
    if let Source::Files { paths, .. } = &config.source {
        let paths = paths.clone();
        probes.push(Probe::new("source files", async move {
            Inputs::resolve(&paths).map(|_| paths.join(", ")).map_err(|error| format!("{error:#}"))
        }));
    }
    for sink in &config.sinks {
        if let sink::Config::File { path } = &sink.kind
            && path != Path::new("-")
        {
            let path = path.clone();
            probes.push(Probe::new(format!("sink {}", sink.name), async move { appendable(&path) }));
        }
    }
    probes
}

/// What needs a network: hub, stores, sinks.
pub(super) fn remote(config: &Config) -> Vec<Probe> {
    let mut probes = Vec::new();
    if let Source::EventHubs(hub) = config.source.clone() {
        probes.push(Probe::new(format!("hub {}/{}", hub.namespace, hub.hub), async move {
            let partitions = EventHubs::probe(*hub).await.map_err(|error| error.to_string())?;
            Ok(format!("answers, {partitions} partitions"))
        }));
    }
    let archive = config.archive.as_ref().map(|archive| ("archive", archive.location.clone()));
    for (name, location) in [("checkpoint", config.checkpoint.clone())].into_iter().chain(archive) {
        probes.push(Probe::new(format!("{name} {location}"), async move {
            if let Location::Folder(folder) = &location {
                return writable_folder(folder);
            }
            let store = Store::open(&location, &Environment::read()).map_err(|error| error.to_string())?;
            let told = |error: StoreError| error.to_string();
            store.probe().await.map_err(told)?;
            // Who may only read finds out here and not at the first commit.
            store.put(PROBE, Bytes::new(), &Metadata::default()).await.map_err(told)?;
            store.delete(PROBE).await.map_err(told)?;
            Ok("can be read and written".to_owned())
        }));
    }
    for sink in config.sinks.clone() {
        let is_file = matches!(sink.kind, sink::Config::File { .. });
        if !is_file {
            probes.push(Probe::new(format!("sink {}", sink.name), async move {
                let opened = service::sink(&sink, &clock()).await.map_err(|error| format!("{error:#}"))?;
                opened.probe().await
            }));
        }
    }
    probes
}

/// Whether the folder, or the one it is to be made in, takes a file. Nothing is left behind.
fn writable_folder(folder: &Path) -> Found {
    let exists = folder.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf);
    let there = exists.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."));
    match tempfile::tempfile_in(&there) {
        Ok(_) if there == folder => Ok(format!("{} can be written", folder.display())),
        Ok(_) => Ok(format!("{} will be made", folder.display())),
        Err(error) => Err(format!(
            "cannot write in {}: {error}; give this user the right to, or name another folder",
            there.display()
        )),
    }
}

/// Whether a file can be opened to append to, or made. A file that is not there stays so.
fn appendable(path: &Path) -> Found {
    if !path.exists() {
        return writable_folder(path.parent().unwrap_or(Path::new(".")))
            .map(|_| format!("{} will be made", path.display()));
    }
    let opened = std::fs::OpenOptions::new().append(true).open(path);
    opened.map(|_| format!("{} can be written", path.display())).map_err(|error| {
        format!(
            "cannot append to {}: {error}; give this user the right to, or name another file",
            path.display()
        )
    })
}

/// Tries all at once and tells of each as it is known.
pub(super) async fn run(
    probes: Vec<Probe>,
    mut tell: impl FnMut(&str, &Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut running: FuturesUnordered<_> = probes
        .into_iter()
        .map(async |probe| {
            let found = tokio::time::timeout(PATIENCE, probe.run).await.unwrap_or_else(|_| {
                let seconds = PATIENCE.as_secs();
                Err(format!("no answer within {seconds} s; check name, network and firewall"))
            });
            (probe.name, found)
        })
        .collect();
    while let Some((name, found)) = running.next().await {
        tell(&name, &found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_probe_is_told_of_and_one_that_waits_holds_up_none() {
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let probes = vec![
            Probe::new(
                "slow",
                async move { receive.await.map(|()| "at last".into()).map_err(|e| e.to_string()) },
            ),
            Probe::new("fast", async { Err("no such hub".to_owned()) }),
        ];
        let mut send = Some(send);
        let mut told = Vec::new();
        run(probes, |name, found| {
            told.push(format!("{name} {found:?}"));
            // The slow one may go on only when the fast one was told of.
            let _ = send.take().map(|send| send.send(()));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(told, ["fast Err(\"no such hub\")", "slow Ok(\"at last\")"]);
    }

    #[test]
    fn files_and_folders_are_tried_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a/b");
        assert_eq!(writable_folder(&new), Ok(format!("{} will be made", new.display())));
        let file = folder.path().join("alerts.ndjson");
        assert_eq!(appendable(&file), Ok(format!("{} will be made", file.display())));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&file, "x").unwrap();
        assert!(appendable(&file).is_ok());
        // A file where a folder should be, for any user.
        let under = file.join("state");
        assert!(appendable(folder.path()).unwrap_err().contains("cannot append to"), "{}", under.display());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
