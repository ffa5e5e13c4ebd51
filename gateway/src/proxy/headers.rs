//! The header fields that a proxy answers for.
//!
//! What belongs to one connection stays on it (RFC 9110, section 7.6.1), who the client was is
//! passed on (RFC 7239 and the `X-Forwarded-*` that most services read), and a client's own word on
//! that is believed only if it is a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::{HeaderMap, StatusCode, Version, request};
use picket_abi::Scheme;

use crate::config::Network;
use crate::layer::ClientInfo;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The words of a field that is a list, in all its lines.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// The first of the `allowed` protocols that a message asks to change to, in the form that RFC 9110,
/// section 7.8, wants.
pub(super) fn upgrade(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    words(headers, &CONNECTION).find(|word| word.eq_ignore_ascii_case("upgrade"))?;
    let mut wanted = words(headers, &UPGRADE);
    let protocol = wanted.find(|word| allowed.iter().any(|protocol| protocol.eq_ignore_ascii_case(word)))?;
    HeaderValue::from_str(protocol).ok()
}

/// Whether the client takes trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    words(headers, &TE).any(|word| {
        word.split(';').next().is_some_and(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
    })
}

/// Removes what belongs to one connection: the fixed fields, and those that `Connection` names.
/// `Content-Length` stays: it says what the body is.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // A client must not have fields removed that the proxy itself vouches for, nor the framing.
    let nominated: Vec<HeaderName> = words(headers, &CONNECTION)
        .filter_map(|word| word.parse().ok())
        .filter(|name| !matches!(*name, HOST | CONTENT_LENGTH))
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS] {
        headers.remove(name);
    }
}

/// Fields that must not stand in a trailer (RFC 9110, section 6.5.1): they frame, route, or vouch.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    for name in [
        CONTENT_LENGTH,
        HOST,
        FORWARDED,
        X_FORWARDED_FOR,
        X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
        http::header::AUTHORIZATION,
        http::header::COOKIE,
        http::header::SET_COOKIE,
        http::header::CONTENT_ENCODING,
        http::header::CONTENT_TYPE,
        http::header::TRAILER,
    ] {
        trailers.remove(name);
    }
}

/// Why a request cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub why: &'static str,
}

const fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

/// Refuses a request whose head is ambiguous: what two readers may read in two ways is how requests
/// are smuggled past an inspection. hyper has refused or settled differing lengths, a transfer
/// coding that does not end in `chunked`, and one in HTTP/1.0; the body that goes on is framed anew.
pub(super) fn check(parts: &request::Parts, max_uri: usize, max_header: usize) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let uri_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if uri_bytes > max_uri {
        return Err(refusal(StatusCode::URI_TOO_LONG, "the target is too long"));
    }
    let head_bytes = headers
        .iter()
        .fold(uri_bytes, |sum, (name, value)| sum + name.as_str().len() + value.len() + ": \r\n".len());
    if head_bytes > max_header {
        return Err(refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large"));
    }

    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let only_chunked =
            codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
                && codings.next().is_none();
        if !only_chunked {
            return Err(refusal(StatusCode::NOT_IMPLEMENTED, "the only transfer coding is chunked"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(refusal(StatusCode::BAD_REQUEST, "both Content-Length and Transfer-Encoding"));
        }
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(refusal(StatusCode::BAD_REQUEST, "more than one Content-Length"));
    }

    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(refusal(StatusCode::BAD_REQUEST, "more than one Host"));
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err(refusal(StatusCode::BAD_REQUEST, "no Host"));
    }
    // An empty one is for targets without an authority, which those of HTTP never are (RFC 9110, section
    // 4.2.1); an absolute target overrules it.
    if let Some(host) = host
        && !(host.is_empty() && parts.uri.authority().is_some())
        && !host.to_str().is_ok_and(is_authority)
    {
        return Err(refusal(StatusCode::BAD_REQUEST, "Host is no host"));
    }
    if parts.uri.authority().is_some_and(|authority| !is_authority(authority.as_str())) {
        return Err(refusal(StatusCode::BAD_REQUEST, "the authority is no host"));
    }
    if parts.version == Version::HTTP_2
        && let (Some(authority), Some(host)) = (parts.uri.authority(), host)
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(refusal(StatusCode::BAD_REQUEST, "Host and :authority differ"));
    }

    if let Some(expectation) = headers.get(EXPECT)
        && !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(refusal(StatusCode::EXPECTATION_FAILED, "the only expectation is 100-continue"));
    }
    Ok(())
}

