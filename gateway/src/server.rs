//! Listeners: connections are accepted, spoken to in the right protocol, and seen off.

mod heads;
mod pace;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use picket_abi::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::heads::{Fragments, Heads};
use self::pace::Paced;
use crate::admin;
use crate::audit::Audit;
use crate::config::{AuditSink, Config, ConfigError, Listener, Network};
use crate::gateway::{BuildError, Gateway};
use crate::layer::ClientInfo;
use crate::proxy::{Connection, HadFragment, error_cause, error_chain};
use crate::reload::Reloader;
use crate::tls::{self, TlsError};

/// The gateway cannot begin to serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// Something that it names cannot be put to work.
    Build(BuildError),
    /// An address cannot be listened on.
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS of a listener cannot be set up.
    Tls {
        /// The listener.
        addr: SocketAddr,
        /// Why.
        source: TlsError,
    },
    /// The audit log cannot be written.
    Audit {
        /// Where it was to be written.
        sink: AuditSink,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Config(error) => error.fmt(f),
            ServeError::Build(error) => error.fmt(f),
            ServeError::Bind { addr, .. } => write!(f, "cannot listen on {addr}"),
            ServeError::Tls { addr, .. } => write!(f, "listener {addr}"),
            ServeError::Audit { sink: AuditSink::File(path), .. } => {
                write!(f, "cannot write the audit log to {}", path.display())
            }
            ServeError::Audit { .. } => f.write_str("cannot write the audit log"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServeError::Config(error) => error.source(),
            ServeError::Build(error) => error.source(),
            ServeError::Bind { source, .. } | ServeError::Audit { source, .. } => Some(source),
            ServeError::Tls { source, .. } => Some(source),
        }
    }
}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> Self {
        ServeError::Config(error)
    }
}

impl From<BuildError> for ServeError {
    fn from(error: BuildError) -> Self {
        ServeError::Build(error)
    }
}

/// A gateway whose listeners are bound.
pub struct Server {
    gateway: Arc<Gateway>,
    sockets: Vec<(TcpListener, Arc<Entrance>)>,
    admin: Option<TcpListener>,
    reloader: Arc<Reloader>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The listeners, in the order of the configuration: address, and whether it speaks TLS.
    pub listeners: Vec<(SocketAddr, bool)>,
    /// The admin listener.
    pub admin: Option<SocketAddr>,
}

/// A listener's settings, and its certificate, which may be renewed while it listens.
pub(crate) struct Entrance {
    pub listener: Arc<Listener>,
    trusted: Arc<[Network]>,
    acceptor: Option<ArcSwap<tls::Acceptor>>,
}

impl Entrance {
    fn new(listener: &Listener) -> Result<Self, TlsError> {
        Ok(Entrance {
            trusted: listener.trusted_proxies.clone().into(),
            acceptor: tls::acceptor(listener)?.map(ArcSwap::from_pointee),
            listener: Arc::new(listener.clone()),
        })
    }

    /// Reads certificate and key anew.
    pub(crate) fn prepare(&self) -> Result<Option<tls::Acceptor>, TlsError> {
        tls::acceptor(&self.listener)
    }

    /// Handshakes from now on use what was prepared.
    pub(crate) fn renew(&self, acceptor: Option<tls::Acceptor>) {
        if let (Some(place), Some(acceptor)) = (&self.acceptor, acceptor) {
            place.store(Arc::new(acceptor));
        }
    }
}

