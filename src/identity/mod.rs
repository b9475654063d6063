//! Who we are towards Azure: kinds of sign-in, the credential each becomes, tokens kept until they are
//! about to expire. A credential says which kind it is and why ([`Credential::chosen`]); who opens it logs
//! that. Object storage signs in by itself; connection strings go to Event Hubs as they are.

mod credential;
mod environment;
mod error;
mod secret;
mod token;

#[cfg(test)]
mod tests;

pub use credential::Credential;
pub use environment::Environment;
pub use error::IdentityError;
pub use secret::Secret;
pub use token::TokenSource;

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
