//! [`Auth`] made into something that gets tokens. `auto` looks at what is there, takes the first that is,
//! and says which and why. The credential is built anew after [`Credential::renew`], because the SDK's own
//! keep tokens that the service may have stopped taking.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::AccessToken;
use azure_core::credentials::TokenCredential;
use azure_core::credentials::TokenRequestOptions;
use azure_core::error::ErrorKind;
use azure_core::http::ClientOptions;
use azure_core::time::OffsetDateTime;
use azure_identity::AzureCliCredential;
use azure_identity::ClientAssertionCredentialOptions;
use azure_identity::ClientSecretCredential;
use azure_identity::ClientSecretCredentialOptions;
use azure_identity::ManagedIdentityCredential;
use azure_identity::ManagedIdentityCredentialOptions;
use azure_identity::UserAssignedId;
use azure_identity::WorkloadIdentityCredential;
use azure_identity::WorkloadIdentityCredentialOptions;
use tokio::time::Instant;

use super::Auth;
use super::Environment;
use super::IdentityError;
use super::Secret;
use super::error::explain;

const WORKLOAD: &str = "workload identity";
const CLIENT_SECRET: &str = "client secret";
const MANAGED: &str = "managed identity";
pub(super) const CLI: &str = "the Azure command line";

/// Where a virtual machine of Azure asks for tokens.
pub(super) const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const IMDS_PATIENCE: Duration = Duration::from_secs(2);
/// The SDK retries by itself; this is for peers that neither answer nor hang up.
const PATIENCE: Duration = Duration::from_secs(90);
/// A token is fetched again this long before it expires.
const MARGIN: Duration = Duration::from_secs(300);

/// What is left of [`Auth`] when `auto` is decided.
#[derive(Clone)]
enum Kind {
    Workload { tenant_id: String, client_id: String, file: PathBuf },
    ClientSecret { tenant_id: String, client_id: String, secret: Secret },
    Managed { client_id: Option<String> },
    Cli,
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Workload { .. } => WORKLOAD,
            Self::ClientSecret { .. } => CLIENT_SECRET,
            Self::Managed { .. } => MANAGED,
            Self::Cli => CLI,
        }
    }

    fn secret(&self) -> Option<&Secret> {
        match self {
            Self::ClientSecret { secret, .. } => Some(secret),
            _ => None,
        }
    }
}

/// Gets tokens, and keeps each until five minutes before it expires. Cheap to share.
pub struct Credential {
    kind: Kind,
    chosen: String,
    client: ClientOptions,
    kept: Mutex<Kept>,
    /// Held while a token is fetched, so that many who need it at once ask once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    /// Absent: to be built.
    credential: Option<Arc<dyn TokenCredential>>,
    /// By scope. Measured by the monotonic clock: the wall clock may jump.
    tokens: HashMap<String, (AccessToken, Instant)>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.kind.name())
    }
}

impl Credential {
    /// Decides how to sign in and builds what does; nothing is asked of the identity service yet.
    ///
    /// # Errors
    ///
    /// Where a variable or file is missing, where `auto` finds nothing, and for the kinds of [`Auth`] that
    /// give no tokens.
    pub async fn open(auth: &Auth, environment: &Environment) -> Result<Arc<Self>, IdentityError> {
        Self::open_with(auth, environment, IMDS, ClientOptions::default()).await
    }

    pub(super) async fn open_with(
        auth: &Auth,
        environment: &Environment,
        imds: &str,
        client: ClientOptions,
    ) -> Result<Arc<Self>, IdentityError> {
        check_authority(environment)?;
        let (kind, why) = decide(auth, environment, imds).await?;
        let chosen = match &kind {
            Kind::Workload { client_id, .. } | Kind::ClientSecret { client_id, .. } => {
                format!("{} of client {client_id}: {why}", kind.name())
            }
            Kind::Managed { client_id: Some(client_id) } => format!("{MANAGED} {client_id}: {why}"),
            Kind::Managed { client_id: None } | Kind::Cli => format!("{}: {why}", kind.name()),
        };
        let credential =
            Self { kind, chosen, client, kept: Mutex::default(), fetching: tokio::sync::Mutex::default() };
        credential.credential()?;
        Ok(Arc::new(credential))
    }

