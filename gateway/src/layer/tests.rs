//! The layer before services of `tower`, with real filters on a real engine.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use picket_abi::{ActionBuf, Header, HeaderOp, OutcomeBuf, Phase, SeqBuf};
use picket_host::{Chain, ConfigureBuf, Environment, Filter, Policy, Source};
use tower::{Layer, Service, ServiceExt};

use super::*;
use crate::backend::BackendKind;

/// A guest that answers a phase with a fixed outcome: a head always, a body chunk if it holds the
/// byte `!`.
fn filter(outcomes: &[(Phase, OutcomeBuf)]) -> Arc<Filter> {
    use std::fmt::Write;

    let mut wat = String::from(
        r#"(module (memory (export "memory") 3)
        (func (export "picket_abi") (result i32) (i32.const 65536))
        (func (export "picket_input") (param i32) (result i32) (i32.const 65536))
        (func $marked (param $len i32) (result i32) (local $at i32)
            (local.set $at (i32.const 65536))
            (local.set $len (i32.add (local.get $len) (i32.const 65536)))
            (loop $next
                (if (i32.ge_u (local.get $at) (local.get $len)) (then (return (i32.const 0))))
                (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)) (then (return (i32.const 1))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $next))
            (unreachable))"#,
    );
    for (n, (phase, outcome)) in outcomes.iter().enumerate() {
        let mut bytes = Vec::new();
        outcome.encode_into(&mut bytes);
        let at = n * 1024;
        let data: String = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        let packed = (at as u64) << 32 | bytes.len() as u64;
        let is_body = matches!(phase, Phase::RequestBody | Phase::ResponseBody);
        let _ = write!(
            wat,
            r#"(data (i32.const {at}) "{data}")
            (func (export "{}") (param i32) (result i64) {})"#,
            phase.export(),
            if is_body {
                format!(
                    "(if (result i64) (call $marked (local.get 0)) (then (i64.const {packed})) (else (i64.const 0)))"
                )
            } else {
                format!("(i64.const {packed})")
            },
        );
    }
    wat.push(')');
    let wasm = wat::parse_str(&wat).unwrap();
    let backend = BackendKind::ALL[0].build().unwrap();
    let source = Source { id: "test", wasm: &wasm };
    let environment = Arc::new(Environment::closed());
    let filter = Filter::load(&*backend, source, Policy::EDGE_FUNCTION, ConfigureBuf::default(), environment);
    Arc::new(filter.unwrap())
}

fn outcome(action: ActionBuf) -> OutcomeBuf {
    OutcomeBuf { action, ..OutcomeBuf::default() }
}

fn refusal() -> OutcomeBuf {
    outcome(ActionBuf::Respond { status: 403, headers: SeqBuf::new(), body: Vec::new() })
}

fn replacement(body: &str) -> OutcomeBuf {
    outcome(ActionBuf::Modify { headers: SeqBuf::new(), body: Some(body.into()) })
}

fn chain(outcomes: &[(Phase, OutcomeBuf)]) -> Chain {
    Chain::new(vec![filter(outcomes)])
}

/// What a service saw of a request.
#[derive(Clone, Default)]
struct Seen {
    calls: Arc<AtomicU64>,
    bodies: Arc<Mutex<Vec<Result<Bytes, String>>>>,
    headers: Arc<Mutex<HeaderMap>>,
}

impl Seen {
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn bodies(&self) -> Vec<Result<Bytes, String>> {
        self.bodies.lock().unwrap().clone()
    }
}

/// A service that reads the whole request, remembers it, and answers with `answer`.
fn service<B, R>(
    seen: &Seen,
    answer: R,
) -> impl Service<Request<RequestBody<B>>, Response = Response<R>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    R: Clone + Send + 'static,
{
    let seen = seen.clone();
    tower::service_fn(move |request: Request<RequestBody<B>>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            seen.calls.fetch_add(1, Ordering::Relaxed);
            *seen.headers.lock().unwrap() = request.headers().clone();
            let mut read = Vec::new();
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                    Err(error) => {
                        seen.bodies.lock().unwrap().push(Err(String::from_utf8(read).unwrap()));
                        return Err(error.into());
                    }
                }
            }
            seen.bodies.lock().unwrap().push(Ok(read.into()));
            Ok(Response::new(answer))
        }
    })
}

fn full(text: &str) -> Full<Bytes> {
    Full::from(text.to_owned())
}

/// A body of which the test sends the frames.
type Sender = http_body_util::channel::Sender<Bytes, std::io::Error>;

