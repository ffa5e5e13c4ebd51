//! `http_fetch`: requests of filters to hosts that the operator names.

use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use picket_abi::{FetchRequest, Header, HostStatus, Octets, SeqBuf};
use picket_host::FetchReply;
use tokio::runtime::Runtime;

use crate::config::UpstreamHttp2;
use crate::proxy::error_chain;
use crate::tls;

/// Largest body that is brought back, in bytes.
const MAX_BODY: usize = 1 << 20;

type FetchClient = Client<tls::Connector, Full<Bytes>>;

/// Fetches for one filter.
pub(super) struct Fetcher {
    /// `host` (its scheme's own port) or `host:port`, in lower case.
    hosts: Vec<String>,
    timeout: Duration,
}

impl Fetcher {
    pub(super) fn new(hosts: Vec<String>, timeout: Duration) -> Self {
        Fetcher { hosts, timeout }
    }

    /// Sends a request and waits for the whole response. Redirections are not followed: they would
    /// lead where the list does not.
    pub(super) fn fetch(
        &self,
        filter: &str,
        request: &FetchRequest<'_>,
        timeout: Duration,
    ) -> Result<FetchReply, HostStatus> {
        let uri: Uri = request.uri.as_str().and_then(|uri| uri.parse().ok()).ok_or(HostStatus::Invalid)?;
        if !self.allows(&uri) {
            tracing::warn!(filter, %uri, "fetch denied: the host is not in `fetch_hosts`");
            return Err(HostStatus::Denied);
        }
        let request = assemble(uri, request)?;
        let asked = request.extensions().get::<Patience>().map_or(Duration::MAX, |patience| patience.0);
        let limit = self.timeout.min(timeout).min(asked);
        let (runtime, client) = background().ok_or(HostStatus::Unavailable)?;

        let (sender, receiver) = mpsc::sync_channel(1);
        let filter = filter.to_owned();
        runtime.spawn(async move {
            let reply = match tokio::time::timeout(limit, exchange(client, request, &filter)).await {
                Ok(reply) => reply,
                Err(_) => Err(HostStatus::Timeout),
            };
            // The filter may have been stopped in the meantime.
            let _ = sender.send(reply);
        });
        // The task itself keeps the time; this is for a background runtime that has stopped.
        receiver.recv_timeout(limit + Duration::from_secs(1)).unwrap_or(Err(HostStatus::Timeout))
    }

    fn allows(&self, uri: &Uri) -> bool {
        let (Some(authority), default_port) = (
            uri.authority(),
            match uri.scheme_str() {
                Some("http") => 80,
                Some("https") => 443,
                _ => return false,
            },
        ) else {
            return false;
        };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(default_port);
        let with_port = format!("{host}:{port}");
        self.hosts.iter().any(|allowed| *allowed == with_port || (port == default_port && *allowed == host))
    }
}

/// How long the filter wants to wait.
#[derive(Clone, Copy)]
struct Patience(Duration);

fn assemble(uri: Uri, fetch: &FetchRequest<'_>) -> Result<Request<Full<Bytes>>, HostStatus> {
    let mut request = Request::new(Full::from(fetch.body.to_vec()));
    *request.method_mut() = Method::from_bytes(&fetch.method).map_err(|_| HostStatus::Invalid)?;
    *request.uri_mut() = uri;
    for Header { name, value } in fetch.headers {
        let name = HeaderName::from_bytes(&name).map_err(|_| HostStatus::Invalid)?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| HostStatus::Invalid)?;
        if matches!(name, HOST | CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION) {
            return Err(HostStatus::Invalid);
        }
        request.headers_mut().append(name, value);
    }
    if fetch.timeout_ms > 0 {
        request.extensions_mut().insert(Patience(Duration::from_millis(fetch.timeout_ms.into())));
    }
    Ok(request)
}

async fn exchange(
    client: &FetchClient,
    request: Request<Full<Bytes>>,
    filter: &str,
) -> Result<FetchReply, HostStatus> {
    let uri = request.uri().clone();
    let response = client.request(request).await.map_err(|error| {
        tracing::warn!(filter, %uri, "fetch failed: {}", error_chain(&error));
        HostStatus::Unavailable
    })?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            HostStatus::Quota
        } else {
            HostStatus::Unavailable
        }
    })?;
    let mut headers = SeqBuf::new();
    for (name, value) in &parts.headers {
        headers.push(Header { name: Octets(name.as_str().as_bytes()), value: Octets(value.as_bytes()) });
    }
    Ok(FetchReply { status: parts.status.as_u16(), headers, body: body.to_bytes().to_vec() })
}

