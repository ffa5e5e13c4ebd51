//! Any exchange through the engine natively and as a guest: the same matches, scores and answers, from fresh
//! instances and from one that has served many.
//!
//! `PICKET_GUESTS_DIR` is where the guest module lies; by default `target/guests` of the main workspace, where
//! `cargo xtask guests` puts it. `FUZZ_RULES` names rule files to take instead of our own.
#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use picket_abi::{
    ActionBuf, BodyChunk, CapabilitySet, Header, Match, Octets, OutcomeBuf, SeqBuf, TransactionLog,
};
use picket_fuzz::{Exchange, chosen};
use picket_host::{
    Backend, BodyDecision, Chain, ConfigureBuf, Environment, Filter, Fuel, HeadDecision, Isolation, Micros,
    Policy, Reply, Source, attach,
};
use picket_host_wasmi::WasmiBackend;
use picket_seclang::{Guard, NoServices, RuleSet, Settings};

static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| chosen(true));

/// The engine as a guest.
struct Lane {
    name: String,
    chain: Chain,
}

static LANES: LazyLock<Vec<Lane>> = LazyLock::new(|| {
    let folder = std::env::var_os("PICKET_GUESTS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests")),
        PathBuf::from,
    );
    let path = folder.join("picket_seclang_guest.wasm");
    let guest = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let wasm = attach(&guest, &BLOB).expect("the guest takes data");
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(WasmiBackend::new())];
    #[cfg(feature = "wasmtime")]
    backends.push(Box::new(picket_host_wasmtime::WasmtimeBackend::new().expect("wasmtime starts")));
    backends.reverse();
    let mut lanes = Vec::new();
    for backend in &backends {
        for isolation in [Isolation::Fresh, Isolation::Pooled { max_idle: 1 }] {
            let mut policy = Policy { isolation, capabilities: CapabilitySet::ALL, ..Policy::WAF };
            // What is compared is the outcome, not the time.
            for budget in [&mut policy.limits.call, &mut policy.limits.setup] {
                budget.deadline = Micros::from_millis(60_000);
                budget.fuel = Fuel(5_000_000_000);
            }
            policy.limits.memory_bytes = 64 << 20;
            let filter = Filter::load(
                &**backend,
                Source { id: "filter", wasm: &wasm },
                policy,
                ConfigureBuf { settings: SeqBuf::new(), data: Vec::new() },
                Arc::new(Environment::closed()),
            )
            .expect("the guest loads");
            let name = format!("{} {isolation:?}", backend.name());
            lanes.push(Lane { name, chain: Chain::new(vec![Arc::new(filter)]) });
        }
    }
    lanes
});

/// A match as a user sees it.
type Found = (u32, u32, Vec<u8>, Vec<u8>, Vec<u8>, usize);

fn found(found: Match<'_>) -> Found {
    (
        found.rule_id,
        found.score,
        found.message.bytes().into(),
        found.location.bytes().into(),
        found.matched.bytes().into(),
        found.tags.iter().count(),
    )
}

/// An answer: its status, and where a redirection leads.
type Answer = (u16, Option<Vec<u8>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Judgement {
    matches: Vec<Found>,
    score: u32,
    answer: Option<Answer>,
}

impl Judgement {
    /// Adds an outcome of the engine; true if it is an answer.
    fn take(&mut self, outcome: &OutcomeBuf) -> bool {
        self.matches.extend(outcome.verdict.matches.iter().map(found));
        self.score = outcome.verdict.score;
        let answer = match &outcome.action {
            ActionBuf::Continue => return false,
            ActionBuf::Respond { status, .. } => (*status, None),
            ActionBuf::Redirect { status, location } => (*status, Some(location.clone())),
            other => panic!("neither an answer nor none: {other:?}"),
        };
        self.answer = Some(answer);
        true
    }
}

fn natively(exchange: &Exchange) -> Judgement {
    let rules = RuleSet::from_trusted(&BLOB).expect("compiled here");
    let mut guard = Guard::new(rules, Settings::default(), NoServices);
    let mut judgement = Judgement::default();
    native_phases(&mut guard, exchange, &mut judgement);
    judgement.take(&guard.log());
    judgement
}

fn native_phases(guard: &mut Guard<'_, NoServices>, exchange: &Exchange, judgement: &mut Judgement) {
    let mut headers = SeqBuf::new();
    let end = exchange.body.is_empty();
    if judgement.take(&guard.request_head(&exchange.head(&mut headers, end))) {
        return;
    }
    let chunk = |data| BodyChunk { offset: 0, end: true, data: Octets(data) };
    if !end && judgement.take(&guard.request_body(&chunk(&exchange.body))) {
        return;
    }
    let mut headers = SeqBuf::<Header<'static>>::new();
    if let (Some(head), Some((_, _, body))) = (exchange.response_head(&mut headers), &exchange.response)
        && !judgement.take(&guard.response_head(&head))
    {
        judgement.take(&guard.response_body(&chunk(body)));
    }
}

fn answer(reply: &Reply) -> Answer {
    let location = reply.headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"location"));
    (reply.status, location.map(|header| header.value.bytes().into()))
}

fn sandboxed(lane: &Lane, exchange: &Exchange) -> Judgement {
    let mut transaction = lane.chain.begin();
    let head_reply = |decision| match decision {
        HeadDecision::Continue => None,
        HeadDecision::Respond(reply) => Some(answer(&reply)),
        HeadDecision::Modify { .. } => panic!("the engine modifies nothing"),
    };
    let body_reply = |decision| match decision {
        BodyDecision::Continue => None,
        BodyDecision::Respond(reply) => Some(answer(&reply)),
        BodyDecision::Replace(_) => panic!("the engine replaces nothing"),
    };
    let mut headers = SeqBuf::new();
    let end = exchange.body.is_empty();
    let mut reply = head_reply(transaction.request_head(&exchange.head(&mut headers, end)));
    if reply.is_none() && !end {
        reply = body_reply(transaction.request_body(&exchange.body, true));
    }
    let mut headers = SeqBuf::<Header<'static>>::new();
    if reply.is_none()
        && let (Some(head), Some((_, _, body))) = (exchange.response_head(&mut headers), &exchange.response)
    {
        reply = head_reply(transaction.response_head(&head));
        if reply.is_none() {
            reply = body_reply(transaction.response_body(body, true));
        }
    }
    let report = transaction.finish(&TransactionLog::default());
    assert!(report.failures.is_empty(), "{}: {:?}", lane.name, report.failures);
    Judgement {
        matches: report.matches().map(|(_, it)| found(it)).collect(),
        score: report.score(),
        answer: reply,
    }
}

fuzz_target!(init: LazyLock::force(&LANES), |data: &[u8]| {
    // What is not sent to a guest: a protocol of any name.
    let exchange = Exchange { protocol: Vec::new(), ..Exchange::of(data) };
    let native = natively(&exchange);
    // A location that is no header value is the host's to refuse.
    if let Some((_, Some(location))) = &native.answer
        && !location.iter().all(|byte| matches!(byte, b' '..=b'~'))
    {
        return;
    }
    for lane in LANES.iter() {
        let judgement = sandboxed(lane, &exchange);
        assert_eq!(native, judgement, "{} (right) is not what the engine says", lane.name);
    }
});
