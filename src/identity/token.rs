//! Tokens for whoever talks to Azure with HTTP: from a credential, or one that was given.

use std::sync::Arc;

use super::Auth;
use super::Credential;
use super::Environment;
use super::IdentityError;
use super::Secret;

/// Where a sink has its tokens from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    Credential(Arc<Credential>),
    /// Used as it is, whatever the scope.
    Fixed(Secret),
}

impl TokenSource {
    /// What `auth` says, with the environment of this process.
    pub async fn open(auth: &Auth) -> Result<Self, IdentityError> {
        match auth {
            Auth::Token(token) => Ok(Self::Fixed(token.clone())),
            _ => Ok(Self::Credential(Credential::open(auth, &Environment::process()).await?)),
        }
    }

    /// How we sign in and why so, for the log.
    pub fn chosen(&self) -> &str {
        match self {
            Self::Credential(credential) => credential.chosen(),
            Self::Fixed(_) => "a fixed token: as configured",
        }
    }

    /// A token for `scope`, such as `https://monitor.azure.com/.default`.
    pub async fn token(&self, scope: &str) -> Result<Secret, IdentityError> {
        match self {
            Self::Credential(credential) => credential.token(scope).await,
            Self::Fixed(token) => Ok(token.clone()),
        }
    }

    /// Forgets the tokens kept, after one was refused (401); a fixed one stays.
    pub fn renew(&self) {
        if let Self::Credential(credential) = self {
            credential.renew();
        }
    }
}
