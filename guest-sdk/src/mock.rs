//! A host for tests: a filter behind the real encoding, in plain `cargo test`.
//!
//! ```
//! use picket_guest::mock::{Filtered, Request};
//! # use picket_guest::*;
//! # struct Teapot;
//! # impl Filter for Teapot {
//! #     fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> { Ok(Teapot) }
//! #     fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
//! #         if head.path() == b"/coffee" { respond(418).into() } else { proceed() }
//! #     }
//! # }
//! # export! { Teapot { name: "teapot", version: "1", kind: "example", phases: [request_head] } }
//!
//! let mut teapot = Filtered::<Teapot>::new(&[]).unwrap();
//! assert!(teapot.request(&Request::get("/tea")).is_silent());
//! assert_eq!(teapot.request(&Request::get("/coffee")).status(), Some(418));
//! ```
//!
//! Every message is encoded and decoded on its way in and out, as it would be between a host and a
//! module. What a host would refuse is a failed test: an outcome that does not decode, a phase or a
//! host function that [`export!`](crate::export!) does not declare.
//!
//! The host functions work on a [`MockHost`] of the running thread: [`host`] reaches it. `cargo
//! test` runs each test on a thread of its own, so each test has its own host.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use picket_abi::{
    Action, ActionBuf, BodyChunk, CapabilitySet, Configure, FailureReport, FetchRequest, FetchResponse,
    Header, HeaderOp, HostStatus, LogLevel, Octets, Outcome, OutcomeBuf, Peer, PeerAddr, Phase, RequestHead,
    ResponseHead, SeqBuf, Setting, TransactionLog, Value, encode, encoded_len,
};

pub(crate) use picket_abi::Capability;
use serde::Serialize;

use crate::export::Exported;
use crate::filter::ConfigError;

std::thread_local! {
    static HOST: RefCell<MockHost> = RefCell::new(MockHost::new());
}

/// Calls `look` with the mock host of this thread, to prepare it or to see what the filter did.
///
/// # Panics
/// If it is called from within itself.
pub fn host<T>(look: impl FnOnce(&mut MockHost) -> T) -> T {
    HOST.with(|host| look(&mut host.borrow_mut()))
}

#[track_caller]
pub(crate) fn with_host<T>(needed: Capability, call: impl FnOnce(&mut MockHost) -> T) -> T {
    HOST.with(|host| {
        let mut host = host.borrow_mut();
        assert!(
            host.declared.contains(needed),
            "the filter used the capability `{0}`, which its `export!` does not declare: add \
             `capabilities: [{0}]`",
            needed.name()
        );
        call(&mut host)
    })
}

/// What a mocked fetch brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MockReply {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl MockReply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let headers = header_list(&self.headers);
        let response =
            FetchResponse { status: self.status, headers: headers.as_seq(), body: Octets(&self.body) };
        encoded(&response)
    }
}

