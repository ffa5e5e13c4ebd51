//! # API key
//!
//! A filter that lets a request through only if it carries a known key, and answers 401 otherwise.
//!
//! ```toml
//! [filter.auth]
//! module = "target/guests/example_api_key.wasm"
//!
//! [filter.auth.config]
//! header = "X-Api-Key"     # where clients put the key; this is the default
//! realm = "orders"         # for WWW-Authenticate; default "api"
//!
//! [filter.auth.config.keys]     # at least one: a name for the client, and its key
//! alice = "k-3d5cf5a6b1"
//! build-server = "k-99a0c7de42"
//! ```
//!
//! The upstream learns which client it is from `X-Api-Client`, which a client cannot forge, and
//! does not get to see the key. The audit log gets the client's name as a tag, `client:alice`.
//!
//! Keys are compared in a time that does not depend on where they differ, nor on which of them it
//! is: each is compared to its end, and all are compared. The time does depend on the length of the
//! key the client sent, which the client knows.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;

use picket_guest::{
    ConfigError, Configure, Filter, Octets, OutcomeBuf, RequestHead, Settings, export, modify, respond,
};

export! {
    ApiKey {
        name: "api-key",
        version: env!("CARGO_PKG_VERSION"),
        kind: "auth",
        phases: [request_head],
    }
}

/// Tells the upstream who it is.
const CLIENT_HEADER: &str = "X-Api-Client";

struct ApiKey {
    header: String,
    challenge: String,
    clients: Vec<Client>,
}

struct Client {
    name: String,
    key: Vec<u8>,
}

impl Filter for ApiKey {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        config.allow_only(&["header", "realm", "keys."])?;
        let header = config.text("header")?.unwrap_or("X-Api-Key");
        if header.is_empty() || !header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(ConfigError::new(format!("setting `header`: `{header}` is no header name")));
        }
        let realm = config.text("realm")?.unwrap_or("api");
        if !realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            return Err("setting `realm` must be printable ASCII without quotes and backslashes".into());
        }

        let mut clients = Vec::new();
        for (name, key) in config.under("keys.") {
            let key = key.as_text().map(Octets::bytes).unwrap_or_default();
            // The name goes into a header field. A short key is guessed.
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("a name in `keys` must be printable ASCII without spaces".into());
            }
            if key.len() < 8 || !key.iter().all(u8::is_ascii_graphic) {
                // The key itself stays out of logs.
                return Err(ConfigError::new(format!(
                    "setting `keys.{name}` must be a text of 8 or more printable ASCII characters without spaces"
                )));
            }
            clients.push(Client { name: name.into(), key: key.into() });
        }
        if clients.is_empty() {
            return Err("setting `keys` is missing: without a key nobody could come in".into());
        }
        Ok(ApiKey { header: header.into(), challenge: format!("ApiKey realm=\"{realm}\""), clients })
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        let mut sent = head.headers.all(self.header.as_bytes());
        // Of two keys one may be meant for another hop to see: that is no request to let through.
        match (sent.next(), sent.next()) {
            (Some(key), None) => match self.client(&key) {
                Some(client) => modify()
                    .set(CLIENT_HEADER, &client.name)
                    .remove(&self.header)
                    .tag(format!("client:{}", client.name))
                    .into(),
                None => self.refuse("unknown API key\n", "api-key-unknown"),
            },
            (None, _) => self.refuse("API key required\n", "api-key-missing"),
            (Some(_), Some(_)) => self.refuse("more than one API key\n", "api-key-repeated"),
        }
    }
}

impl ApiKey {
    /// The client whose key `sent` is.
    fn client(&self, sent: &[u8]) -> Option<&Client> {
        let mut found = None;
        for client in &self.clients {
            if same(&client.key, sent) {
                found = Some(client);
            }
        }
        found
    }

    fn refuse(&self, text: &str, tag: &str) -> OutcomeBuf {
        respond(401)
            .header("WWW-Authenticate", &self.challenge)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(text)
            .tag(tag)
            .into()
    }
}

/// Whether both are equal, in a time that depends on the length of `sent` alone. `known` is not
/// empty.
fn same(known: &[u8], sent: &[u8]) -> bool {
    let mut difference = known.len() ^ sent.len();
    for (at, byte) in sent.iter().enumerate() {
        // `black_box` keeps the compiler from leaving the loop early.
        difference = black_box(difference | usize::from(byte ^ known[at % known.len()]));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use picket_guest::Value;
    use picket_guest::mock::{Filtered, Request};

    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn guard() -> Filtered<ApiKey> {
        Filtered::new(&[
            ("realm", text("orders")),
            ("keys.alice", text("k-3d5cf5a6b1")),
            ("keys.build-server", text("k-99a0c7de42")),
        ])
        .unwrap()
    }

    #[test]
    fn a_known_key_names_its_client_and_stays_here() {
        for (key, client) in [("k-3d5cf5a6b1", "alice"), ("k-99a0c7de42", "build-server")] {
            let answer = guard().request(&Request::get("/").header("x-api-key", key));
            assert_eq!(answer.status(), None);
            assert!(answer.has_tag(&format!("client:{client}")));
            assert_eq!(
                answer.applied_to(&[("x-api-key", key), ("X-Api-Client", "root"), ("Host", "example.org")]),
                [("Host".into(), "example.org".into()), ("X-Api-Client".into(), client.into())],
            );
        }
    }

    #[test]
    fn everything_else_is_unauthorized() {
        let almost = ["k-3d5cf5a6b", "k-3d5cf5a6b11", "K-3D5CF5A6B1", "", "k-3d5cf5a6b1k-3d5cf5a6b1"];
        for request in [
            Request::get("/"),
            Request::get("/?x-api-key=k-3d5cf5a6b1"),
            Request::get("/").header("Authorization", "k-3d5cf5a6b1"),
            Request::get("/").header("X-Api-Key", "k-3d5cf5a6b1").header("X-Api-Key", "k-3d5cf5a6b1"),
        ]
        .into_iter()
        .chain(almost.iter().map(|key| Request::get("/").header("X-Api-Key", key)))
        {
            let answer = guard().request(&request);
            assert_eq!(answer.status(), Some(401), "{request:?}");
            assert_eq!(answer.header("www-authenticate").unwrap(), "ApiKey realm=\"orders\"");
        }
    }

    #[test]
    fn the_header_can_be_chosen() {
        let mut guard =
            Filtered::<ApiKey>::new(&[("header", text("X-Token")), ("keys.a", text("12345678"))]).unwrap();
        assert_eq!(guard.request(&Request::get("/").header("X-Token", "12345678")).status(), None);
        assert_eq!(guard.request(&Request::get("/").header("X-Api-Key", "12345678")).status(), Some(401));
    }

    #[test]
    fn a_bad_setting_is_named_and_a_key_is_not_shown() {
        let refusal =
            |settings: &[(&str, Value<'_>)]| Filtered::<ApiKey>::new(settings).unwrap_err().to_string();
        assert!(refusal(&[]).contains("`keys` is missing"));
        assert!(refusal(&[("key.a", text("12345678"))]).contains("unknown setting `key.a`"));
        assert!(refusal(&[("realm", text("a\"b")), ("keys.a", text("12345678"))]).contains("`realm`"));
        let short = refusal(&[("keys.alice", text("hunter2"))]);
        assert!(short.contains("`keys.alice`") && !short.contains("hunter2"), "{short}");
    }
}
