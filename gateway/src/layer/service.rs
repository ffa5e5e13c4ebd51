//! The layer and its service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::ACCEPT;
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use http_body::Body;
use picket_abi::{FailureSource, Phase};
use picket_host::{Chain, HeadDecision, Reply};
use tower_layer::Layer;
use tower_service::Service;

use super::BoxError;
use super::body::{BodyError, RequestBody, ResponseBody, Stream};
use super::exchange::{ClientInfo, Exchange, Failed, Observer, RequestId, Subject};
use super::head;

/// How a chain stands before a service.
#[derive(Clone, Default)]
pub struct Options {
    /// Name of the route, for the filters and for reports.
    pub route: Arc<str>,
    /// Bytes of a body that are held back; `None` for what the chain asks for, at least 64 KiB.
    /// Zero holds nothing back, which streams in both directions at once (gRPC) need.
    pub body_window: Option<usize>,
    /// Whether the chain changes the length of bodies: then `Content-Length` is removed from every
    /// body that is longer than the window. Otherwise it is removed when a filter has changed what
    /// was held back, and a later change breaks the body off.
    pub rewrites_bodies: bool,
    /// How much of a response's body is held back, by its head, whether its length is known or not.
    /// `None`: of those with a length as much as of a request, of others nothing.
    pub response_window: Option<ResponseWindow>,
    /// Told of every exchange when it is over.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Bytes of a response's body that are held back, by its header fields.
pub type ResponseWindow = Arc<dyn Fn(&HeaderMap) -> u64 + Send + Sync>;

/// Held back of a body unless something else is said.
const DEFAULT_WINDOW: usize = 64 << 10;

/// A `tower` layer that shows every request and response to a chain of filters.
#[derive(Clone)]
pub struct FilterLayer {
    shared: Arc<Shared>,
}

struct Shared {
    chain: Chain,
    options: Options,
    window: u64,
    blocking: bool,
}

impl FilterLayer {
    /// A layer with the default options.
    pub fn new(chain: Chain) -> Self {
        Self::with_options(chain, Options::default())
    }

    /// A layer with options.
    pub fn with_options(chain: Chain, options: Options) -> Self {
        let window =
            options.body_window.unwrap_or_else(|| DEFAULT_WINDOW.max(chain.body_window() as usize)) as u64;
        let blocking =
            chain.filters().iter().map(|filter| filter.metadata()).any(|filter| {
                filter.remote || filter.capabilities.contains(picket_abi::Capability::HttpFetch)
            });
        FilterLayer { shared: Arc::new(Shared { chain, options, window, blocking }) }
    }
}

impl<S> Layer<S> for FilterLayer {
    type Service = FilterService<S>;

    fn layer(&self, inner: S) -> FilterService<S> {
        FilterService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service with a chain of filters before it; made by [`FilterLayer`].
#[derive(Clone)]
pub struct FilterService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for FilterService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    R: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The instance that is ready goes along; the one that stays must be polled again.
        let next = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, next);
        Box::pin(exchange(Arc::clone(&self.shared), ready, request))
    }
}

