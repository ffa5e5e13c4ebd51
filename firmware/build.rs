//! Puts `memory.x` where the linker looks, and names the module that the image carries.

use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

/// The module, unless PICKET_BOARD_MODULE names another.
const MODULE: &str = "../target/guests/picket_waf_appliance.metered.wasm";

/// What the image aligns the module to, in bytes.
const WORDS: usize = 8;

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
    let bytes = fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    // An address that has the longest of its data where they will lie in the guest's memory, modulo the
    // words that are copied.
    let shift = longest_data(&bytes).map_or(0, |(address, offset)| address.wrapping_sub(offset) % WORDS);
    let mut image = vec![0; shift];
    image.extend_from_slice(&bytes);
    fs::write(out.join("module"), image).expect("OUT_DIR can be written to");
    println!("cargo::rustc-env=PICKET_BOARD_SHIFT={shift}");
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    fs::write(out.join("digest.rs"), format!("{digest:?}")).expect("OUT_DIR can be written to");
}

/// Address and offset of the longest data segment of a module, if it is one.
fn longest_data(module: &[u8]) -> Option<(usize, usize)> {
    const DATA: u8 = 11;
    const I32_CONST: u8 = 0x41;
    let mut rest = module.get(8..)?;
    let data = loop {
        let (&id, mut body) = rest.split_first()?;
        let length = number(&mut body)?;
        let (section, behind) = body.split_at_checked(length)?;
        if id == DATA {
            break section;
        }
        rest = behind;
    };
    let mut rest = data;
    let mut longest = None;
    for _ in 0..number(&mut rest)? {
        // Active, in the only memory, at a constant: what else there is lies where it may.
        let [0, I32_CONST, expression @ ..] = rest else { return None };
        rest = expression;
        let address = number(&mut rest)?;
        rest = rest.get(1..)?;
        let length = number(&mut rest)?;
        let offset = rest.as_ptr().addr() - module.as_ptr().addr();
        if longest.is_none_or(|(known, _)| length > known) {
            longest = Some((length, (address, offset)));
        }
        rest = rest.get(length..)?;
    }
    longest.map(|(_, place)| place)
}

/// Takes a number in LEB128. Addresses of data are signed, but none is so high that it would show.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
