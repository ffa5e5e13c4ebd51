use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::Mutex;

use picket_abi::{
    ActionBuf, FailureReport, FailureSource, HeaderOp, Match, OutcomeBuf, Phase, RequestHead, ResponseHead,
    SeqBuf, TransactionLog, VerdictBuf,
};

use super::mock::{
    ALL, MockBackend, acting, change, chunk_text, field, fields, filter, head, load, policy, proceed,
    replace_body, respond, texts,
};
use crate::{
    BodyDecision, Chain, Error, FailureKind, Filter, HeadDecision, OnFailure, Policy, ReplyCause, Trap,
};

/// What the filters saw, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A filter that notes the phases it is called for.
fn diarist(id: &'static str, diary: &Diary) -> Arc<Filter> {
    let diary = diary.clone();
    filter(id, move |phase, _, _| {
        diary.note(format!("{id} {}", phase.name()));
        Ok(proceed())
    })
}

/// A filter that notes the pieces of request bodies it is shown.
fn reader(id: &'static str, diary: &Diary) -> Arc<Filter> {
    let diary = diary.clone();
    filter(id, move |phase, message, _| {
        if phase == Phase::RequestBody {
            diary.note(format!("{id} {}", chunk_text(message)));
        }
        Ok(proceed())
    })
}

#[test]
fn requests_pass_from_first_to_last_and_responses_back() {
    let diary = Diary::default();
    let chain = Chain::new(vec![diarist("a", &diary), diarist("b", &diary)]);
    let mut transaction = chain.begin();
    let none = fields(&[]);
    assert_eq!(transaction.request_head(&head(&none)), HeadDecision::Continue);
    assert_eq!(transaction.request_body(b"x", true), BodyDecision::Continue);
    assert_eq!(transaction.response_head(&ResponseHead::default()), HeadDecision::Continue);
    assert_eq!(transaction.response_body(b"x", true), BodyDecision::Continue);
    transaction.finish(&TransactionLog::default());
    assert_eq!(
        diary.take(),
        [
            "a request_head",
            "b request_head",
            "a request_body",
            "b request_body",
            "b response_head",
            "a response_head",
            "b response_body",
            "a response_body",
            "a log",
            "b log",
        ]
    );
}

#[test]
fn a_filter_is_called_for_the_phases_it_exports() {
    let diary = Diary::default();
    let own = diary.clone();
    let backend = MockBackend::new(move |phase, _, _| {
        own.note(phase.name());
        Ok(proceed())
    });
    let only = load(&backend, "only", &[Phase::ResponseHead], policy());
    let chain = Chain::new(vec![Arc::new(only)]);
    assert_eq!(chain.phases().iter().collect::<Vec<_>>(), [Phase::ResponseHead]);
    let mut transaction = chain.begin();
    transaction.request_head(&head(&fields(&[])));
    assert_eq!(backend.counts.instances(), 1, "the one of loading: none is needed yet");
    transaction.request_body(b"x", true);
    transaction.response_head(&ResponseHead::default());
    transaction.finish(&TransactionLog::default());
    assert_eq!(diary.take(), ["response_head"]);
    assert_eq!((backend.counts.instances(), backend.counts.alive()), (2, 0));
}

