//! Host functions as a filter uses them, against the mock host.

use picket_guest::mock::{Filtered, MockReply, Request, host};
use picket_guest::{
    ConfigError, Configure, FetchRequest, Filter, Header, HostStatus, LogLevel, OutcomeBuf, RequestHead,
    SeqBuf, emit, export, http_fetch, kv_get, kv_remove, kv_set, log, now, proceed, random, respond,
};

/// Does what the path says, and answers with what came out.
struct Everything;

impl Filter for Everything {
    fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> {
        Ok(Everything)
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        match self.act(head) {
            Ok(text) => respond(200).body(text).into(),
            Err(status) => respond(500).body(status.to_string()).into(),
        }
    }
}

impl Everything {
    fn act(&self, head: &RequestHead<'_>) -> Result<Vec<u8>, HostStatus> {
        let argument = head.query().unwrap_or_default();
        Ok(match head.path() {
            b"/log" => {
                log(LogLevel::Warn, "odd");
                Vec::new()
            }
            b"/emit" => {
                emit("seen", 2);
                Vec::new()
            }
            b"/set" => {
                kv_set(b"key", argument, 1_000)?;
                Vec::new()
            }
            b"/get" => kv_get(b"key")?.unwrap_or_else(|| b"nothing".to_vec()),
            b"/remove" => {
                kv_remove(b"key")?;
                Vec::new()
            }
            b"/fetch" => {
                let mut headers = SeqBuf::<Header<'static>>::new();
                headers.push(Header { name: "Accept".into(), value: "*/*".into() });
                let request = FetchRequest {
                    method: "GET".into(),
                    uri: "http://auth.internal/".into(),
                    headers: headers.as_seq(),
                    ..FetchRequest::default()
                };
                let reply = http_fetch(&request, 100)?;
                let response = reply.response();
                format!("{} {:?} {}", response.status, response.headers.first(b"x-user"), response.body)
                    .into()
            }
            b"/now" => now().to_string().into(),
            b"/random" => {
                let mut bytes = vec![0; 20];
                random(&mut bytes);
                bytes
            }
            _ => b"?".to_vec(),
        })
    }
}

export! {
    Everything {
        name: "everything",
        version: "1",
        kind: "test",
        phases: [request_head],
        capabilities: [log, emit, kv, http_fetch, now, random],
    }
}

/// The status and body of the filter's answer to `target`.
fn answer(target: &str) -> (u16, String) {
    let mut filter = Filtered::<Everything>::new(&[]).unwrap();
    let answer = filter.request(&Request::get(target));
    (answer.status().unwrap(), String::from_utf8_lossy(answer.body().unwrap()).into_owned())
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[test]
fn logs_and_counters_reach_the_host() {
    answer("/log");
    answer("/emit");
    answer("/emit");
    host(|host| {
        assert_eq!(host.logs(), [(LogLevel::Warn, "odd".to_owned())]);
        assert_eq!(host.counter("seen"), 4);
        assert_eq!(host.counter("unseen"), 0);
    });
}

#[test]
fn a_value_lives_until_its_time_is_over() {
    assert_eq!(answer("/get"), ok("nothing"));
    answer("/set?one");
    assert_eq!(answer("/get"), ok("one"));
    host(|host| host.set_now(1_700_000_000_999_999));
    assert_eq!(answer("/get"), ok("one"));
    host(|host| host.set_now(1_700_000_001_000_000));
    assert_eq!(answer("/get"), ok("nothing"));
}

#[test]
fn a_value_of_any_length_is_read_whole() {
    for len in [1, 255, 256, 257, 70_000] {
        let value = "v".repeat(len);
        answer(&format!("/set?{value}"));
        assert_eq!(answer("/get"), ok(&value));
    }
    answer("/remove");
    assert_eq!(answer("/get"), ok("nothing"));
    assert_eq!(answer("/remove"), ok(""));
}

#[test]
fn an_empty_value_is_not_stored_by_mistake() {
    answer("/set?kept");
    assert_eq!(answer("/set?"), (500, "invalid arguments".to_owned()));
    assert_eq!(answer("/get"), ok("kept"));
}

#[test]
fn a_fetch_is_answered_by_the_test() {
    assert_eq!(answer("/fetch"), (500, "denied by the host's policy".to_owned()));
    host(|host| {
        host.answer_fetches(|request| {
            assert_eq!(request.uri, "http://auth.internal/");
            assert_eq!(request.headers.first(b"accept").unwrap(), "*/*");
            Ok(MockReply {
                status: 200,
                headers: vec![("X-User".to_owned(), "alice".to_owned())],
                body: b"welcome".to_vec(),
            })
        });
    });
    assert_eq!(answer("/fetch"), ok("200 Some(\"alice\") welcome"));
    host(|host| host.answer_fetches(|_| Err(HostStatus::Timeout)));
    assert_eq!(answer("/fetch"), (500, "timed out".to_owned()));
}

#[test]
fn a_reply_that_does_not_fit_is_an_error_and_no_second_request() {
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = asked.clone();
    host(|host| {
        host.answer_fetches(move |_| {
            count.set(count.get() + 1);
            Ok(MockReply { status: 200, body: vec![b'x'; 200], ..MockReply::default() })
        });
    });
    assert_eq!(answer("/fetch"), (500, "quota exceeded".to_owned()));
    assert_eq!(asked.get(), 1);
}

#[test]
fn clock_and_random_bytes_are_the_tests_own() {
    host(|host| host.set_now(42));
    assert_eq!(answer("/now"), ok("42"));
    let drawn = |seed: u64| {
        host(|host| host.set_seed(seed));
        answer("/random")
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

/// Uses a capability it does not declare.
struct Undeclared;

impl Filter for Undeclared {
    fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> {
        Ok(Undeclared)
    }

    fn request_head(&mut self, _: &RequestHead<'_>) -> OutcomeBuf {
        emit("seen", 1);
        proceed()
    }

    fn log(&mut self, _: &picket_guest::TransactionLog) {
        panic!("a phase that is not declared is not called");
    }
}

mod undeclared {
    picket_guest::export! {
        super::Undeclared { name: "undeclared", version: "1", kind: "test", phases: [request_head] }
    }
}

#[test]
#[should_panic(expected = "add `capabilities: [emit]`")]
fn a_capability_that_is_not_declared_fails_the_test() {
    Filtered::<Undeclared>::new(&[]).unwrap().request(&Request::get("/"));
}

#[test]
fn a_phase_that_is_not_declared_is_not_called() {
    Filtered::<Undeclared>::new(&[]).unwrap().log(&Default::default());
}
