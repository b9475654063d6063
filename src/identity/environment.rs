//! The variables that Azure's own tools set and read, at one place. Everything that signs in takes an
//! [`Environment`], so that tests need not change the process's own.

use std::fmt;
use std::sync::Arc;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Names of variables to values.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

impl Environment {
    /// Those of this process.
    pub fn process() -> Self {
        Self(Arc::new(|name| {
            #[expect(
                clippy::disallowed_methods,
                reason = "workload identity is configured by Azure's webhook"
            )]
            std::env::var(name).ok()
        }))
    }

    /// Only those given.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self(Arc::new(move |name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        }))
    }

    /// The value, unless it is empty: an empty variable is a forgotten one.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
