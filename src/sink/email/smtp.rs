//! One connection to the mail server: made with the protection that is asked for, signed in, used for a few
//! mails, closed. Every wait has an end.
//!
//! Commands are given one by one rather than by lettre's transport, for two reasons: a recipient that is
//! refused must not keep the mail from the others, and what an answer means depends on the command.

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::commands::Data;
use lettre::transport::smtp::commands::Mail;
use lettre::transport::smtp::commands::Noop;
use lettre::transport::smtp::commands::Rcpt;
use lettre::transport::smtp::commands::Rset;
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use crate::identity::Secret;
use crate::sink::MailServer;

use super::failure::Failure;
use super::failure::Kind;
use super::failure::Stage;

/// A polite goodbye is not worth more.
const GOODBYE: Duration = Duration::from_secs(2);

/// What to sign in with, at this moment.
pub enum SignIn {
    Nobody,
    Password { user: String, password: Secret },
    Token { user: String, token: Secret },
}

/// A connection that is ready for mails.
pub struct Session {
    connection: AsyncSmtpConnection,
    /// For the report of a probe: `STARTTLS, signed in as x with LOGIN`.
    pub manner: String,
    /// Mails taken over this connection.
    pub sent: usize,
    wait: Wait,
}

/// How long to wait for an answer, and whose.
#[derive(Clone)]
struct Wait {
    /// `host:port`.
    server: String,
    patience: Duration,
}

impl Wait {
    async fn on<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
        stage: Stage,
    ) -> Result<T, Failure> {
        match timeout(self.patience, answer).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error, stage, &self.server)),
            Err(_) => Err(self.silence()),
        }
    }

    fn silence(&self) -> Failure {
        Failure::new(Kind::Broken, format!("no answer from {} in {:?}", self.server, self.patience))
    }
}

/// Whether a host is this machine, for which plaintext is accepted.
fn is_loopback(host: &str) -> bool {
    let address = bare(host).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Without the brackets that an IPv6 address has in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl Session {
    pub async fn open(
        server: &MailServer,
        hello: &ClientId,
        sign_in: &SignIn,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let wait = Wait { server: format!("{}:{}", server.host, server.port), patience };
        let (mut connection, protection) = connect(server, hello, &wait).await?;
        let mut manner = protection.to_owned();
        if let Some(signed_in) = authenticate(&mut connection, sign_in, &wait).await? {
            manner.push_str(", ");
            manner.push_str(&signed_in);
        }
        Ok(Self { connection, manner, sent: 0, wait })
    }

    /// Sends one mail. The answer has one result for each recipient, in order.
    ///
    /// # Errors
    ///
    /// Where nobody got it: a lost connection, a refused sender or mail.
    pub async fn send(
        &mut self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let (connection, wait) = (&mut self.connection, &self.wait);
        wait.on(connection.command(Mail::new(Some(from.clone()), Vec::new())), Stage::Sender).await?;
        let mut results = Vec::with_capacity(to.len());
        for address in to {
            let recipient = Rcpt::new(address.clone(), Vec::new());
            match wait.on(connection.command(recipient), Stage::Recipient).await {
                Ok(_) => results.push(Ok(())),
                Err(failure) if failure.kind == Kind::Broken => return Err(failure),
                Err(mut failure) => {
                    failure.reason.push_str(&format!(" (to {address})"));
                    results.push(Err(failure));
                }
            }
        }
        if results.iter().all(Result::is_err) {
            wait.on(connection.command(Rset), Stage::Mail).await?;
            return Ok(results);
        }
        wait.on(connection.command(Data), Stage::Mail).await?;
        wait.on(connection.message(mail), Stage::Mail).await?;
        self.sent += 1;
        Ok(results)
    }

    /// Asks whether the server is still there.
    pub async fn check(&mut self) -> Result<(), Failure> {
        self.wait.on(self.connection.command(Noop), Stage::Mail).await.map(|_| ())
    }

    pub async fn close(mut self) {
        // What was sent is sent, whatever comes of this.
        let _ = timeout(GOODBYE, self.connection.quit()).await;
    }
}

/// Connects and protects the connection; how it is protected comes along.
async fn connect(
    server: &MailServer,
    hello: &ClientId,
    wait: &Wait,
) -> Result<(AsyncSmtpConnection, &'static str), Failure> {
    let host = bare(&server.host);
    // The system's certificates are read each time: new ones count without a restart.
    let tls = || {
        let parameters = TlsParameters::new(host.to_owned());
        parameters.map_err(|error| Failure::of(&error, Stage::Connect, &wait.server))
    };
    let at_once = if server.implicit_tls { Some(tls()?) } else { None };
    let greeting =
        AsyncSmtpConnection::connect_tokio1((host, server.port), Some(wait.patience), hello, at_once, None);
    let mut connection = wait.on(greeting, Stage::Connect).await.map_err(|mut failure| {
        // Silence of the server: it may wait for us to begin with TLS.
        if !server.implicit_tls && failure == wait.silence() {
            failure.reason.push_str("; if the port speaks TLS at once (465 does), write smtps://");
        }
        failure
    })?;
    if server.implicit_tls {
        return Ok((connection, "TLS"));
    }
    if !connection.can_starttls() {
        if is_loopback(&server.host) {
            return Ok((connection, "plaintext on this machine"));
        }
        return Err(Failure::new(
            Kind::Slow,
            format!(
                "{} offers no STARTTLS, and plaintext is for this machine only; use a port that offers it (587), or \
                 smtps:// for one that speaks TLS at once (465)",
                wait.server
            ),
        ));
    }
    wait.on(connection.starttls(tls()?, hello), Stage::Connect).await?;
    Ok((connection, "STARTTLS"))
}

/// Signs in; who with what comes along.
async fn authenticate(
    connection: &mut AsyncSmtpConnection,
    sign_in: &SignIn,
    wait: &Wait,
) -> Result<Option<String>, Failure> {
    let (user, secret, mechanisms, stage): (_, _, &[Mechanism], _) = match sign_in {
        SignIn::Nobody => return Ok(None),
        SignIn::Password { user, password } => {
            (user, password, &[Mechanism::Plain, Mechanism::Login], Stage::SignIn)
        }
        SignIn::Token { user, token } => (user, token, &[Mechanism::Xoauth2], Stage::Token),
    };
    let Some(mechanism) = connection.server_info().get_auth_mechanism(mechanisms) else {
        let wanted: Vec<String> = mechanisms.iter().map(Mechanism::to_string).collect();
        let offered: Vec<String> = [Mechanism::Plain, Mechanism::Login, Mechanism::Xoauth2]
            .into_iter()
            .filter(|mechanism| connection.server_info().supports_auth_mechanism(*mechanism))
            .map(|mechanism| mechanism.to_string())
            .collect();
        let offered = if offered.is_empty() { "nothing we know".to_owned() } else { offered.join(", ") };
        let reason = format!(
            "{} offers no sign-in with {}, but {offered}; choose another kind of auth",
            wait.server,
            wanted.join(" or ")
        );
        return Err(Failure::new(Kind::Slow, reason));
    };
    let credentials = Credentials::new(user.clone(), secret.expose().to_owned());
    wait.on(connection.auth(&[mechanism], &credentials), stage).await?;
    Ok(Some(format!("signed in as {user} with {mechanism}")))
}
