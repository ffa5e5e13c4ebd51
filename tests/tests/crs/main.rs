//! Picket with the OWASP Core Rule Set: its regression tests over every engine, what a server must
//! refuse, the same verdict everywhere, and hostile requests within the default limits.
//!
//! The rule set lies beside the workspace or where `CRS_DIR` says; without it these tests pass and
//! say so.

mod bodies;
mod hostile;
mod refusals;
mod regression;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use picket::regression::Sandbox;
use picket::rules::{Rules, compile_text};
use picket_ftw::{Exchange, Headers, Mode, Request, Response, Setup, Suite};
use picket_host::{Backend, Isolation};
use picket_tests::{guest_module, workspace};
use picket_waf_compiler::seclang::BASE;

/// The folder of the rule set.
fn crs() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| picket_ftw::crs_dir(&workspace().join("../shared/crs")));
    if folder.is_none() {
        println!("no Core Rule Set (CRS_DIR, or ../shared/crs): nothing is tested here");
    }
    folder.as_deref()
}

fn suite(crs: &Path) -> Suite {
    Suite::load(&crs.join("tests")).expect("the rule set's tests are readable")
}

/// The rules of `text`, all of them understood.
fn rules(text: &str) -> Rules {
    let compiled = compile_text(text, true).unwrap_or_else(|error| panic!("{error}"));
    Rules { blob: compiled.blob, files: compiled.files, remarks: Vec::new() }
}

/// What the regression tests are run with.
fn regression_rules(crs: &Path) -> Rules {
    rules(&Setup::regression(crs).text().expect("the rule set is readable"))
}

/// What an operator runs: blocking, the example set-up, the base, everything else by default.
fn operators_rules(crs: &Path, level: u8) -> Rules {
    let setup = Setup { paranoia: level, mode: Mode::On, crs_dir: crs.to_owned() };
    let mut text = format!(
        "{BASE}\nInclude {}\n\
         SecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={level}\"\n",
        crs.join("crs-setup.conf.example").display()
    );
    for file in setup.files().expect("the rule set is readable") {
        text.push_str(&format!("Include {}\n", file.display()));
    }
    rules(&text)
}

/// The rules in the module, on a backend.
fn sandbox(backend: &dyn Backend, rules: &Rules) -> Sandbox {
    let module = std::fs::read(guest_module("picket_seclang_guest")).expect("the module is there");
    let module = rules.bake(&module).unwrap_or_else(|error| panic!("{error}"));
    Sandbox::new(backend, &module, Isolation::Pooled { max_idle: 1 })
        .unwrap_or_else(|error| panic!("{}: {error}", backend.name()))
}

/// A browser's request, with further header fields and a body of this type.
fn request(target: &str, fields: &[(&str, &[u8])], body: Option<(&str, &[u8])>) -> Exchange {
    let browser: [(&str, &[u8]); 4] = [
        ("Host", b"shop.example.org"),
        ("User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", b"en-US,en;q=0.5"),
    ];
    let mut headers: Headers = browser
        .iter()
        .chain(fields)
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
        .collect();
    if let Some((kind, body)) = body {
        headers.push((b"Content-Type".to_vec(), kind.into()));
        headers.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    }
    let request = Request {
        method: if body.is_some() { b"POST".to_vec() } else { b"GET".to_vec() },
        target: target.into(),
        version: b"HTTP/1.1".to_vec(),
        headers,
        body: body.map(|(_, body)| body.to_vec()).unwrap_or_default(),
    };
    Exchange::new(request, Response { status: 200, ..Response::default() })
}

/// Bytes as a photograph has them: the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 12_345_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(&mut byte).take(length).collect()
}
