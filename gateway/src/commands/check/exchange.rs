//! A request, and perhaps the response to it, as the tools read them: bytes, nothing normalised.

use picket_abi::{Header, HttpVersion, Peer, PeerAddr, RequestHead, ResponseHead, SeqBuf};

/// A header field as it was written. Names and values are bytes: attackers do not keep to ASCII.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// One request and, where the input has one, the upstream's response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// Method, letter case kept.
    pub(crate) method: Vec<u8>,
    /// Request target as it was sent.
    pub(crate) target: Vec<u8>,
    /// Protocol version.
    pub(crate) version: HttpVersion,
    /// Header fields in order, duplicates kept.
    pub(crate) headers: Vec<Field>,
    /// Body, transfer codings removed.
    pub(crate) body: Vec<u8>,
    /// What the upstream answers.
    pub(crate) response: Option<Response>,
}

/// The upstream's answer in an [`Exchange`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Header fields in order, duplicates kept.
    pub(crate) headers: Vec<Field>,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Exchange {
    /// The value of the first header called `name`, without regard to letter case.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }
}

/// An exchange with its header fields encoded as the ABI wants them: done once, however often it is
/// judged.
pub(crate) struct Prepared {
    exchange: Exchange,
    request_headers: SeqBuf<Header<'static>>,
    response_headers: SeqBuf<Header<'static>>,
}

impl Prepared {
    /// Encodes the header fields.
    pub(crate) fn new(exchange: Exchange) -> Self {
        let request_headers = encode(&exchange.headers);
        let response_headers = exchange.response.as_ref().map(|r| encode(&r.headers)).unwrap_or_default();
        Prepared { exchange, request_headers, response_headers }
    }

    /// The message of the request's head. The client is an address on loopback: a file has none.
    pub(crate) fn request_head(&self) -> RequestHead<'_> {
        RequestHead {
            request_id: "check".into(),
            client: Peer { addr: PeerAddr::V4([127, 0, 0, 1]), port: 0 },
            version: self.exchange.version,
            method: self.exchange.method.as_slice().into(),
            authority: self.exchange.header("host").unwrap_or_default().into(),
            target: self.exchange.target.as_slice().into(),
            headers: self.request_headers.as_seq(),
            end: self.exchange.body.is_empty(),
            protocol: b"".as_slice().into(),
            ..RequestHead::default()
        }
    }

    /// The request's body.
    pub(crate) fn request_body(&self) -> &[u8] {
        &self.exchange.body
    }

    /// The message of the response's head, and the response's body, if there is a response.
    pub(crate) fn response(&self) -> Option<(ResponseHead<'_>, &[u8])> {
        let response = self.exchange.response.as_ref()?;
        let head = ResponseHead {
            status: response.status,
            version: self.exchange.version,
            headers: self.response_headers.as_seq(),
            end: response.body.is_empty(),
        };
        Some((head, &response.body))
    }
}

fn encode(fields: &[Field]) -> SeqBuf<Header<'static>> {
    let mut encoded = SeqBuf::new();
    encoded.extend(
        fields
            .iter()
            .map(|(name, value)| Header { name: name.as_slice().into(), value: value.as_slice().into() }),
    );
    encoded
}

/// The protocol version called `text`: `HTTP/1.1`, `1.1`, `HTTP/2`, `h2`, …
pub(crate) fn parse_version(text: &[u8]) -> Option<HttpVersion> {
    let number = match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"HTTP/") => &text[5..],
        _ => text,
    };
    match number {
        b"0.9" => Some(HttpVersion::Http09),
        b"1.0" => Some(HttpVersion::Http10),
        b"1.1" | b"" | b"1" => Some(HttpVersion::Http11),
        b"2" | b"2.0" | b"h2" => Some(HttpVersion::Http2),
        b"3" | b"3.0" | b"h3" => Some(HttpVersion::Http3),
        _ => None,
    }
}
