//! The connections: TCP, TLS on top where it is wanted, and their end.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{Stream, poll_fn};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::answer::Mangled;
use super::service::Service;
use super::tls;
use crate::gnmi::rpc::g_n_m_i_server::gNMIServer;
use crate::sim::SimError;

/// A listening server. Dropping it ends all of its connections.
pub(in crate::sim) struct Listener {
    pub address: SocketAddr,
    service: Arc<Service>,
    accepting: AbortHandle,
    connections: Arc<Connections>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
        self.connections.all().clear();
    }
}

impl Listener {
    /// Serves one connection over any byte stream, without TLS, on a task of its own.
    pub fn serve_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Connections::open(&self.connections, Box::new(stream));
        let incoming = futures_util::stream::iter([Ok::<_, io::Error>(connection)]);
        tokio::spawn(serve(self.service.clone(), incoming));
    }
}

async fn serve(service: Arc<Service>, incoming: impl Stream<Item = io::Result<Connection>> + Send + 'static) {
    let mut server = Server::builder();
    let router = server.add_service(Mangled(gNMIServer::from_arc(service)));
    if let Err(error) = router.serve_with_incoming(incoming).await {
        tracing::error!(%error, "a simulated gNMI target stops listening");
    }
}

/// What keeps each connection open: it ends when its sender is dropped.
#[derive(Default)]
struct Connections {
    open: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    last: AtomicU64,
}

impl Connections {
    fn open(this: &Arc<Self>, stream: Box<dyn Bytes>) -> Connection {
        let (open, end) = oneshot::channel();
        let number = this.last.fetch_add(1, Ordering::Relaxed);
        this.all().insert(number, open);
        let peer = Peer { number, connections: Arc::clone(this) };
        Connection { stream, end, has_ended: false, peer }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<()>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that a request came over.
#[derive(Clone)]
pub(super) struct Peer {
    number: u64,
    connections: Arc<Connections>,
}

impl Peer {
    /// Closes the connection at once; nothing more is sent.
    pub fn hang_up(&self) {
        self.connections.all().remove(&self.number);
    }
}

/// Listens, with TLS if the specification has it.
pub(in crate::sim) async fn listen(
    service: Service,
    switch: &str,
    address: SocketAddr,
) -> Result<Listener, SimError> {
    let tls = service.spec.tls.as_ref().map(tls::acceptor).transpose();
    let tls = tls.map_err(|source| SimError::Tls { switch: switch.to_owned(), source })?;
    let bad_bind = |source| SimError::Bind { switch: switch.to_owned(), address, source };
    let listener = TcpListener::bind(address).await.map_err(bad_bind)?;
    let address = listener.local_addr().map_err(bad_bind)?;
    let connections = Arc::new(Connections::default());
    let (ready, mut incoming) = mpsc::channel(16);
    let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&connections), ready)).abort_handle();
    let incoming = poll_fn(move |cx| incoming.poll_recv(cx).map(|next| next.map(Ok::<_, io::Error>)));
    let service = Arc::new(service);
    tokio::spawn(serve(service.clone(), incoming));
    Ok(Listener { address, service, accepting, connections })
}

/// Accepts until it is aborted, and the handshakes with it. One that is slow holds nobody up.
async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: Arc<Connections>,
    ready: mpsc::Sender<Connection>,
) {
    let mut handshakes = JoinSet::new();
    loop {
        let stream = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        handshakes.spawn(handshake(stream, tls.clone()));
                    }
                    Err(error) => tracing::debug!(%error, "accepting a simulated connection"),
                },
                Some(done) = handshakes.join_next() => match done {
                    Ok(Ok(stream)) => break stream,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS on a simulated connection"),
                    Err(error) => tracing::debug!(%error, "a simulated handshake ended"),
                },
            }
        };
        if ready.send(Connections::open(&connections, stream)).await.is_err() {
            return;
        }
    }
}

async fn handshake(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Box<dyn Bytes>> {
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls.accept(stream).await?)),
    }
}

trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

struct Connection {
    stream: Box<dyn Bytes>,
    /// Ready when the connection is to end.
    end: oneshot::Receiver<()>,
    has_ended: bool,
    peer: Peer,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.hang_up();
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Connection {
    /// The stream, as long as the connection is to stay. Who reads is woken at its end.
    fn open(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut dyn Bytes>> {
        self.has_ended |= !self.has_ended && Pin::new(&mut self.end).poll(cx).is_ready();
        if self.has_ended {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(Pin::new(&mut *self.stream))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(cx)?.poll_shutdown(cx)
    }
}