    /// How we sign in and why so, for the log.
    pub fn chosen(&self) -> &str {
        &self.chosen
    }

    /// A token for `scope` that is good for five minutes at least, unless the service gives shorter ones.
    pub async fn token(&self, scope: &str) -> Result<Secret, IdentityError> {
        Ok(Secret::new(self.access_token(scope).await?.token.secret()))
    }

    /// Forgets every token: the next is a new one.
    pub fn renew(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn access_token(&self, scope: &str) -> Result<AccessToken, IdentityError> {
        if let Some(token) = self.fresh(scope) {
            return Ok(token);
        }
        let _one = self.fetching.lock().await;
        if let Some(token) = self.fresh(scope) {
            return Ok(token);
        }
        let credential = self.credential()?;
        let kind = self.kind.name();
        let asked = tokio::time::timeout(PATIENCE, credential.get_token(&[scope], None)).await;
        let token = asked
            .map_err(|_| IdentityError::Unavailable { kind, detail: format!("no answer in {PATIENCE:?}") })?
            .map_err(|error| explain(kind, &error, self.kind.secret()))?;
        let left = token.expires_on - OffsetDateTime::now_utc();
        let left = Duration::try_from(left).unwrap_or_default();
        let mut kept = self.kept();
        // Dropped by `renew` meanwhile: this token may be of the old kind.
        if kept.credential.as_ref().is_some_and(|now| Arc::ptr_eq(now, &credential)) {
            kept.tokens.insert(scope.to_owned(), (token.clone(), Instant::now() + left));
        }
        Ok(token)
    }

    fn fresh(&self, scope: &str) -> Option<AccessToken> {
        let kept = self.kept();
        let (token, until) = kept.tokens.get(scope)?;
        (*until > Instant::now() + MARGIN).then(|| token.clone())
    }

    fn credential(&self) -> Result<Arc<dyn TokenCredential>, IdentityError> {
        let mut kept = self.kept();
        if let Some(credential) = &kept.credential {
            return Ok(Arc::clone(credential));
        }
        let credential = build(&self.kind, self.client.clone()).map_err(|error| {
            let detail = error.to_string();
            IdentityError::Configuration { kind: self.kind.name(), detail }
        })?;
        kept.credential = Some(Arc::clone(&credential));
        Ok(credential)
    }
}

/// For the Event Hubs SDK, which asks once a path.
#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        self.access_token(scope).await.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}

fn build(kind: &Kind, client: ClientOptions) -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(match kind {
        Kind::Workload { tenant_id, client_id, file } => {
            WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: client },
                client_id: Some(client_id.clone()),
                tenant_id: Some(tenant_id.clone()),
                token_file_path: Some(file.clone()),
                ..Default::default()
            }))?
        }
        Kind::ClientSecret { tenant_id, client_id, secret } => ClientSecretCredential::new(
            tenant_id,
            client_id.clone(),
            azure_core::credentials::Secret::new(secret.expose().to_owned()),
            Some(ClientSecretCredentialOptions { client_options: client }),
        )?,
        Kind::Managed { client_id } => {
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                client_options: client,
            }))?
        }
        Kind::Cli => AzureCliCredential::new(None)?,
    })
}

async fn decide(auth: &Auth, environment: &Environment, imds: &str) -> Result<(Kind, String), IdentityError> {
    let configured = || "as configured".to_owned();
    match auth {
        Auth::Auto => auto(environment, imds).await,
        Auth::Workload => Ok((workload(environment)?, configured())),
        Auth::Managed { client_id } => Ok((Kind::Managed { client_id: client_id.clone() }, configured())),
        Auth::ClientSecret { tenant_id, client_id, secret } => {
            let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
            Ok((Kind::ClientSecret { tenant_id, client_id, secret: secret.clone() }, configured()))
        }
        Auth::Cli => Ok((Kind::Cli, configured())),
        Auth::ConnectionString(_) => Err(IdentityError::Configuration {
            kind: "connection string",
            detail: "it is for Event Hubs only; choose another kind of sign-in here".to_owned(),
        }),
        Auth::Token(_) => Err(IdentityError::Configuration {
            kind: "token",
            detail: "a fixed token is for tests of a sink only; choose another kind of sign-in here"
                .to_owned(),
        }),
    }
}