impl Server {
    /// Loads everything that `config` names and binds its listeners. `file` is where it was read
    /// from, and is read again at a reload.
    ///
    /// # Errors
    /// [`ServeError`] names the first thing that stands against it.
    pub async fn bind(config: Config, file: Option<PathBuf>) -> Result<Server, ServeError> {
        let audit = Audit::open(&config.audit)
            .map_err(|source| ServeError::Audit { sink: config.audit.clone(), source })?;
        let mut entrances = Vec::new();
        for listener in &config.listeners {
            let entrance =
                Entrance::new(listener).map_err(|source| ServeError::Tls { addr: listener.addr, source })?;
            entrances.push(Arc::new(entrance));
        }
        let loading = SystemTime::now();
        let gateway = Arc::new(Gateway::new(config.clone(), Arc::new(audit))?);

        let mut sockets = Vec::new();
        for entrance in &entrances {
            sockets.push((listen(entrance.listener.addr).await?, Arc::clone(entrance)));
        }
        let admin = match config.admin {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        let reloader = Arc::new(Reloader::new(Arc::clone(&gateway), config, file, entrances, loading));
        Ok(Server { gateway, sockets, admin, reloader })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// An I/O error if the system does not tell.
    pub fn bound(&self) -> io::Result<Bound> {
        Ok(Bound {
            listeners: self
                .sockets
                .iter()
                .map(|(socket, entrance)| Ok((socket.local_addr()?, entrance.acceptor.is_some())))
                .collect::<io::Result<_>>()?,
            admin: self.admin.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }

    /// Serves until `shutdown` is over, then takes no more connections and lets the requests that
    /// have begun come to their end, for as long as the configuration says.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let graceful = GracefulShutdown::new();
        let graceful = Arc::new(graceful);
        let mut accepting = tokio::task::JoinSet::new();
        for (socket, entrance) in self.sockets {
            let gateway = Arc::clone(&self.gateway);
            accepting.spawn(accept(socket, entrance, gateway, Arc::clone(&graceful), stopped.clone()));
        }
        let admin = self.admin.map(|socket| {
            tokio::spawn(admin::serve(
                socket,
                Arc::clone(&self.gateway),
                Arc::clone(&self.reloader),
                stopped.clone(),
            ))
        });
        let watching = tokio::spawn(Arc::clone(&self.reloader).watch());

        shutdown.await;
        let patience = self.gateway.state().config.drain_timeout;
        tracing::info!(?patience, "shutting down");
        stop.send_replace(true);
        watching.abort();
        // With the accepting tasks go their sockets and their share of `graceful`.
        while accepting.join_next().await.is_some() {}
        if let Some(graceful) = Arc::into_inner(graceful) {
            let open = graceful.count();
            if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
                tracing::warn!(open, "connections were still busy when the time was over");
            }
        }
        if let Some(admin) = admin {
            admin.abort();
        }
        let audit = Arc::clone(&self.gateway.audit);
        // A panic of the writer has been reported where it happened.
        let _ = tokio::task::spawn_blocking(move || audit.flush()).await;
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(addr).await.map_err(|source| ServeError::Bind { addr, source })
}

async fn accept(
    socket: TcpListener,
    entrance: Arc<Entrance>,
    gateway: Arc<Gateway>,
    graceful: Arc<GracefulShutdown>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watcher = graceful.watcher();
                tokio::spawn(connection(stream, peer, Arc::clone(&entrance), Arc::clone(&gateway), watcher));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                // Out of file descriptors, most likely: others must close first.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Gateway>);

impl Open {
    fn new(gateway: Arc<Gateway>) -> Self {
        gateway.metrics.connections.fetch_add(1, Relaxed);
        gateway.metrics.open_connections.fetch_add(1, Relaxed);
        Open(gateway)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.open_connections.fetch_sub(1, Relaxed);
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Arc<Entrance>,
    gateway: Arc<Gateway>,
    watcher: Watcher,
) {
    let _open = Open::new(Arc::clone(&gateway));
    // Answers are written whole; waiting for more would only delay the last packet.
    let _ = stream.set_nodelay(true);
    let scheme = if entrance.acceptor.is_some() { Scheme::Https } else { Scheme::Http };
    let connection = Connection {
        gateway,
        listener: Arc::clone(&entrance.listener),
        trusted: Arc::clone(&entrance.trusted),
        peer: ClientInfo { addr: peer, scheme },
    };
    let Some(acceptor) = &entrance.acceptor else {
        let http2 = if entrance.listener.http2 { Protocol::Sniff } else { Protocol::Http1 };
        return speak(stream, connection, http2, watcher).await;
    };
    #[cfg(feature = "tls")]
    {
        let acceptor = acceptor.load_full();
        match tokio::time::timeout(entrance.listener.header_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                speak(stream, connection, protocol, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, "TLS: {error}"),
            Err(_) => tracing::debug!(%peer, "TLS: no handshake in time"),
        }
    }
    #[cfg(not(feature = "tls"))]
    match **acceptor.load() {}
}

/// What is spoken on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    /// Only ALPN tells beforehand.
    #[cfg(feature = "tls")]
    Http2,
    /// HTTP/2 if it begins with the preface.
    Sniff,
}

async fn speak<S>(stream: S, connection: Connection, protocol: Protocol, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = Arc::clone(&connection.listener);
    let peer = connection.peer.addr;
    let metrics = Arc::clone(&connection.gateway.metrics);
    let begun = Arc::new(AtomicBool::new(false));
    let fragments = Arc::new(Fragments::default());

    let mut builder = auto::Builder::new(TokioExecutor::new());
    match protocol {
        Protocol::Http1 => builder = builder.http1_only(),
        #[cfg(feature = "tls")]
        Protocol::Http2 => builder = builder.http2_only(),
        Protocol::Sniff => {}
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(listener.header_timeout)
        .max_headers(listener.max_headers)
        // A head must fit into the buffer; hyper answers 431 where it does not.
        .max_buf_size(listener.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(listener.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));

    let service = {
        let begun = Arc::clone(&begun);
        let fragments = Arc::clone(&fragments);
        service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            begun.store(true, Relaxed);
            if fragments.next_has_one() {
                request.extensions_mut().insert(HadFragment);
            }
            let connection = connection.clone();
            async move { Ok::<_, std::convert::Infallible>(connection.handle(request).await) }
        })
    };
    let io = TokioIo::new(Paced::new(stream, listener.body_timeout, Heads::new(fragments)));
    let serving = watcher.watch(builder.serve_connection_with_upgrades(io, service).into_owned());
    // hyper's own timer starts when the protocol is known, and a client may keep that to itself.
    let unspoken = async {
        tokio::time::sleep(listener.header_timeout).await;
        if begun.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = serving => result,
        () = unspoken => return tracing::debug!(%peer, "no request in time"),
    };
    if let Err(error) = result {
        metrics.broken_connections.fetch_add(1, Relaxed);
        let text = error_chain(&*error);
        // hyper has answered these itself; no filter has seen them, so the log is all there is.
        if error_cause::<hyper::Error>(&*error).is_some_and(hyper::Error::is_parse) {
            tracing::info!(target: "picket::access", client = %peer, "refused: {text}");
        } else {
            tracing::debug!(%peer, "connection: {text}");
        }
    }
}
