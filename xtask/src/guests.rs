//! The guest modules.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Cargo, Failure, workspace};
use crate::segments;
use crate::toolchain::{self, GUEST};

/// Package and file name of each guest.
const GUESTS: [(&str, &str); 5] = [
    ("picket-waf-guest", "picket_waf_guest.wasm"),
    ("picket-seclang-guest", "picket_seclang_guest.wasm"),
    ("example-header-rewrite", "example_header_rewrite.wasm"),
    ("example-api-key", "example_api_key.wasm"),
    ("test-puppet", "test_puppet.wasm"),
];

/// The firewall for boards: its package, its file, and what it is built with beyond the others. Pages
/// of one byte, so that its memory ends where its data end; a core library built for size, without the
/// texts of panics.
const APPLIANCE: (&str, &str) = ("picket-waf-appliance", "picket_waf_appliance.wasm");
const APPLIANCE_FLAGS: [&str; 5] = [
    "-Clink-arg=--page-size=1",
    "-Clink-arg=-zstack-size=8192",
    "-Ctarget-feature=+bulk-memory",
    "-Zunstable-options",
    "-Cpanic=immediate-abort",
];

/// A module that was built.
pub struct Module {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Where the modules end up, whatever CARGO_TARGET_DIR says: the tests look for them here.
pub fn folder() -> PathBuf {
    workspace().join("target/guests")
}

/// The firewall that the gateway carries inside.
pub fn waf_module() -> PathBuf {
    folder().join(GUESTS[0].1)
}

/// The firewall that a board carries inside.
pub fn appliance_module() -> PathBuf {
    folder().join(APPLIANCE.1)
}

/// The engine for SecLang rules that the gateway carries inside.
pub fn seclang_module() -> PathBuf {
    folder().join(GUESTS[1].1)
}

/// Builds all guests.
pub fn build() -> Result<Vec<Module>, Failure> {
    toolchain::ensure_target(GUEST)?;

    // A folder of its own, so that this waits for no other cargo and nobody waits for it.
    let build = workspace().join("target/guest-build");
    let mut cargo = Cargo::new(["build", "--profile", "guest", "--target", GUEST, "--target-dir"])
        .args([&build])
        .args(["--config", &portable_paths(&[])])
        // Either would replace the flags of `.cargo/config.toml`, and with them the small stack.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    for (package, _) in GUESTS {
        cargo = cargo.args(["--package", package]);
    }
    cargo.run().map_err(|failure| {
        failure.explained("The guests could not be built; the compiler's message is above.")
    })?;

    let small = workspace().join("target/guest-build-small");
    build_appliance(&small)?;

    let folder = folder();
    fs::create_dir_all(&folder).map_err(|error| cannot("make the folder", &folder, &error))?;
    GUESTS
        .iter()
        .map(|(_, file)| (build.join(GUEST).join("guest"), file))
        .chain([(small.join(GUEST).join("guest-small"), &APPLIANCE.1)])
        .map(|(built, file)| {
            let from = built.join(file);
            let module = fs::read(&from).map_err(|error| cannot("read", &from, &error))?;
            put(segments::longest_last(&module).unwrap_or(module), &folder.join(file))
        })
        .collect()
}

/// Builds the edition for boards, with a core library of its own: that of the toolchain is built for
/// speed and formats the texts of panics, which is a seventh of the module's code.
fn build_appliance(build: &Path) -> Result<(), Failure> {
    toolchain::ensure_sources()?;
    Cargo::new(["build", "--profile", "guest-small", "--target", GUEST, "--target-dir"])
        .args([build])
        .args(["--package", APPLIANCE.0])
        .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=optimize_for_size"])
        .args(["--config", &portable_paths(&APPLIANCE_FLAGS)])
        // What it takes to build a core library is not stable; the compiler is, and its version is pinned
        // by whoever builds.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()
        .map_err(|failure| failure.explained("The edition for boards could not be built."))
}

/// A table of names and sizes.
pub fn table(modules: &[Module]) -> String {
    let mut table = format!("{:<28} {:>9} {:>9}\n", "module", "bytes", "KiB");
    for Module { path, bytes } in modules {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        table.push_str(&format!("{name:<28} {bytes:>9} {:>9.1}\n", *bytes as f64 / 1024.0));
    }
    table
}

/// Panic texts hold the paths of source files. Without the folders of whoever builds, a module has
/// the same bytes, and so the same digest, wherever it is built.
fn portable_paths(further: &[&str]) -> String {
    let mut flags = vec![format!("--remap-path-prefix={}=.", workspace().display())];
    flags.extend(further.iter().map(|&flag| flag.to_owned()));
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    // Each registry has a folder below this one, named after its address.
    let registries = home.map(|home| home.join("registry/src"));
    for registry in
        registries.iter().filter_map(|registries| fs::read_dir(registries).ok()).flatten().flatten()
    {
        flags.push(format!("--remap-path-prefix={}=registry", registry.path().display()));
    }
    format!("target.{GUEST}.rustflags={}", serde_json::Value::from(flags))
}

/// Puts a module where it belongs, in one step: a gateway may be watching the file. One that has
/// not changed is left alone, so that nothing is built or reloaded for it.
fn put(module: Vec<u8>, to: &Path) -> Result<Module, Failure> {
    if fs::read(to).ok().as_ref() != Some(&module) {
        let beside = to.with_extension(format!("{}.new", std::process::id()));
        fs::write(&beside, &module).map_err(|error| cannot("write", &beside, &error))?;
        fs::rename(&beside, to).map_err(|error| cannot("replace", to, &error))?;
    }
    Ok(Module { path: to.to_owned(), bytes: module.len() as u64 })
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}
