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
}
