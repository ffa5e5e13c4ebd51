//! The innermost service of a route: passes a request on to an upstream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, HeaderValue, TE, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use picket_abi::FailureSource;
use tower_service::Service;

use super::body::{Inbound, TimedBody};
use super::upstream::{Pool, UpstreamError, chain};
use super::{headers, tunnel};
use crate::config::Network;
use crate::layer::{ClientInfo, Failed, RequestBody, RequestId, X_REQUEST_ID, page};

/// The body of an upstream's response, or of an answer in its place.
pub(crate) type Outbound = Either<TimedBody<Incoming>, Full<Bytes>>;

/// Where a request came from; in its extensions.
#[derive(Clone)]
pub(super) struct Origin {
    /// The peer itself, trusted or not.
    pub peer: ClientInfo,
    /// What the client asked for; empty where it did not say.
    pub authority: Arc<str>,
    /// Whose word on clients is believed.
    pub trusted: Arc<[Network]>,
}

/// Passes requests on to one upstream.
#[derive(Clone)]
pub(crate) struct Forward {
    pool: Arc<Pool>,
    strip_accept_encoding: bool,
}

impl Forward {
    pub(crate) fn new(pool: Arc<Pool>, strip_accept_encoding: bool) -> Self {
        Forward { pool, strip_accept_encoding }
    }

    async fn pass(self, request: Request<RequestBody<Inbound>>) -> Response<Outbound> {
        let config = self.pool.config();
        let (mut parts, body) = request.into_parts();
        let origin = parts.extensions.remove::<Origin>();
        let request_id = parts.extensions.remove::<RequestId>().unwrap_or_else(RequestId::random);
        let client_upgrade = parts.extensions.remove::<OnUpgrade>();

        let accept: HeaderMap = parts
            .headers
            .get_all(http::header::ACCEPT)
            .iter()
            .map(|value| (http::header::ACCEPT, value.clone()))
            .collect();
        let fail = |status: StatusCode, source: FailureSource, message: String| {
            tracing::warn!(%request_id, upstream = %config.name, status = status.as_u16(), "{message}");
            let mut response = plain(status, &accept, &request_id).map(Either::Right);
            response.extensions_mut().insert(Failed { source, message });
            response
        };

        // An upstream that answers would send back cookies and credentials to whoever made a browser
        // ask. The filters have seen it.
        if parts.method == Method::TRACE {
            return plain(StatusCode::METHOD_NOT_ALLOWED, &accept, &request_id).map(Either::Right);
        }

        let protocol =
            headers::upgrade(&parts.headers, &config.upgrades).filter(|_| client_upgrade.is_some());
        let takes_trailers = headers::takes_trailers(&parts.headers);
        headers::strip_hop_by_hop(&mut parts.headers);
        // The gateway reads the body to inspect it, so it has given the permission to send it.
        parts.headers.remove(EXPECT);
        if let Some(protocol) = &protocol {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, protocol.clone());
        } else if takes_trailers {
            parts.headers.insert(TE, HeaderValue::from_static("trailers"));
            if self.pool.speaks_http1() {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("TE"));
            }
        }
        if self.strip_accept_encoding {
            parts.headers.remove(ACCEPT_ENCODING);
        }
        if let Some(Origin { peer, authority, trusted }) = origin {
            headers::forward(&mut parts.headers, peer, &authority, &trusted);
            let host = HeaderValue::from_str(&authority).ok().filter(|host| !host.is_empty());
            match host {
                Some(host) if config.preserve_host => parts.headers.insert(HOST, host),
                // The client puts in the upstream's own.
                _ => parts.headers.remove(HOST),
            };
        }
        headers::via(&mut parts.headers, parts.version);
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            parts.headers.insert(X_REQUEST_ID, id);
        }

        let mut response = match self.pool.send(parts, body, protocol.is_some()).await {
            Ok(response) => response,
            Err(error) => {
                let (status, source) = match error {
                    UpstreamError::Client { stalled: true, .. } => {
                        (StatusCode::REQUEST_TIMEOUT, FailureSource::Client)
                    }
                    UpstreamError::Client { .. } => (StatusCode::BAD_REQUEST, FailureSource::Client),
                    UpstreamError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, FailureSource::Upstream),
                    UpstreamError::Connect(_) | UpstreamError::Exchange(_) => {
                        (StatusCode::BAD_GATEWAY, FailureSource::Upstream)
                    }
                };
                return fail(status, source, chain(&error));
            }
        };

        let received = response.version();
        let switched = headers::upgrade(response.headers(), &config.upgrades);
        headers::strip_hop_by_hop(response.headers_mut());
        headers::via(response.headers_mut(), received);
        *response.version_mut() = Version::HTTP_11;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let same = |asked: &HeaderValue, given: &HeaderValue| {
                asked.as_bytes().eq_ignore_ascii_case(given.as_bytes())
            };
            let (Some(client), Some(asked), Some(protocol)) = (client_upgrade, protocol, switched) else {
                let why = "changed the protocol without being asked to, or to one that is not allowed";
                return fail(StatusCode::BAD_GATEWAY, FailureSource::Upstream, why.into());
            };
            if !same(&asked, &protocol) {
                let why = format!("was asked for {asked:?} and changed to {protocol:?}");
                return fail(StatusCode::BAD_GATEWAY, FailureSource::Upstream, why);
            }
            tracing::debug!(%request_id, upstream = %config.name, ?protocol, "protocol changed");
            let upstream = hyper::upgrade::on(&mut response);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(UPGRADE, protocol);
            tokio::spawn(tunnel::run(client, upstream, config.tunnel_timeout, request_id.clone()));
        }
        let longest_pause = config.body_timeout;
        response.map(|body| Either::Left(TimedBody::new(body, longest_pause)))
    }
}

impl Service<Request<RequestBody<Inbound>>> for Forward {
    type Response = Response<Outbound>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Outbound>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Inbound>>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.pass(request).await) })
    }
}

/// An answer of the gateway's own.
pub(super) fn plain(status: StatusCode, accept: &HeaderMap, id: &RequestId) -> Response<Full<Bytes>> {
    let (kind, page) = page(status, accept, id);
    let mut response = Response::new(Full::from(page));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}
