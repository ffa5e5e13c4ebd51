//! The guest modules, built once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The module of the guest called `name` (`picket_waf_guest`, `example_header_rewrite`, …).
///
/// The first call of a process runs `cargo xtask guests`, under a lock on a file so that test
/// binaries that run side by side build once. `PICKET_GUESTS_DIR` names a folder to take the
/// modules from instead.
///
/// # Panics
/// If the guests cannot be built or there is none of that name: no test can go on without.
pub fn guest_module(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match std::env::var_os("PICKET_GUESTS_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => build(),
    });
    let module = folder.join(name).with_extension("wasm");
    assert!(module.is_file(), "no guest `{name}`: {} is not there", module.display());
    module
}

fn build() -> PathBuf {
    let _lock = lock("guests");
    run(Command::new(cargo()).args(["xtask", "guests"]));
    workspace().join("target/guests")
}

/// Holds the lock called `name` until the file is dropped.
fn lock(name: &str) -> File {
    let folder = workspace().join("target");
    std::fs::create_dir_all(&folder).expect("the target folder can be made");
    let file = File::create(folder.join(format!("{name}.lock"))).expect("a lock file can be made");
    file.lock().expect("the file system has locks");
    file
}

/// The cargo that runs this test, or the one on the path.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs `command` in the workspace; what it printed is shown if it fails.
pub(crate) fn run(command: &mut Command) {
    let output = command.current_dir(workspace()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
