//! Compiles `builtin.toml` to the blob.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=builtin.toml");
    let source = fs::read_to_string("builtin.toml").unwrap_or_else(|error| panic!("builtin.toml: {error}"));
    let compiled =
        picket_waf_compiler::compile(&source).unwrap_or_else(|error| panic!("builtin.toml: {error}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    fs::write(out.join("builtin.blob"), compiled.blob)
        .unwrap_or_else(|error| panic!("builtin.blob: {error}"));
}
