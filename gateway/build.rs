//! Embeds the built-in modules that `PICKET_WAF_MODULE` and `PICKET_SECLANG_MODULE` name.
//!
//! They are build products of this workspace for another target, so a plain `cargo build` cannot
//! have them yet: then nothing is embedded and the modules are looked for at run time.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("modules.rs");
    let modules = ["PICKET_WAF_MODULE", "PICKET_SECLANG_MODULE"].map(module).join(", ");
    fs::write(out, format!("[{modules}]")).expect("OUT_DIR is writable");
}

/// The expression for the module that a variable of the environment names.
fn module(variable: &str) -> String {
    println!("cargo::rerun-if-env-changed={variable}");
    match env::var_os(variable).filter(|path| !path.is_empty()) {
        None => "None".to_owned(),
        Some(path) => {
            let path = PathBuf::from(path);
            let path = path
                .canonicalize()
                .unwrap_or_else(|error| panic!("{variable} names {}: {error}", path.display()));
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
    }
}