fn streamed() -> (Sender, Channel<Bytes, std::io::Error>) {
    Channel::new(64)
}

async fn text<B: Body<Data = Bytes, Error = BodyError>>(body: B) -> Result<String, BodyError> {
    Ok(String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap())
}

fn post<B>(body: B) -> Request<B> {
    Request::post("/").body(body).unwrap()
}

#[tokio::test]
async fn a_refused_head_never_reaches_the_service() {
    let seen = Seen::default();
    let guarded = FilterLayer::new(chain(&[(Phase::RequestHead, refusal())])).layer(service(&seen, full("")));
    let request = Request::get("/").header("accept", "application/json").body(full("")).unwrap();
    let response = guarded.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(text(response.into_body()).await.unwrap().contains(&id));
    assert_eq!(seen.calls(), 0);
}

#[tokio::test]
async fn a_small_refused_body_never_reaches_the_service() {
    let seen = Seen::default();
    let guarded =
        FilterLayer::new(chain(&[(Phase::RequestBody, refusal())])).layer(service(&seen, full("ok")));
    let response = guarded.clone().oneshot(post(full("evil!"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(seen.calls(), 0);

    let response = guarded.oneshot(post(full("good"))).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "ok");
    assert_eq!(seen.bodies(), [Ok("good".into())]);
}

#[tokio::test]
async fn a_large_body_that_is_refused_midway_never_arrives_whole() {
    let seen = Seen::default();
    let options = Options { body_window: Some(8), ..Options::default() };
    let guarded = FilterLayer::with_options(chain(&[(Phase::RequestBody, refusal())]), options)
        .layer(service(&seen, full("ok")));
    let (mut sender, body) = streamed();
    let response = tokio::spawn(guarded.oneshot(post(body)));
    for piece in ["0123456789", "abc", "evil!", "rest"] {
        // The body may be gone by then: that is what is asked for.
        let _ = sender.send_data(piece.into()).await;
    }
    drop(sender);
    assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::FORBIDDEN);
    for body in seen.bodies() {
        let read = body.expect_err("the body ended well");
        assert!("0123456789abc".starts_with(&read), "{read}");
    }
}

#[tokio::test]
async fn the_last_piece_of_a_body_with_a_length_is_held_until_it_is_cleared() {
    let seen = Seen::default();
    let options = Options { body_window: Some(4), ..Options::default() };
    let guarded = FilterLayer::with_options(chain(&[(Phase::RequestBody, refusal())]), options)
        .layer(service(&seen, full("ok")));
    let body = full("0123456789evil!");
    let response = guarded.oneshot(post(body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(seen.calls(), 0);
}

#[tokio::test]
async fn events_flow_while_they_are_inspected() {
    let guarded = FilterLayer::new(chain(&[(Phase::ResponseBody, refusal())]));
    let (mut sender, body) = streamed();
    let body = Arc::new(Mutex::new(Some(body)));
    let mut guarded = guarded.layer(tower::service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    }));
    // The head comes before there is any event, and each event before the next.
    let response = guarded.ready().await.unwrap().call(post(full(""))).await.unwrap();
    let mut body = response.into_body();
    for event in ["one", "two"] {
        sender.send_data(event.into()).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    // A refusal now can only break off.
    sender.send_data("evil!".into()).await.unwrap();
    assert!(matches!(body.frame().await, Some(Err(BodyError::Refused))));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_response_with_a_length_can_still_be_refused() {
    let seen = Seen::default();
    let guarded =
        FilterLayer::new(chain(&[(Phase::ResponseBody, refusal())])).layer(service(&seen, full("a secret!")));
    let response = guarded.oneshot(post(full(""))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!text(response.into_body()).await.unwrap().contains("secret"));
}

#[tokio::test]
async fn the_length_follows_what_filters_make_of_a_body() {
    let seen = Seen::default();
    let both =
        [(Phase::RequestBody, replacement("something longer")), (Phase::ResponseBody, replacement("short"))];
    let answered = full("a long answer!");
    let guarded = FilterLayer::new(chain(&both)).layer(
        tower::ServiceBuilder::new()
            .map_response(|mut response: Response<Full<Bytes>>| {
                response.headers_mut().insert(CONTENT_LENGTH, 14.into());
                response
            })
            .service(service(&seen, answered)),
    );
    let mut request = post(full("abc!"));
    request.headers_mut().insert(CONTENT_LENGTH, 4.into());
    let response = guarded.oneshot(request).await.unwrap();
    assert_eq!(seen.headers.lock().unwrap()[CONTENT_LENGTH], "16");
    assert_eq!(seen.bodies(), [Ok("something longer".into())]);
    assert_eq!(response.headers()[CONTENT_LENGTH], "5");
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(text(response.into_body()).await.unwrap(), "short");
}

#[tokio::test]
async fn a_length_that_was_announced_is_not_broken_in_silence() {
    let seen = Seen::default();
    let long = || full(&("x".repeat(20) + "!"));
    let rewriting = |rewrites_bodies| {
        // The mark stands behind the window, which is one frame of a few bytes.
        let options = Options { body_window: Some(0), rewrites_bodies, ..Options::default() };
        FilterLayer::with_options(chain(&[(Phase::RequestBody, replacement("?"))]), options)
            .layer(service(&seen, full("ok")))
    };
    let mut request = post(long());
    request.headers_mut().insert(CONTENT_LENGTH, 21.into());
    rewriting(false).oneshot(request).await.unwrap_err();

    let mut request = post(long());
    request.headers_mut().insert(CONTENT_LENGTH, 21.into());
    rewriting(true).oneshot(request).await.unwrap();
    assert!(!seen.headers.lock().unwrap().contains_key(CONTENT_LENGTH));
    assert_eq!(seen.bodies(), [Err(String::new()), Ok("?".into())]);
}

#[tokio::test]
async fn heads_are_changed_on_both_paths() {
    let seen = Seen::default();
    let set = |name: &str, value: &str| {
        let mut headers = SeqBuf::new();
        headers.push(HeaderOp::Set(Header { name: name.into(), value: value.into() }));
        outcome(ActionBuf::Modify { headers, body: None })
    };
    let both = [(Phase::RequestHead, set("x-in", "1")), (Phase::ResponseHead, set("x-out", "2"))];
    let guarded = FilterLayer::new(chain(&both)).layer(service(&seen, full("ok")));
    let request = Request::get("/").header("x-in", "0").header("x-kept", "k").body(full("")).unwrap();
    let response = guarded.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-out"], "2");
    let headers = seen.headers.lock().unwrap().clone();
    assert_eq!((headers["x-in"].as_bytes(), headers["x-kept"].as_bytes()), (&b"1"[..], &b"k"[..]));
    assert_eq!(headers.get_all("x-in").iter().count(), 1);
}

#[tokio::test]
async fn a_new_body_from_the_head_replaces_the_one_that_comes() {
    let seen = Seen::default();
    let guarded = FilterLayer::new(chain(&[(Phase::RequestHead, replacement("instead"))]))
        .layer(service(&seen, full("ok")));
    let mut request = post(full("what was sent"));
    request.headers_mut().insert(CONTENT_LENGTH, 13.into());
    guarded.oneshot(request).await.unwrap();
    assert_eq!(seen.bodies(), [Ok("instead".into())]);
    assert_eq!(seen.headers.lock().unwrap()[CONTENT_LENGTH], "7");
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_passed_on() {
    let seen = Seen::default();
    let guarded =
        FilterLayer::new(chain(&[(Phase::RequestBody, refusal())])).layer(service(&seen, full("ok")));
    let (mut sender, body) = streamed();
    sender.send_data("half of".into()).await.unwrap();
    sender.abort(std::io::Error::other("gone"));
    let response = guarded.oneshot(post(body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(seen.calls(), 0);
}

#[derive(Default)]
struct Finished(Mutex<Vec<(u16, u64, u64, bool)>>);

impl Observer for Finished {
    fn finished(&self, summary: &Summary<'_>) {
        let answered = summary.report.answered_by.is_some();
        let entry = (summary.status, summary.request_bytes, summary.response_bytes, answered);
        self.0.lock().unwrap().push(entry);
    }
}

#[tokio::test]
async fn every_exchange_is_observed_once() {
    let seen = Seen::default();
    let finished = Arc::new(Finished::default());
    let options = Options { observer: Some(finished.clone()), ..Options::default() };
    let guarded = FilterLayer::with_options(chain(&[(Phase::RequestBody, refusal())]), options)
        .layer(service(&seen, full("answer")));
    let response = guarded.clone().oneshot(post(full("four"))).await.unwrap();
    text(response.into_body()).await.unwrap();
    // A client that leaves before it has read the answer is observed, too.
    drop(guarded.clone().oneshot(post(full("evil!"))).await.unwrap());
    drop(guarded.oneshot(post(full("never polled"))));
    assert_eq!(*finished.0.lock().unwrap(), [(200, 4, 6, false), (403, 5, 0, true)]);
}
