//! A prefix of a blob container, through object_store.

use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, BackoffConfig, ClientConfigKey, Error, GetOptions, ObjectMeta,
    ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
    WriteMultipart,
};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::environment::{BadEndpoint, Environment, plaintext};
use super::error::Answer;
use super::{Condition, Head, Metadata, Object, StoreError};

/// One request, with its body; enough for a part of 4 MiB on a slow line.
const REQUEST: &str = "60 seconds";
const CONNECT: &str = "5 seconds";
/// A whole operation on something small, retries included: whoever renews a lease cannot wait longer.
const SMALL: Duration = Duration::from_secs(20);
/// A whole operation on something larger.
const LARGE: Duration = Duration::from_secs(300);
/// Up to so many bytes an object counts as small.
const SMALL_BYTES: usize = 1 << 20;
/// Size of the parts of a large file, of which two are on their way at once.
const PART: usize = 4 << 20;

/// A container and a prefix in it.
#[derive(Debug, Clone)]
pub(super) struct Container {
    client: Arc<MicrosoftAzure>,
    account: String,
    container: String,
    prefix: String,
}

impl Container {
    pub fn open(container: &str, prefix: &str, environment: &Environment) -> Result<Self, StoreError> {
        let url = format!("az://{container}/{prefix}");
        let failed = |reason: &str| StoreError::failed("open", &url, reason);
        let Some(account) = environment.account.clone() else {
            return Err(failed("set AZURE_STORAGE_ACCOUNT_NAME to the name of the storage account"));
        };
        let mut builder = match &environment.key {
            Some(key) => {
                if STANDARD.decode(key.expose()).is_err() {
                    return Err(failed("AZURE_STORAGE_ACCOUNT_KEY is not an account key (base64)"));
                }
                MicrosoftAzureBuilder::new().with_access_key(key.expose())
            }
            None => MicrosoftAzureBuilder::from_env(),
        };
        let mut http = false;
        if let Some(endpoint) = &environment.endpoint {
            http = plaintext(endpoint).map_err(|bad: BadEndpoint| {
                failed(&format!("AZURE_STORAGE_ENDPOINT \"{endpoint}\": {bad}"))
            })?;
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        builder = builder
            .with_account(&account)
            .with_container_name(container)
            // Variables of its own could switch these on behind our back.
            .with_use_emulator(false)
            .with_allow_http(http)
            .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), REQUEST)
            .with_config(AzureConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(200),
                    max_backoff: Duration::from_secs(5),
                    base: 2.0,
                },
                max_retries: 4,
                retry_timeout: Duration::from_secs(60),
            });
        let client = builder.build().map_err(|e| failed(&Answer::read(&e).reason))?;
        Ok(Self {
            client: Arc::new(client),
            account,
            container: container.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    pub async fn probe(&self) -> Result<(), StoreError> {
        let prefix = self.path("list", "")?;
        let mut first = self.client.list(Some(&prefix));
        self.within("list", "", SMALL, first.try_next()).await.map(drop)
    }

    pub async fn write(
        &self,
        key: &str,
        content: Bytes,
        metadata: &Metadata,
        condition: Condition<'_>,
    ) -> Result<Option<String>, StoreError> {
        let mode = match condition {
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Match(etag) => {
                PutMode::Update(UpdateVersion { e_tag: Some(etag.to_owned()), version: None })
            }
        };
        let attributes: Attributes = metadata
            .iter()
            .map(|(name, value)| {
                (Attribute::Metadata(name.clone().into()), AttributeValue::from(value.clone()))
            })
            .collect();
        let limit = if content.len() <= SMALL_BYTES { SMALL } else { LARGE };
        let path = self.path("write", key)?;
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let put = self.client.put_opts(&path, PutPayload::from_bytes(content), options);
        let conditional = !matches!(condition, Condition::Always);
        match self.timed("write", key, limit, put).await? {
            Ok(done) => match done.e_tag {
                Some(etag) => Ok(Some(etag)),
                None => Err(self.failed("write", key, "the answer has no etag")),
            },
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if conditional => Ok(None),
            // The service answers so where the blob to be replaced is gone.
            Err(e @ Error::NotFound { .. }) if matches!(condition, Condition::Match(_)) => {
                match self.refused("write", key, &e) {
                    refused @ StoreError::NoContainer { .. } => Err(refused),
                    _ => Ok(None),
                }
            }
            Err(e) => Err(self.refused("write", key, &e)),
        }
    }

    pub async fn get(&self, key: &str) -> Result<Option<(Bytes, String)>, StoreError> {
        let path = self.path("read", key)?;
        let read = async {
            let found = self.client.get(&path).await?;
            let etag = found.meta.e_tag.clone();
            Ok((found.bytes().await?, etag))
        };
        match self.timed("read", key, LARGE, read).await? {
            Ok((content, Some(etag))) => Ok(Some((content, etag))),
            Ok((_, None)) => Err(self.failed("read", key, "the answer has no etag")),
            Err(e) => self.none_if_absent("read", key, &e),
        }
    }

    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let path = self.path("read", key)?;
        self.within("read", key, LARGE, self.client.get_range(&path, range)).await
    }

    pub async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let path = self.path("look at", key)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let head = self.client.get_opts(&path, options);
        let found = match self.timed("look at", key, SMALL, head).await? {
            Ok(found) => found,
            Err(e) => return self.none_if_absent("look at", key, &e),
        };
        let metadata = found.attributes.iter().filter_map(|(name, value)| match name {
            Attribute::Metadata(name) => Some((name.to_ascii_lowercase(), value.to_string())),
            _ => None,
        });
        let metadata = metadata.collect();
        let Some(etag) = found.meta.e_tag.clone() else {
            return Err(self.failed("look at", key, "the answer has no etag"));
        };
        Ok(self.object(&found.meta).map(|object| Head { object, etag, metadata }))
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let path = self.path("list", prefix)?;
        let mut found = self.client.list(Some(&path));
        let mut objects = Vec::new();
        // The limit is for one page of the listing, not for all of it.
        while let Some(meta) = self.within("list", prefix, SMALL, found.try_next()).await? {
            objects.extend(self.object(&meta));
        }
        Ok(objects)
    }

    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path("list", prefix)?;
        let found = self.client.list_with_delimiter(Some(&path));
        let found = self.within("list", prefix, LARGE, found).await?;
        Ok(found.common_prefixes.iter().filter_map(|path| self.key(path)).collect())
    }

    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path("delete", key)?;
        match self.timed("delete", key, SMALL, self.client.delete(&path)).await? {
            Ok(()) => Ok(()),
            Err(e) => self.none_if_absent::<()>("delete", key, &e).map(drop),
        }
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (path, to) = (self.path("put aside", from)?, self.path("put aside", to)?);
        match self.timed("put aside", from, LARGE, self.client.rename(&path, &to)).await? {
            Ok(()) => Ok(()),
            Err(e) => self.none_if_absent::<()>("put aside", from, &e).map(drop),
        }
    }

    pub async fn upload(&self, file: &FilePath, key: &str) -> Result<(), StoreError> {
        let unreadable = |e| StoreError::failed("read", file.display(), e);
        let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let bytes = source.metadata().await.map_err(unreadable)?.len();
        if bytes <= PART as u64 {
            let mut content = Vec::new();
            source.read_to_end(&mut content).await.map_err(unreadable)?;
            self.write(key, content.into(), &Metadata::new(), Condition::Always).await?;
            return Ok(());
        }
        let path = self.path("write", key)?;
        let upload = self.within("write", key, SMALL, self.client.put_multipart(&path)).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let mut part = Vec::with_capacity(PART);
            (&mut source).take(PART as u64).read_to_end(&mut part).await.map_err(unreadable)?;
            if part.is_empty() {
                break;
            }
            upload.put(part.into());
            self.within("write", key, LARGE, upload.wait_for_capacity(2)).await?;
        }
        // Parts show as a blob only now, all at once; those of an upload that failed are forgotten in a week.
        self.within("write", key, LARGE, upload.finish()).await.map(drop)
    }

    fn path(&self, operation: &'static str, key: &str) -> Result<Path, StoreError> {
        let full = match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        Path::parse(&full).map_err(|e| self.failed(operation, key, e))
    }

    /// The key of a blob below our prefix.
    fn key(&self, path: &Path) -> Option<String> {
        let inside = match self.prefix.as_str() {
            "" => path.as_ref(),
            prefix => path.as_ref().strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Some(inside.to_owned())
    }

    fn object(&self, meta: &ObjectMeta) -> Option<Object> {
        let modified = meta.last_modified.timestamp_micros();
        Some(Object { key: self.key(&meta.location)?, bytes: meta.size, modified })
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        key: &str,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, StoreError> {
        let late = |_| self.failed(operation, key, format!("no answer within {} s", limit.as_secs()));
        timeout(limit, work).await.map_err(late)
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        key: &str,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let done = self.timed(operation, key, limit, work).await?;
        done.map_err(|e| self.refused(operation, key, &e))
    }

    /// A blob that is not there is no error; a container that is not there is one.
    fn none_if_absent<T>(
        &self,
        operation: &'static str,
        key: &str,
        error: &Error,
    ) -> Result<Option<T>, StoreError> {
        match self.refused(operation, key, error) {
            refused @ StoreError::NoContainer { .. } => Err(refused),
            _ if matches!(error, Error::NotFound { .. }) => Ok(None),
            refused => Err(refused),
        }
    }

    fn url(&self, key: &str) -> String {
        let mut url = format!("az://{}", self.container);
        for part in [self.prefix.as_str(), key] {
            if !part.is_empty() {
                url.push('/');
                url.push_str(part);
            }
        }
        url
    }

    fn failed(&self, operation: &'static str, key: &str, reason: impl std::fmt::Display) -> StoreError {
        StoreError::failed(operation, self.url(key), reason)
    }

    fn refused(&self, operation: &'static str, key: &str, error: &Error) -> StoreError {
        let Answer { code, status, reason, token } = Answer::read(error);
        let object = self.url(key);
        let (account, container) = (self.account.clone(), self.container.clone());
        // Azurite's code for a wrong signature is what Azure says to a forbidden address.
        let signature = reason.contains("failed to authenticate");
        match (code.as_deref(), status) {
            (Some("ContainerNotFound"), _) => {
                StoreError::NoContainer { operation, object, container, account }
            }
            _ if token => StoreError::Token { operation, object, account, reason },
            (
                Some("AuthenticationFailed" | "InvalidAuthenticationInfo" | "NoAuthenticationInformation"),
                _,
            )
            | (None, Some(401)) => StoreError::SignIn { operation, object, account, reason },
            (Some("AuthorizationFailure"), _) if !signature => {
                StoreError::Network { operation, object, account, reason }
            }
            (Some("AuthorizationFailure"), _) => StoreError::SignIn { operation, object, account, reason },
            (_, Some(403)) => StoreError::Forbidden { operation, object, container, account, reason },
            _ => StoreError::Failed { operation, object, reason },
        }
    }
}
