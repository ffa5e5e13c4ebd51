//! What passes between a test, an engine and the judge.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Header fields in the order sent, duplicates included: name and value, each as on the wire.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as a lenient server hands it to its WAF. Everything is bytes: tests break every rule that
/// text would have to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: Vec<u8>,
    /// The target as sent: path and query, or an absolute URI, neither decoded nor normalised.
    pub target: Vec<u8>,
    /// The version text, such as `HTTP/1.1`; empty when the request line had none.
    pub version: Vec<u8>,
    /// The header fields.
    pub headers: Headers,
    /// The body without its framing: chunks joined, cut to `Content-Length`.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of the field `name`, names compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        find(&self.headers, name)
    }

    /// Why a server of HTTP/1 closes the connection on such a request line, if it does: it has no
    /// version, which is a request of HTTP/0.9.
    pub fn refusal(&self) -> Option<&'static str> {
        self.version.is_empty().then_some("no version in the request line")
    }

    /// The request line, without a line end.
    pub fn line(&self) -> Vec<u8> {
        [&self.method[..], &self.target, &self.version].join(&b' ')
    }
}

/// The response of the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of the field `name`, names compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        find(&self.headers, name)
    }
}

pub(crate) fn find<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| &value[..])
}

/// One request with the response that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Where the request comes from. Not a loopback address by default: rule sets make exceptions for
    /// a server's requests to itself.
    pub client: SocketAddr,
    /// Where it was accepted.
    pub server: SocketAddr,
    /// The request.
    pub request: Request,
    /// The response, which an engine reads unless it has interrupted the request before.
    pub response: Response,
}

impl Exchange {
    /// The exchange of `request` and `response` between default addresses: a client of the
    /// documentation network 203.0.113.0/24 and a server at 127.0.0.1:80.
    pub fn new(request: Request, response: Response) -> Self {
        Exchange {
            client: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 40_000),
            server: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
            request,
            response,
        }
    }
}

/// A rule that matched and was logged. Text that is not UTF-8 is replaced, as it is in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedRule {
    /// The rule's number.
    pub id: u32,
    /// Its expanded message.
    pub msg: String,
    /// Its expanded `logdata`.
    pub data: String,
    /// The variable that matched, with its key: `ARGS:name`.
    pub var_name: String,
    /// The value that matched.
    pub var_value: String,
    /// The severity, 0 (emergency) to 7 (debug), when the rule has one.
    pub severity: Option<u8>,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// The line that the engine itself wrote, if it writes lines; [`crate::log_line`] makes one otherwise.
    pub line: Option<String>,
}

/// The scores of the Core Rule Set at the end of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// `TX:blocking_inbound_anomaly_score`.
    pub blocking_inbound: u32,
    /// `TX:blocking_outbound_anomaly_score`.
    pub blocking_outbound: u32,
}

/// What an engine did with an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The rules logged, in order.
    pub rules: Vec<LoggedRule>,
    /// The status with which the exchange was interrupted, if it was.
    pub interruption: Option<u16>,
    /// The scores, if the engine can tell.
    pub scores: Option<Scores>,
    /// Why the client got no answer, if it got none. The [`crate::Runner`] sets it where a server would
    /// have refused the request before any engine saw it; an engine that is asked through a server may.
    pub error: Option<String>,
}
