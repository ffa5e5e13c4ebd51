//! The service behind the gateway, as a test plays it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

type Body = BoxBody<Bytes, std::io::Error>;

/// Of each body that much is kept; the rest is counted.
const KEPT: usize = 64 * 1024;

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Request target.
    pub target: String,
    /// Header fields in order, duplicates kept; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Protocol version.
    pub version: http::Version,
    /// The first bytes of the body.
    pub body: Vec<u8>,
    /// Bytes of the body up to now.
    pub body_bytes: u64,
    /// Whether the body ended as it should; false while it arrives and if it broke off.
    pub complete: bool,
}

impl Received {
    /// The values of all fields called `name` (lower case), in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

struct Shared {
    received: Mutex<Vec<Received>>,
    changed: Notify,
    /// Media type and body of `/reply`.
    reply: Mutex<(String, Vec<u8>)>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Bytes>>,
}

/// An HTTP/1.1 and h2c server on a port of its own. What it answers goes by the path:
///
/// | path | answer |
/// |---|---|
/// | `/echo` | the request's body, as it arrives |
/// | `/sse` | `text/event-stream`, what [`Upstream::send_event`] sends, one chunk each |
/// | `/bytes/N` | N bytes |
/// | `/status/N` | that status; with a `Location` where it is a redirect |
/// | `/reply` | what [`Upstream::reply`] says, in chunks of 16 bytes, without a length |
/// | `/fields` | two `Set-Cookie` fields, `X-Powered-By` and `Server` |
/// | `/upgrade` | 101 and then every byte back, in upper case |
/// | `/broken` | the connection is closed instead of an answer |
/// | any other | `200` and `upstream: METHOD TARGET` once the body has been read |
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    events: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Upstream {
    /// Starts an upstream on loopback.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            changed: Notify::new(),
            reply: Mutex::default(),
            events: tokio::sync::Mutex::new(receiver),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Upstream { address, shared, events: Mutex::new(Some(sender)), server }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order they came.
    ///
    /// # Panics
    /// If a handler panicked.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no handler panics").clone()
    }

    /// What `/reply` answers from now on.
    ///
    /// # Panics
    /// If a handler panicked.
    pub fn reply(&self, media_type: &str, body: impl Into<Vec<u8>>) {
        *self.shared.reply.lock().expect("no handler panics") = (media_type.to_owned(), body.into());
    }

    /// Sends a chunk on the response to `/sse`.
    ///
    /// # Panics
    /// After [`Upstream::end_events`].
    pub fn send_event(&self, event: &str) {
        let events = self.events.lock().expect("no handler panics");
        let sender = events.as_ref().expect("events have not ended");
        sender.send(Bytes::copy_from_slice(event.as_bytes())).expect("the upstream runs");
    }

    /// Ends the response to `/sse`.
    ///
    /// # Panics
    /// If a handler panicked.
    pub fn end_events(&self) {
        self.events.lock().expect("no handler panics").take();
    }

