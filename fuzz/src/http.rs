//! Requests and responses as text, so that inputs can be read, written and put together from words.

use picket_abi::{Header, HttpVersion, Peer, PeerAddr, RequestHead, ResponseHead, Scheme, SeqBuf};

use crate::Random;

/// Between a request and its response.
const RESPONSE: &[u8] = b"\n--response--\n";

/// Header fields, in order.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request, and a response if there is one.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Method.
    pub method: Vec<u8>,
    /// Target.
    pub target: Vec<u8>,
    /// Protocol.
    pub protocol: Vec<u8>,
    /// Header fields.
    pub headers: Fields,
    /// Body.
    pub body: Vec<u8>,
    /// Status, header fields and body of the response.
    pub response: Option<(u16, Fields, Vec<u8>)>,
}

impl Exchange {
    /// Reads `METHOD target PROTOCOL`, header lines, an empty line, a body; after `--response--`, the same
    /// of a response. Any bytes are an exchange.
    #[must_use]
    pub fn of(data: &[u8]) -> Exchange {
        let at = data.windows(RESPONSE.len()).position(|window| window == RESPONSE);
        let request = &data[..at.unwrap_or(data.len())];
        let (line, headers, body) = message(request);
        let (method, rest) = split(line, b' ');
        let (target, protocol) = match rest.windows(6).rposition(|window| window == b" HTTP/") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &b""[..]),
        };
        let response = at.map(|at| {
            let (line, headers, body) = message(&data[at + RESPONSE.len()..]);
            let digits = split(line, b' ').1;
            let status = digits
                .iter()
                .take(3)
                .fold(0u16, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0').min(9)));
            (status.clamp(100, 999), headers, body)
        });
        Exchange {
            method: method.into(),
            target: target.into(),
            protocol: protocol.into(),
            headers,
            body,
            response,
        }
    }

    /// The head, with its headers in `headers`.
    #[must_use]
    pub fn head<'a>(&'a self, headers: &'a mut SeqBuf<Header<'static>>, end: bool) -> RequestHead<'a> {
        fill(headers, &self.headers);
        let authority = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        RequestHead {
            request_id: "id-1".into(),
            route: "route".into(),
            client: Peer { addr: PeerAddr::V4([192, 0, 2, 7]), port: 1234 },
            scheme: Scheme::Http,
            version: HttpVersion::Http11,
            method: self.method[..].into(),
            authority: authority.map_or(&b""[..], |(_, value)| value).into(),
            target: self.target[..].into(),
            headers: headers.as_seq(),
            end,
            protocol: self.protocol[..].into(),
        }
    }

    /// The response's head, if there is a response.
    #[must_use]
    pub fn response_head<'a>(&'a self, headers: &'a mut SeqBuf<Header<'static>>) -> Option<ResponseHead<'a>> {
        let (status, fields, _) = self.response.as_ref()?;
        fill(headers, fields);
        Some(ResponseHead {
            status: *status,
            version: HttpVersion::Http11,
            headers: headers.as_seq(),
            end: false,
        })
    }
}

fn fill(headers: &mut SeqBuf<Header<'static>>, fields: &[(Vec<u8>, Vec<u8>)]) {
    headers.clear();
    for (name, value) in fields {
        headers.push(Header { name: name[..].into(), value: value[..].into() });
    }
}

fn message(mut rest: &[u8]) -> (&[u8], Fields, Vec<u8>) {
    let (line, after) = take_line(rest);
    rest = after;
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (line, after) = take_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = split(line, b':');
        headers.push((name.into(), value.trim_ascii().into()));
    }
    (line, headers, rest.into())
}

fn take_line(data: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = split(data, b'\n');
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

fn split(data: &[u8], at: u8) -> (&[u8], &[u8]) {
    match data.iter().position(|&byte| byte == at) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// Cuts a body into chunks, some of them empty; the last is told by the position.
#[must_use]
pub fn chunks<'b>(body: &'b [u8], random: &mut Random) -> Vec<&'b [u8]> {
    let mut chunks = Vec::new();
    let mut rest = body;
    while !rest.is_empty() && chunks.len() < 12 {
        let most = if random.below(3) == 0 { rest.len() } else { rest.len().min(9) };
        let (chunk, after) = rest.split_at(random.below(most + 1));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    chunks
}
