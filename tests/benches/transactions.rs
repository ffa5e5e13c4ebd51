//! Whole transactions through the built-in WAF: by engine, by body size, clean and attack.
//!
//! `cargo bench -p picket-tests --bench transactions`; with `-- --test` each runs once.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use picket_tests::{Request, engines};

/// Body sizes, in bytes.
const SIZES: [usize; 3] = [0, 1 << 10, 16 << 10];

/// What a customer writes into a form, over and over.
const PROSE: &str = "Please+leave+the+parcel+with+the+neighbours+at+number+16+when+nobody+opens.+The+gate\
    +on+the+left+is+usually+unlocked+between+nine+and+six%2C+and+the+dog+is+friendly.+Many+thanks+for+the\
    +quick+reply+last+week+about+the+garden+hose%2C+it+works+very+well+with+the+new+brass+nut.+";

/// The same with words that rules look for: clean as well, but each is looked into.
const WORDS: &str = "Please+leave+the+parcel+with+the+neighbours.+If+the+larger+spade+is+out+of+stock%2C\
    +select+the+smaller+one+from+the+same+series+or+drop+it+from+the+order%3B+either+is+fine.+Many+thanks\
    +for+the+quick+reply+about+the+union+nut.+";

const ATTACK: &str = "&id=1%27%20UNION%20SELECT%20login,password%20FROM%20users--%20-";

fn request(size: usize, prose: &str, attack: bool) -> Request {
    let mut headers = vec![
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
        ("Referer", "https://shop.example.org/catalogue/garden/tools?page=2"),
        ("Cookie", "session=8c2f4be1d09a4f6f; consent=all; basket=e0a1c2d3-55b7-4a5e-9d5f-0f6f3f9f8a21"),
    ];
    let mut target = "/order?step=2&lang=en".to_owned();
    let mut body = String::new();
    if size > 0 {
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        headers.push(("Origin", "https://shop.example.org"));
        body = "message=".to_owned();
        body.extend(prose.chars().cycle().take(size - body.len()));
    }
    if attack {
        match body.len().checked_sub(ATTACK.len()) {
            // At the very end: everything before it has to be read.
            Some(room) => {
                body.truncate(room);
                body.push_str(ATTACK);
            }
            None => target.push_str(ATTACK),
        }
    }
    Request {
        method: if size > 0 { "POST" } else { "GET" }.into(),
        target: target.into_bytes(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: body.into_bytes(),
    }
}

fn transactions(c: &mut Criterion) {
    let mut engines = engines(&[]);
    for (kind, prose, attack, sizes) in [
        ("clean", PROSE, false, &SIZES[..]),
        ("clean with words of rules", WORDS, false, &SIZES[1..2]),
        ("attack", PROSE, true, &SIZES[..]),
    ] {
        for &size in sizes {
            let request = request(size, prose, attack);
            let mut group = c.benchmark_group(format!("{kind}, body of {size}"));
            group.throughput(Throughput::Elements(1));
            for engine in &mut engines {
                // A bench of the wrong thing is worse than none.
                let (judgement, _) = engine.judge(&request);
                assert_eq!(judgement.answer.is_some(), attack, "{kind}, {size}, {}", engine.name());
                group.bench_function(BenchmarkId::from_parameter(engine.name().to_owned()), |b| {
                    b.iter(|| engine.judge(black_box(&request)));
                });
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = transactions
}
criterion_main!(benches);
