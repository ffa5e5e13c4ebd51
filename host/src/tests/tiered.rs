use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::mock::{ALL, MockBackend, environment, fields, head, pooled, proceed, respond, wasm};
use crate::{
    Backend, BodyDecision, Chain, CompiledModule, ConfigureBuf, Filter, HeadDecision, Limits, LoadError,
    Metering, NoServices, OnPromotion, Policy, Promotion, Source, Tiered,
};
use picket_abi::Phase;

/// An engine that compiles when it is told to, and what it is told decides.
struct Slow {
    engine: MockBackend,
    told: Mutex<Receiver<Result<(), LoadError>>>,
}

impl Backend for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        self.told.lock().unwrap().recv().unwrap()?;
        self.engine.compile(wasm, limits)
    }
}

/// Two engines: the first lets pass, the second answers 403.
struct Engines {
    backend: Tiered,
    first: Arc<MockBackend>,
    tell: Sender<Result<(), LoadError>>,
    promotions: Receiver<String>,
}

fn engines() -> Engines {
    let first = Arc::new(MockBackend::new(|_, _, _| Ok(proceed())));
    let second = MockBackend::new(|phase, _, _| {
        Ok(if phase == Phase::RequestHead { respond(403) } else { proceed() })
    });
    let (tell, told) = channel();
    let (promoted, promotions) = channel();
    let promoted = Mutex::new(promoted);
    let on_promotion: OnPromotion = Arc::new(move |promotion: Promotion<'_>| {
        let line = match promotion {
            Promotion::Compiled { .. } => "compiled".to_string(),
            Promotion::Refused { error } => error.to_string(),
        };
        promoted.lock().unwrap().send(line).unwrap();
    });
    let second = Arc::new(Slow { engine: second, told: Mutex::new(told) });
    let backend = Tiered::new(Arc::clone(&first) as Arc<dyn Backend>, second, on_promotion);
    Engines { backend, first, tell, promotions }
}

fn load(backend: &dyn Backend, policy: Policy) -> Arc<Filter> {
    let wasm = wasm(ALL);
    let source = Source { id: "f", wasm: &wasm };
    Arc::new(Filter::load(backend, source, policy, ConfigureBuf::default(), environment(NoServices)).unwrap())
}

#[test]
fn a_filter_serves_from_the_first_engine_until_the_second_is_ready() {
    let engines = engines();
    let filter = load(&engines.backend, pooled(8));
    assert_eq!(filter.metadata().backend, "slow");
    let chain = Chain::new(vec![Arc::clone(&filter)]);
    let none = fields(&[]);
    assert_eq!(chain.begin().request_head(&head(&none)), HeadDecision::Continue);
    let mut under_way = chain.begin();
    assert_eq!(under_way.request_head(&head(&none)), HeadDecision::Continue);
    assert_eq!(chain.begin().request_head(&head(&none)), HeadDecision::Continue);
    assert_eq!(engines.first.counts.instances(), 2, "one that was idle, one that is under way");

    engines.tell.send(Ok(())).unwrap();
    assert_eq!(engines.promotions.recv().unwrap(), "compiled");
    assert!(matches!(chain.begin().request_head(&head(&none)), HeadDecision::Respond(_)));
    assert_eq!(engines.first.counts.alive(), 1, "the idle one is dropped");

    assert_eq!(under_way.request_body(b"x", true), BodyDecision::Continue);
    drop(under_way);
    assert_eq!(engines.first.counts.alive(), 0, "a transaction ends on the engine it began on, which is all");
    assert_eq!(engines.first.counts.instances(), 2);
    assert_eq!(filter.live_instances(), 1);
}

#[test]
fn what_the_second_engine_refuses_stays_with_the_first() {
    let engines = engines();
    let chain = Chain::new(vec![load(&engines.backend, pooled(8))]);
    engines.tell.send(Err(LoadError::engine("no"))).unwrap();
    assert_eq!(engines.promotions.recv().unwrap(), "the engine refuses the module: no");
    let none = fields(&[]);
    assert_eq!(chain.begin().request_head(&head(&none)), HeadDecision::Continue);
    assert_eq!(engines.first.counts.instances(), 1, "and is kept idle");
}

#[test]
fn amounts_that_are_an_engines_own_are_never_mixed() {
    let engines = engines();
    engines.tell.send(Ok(())).unwrap();
    let mut policy = pooled(8);
    policy.limits.metering = Metering::Native;
    let chain = Chain::new(vec![load(&engines.backend, policy)]);
    assert!(matches!(chain.begin().request_head(&head(&fields(&[]))), HeadDecision::Respond(_)));
    assert_eq!(engines.first.counts.instances(), 0);
}
