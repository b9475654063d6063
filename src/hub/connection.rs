//! Connections: sockets that can be cut, sign-in, sessions.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf as _;
use fe2o3_amqp::acceptor::sasl_acceptor::SaslServerFrame;
use fe2o3_amqp::acceptor::{ConnectionAcceptor, ListenerSessionHandle, SaslAcceptor, SessionAcceptor};
use fe2o3_amqp_types::primitives::{Array, Symbol};
use fe2o3_amqp_types::sasl::{SaslCode, SaslInit, SaslOutcome, SaslResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Shared;
use super::frames::Frames;
use super::link::Links;
use super::node::{Replies, SignIn};

const FRAME: u32 = 64 << 10;
/// A client that does not finish opening is dropped.
const OPENING: Duration = Duration::from_secs(30);
/// Frames a session may queue; few, because events wait in the log at no cost.
const QUEUE: usize = 16;
/// Bytes a connection may keep that the socket does not take yet.
const PENDING: usize = 256 << 10;

/// Accepts connections until the hub stops; none outlives this.
pub(super) async fn listen(hub: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = hub.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let line = Line::new(socket, hub.cut());
                    if hub.refuses() {
                        line.reset();
                    } else {
                        tracing::debug!(%peer, "connection");
                        connections.spawn(serve(Arc::clone(&hub), line));
                    }
                }
                // Out of file handles, or a client that was gone before it was accepted.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(hub: Arc<Shared>, line: Line) {
    let sign_in = Arc::new(SignIn::new(Arc::clone(&hub)));
    let acceptor = ConnectionAcceptor::builder()
        .container_id("aksentry-hub")
        .max_frame_size(FRAME)
        .sasl_acceptor(Sasl(Arc::clone(&sign_in)))
        .build();
    let opened = tokio::time::timeout(OPENING, acceptor.accept(line)).await;
    let mut connection = match opened {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "connection not opened"),
        Err(_) => return tracing::debug!("connection not opened in time"),
    };
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            incoming = connection.next_incoming_session() => {
                let Some(incoming) = incoming else { break };
                let acceptor = SessionAcceptor::builder().buffer_size(QUEUE).build();
                match acceptor.accept_incoming_session(incoming, &mut connection).await {
                    Ok(session) => {
                        let links = Links {
                            hub: Arc::clone(&hub),
                            sign_in: Arc::clone(&sign_in),
                            replies: Arc::new(Replies::default()),
                            running: JoinSet::new(),
                        };
                        sessions.spawn(run(session, links));
                    }
                    Err(error) => tracing::debug!(%error, "session not begun"),
                }
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

async fn run(mut session: ListenerSessionHandle, mut links: Links) {
    loop {
        tokio::select! {
            attach = session.next_incoming_attach() => match attach {
                Some(attach) => links.attach(attach, &mut session).await,
                None => return,
            },
            Some(_) = links.running.join_next() => {}
        }
    }
}

/// Lets everybody in who names a mechanism that clients of Event Hubs use: what counts is the token
/// that is put afterwards. PLAIN alone brings a key, and it must be the right one.
#[derive(Clone)]
struct Sasl(Arc<SignIn>);

impl SaslAcceptor for Sasl {
    fn mechanisms(&self) -> Array<Symbol> {
        Array(["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"].map(Symbol::from).to_vec())
    }

    fn on_init(&mut self, init: SaslInit) -> SaslServerFrame {
        let response = init.initial_response.unwrap_or_default();
        let welcome = init.mechanism.as_str() != "PLAIN" || self.0.plain(&response);
        let code = if welcome { SaslCode::Ok } else { SaslCode::Auth };
        SaslServerFrame::Outcome(SaslOutcome { code, additional_data: None })
    }

    fn on_response(&mut self, _: SaslResponse) -> SaslServerFrame {
        SaslServerFrame::Outcome(SaslOutcome { code: SaslCode::Sys, additional_data: None })
    }
}

/// A socket that is reset when the hub says so, in the middle of whatever it carries.
struct Line {
    socket: Option<TcpStream>,
    frames: Frames,
    cut: CancellationToken,
    waiting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn new(socket: TcpStream, cut: CancellationToken) -> Self {
        // Not possible is not bad: events are only a little later.
        let _ = socket.set_nodelay(true);
        let waiting = Box::pin(cut.clone().cancelled_owned());
        Self { socket: Some(socket), frames: Frames::default(), cut, waiting }
    }

    /// Closes without a farewell, so that the peer sees a reset.
    fn reset(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if let Some(socket) = self.socket.take() {
            let _ = socket.set_zero_linger();
        }
    }

    fn open(&mut self) -> io::Result<(Pin<&mut TcpStream>, &mut Frames)> {
        if self.cut.is_cancelled() {
            self.close();
        }
        let gone = || io::Error::new(io::ErrorKind::ConnectionReset, "the hub cut the connection");
        let socket = self.socket.as_mut().map(Pin::new).ok_or_else(gone)?;
        Ok((socket, &mut self.frames))
    }

    /// Writes until no more than so many bytes are pending.
    fn write_down_to(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut socket, frames) = self.open()?;
        while frames.ready.len() > most {
            match ready!(socket.as_mut().poll_write(cx, &frames.ready))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => frames.ready.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The connection always waits for something to read, so this is where the news arrives.
        if !self.cut.is_cancelled() {
            let _ = self.waiting.as_mut().poll(cx);
        }
        self.open()?.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_down_to(PENDING, cx))?;
        self.frames.push(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_down_to(0, cx))?;
        self.open()?.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_down_to(0, cx))?;
        self.open()?.0.poll_shutdown(cx)
    }
}
