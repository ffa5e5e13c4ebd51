//! # Header rewrite
//!
//! A filter that sets, appends and removes header fields of requests and of responses.
//!
//! ```toml
//! [filter.headers]
//! module = "target/guests/example_header_rewrite.wasm"
//!
//! [filter.headers.config.request]
//! set = { X-Forwarded-Via = "picket" }   # replaces what is there
//! append = { Accept-Language = "en" }    # adds, whatever is there
//! remove = ["Proxy", "X-Debug"]
//!
//! [filter.headers.config.response]
//! set = { X-Content-Type-Options = "nosniff" }
//! remove = ["Server", "X-Powered-By"]
//! ```
//!
//! Without any setting it does what is good everywhere: it removes `Proxy` from requests (a CGI
//! program would take it for the environment variable `HTTP_PROXY`, CVE-2016-5385) and sets
//! `X-Picket`; it removes `Server` and `X-Powered-By` from responses and sets
//! `X-Content-Type-Options: nosniff`.
//!
//! The changes are encoded once, when the filter is configured. A request costs one copy of those
//! bytes: the headers that came are not even decoded, for it is the host that applies the changes.
//!
//! A model for filters of your own: settings are read and checked in `configure`, with errors that
//! name them; what can be prepared is prepared there; the tests at the end need no WebAssembly.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;

use picket_guest::{
    ConfigError, Configure, Filter, Header, HeaderOp, Octets, OutcomeBuf, RequestHead, ResponseHead, SeqBuf,
    Settings, Value, abi::ActionBuf, export, proceed,
};

export! {
    HeaderRewrite {
        name: "header-rewrite",
        version: env!("CARGO_PKG_VERSION"),
        kind: "headers",
        phases: [request_head, response_head],
    }
}

struct HeaderRewrite {
    request: SeqBuf<HeaderOp<'static>>,
    response: SeqBuf<HeaderOp<'static>>,
}

impl Filter for HeaderRewrite {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        if config.settings.is_empty() {
            return Ok(Self::with_defaults());
        }
        config.allow_only(&[
            "request.set.",
            "request.append.",
            "request.remove.",
            "response.set.",
            "response.append.",
            "response.remove.",
        ])?;
        Ok(HeaderRewrite { request: changes(config, "request")?, response: changes(config, "response")? })
    }

    fn request_head(&mut self, _: &RequestHead<'_>) -> OutcomeBuf {
        apply(&self.request)
    }

    fn response_head(&mut self, _: &ResponseHead<'_>) -> OutcomeBuf {
        apply(&self.response)
    }
}

impl HeaderRewrite {
    fn with_defaults() -> Self {
        let set = |name: &'static str, value: &'static str| {
            HeaderOp::Set(Header { name: name.into(), value: value.into() })
        };
        let mut filter = HeaderRewrite { request: SeqBuf::new(), response: SeqBuf::new() };
        filter.request.extend([HeaderOp::Remove("Proxy".into()), set("X-Picket", "header-rewrite")]);
        filter.response.extend([
            HeaderOp::Remove("Server".into()),
            HeaderOp::Remove("X-Powered-By".into()),
            set("X-Content-Type-Options", "nosniff"),
        ]);
        filter
    }
}

fn apply(changes: &SeqBuf<HeaderOp<'static>>) -> OutcomeBuf {
    if changes.is_empty() {
        return proceed();
    }
    OutcomeBuf { action: ActionBuf::Modify { headers: changes.clone(), body: None }, ..OutcomeBuf::default() }
}

