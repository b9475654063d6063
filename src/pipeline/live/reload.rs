//! The rules of a running service: read whole or not at all, and what changed when they are read again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::detect::{Engine, EngineConfig};
use crate::rules::{Catalog, Detection, Diagnostic, Level, Sources};

/// Changes a catalog as the configuration says: rules switched off, severities.
pub type Adjust = Box<dyn Fn(&mut Catalog) -> Vec<Diagnostic> + Send + Sync>;

/// Where rules come from, and those in force.
pub struct RuleSet {
    sources: Sources,
    adjust: Adjust,
    config: EngineConfig,
    current: Mutex<Catalog>,
}

impl RuleSet {
    /// Reads rules and lists; every problem of every one is reported.
    pub fn load(sources: Sources, adjust: Adjust, config: EngineConfig) -> Result<Self, Vec<Diagnostic>> {
        let catalog = read(&sources, &adjust)?;
        let mut engine = Engine::compile(&catalog, &config)?;
        catalog.geoip.described().for_each(|database| tracing::info!("address database {database}"));
        tell_mute(&mut engine);
        Ok(Self { sources, adjust, config, current: Mutex::new(catalog) })
    }

    /// An engine with the rules in force.
    pub fn engine(&self) -> Result<Engine, String> {
        let catalog = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Engine::compile(&catalog, &self.config).map_err(|problems| {
            problems.first().map_or_else(|| "the rules cannot be planned".into(), ToString::to_string)
        })
    }

    /// How many rules are in force.
    pub fn count(&self) -> usize {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).detections.len()
    }

    /// Folders whose change is worth a reload.
    pub fn folders(&self) -> Vec<std::path::PathBuf> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).folders()
    }

    /// Folders of address databases; what lies below them is of no interest.
    pub fn geoip_folders(&self) -> std::collections::BTreeSet<std::path::PathBuf> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).geoip_folders()
    }

    /// Reads everything again. `None` where nothing changed; problems leave what is in force as it is.
    pub fn reload(&self) -> Result<Option<(Engine, Vec<String>)>, Vec<Diagnostic>> {
        let catalog = read(&self.sources, &self.adjust)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = changes(&current, &catalog);
        if changes.is_empty() {
            return Ok(None);
        }
        let mut engine = Engine::compile(&catalog, &self.config)?;
        *current = catalog;
        tell_mute(&mut engine);
        Ok(Some((engine, changes)))
    }
}

/// Rules that are in force and cannot fire: nobody would see it otherwise.
fn tell_mute(engine: &mut Engine) {
    engine.wake_lookups();
    for (rule, reason) in engine.mute() {
        tracing::warn!("{rule} cannot fire: {reason}");
    }
}

fn read(sources: &Sources, adjust: &Adjust) -> Result<Catalog, Vec<Diagnostic>> {
    let (mut catalog, mut problems) = Catalog::load(sources);
    problems.extend(adjust(&mut catalog));
    if problems.iter().any(|problem| problem.level == Level::Error) { Err(problems) } else { Ok(catalog) }
}

/// What differs, one line each.
fn changes(before: &Catalog, after: &Catalog) -> Vec<String> {
    let rules = |catalog: &Catalog| -> BTreeMap<String, Detection> {
        catalog.detections.iter().map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let mut changes = differences("rule", &rules(before), &rules(after));
    changes.extend(differences("list", &before.lists, &after.lists));
    if before.geoip != after.geoip {
        changes.extend(after.geoip.described().map(|database| format!("address database {database}")));
        if after.geoip.paths().next().is_none() {
            changes.push("no address database any more".into());
        }
    }
    changes
}

fn differences<T: PartialEq>(
    what: &str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Vec<String> {
    let told = |(name, new): (&String, &T)| match before.get(name) {
        None => Some(format!("{what} {name} is new")),
        Some(old) if old != new => Some(format!("{what} {name} changed")),
        Some(_) => None,
    };
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    after.iter().filter_map(told).chain(gone.map(|name| format!("{what} {name} is gone"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(folder: &std::path::Path) -> Catalog {
        let sources = Sources { detections: Some(folder.to_owned()), lists: None };
        let (catalog, problems) = Catalog::load(&sources);
        assert!(problems.is_empty(), "{problems:?}");
        catalog
    }

    #[test]
    fn what_changed_is_told_and_what_did_not_is_not() {
        let ours = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/detections"));
        assert_eq!(changes(&load(ours), &load(ours)), [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let text = std::fs::read_to_string(ours.join("execution/pod-exec.sql")).unwrap();
        for rule in ["a", "b", "c"] {
            put(&format!("execution/{rule}.sql"), &text);
        }
        put("lists/l.csv", "value,reason\nx,y\n");
        put("lists/m.csv", "value,reason\nx,y\n");
        let before = load(folder.path());
        std::fs::remove_file(folder.path().join("execution/a.sql")).unwrap();
        put("execution/b.sql", &text.replace("title = \"", "title = \"Now: "));
        put("execution/d.sql", &text);
        put("lists/m.csv", "value,reason\nx,z\n");
        let told = ["rule b changed", "rule d is new", "rule a is gone", "list m changed"];
        assert_eq!(changes(&before, &load(folder.path())), told);
    }
}
