use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use std::string::String;
use std::sync::Mutex;

use picket_abi::{
    FetchRequest, FetchResponse, HostFn, HostStatus, LogLevel, Octets, PackedSlice, encode, encoded_len,
};

use super::mock::HandClock;
use crate::{
    Budget, CallContext, Environment, Error, FetchReply, Fuel, GuestFault, Halt, HostServices, Limit, Limits,
    Micros, Stop, host_call,
};

/// Services that remember what they were asked.
#[derive(Default)]
struct Ledger {
    lines: Mutex<Vec<String>>,
}

impl Ledger {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl HostServices for Ledger {
    fn log(&self, filter: &str, level: LogLevel, message: &[u8]) {
        self.note(std::format!("{filter} {level:?} {}", Octets(message)));
    }

    fn emit(&self, filter: &str, name: &[u8], value: i64) {
        self.note(std::format!("{filter} {} {value}", Octets(name)));
    }

    fn kv_get(&self, _: &str, key: &[u8]) -> Result<Vec<u8>, HostStatus> {
        if key == b"key" { Ok(b"value".to_vec()) } else { Err(HostStatus::NotFound) }
    }

    fn kv_set(&self, filter: &str, key: &[u8], value: &[u8], ttl_ms: u64) -> Result<(), HostStatus> {
        self.note(std::format!("{filter} {}={} {ttl_ms}", Octets(key), Octets(value)));
        Ok(())
    }

    fn fetch(&self, _: &str, request: &FetchRequest<'_>, timeout: Micros) -> Result<FetchReply, HostStatus> {
        self.note(std::format!("{} {timeout}", request.uri));
        Ok(FetchReply { status: 201, body: b"made".to_vec(), ..FetchReply::default() })
    }

    fn now_us(&self) -> u64 {
        1_234
    }

    fn random(&self, _: &str, out: &mut [u8]) -> Result<(), HostStatus> {
        out.fill(4);
        Ok(())
    }
}

struct Bench {
    ledger: Arc<Ledger>,
    clock: Arc<HandClock>,
    context: CallContext,
    memory: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self::with(HandClock::default())
    }

    fn with(clock: HandClock) -> Self {
        let ledger = Arc::new(Ledger::default());
        let clock = Arc::new(clock);
        let environment = Environment::new(ledger.clone(), clock.clone());
        let mut context = CallContext::new("f".into(), &Limits::WAF, Arc::new(environment));
        context.arm(&Budget { fuel: Fuel(1), deadline: Micros(100), host_calls: 3, host_call_bytes: 40 });
        Bench { ledger, clock, context, memory: vec![0; 256] }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn call(&mut self, function: HostFn, arguments: &[u64]) -> Result<i64, Halt> {
        host_call(function, arguments, &mut self.memory, &mut self.context)
    }

    fn error(&mut self) -> Error {
        self.context.resolve(Stop::HostFunction)
    }

    fn lines(&self) -> Vec<String> {
        core::mem::take(&mut self.ledger.lines.lock().unwrap())
    }
}

#[test]
fn texts_reach_the_services_under_the_filters_id() {
    let mut bench = Bench::new();
    bench.write(8, b"hello");
    assert_eq!(bench.call(HostFn::Log, &[2, 8, 5]), Ok(0));
    assert_eq!(bench.call(HostFn::Emit, &[8, 4, -3_i64 as u64]), Ok(0));
    assert_eq!(bench.call(HostFn::KvSet, &[8, 1, 9, 4, 500]), Ok(0));
    assert_eq!(bench.lines(), ["f Warn hello", "f hell -3", "f h=ello 500"]);
}

#[test]
fn a_value_is_written_if_it_fits() {
    let mut bench = Bench::new();
    bench.write(0, b"key!");
    assert_eq!(bench.call(HostFn::KvGet, &[0, 3, 100, 5]), Ok(5));
    assert_eq!(bench.memory[99..106], *b"\0value\0");
    assert_eq!(bench.call(HostFn::KvGet, &[0, 3, 200, 4]), Ok(5), "how much room it would need");
    assert_eq!(bench.memory[200..205], [0; 5]);
    assert_eq!(bench.call(HostFn::KvGet, &[0, 4, 100, 5]), Ok(HostStatus::NotFound as i64));
}

#[test]
fn a_time_to_live_is_not_negative() {
    let mut bench = Bench::new();
    assert_eq!(bench.call(HostFn::KvSet, &[0, 1, 1, 1, u64::MAX]), Ok(HostStatus::Invalid as i64));
    assert_eq!(bench.lines(), Vec::<String>::new());
}

#[test]
fn a_fetch_gets_no_more_time_than_the_call_has_left() {
    let mut bench = Bench::new();
    let request = FetchRequest { uri: "http://a/".into(), timeout_ms: 0, ..FetchRequest::default() };
    let len = encoded_len(&request);
    encode(&request, &mut bench.memory).unwrap();
    bench.clock.0.store(30, Ordering::Relaxed);
    let result = bench.call(HostFn::HttpFetch, &[0, len as u64, 100, 50]).unwrap();
    assert_eq!(bench.lines(), ["http://a/ 70 µs"]);
    let response = FetchResponse::decode(&bench.memory[100..100 + result as usize]).unwrap();
    assert_eq!((response.status, response.body), (201, Octets(b"made")));

    bench.write(0, &[0xff; 16]);
    assert_eq!(bench.call(HostFn::HttpFetch, &[0, 5, 100, 50]), Ok(HostStatus::Invalid as i64));
}

#[test]
fn time_and_chance() {
    let mut bench = Bench::new();
    assert_eq!(bench.call(HostFn::Now, &[]), Ok(1_234));
    assert_eq!(bench.call(HostFn::Random, &[10, 3]), Ok(0));
    assert_eq!(bench.memory[9..14], [0, 4, 4, 4, 0]);
}

#[test]
fn an_argument_out_of_bounds_halts_the_guest() {
    for (arguments, slice) in [
        ([3, 250, 7], PackedSlice { ptr: 250, len: 7 }),
        ([3, 0xffff_ffff, 0xffff_ffff], PackedSlice { ptr: u32::MAX, len: u32::MAX }),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.call(HostFn::Log, &arguments), Err(Halt));
        let expected = GuestFault::HostArgument { function: HostFn::Log, slice, memory: 256 };
        assert_eq!(bench.error(), expected.into());
    }
}