/// A host and perhaps a port, without user information.
fn is_authority(text: &str) -> bool {
    !text.contains('@')
        && text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.host().is_empty())
}

/// The host of an authority in lower case, without port and without the dot of a full name.
pub(super) fn host_name(authority: &str) -> String {
    let name = authority
        .parse::<http::uri::Authority>()
        .map_or_else(|_| authority.to_owned(), |authority| authority.host().to_owned());
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Who the client is: the peer, or whom a trusted peer names.
pub(super) fn client(peer: ClientInfo, headers: &HeaderMap, trusted: &[Network]) -> ClientInfo {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !is_trusted(peer.addr.ip()) {
        return peer;
    }
    let named: Vec<&str> = if headers.contains_key(X_FORWARDED_FOR) {
        words(headers, &X_FORWARDED_FOR).collect()
    } else {
        words(headers, &FORWARDED).filter_map(|element| forwarded_parameter(element, "for")).collect()
    };
    let mut client = peer;
    // From the nearest to the furthest, as far as each is vouched for by a trusted one.
    for hop in named.iter().rev() {
        let Some(addr) = address(hop) else { break };
        client.addr = addr;
        if !is_trusted(addr.ip()) {
            break;
        }
    }
    let proto = words(headers, &X_FORWARDED_PROTO)
        .next()
        .or_else(|| words(headers, &FORWARDED).find_map(|element| forwarded_parameter(element, "proto")));
    match proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => client.scheme = Scheme::Https,
        Some(proto) if proto.eq_ignore_ascii_case("http") => client.scheme = Scheme::Http,
        _ => {}
    }
    client
}

/// `for=192.0.2.1;proto=https`: the value of one parameter, without quotes.
fn forwarded_parameter<'v>(element: &'v str, name: &str) -> Option<&'v str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without port, IPv6 with or without brackets.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Some(addr);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0))
}

/// Tells the upstream who the client was. What an untrusted peer said of that is thrown away.
pub(super) fn forward(headers: &mut HeaderMap, peer: ClientInfo, authority: &str, trusted: &[Network]) {
    if !trusted.iter().any(|network| network.contains(peer.addr.ip())) {
        for name in
            [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_FORWARDED_PORT, X_REAL_IP]
        {
            headers.remove(name);
        }
    }
    let ip = peer.addr.ip().to_canonical();
    let proto = match peer.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let node = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    let mut element = format!("for={node};proto={proto}");
    if !authority.is_empty() {
        element.push_str(&format!(";host=\"{authority}\""));
    }
    append_word(headers, FORWARDED, &element);
    append_word(headers, X_FORWARDED_FOR, &ip.to_string());
    // The first proxy knows what the client asked for; the later ones see what that made of it.
    set_default(headers, X_FORWARDED_PROTO, proto);
    if !authority.is_empty() {
        set_default(headers, X_FORWARDED_HOST, authority);
    }
}

/// Says that the message came through here, and in which version it was received.
pub(super) fn via(headers: &mut HeaderMap, version: Version) {
    let received = match version {
        Version::HTTP_10 => "1.0 picket",
        Version::HTTP_2 => "2.0 picket",
        _ => "1.1 picket",
    };
    append_word(headers, VIA, received);
}

/// Appends to a field that is a list, as one line.
fn append_word(headers: &mut HeaderMap, name: HeaderName, word: &str) {
    let mut line: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(word.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&line) {
        headers.insert(name, value);
    }
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let (false, Ok(value)) = (headers.contains_key(&name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