    /// Waits until `condition` holds for the requests so far.
    ///
    /// # Panics
    /// With `what` and the requests, if it does not within [`crate::WAIT`].
    pub async fn wait_for(&self, what: &str, mut condition: impl FnMut(&[Received]) -> bool) {
        let limit = tokio::time::Instant::now() + crate::WAIT;
        loop {
            let changed = self.shared.changed.notified();
            if condition(&self.shared.received.lock().expect("no handler panics")) {
                return;
            }
            if tokio::time::timeout_at(limit, changed).await.is_err() {
                panic!("{what}: not within {:?}; received {:?}", crate::WAIT, self.received());
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Otherwise small chunks wait for an acknowledgement and the suite for them.
        stream.set_nodelay(true).ok();
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, shared.clone()));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().title_case_headers(true).max_buf_size(1024 * 1024);
            // A client that goes away is what some tests do.
            builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, std::io::Error> {
    let number = {
        let mut received = shared.received.lock().expect("no handler panics");
        received.push(Received {
            method: request.method().to_string(),
            target: request.uri().path_and_query().map_or_else(String::new, |target| target.to_string()),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
            version: request.version(),
            body: Vec::new(),
            body_bytes: 0,
            complete: false,
        });
        received.len() - 1
    };
    shared.changed.notify_waiters();

    let path = request.uri().path().to_owned();
    let described = format!("upstream: {} {}", request.method(), request.uri());
    match path.as_str() {
        "/echo" => {
            let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(4);
            tokio::spawn(async move {
                let mut incoming = request.into_body();
                loop {
                    match incoming.frame().await {
                        None => return finish(&shared, number, true),
                        Some(Err(_broke_off)) => return,
                        Some(Ok(frame)) => {
                            let Ok(data) = frame.into_data() else { continue };
                            note(&shared, number, &data);
                            if sender.send_data(data).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
            Ok(answer(StatusCode::OK, body.boxed()))
        }
        "/sse" => {
            finish(&shared, number, true);
            let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
            tokio::spawn(async move {
                let mut events = shared.events.lock().await;
                while let Some(event) = events.recv().await {
                    if sender.send(Frame::data(event)).await.is_err() {
                        return;
                    }
                }
            });
            let mut response = answer(StatusCode::OK, body.boxed());
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            Ok(response)
        }
        "/upgrade" => {
            finish(&shared, number, true);
            tokio::spawn(async move {
                if let Ok(upgraded) = hyper::upgrade::on(request).await {
                    shout_back(TokioIo::new(upgraded)).await;
                }
            });
            let mut response = answer(StatusCode::SWITCHING_PROTOCOLS, full(""));
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            Ok(response)
        }
        "/broken" => Err(std::io::Error::other("asked to break")),
        "/fields" => {
            drain(request.into_body(), &shared, number).await;
            let mut response = answer(StatusCode::OK, full("fields"));
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
            headers.append(header::SET_COOKIE, HeaderValue::from_static("b=2"));
            headers.append("x-powered-by", HeaderValue::from_static("test"));
            headers.append(header::SERVER, HeaderValue::from_static("upstream/1.0"));
            Ok(response)
        }
        _ => {
            drain(request.into_body(), &shared, number).await;
            let numeral = |prefix| path.strip_prefix(prefix).and_then(|rest| rest.parse::<u64>().ok());
            if let Some(status) = numeral("/status/") {
                let status = StatusCode::from_u16(status as u16).expect("the test asks for a status");
                let mut response = answer(status, full(described));
                if status.is_redirection() {
                    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/elsewhere"));
                }
                return Ok(response);
            }
            if path == "/reply" {
                let (media_type, body) = shared.reply.lock().expect("no handler panics").clone();
                let mut response = answer(StatusCode::OK, chunked(body));
                let media_type = HeaderValue::from_str(&media_type).expect("the test names a media type");
                response.headers_mut().insert(header::CONTENT_TYPE, media_type);
                return Ok(response);
            }
            if let Some(length) = numeral("/bytes/") {
                return Ok(answer(StatusCode::OK, zeros(length)));
            }
            Ok(answer(StatusCode::OK, full(described)))
        }
    }
}

/// Every byte back in upper case, so that it shows which side has written it.
async fn shout_back(mut stream: TokioIo<hyper::upgrade::Upgraded>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        buffer[..length].make_ascii_uppercase();
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn drain(mut body: Incoming, shared: &Shared, number: usize) {
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => note(shared, number, &data),
            Ok(Err(_trailers)) => {}
            Err(_broke_off) => return,
        }
    }
    finish(shared, number, true);
}

fn note(shared: &Shared, number: usize, data: &[u8]) {
    let mut received = shared.received.lock().expect("no handler panics");
    let request = &mut received[number];
    request.body_bytes += data.len() as u64;
    let room = KEPT.saturating_sub(request.body.len()).min(data.len());
    request.body.extend_from_slice(&data[..room]);
    drop(received);
    shared.changed.notify_waiters();
}

fn finish(shared: &Shared, number: usize, complete: bool) {
    shared.received.lock().expect("no handler panics")[number].complete = complete;
    shared.changed.notify_waiters();
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// A body in small chunks.
fn chunked(content: Vec<u8>) -> Body {
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(2);
    tokio::spawn(async move {
        for chunk in content.chunks(16) {
            if sender.send_data(Bytes::copy_from_slice(chunk)).await.is_err() {
                return;
            }
        }
    });
    body.boxed()
}

/// `length` zero bytes, not all of them in memory.
fn zeros(length: u64) -> Body {
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(2);
    tokio::spawn(async move {
        let block = BytesMut::zeroed(64 * 1024).freeze();
        let mut rest = length;
        while rest > 0 {
            let now = rest.min(block.len() as u64);
            if sender.send_data(block.slice(..now as usize)).await.is_err() {
                return;
            }
            rest -= now;
        }
    });
    body.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{RawConnection, raw};

    #[tokio::test]
    async fn the_upstream_answers_what_its_table_says() {
        let upstream = Upstream::start().await;
        let response = raw(upstream.address(), "GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 2\r\n\r\n").await;
        assert_eq!((response.status, response.text().as_str()), (200, "upstream: GET /a?b"));
        assert_eq!(upstream.received()[0].all("a"), ["1", "2"]);
        assert_eq!(
            raw(upstream.address(), "GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n").await.body.len(),
            100_000
        );
        assert_eq!(raw(upstream.address(), "GET /status/418 HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 418);
        let mut broken = RawConnection::open(upstream.address()).await;
        broken.send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(broken.ends().await.unwrap());
    }

    #[tokio::test]
    async fn bodies_are_echoed_and_counted_while_they_arrive() {
        let upstream = Upstream::start().await;
        let mut client = RawConnection::open(upstream.address()).await;
        client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        client.send("3\r\nabc\r\n").await.unwrap();
        assert_eq!(client.head().await.unwrap().0, 200);
        assert_eq!(client.chunk().await.unwrap().unwrap(), b"abc");
        upstream.wait_for("three bytes", |received| received[0].body_bytes == 3).await;
        client.send("0\r\n\r\n").await.unwrap();
        assert_eq!(client.chunk().await.unwrap(), None);
        upstream.wait_for("the end", |received| received[0].complete).await;
    }

    #[tokio::test]
    async fn an_upgraded_connection_shouts_back() {
        let upstream = Upstream::start().await;
        let mut client = RawConnection::open(upstream.address()).await;
        client
            .send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(client.head().await.unwrap().0, 101);
        client.send("abc").await.unwrap();
        assert_eq!(client.exactly(3).await.unwrap(), b"ABC");
    }
}
