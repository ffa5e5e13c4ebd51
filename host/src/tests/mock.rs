//! A backend whose guests are closures.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use picket_abi::{
    ActionBuf, BodyChunk, CapabilitySet, Header, HeaderOp, OutcomeBuf, PackedSlice, Phase, RequestHead,
    SeqBuf, VerdictBuf,
};

use crate::{
    Backend, Budget, CallContext, Clock, CompiledModule, ConfigureBuf, Environment, Error, Filter, Fuel,
    HostServices, Instance, Isolation, Limits, LoadError, NoServices, Policy, Source,
};

/// What a guest does: given the phase, the message, and how often this instance was called before.
pub(crate) type Script = dyn Fn(Phase, &[u8], u32) -> Result<OutcomeBuf, Error> + Send + Sync;

/// Where the mock's input buffer lies.
const INPUT: u32 = 1024;

/// What the mocks of one backend have been asked for.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) instances: AtomicU32,
    pub(crate) dropped: AtomicU32,
    pub(crate) configured: AtomicU32,
    pub(crate) inputs: AtomicU32,
}

impl Counts {
    pub(crate) fn instances(&self) -> u32 {
        self.instances.load(Ordering::Relaxed)
    }

    pub(crate) fn alive(&self) -> u32 {
        self.instances() - self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn configured(&self) -> u32 {
        self.configured.load(Ordering::Relaxed)
    }

    pub(crate) fn inputs(&self) -> u32 {
        self.inputs.load(Ordering::Relaxed)
    }
}

pub(crate) struct MockBackend {
    pub(crate) script: Arc<Script>,
    pub(crate) counts: Arc<Counts>,
}

impl MockBackend {
    pub(crate) fn new(
        script: impl Fn(Phase, &[u8], u32) -> Result<OutcomeBuf, Error> + Send + Sync + 'static,
    ) -> Self {
        MockBackend { script: Arc::new(script), counts: Arc::default() }
    }
}

impl Backend for MockBackend {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn compile(&self, _: &[u8], _: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        Ok(Box::new(MockModule { script: Arc::clone(&self.script), counts: Arc::clone(&self.counts) }))
    }
}

struct MockModule {
    script: Arc<Script>,
    counts: Arc<Counts>,
}

impl CompiledModule for MockModule {
    fn instantiate(&self, mut context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        context.arm(budget);
        self.counts.instances.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MockInstance {
            script: Arc::clone(&self.script),
            counts: Arc::clone(&self.counts),
            memory: vec![0; 1 << 17],
            context,
            calls: 0,
        }))
    }

    fn compiled_size(&self) -> Option<usize> {
        None
    }
}

struct MockInstance {
    script: Arc<Script>,
    counts: Arc<Counts>,
    memory: Vec<u8>,
    context: CallContext,
    calls: u32,
}

impl Drop for MockInstance {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Instance for MockInstance {
    fn arm(&mut self, budget: &Budget) {
        self.context.arm(budget);
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        Ok(crate::abi::AbiVersion::CURRENT.pack())
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        self.counts.inputs.fetch_add(1, Ordering::Relaxed);
        // Room for 32 KiB and no more.
        Ok(if len <= 1 << 15 { INPUT } else { 0 })
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        if phase == Phase::Configure {
            self.counts.configured.fetch_add(1, Ordering::Relaxed);
        }
        let message = &self.memory[INPUT as usize..][..len as usize];
        let outcome = (self.script)(phase, message, self.calls)?;
        self.calls += 1;
        if outcome.is_silent() {
            return Ok(0);
        }
        let mut bytes = Vec::new();
        outcome.encode_into(&mut bytes);
        let slice = PackedSlice { ptr: 1 << 16, len: bytes.len() as u32 };
        self.memory[slice.ptr as usize..][..bytes.len()].copy_from_slice(&bytes);
        Ok(slice.pack())
    }

    fn fuel_used(&self) -> Fuel {
        Fuel(7)
    }

