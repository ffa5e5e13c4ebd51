//! What the builders and settings give, as a host sees it.

use picket_guest::mock::{Filtered, Request, Response};
use picket_guest::{
    BodyChunk, ConfigError, Configure, Filter, Match, OutcomeBuf, RequestHead, ResponseHead, Settings,
    Severity, Value, export, modify, proceed, redirect, respond,
};

struct Door {
    closed: bool,
    limit: i64,
    notice: String,
    moved: Vec<(String, String)>,
}

impl Filter for Door {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        config.allow_only(&["closed", "limit", "notice", "moved."])?;
        let mut moved = Vec::new();
        for (from, to) in config.under("moved.") {
            let to = to.as_text().and_then(|to| to.as_str()).ok_or("`moved` holds texts")?;
            moved.push((from.to_owned(), to.to_owned()));
        }
        Ok(Door {
            closed: config.flag("closed")?.unwrap_or(false),
            limit: config.int("limit")?.unwrap_or(10),
            notice: config.text("notice")?.unwrap_or("closed").to_owned(),
            moved,
        })
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        if self.closed {
            return respond(503).header("Retry-After", "60").body(&self.notice).tag("door").into();
        }
        for (from, to) in &self.moved {
            if head.path() == from.as_bytes() {
                return redirect(301, to).into();
            }
        }
        proceed()
    }

    fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        if chunk.data.len() as i64 > self.limit {
            let matched = Match {
                rule_id: 7,
                severity: Severity::Error,
                score: 4,
                matched: chunk.data,
                ..Match::default()
            };
            return respond(413).matched(matched).matched(Match { score: 3, ..matched }).into();
        }
        modify().body(chunk.data.to_ascii_uppercase()).into()
    }

    fn response_head(&mut self, _: &ResponseHead<'_>) -> OutcomeBuf {
        modify().into()
    }
}

export! {
    Door {
        name: "door",
        version: env!("CARGO_PKG_VERSION"),
        kind: "test",
        phases: [request_head, request_body, response_head],
        body_window: 64,
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

#[test]
fn an_answer_carries_all_it_was_given() {
    let mut door =
        Filtered::<Door>::new(&[("closed", Value::Bool(true)), ("notice", text("back at noon"))]).unwrap();
    let answer = door.request(&Request::get("/"));
    assert_eq!(answer.status(), Some(503));
    assert_eq!(answer.header("retry-after").unwrap(), "60");
    assert_eq!(answer.body(), Some(&b"back at noon"[..]));
    assert!(answer.has_tag("door"));
}

#[test]
fn a_redirect_names_its_target() {
    let mut door = Filtered::<Door>::new(&[("moved./old", text("/new"))]).unwrap();
    let answer = door.request(&Request::get("/old?a=b"));
    assert_eq!((answer.status(), answer.header("Location").unwrap()), (Some(301), "/new".into()));
    assert!(door.request(&Request::get("/other")).is_silent());
}

#[test]
fn a_body_is_replaced_or_refused() {
    let mut door = Filtered::<Door>::new(&[("limit", Value::Int(4))]).unwrap();
    assert_eq!(door.request(&Request::post("/", "abcd")).body(), Some(&b"ABCD"[..]));
    let refused = door.request(&Request::post("/", "abcde"));
    assert_eq!(refused.status(), Some(413));
    let verdict = refused.outcome().verdict;
    assert_eq!(verdict.score, 7);
    let matches: Vec<(u32, u32)> =
        verdict.matches.iter().map(|matched| (matched.rule_id, matched.score)).collect();
    assert_eq!(matches, [(7, 4), (7, 3)]);
}

#[test]
fn changes_that_change_nothing_are_silent() {
    let mut door = Filtered::<Door>::new(&[]).unwrap();
    assert!(door.response(&Response::new(200)).is_silent());
}

#[test]
fn settings_are_typed_and_known() {
    let refusal =
        |key: &str, value: Value<'_>| Filtered::<Door>::new(&[(key, value)]).unwrap_err().to_string();
    assert_eq!(refusal("limit", text("4")), "setting `limit` must be a whole number");
    assert_eq!(refusal("closed", Value::Int(1)), "setting `closed` must be true or false");
    assert_eq!(refusal("notice", Value::Float(0.5)), "setting `notice` must be text");
    assert_eq!(refusal("notice", Value::Text((&b"\xff"[..]).into())), "setting `notice` must be text");
    assert_eq!(refusal("moved./a", Value::Int(1)), "`moved` holds texts");
    assert_eq!(
        refusal("closd", Value::Bool(true)),
        "unknown setting `closd`; there are: closed, limit, notice, moved."
    );
    // Of two values the later one counts.
    let mut door = Filtered::<Door>::new(&[("limit", Value::Int(1)), ("limit", Value::Int(9))]).unwrap();
    assert_eq!(door.request(&Request::post("/", "12345")).status(), None);
}
