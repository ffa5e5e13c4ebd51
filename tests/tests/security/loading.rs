//! Modules that are refused before they run: every backend says the same.

use picket_host::abi::{
    AbiVersion, Capability, CapabilitySet, HostFn, Incompatible, Manifest, Phase, PhaseSet,
};
use picket_host::{GuestFault, LoadError, Policy, inspect};

use crate::stage::{assert_bytes_refused, assert_refused, load_bytes, module, policy};

#[track_caller]
fn assert_text_refused(name: &str, text: &str, expected: &LoadError) {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_bytes_refused(name, &wasm, policy(), expected);
}

const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const ABI: &str = r#"(func (export "picket_abi") (result i32) (i32.const 0x10000))"#;
const INPUT: &str = r#"(func (export "picket_input") (param i32) (result i32) (i32.const 1024))"#;
const HEAD: &str = r#"(func (export "picket_request_head") (param i32) (result i64) (i64.const 0))"#;

#[test]
fn huge_initial_memory() {
    let expected = LoadError::Memory { limit: 10_000_000, initial: 1 << 32 };
    assert_refused("huge_initial_memory", policy(), &expected);
}

#[test]
fn huge_table() {
    assert_refused("huge_table", policy(), &LoadError::Table { limit: 10_000, initial: 10_000_000 });
}

#[test]
fn many_tables() {
    assert_refused("many_tables", policy(), &LoadError::Tables { limit: 4, actual: 5 });
}

#[test]
fn a_module_over_its_length() {
    let wasm = module("good");
    let mut policy = policy();
    policy.limits.module_bytes = wasm.len() - 1;
    let expected = LoadError::TooLong { limit: wasm.len() - 1, actual: wasm.len() };
    assert_bytes_refused("good", &wasm, policy, &expected);
}

#[test]
fn wasi() {
    for (module, name) in [("wasi_file_probe", "path_open"), ("wasi_network_probe", "sock_send")] {
        let expected =
            LoadError::ForeignImport { module: "wasi_snapshot_preview1".into(), name: name.into() };
        assert_refused(module, policy(), &expected);
    }
}

#[test]
fn a_memory_of_the_host() {
    let expected = LoadError::ForeignImport { module: "env".into(), name: "memory".into() };
    assert_refused("imported_memory", policy(), &expected);
}

#[test]
fn an_import_that_is_not_granted() {
    let policy = Policy { capabilities: CapabilitySet::EMPTY.with(Capability::Panic), ..policy() };
    let expected = LoadError::ImportNotGranted { function: HostFn::Log, capability: Capability::Log };
    assert_refused("host_call_flood", policy, &expected);
    assert_eq!(expected.to_string(), "imports `log`: the policy does not grant the capability `log`");
}

#[test]
fn an_import_of_another_type() {
    let expected = LoadError::ImportType {
        function: HostFn::Now,
        expected: "() -> i64".into(),
        found: "() -> i32".into(),
    };
    assert_refused("mistyped_import", policy(), &expected);
}

#[test]
fn an_import_that_is_no_host_function() {
    assert_refused("unknown_import", policy(), &LoadError::UnknownImport { name: "exec".into() });
    let text = format!(
        r#"(module (import "picket" "log" (memory 1)) (export "memory" (memory 0)) {ABI}{INPUT}{HEAD})"#
    );
    let expected = LoadError::ImportType {
        function: HostFn::Log,
        expected: "(i32, i32, i32) -> ()".into(),
        found: "memory".into(),
    };
    assert_text_refused("a function imported as a memory", &text, &expected);
}

#[test]
fn another_version_of_the_abi() {
    use Incompatible::{UpgradeGuest, UpgradeHost};
    for (name, major, minor, incompatible) in [
        ("abi_later", 2, 0, UpgradeHost),
        ("abi_later_minor", 1, 1, UpgradeHost),
        ("abi_earlier", 0, 9, UpgradeGuest),
        ("abi_computed", 2, 0, UpgradeHost),
    ] {
        let expected = LoadError::Abi { guest: AbiVersion { major, minor }, incompatible };
        assert_refused(name, policy(), &expected);
    }
}

#[test]
fn missing_exports() {
    for (left_out, name) in [(MEMORY, "memory"), (ABI, "picket_abi"), (INPUT, "picket_input")] {
        let text = format!("(module {MEMORY}{ABI}{INPUT}{HEAD})").replace(left_out, "");
        assert_text_refused(name, &text, &LoadError::MissingExport { name });
    }
    let text = format!("(module {MEMORY}{ABI}{INPUT})");
    assert_text_refused("no phase", &text, &LoadError::NoPhase);
    // A filter that is only ever configured would guard nothing.
    let text = format!("(module {MEMORY}{ABI}{INPUT}{HEAD})").replace("request_head", "configure");
    assert_text_refused("configure only", &text, &LoadError::NoPhase);
}

