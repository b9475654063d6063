//! Who we are towards Azure: kinds of sign-in, and the credential each becomes.

mod secret;

pub use secret::Secret;

/// How to sign in. Values named by `env` are resolved when the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Workload identity if the pod has one, else a client secret from the environment, else a managed
    /// identity, else the Azure command line.
    #[default]
    Auto,
    Workload,
    /// The machine's managed identity; a client id where it has several.
    Managed {
        client_id: Option<String>,
    },
    ClientSecret {
        tenant_id: String,
        client_id: String,
        secret: Secret,
    },
    Cli,
    /// Event Hubs only.
    ConnectionString(Secret),
    /// A token used as it is, for tests against stand-ins.
    Token(Secret),
}
