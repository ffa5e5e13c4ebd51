//! The header fields that a proxy answers for.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Version};
use picket_abi::Scheme;

use super::headers::{
    check, client, forward, strip_hop_by_hop, strip_trailers, takes_trailers, upgrade, via,
};
use crate::config::Network;
use crate::layer::ClientInfo;

fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// All fields, as text, in alphabetical order.
fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

fn peer(addr: &str) -> ClientInfo {
    ClientInfo { addr: addr.parse().unwrap(), scheme: Scheme::Http }
}

fn trusted() -> Vec<Network> {
    vec!["10.0.0.0/8".parse().unwrap()]
}

#[test]
fn what_belongs_to_a_connection_stays_on_it() {
    let mut headers = map(&[
        ("connection", "close, X-Secret"),
        ("connection", "te, host, content-length"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("host", "example.org"),
        ("content-length", "3"),
        ("trailer", "X-Sum"),
        ("proxy-authorization", "Basic eDp5"),
    ]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(
        shown(&headers),
        ["content-length: 3", "host: example.org", "proxy-authorization: Basic eDp5", "trailer: X-Sum"]
    );
}

#[test]
fn trailers_cannot_frame_route_or_vouch() {
    let mut trailers = map(&[
        ("x-checksum", "abc"),
        ("grpc-status", "0"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "evil"),
        ("authorization", "x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("set-cookie", "a=b"),
    ]);
    strip_trailers(&mut trailers);
    assert_eq!(shown(&trailers), ["grpc-status: 0", "x-checksum: abc"]);
}

#[test]
fn an_upgrade_must_be_nominated_and_allowed() {
    let allowed = ["websocket".to_owned()];
    let asked = |fields: &[(&'static str, &str)]| {
        upgrade(&map(fields), &allowed).map(|protocol| protocol.to_str().unwrap().to_owned())
    };
    assert_eq!(asked(&[("connection", "Upgrade"), ("upgrade", "WebSocket")]).as_deref(), Some("WebSocket"));
    assert_eq!(
        asked(&[("connection", "keep-alive, upgrade"), ("upgrade", "h2c, websocket")]).as_deref(),
        Some("websocket")
    );
    assert_eq!(asked(&[("upgrade", "websocket")]), None);
    assert_eq!(asked(&[("connection", "upgrade"), ("upgrade", "h2c")]), None);
}

#[test]
fn trailers_are_taken_by_who_says_so() {
    assert!(takes_trailers(&map(&[("te", "gzip;q=0.5, Trailers")])));
    assert!(!takes_trailers(&map(&[("te", "gzip")])));
    assert!(!takes_trailers(&HeaderMap::new()));
}

#[test]
fn a_strangers_word_on_the_client_is_replaced() {
    let mut headers = map(&[
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("accept", "*/*"),
    ]);
    forward(&mut headers, peer("203.0.113.9:5000"), "example.org:8080", &trusted());
    assert_eq!(
        shown(&headers),
        [
            "accept: */*",
            "forwarded: for=203.0.113.9;proto=http;host=\"example.org:8080\"",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: example.org:8080",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn a_trusted_proxys_word_is_carried_on() {
    let mut headers = map(&[
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "10.0.0.7"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=203.0.113.9;proto=https"),
    ]);
    forward(&mut headers, peer("10.0.0.1:5000"), "inner", &trusted());
    assert_eq!(
        shown(&headers),
        [
            "forwarded: for=203.0.113.9;proto=https, for=10.0.0.1;proto=http;host=\"inner\"",
            "x-forwarded-for: 203.0.113.9, 10.0.0.7, 10.0.0.1",
            "x-forwarded-host: inner",
            "x-forwarded-proto: https",
        ]
    );
}

#[test]
fn an_ipv6_client_is_written_as_rfc_7239_wants_it() {
    let mut headers = HeaderMap::new();
    forward(&mut headers, peer("[2001:db8::1]:5000"), "", &[]);
    assert_eq!(
        shown(&headers),
        [
            "forwarded: for=\"[2001:db8::1]\";proto=http",
            "x-forwarded-for: 2001:db8::1",
            "x-forwarded-proto: http"
        ]
    );
}

#[test]
fn the_client_is_the_nearest_that_nobody_trusted_vouches_for() {
    let named = |addr: &str, fields: &[(&'static str, &str)]| {
        let found = client(peer(addr), &map(fields), &trusted());
        (found.addr.ip().to_string(), found.scheme)
    };
    let forged = ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7");
    assert_eq!(named("203.0.113.1:1", &[forged]), ("203.0.113.1".into(), Scheme::Http));
    assert_eq!(named("10.0.0.1:1", &[forged]), ("203.0.113.9".into(), Scheme::Http));
    assert_eq!(named("10.0.0.1:1", &[("x-forwarded-for", "nonsense")]), ("10.0.0.1".into(), Scheme::Http));
    assert_eq!(
        named("10.0.0.1:1", &[("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")]),
        ("2001:db8::1".into(), Scheme::Https)
    );
    assert_eq!(
        named("[::ffff:10.0.0.1]:1", &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]),
        ("203.0.113.9".into(), Scheme::Https)
    );
}

#[test]
fn via_tells_the_version_that_was_received() {
    let mut headers = map(&[("via", "1.0 fred")]);
    via(&mut headers, Version::HTTP_2);
    assert_eq!(shown(&headers), ["via: 1.0 fred, 2.0 picket"]);
}

#[test]
fn ambiguous_heads_are_refused() {
    let status = |version: Version, uri: &str, fields: &[(&'static str, &str)]| {
        let mut request = Request::new(());
        *request.version_mut() = version;
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = map(fields);
        check(&request.into_parts().0, 100, 1_000).map_err(|refusal| refusal.status)
    };
    let host = ("host", "example.org");
    let long = "x".repeat(1_000);
    for (version, uri, fields, expected) in [
        (Version::HTTP_11, "/", &[host][..], Ok(())),
        (Version::HTTP_10, "/", &[], Ok(())),
        (Version::HTTP_11, "/", &[], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "/", &[host, host], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "/", &[("host", "user@example.org")], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "/", &[("host", "a b")], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "/", &[("host", "")], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "http://example.org/", &[("host", "")], Ok(())),
        (Version::HTTP_11, "/", &[host, ("transfer-encoding", "Chunked")], Ok(())),
        (
            Version::HTTP_11,
            "/",
            &[host, ("transfer-encoding", "gzip, chunked")],
            Err(StatusCode::NOT_IMPLEMENTED),
        ),
        (
            Version::HTTP_11,
            "/",
            &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            Err(StatusCode::NOT_IMPLEMENTED),
        ),
        (
            Version::HTTP_11,
            "/",
            &[host, ("transfer-encoding", "chunked"), ("content-length", "4")],
            Err(StatusCode::BAD_REQUEST),
        ),
        (
            Version::HTTP_11,
            "/",
            &[host, ("content-length", "4"), ("content-length", "4")],
            Err(StatusCode::BAD_REQUEST),
        ),
        (Version::HTTP_2, "http://example.org/", &[("host", "EXAMPLE.org")], Ok(())),
        (Version::HTTP_2, "http://example.org/", &[("host", "other.org")], Err(StatusCode::BAD_REQUEST)),
        (Version::HTTP_11, "/", &[host, ("expect", "100-Continue")], Ok(())),
        (Version::HTTP_11, "/", &[host, ("expect", "coffee")], Err(StatusCode::EXPECTATION_FAILED)),
        (Version::HTTP_11, &format!("/{}", &long[..100]), &[host], Err(StatusCode::URI_TOO_LONG)),
        (Version::HTTP_11, "/", &[host, ("x", &long)], Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
    ] {
        assert_eq!(status(version, uri, fields), expected, "{version:?} {uri} {fields:?}");
    }
}
