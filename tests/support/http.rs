//! An HTTP server that keeps what it was sent and answers by a rule, unless it was told what to answer next:
//! a status, nothing at all, or a connection that breaks.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What was sent.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    Status {
        code: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// No answer, ever.
    Hang,
    /// The connection is reset instead.
    Reset,
}

impl Answer {
    pub fn status(code: u16, body: &str) -> Self {
        Self::Status { code, headers: Vec::new(), body: body.to_owned() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Status { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

type Rule = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

struct Shared {
    rule: Rule,
    next: Mutex<VecDeque<Answer>>,
    outage: Mutex<Option<Answer>>,
    requests: Mutex<Vec<Request>>,
    count: watch::Sender<usize>,
}

/// The server; gone when it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts on a free port and answers by `rule`.
    pub async fn start(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            rule: Box::new(rule),
            next: Mutex::default(),
            outage: Mutex::default(),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Reset>();
        let task = tokio::spawn(async move {
            axum::serve(Breakable(listener), router).await.unwrap();
        });
        Self { address, shared, task }
    }

    /// `http://127.0.0.1:PORT` and what is to follow.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests so, before the rule is asked again.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.next.lock().unwrap().extend(answers);
    }

    /// Answers everything so until told otherwise.
    pub fn outage(&self, answer: Option<Answer>) {
        *self.shared.outage.lock().unwrap() = answer;
    }

    /// Everything received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests were received.
    pub async fn reached(&self, requests: usize) {
        self.shared.count.subscribe().wait_for(|count| *count >= requests).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { method, target: uri.to_string(), headers, body };
    let told = shared.next.lock().unwrap().pop_front().or_else(|| shared.outage.lock().unwrap().clone());
    let answer = told.unwrap_or_else(|| (shared.rule)(&request));
    shared.requests.lock().unwrap().push(request);
    shared.count.send_modify(|count| *count += 1);
    match answer {
        Answer::Status { code, headers, body } => {
            let mut response = (StatusCode::from_u16(code).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Answer::Hang => std::future::pending().await,
        Answer::Reset => {
            reset.0.store(true, Ordering::SeqCst);
            StatusCode::OK.into_response()
        }
    }
}

/// Whether a connection is to be reset instead of written to.
#[derive(Debug, Clone, Default)]
struct Reset(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Breakable>> for Reset {
    fn connect_info(stream: IncomingStream<'_, Breakable>) -> Self {
        stream.io().reset.clone()
    }
}

struct Breakable(TcpListener);

impl Listener for Breakable {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (inner, address) = Listener::accept(&mut self.0).await;
        (Stream { inner, reset: Reset::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct Stream {
    inner: TcpStream,
    reset: Reset,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.reset.0.load(Ordering::SeqCst) {
            // Closed without lingering, a connection is reset.
            self.inner.set_zero_linger().unwrap();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
