//! Compiles `builtin.toml` to the blob.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=builtin.toml");
    let source = fs::read_to_string("builtin.toml").unwrap_or_else(|error| panic!("builtin.toml: {error}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let forms = [
        ("builtin.blob", picket_waf_compiler::compile(&source)),
        ("compact.blob", picket_waf_compiler::compile_compact(&source)),
    ];
    for (name, compiled) in forms {
        let compiled = compiled.unwrap_or_else(|error| panic!("builtin.toml: {error}"));
        fs::write(out.join(name), compiled.blob).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
