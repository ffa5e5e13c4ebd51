//! Requests as JSON lines, for programs that feed many of them.
//!
//! ```text
//! in:  {"id":1,"method":"GET","uri":"/?q=x","version":"HTTP/1.1","headers":[["Host","a"]],
//!       "body_base64":"","response":{"status":200,"headers":[],"body_base64":""}}
//! out: {"id":1,"rule_ids":[942100],"blocked":true,"score":5,"fuel":41230,"micros":180}
//! bad: {"id":1,"error":"…"}
//! ```
//!
//! Texts are taken as bytes, in UTF-8. Bytes that are no UTF-8 stand in a line as they are, or as
//! the surrogates `\udc80` to `\udcff` (what Python's `surrogateescape` makes of them).

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, Visitor};

use super::exchange::{Exchange, Response, parse_version};

/// Padding may be missing: writers differ, and nothing is lost.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A line that is no request: its id where that could be read, and what is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BadLine {
    /// The line's id; null if there is none.
    pub(crate) id: serde_json::Value,
    /// What is wrong, for people.
    pub(crate) message: String,
}

/// Reads one line.
///
/// # Errors
/// [`BadLine`] with the id, so that whoever wrote the line can find it.
pub(crate) fn parse(line: &[u8]) -> Result<(serde_json::Value, Exchange), BadLine> {
    let bad = |message: String| BadLine { id: id_of(line), message };
    let parsed: Line = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    if let Some((given, wanted)) = parsed.mistaken() {
        return Err(bad(format!("`{given}` is no key of a request: write `{wanted}`")));
    }
    let version = match &parsed.version {
        None => picket_abi::HttpVersion::Http11,
        Some(Bytes(text)) => parse_version(text)
            .ok_or_else(|| bad(format!("unknown protocol version \"{}\"", text.escape_ascii())))?,
    };
    let fields = |headers: Vec<(Bytes, Bytes)>| {
        headers.into_iter().map(|(Bytes(name), Bytes(value))| (name, value)).collect()
    };
    let response = match parsed.response {
        None => None,
        Some(response) if !(100..=999).contains(&response.status) => {
            return Err(bad(format!("response status {} is not between 100 and 999", response.status)));
        }
        Some(response) => Some(Response {
            status: response.status,
            headers: fields(response.headers),
            body: response.body_base64.0,
        }),
    };
    let exchange = Exchange {
        method: parsed.method.map_or_else(|| b"GET".to_vec(), |method| method.0),
        target: parsed.uri.map_or_else(|| b"/".to_vec(), |uri| uri.0),
        version,
        headers: fields(parsed.headers),
        body: parsed.body_base64.0,
        response,
    };
    Ok((parsed.id, exchange))
}

/// The id of a line whose other fields may be anything.
fn id_of(line: &[u8]) -> serde_json::Value {
    #[derive(serde::Deserialize)]
    struct OnlyId {
        #[serde(default)]
        id: serde_json::Value,
    }
    serde_json::from_slice::<OnlyId>(line).map_or(serde_json::Value::Null, |line| line.id)
}

#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    id: serde_json::Value,
    method: Option<Bytes>,
    uri: Option<Bytes>,
    version: Option<Bytes>,
    #[serde(default)]
    headers: Vec<(Bytes, Bytes)>,
    #[serde(default)]
    body_base64: Base64,
    response: Option<ResponseLine>,
    // Keys that are easily taken for ours. Passed over like other unknown keys, an attack in them
    // would be called clean.
    body: Option<IgnoredAny>,
    target: Option<IgnoredAny>,
    url: Option<IgnoredAny>,
    path: Option<IgnoredAny>,
}

impl Line {
    /// A key that is taken for one of ours, and that one.
    fn mistaken(&self) -> Option<(&'static str, &'static str)> {
        [
            (&self.body, ("body", "body_base64")),
            (&self.target, ("target", "uri")),
            (&self.url, ("url", "uri")),
            (&self.path, ("path", "uri")),
        ]
        .into_iter()
        .find_map(|(given, names)| given.as_ref().map(|_| names))
    }
}

