//! Choice and refusals, with a stand-in for Entra ID behind the SDK's real credentials.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use azure_core::http::AsyncRawResponse;
use azure_core::http::ClientOptions;
use azure_core::http::HttpClient;
use azure_core::http::Request;
use azure_core::http::RetryOptions;
use azure_core::http::StatusCode;
use azure_core::http::Transport;
use azure_core::http::headers::Headers;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

const NOBODY: &str = "http://127.0.0.1:1/";
const SCOPE: &str = "https://monitor.azure.com/.default";

/// Answers what it was told to; the body's `$n` becomes the number of the request.
#[derive(Debug)]
struct Entra {
    status: StatusCode,
    body: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Entra {
    fn new(status: StatusCode, body: &'static str) -> Arc<Self> {
        Arc::new(Self { status, body, asked: Mutex::default() })
    }

    fn options(self: &Arc<Self>) -> ClientOptions {
        ClientOptions {
            transport: Some(Transport::new(Arc::clone(self) as Arc<dyn HttpClient>)),
            retry: RetryOptions::none(),
            ..Default::default()
        }
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl HttpClient for Entra {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(request.url().to_string());
        let body = self.body.replace("$n", &asked.len().to_string());
        Ok(AsyncRawResponse::from_bytes(self.status, Headers::new(), body.into_bytes()))
    }
}

const GRANTED: &str =
    r#"{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"token-$n"}"#;
const SHORT: &str =
    r#"{"token_type":"Bearer","expires_in":200,"ext_expires_in":200,"access_token":"token-$n"}"#;

fn secret_auth() -> Auth {
    Auth::ClientSecret {
        tenant_id: "tenant".to_owned(),
        client_id: "client".to_owned(),
        secret: Secret::new("pa55word"),
    }
}

async fn open(auth: &Auth, environment: &Environment, entra: &Arc<Entra>) -> Arc<Credential> {
    Credential::open_with(auth, environment, NOBODY, entra.options()).await.unwrap()
}

async fn refusal(status: StatusCode, body: &'static str) -> IdentityError {
    let entra = Entra::new(status, body);
    let credential = open(&secret_auth(), &Environment::of([]), &entra).await;
    credential.token(SCOPE).await.unwrap_err()
}

#[tokio::test]
async fn a_token_is_kept_until_it_is_renewed() {
    let entra = Entra::new(StatusCode::Ok, GRANTED);
    let source = TokenSource::Credential(open(&secret_auth(), &Environment::of([]), &entra).await);
    for _ in 0..3 {
        assert_eq!(source.token(SCOPE).await.unwrap().expose(), "token-1");
    }
    assert_eq!(source.token("https://other/.default").await.unwrap().expose(), "token-2");
    source.renew();
    assert_eq!(source.token(SCOPE).await.unwrap().expose(), "token-3");
    assert_eq!(entra.count(), 3);
}

#[tokio::test]
async fn a_token_about_to_expire_is_not_kept() {
    let entra = Entra::new(StatusCode::Ok, SHORT);
    let credential = open(&secret_auth(), &Environment::of([]), &entra).await;
    assert_eq!(credential.token(SCOPE).await.unwrap().expose(), "token-1");
    assert_eq!(credential.token(SCOPE).await.unwrap().expose(), "token-2");
}

#[tokio::test]
async fn many_who_need_a_token_ask_once() {
    let entra = Entra::new(StatusCode::Ok, GRANTED);
    let credential = open(&secret_auth(), &Environment::of([]), &entra).await;
    let all = (0..20).map(|_| credential.token(SCOPE));
    for token in futures::future::join_all(all).await {
        assert_eq!(token.unwrap().expose(), "token-1");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let error = refusal(
        StatusCode::Unauthorized,
        r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'x' are expired.\r\nTrace ID: 1\r\nTimestamp: now","error_codes":[7000222]}"#,
    )
    .await;
    assert_eq!(
        error.to_string(),
        "sign-in by client secret was refused: the client secret has expired: create a new one and give that \
         to aksentry (AADSTS7000222: The provided client secret keys for app 'x' are expired.)"
    );
    assert!(!error.is_transient());

    let error = refusal(
        StatusCode::BadRequest,
        r#"{"error_description":"AADSTS700212: No matching federated identity record found for presented assertion audience","error_codes":[700212]}"#,
    )
    .await;
    assert!(error.to_string().contains("api://AzureADTokenExchange"), "{error}");

    let error = refusal(
        StatusCode::BadRequest,
        r#"{"error_description":"AADSTS90033: A transient error has occurred.\r\nTrace ID: 1","error_codes":[90033]}"#,
    )
    .await;
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_secret_sent_back_is_blotted_out() {
    let error = refusal(
        StatusCode::Unauthorized,
        r#"{"error_description":"AADSTS7000215: Invalid client secret 'pa55word' provided","error_codes":[7000215]}"#,
    )
    .await;
    let text = format!("{error} {error:?}");
    assert!(!text.contains("pa55word") && text.contains("***"), "{text}");
    let credential = open(&secret_auth(), &Environment::of([]), &Entra::new(StatusCode::Ok, GRANTED)).await;
    credential.token(SCOPE).await.unwrap();
    let text = format!("{credential:?} {:?}", TokenSource::Credential(Arc::clone(&credential)));
    assert!(!text.contains("pa55word") && !text.contains("token-1"), "{text}");
}

#[tokio::test]
async fn a_service_that_is_down_is_worth_asking_again() {
    let error = refusal(StatusCode::ServiceUnavailable, r#"{"error_description":"busy"}"#).await;
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn auto_prefers_the_pods_own_identity() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "assertion").unwrap();
    let path = file.path().to_str().unwrap();
    let environment = Environment::of([
        ("AZURE_FEDERATED_TOKEN_FILE", path),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_SECRET", "pa55word"),
        ("IDENTITY_ENDPOINT", NOBODY),
    ]);
    let entra = Entra::new(StatusCode::Ok, GRANTED);
    let credential = open(&Auth::Auto, &environment, &entra).await;
    assert_eq!(credential.chosen(), "workload identity of client client: AZURE_FEDERATED_TOKEN_FILE is set");
    assert_eq!(credential.token(SCOPE).await.unwrap().expose(), "token-1");
}

#[tokio::test]
async fn auto_goes_on_to_a_client_secret_and_then_to_a_managed_identity() {
    let entra = Entra::new(StatusCode::Ok, GRANTED);
    let environment = Environment::of([
        ("AZURE_FEDERATED_TOKEN_FILE", " "),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_SECRET", "pa55word"),
    ]);
    let credential = open(&Auth::Auto, &environment, &entra).await;
    assert_eq!(credential.chosen(), "client secret of client client: AZURE_CLIENT_SECRET is set");

    let environment = Environment::of([("IDENTITY_ENDPOINT", NOBODY), ("AZURE_CLIENT_ID", "mine")]);
    let credential = open(&Auth::Auto, &environment, &entra).await;
    assert_eq!(credential.chosen(), "managed identity mine: IDENTITY_ENDPOINT is set");
}

/// A metadata service that answers every request with `status`.
async fn metadata(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ =
                stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        }
    });
    format!("http://{address}/metadata/identity/oauth2/token")
}

#[tokio::test]
async fn auto_takes_the_nodes_identity_and_says_so() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let imds = metadata("400 Bad Request").await;
    let environment = Environment::of([("KUBERNETES_SERVICE_HOST", "10.0.0.1")]);
    let options = ClientOptions::default();
    let credential = Credential::open_with(&Auth::Auto, &environment, &imds, options).await.unwrap();
    let chosen = credential.chosen();
    assert!(chosen.starts_with("managed identity: ") && chosen.contains("the node's identity"), "{chosen}");
}