#[test]
fn mistyped_exports() {
    let whole = format!("(module {MEMORY}{ABI}{INPUT}{HEAD})");
    let cases = [
        ("memory", "memory", "global", whole.replace(MEMORY, r#"(memory 1) (global (export "memory") i32 (i32.const 0))"#)),
        ("picket_abi", "() -> i32", "() -> i64", whole.replace(ABI, r#"(func (export "picket_abi") (result i64) (i64.const 0))"#)),
        ("picket_input", "(i32) -> i32", "(i32, i32) -> i32", whole.replace(INPUT, r#"(func (export "picket_input") (param i32 i32) (result i32) (i32.const 0))"#)),
        ("picket_request_head", "(i32) -> i64", "(i32) -> ()", whole.replace(HEAD, r#"(func (export "picket_request_head") (param i32))"#)),
        ("picket_log", "(i32) -> i64", "(i32) -> (i64, i64)", whole.replace(HEAD, &format!(r#"{HEAD}(func (export "picket_log") (param i32) (result i64 i64) (i64.const 0) (i64.const 0))"#))),
    ];
    for (name, expected, found, text) in cases {
        assert_text_refused(name, &text, &LoadError::ExportType { name, expected, found: found.into() });
    }
}

/// A module with these bytes as its manifest section.
fn with_manifest(manifest: &[u8]) -> Vec<u8> {
    let mut wasm = wat::parse_str(format!("(module {MEMORY}{ABI}{INPUT}{HEAD})")).unwrap();
    let name = picket_host::abi::MANIFEST_SECTION.as_bytes();
    wasm.extend([0, (1 + name.len() + manifest.len()) as u8, name.len() as u8]);
    wasm.extend(name);
    wasm.extend(manifest);
    wasm
}

fn encoded(manifest: &Manifest<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let len = picket_host::abi::encode(manifest, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_manifest_that_says_more_than_the_module_has() {
    let phases = PhaseSet::EMPTY.with(Phase::RequestHead).with(Phase::ResponseHead);
    let manifest = Manifest { name: "greedy".into(), phases, ..Manifest::default() };
    let expected = LoadError::PhaseNotExported { phase: Phase::ResponseHead };
    assert_bytes_refused("phases", &with_manifest(&encoded(&manifest)), policy(), &expected);

    let phases = PhaseSet::EMPTY.with(Phase::RequestHead);
    let capabilities = CapabilitySet::EMPTY.with(Capability::HttpFetch);
    let manifest = Manifest { phases, capabilities, ..Manifest::default() };
    let expected = LoadError::CapabilityNotGranted { capability: Capability::HttpFetch };
    assert_bytes_refused("capabilities", &with_manifest(&encoded(&manifest)), Policy::WAF, &expected);
}

#[test]
fn a_manifest_that_is_none() {
    let wasm = with_manifest(b"\xff\xff\xff");
    let expected = inspect(&wasm).expect_err("no manifest");
    assert!(matches!(expected, LoadError::Manifest(_)), "{expected:?}");
    assert_bytes_refused("manifest", &wasm, policy(), &expected);
}

#[test]
fn a_configuration_that_the_guest_refuses() {
    let message = "mode: huh?".into();
    let expected = LoadError::Configure(GuestFault::ConfigurationRefused { message }.into());
    assert_refused("picky", policy(), &expected);
}

#[test]
fn features_beyond_the_common_ones() {
    let features = [
        ("threads", r#"(memory 1 1 shared)"#, ""),
        ("64-bit memory", "(memory i64 1)", ""),
        ("two memories", "(memory 1) (memory 1)", ""),
        ("simd", "", "(drop (v128.const i32x4 0 0 0 0))"),
        ("tail call", "(func $f)", "(return_call $f)"),
        ("externref", "(func (param externref))", ""),
        ("exceptions", "(tag)", ""),
        ("garbage collection", "(type (struct (field i32)))", ""),
        ("atomics", "(memory 1)", "(drop (i32.atomic.load (i32.const 0)))"),
    ];
    for (name, module, body) in features {
        let wasm = wat::parse_str(format!("(module {module} (func {body}))"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = inspect(&wasm).map(drop).expect_err(name);
        assert!(matches!(expected, LoadError::Invalid { .. }), "{name}: {expected:?}");
        assert_bytes_refused(name, &wasm, policy(), &expected);
    }
}

#[test]
fn features_that_guests_are_compiled_to_are_taken() {
    let text = format!(
        r#"(module {MEMORY}{ABI}{INPUT}{HEAD}
        (table 2 funcref)
        (global (export "g") (mut i32) (i32.add (i32.const 1) (i32.const 2)))
        (func (param i32) (result i32 i64)
          (memory.copy (i32.const 0) (i32.const 8) (i32.const 8))
          (memory.fill (i32.const 0) (i32.const 0) (i32.const 8))
          (i32.extend8_s (local.get 0))
          (i64.trunc_sat_f64_s (f64.const 1)))
        )"#
    );
    let wasm = wat::parse_str(text).unwrap();
    for backend in crate::stage::backends() {
        load_bytes(backend, "features", &wasm, policy()).unwrap();
    }
}