#[derive(serde::Deserialize)]
struct ResponseLine {
    status: u16,
    #[serde(default)]
    headers: Vec<(Bytes, Bytes)>,
    #[serde(default)]
    body_base64: Base64,
}

/// A JSON string as bytes.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(unescaped(text.as_bytes())))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(unescaped(bytes)))
            }
        }

        // Asked for bytes, serde_json demands no UTF-8 and accepts lone surrogates.
        deserializer.deserialize_bytes(Text)
    }
}

/// Turns the surrogates U+DC80 to U+DCFF into the bytes 0x80 to 0xFF they stand for.
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        // U+DC80 is ED B2 80 and U+DCFF is ED B3 BF in the generalised UTF-8 of serde_json.
        if let [0xED, high @ (0xB2 | 0xB3), low @ 0x80..=0xBF, rest @ ..] = text {
            bytes.push((high & 1) << 6 | (low & 0x3F) | 0x80);
            text = rest;
        } else {
            bytes.push(byte);
            text = rest;
        }
    }
    bytes
}

/// A base64 string as the bytes it stands for.
#[derive(Default)]
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A missing body may also be written as null.
        let Some(text) = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(Base64::default());
        };
        BASE64.decode(text.as_bytes()).map(Base64).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_abi::HttpVersion;
    use serde_json::json;

    #[test]
    fn a_full_line_is_read() {
        let line = br#"{"id":"a-1","method":"POST","uri":"/x?y","version":"HTTP/2","headers":[["Host","h"],["A","1"],["a","2"]],"body_base64":"AP8=","response":{"status":204,"headers":[["B","c"]],"body_base64":"eA"}}"#;
        let (id, exchange) = parse(line).unwrap();
        assert_eq!(id, json!("a-1"));
        assert_eq!(exchange.method, b"POST");
        assert_eq!(exchange.target, b"/x?y");
        assert_eq!(exchange.version, HttpVersion::Http2);
        assert_eq!(exchange.headers.len(), 3);
        assert_eq!(exchange.headers[2], (b"a".to_vec(), b"2".to_vec()));
        assert_eq!(exchange.body, b"\x00\xff");
        let response = exchange.response.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (204, &b"x"[..]));
    }

    #[test]
    fn what_is_left_out_is_a_plain_get() {
        let (id, exchange) = parse(br#"{"body_base64":null,"response":null}"#).unwrap();
        assert_eq!(id, json!(null));
        assert_eq!((exchange.method.as_slice(), exchange.target.as_slice()), (&b"GET"[..], &b"/"[..]));
        assert_eq!(exchange.response, None);
    }

    #[test]
    fn any_byte_can_be_said() {
        let line = b"{\"uri\":\"/\xff\\udc80\\udcff\\u0000\\u00e9\\ud83d\\ude00\"}";
        let (_, exchange) = parse(line).unwrap();
        assert_eq!(exchange.target, b"/\xff\x80\xff\x00\xc3\xa9\xf0\x9f\x98\x80");
    }

    #[test]
    fn a_bad_line_keeps_its_id() {
        for (line, id, message) in [
            (&br#"{"id":7,"headers":3}"#[..], json!(7), "invalid type"),
            (br#"{"id":7,"body_base64":"*"}"#, json!(7), "Invalid symbol 42"),
            (br#"{"id":7,"version":"SPDY"}"#, json!(7), "unknown protocol version \"SPDY\""),
            (br#"{"id":7,"response":{"status":99}}"#, json!(7), "response status 99"),
            (br#"{"id":7,"uri":"/","body":"x"}"#, json!(7), "write `body_base64`"),
            (br#"{"id":7,"target":"/?q=x"}"#, json!(7), "write `uri`"),
            (b"{\"uri\":3,\"method\":\"\xff\",\"id\":[1]}", json!([1]), "invalid type"),
            (b"{\"id\":7", json!(null), "EOF"),
            (b"[]", json!(null), "invalid"),
        ] {
            let bad = parse(line).unwrap_err();
            assert_eq!(bad.id, id, "{}", line.escape_ascii());
            assert!(bad.message.contains(message), "{}: {}", line.escape_ascii(), bad.message);
        }
    }
}
