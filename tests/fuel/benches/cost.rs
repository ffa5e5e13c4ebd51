//! What counting costs: nobody, the module itself, the engine; on each backend, in one run.
//!
//! `cargo bench -p picket-fuel-oracle`; with `-- --test` each runs once. Wants the guests
//! (`cargo xtask guests`).

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use picket_abi::{BodyChunk, Header, HttpVersion, Octets, RequestHead, SeqBuf, encode};
use picket_fuel_oracle::{Counting, on_wasmi, on_wasmtime};

const PROSE: &str = "Please+leave+the+parcel+with+the+neighbours+at+number+16+when+nobody+opens.+The+gate+on+the\
    +left+is+usually+unlocked+between+nine+and+six%2C+and+the+dog+is+friendly.+";

fn encoded<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16];
    let len = encode(message, &mut bytes).expect("the buffer is long enough");
    bytes.truncate(len);
    bytes
}

fn head() -> Vec<u8> {
    let mut headers: SeqBuf<Header<'static>> = SeqBuf::new();
    headers.extend(
        [
            ("host", "shop.example.org"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("cookie", "session=8c2f4be1d09a4f6f; consent=all; basket=e0a1c2d3-55b7-4a5e-9d5f-0f6f3f9f8a21"),
        ]
        .map(|(name, value)| Header { name: name.into(), value: value.into() }),
    );
    encoded(&RequestHead {
        version: HttpVersion::Http11,
        method: "GET".into(),
        target: "/catalogue/garden/tools?page=2&sort=price&lang=en".into(),
        headers: headers.as_seq(),
        end: true,
        ..RequestHead::default()
    })
}

fn body() -> Vec<u8> {
    let text: String = PROSE.chars().cycle().take(4 << 10).collect();
    encoded(&BodyChunk { offset: 0, end: false, data: Octets(text.as_bytes()) })
}

fn cost(c: &mut Criterion) {
    let guest = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests").join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let cases = [
        ("hardly anything", guest("test_puppet.wasm"), "picket_request_head", head()),
        ("firewall, GET", guest("picket_waf_guest.wasm"), "picket_request_head", head()),
        ("firewall, 4 KiB of a body", guest("picket_waf_guest.wasm"), "picket_request_body", body()),
    ];
    for (name, wasm, phase, message) in &cases {
        let mut group = c.benchmark_group(*name);
        for (engine, make) in [("wasmi", on_wasmi as fn(&_, &_, &_, _) -> _), ("wasmtime", on_wasmtime)] {
            for counting in Counting::ALL {
                let mut guest = make(wasm, phase, message, counting).expect("the guest comes up");
                guest.call().expect("the guest answers");
                group.bench_function(format!("{engine}, {}", counting.name()), |b| {
                    b.iter(|| black_box(guest.call().expect("the guest answers")));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, cost);
criterion_main!(benches);
