//! What request and response of one exchange share: the transaction, and what came of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Uri, Version, response};
use picket_abi::{FailureReport, FailureSource, Octets, RequestHead, ResponseHead, Scheme, TransactionLog};
use picket_host::{BodyDecision, HeadDecision, Reply, Report, Transaction};
use tokio::sync::Notify;

/// How the client reached the service. Put it into the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Address and port of the client.
    pub addr: SocketAddr,
    /// Whether it came over TLS.
    pub scheme: Scheme,
}

/// Names an exchange in logs and in answers. Put one into the request's extensions, or the layer
/// makes one up and does so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Sixteen random hexadecimal digits.
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        // Without randomness ids are all alike, which confuses a log and endangers nothing.
        let _ = getrandom::fill(&mut bytes);
        RequestId(format!("{:016x}", u64::from_be_bytes(bytes)).into())
    }

    /// An id from elsewhere, if it is 1 to 128 visible ASCII characters.
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| RequestId(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Put into a response's extensions, says that this is no answer of the service but stands for a
/// failure: the chain is shown the failure in place of the response.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Where it failed.
    pub source: FailureSource,
    /// What happened.
    pub message: String,
}

/// What came of an exchange.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary<'a> {
    /// Id of the exchange.
    pub request_id: &'a RequestId,
    /// Name of the route; empty where there is none.
    pub route: &'a str,
    /// The client, where known.
    pub client: Option<ClientInfo>,
    /// Method of the request.
    pub method: &'a Method,
    /// Target of the request, as it came.
    pub uri: &'a Uri,
    /// The host that was asked for; empty where none was.
    pub authority: &'a str,
    /// Protocol version of the request.
    pub version: Version,
    /// Header fields of the request as they came, if the observer wants them.
    pub request_headers: Option<&'a HeaderMap>,
    /// Header fields of the response, if the observer wants them and there was one.
    pub response_headers: Option<&'a HeaderMap>,
    /// Status that the client got; 0 where it got none.
    pub status: u16,
    /// What the filters said and used.
    pub report: &'a Report,
    /// Bytes of the request's body that were received.
    pub request_bytes: u64,
    /// Bytes of the response's body that were handed on.
    pub response_bytes: u64,
    /// From the request's head to the end of the response.
    pub duration: Duration,
}