#[tokio::test]
async fn auto_knows_another_clouds_metadata_and_ends_with_the_command_line() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let imds = metadata("404 Not Found").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let environment = Environment::of([("PATH", path)]);
    let options = ClientOptions::default;
    let error = Credential::open_with(&Auth::Auto, &environment, &imds, options()).await.unwrap_err();
    assert!(matches!(error, IdentityError::Nothing(_)), "{error}");
    std::fs::write(folder.path().join("az"), "").unwrap();
    let credential = Credential::open_with(&Auth::Auto, &environment, &imds, options()).await.unwrap();
    assert!(credential.chosen().starts_with("the Azure command line: "), "{}", credential.chosen());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let environment = Environment::of([("AZURE_FEDERATED_TOKEN_FILE", "/nowhere"), ("AZURE_TENANT_ID", "t")]);
    let open = |auth: Auth, environment: Environment| async move {
        let options = ClientOptions::default();
        Credential::open_with(&auth, &environment, NOBODY, options).await.unwrap_err().to_string()
    };
    let error = open(Auth::Workload, environment).await;
    assert!(error.contains("the environment has no AZURE_CLIENT_ID"), "{error}");
    let environment = Environment::of([
        ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
    ]);
    let error = open(Auth::Workload, environment).await;
    assert!(error.contains("/nowhere"), "{error}");
    let error =
        open(Auth::Auto, Environment::of([("AZURE_AUTHORITY_HOST", "login.microsoftonline.us")])).await;
    assert!(error.contains("https://"), "{error}");
    let error = open(Auth::ConnectionString(Secret::new("Endpoint=x")), Environment::of([])).await;
    assert!(error.contains("Event Hubs only") && !error.contains("Endpoint=x"), "{error}");
}
