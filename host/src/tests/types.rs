use alloc::vec::Vec;

use crate::{
    Consequence, Culprit, Error, FailureKind, Fuel, GuestFault, HostFault, Limit, LoadError, ModuleDigest,
    OnFailure, RemoteFault, Trap, start_as_export,
};

#[test]
fn errors_stay_small() {
    assert!(size_of::<Error>() <= 40, "{}", size_of::<Error>());
    assert!(size_of::<LoadError>() <= 64, "{}", size_of::<LoadError>());
}

#[test]
fn every_failure_has_an_owner_a_kind_and_a_consequence() {
    let cases: [(Error, Culprit, FailureKind); 7] = [
        (Limit::Fuel { limit: Fuel(1) }.into(), Culprit::Limit, FailureKind::Fuel),
        (Trap::Unreachable.into(), Culprit::Guest, FailureKind::Trap),
        (GuestFault::ReservedHeader { name: "connection" }.into(), Culprit::Guest, FailureKind::Header),
        (
            GuestFault::ConfigurationRefused { message: "no".into() }.into(),
            Culprit::Configuration,
            FailureKind::Configuration,
        ),
        (HostFault::Engine { message: "?".into() }.into(), Culprit::Host, FailureKind::Host),
        (HostFault::Device { message: "gone".into() }.into(), Culprit::Host, FailureKind::Host),
        (
            RemoteFault { culprit: Culprit::Limit, kind: FailureKind::Fuel, message: "?".into() }.into(),
            Culprit::Limit,
            FailureKind::Fuel,
        ),
    ];
    for (error, culprit, kind) in cases {
        assert_eq!((error.culprit(), error.kind()), (culprit, kind), "{error}");
        let closed = OnFailure::FailClosed { status: 503 };
        assert_eq!(error.consequence(closed), Consequence::Answer { status: 503 });
        assert_eq!(error.consequence(OnFailure::FailOpen), Consequence::GoOnWithout);
    }
}

#[test]
fn kinds_are_numbered_as_they_are_listed() {
    for (index, kind) in FailureKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index, "{kind}");
    }
}

#[test]
fn a_digest_is_that_of_the_standards_example() {
    // FIPS 180-4, "abc".
    let digest = ModuleDigest::of(b"abc");
    assert_eq!(
        alloc::format!("{digest}"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(digest.cid().len(), 59);
}

#[test]
fn only_a_module_with_a_start_function_is_rewritten() {
    let without = wat::parse_str(r#"(module (func (export "f")))"#).unwrap();
    assert_eq!(start_as_export(&without), None);
    assert_eq!(start_as_export(b"no module"), None);

    let with = wat::parse_str(r#"(module (func (export "f")) (func $s) (start $s))"#).unwrap();
    let (rewritten, name) = start_as_export(&with).unwrap();
    let info = crate::inspect(&rewritten).unwrap();
    assert!(!info.has_start);
    let exports: Vec<&str> = info.exports.iter().map(|export| &*export.name).collect();
    assert_eq!(exports, ["f", &*name]);
}