    fn memory(&self) -> &[u8] {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn context(&self) -> &CallContext {
        &self.context
    }

    fn context_mut(&mut self) -> &mut CallContext {
        &mut self.context
    }
}

/// A clock that moves when it is told to. Whether it knows processor time is up to the test.
#[derive(Default)]
pub(crate) struct HandClock(pub(crate) AtomicU64, pub(crate) Option<AtomicU64>);

impl Clock for HandClock {
    fn monotonic_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn thread_us(&self) -> Option<u64> {
        self.1.as_ref().map(|processor| processor.load(Ordering::Relaxed))
    }
}

pub(crate) fn environment(services: impl HostServices + 'static) -> Arc<Environment> {
    Arc::new(Environment::new(Arc::new(services), Arc::new(HandClock::default())))
}

/// A module that exports these phases and nothing of interest.
pub(crate) fn wasm(phases: &[Phase]) -> Vec<u8> {
    let phases: String = phases
        .iter()
        .map(|phase| {
            format!(r#"(func (export "{}") (param i32) (result i64) (i64.const 0))"#, phase.export())
        })
        .collect();
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1)
        (func (export "picket_abi") (result i32) (i32.const 0x10000))
        (func (export "picket_input") (param i32) (result i32) (i32.const 0)) {phases})"#
    ))
    .unwrap()
}

pub(crate) const ALL: &[Phase] = &[
    Phase::RequestHead,
    Phase::RequestBody,
    Phase::ResponseHead,
    Phase::ResponseBody,
    Phase::Error,
    Phase::Log,
];

pub(crate) fn policy() -> Policy {
    Policy { capabilities: CapabilitySet::ALL, ..Policy::WAF }
}

pub(crate) fn pooled(max_idle: usize) -> Policy {
    Policy { isolation: Isolation::Pooled { max_idle }, ..policy() }
}

pub(crate) fn load(backend: &MockBackend, id: &str, phases: &[Phase], policy: Policy) -> Filter {
    load_configured(backend, id, phases, policy, ConfigureBuf::default())
}

pub(crate) fn load_configured(
    backend: &MockBackend,
    id: &str,
    phases: &[Phase],
    policy: Policy,
    configuration: ConfigureBuf,
) -> Filter {
    let wasm = wasm(phases);
    Filter::load(backend, Source { id, wasm: &wasm }, policy, configuration, environment(NoServices)).unwrap()
}

/// A filter with all phases that does what the script says.
pub(crate) fn filter(
    id: &str,
    script: impl Fn(Phase, &[u8], u32) -> Result<OutcomeBuf, Error> + Send + Sync + 'static,
) -> Arc<Filter> {
    Arc::new(load(&MockBackend::new(script), id, ALL, policy()))
}

pub(crate) fn proceed() -> OutcomeBuf {
    OutcomeBuf::default()
}

pub(crate) fn acting(action: ActionBuf) -> OutcomeBuf {
    OutcomeBuf { action, verdict: VerdictBuf::default() }
}

pub(crate) fn replace_body(body: &[u8]) -> OutcomeBuf {
    acting(ActionBuf::Modify { headers: SeqBuf::new(), body: Some(body.to_vec()) })
}

pub(crate) fn respond(status: u16) -> OutcomeBuf {
    acting(ActionBuf::Respond { status, headers: SeqBuf::new(), body: Vec::new() })
}

pub(crate) fn change(operations: &[HeaderOp<'_>]) -> OutcomeBuf {
    let mut headers = SeqBuf::new();
    headers.extend(operations.iter().copied());
    acting(ActionBuf::Modify { headers, body: None })
}

pub(crate) fn field<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name: name.into(), value: value.into() }
}

pub(crate) fn fields(list: &[(&str, &str)]) -> SeqBuf<Header<'static>> {
    let mut headers = SeqBuf::new();
    headers.extend(list.iter().map(|(name, value)| field(name, value)));
    headers
}

/// The fields of a list, as text.
pub(crate) fn texts(headers: &SeqBuf<Header<'static>>) -> Vec<String> {
    headers.iter().map(|header| format!("{}: {}", header.name, header.value)).collect()
}

pub(crate) fn head<'a>(headers: &'a SeqBuf<Header<'static>>) -> RequestHead<'a> {
    RequestHead { method: "GET".into(), target: "/".into(), headers: headers.as_seq(), ..Default::default() }
}

/// A chunk, as text: offset, bytes, and a mark at the end.
pub(crate) fn chunk_text(message: &[u8]) -> String {
    let chunk = BodyChunk::decode(message).unwrap();
    format!("{}{}{}", chunk.offset, chunk.data, if chunk.end { "." } else { "" })
}