#[test]
fn changes_of_a_head_flow_on() {
    let diary = Diary::default();
    let first = filter("first", |_, _, _| {
        Ok(change(&[
            HeaderOp::Set(field("x-user", "alice")),
            HeaderOp::Append(field("Via", "picket")),
            HeaderOp::Remove("cookie".into()),
        ]))
    });
    let seen = diary.clone();
    let second = filter("second", move |_, message, _| {
        let head = RequestHead::decode(message).unwrap();
        seen.note(
            head.headers.iter().map(|f| format!("{}={}", f.name, f.value)).collect::<Vec<_>>().join(" "),
        );
        Ok(change(&[HeaderOp::Append(field("X-Second", "2"))]))
    });
    let chain = Chain::new(vec![first, second]);
    let list = fields(&[
        ("Host", "h"),
        ("X-User", "mallory"),
        ("Cookie", "a"),
        ("via", "1.1 edge"),
        ("X-USER", "root"),
        ("Cookie", "b"),
    ]);
    let HeadDecision::Modify { headers: Some(headers), body: None } =
        chain.begin().request_head(&head(&list))
    else {
        panic!("must be modified");
    };
    assert_eq!(diary.take(), ["Host=h via=1.1 edge x-user=alice Via=picket"]);
    assert_eq!(texts(&headers), ["Host: h", "via: 1.1 edge", "x-user: alice", "Via: picket", "X-Second: 2"]);
}

#[test]
fn a_response_is_changed_in_reverse_order() {
    let append =
        |id: &'static str| filter(id, move |_, _, _| Ok(change(&[HeaderOp::Append(field("X-By", id))])));
    let chain = Chain::new(vec![append("outer"), append("inner")]);
    let head = ResponseHead { status: 200, ..ResponseHead::default() };
    let HeadDecision::Modify { headers: Some(headers), .. } = chain.begin().response_head(&head) else {
        panic!("must be modified");
    };
    assert_eq!(texts(&headers), ["X-By: inner", "X-By: outer"]);
}

#[test]
fn a_body_replaced_in_the_head_is_seen_by_the_filters_behind() {
    let diary = Diary::default();
    let replacing = filter("replacing", |phase, _, _| {
        assert_eq!(phase, Phase::RequestHead, "it has said what the body is");
        Ok(replace_body(b"new body"))
    });
    let chain = Chain::new(vec![reader("ahead", &diary), replacing, reader("behind", &diary)]);
    let list = fields(&[("Host", "h"), ("content-length", "3"), ("Transfer-Encoding", "chunked")]);
    let mut transaction = chain.begin();
    let HeadDecision::Modify { headers, body } = transaction.request_head(&head(&list)) else {
        panic!("must be modified");
    };
    assert_eq!(texts(&headers.unwrap()), ["Host: h"], "the old length says nothing about the new body");
    assert_eq!(body.unwrap(), b"new body");
    assert_eq!(diary.take(), ["behind 0new body."]);

    assert_eq!(transaction.request_body(b"old", true), BodyDecision::Replace(Vec::new()));
    assert_eq!(diary.take(), Vec::<String>::new(), "nobody is shown the old body");
}

#[test]
fn a_replaced_body_can_still_be_blocked() {
    let replacing = filter("replacing", |_, _, _| Ok(replace_body(b"attack")));
    let guarding = filter("guarding", |phase, _, _| {
        Ok(if phase == Phase::RequestBody { respond(403) } else { proceed() })
    });
    let chain = Chain::new(vec![replacing, guarding]);
    let decision = chain.begin().request_head(&head(&fields(&[])));
    assert!(matches!(decision, HeadDecision::Respond(reply) if reply.status == 403));
}

fn small_chunks(bytes: usize) -> Policy {
    let mut policy = policy();
    policy.limits.chunk_bytes = bytes;
    policy
}

#[test]
fn a_body_is_shown_in_pieces_that_fit() {
    let diary = Diary::default();
    let seen = diary.clone();
    let backend = MockBackend::new(move |phase, message, _| {
        if phase == Phase::RequestBody {
            seen.note(chunk_text(message));
        }
        Ok(proceed())
    });
    let chain = Chain::new(vec![Arc::new(load(&backend, "small", ALL, small_chunks(4)))]);
    let mut transaction = chain.begin();
    assert_eq!(transaction.request_body(b"abcdefghij", false), BodyDecision::Continue);
    assert_eq!(transaction.request_body(b"", false), BodyDecision::Continue);
    assert_eq!(transaction.request_body(b"klmn", true), BodyDecision::Continue);
    assert_eq!(diary.take(), ["0abcd", "4efgh", "8ij", "10klmn."]);

    let mut transaction = chain.begin();
    transaction.request_body(b"abcd", false);
    transaction.request_body(b"", true);
    assert_eq!(diary.take(), ["0abcd", "4."], "the end is told even if it brings no byte");
}

