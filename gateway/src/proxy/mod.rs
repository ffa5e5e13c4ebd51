//! The reverse proxy: from a client's request to the service of its route.
//!
//! ```text
//! request ─▶ check the head ─▶ who is the client ─▶ route ─▶ filters (layer) ─▶ forward ─▶ upstream
//! ```
//!
//! The framing that leaves is always ours: bodies are decoded and framed anew in both directions.
//! Interim responses (1xx) of an upstream are not passed on, `100 Continue` comes from here as soon
//! as the filters want the body. Trailers pass, without the fields that must not be there.

mod body;
mod connect;
mod forward;
mod headers;
mod route;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower_service::Service;

use self::body::Inbound;
use self::forward::{Origin, Outbound};
use crate::config::{Listener, Network};
use crate::gateway::Gateway;
use crate::layer::{ClientInfo, FilterService, RequestId, ResponseBody, X_REQUEST_ID};

pub(crate) use self::forward::Forward;
pub(crate) use self::route::{Router, normal_path};
pub(crate) use self::upstream::{Pool, cause as error_cause, chain as error_chain};

/// The service of a route: its filters before its upstream.
pub(crate) type RouteService = FilterService<Forward>;

/// The body of whatever a client gets.
pub(crate) type ProxyBody = Either<ResponseBody<Outbound>, Full<Bytes>>;

/// Marks a request whose target had a fragment, which hyper has cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HadFragment;

/// What the requests of one connection have in common.
#[derive(Clone)]
pub(crate) struct Connection {
    pub gateway: Arc<Gateway>,
    pub listener: Arc<Listener>,
    pub trusted: Arc<[Network]>,
    pub peer: ClientInfo,
}

impl Connection {
    /// Answers one request.
    pub(crate) async fn handle(self, request: Request<Incoming>) -> Response<ProxyBody> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let client = headers::client(self.peer, &parts.headers, &self.trusted);
        let request_id = self.request_id(&parts.headers);

        let refuse = |parts: &http::request::Parts, status: StatusCode, why: &str| {
            self.gateway.refused(&request_id, client, parts, status, why, started.elapsed());
            let mut response = forward::plain(status, &parts.headers, &request_id).map(Either::Right);
            // What follows an ambiguous head cannot be told apart from its body.
            if status == StatusCode::BAD_REQUEST && parts.version < http::Version::HTTP_2 {
                response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        };

        if let Err(refusal) =
            headers::check(&parts, self.listener.max_uri_bytes, self.listener.max_header_bytes)
        {
            return refuse(&parts, refusal.status, refusal.why);
        }
        if parts.extensions.get::<HadFragment>().is_some() {
            return refuse(&parts, StatusCode::BAD_REQUEST, "the target has a fragment");
        }
        if parts.method == Method::CONNECT {
            // RFC 9110, section 9.3.6.
            if parts.uri.port_u16().is_none() {
                return refuse(&parts, StatusCode::BAD_REQUEST, "CONNECT without a port");
            }
            return refuse(&parts, StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not for a reverse proxy");
        }
        let Some(target) =
            parts.uri.path_and_query().filter(|target| target.path().starts_with('/')).cloned()
        else {
            return refuse(&parts, StatusCode::BAD_REQUEST, "the target is no path");
        };
        // The authority of an absolute target overrules Host (RFC 9112, section 3.2.2).
        let authority: Arc<str> = match parts.uri.authority() {
            Some(authority) => authority.as_str().into(),
            None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().into(),
        };
        if let (Some(_), Ok(host)) = (parts.uri.authority(), HeaderValue::from_str(&authority)) {
            parts.headers.insert(HOST, host);
            parts.uri = origin_form(target.clone());
        }

        let host = headers::host_name(&authority);
        let state = self.gateway.state();
        let Some(mut service) = state.router.find(&host, &normal_path(target.path())).cloned() else {
            return refuse(&parts, StatusCode::NOT_FOUND, "no route takes it");
        };
        drop(state);

        parts.extensions.insert(client);
        parts.extensions.insert(request_id.clone());
        parts.extensions.insert(Origin { peer: self.peer, authority, trusted: Arc::clone(&self.trusted) });
        let body = Inbound::new(body, self.listener.body_timeout);
        let Ok(mut response) = service.call(Request::from_parts(parts, body)).await;
        if let (false, Ok(id)) =
            (response.headers().contains_key(X_REQUEST_ID), HeaderValue::from_str(request_id.as_str()))
        {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response.map(Either::Left)
    }

    /// The id that a trusted proxy has given the request, else one of our own.
    fn request_id(&self, headers: &http::HeaderMap) -> RequestId {
        let trusted = self.trusted.iter().any(|network| network.contains(self.peer.addr.ip()));
        headers
            .get(X_REQUEST_ID)
            .filter(|_| trusted)
            .and_then(|id| RequestId::new(id.to_str().ok()?))
            .unwrap_or_else(RequestId::random)
    }
}

fn origin_form(target: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(target);
    // A path alone is a URI.
    Uri::from_parts(parts).unwrap_or_default()
}