type Fetcher = Rc<dyn Fn(&FetchRequest<'_>) -> Result<MockReply, HostStatus>>;

/// The host of a test: logs and counters it was given, a store in memory, a clock that stands
/// still, random bytes from a seed, and answers to fetches that the test gives.
pub struct MockHost {
    declared: CapabilitySet,
    logs: Vec<(LogLevel, String)>,
    counters: BTreeMap<String, i64>,
    store: BTreeMap<Vec<u8>, Stored>,
    now_us: u64,
    seed: u64,
    fetcher: Option<Fetcher>,
}

struct Stored {
    value: Vec<u8>,
    /// In microseconds; `None` for ever.
    until: Option<u64>,
}

impl MockHost {
    fn new() -> Self {
        MockHost {
            declared: CapabilitySet::ALL,
            logs: Vec::new(),
            counters: BTreeMap::new(),
            store: BTreeMap::new(),
            now_us: 1_700_000_000_000_000,
            seed: 1,
            fetcher: None,
        }
    }

    /// The lines that were logged.
    pub fn logs(&self) -> &[(LogLevel, String)] {
        &self.logs
    }

    /// The sum of what was emitted for `counter`.
    pub fn counter(&self, counter: &str) -> i64 {
        self.counters.get(counter).copied().unwrap_or(0)
    }

    /// The stored value of `key`, unless its time is over.
    pub fn stored(&self, key: &[u8]) -> Option<&[u8]> {
        self.kv_get(key).ok()
    }

    /// Sets the wall clock, in microseconds since 1970-01-01T00:00Z.
    pub fn set_now(&mut self, now_us: u64) {
        self.now_us = now_us;
    }

    /// Sets the seed of the random bytes.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Answers fetches with `answer`. Without it every fetch is denied.
    pub fn answer_fetches(
        &mut self,
        answer: impl Fn(&FetchRequest<'_>) -> Result<MockReply, HostStatus> + 'static,
    ) {
        self.fetcher = Some(Rc::new(answer));
    }

    pub(crate) fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.logs.push((level, String::from_utf8_lossy(text).into_owned()));
    }

    pub(crate) fn emit(&mut self, name: &[u8], value: i64) {
        let counter = self.counters.entry(String::from_utf8_lossy(name).into_owned()).or_default();
        *counter = counter.saturating_add(value);
    }

    pub(crate) fn kv_get(&self, key: &[u8]) -> Result<&[u8], HostStatus> {
        match self.store.get(key) {
            Some(stored) if stored.until.is_none_or(|until| until > self.now_us) => Ok(&stored.value),
            _ => Err(HostStatus::NotFound),
        }
    }

    pub(crate) fn kv_set(&mut self, key: &[u8], value: &[u8], ttl_ms: i64) {
        if value.is_empty() {
            self.store.remove(key);
            return;
        }
        let until = u64::try_from(ttl_ms).ok().filter(|&ttl| ttl > 0).map(|ttl| self.now_us + ttl * 1000);
        self.store.insert(key.to_vec(), Stored { value: value.to_vec(), until });
    }

    pub(crate) fn fetcher(&self) -> Option<Fetcher> {
        self.fetcher.clone()
    }

    pub(crate) fn now(&self) -> u64 {
        self.now_us
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): short, and good enough to look random.
    pub(crate) fn random(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(8) {
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.seed;
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            piece.copy_from_slice(&mixed.to_le_bytes()[..piece.len()]);
        }
    }
}

impl fmt::Debug for MockHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockHost")
            .field("logs", &self.logs)
            .field("counters", &self.counters)
            .field("now_us", &self.now_us)
            .finish_non_exhaustive()
    }
}

/// A request for a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Value of `Host`.
    pub authority: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
    /// The client's address and port.
    pub client: Peer,
}

impl Request {
    /// A request with that method.
    pub fn new(method: &str, target: &str) -> Self {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            authority: "example.org".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            client: Peer { addr: PeerAddr::V4([192, 0, 2, 1]), port: 40_000 },
        }
    }

    /// A GET request.
    pub fn get(target: &str) -> Self {
        Request::new("GET", target)
    }

    /// A POST request with a body.
    pub fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        Request::new("POST", target).body(body)
    }

    /// Appends a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
}

/// A response for a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without header fields and body.
    pub fn new(status: u16) -> Self {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Appends a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
}

/// A configured filter in its mock host: one instance, called like a module.
///
/// Phases that the filter does not declare are passed over, as a host would. All methods panic if a
/// host would refuse the outcome.
pub struct Filtered<F> {
    filter: F,
}

