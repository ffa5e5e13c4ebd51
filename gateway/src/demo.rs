//! The built-in upstream: something to guard when there is nothing yet.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Interval, MissedTickBehavior};

/// Largest body that is echoed, in bytes.
const MAX_ECHO: usize = 1 << 20;

/// An HTTP service on a free loopback port, for as long as the process runs:
///
/// | path | answer |
/// |---|---|
/// | `/` and others | a page |
/// | `/echo` | the request as JSON |
/// | `POST /reflect` | the response that a JSON object `{status, headers, body, encodedBody}` describes |
/// | `POST /sink` | how many bytes came, whatever their number |
/// | `/events?n=5&ms=500` | server-sent events |
/// | `/upgrade` with `Upgrade: echo` | bytes are sent back |
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    addr: SocketAddr,
}

impl Demo {
    /// What `/upgrade` changes to: bytes are sent back as they come.
    pub const PROTOCOL: &'static str = "echo";

    /// Binds a port and begins to serve on the current runtime.
    ///
    /// # Errors
    /// An I/O error if no port can be bound.
    pub async fn start() -> io::Result<Demo> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = socket.local_addr()?;
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = socket.accept().await else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                tokio::spawn(async move {
                    let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
                    let serving = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .into_owned();
                    if let Err(error) = serving.await {
                        tracing::debug!("demo: {error}");
                    }
                });
            }
        });
        Ok(Demo { addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

type DemoBody = Either<Full<Bytes>, Events>;

async fn answer(request: Request<Incoming>) -> Response<DemoBody> {
    match (request.method(), request.uri().path()) {
        (_, "/echo") => echo(request).await,
        (&Method::POST, "/reflect") => reflect(request).await,
        (_, "/sink") => sink(request).await,
        (_, "/events") => events(&request),
        (_, "/upgrade") => upgrade(request),
        (_, path) => page(path),
    }
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<DemoBody> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn page(path: &str) -> Response<DemoBody> {
    let path = path.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html>\n<title>Picket demo</title>\n<h1>It works</h1>\n<p>This is the built-in upstream; you asked for <code>{path}</code>.</p>\n\
         <p>Try <a href=\"/echo?q=hello\">/echo?q=hello</a>, <a href=\"/events\">/events</a>, or something that a firewall would not like.</p>\n"
    );
    response(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// Reads a body of bounded size; the answer if there is none.
async fn whole(body: Incoming) -> Result<Bytes, Response<DemoBody>> {
    match Limited::new(body, MAX_ECHO).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(response(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "more than 1 MiB\n"))
        }
        Err(_) => Err(response(StatusCode::BAD_REQUEST, "text/plain", "the body broke off\n")),
    }
}

async fn echo(request: Request<Incoming>) -> Response<DemoBody> {
    let (parts, body) = request.into_parts();
    let body = match whole(body).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), value.as_bytes().escape_ascii().to_string()]))
        .collect();
    let echo = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.path_and_query().map(|target| target.as_str()),
        "version": format!("{:?}", parts.version),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    response(StatusCode::OK, "application/json", format!("{echo:#}\n"))
}

async fn reflect(request: Request<Incoming>) -> Response<DemoBody> {
    let body = match whole(request.into_body()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    reflected(&body).unwrap_or_else(|why| response(StatusCode::BAD_REQUEST, "text/plain", format!("{why}\n")))
}

fn reflected(body: &[u8]) -> Result<Response<DemoBody>, &'static str> {
    let wanted: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| "the body must be a JSON object")?;
    let status = match wanted.get("status") {
        None => StatusCode::OK,
        Some(status) => status
            .as_u64()
            .and_then(|status| u16::try_from(status).ok())
            .filter(|status| (200..600).contains(status))
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or("`status` must be between 200 and 599")?,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in wanted.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let name: HeaderName = name.parse().map_err(|_| "a header name is invalid")?;
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        headers.append(name, value.ok_or("a header value is invalid")?);
    }
    for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    let body = match wanted.get("encodedBody").and_then(Value::as_str) {
        Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_| "`encodedBody` is no base 64")?,
        None => wanted.get("body").and_then(Value::as_str).unwrap_or_default().into(),
    };
    let mut response = response(status, "text/plain; charset=utf-8", body);
    for (name, value) in &headers {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

async fn sink(request: Request<Incoming>) -> Response<DemoBody> {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(_) => return response(StatusCode::BAD_REQUEST, "text/plain", "the body broke off\n"),
        }
    }
    response(StatusCode::OK, "application/json", format!("{}\n", json!({ "bytes": bytes })))
}

fn events(request: &Request<Incoming>) -> Response<DemoBody> {
    let number = |name: &str| -> Option<u64> {
        let query = request.uri().query()?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let pause = Duration::from_millis(number("ms").unwrap_or(500).clamp(1, 60_000));
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { ticks, sent: 0, wanted: number("n").unwrap_or(5).min(100_000) };
    let mut response = Response::new(Either::Right(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream of events, one a tick.
struct Events {
    ticks: Interval,
    sent: u64,
    wanted: u64,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == self.wanted {
            return Poll::Ready(None);
        }
        self.ticks.poll_tick(cx).map(|_| {
            self.sent += 1;
            Some(Ok(Frame::data(format!("id: {0}\ndata: event {0}\n\n", self.sent).into())))
        })
    }
}

fn upgrade(mut request: Request<Incoming>) -> Response<DemoBody> {
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != Demo::PROTOCOL) {
        let mut response = response(StatusCode::UPGRADE_REQUIRED, "text/plain", "ask for `Upgrade: echo`\n");
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static(Demo::PROTOCOL));
        return response;
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgraded.await else { return };
        let mut stream = TokioIo::new(stream);
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
        let _ = stream.shutdown().await;
    });
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(Demo::PROTOCOL));
    response
}
