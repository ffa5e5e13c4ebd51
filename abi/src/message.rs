//! The messages of the phases, host to guest.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_prefix};
use crate::front::Front;
use crate::octets::Octets;
use crate::seq::{Element, Seq};

/// A header field. Names keep the letter case they came in (HTTP/2 and HTTP/3: lower case).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header<'a> {
    /// Field name.
    #[serde(borrow)]
    pub name: Octets<'a>,
    /// Field value, without the white space around it.
    #[serde(borrow)]
    pub value: Octets<'a>,
}

impl<'a> Element<'a> for Header<'a> {
    const NAME: &'static str = "header";

    #[inline]
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut front = Front(bytes);
        Some((Header { name: front.octets()?, value: front.octets()? }, front.0))
    }
}

impl<'a> Seq<'a, Header<'a>> {
    /// The value of the first header called `name`, without regard to letter case.
    pub fn first(&self, name: &[u8]) -> Option<Octets<'a>> {
        self.all(name).next()
    }

    /// The values of all headers called `name`, without regard to letter case, in order.
    pub fn all(&self, name: &[u8]) -> impl Iterator<Item = Octets<'a>> {
        self.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }
}

/// How the client reached the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Scheme {
    /// Clear text.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// Protocol version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HttpVersion {
    /// HTTP/0.9
    Http09,
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
    /// HTTP/3
    Http3,
}

impl HttpVersion {
    /// As it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpVersion::Http09 => "HTTP/0.9",
            HttpVersion::Http10 => "HTTP/1.0",
            HttpVersion::Http11 => "HTTP/1.1",
            HttpVersion::Http2 => "HTTP/2.0",
            HttpVersion::Http3 => "HTTP/3.0",
        }
    }
}

/// The address of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PeerAddr {
    /// Not known, or not an IP address.
    #[default]
    Unknown,
    /// IPv4, in network order.
    V4([u8; 4]),
    /// IPv6, in network order.
    V6([u8; 16]),
}

impl From<core::net::IpAddr> for PeerAddr {
    fn from(ip: core::net::IpAddr) -> Self {
        match ip {
            core::net::IpAddr::V4(v4) => PeerAddr::V4(v4.octets()),
            core::net::IpAddr::V6(v6) => PeerAddr::V6(v6.octets()),
        }
    }
}

/// Address and port of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Peer {
    /// Address.
    pub addr: PeerAddr,
    /// Port; 0 where there is none.
    pub port: u16,
}

/// [`Phase::RequestHead`](crate::Phase::RequestHead): everything of a request before its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestHead<'a> {
    /// Identifies the transaction in logs, host-chosen.
    #[serde(borrow)]
    pub request_id: Octets<'a>,
    /// Name of the route that was chosen; empty where there is none.
    #[serde(borrow)]
    pub route: Octets<'a>,
    /// The client.
    pub client: Peer,
    /// Scheme the client used.
    pub scheme: Scheme,
    /// Protocol version of the request.
    pub version: HttpVersion,
    /// Method, letter case kept.
    #[serde(borrow)]
    pub method: Octets<'a>,
    /// Authority: `:authority` or `Host`, with the port if given; empty where there is none.
    #[serde(borrow)]
    pub authority: Octets<'a>,
    /// Request target as it was sent: path and query, not decoded.
    #[serde(borrow)]
    pub target: Octets<'a>,
    /// Header fields in the order they came; duplicates kept.
    #[serde(borrow)]
    pub headers: Seq<'a, Header<'a>>,
    /// Whether the request ends here: no body chunk will follow.
    pub end: bool,
    /// The protocol as the client wrote it, where that is not what [`version`](Self::version) is
    /// called: only hosts that take requests of any protocol have some. Empty otherwise, and then
    /// it takes no byte of the message.
    #[serde(skip_serializing_if = "is_empty", skip_deserializing)]
    pub protocol: Octets<'a>,
}

fn is_empty(octets: &Octets<'_>) -> bool {
    octets.is_empty()
}

impl<'a> RequestHead<'a> {
    /// Decodes a head that the host wrote. The headers are not looked at yet.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no request head.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut head, rest) = Self::take(bytes).ok_or(DecodeError::malformed("request head", 0))?;
        if !rest.is_empty() {
            // What a later host appends without it is ignored.
            head.protocol = decode_prefix(rest, "protocol").unwrap_or_default();
        }
        Ok(head)
    }

    /// The fields up to `end`, and what is behind them.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut front = Front(bytes);
        let (request_id, route) = (front.octets()?, front.octets()?);
        let addr = match front.variant()? {
            0 => PeerAddr::Unknown,
            1 => PeerAddr::V4(front.array()?),
            2 => PeerAddr::V6(front.array()?),
            _ => return None,
        };
        let client = Peer { addr, port: front.u16()? };
        let scheme = match front.variant()? {
            0 => Scheme::Http,
            1 => Scheme::Https,
            _ => return None,
        };
        let version = match front.variant()? {
            0 => HttpVersion::Http09,
            1 => HttpVersion::Http10,
            2 => HttpVersion::Http11,
            3 => HttpVersion::Http2,
            4 => HttpVersion::Http3,
            _ => return None,
        };
        let (method, authority, target) = (front.octets()?, front.octets()?, front.octets()?);
        let headers = Seq::from_encoded(front.octets()?.bytes());
        let end = front.bool()?;
        let protocol = Octets::default();
        let head = RequestHead {
            request_id,
            route,
            client,
            scheme,
            version,
            method,
            authority,
            target,
            headers,
            end,
            protocol,
        };
        Some((head, front.0))
    }

    /// The protocol as it stands in the request line.
    pub fn protocol(&self) -> &'a [u8] {
        match self.protocol.bytes() {
            [] => self.version.as_str().as_bytes(),
            protocol => protocol,
        }
    }

    /// The target up to `?` or `#`.
    pub fn path(&self) -> &'a [u8] {
        let target = self.target.bytes();
        let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
        &target[..end]
    }

    /// The target between `?` and `#`, without either; `None` where there is no `?`.
    pub fn query(&self) -> Option<&'a [u8]> {
        self.query_behind(self.path())
    }

    /// The same for whoever has the [`path`](Self::path) already: finding it is a look at every byte.
    pub fn query_behind(&self, path: &[u8]) -> Option<&'a [u8]> {
        let rest = self.target.bytes().get(path.len()..)?.strip_prefix(b"?")?;
        let end = rest.iter().position(|&byte| byte == b'#').unwrap_or(rest.len());
        Some(&rest[..end])
    }
}