/// The changes of one side, `request` or `response`: first what is removed, so that a field can be
/// removed and appended anew.
fn changes(config: &Configure<'_>, side: &str) -> Result<SeqBuf<HeaderOp<'static>>, ConfigError> {
    let mut changes = SeqBuf::<HeaderOp<'static>>::new();
    for (index, name) in config.under(&format!("{side}.remove.")) {
        let name = text(&format!("{side}.remove.{index}"), name)?;
        changes.push(HeaderOp::Remove(field_name(name)?.into()));
    }
    for (name, value) in config.under(&format!("{side}.set.")) {
        changes.push(HeaderOp::Set(field(side, "set", name, value)?));
    }
    for (name, value) in config.under(&format!("{side}.append.")) {
        changes.push(HeaderOp::Append(field(side, "append", name, value)?));
    }
    Ok(changes)
}

fn field<'a>(side: &str, op: &str, name: &'a str, value: Value<'a>) -> Result<Header<'a>, ConfigError> {
    let key = format!("{side}.{op}.{name}");
    let value = text(&key, value)?;
    // RFC 9110, section 5.5: visible characters, spaces and tabs; bytes above ASCII are tolerated.
    if let Some(byte) = value.bytes().find(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(ConfigError::new(format!("setting `{key}`: a header value has no byte 0x{byte:02x}")));
    }
    Ok(Header { name: Octets(field_name(name)?.as_bytes()), value: Octets(value.as_bytes()) })
}

/// Refuses what is no field name (RFC 9110, section 5.1), and the fields that frame the message:
/// those are the host's.
fn field_name(name: &str) -> Result<&str, ConfigError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ConfigError::new(format!("`{}` is no header name", name.escape_debug())));
    }
    if ["connection", "content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own))
    {
        return Err(ConfigError::new(format!("the header `{name}` belongs to the host")));
    }
    Ok(name)
}

fn text<'a>(key: &str, value: Value<'a>) -> Result<&'a str, ConfigError> {
    value
        .as_text()
        .and_then(Octets::as_str)
        .ok_or_else(|| ConfigError::new(format!("setting `{key}` must be text")))
}

#[cfg(test)]
mod tests {
    use picket_guest::mock::{Filtered, Request, Response};

    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn both_sides_are_rewritten_as_configured() {
        let mut filter = Filtered::<HeaderRewrite>::new(&[
            ("request.set.X-Via", text("picket")),
            ("request.append.Accept-Language", text("en")),
            ("request.remove.0", text("Cookie")),
            ("response.remove.0", text("server")),
        ])
        .unwrap();

        let request = filter.request(&Request::get("/"));
        assert_eq!(
            request.applied_to(&[
                ("x-via", "forged"),
                ("cookie", "a=1"),
                ("X-VIA", "forged twice"),
                ("Accept-Language", "de"),
                ("Cookie", "b=2"),
            ]),
            pairs(&[("Accept-Language", "de"), ("X-Via", "picket"), ("Accept-Language", "en")]),
        );

        let response = filter.response(&Response::new(200));
        assert_eq!(
            response.applied_to(&[("Server", "Apache/2.4.1"), ("Date", "today")]),
            pairs(&[("Date", "today")]),
        );
    }

    #[test]
    fn without_settings_it_does_what_is_good_everywhere() {
        let mut filter = Filtered::<HeaderRewrite>::new(&[]).unwrap();
        assert_eq!(
            filter.request(&Request::get("/")).applied_to(&[("Proxy", "http://evil.example")]),
            pairs(&[("X-Picket", "header-rewrite")]),
        );
        assert_eq!(
            filter.response(&Response::new(200)).applied_to(&[("X-Powered-By", "PHP"), ("Server", "x")]),
            pairs(&[("X-Content-Type-Options", "nosniff")]),
        );
    }

    #[test]
    fn a_side_without_changes_says_nothing() {
        let mut filter = Filtered::<HeaderRewrite>::new(&[("response.remove.0", text("Server"))]).unwrap();
        assert!(filter.request(&Request::get("/")).is_silent());
        assert!(!filter.response(&Response::new(200)).is_silent());
    }

    #[test]
    fn a_bad_setting_is_named() {
        let refusal = |key: &str, value: Value<'_>| {
            Filtered::<HeaderRewrite>::new(&[(key, value)]).unwrap_err().to_string()
        };
        assert!(refusal("request.sett.X-A", text("1")).contains("unknown setting `request.sett.X-A`"));
        assert!(refusal("request.set.X-A", Value::Int(1)).contains("`request.set.X-A` must be text"));
        assert!(refusal("request.set.X A", text("1")).contains("`X A` is no header name"));
        assert!(refusal("response.set.X-A", text("1\r\nSet-Cookie: a")).contains("no byte 0x0d"));
        assert!(refusal("request.remove.0", text("Content-Length")).contains("belongs to the host"));
    }
}
