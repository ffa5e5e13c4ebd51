//! Embeds the built-in WAF module when `PICKET_WAF_MODULE` names its file.
//!
//! The module is a build product of this workspace for another target, so a plain `cargo build`
//! cannot have it yet: then nothing is embedded and the module is looked for at run time.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=PICKET_WAF_MODULE");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("waf.rs");
    let code = match env::var_os("PICKET_WAF_MODULE").filter(|path| !path.is_empty()) {
        None => "None".to_owned(),
        Some(path) => {
            let path = PathBuf::from(path);
            let path = path
                .canonicalize()
                .unwrap_or_else(|error| panic!("PICKET_WAF_MODULE names {}: {error}", path.display()));
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
    };
    fs::write(out, code).expect("OUT_DIR is writable");
}
