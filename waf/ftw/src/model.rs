//! The test files: what they may say, after version 2 of their [schema].
//!
//! Fields that nothing here acts on (authors, tags, descriptions of stages) are not read.
//!
//! [schema]: https://github.com/coreruleset/ftw-tests-schema

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// A file of tests for one rule.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    pub rule_id: u32,
    #[serde(default)]
    pub tests: Vec<Case>,
}

/// A test as it stands in the file.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub test_id: Option<u32>,
    #[serde(default)]
    pub desc: String,
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// A test: one exchange or several, each with its expectations.
#[derive(Clone, Debug)]
pub struct Test {
    /// The file, relative to the folder that was loaded.
    pub file: String,
    /// The rule under test, by the name of the file: one file has a typing error in its `rule_id`.
    pub rule_id: u32,
    /// The number of the test in the file.
    pub test_id: u32,
    /// What the test is about.
    pub desc: String,
    /// The exchanges, in order.
    pub stages: Vec<Stage>,
}

impl Test {
    /// The name of the test: rule and number, `942100-3`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.rule_id, self.test_id)
    }

    /// The rule's family: the first three digits of its number, which is the file of the rule set that
    /// holds it (942 is SQL injection).
    pub fn family(&self) -> String {
        self.rule_id.to_string().chars().take(3).collect()
    }
}

/// One exchange of a test.
#[derive(Clone, Debug, Deserialize)]
pub struct Stage {
    /// The request.
    pub input: Input,
    /// What must come of it.
    #[serde(default)]
    pub output: Output,
}

/// How to build a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Input {
    /// The server's address.
    pub dest_addr: Option<String>,
    /// The server's port.
    pub port: Option<u16>,
    /// `http` or `https`.
    pub protocol: Option<String>,
    /// The method; `GET` by default.
    pub method: Option<String>,
    /// The target; `/` by default.
    pub uri: Option<String>,
    /// The version text; `HTTP/1.1` by default.
    pub version: Option<String>,
    /// Header fields by name. The reference runner sorts them by name, because to it they are a map.
    pub headers: HeaderList,
    /// Header fields in the order to send, duplicates allowed; they stand before `headers`.
    #[serde(deserialize_with = "tuples")]
    pub ordered_headers: Vec<(String, String)>,
    /// The body, possibly with templates.
    pub data: Option<String>,
    /// The body in base64; `data` wins.
    pub encoded_data: Option<String>,
    /// The whole request in base64; it wins over everything else.
    pub encoded_request: Option<String>,
    /// Whether missing headers are added and the body is encoded; true by default.
    pub autocomplete_headers: Option<bool>,
    /// The older word for the opposite of `autocomplete_headers`.
    pub stop_magic: Option<bool>,
    /// Whether cookies of a stage are sent in the next one. Not done: no test at hand asks for it.
    pub save_cookie: Option<bool>,
    /// Whether a stage follows the redirect of the one before. Not done: no test at hand asks for it.
    pub follow_redirect: Option<bool>,
    /// Concerns the runner's own requests to a server, of which there are none here.
    pub virtual_host_mode: bool,
}

impl Input {
    /// Whether missing headers are added and the body is encoded.
    pub fn autocompletes(&self) -> bool {
        self.autocomplete_headers.unwrap_or(!self.stop_magic.unwrap_or(false))
    }
}

/// Header fields of a YAML mapping: in the file's order, duplicates kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = HeaderList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of header names to values")
            }

            fn visit_unit<E>(self) -> Result<HeaderList, E> {
                Ok(HeaderList::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    fields.push((name, value.unwrap_or_default()));
                }
                Ok(HeaderList(fields))
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

fn tuples<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Field {
        name: String,
        #[serde(default)]
        value: String,
    }
    let fields = Option::<Vec<Field>>::deserialize(deserializer)?;
    Ok(fields.unwrap_or_default().into_iter().map(|field| (field.name, field.value)).collect())
}

/// What must come of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Output {
    /// The status that a client must see.
    pub status: Option<u16>,
    /// Text that the response must contain.
    pub response_contains: Option<String>,
    /// What the log must say.
    pub log: Log,
    /// The older form: an expression that a log line must match.
    pub log_contains: Option<String>,
    /// The older form: an expression that no log line may match.
    pub no_log_contains: Option<String>,
    /// Whether the client must see no answer at all.
    pub expect_error: Option<bool>,
    /// Whether a failure is to be tried again, which guards against a race in reading a server's log.
    pub retry_once: Option<bool>,
    /// Whether the expected rule must be the only one.
    pub isolated: bool,
}

/// What the log must say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Rules that must all be logged.
    pub expect_ids: Vec<u32>,
    /// Rules of which none may be logged.
    pub no_expect_ids: Vec<u32>,
    /// An expression that a log line must match.
    pub match_regex: Option<String>,
    /// An expression that no log line may match.
    pub no_match_regex: Option<String>,
}

impl Log {
    /// Whether nothing is expected of the log.
    pub fn is_empty(&self) -> bool {
        self.expect_ids.is_empty()
            && self.no_expect_ids.is_empty()
            && self.match_regex.is_none()
            && self.no_match_regex.is_none()
    }
}