async fn auto(environment: &Environment, imds: &str) -> Result<(Kind, String), IdentityError> {
    if environment.get("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        return Ok((workload(environment)?, "AZURE_FEDERATED_TOKEN_FILE is set".to_owned()));
    }
    if let Some(secret) = environment.get("AZURE_CLIENT_SECRET") {
        let hint = "AZURE_CLIENT_SECRET is set and belongs with it";
        let kind = Kind::ClientSecret {
            tenant_id: need(environment, CLIENT_SECRET, "AZURE_TENANT_ID", hint)?,
            client_id: need(environment, CLIENT_SECRET, "AZURE_CLIENT_ID", hint)?,
            secret: Secret::new(secret),
        };
        return Ok((kind, "AZURE_CLIENT_SECRET is set".to_owned()));
    }
    let client_id = environment.get("AZURE_CLIENT_ID");
    for variable in ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"] {
        if environment.get(variable).is_some() {
            return Ok((Kind::Managed { client_id }, format!("{variable} is set")));
        }
    }
    if machine_has_identity(imds).await {
        let mut why =
            "this machine is in Azure, and there is no workload identity or client secret".to_owned();
        if environment.get("KUBERNETES_SERVICE_HOST").is_some() {
            // Works, but with the rights of every pod of the node: rarely what was meant.
            why.push_str(
                "; this is the node's identity: for one of the pod's own label it \
                 azure.workload.identity/use: \"true\"",
            );
        }
        return Ok((Kind::Managed { client_id }, why));
    }
    if has_command(environment, "az") {
        let why = "neither workload identity nor client secret nor managed identity was found".to_owned();
        return Ok((Kind::Cli, why));
    }
    Err(IdentityError::Nothing(
        "nothing to sign in with was found: AZURE_FEDERATED_TOKEN_FILE (workload identity) and \
         AZURE_CLIENT_SECRET are not set, no managed identity answers, and the Azure command line is not \
         installed; in AKS label the pod azure.workload.identity/use: \"true\" and annotate its service \
         account, elsewhere set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or run `az login`"
            .to_owned(),
    ))
}

fn workload(environment: &Environment) -> Result<Kind, IdentityError> {
    let hint = "AKS sets it for pods labelled azure.workload.identity/use: \"true\" whose service account is \
                annotated with azure.workload.identity/client-id";
    Ok(Kind::Workload {
        file: need(environment, WORKLOAD, "AZURE_FEDERATED_TOKEN_FILE", hint)?.into(),
        tenant_id: need(environment, WORKLOAD, "AZURE_TENANT_ID", hint)?,
        client_id: need(environment, WORKLOAD, "AZURE_CLIENT_ID", hint)?,
    })
}

fn need(
    environment: &Environment,
    kind: &'static str,
    variable: &'static str,
    hint: &'static str,
) -> Result<String, IdentityError> {
    environment.get(variable).ok_or(IdentityError::Missing { kind, variable, hint })
}

/// Sovereign clouds name their own; the SDK reads it too, but says less.
fn check_authority(environment: &Environment) -> Result<(), IdentityError> {
    match environment.get("AZURE_AUTHORITY_HOST") {
        Some(host) if !host.starts_with("https://") => Err(IdentityError::Configuration {
            kind: "AZURE_AUTHORITY_HOST",
            detail: format!("{host:?} does not begin with https://, as in https://login.microsoftonline.us"),
        }),
        _ => Ok(()),
    }
}

/// Asked without the header that it insists on, Azure's metadata service answers 400. Other clouds have
/// something else at the same address.
async fn machine_has_identity(imds: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(IMDS_PATIENCE).build() else {
        return false;
    };
    match client.get(imds).send().await {
        Ok(response) => matches!(response.status().as_u16(), 400 | 410 | 429 | 500..=599),
        Err(_) => false,
    }
}

fn has_command(environment: &Environment, name: &str) -> bool {
    let path = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