#[test]
fn calls_and_their_bytes_are_counted() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(bench.call(HostFn::Log, &[3, 0, 6]), Ok(0));
    }
    assert_eq!(bench.call(HostFn::Now, &[]), Err(Halt));
    assert_eq!(bench.error(), Limit::HostCalls { calls: 3 }.into());

    let mut bench = Bench::new();
    assert_eq!(bench.call(HostFn::Log, &[3, 0, 40]), Ok(0));
    assert_eq!(bench.call(HostFn::Log, &[3, 0, 1]), Err(Halt));
    assert_eq!(bench.error(), Limit::HostCallBytes { bytes: 40 }.into());
}

#[test]
fn a_guest_out_of_time_gets_no_host_call() {
    let mut bench = Bench::new();
    bench.clock.0.store(100, Ordering::Relaxed);
    assert_eq!(bench.call(HostFn::Now, &[]), Err(Halt));
    assert_eq!(bench.error(), Limit::Deadline { limit: Micros(100) }.into());
}

#[test]
fn a_panics_text_is_cut_and_made_text() {
    let mut bench = Bench::new();
    bench.memory = vec![b'x'; 10_000];
    bench.memory[0] = 0xff;
    assert_eq!(bench.call(HostFn::Panic, &[0, 10_000]), Ok(0));
    let Error::Trap(crate::Trap::Panic { message }) =
        bench.context.resolve(Stop::Trap(crate::Trap::Unreachable))
    else {
        panic!("a panic has been reported");
    };
    assert!(message.starts_with('\u{fffd}'));
    assert_eq!(message.chars().count(), 4096);
}

/// A call with a deadline of 100 µs on a clock that knows processor time.
fn busy_machine() -> Bench {
    Bench::with(HandClock(0.into(), Some(5_000.into())))
}

fn set(bench: &Bench, wall: u64, computed: u64) {
    bench.clock.0.store(wall, Ordering::Relaxed);
    bench.clock.1.as_ref().unwrap().store(5_000 + computed, Ordering::Relaxed);
}

#[test]
fn time_without_the_processor_does_not_count() {
    let mut bench = busy_machine();
    set(&bench, 20, 20);
    assert!(!bench.context.deadline_passed());
    set(&bench, 9_000, 30);
    assert!(!bench.context.deadline_passed(), "others had the processor");
    set(&bench, 9_100, 110);
    assert!(bench.context.deadline_passed());
}

#[test]
fn a_first_look_that_comes_late_is_given_half_the_deadline() {
    let mut bench = busy_machine();
    set(&bench, 9_000, 10);
    assert!(!bench.context.deadline_passed());
    set(&bench, 9_040, 50);
    assert!(!bench.context.deadline_passed());
    set(&bench, 9_060, 61);
    assert!(bench.context.deadline_passed());
}

#[test]
fn time_waited_in_a_service_counts() {
    struct Slow(Arc<HandClock>);
    impl HostServices for Slow {
        fn kv_get(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostStatus> {
            self.0.0.fetch_add(90, Ordering::Relaxed);
            Err(HostStatus::Timeout)
        }
    }
    let clock = Arc::new(HandClock(0.into(), Some(5_000.into())));
    let environment = Environment::new(Arc::new(Slow(clock.clone())), clock);
    let mut context = CallContext::new("f".into(), &Limits::WAF, Arc::new(environment));
    context.arm(&Budget { deadline: Micros(100), ..Limits::WAF.call });
    let mut get = || host_call(HostFn::KvGet, &[0, 0, 0, 0], &mut [], &mut context);
    assert_eq!(get(), Ok(HostStatus::Timeout as i64));
    assert_eq!(get(), Ok(HostStatus::Timeout as i64));
    assert_eq!(get(), Err(Halt), "180 µs have gone by, though none on the processor");
}