/// A thread that fetches while the filter's own thread waits. It is not a thread of the server: a
/// filter may wait on the very thread that would have to bring its answer.
fn background() -> Option<(&'static Runtime, &'static FetchClient)> {
    static BACKGROUND: OnceLock<Option<(Runtime, FetchClient)>> = OnceLock::new();
    let background = BACKGROUND.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fetch")
            .enable_all()
            .build()
            .inspect_err(|error| tracing::error!(%error, "no thread for fetches"))
            .ok()?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = tls::connector(tcp, None, UpstreamHttp2::Auto)
            .inspect_err(|error| tracing::error!(%error, "no TLS for fetches"))
            .ok()?;
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Some((runtime, client))
    });
    background.as_ref().map(|(runtime, client)| (runtime, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_hosts_are_reached() {
        let fetcher =
            Fetcher::new(vec!["api.example.org".into(), "localhost:9000".into()], Duration::from_secs(1));
        for (uri, expected) in [
            ("http://api.example.org/x", true),
            ("https://API.example.org/x", true),
            ("https://api.example.org:443/", true),
            ("http://api.example.org:8080/", false),
            ("http://localhost:9000/", true),
            ("http://localhost/", false),
            ("http://evil.org/api.example.org", false),
            ("http://api.example.org@evil.org/", false),
            ("http://api.example.org.evil.org/", false),
            ("ftp://api.example.org/", false),
            ("/x", false),
        ] {
            assert_eq!(fetcher.allows(&uri.parse().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn a_denied_host_is_told_so() {
        let fetcher = Fetcher::new(Vec::new(), Duration::from_secs(1));
        let request =
            FetchRequest { method: "GET".into(), uri: "http://127.0.0.1:1/".into(), ..Default::default() };
        assert_eq!(fetcher.fetch("f", &request, Duration::from_secs(1)), Err(HostStatus::Denied));
    }

    /// Answers one connection with `response` and hands back what was asked.
    fn answer_once(response: &'static str) -> (String, std::thread::JoinHandle<String>) {
        use std::io::{BufRead, BufReader, Write};

        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            stream.write_all(response.as_bytes()).unwrap();
            asked
        });
        (addr, server)
    }

    #[test]
    fn a_named_host_is_asked_and_its_answer_brought_back() {
        let (addr, server) =
            answer_once("HTTP/1.1 418 I'm a teapot\r\nX-Tea: green\r\nContent-Length: 5\r\n\r\nshort");
        let fetcher = Fetcher::new(vec![addr.clone()], Duration::from_secs(10));
        let mut headers = SeqBuf::<Header>::new();
        headers.push(Header { name: "X-Asks".into(), value: "filter".into() });
        let uri = format!("http://{addr}/pot?x=1");
        let request = FetchRequest {
            method: "GET".into(),
            uri: uri.as_str().into(),
            headers: headers.as_seq(),
            ..Default::default()
        };
        let reply = fetcher.fetch("f", &request, Duration::from_secs(10)).unwrap();
        assert_eq!((reply.status, &reply.body[..]), (418, &b"short"[..]));
        assert_eq!(reply.headers.as_seq().first(b"x-tea").unwrap(), "green");
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /pot?x=1 HTTP/1.1") && asked.contains("x-asks: filter"), "{asked}");
    }

    #[test]
    fn an_answer_that_does_not_come_in_time_is_given_up() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap().to_string();
        let fetcher = Fetcher::new(vec![addr.clone()], Duration::from_secs(10));
        let uri = format!("http://{addr}/");
        let request = FetchRequest {
            method: "GET".into(),
            uri: uri.as_str().into(),
            timeout_ms: 50,
            ..Default::default()
        };
        assert_eq!(fetcher.fetch("f", &request, Duration::from_secs(10)), Err(HostStatus::Timeout));
    }

    #[test]
    fn a_filter_may_not_frame_or_address_the_message() {
        let fetcher = Fetcher::new(vec!["127.0.0.1:1".into()], Duration::from_secs(1));
        for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "no token"] {
            let mut headers = SeqBuf::<Header>::new();
            headers.push(Header { name: name.into(), value: "x".into() });
            let request = FetchRequest {
                method: "GET".into(),
                uri: "http://127.0.0.1:1/".into(),
                headers: headers.as_seq(),
                ..Default::default()
            };
            assert_eq!(
                fetcher.fetch("f", &request, Duration::from_secs(1)),
                Err(HostStatus::Invalid),
                "{name}"
            );
        }
    }
}
