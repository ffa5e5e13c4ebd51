//! One call into a guest, stage by stage: encode, instantiate, call, decode, and the whole of it.
//!
//! `cargo bench -p picket-tests --bench stages`; with `-- --test` each runs once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use picket_abi::{
    BodyChunk, Match, Octets, Outcome, OutcomeBuf, Phase, RequestHead, ResponseHead, SeqBuf, Severity,
    TransactionLog, encode,
};
use picket_host::{Budget, CallContext, Environment, Isolation, prepare};
use picket_tests::{Request, backends, guest_module, header_buf, policy, request_head, sandboxes};

/// Eight header fields of some 600 bytes, as a browser sends them.
fn request() -> Request {
    let headers = [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", "https://shop.example.org/catalogue/garden/tools?page=2&sort=price&order=asc"),
        (
            "Cookie",
            "session=8c2f4be1d09a4f6f9d5f0f6f3f9f8a21; consent=all; basket=e0a1c2d3-55b7-4a5e-9d5f-0f6f3f9f8a21",
        ),
        ("Connection", "keep-alive"),
    ];
    Request {
        method: "GET".into(),
        target: b"/catalogue/garden/tools?page=3".to_vec(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into(),
        body: Vec::new(),
    }
}

fn response_head<'a>(headers: &'a SeqBuf<picket_abi::Header<'static>>) -> ResponseHead<'a> {
    ResponseHead { status: 200, headers: headers.as_seq(), end: true, ..ResponseHead::default() }
}

fn blocked() -> Vec<u8> {
    let mut outcome = OutcomeBuf::default();
    outcome.verdict.score = 5;
    let mut tags = SeqBuf::<Octets<'static>>::new();
    tags.extend(["attack-sqli".into(), "capec-66".into()]);
    outcome.verdict.matches.push(Match {
        rule_id: 942_100,
        severity: Severity::Critical,
        score: 5,
        category: "sqli".into(),
        message: "SQL injection: keyword pair".into(),
        location: "ARGS:id".into(),
        matched: "union select login,password".into(),
        tags: tags.as_seq(),
        ..Match::default()
    });
    let mut bytes = Vec::new();
    outcome.encode_into(&mut bytes);
    bytes
}

fn wire(c: &mut Criterion) {
    let request = request();
    let headers = header_buf(&request.headers);
    let head = request_head(&request, &headers);
    let mut buffer = vec![0; 4096];
    let mut group = c.benchmark_group("encode");
    group.bench_function("headers", |b| b.iter(|| header_buf(black_box(&request.headers))));
    group.bench_function("request head", |b| {
        b.iter(|| encode(black_box(&head), &mut buffer).expect("the buffer is long enough"));
    });
    let data = vec![b'a'; 16 << 10];
    let chunk = BodyChunk { offset: 0, end: true, data: Octets(&data) };
    let mut long = vec![0; 17 << 10];
    group.bench_function("body chunk of 16 KiB", |b| {
        b.iter(|| encode(black_box(&chunk), &mut long).expect("the buffer is long enough"));
    });
    group.finish();

    let length = encode(&head, &mut buffer).expect("the buffer is long enough");
    let outcome = blocked();
    let mut group = c.benchmark_group("decode");
    group.bench_function("request head", |b| {
        b.iter(|| RequestHead::decode(black_box(&buffer[..length])).expect("it was encoded here"));
    });
    group.bench_function("outcome with a match", |b| {
        b.iter(|| Outcome::decode(black_box(&outcome)).expect("it was encoded here"));
    });
    group.finish();
}

fn instantiate(c: &mut Criterion) {
    let policy = policy(Isolation::Fresh);
    let environment = Arc::new(Environment::closed());
    let mut group = c.benchmark_group("instantiate");
    for guest in ["test_puppet", "picket_waf_guest"] {
        let wasm = std::fs::read(guest_module(guest)).expect("the guest was built");
        for backend in backends() {
            let prepared =
                prepare(&wasm, &policy.limits, &environment.trusted).expect("the guest is metered");
            let module = backend.compile(&prepared, &policy.limits).expect("the guest compiles");
            group.bench_function(format!("{guest}/{}", backend.name()), |b| {
                b.iter_batched(
                    || CallContext::new("bench".into(), &policy.limits, environment.clone()),
                    |context| {
                        module.instantiate(context, &policy.limits.setup).expect("an instance comes up")
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

/// A phase with nothing to do: the puppet has no command, so that it reads the head and says nothing.
fn call(c: &mut Criterion) {
    let request = request();
    let headers = header_buf(&request.headers);
    let head = response_head(&headers);
    let mut message = vec![0; 4096];
    let length = encode(&head, &mut message).expect("the buffer is long enough");
    let message = &message[..length];

    let policy = policy(Isolation::Pooled { max_idle: 1 });
    let budget: Budget = policy.limits.call;
    let environment = Arc::new(Environment::closed());
    let wasm = std::fs::read(guest_module("test_puppet")).expect("the guest was built");
    let mut group = c.benchmark_group("call");
    for backend in backends() {
        let prepared = prepare(&wasm, &policy.limits, &environment.trusted).expect("the guest is metered");
        let module = backend.compile(&prepared, &policy.limits).expect("the guest compiles");
        let context = CallContext::new("bench".into(), &policy.limits, environment.clone());
        let mut instance = module.instantiate(context, &policy.limits.setup).expect("an instance comes up");
        instance.arm(&budget);
        let address = instance.input(length as u32).expect("the guest has room") as usize;
        group.bench_function(format!("export alone/{}", backend.name()), |b| {
            b.iter(|| {
                instance.arm(&budget);
                instance.memory_mut()[address..address + length].copy_from_slice(message);
                instance.call(Phase::ResponseHead, length as u32).expect("the guest answers")
            });
        });
    }
    let module = guest_module("test_puppet");
    for lane in sandboxes(&module, &SeqBuf::new()) {
        // One transaction, so that this is the phase and nothing else.
        let mut transaction = lane.chain().begin();
        group.bench_function(format!("phase/{}", lane.name()), |b| {
            b.iter(|| transaction.response_head(black_box(&head)));
        });
        drop(transaction);
        group.bench_function(format!("transaction/{}", lane.name()), |b| {
            b.iter(|| {
                let mut transaction = lane.chain().begin();
                transaction.response_head(black_box(&head));
                transaction.finish(&TransactionLog::default())
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = wire, instantiate, call
}
criterion_main!(benches);
