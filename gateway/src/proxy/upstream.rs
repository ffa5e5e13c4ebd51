//! An upstream: its servers, its connections, and when a request may be sent again.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fmt, io};

use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, Version, request};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::body::{Inbound, Replay};
use super::connect::{Connect, Uses};
use crate::config::{Upstream, UpstreamHttp2};
use crate::layer::{BodyError, RequestBody};
use crate::tls::{self, TlsError};

type Connector = Connect<tls::Connector>;
type HttpClient = Client<Connector, Replay<RequestBody<Inbound>>>;

/// An upstream that requests can be sent to.
pub(crate) struct Pool {
    config: Upstream,
    client: HttpClient,
    /// For requests that change the protocol, which HTTP/2 cannot.
    upgrading: HttpClient,
    next: AtomicUsize,
}

/// Why an upstream gave no response.
#[derive(Debug)]
pub(super) enum UpstreamError {
    /// The client's body broke off, or was refused, before it had been sent.
    Client {
        /// Whether the client was silent for too long.
        stalled: bool,
        source: hyper_util::client::legacy::Error,
    },
    /// It could not be reached.
    Connect(hyper_util::client::legacy::Error),
    /// No response within the time.
    Timeout(Duration),
    /// The exchange broke off.
    Exchange(hyper_util::client::legacy::Error),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamError::Client { .. } => f.write_str("the client's body broke off"),
            UpstreamError::Connect(_) => f.write_str("cannot be reached"),
            UpstreamError::Timeout(limit) => write!(f, "no response within {limit:?}"),
            UpstreamError::Exchange(_) => f.write_str("the exchange broke off"),
        }
    }
}

impl StdError for UpstreamError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            UpstreamError::Client { source, .. }
            | UpstreamError::Connect(source)
            | UpstreamError::Exchange(source) => Some(source),
            UpstreamError::Timeout(_) => None,
        }
    }
}

impl Pool {
    /// Prepares an upstream; connects to nothing yet.
    pub(crate) fn new(config: Upstream) -> Result<Pool, TlsError> {
        let client = |http2: UpstreamHttp2| -> Result<HttpClient, TlsError> {
            let mut tcp = HttpConnector::new();
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_keepalive(Some(Duration::from_secs(60)));
            let connector = tls::connector(tcp, config.ca.as_deref(), http2)?;
            Ok(Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(config.pool_idle_timeout)
                .pool_max_idle_per_host(config.pool_max_idle)
                .http2_only(http2 == UpstreamHttp2::Always)
                .http2_adaptive_window(true)
                // Only requests that were never written are sent again by the client itself.
                .retry_canceled_requests(true)
                .build(Connect::new(connector, config.connect_timeout)))
        };
        Ok(Pool {
            client: client(config.http2)?,
            upgrading: client(UpstreamHttp2::Never)?,
            next: AtomicUsize::new(0),
            config,
        })
    }

    pub(crate) fn config(&self) -> &Upstream {
        &self.config
    }

    /// Whether it is HTTP/1.1 that will be spoken, whatever the other side would like.
    pub(super) fn speaks_http1(&self) -> bool {
        match self.config.http2 {
            UpstreamHttp2::Always => false,
            UpstreamHttp2::Never => true,
            UpstreamHttp2::Auto => self.config.urls.iter().all(|url| url.scheme_str() == Some("http")),
        }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// It is sent again only if nothing of its body was read, and either no connection was made
    /// (then to the next server), or the method is idempotent and the connection was an old one
    /// that turned out closed.
    pub(super) async fn send(
        &self,
        parts: request::Parts,
        body: RequestBody<Inbound>,
        upgrade: bool,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let client = if upgrade { &self.upgrading } else { &self.client };
        let servers = &self.config.urls;
        let target = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let body = Replay::new(body);
        let mut server = self.next.fetch_add(1, Ordering::Relaxed);
        let mut tried = 1;
        let mut retried = false;
        loop {
            let mut request = Request::new(body.clone());
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = at(&servers[server % servers.len()], &target);
            *request.headers_mut() = parts.headers.clone();
            *request.version_mut() = if self.config.http2 == UpstreamHttp2::Always && !upgrade {
                Version::HTTP_2
            } else {
                Version::HTTP_11
            };
            let error = match self.patiently(client.request(request), &body).await? {
                Ok(mut response) => {
                    Uses::count(response.extensions_mut());
                    return Ok(response);
                }
                Err(error) => error,
            };
            let unread = !body.started();
            if error.is_connect() {
                if unread && tried < servers.len() {
                    tracing::warn!(upstream = %self.config.name, server = %servers[server % servers.len()],
                        "cannot be reached, trying the next server");
                    tried += 1;
                    server += 1;
                    continue;
                }
                return Err(UpstreamError::Connect(error));
            }
            let reused = error.connect_info().is_some_and(Uses::any);
            if unread && !retried && reused && is_idempotent(&parts.method) && is_closed(&error) {
                tracing::debug!(upstream = %self.config.name, "connection was closed, sending again");
                retried = true;
                continue;
            }
            if let Some(body_error) = cause::<BodyError>(&error) {
                let stalled = cause::<io::Error>(body_error)
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
                return Err(UpstreamError::Client { stalled, source: error });
            }
            return Err(UpstreamError::Exchange(error));
        }
    }

    /// Waits for a response. The time runs from the last progress of the request's body: a long
    /// upload is no slow server.
    async fn patiently<T>(
        &self,
        response: impl Future<Output = T>,
        body: &Replay<RequestBody<Inbound>>,
    ) -> Result<T, UpstreamError> {
        let limit = self.config.response_timeout;
        let mut response = std::pin::pin!(response);
        let mut deadline = Instant::now() + limit;
        loop {
            match tokio::time::timeout_at(deadline, &mut response).await {
                Ok(response) => return Ok(response),
                Err(_) => {
                    let moved = body.progress() + limit;
                    if moved <= deadline {
                        return Err(UpstreamError::Timeout(limit));
                    }
                    deadline = moved;
                }
            }
        }
    }
}

/// The target at a server.
fn at(server: &Uri, target: &PathAndQuery) -> Uri {
    let mut parts = server.clone().into_parts();
    parts.path_and_query = Some(target.clone());
    // Scheme and authority were there before, so they still go with a path.
    Uri::from_parts(parts).unwrap_or_else(|_| server.clone())
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

/// Whether the other side closed before it answered.
fn is_closed(error: &(dyn StdError + 'static)) -> bool {
    cause::<hyper::Error>(error)
        .is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled())
        || cause::<io::Error>(error).is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        })
}

/// The first error of that type in the chain of causes, `error` included.
pub(crate) fn cause<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        error = current.source();
    }
    None
}

/// The error and its causes, in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