/// Told of every exchange when it is over.
pub trait Observer: Send + Sync {
    /// The exchange is over. Called on the task that polled last, so it must not block.
    fn finished(&self, summary: &Summary<'_>);

    /// Whether header fields are to be kept for the summary, which costs a copy of them.
    fn wants_headers(&self) -> bool {
        false
    }
}

/// What an exchange is about, taken from the request.
pub(super) struct Subject {
    pub request_id: RequestId,
    pub route: Arc<str>,
    pub client: Option<ClientInfo>,
    pub method: Method,
    pub uri: Uri,
    pub authority: Box<str>,
    pub version: Version,
    pub headers: Option<HeaderMap>,
}

pub(super) struct Exchange {
    subject: Subject,
    observer: Option<Arc<dyn Observer>>,
    /// Whether a filter may wait for something outside.
    blocking: bool,
    started: Instant,
    state: Mutex<State>,
    refused: Notify,
    cut: AtomicBool,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

struct State {
    /// Gone when the exchange is over.
    transaction: Option<Transaction>,
    /// The answer to a request body that was refused midway, until the client's task takes it.
    reply: Option<Reply>,
    status: u16,
    answered_by_filter: bool,
    response_headers: Option<HeaderMap>,
}

impl Exchange {
    pub(super) fn new(
        subject: Subject,
        transaction: Transaction,
        observer: Option<Arc<dyn Observer>>,
        blocking: bool,
    ) -> Self {
        Exchange {
            subject,
            observer,
            blocking,
            started: Instant::now(),
            state: Mutex::new(State {
                transaction: Some(transaction),
                reply: None,
                status: 0,
                answered_by_filter: false,
                response_headers: None,
            }),
            refused: Notify::new(),
            cut: AtomicBool::new(false),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic inside a filter's call would be a fault of the host; the state is whole anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a phase; `None` if the exchange is over.
    fn phase<R>(&self, phase: impl FnOnce(&mut Transaction) -> R) -> Option<R> {
        self.perhaps_blocking(|| self.state().transaction.as_mut().map(phase))
    }

    /// Runs something in which a filter may wait.
    fn perhaps_blocking<R>(&self, run: impl FnOnce() -> R) -> R {
        let can_block = || {
            tokio::runtime::Handle::try_current()
                .is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread)
        };
        if self.blocking && can_block() { tokio::task::block_in_place(run) } else { run() }
    }

    pub(super) fn request_head(&self, head: &RequestHead<'_>) -> HeadDecision {
        self.phase(|transaction| transaction.request_head(head)).unwrap_or(HeadDecision::Continue)
    }

    /// `None` if the exchange is over: the rest must not pass uninspected.
    pub(super) fn request_body(&self, data: &[u8], end: bool) -> Option<BodyDecision> {
        self.phase(|transaction| transaction.request_body(data, end))
    }

    pub(super) fn response_head(&self, head: &ResponseHead<'_>) -> HeadDecision {
        self.phase(|transaction| transaction.response_head(head)).unwrap_or(HeadDecision::Continue)
    }

    /// `None` if the exchange is over: the rest must not pass uninspected.
    pub(super) fn response_body(&self, data: &[u8], end: bool) -> Option<BodyDecision> {
        self.phase(|transaction| transaction.response_body(data, end))
    }

    pub(super) fn failed(&self, source: FailureSource, status: u16, message: &str) {
        let report = FailureReport { source, status, message: Octets(message.as_bytes()) };
        self.phase(|transaction| transaction.error(&report));
    }

    pub(super) fn count_request(&self, bytes: u64) {
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_response(&self, bytes: usize) {
        self.response_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What the client is about to get.
    pub(super) fn answered(&self, parts: &response::Parts, by_filter: bool) {
        let mut state = self.state();
        state.status = parts.status.as_u16();
        state.answered_by_filter = by_filter;
        state.response_headers = self.subject.headers.is_some().then(|| parts.headers.clone());
    }

    /// A request body was refused while the inner service was reading it.
    pub(super) fn refuse(&self, reply: Reply) {
        self.state().reply = Some(reply);
        self.cut.store(true, Ordering::Release);
        self.refused.notify_one();
    }

    /// Waits until the request body is refused.
    pub(super) async fn refused(&self) -> Reply {
        loop {
            self.refused.notified().await;
            if let Some(reply) = self.take_refusal() {
                return reply;
            }
        }
    }

    pub(super) fn take_refusal(&self) -> Option<Reply> {
        self.state().reply.take()
    }

    /// Whether the request was refused when the response had begun: then that must not end well.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// The exchange is over. Later calls change nothing.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        let Some(transaction) = state.transaction.take() else { return };
        let (status, answered_by_filter) = (state.status, state.answered_by_filter);
        let response_headers = state.response_headers.take();
        drop(state);

        let duration = self.started.elapsed();
        let log = TransactionLog {
            status,
            answered_by_filter,
            request_bytes: self.request_bytes.load(Ordering::Relaxed),
            response_bytes: self.response_bytes.load(Ordering::Relaxed),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        };
        let report = self.perhaps_blocking(|| transaction.finish(&log));
        let Some(observer) = &self.observer else { return };
        observer.finished(&Summary {
            request_id: &self.subject.request_id,
            route: &self.subject.route,
            client: self.subject.client,
            method: &self.subject.method,
            uri: &self.subject.uri,
            authority: &self.subject.authority,
            version: self.subject.version,
            request_headers: self.subject.headers.as_ref(),
            response_headers: response_headers.as_ref(),
            status,
            report: &report,
            request_bytes: log.request_bytes,
            response_bytes: log.response_bytes,
            duration,
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish();
    }
}