/// [`Phase::RequestBody`](crate::Phase::RequestBody) and
/// [`Phase::ResponseBody`](crate::Phase::ResponseBody): a piece of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BodyChunk<'a> {
    /// Bytes of the body before this chunk.
    pub offset: u64,
    /// Whether this is the last chunk. It may be empty.
    pub end: bool,
    /// The bytes.
    #[serde(borrow)]
    pub data: Octets<'a>,
}

impl<'a> BodyChunk<'a> {
    /// Decodes a chunk that the host wrote.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no body chunk.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "body chunk")
    }
}

/// [`Phase::ResponseHead`](crate::Phase::ResponseHead): everything of a response before its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ResponseHead<'a> {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Protocol version of the upstream's response.
    pub version: HttpVersion,
    /// Header fields in the order they came; duplicates kept.
    #[serde(borrow)]
    pub headers: Seq<'a, Header<'a>>,
    /// Whether the response ends here: no body chunk will follow.
    pub end: bool,
}

impl<'a> ResponseHead<'a> {
    /// Decodes a head that the host wrote. The headers are not looked at yet.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no response head.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "response head")
    }
}

/// Where a transaction failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FailureSource {
    /// The upstream refused, broke off, or did not answer in time.
    #[default]
    Upstream,
    /// The client broke off or sent what is no HTTP.
    Client,
    /// Another filter of the chain failed.
    Filter,
}

/// [`Phase::Error`](crate::Phase::Error): the transaction failed outside this filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureReport<'a> {
    /// Where it failed.
    pub source: FailureSource,
    /// Status that the client is about to get; 0 where it gets none.
    pub status: u16,
    /// What happened, for people.
    #[serde(borrow)]
    pub message: Octets<'a>,
}

impl<'a> FailureReport<'a> {
    /// Decodes a report that the host wrote.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no failure report.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "failure report")
    }
}

/// [`Phase::Log`](crate::Phase::Log): the transaction is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TransactionLog {
    /// Status that the client got; 0 where it got none.
    pub status: u16,
    /// Whether a filter of the chain answered instead of the upstream.
    pub answered_by_filter: bool,
    /// Bytes of the request body that were received.
    pub request_bytes: u64,
    /// Bytes of the response body that were sent.
    pub response_bytes: u64,
    /// From the first byte of the request to the last of the response, in microseconds.
    pub duration_us: u64,
}

impl TransactionLog {
    /// Decodes a record that the host wrote.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no transaction log.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "transaction log")
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::codec::encode;

    /// Heads of all kinds, whole, cut short, and with bytes changed.
    fn messages() -> Vec<Vec<u8>> {
        let long = vec![b'x'; 300];
        let mut fields = vec![0; 400];
        let len = encode(&Header { name: Octets(b"host"), value: Octets(&long) }, &mut fields).unwrap();
        let mut messages = Vec::new();
        for (addr, port, headers) in [
            (PeerAddr::Unknown, 0, &b""[..]),
            (PeerAddr::V4([192, 0, 2, 7]), 50_000, &fields[..len]),
            (PeerAddr::V6([9; 16]), 443, b"\x01a\x01b"),
        ] {
            let head = RequestHead {
                request_id: Octets(b"id"),
                client: Peer { addr, port },
                scheme: Scheme::Https,
                version: HttpVersion::Http3,
                method: Octets(b"GET"),
                target: Octets(&long[..port as usize % 301]),
                headers: Seq::from_encoded(headers),
                ..RequestHead::default()
            };
            let mut buffer = vec![0; 2_000];
            let len = encode(&head, &mut buffer).unwrap();
            buffer.truncate(len);
            for at in 0..len {
                messages.push(buffer[..at].to_vec());
                for bits in [1, 0x80, 0xff, 0x7e] {
                    let mut changed = buffer.clone();
                    changed[at] ^= bits;
                    messages.push(changed);
                }
            }
            messages.push(buffer);
        }
        messages
    }

    #[test]
    fn heads_are_read_as_postcard_reads_them() {
        let mut read = 0;
        for bytes in messages() {
            let expected = postcard::take_from_bytes::<RequestHead<'_>>(&bytes).ok();
            read += usize::from(expected.is_some());
            assert_eq!(RequestHead::take(&bytes), expected, "{bytes:?}");
            let expected = postcard::take_from_bytes::<Header<'_>>(&bytes).ok();
            assert_eq!(<Header<'_> as Element<'_>>::take(&bytes), expected, "{bytes:?}");
        }
        assert!(read > 100, "most changes leave a head: {read}");
    }
}
