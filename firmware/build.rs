//! Puts `memory.x` where the linker looks, and names the module that the image carries.

use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

/// The module, unless PICKET_BOARD_MODULE names another.
const MODULE: &str = "../target/guests/picket_waf_appliance.metered.wasm";

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    fs::copy("memory.x", out.join("memory.x")).expect("OUT_DIR can be written to");
    println!("cargo::rustc-link-search={}", out.display());
    for script in ["link.x", "defmt.x"] {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
    // No gap up to the next page: flash is not paged.
    println!("cargo::rustc-link-arg-bins=--nmagic");

    println!("cargo::rerun-if-env-changed=PICKET_BOARD_MODULE");
    let module = env::var("PICKET_BOARD_MODULE").unwrap_or_else(|_| MODULE.into());
    let module = Path::new(&module).canonicalize().unwrap_or_else(|error| {
        panic!("{module}: {error}; `cargo xtask firmware build` builds the module and the image")
    });
    println!("cargo::rerun-if-changed={}", module.display());
    println!("cargo::rustc-env=PICKET_BOARD_MODULE={}", module.display());
    let bytes = fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    fs::write(out.join("digest.rs"), format!("{digest:?}")).expect("OUT_DIR can be written to");
}