async fn exchange<S, B, R>(
    shared: Arc<Shared>,
    mut inner: S,
    request: Request<B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body<Error: Into<BoxError>>,
    R: Body<Error: Into<BoxError>>,
{
    let (mut parts, body) = request.into_parts();
    let phases = shared.chain.phases();
    let request_id = match parts.extensions.get::<RequestId>() {
        Some(id) => id.clone(),
        None => {
            let id = RequestId::random();
            parts.extensions.insert(id.clone());
            id
        }
    };
    let wants_headers = shared.options.observer.as_ref().is_some_and(|observer| observer.wants_headers());
    let subject = Subject {
        request_id,
        route: Arc::clone(&shared.options.route),
        client: parts.extensions.get::<ClientInfo>().copied(),
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        authority: head::authority(&parts),
        version: parts.version,
        headers: wants_headers.then(|| parts.headers.clone()),
    };
    let is_head = parts.method == Method::HEAD;
    let accept: HeaderMap =
        parts.headers.get_all(ACCEPT).iter().map(|value| (ACCEPT, value.clone())).collect();
    let exchange = Arc::new(Exchange::new(
        subject,
        shared.chain.begin(),
        shared.options.observer.clone(),
        shared.blocking,
    ));
    let answer = |reply: Reply| {
        let (parts, body) = head::reply(reply, &accept, &exchange.subject().request_id);
        exchange.answered(&parts, true);
        respond(parts, body, &exchange)
    };
    let fail = |status: StatusCode| {
        let (parts, body) = head::answer(status, &accept, &exchange.subject().request_id);
        exchange.answered(&parts, false);
        respond(parts, body, &exchange)
    };

    let mut body = Stream::new(body, phases.contains(Phase::RequestBody));
    if phases.contains(Phase::RequestHead) {
        let decision = head::with_request_head(exchange.subject(), &parts.headers, body.is_whole(), |head| {
            exchange.request_head(head)
        });
        match decision {
            HeadDecision::Continue => {}
            HeadDecision::Modify { headers, body: new } => {
                if let Some(headers) = headers {
                    head::replace_headers(&mut parts.headers, &headers);
                }
                if let Some(new) = new {
                    head::frame(&mut parts.headers, Some(new.len() as u64));
                    body = Stream::full(new);
                }
            }
            HeadDecision::Respond(reply) => return Ok(answer(reply)),
        }
    }

    if phases.contains(Phase::RequestBody) && !body.is_whole() {
        let held = body.hold(shared.window, |data, end| exchange.request_body(data, end)).await;
        exchange.count_request(body.received);
        match held {
            Ok(None) => {}
            Ok(Some(reply)) => return Ok(answer(reply)),
            Err(error) => {
                let status =
                    if error.is_timeout() { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_REQUEST };
                let message = described(&error);
                exchange.failed(FailureSource::Client, status.as_u16(), &message);
                tracing::debug!(request_id = %exchange.subject().request_id, "request body: {message}");
                return Ok(fail(status));
            }
        }
        frame(&mut body, &mut parts.headers, &shared.options);
    }

    let request = Request::from_parts(parts, RequestBody { stream: body, exchange: Arc::clone(&exchange) });
    let result = tokio::select! {
        biased;
        reply = exchange.refused() => return Ok(answer(reply)),
        result = inner.call(request) => result,
    };
    // The inner service may have noticed first that the body broke off.
    if let Some(reply) = exchange.take_refusal() {
        return Ok(answer(reply));
    }
    let response = match result {
        Ok(response) => response,
        Err(error) => {
            exchange.failed(FailureSource::Upstream, 0, "the service failed");
            return Err(error);
        }
    };

    let (mut parts, body) = response.into_parts();
    if let Some(failed) = parts.extensions.get::<Failed>() {
        exchange.failed(failed.source, parts.status.as_u16(), &failed.message);
        exchange.answered(&parts, false);
        let stream = Stream::new(body, false);
        return Ok(Response::from_parts(parts, ResponseBody { stream, exchange }));
    }
    // What follows a change of protocols is no body any more.
    let bodiless = is_head || parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let mut body = Stream::new(body, phases.contains(Phase::ResponseBody) && !bodiless);
    if phases.contains(Phase::ResponseHead) {
        let end = bodiless || body.is_whole();
        match head::with_response_head(&parts, end, |head| exchange.response_head(head)) {
            HeadDecision::Continue => {}
            HeadDecision::Modify { headers, body: new } => {
                if let Some(headers) = headers {
                    head::replace_headers(&mut parts.headers, &headers);
                }
                if let Some(new) = new {
                    head::frame(&mut parts.headers, Some(new.len() as u64));
                    body = Stream::full(new);
                }
            }
            HeadDecision::Respond(reply) => return Ok(answer(reply)),
        }
    }
    if phases.contains(Phase::ResponseBody) && !bodiless && !body.is_whole() {
        let window = match &shared.options.response_window {
            Some(window) => window(&parts.headers),
            // Without a length the body may be an endless stream of events: nothing of it may wait.
            None if body.exact().is_none() => 0,
            None => shared.window,
        };
        if window > 0 {
            match body.hold(window, |data, end| exchange.response_body(data, end)).await {
                Ok(None) => {}
                Ok(Some(reply)) => return Ok(answer(reply)),
                Err(error) => {
                    let status = if error.is_timeout() {
                        StatusCode::GATEWAY_TIMEOUT
                    } else {
                        StatusCode::BAD_GATEWAY
                    };
                    let message = described(&error);
                    exchange.failed(FailureSource::Upstream, status.as_u16(), &message);
                    tracing::warn!(request_id = %exchange.subject().request_id, "response body: {message}");
                    return Ok(fail(status));
                }
            }
        }
        frame(&mut body, &mut parts.headers, &shared.options);
    }
    exchange.answered(&parts, false);
    Ok(Response::from_parts(parts, ResponseBody { stream: body, exchange }))
}

/// Makes `Content-Length` true, or removes it.
fn frame<B: Body<Error: Into<BoxError>>>(body: &mut Stream<B>, headers: &mut HeaderMap, options: &Options) {
    if body.is_whole() {
        if body.replaced {
            head::frame(headers, body.exact());
        }
    } else if body.replaced || options.rewrites_bodies {
        head::frame(headers, None);
    } else {
        body.announce(body.exact());
    }
}

fn respond<R>(parts: response::Parts, body: Vec<u8>, exchange: &Arc<Exchange>) -> Response<ResponseBody<R>>
where
    R: Body<Error: Into<BoxError>>,
{
    let body = ResponseBody { stream: Stream::full(body), exchange: Arc::clone(exchange) };
    Response::from_parts(parts, body)
}

fn described(error: &BodyError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
