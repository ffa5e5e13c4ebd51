//! What the edge build is made of: with wasmi alone and without TLS nothing of wasmtime, and no C.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::process::{Cargo, Failure};

/// Targets of the edge build: small ARM boxes of 64 and of 32 bits.
const EDGE_TARGETS: [&str; 2] = ["aarch64-unknown-linux-musl", "armv7-unknown-linux-musleabihf"];

/// Crates whose presence means that something else than Rust is compiled or looked for.
const NATIVE_BUILDERS: [&str; 7] =
    ["bindgen", "cc", "cmake", "nasm-rs", "pkg-config", "system-deps", "vcpkg"];

/// Fails if the edge build of the gateway holds a crate of wasmtime or one that builds C.
pub fn check_edge() -> Result<(), Failure> {
    let linking = linking_crates()?;
    for target in [None, Some(EDGE_TARGETS[0]), Some(EDGE_TARGETS[1])] {
        let name = target.unwrap_or("this machine");
        let crates = tree(target)?;
        let foreign: Vec<&str> = crates
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| {
                name.contains("wasmtime") || name.contains("cranelift") || NATIVE_BUILDERS.contains(name)
            })
            .collect();
        if !foreign.is_empty() {
            return Err(Failure::new(format!("the edge build for {name} holds {}", foreign.join(", "))));
        }
        if let Some((name, version)) = crates.intersection(&linking).next() {
            return Err(Failure::new(format!(
                "{name} {version} in the edge build links to a native library"
            )));
        }
        println!("{name}: {} crates, none of wasmtime, none with C", crates.len());
    }
    Ok(())
}

/// Name and version of each crate that the edge build compiles or runs for `target`.
fn tree(target: Option<&str>) -> Result<BTreeSet<(String, String)>, Failure> {
    let mut cargo = Cargo::new([
        "tree",
        "--package",
        "picket",
        "--no-default-features",
        "--features",
        "wasmi",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    if let Some(target) = target {
        cargo = cargo.args(["--target", target]);
    }
    Ok(cargo
        .output()?
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
        })
        .collect())
}

/// Name and version of each crate of the workspace's whole tree that declares `links`.
fn linking_crates() -> Result<BTreeSet<(String, String)>, Failure> {
    let metadata = Cargo::new(["metadata", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Failure::new(format!("`cargo metadata` printed what is no JSON: {error}")))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(packages
        .iter()
        .filter(|package| package["links"].is_string())
        .filter_map(|package| Some((package["name"].as_str()?.into(), package["version"].as_str()?.into())))
        .collect())
}