impl<F: Exported> Filtered<F> {
    /// Configures the filter with `settings`, dotted keys and values.
    ///
    /// # Errors
    /// The filter's own [`ConfigError`].
    pub fn new(settings: &[(&str, Value<'_>)]) -> Result<Self, ConfigError> {
        Self::with_data(settings, &[])
    }

    /// Configures the filter with `settings` and `data`.
    ///
    /// # Errors
    /// The filter's own [`ConfigError`].
    pub fn with_data(settings: &[(&str, Value<'_>)], data: &[u8]) -> Result<Self, ConfigError> {
        host(|host| host.declared = F::MANIFEST.capabilities);
        let mut list = SeqBuf::<Setting<'static>>::new();
        for (key, value) in settings {
            list.push(Setting { key: Octets(key.as_bytes()), value: *value });
        }
        let message = encoded(&Configure { settings: list.as_seq(), data: Octets(data) });
        F::configure(&decoded(Configure::decode(&message))).map(|filter| Filtered { filter })
    }

    /// The filter itself, to look at its state.
    pub fn filter(&self) -> &F {
        &self.filter
    }

    /// Calls the phase `request_head`.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> Answer {
        let message = encoded(head);
        self.phase(Phase::RequestHead, |filter| filter.request_head(&decoded(RequestHead::decode(&message))))
    }

    /// Calls the phase `request_body`.
    pub fn request_body(&mut self, chunk: &BodyChunk<'_>) -> Answer {
        let message = encoded(chunk);
        self.phase(Phase::RequestBody, |filter| filter.request_body(&decoded(BodyChunk::decode(&message))))
    }

    /// Calls the phase `response_head`.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> Answer {
        let message = encoded(head);
        self.phase(Phase::ResponseHead, |filter| {
            filter.response_head(&decoded(ResponseHead::decode(&message)))
        })
    }

    /// Calls the phase `response_body`.
    pub fn response_body(&mut self, chunk: &BodyChunk<'_>) -> Answer {
        let message = encoded(chunk);
        self.phase(Phase::ResponseBody, |filter| filter.response_body(&decoded(BodyChunk::decode(&message))))
    }

    /// Calls the phase `error`.
    pub fn error(&mut self, report: &FailureReport<'_>) {
        let message = encoded(report);
        self.phase(Phase::Error, |filter| {
            filter.error(&decoded(FailureReport::decode(&message)));
            OutcomeBuf::default()
        });
    }

    /// Calls the phase `log`: what the filter reports.
    pub fn log(&mut self, log: &TransactionLog) -> Answer {
        let message = encoded(log);
        let close = |filter: &mut F| {
            let log = decoded(TransactionLog::decode(&message));
            OutcomeBuf { verdict: filter.close(&log), ..OutcomeBuf::default() }
        };
        self.phase(Phase::Log, close)
    }

    /// Sends a request through the head phase and then, unless that has answered it, its body
    /// through the body phase in one chunk. Returns the last answer that is not silent.
    pub fn request(&mut self, request: &Request) -> Answer {
        let headers = header_list(&request.headers);
        let head = self.request_head(&RequestHead {
            request_id: "test".into(),
            client: request.client,
            method: request.method.as_str().into(),
            authority: request.authority.as_str().into(),
            target: request.target.as_str().into(),
            headers: headers.as_seq(),
            end: request.body.is_empty(),
            protocol: Octets::default(),
            ..RequestHead::default()
        });
        if request.body.is_empty() || head.replaces_body() {
            return head;
        }
        let body = self.request_body(&BodyChunk { offset: 0, end: true, data: Octets(&request.body) });
        if body.is_silent() { head } else { body }
    }

    /// Sends a response through the head phase and its body through the body phase, likewise.
    pub fn response(&mut self, response: &Response) -> Answer {
        let headers = header_list(&response.headers);
        let head = self.response_head(&ResponseHead {
            status: response.status,
            headers: headers.as_seq(),
            end: response.body.is_empty(),
            ..ResponseHead::default()
        });
        if response.body.is_empty() || head.replaces_body() {
            return head;
        }
        let body = self.response_body(&BodyChunk { offset: 0, end: true, data: Octets(&response.body) });
        if body.is_silent() { head } else { body }
    }

    #[track_caller]
    fn phase(&mut self, phase: Phase, call: impl FnOnce(&mut F) -> OutcomeBuf) -> Answer {
        if !F::MANIFEST.phases.contains(phase) {
            return Answer { outcome: OutcomeBuf::default() };
        }
        host(|host| host.declared = F::MANIFEST.capabilities);
        let outcome = call(&mut self.filter);
        let mut message = Vec::new();
        outcome.encode_into(&mut message);
        match Outcome::decode(&message) {
            Ok(outcome) => Answer { outcome: outcome.into() },
            Err(error) => panic!("a host would refuse the outcome of {}: {error}", phase.name()),
        }
    }
}

/// Without the filter, which need not have a form to show; so `unwrap_err` works on every filter.
impl<F: Exported> fmt::Debug for Filtered<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filtered").field("manifest", &F::MANIFEST).finish_non_exhaustive()
    }
}

