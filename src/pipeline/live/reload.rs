//! The rules of a running service: read whole or not at all, and what changed when they are read again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::detect::{Engine, EngineConfig};
use crate::rules::{Catalog, Diagnostic, Level, Sources};

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
        Engine::compile(&catalog, &config)?;
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

    /// Reads everything again. `None` where nothing changed; problems leave what is in force as it is.
    pub fn reload(&self) -> Result<Option<(Engine, Vec<String>)>, Vec<Diagnostic>> {
        let catalog = read(&self.sources, &self.adjust)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = changes(&current, &catalog);
        if changes.is_empty() {
            return Ok(None);
        }
        let engine = Engine::compile(&catalog, &self.config)?;
        *current = catalog;
        Ok(Some((engine, changes)))
    }
}

fn read(sources: &Sources, adjust: &Adjust) -> Result<Catalog, Vec<Diagnostic>> {
    let (mut catalog, mut problems) = Catalog::load(sources);
    problems.extend(adjust(&mut catalog));
    if problems.iter().any(|problem| problem.level == Level::Error) { Err(problems) } else { Ok(catalog) }
}

/// What differs, one line each.
fn changes(before: &Catalog, after: &Catalog) -> Vec<String> {
    let texts = |catalog: &Catalog| -> BTreeMap<String, String> {
        let rules = catalog.detections.iter().map(|rule| (format!("rule {}", rule.id), format!("{rule:?}")));
        let lists = catalog.lists.iter().map(|(name, list)| (format!("list {name}"), format!("{list:?}")));
        rules.chain(lists).collect()
    };
    let (before, after) = (texts(before), texts(after));
    let mut changes = Vec::new();
    for (name, text) in &after {
        match before.get(name) {
            None => changes.push(format!("{name} is new")),
            Some(old) if old != text => changes.push(format!("{name} changed")),
            Some(_) => {}
        }
    }
    changes.extend(before.keys().filter(|name| !after.contains_key(*name)).map(|n| format!("{n} is gone")));
    changes
}
