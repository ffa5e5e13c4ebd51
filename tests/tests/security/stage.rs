//! What the cases are played on: backends, modules, chains, requests.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use picket_host::abi::{CapabilitySet, RequestHead, TransactionLog};
use picket_host::{
    Backend, Chain, ConfigureBuf, Environment, Error, FailureKind, Filter, HeadDecision, Isolation,
    LoadError, Metering, Micros, OnFailure, Policy, Reply, ReplyCause, Report, Source, Transaction,
};
use picket_host_wasmi::WasmiBackend;
use picket_host_wasmtime::WasmtimeBackend;

/// Every backend, made once.
pub fn backends() -> [&'static dyn Backend; 2] {
    static WASMI: WasmiBackend = WasmiBackend::new();
    static WASMTIME: OnceLock<WasmtimeBackend> = OnceLock::new();
    [&WASMI, WASMTIME.get_or_init(|| WasmtimeBackend::new().expect("this machine runs wasmtime"))]
}

/// A module of `modules/`, assembled.
pub fn module(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(name).with_extension("wat");
    wat::parse_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All capabilities, fail closed with 503, and so much time that only a test about time runs out of it.
pub fn policy() -> Policy {
    let mut policy = Policy { capabilities: CapabilitySet::ALL, ..Policy::WAF };
    policy.limits.call.deadline = Micros::from_millis(60_000);
    policy.limits.setup.deadline = Micros::from_millis(60_000);
    policy
}

pub fn pooled(policy: Policy) -> Policy {
    Policy { isolation: Isolation::Pooled { max_idle: 4 }, ..policy }
}

pub fn load_bytes(backend: &dyn Backend, id: &str, wasm: &[u8], policy: Policy) -> Result<Filter, LoadError> {
    let environment = Arc::new(Environment::closed());
    Filter::load(backend, Source { id, wasm }, policy, ConfigureBuf::default(), environment)
}

pub fn load(backend: &dyn Backend, name: &str, policy: Policy) -> Result<Filter, LoadError> {
    load_bytes(backend, name, &module(name), policy)
}

/// A filter that must load.
#[track_caller]
pub fn filter(backend: &dyn Backend, name: &str, policy: Policy) -> Arc<Filter> {
    Arc::new(load(backend, name, policy).unwrap_or_else(|error| panic!("{} {name}: {error}", backend.name())))
}

/// A request that sets off the filter: see the modules.
pub fn attack(id: &[u8]) -> RequestHead<'_> {
    RequestHead { request_id: id.into(), method: "GET".into(), target: "/".into(), ..RequestHead::default() }
}

/// A request that sets off none.
pub fn calm() -> RequestHead<'static> {
    attack(b"")
}

/// Decision and report of a transaction that ends after its head.
pub fn serve(chain: &Chain, head: &RequestHead<'_>) -> (HeadDecision, Report) {
    let mut transaction: Transaction = chain.begin();
    let decision = transaction.request_head(head);
    (decision, transaction.finish(&TransactionLog::default()))
}

/// The answer of a filter that failed closed.
pub fn failed_closed(filter: &Filter, status: u16, kind: FailureKind) -> HeadDecision {
    HeadDecision::Respond(Reply {
        status,
        headers: Default::default(),
        body: Vec::new(),
        filter: Arc::clone(filter.id()),
        cause: ReplyCause::Failure(kind),
    })
}

/// The host still serves: a good guest on the same backend answers.
#[track_caller]
pub fn assert_serves(backend: &dyn Backend) {
    let chain = Chain::new(vec![filter(backend, "good", policy())]);
    let (decision, report) = serve(&chain, &calm());
    assert!(
        matches!(&decision, HeadDecision::Respond(Reply { status: 204, cause: ReplyCause::Verdict, .. })),
        "{}: {decision:?} {report:?}",
        backend.name()
    );
}

/// The policy in both modes of metering.
pub fn metered_both_ways(policy: Policy) -> [Policy; 2] {
    Metering::ALL.map(|metering| {
        let mut policy = policy;
        policy.limits.metering = metering;
        policy
    })
}

/// Plays the attack over every backend in both modes of metering, with fresh and with pooled instances. It
/// must end in `expected`
/// and in a closed answer; then the same filter must serve a calm request, fail in the same way again,
/// and the backend must serve a good guest.
#[track_caller]
pub fn assert_attack(name: &str, policy: Policy, id: &[u8], expected: impl Fn() -> Error) {
    let expected = expected();
    for backend in backends() {
        for policy in [policy, pooled(policy)].into_iter().flat_map(metered_both_ways) {
            let filter = filter(backend, name, policy);
            let chain = Chain::new(vec![Arc::clone(&filter)]);
            for round in 0..2 {
                let (decision, report) = serve(&chain, &attack(id));
                let metering = policy.limits.metering;
                let context = format!("{} {name}, {metering}, round {round}", backend.name());
                let errors: Vec<&Error> = report.failures.iter().map(|failure| &failure.error).collect();
                assert_eq!(errors, [&expected], "{context}");
                let OnFailure::FailClosed { status } = policy.on_failure else {
                    panic!("{context}: fails open")
                };
                assert_eq!(decision, failed_closed(&filter, status, expected.kind()), "{context}");

                let (decision, report) = serve(&chain, &calm());
                assert_eq!(decision, HeadDecision::Continue, "{context}, calm again: {report:?}");
            }
            assert_eq!(filter.counters().failures_of(expected.kind()), 2, "{} {name}", backend.name());
        }
        assert_serves(backend);
    }
}

/// The module must be refused by every backend with this error, and the host must go on.
#[track_caller]
pub fn assert_refused(name: &str, policy: Policy, expected: &LoadError) {
    assert_bytes_refused(name, &module(name), policy, expected);
}

#[track_caller]
pub fn assert_bytes_refused(name: &str, wasm: &[u8], policy: Policy, expected: &LoadError) {
    for backend in backends() {
        for policy in metered_both_ways(policy) {
            let error = load_bytes(backend, name, wasm, policy).map(drop).expect_err("must be refused");
            assert_eq!(&error, expected, "{} {name}, {}", backend.name(), policy.limits.metering);
        }
        assert_serves(backend);
    }
}