/// What a filter answered, as its host got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    outcome: OutcomeBuf,
}

impl Answer {
    /// The whole outcome.
    pub fn outcome(&self) -> Outcome<'_> {
        self.outcome.as_outcome()
    }

    /// Whether the filter had nothing to say.
    pub fn is_silent(&self) -> bool {
        self.outcome.is_silent()
    }

    /// The status of the answer or redirect that the client gets from the filter, if it does.
    pub fn status(&self) -> Option<u16> {
        match self.outcome.action {
            ActionBuf::Respond { status, .. } | ActionBuf::Redirect { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The body of the filter's answer, or what it puts in place of a body or chunk.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.outcome.action {
            ActionBuf::Respond { body, .. } => Some(body),
            ActionBuf::Modify { body, .. } => body.as_deref(),
            _ => None,
        }
    }

    /// The value of the header `name` of the filter's own answer.
    pub fn header(&self, name: &str) -> Option<Octets<'_>> {
        match &self.outcome.action {
            ActionBuf::Respond { headers, .. } => headers.as_seq().first(name.as_bytes()),
            ActionBuf::Redirect { location, .. } if name.eq_ignore_ascii_case("location") => {
                Some(Octets(location))
            }
            _ => None,
        }
    }

    /// Whether the audit log gets the word `tag`.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.outcome.verdict.tags.iter().any(|word| word == tag)
    }

    /// `headers` after the filter's changes: what the next hop gets to see.
    pub fn applied_to(&self, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let text = |octets: Octets<'_>| String::from_utf8_lossy(&octets).into_owned();
        let mut list: Vec<(String, String)> =
            headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Action::Modify { headers, .. } = self.outcome.as_outcome().action {
            for change in headers {
                match change {
                    HeaderOp::Set(Header { name, value }) => {
                        list.retain(|(there, _)| !name.eq_ignore_ascii_case(there.as_bytes()));
                        list.push((text(name), text(value)));
                    }
                    HeaderOp::Append(Header { name, value }) => list.push((text(name), text(value))),
                    HeaderOp::Remove(name) => {
                        list.retain(|(there, _)| !name.eq_ignore_ascii_case(there.as_bytes()));
                    }
                }
            }
        }
        list
    }

    fn replaces_body(&self) -> bool {
        match &self.outcome.action {
            ActionBuf::Continue => false,
            ActionBuf::Modify { body, .. } => body.is_some(),
            ActionBuf::Respond { .. } | ActionBuf::Redirect { .. } => true,
        }
    }
}

fn header_list(headers: &[(String, String)]) -> SeqBuf<Header<'static>> {
    let mut list = SeqBuf::new();
    for (name, value) in headers {
        list.push(Header { name: name.as_str().into(), value: value.as_str().into() });
    }
    list
}

fn encoded<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; encoded_len(message)];
    let len = encode(message, &mut bytes).expect("the buffer has the length that the message needs");
    bytes.truncate(len);
    bytes
}

#[track_caller]
fn decoded<M>(message: Result<M, picket_abi::DecodeError>) -> M {
    message.expect("a message that was just encoded decodes")
}
