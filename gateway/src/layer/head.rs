//! Heads between `http` and the ABI.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version, request, response};
use picket_abi::{Header, HttpVersion, Octets, Peer, RequestHead, ResponseHead, Scheme, SeqBuf};
use picket_host::{Reply, ReplyCause};

use super::exchange::{RequestId, Subject};

fn fields(headers: &HeaderMap) -> SeqBuf<Header<'static>> {
    let mut list = SeqBuf::new();
    for (name, value) in headers {
        list.push(Header { name: Octets(name.as_str().as_bytes()), value: Octets(value.as_bytes()) });
    }
    list
}

fn version(version: Version) -> HttpVersion {
    match version {
        Version::HTTP_09 => HttpVersion::Http09,
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_2 => HttpVersion::Http2,
        Version::HTTP_3 => HttpVersion::Http3,
        _ => HttpVersion::Http11,
    }
}

/// The authority that a request asks for: the URI's, else `Host`; empty where there is none.
pub(super) fn authority(parts: &request::Parts) -> Box<str> {
    match parts.uri.authority() {
        Some(authority) => authority.as_str().into(),
        None => {
            let host = parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
            host.unwrap_or_default().into()
        }
    }
}

/// Shows the head of a request to `look`.
pub(super) fn with_request_head<R>(
    subject: &Subject,
    headers: &HeaderMap,
    end: bool,
    look: impl FnOnce(&RequestHead<'_>) -> R,
) -> R {
    let headers = fields(headers);
    let target = match subject.uri.path_and_query() {
        Some(target) => target.as_str(),
        // CONNECT: the target is an authority.
        None => &subject.authority,
    };
    look(&RequestHead {
        request_id: subject.request_id.as_str().into(),
        route: (&*subject.route).into(),
        client: subject.client.map_or(Peer::default(), |client| Peer {
            addr: client.addr.ip().to_canonical().into(),
            port: client.addr.port(),
        }),
        scheme: subject.client.map_or(Scheme::Http, |client| client.scheme),
        version: version(subject.version),
        method: subject.method.as_str().into(),
        authority: (&*subject.authority).into(),
        target: target.into(),
        headers: headers.as_seq(),
        end,
        protocol: Octets::default(),
    })
}

/// Shows the head of a response to `look`.
pub(super) fn with_response_head<R>(
    parts: &response::Parts,
    end: bool,
    look: impl FnOnce(&ResponseHead<'_>) -> R,
) -> R {
    let headers = fields(&parts.headers);
    look(&ResponseHead {
        status: parts.status.as_u16(),
        version: version(parts.version),
        headers: headers.as_seq(),
        end,
    })
}

/// The fields that a filter left. The host has checked that they are HTTP; what `http` would still
/// not take is left out.
pub(super) fn replace_headers(headers: &mut HeaderMap, list: &SeqBuf<Header<'static>>) {
    headers.clear();
    for Header { name, value } in list.iter() {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.bytes()), HeaderValue::from_bytes(value.bytes()))
        else {
            tracing::warn!(%name, %value, "left out a header field that cannot be sent");
            continue;
        };
        headers.append(name, value);
    }
}

/// `Content-Length` for a body that is all there, none otherwise. A message that said nothing of
/// its length still says nothing where that means zero.
pub(super) fn frame(headers: &mut HeaderMap, length: Option<u64>) {
    headers.remove(TRANSFER_ENCODING);
    let said = headers.remove(CONTENT_LENGTH).is_some();
    if let Some(length) = length
        && (said || length > 0)
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

/// The head and body of an answer that a filter gives.
pub(super) fn reply(reply: Reply, request: &HeaderMap, id: &RequestId) -> (response::Parts, Vec<u8>) {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    // The ABI admits 200 to 599, a policy 400 to 599.
    parts.status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::FORBIDDEN);
    replace_headers(&mut parts.headers, &reply.headers);
    parts.headers.remove(CONTENT_LENGTH);
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        parts.headers.insert(X_REQUEST_ID, id);
    }
    let mut body = reply.body;
    // A filter that says no more than "no" leaves the words to us.
    let bare = body.is_empty() && !parts.headers.contains_key(CONTENT_TYPE);
    if bare && reply.cause != ReplyCause::Redirect && parts.status.as_u16() >= 400 {
        let (kind, page) = page(parts.status, request, id);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        body = page.into_bytes();
    }
    (parts, body)
}

/// The head and body of an answer of the layer's own.
pub(super) fn answer(status: StatusCode, request: &HeaderMap, id: &RequestId) -> (response::Parts, Vec<u8>) {
    let bare = Reply {
        status: status.as_u16(),
        headers: SeqBuf::new(),
        body: Vec::new(),
        filter: "".into(),
        cause: ReplyCause::Verdict,
    };
    reply(bare, request, id)
}

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A short body for an answer of our own, in the form that the client prefers: the status and the
/// request's id, by which the operator finds the reason. The client is not told.
pub(crate) fn page(status: StatusCode, request: &HeaderMap, id: &RequestId) -> (&'static str, String) {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    match preferred(request) {
        Form::Json => (
            "application/json",
            serde_json::json!({ "status": code, "error": reason, "request_id": id.as_str() }).to_string()
                + "\n",
        ),
        Form::Html => (
            "text/html; charset=utf-8",
            format!(
                "<!doctype html>\n<title>{code} {reason}</title>\n<h1>{code} {reason}</h1>\n<p>Request id: <code>{}</code></p>\n",
                escaped(id.as_str())
            ),
        ),
        Form::Text => ("text/plain; charset=utf-8", format!("{code} {reason}\nRequest id: {id}\n")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Text,
    Json,
    Html,
}

/// The form with the highest weight in `Accept` (RFC 9110, section 12.5.1); the first of equals.
fn preferred(request: &HeaderMap) -> Form {
    let mut best = (0.0, Form::Text);
    for range in request
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "text/html" | "application/xhtml+xml" => Form::Html,
            "application/json" => Form::Json,
            "text/plain" | "text/*" | "*/*" => Form::Text,
            kind if kind.ends_with("+json") => Form::Json,
            _ => continue,
        };
        let weight = parts
            .find_map(|parameter| parameter.strip_prefix("q="))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn accepting(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn the_page_follows_accept() {
        for (accept, kind) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
            ("application/json", "application/json"),
            ("application/problem+json, text/html;q=0.5", "application/json"),
            ("text/html;q=0.4, application/json;q=0.5", "application/json"),
            ("*/*", "text/plain; charset=utf-8"),
            ("image/png", "text/plain; charset=utf-8"),
        ] {
            let id = RequestId::new("abc<1>").unwrap();
            let (actual, page) = page(StatusCode::FORBIDDEN, &accepting(accept), &id);
            assert_eq!(actual, kind, "{accept}");
            assert!(page.contains("403") && page.contains("abc"), "{page}");
            assert!(!(actual.starts_with("text/html") && page.contains("abc<1>")), "{page}");
        }
    }
}
