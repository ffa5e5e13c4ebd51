//! What judges: the native engine, and a module on each backend with each kind of instances.

use std::path::Path;
use std::sync::OnceLock;

use picket_abi::{ActionBuf, BodyChunk, Configure, Octets, OutcomeBuf, RequestHead, SeqBuf, Setting, Value};
use picket_conformance::{
    Answer, Judgement, Request, RuleMatch, Sandbox, header_buf, pairs, request_head, settings_buf,
};
use picket_host::{Backend, Isolation, Limits, Metering};
use picket_host_wasmi::WasmiBackend;
use picket_host_wasmtime::WasmtimeBackend;
use picket_waf::{RuleSet, Waf};

use crate::guests::guest_module;

/// A WAF that judges requests.
pub struct Engine {
    name: String,
    kind: Kind,
}

enum Kind {
    Native(Box<Waf>),
    Sandbox(Sandbox),
}

/// The built-in WAF with these settings, natively and on every lane of [`sandboxes`].
///
/// # Panics
/// If one of them cannot be set up.
pub fn engines(settings: &[(&str, Value<'_>)]) -> Vec<Engine> {
    let settings = settings_buf(settings);
    let rules = RuleSet::load(picket_waf_rules::BUILTIN).expect("the built-in ruleset is one");
    let configure = Configure { settings: settings.as_seq(), data: Octets::default() };
    let waf = Waf::configure(rules, &configure).expect("the WAF takes its settings");
    let native = Engine { name: "native".into(), kind: Kind::Native(Box::new(waf)) };
    let sandboxes = sandboxes(&guest_module("picket_waf_guest"), &settings);
    std::iter::once(native)
        .chain(
            sandboxes
                .into_iter()
                .map(|lane| Engine { name: lane.name().to_owned(), kind: Kind::Sandbox(lane) }),
        )
        .collect()
}

impl Engine {
    /// `native`, `wasmi fresh`, `wasmi pooled`, `wasmtime fresh`, `wasmtime pooled`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts fuel.
    pub fn is_sandboxed(&self) -> bool {
        matches!(self.kind, Kind::Sandbox(_))
    }

    /// Shows it a request, up to its answer or to the request's end, and tells the fuel that took.
    ///
    /// # Panics
    /// If the filter fails: no request may bring that about.
    pub fn judge(&mut self, request: &Request) -> (Judgement, u64) {
        match &mut self.kind {
            Kind::Native(waf) => {
                let headers = header_buf(&request.headers);
                (judge_natively(waf, &request_head(request, &headers), &request.body), 0)
            }
            Kind::Sandbox(sandbox) => sandbox.judge(request),
        }
    }
}

fn judge_natively(waf: &mut Waf, head: &RequestHead<'_>, body: &[u8]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut outcome = waf.request_head(head);
    let mut offset = 0;
    loop {
        judgement.matches.extend(outcome.verdict.matches.iter().map(RuleMatch::from));
        judgement.answer = answered(&outcome);
        if judgement.answer.is_some() || offset == body.len() {
            judgement.score = waf.score();
            return judgement;
        }
        // The pieces a guest gets.
        let data = &body[offset..body.len().min(offset + Limits::WAF.chunk_bytes)];
        let end = offset + data.len() == body.len();
        outcome = waf.request_body(&BodyChunk { offset: offset as u64, end, data: Octets(data) });
        offset += data.len();
    }
}

fn answered(outcome: &OutcomeBuf) -> Option<Answer> {
    match &outcome.action {
        ActionBuf::Continue => None,
        ActionBuf::Respond { status, headers, body } => {
            Some(Answer { status: *status, headers: pairs(headers), body: body.clone() })
        }
        other => panic!("the WAF neither modifies nor redirects: {other:?}"),
    }
}

/// The backends, one each for the process: a backend has threads and pools of its own.
///
/// # Panics
/// If a backend cannot be started.
pub fn backends() -> &'static [Box<dyn Backend>] {
    static BACKENDS: OnceLock<Vec<Box<dyn Backend>>> = OnceLock::new();
    BACKENDS.get_or_init(|| {
        let wasmtime = WasmtimeBackend::new().expect("wasmtime starts on this machine");
        vec![Box::new(WasmiBackend::new()), Box::new(wasmtime)]
    })
}

/// The module on wasmi and on wasmtime, with fresh and with pooled instances.
///
/// # Panics
/// If it does not load.
pub fn sandboxes(module: &Path, settings: &SeqBuf<Setting<'static>>) -> Vec<Sandbox> {
    sandboxes_metered(module, settings, Metering::Canonical)
}

/// As [`sandboxes`], with that mode of metering.
///
/// # Panics
/// As [`sandboxes`].
pub fn sandboxes_metered(
    module: &Path,
    settings: &SeqBuf<Setting<'static>>,
    metering: Metering,
) -> Vec<Sandbox> {
    let wasm = std::fs::read(module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let mut lanes = Vec::new();
    for backend in backends() {
        for isolation in [Isolation::Fresh, Isolation::Pooled { max_idle: 1 }] {
            let lane = Sandbox::load_metered(&**backend, &wasm, settings, isolation, metering);
            lanes.push(lane.unwrap_or_else(|error| {
                panic!("{}: {} {isolation:?}: {error}", module.display(), backend.name())
            }));
        }
    }
    lanes
}
