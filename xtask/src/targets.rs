//! The same module and the same cases on every target, in one table.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::arm::AARCH64;
use crate::process::{Cargo, Failure, workspace};
use crate::{firmware, guests};

/// Bytes of a body that are shown at once: what the smallest of the targets takes.
const PIECE: &str = "1024";

/// Runs the conformance cases with a module on each target, and compares verdicts, actions and fuel.
pub fn run() -> Result<(), Failure> {
    AARCH64.ensure()?;
    guests::build()?;
    let program = "picket-conformance";
    // With the features that the whole workspace has, so that wasmtime is not built another time.
    Cargo::new(["build", "--workspace", "--bin", program])
        .args(["--features", "picket-conformance/wasmtime,picket-conformance/device"])
        .run()?;
    let here = workspace().join("target/debug").join(program);
    AARCH64.cargo("build").args(["--profile", "edge", "--package", program]).run()?;
    let arm_box = AARCH64.program(program);
    let folder = workspace().join("target/conformance");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;

    for module in [guests::waf_module(), guests::appliance_module()] {
        let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        println!("\n{name}");
        let runs: [(&str, Command, &str); 3] = [
            ("x86-64/wasmtime", Command::new(&here), "wasmtime"),
            ("x86-64/wasmi", Command::new(&here), "wasmi"),
            ("AArch64/wasmi", AARCH64.emulated(&arm_box), "wasmi"),
        ];
        let mut compared: Vec<OsString> = vec!["compare".into()];
        for (target, mut command, backend) in runs {
            let file = folder.join(format!("{name}-{}.jsonl", target.replace('/', "-")));
            command.args(["run", "--piece", PIECE, "--backend", backend, "--module"]).arg(&module);
            record(command, target, &file)?;
            compared.push(pair(target, &file));
        }
        if module == guests::appliance_module() {
            let file = folder.join(format!("{name}-Cortex-M7.jsonl"));
            println!("  Cortex-M7/wasmi …");
            firmware::record_cases(&file, PIECE)?;
            compared.push(pair("Cortex-M7/wasmi", &file));
        }
        let status = Command::new(&here).args(&compared).status();
        let status = status.map_err(|error| Failure::new(format!("{}: {error}", here.display())))?;
        if !status.success() {
            return Err(Failure::new(format!("the targets do not agree on {name}")));
        }
    }
    Ok(())
}

fn pair(target: &str, file: &Path) -> OsString {
    let mut pair = OsString::from(target);
    pair.push("=");
    pair.push(file);
    pair
}

/// Runs `command` and keeps what it prints. A case that is not as expected shows in the table.
fn record(mut command: Command, target: &str, file: &Path) -> Result<(), Failure> {
    println!("  {target} …");
    let output = command.current_dir(workspace()).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::new(format!("{target}: did not start: {error}")))?;
    match output.status.code() {
        Some(0 | 1) => fs::write(file, &output.stdout)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display()))),
        _ => Err(Failure::new(format!("{target}: the cases could not be judged ({})", output.status))),
    }
}