#[test]
fn a_replaced_piece_stands_in_its_place() {
    let backend = MockBackend::new(|phase, message, _| {
        let replace = phase == Phase::RequestBody && chunk_text(message).starts_with("4");
        Ok(if replace { replace_body(b"<>") } else { proceed() })
    });
    let replacing = Arc::new(load(&backend, "replacing", ALL, small_chunks(4)));
    let diary = Diary::default();
    let chain = Chain::new(vec![replacing, reader("behind", &diary)]);
    let mut transaction = chain.begin();
    assert_eq!(transaction.request_body(b"abcdefghij", false), BodyDecision::Replace(b"abcd<>ij".to_vec()));
    assert_eq!(transaction.request_body(b"kl", true), BodyDecision::Continue);
    assert_eq!(diary.take(), ["behind 0abcd<>ij", "behind 8kl."], "offsets count what the filter was shown");
}

#[test]
fn an_answer_ends_the_way() {
    let diary = Diary::default();
    let answering = filter("answering", |_, _, _| {
        let location = b"/login".to_vec();
        Ok(acting(ActionBuf::Redirect { status: 307, location }))
    });
    let chain = Chain::new(vec![diarist("ahead", &diary), answering, diarist("behind", &diary)]);
    let mut transaction = chain.begin();
    let HeadDecision::Respond(reply) = transaction.request_head(&head(&fields(&[]))) else {
        panic!("must answer");
    };
    assert_eq!((reply.status, reply.cause, &*reply.filter), (307, ReplyCause::Redirect, "answering"));
    assert_eq!(texts(&reply.headers), ["Location: /login"]);
    assert_eq!(diary.take(), ["ahead request_head"]);
    let report = transaction.finish(&TransactionLog::default());
    assert_eq!(report.answered_by.unwrap().1, ReplyCause::Redirect);
    assert_eq!(diary.take(), ["ahead log", "behind log"], "whoever logs sees every transaction");
}

fn scoring(score: u32, rule_id: u32) -> OutcomeBuf {
    let mut matches = SeqBuf::new();
    matches.push(Match { rule_id, ..Match::default() });
    let mut tags = SeqBuf::new();
    tags.push("tag".into());
    OutcomeBuf { action: ActionBuf::Continue, verdict: VerdictBuf { score, matches, tags } }
}

#[test]
fn the_score_is_the_last_of_each_filter_and_their_sum() {
    let a = filter("a", |phase, _, _| Ok(if phase == Phase::Log { proceed() } else { scoring(3, 1) }));
    let b = filter("b", |phase, _, calls| {
        Ok(if phase == Phase::Log { proceed() } else { scoring(5 * (calls + 1), 2 + calls) })
    });
    let chain = Chain::new(vec![a, b]);
    let mut transaction = chain.begin();
    transaction.request_head(&head(&fields(&[])));
    transaction.request_body(b"x", true);
    let report = transaction.finish(&TransactionLog::default());
    assert_eq!(report.score(), 3 + 10);
    let rules: Vec<_> = report.matches().map(|(filter, found)| (filter.to_string(), found.rule_id)).collect();
    assert_eq!(rules, [("a".into(), 1), ("a".into(), 1), ("b".into(), 2), ("b".into(), 3)]);
    assert_eq!(report.tags().count(), 4);
    assert_eq!((report.calls, report.fuel.0), (6, 6 * 7));
}

