//! Links the C library when it is asked for.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBMODSECURITY_DIR");
    if env::var_os("CARGO_FEATURE_LIBMODSECURITY").is_none() {
        return;
    }
    if let Some(folder) = env::var_os("LIBMODSECURITY_DIR") {
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
    println!("cargo::rustc-link-lib=dylib=modsecurity");
}