#[test]
fn a_report_stays_small_however_long_the_body() {
    let backend = MockBackend::new(|_, _, _| {
        let mut outcome = scoring(1, 1);
        outcome.verdict.matches.push(Match { value: "v".repeat(1000).as_str().into(), ..Match::default() });
        Ok(outcome)
    });
    let chain = Chain::new(vec![Arc::new(load(&backend, "chatty", &[Phase::RequestBody], small_chunks(1)))]);
    let mut transaction = chain.begin();
    transaction.request_body(&[b'x'; 5000], true);
    let (_, verdict) = &transaction.report().verdicts[0];
    assert!(verdict.truncated);
    assert!(verdict.matches.encoded().len() < 300_000);
}

#[test]
fn a_failure_is_told_and_counted() {
    let diary = Diary::default();
    let seen = diary.clone();
    let telling = filter("telling", move |phase, message, _| {
        if phase == Phase::Error {
            seen.note(FailureReport::decode(message).unwrap().message.to_string());
        }
        Ok(proceed())
    });
    let failing = filter("failing", |phase, _, _| {
        if phase == Phase::Error { Err(Error::Trap(Trap::Unreachable)) } else { Ok(proceed()) }
    });
    let chain = Chain::new(vec![failing.clone(), telling]);
    let mut transaction = chain.begin();
    let failure = FailureReport { source: FailureSource::Upstream, status: 502, message: "gone".into() };
    transaction.error(&failure);
    let report = transaction.finish(&TransactionLog::default());
    assert_eq!(diary.take(), ["gone"]);
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.answered_by, None, "a failure is reported to it, it does not answer");
    let counters = failing.counters();
    assert_eq!((counters.failures_of(FailureKind::Trap), counters.calls), (1, 1));
}

#[test]
fn outcomes_are_counted_by_kind() {
    let varied = filter("varied", |phase, _, _| {
        Ok(match phase {
            Phase::RequestHead => change(&[HeaderOp::Append(field("A", "1"))]),
            Phase::RequestBody => proceed(),
            Phase::ResponseHead => acting(ActionBuf::Redirect { status: 302, location: b"/".to_vec() }),
            _ => respond(500),
        })
    });
    let chain = Chain::new(vec![varied.clone()]);
    let mut transaction = chain.begin();
    transaction.request_head(&head(&fields(&[])));
    transaction.request_body(b"x", true);
    transaction.response_head(&ResponseHead::default());
    transaction.response_body(b"x", true);
    let counters = varied.counters();
    let kinds = (counters.modified, counters.continued, counters.redirected, counters.responded);
    assert_eq!(kinds, (1, 1, 1, 1));
    assert_eq!((counters.calls, counters.fuel.0, counters.instances), (4, 28, 2));
}

#[test]
fn fail_open_and_fail_closed_stand_side_by_side() {
    let failing = |on_failure| {
        let backend = MockBackend::new(|_, _, _| Err(Error::Trap(Trap::DivisionByZero)));
        Arc::new(load(&backend, "failing", ALL, Policy { on_failure, ..policy() }))
    };
    let open = failing(OnFailure::FailOpen);
    let closed = failing(OnFailure::FailClosed { status: 500 });
    let none = fields(&[]);
    assert_eq!(Chain::new(vec![open.clone()]).begin().request_head(&head(&none)), HeadDecision::Continue);
    let decision = Chain::new(vec![open, closed]).begin().request_head(&head(&none));
    let HeadDecision::Respond(reply) = decision else { panic!("must answer") };
    assert_eq!((reply.status, reply.cause), (500, ReplyCause::Failure(FailureKind::Trap)));
}

#[test]
fn an_empty_chain_lets_everything_pass() {
    let chain = Chain::new(Vec::new());
    assert!(chain.phases().is_empty());
    let mut transaction = chain.begin();
    assert_eq!(transaction.request_head(&head(&fields(&[]))), HeadDecision::Continue);
    assert_eq!(transaction.response_body(b"x", true), BodyDecision::Continue);
    assert_eq!(transaction.finish(&TransactionLog::default()), crate::Report::default());
}
