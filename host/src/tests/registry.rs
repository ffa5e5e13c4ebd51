use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::mock::{ALL, MockBackend, fields, head, load, pooled, proceed, respond};
use crate::{Filter, HeadDecision, ModuleDigest, Registry, RegistryError};

/// A filter that answers with this status, or with nothing.
fn answering(backend: &MockBackend, id: &str) -> Filter {
    load(backend, id, ALL, pooled(4))
}

fn status(status: u16) -> MockBackend {
    MockBackend::new(move |_, _, _| Ok(if status == 0 { proceed() } else { respond(status) }))
}

fn ids(registry: &Registry) -> Vec<alloc::string::String> {
    registry.list().iter().map(|filter| filter.id().to_string()).collect()
}

#[test]
fn filters_are_listed_in_the_order_they_came() {
    let (backend, registry) = (status(0), Registry::new());
    for id in ["waf", "auth", "headers"] {
        registry.insert(answering(&backend, id)).unwrap();
    }
    assert_eq!(ids(&registry), ["waf", "auth", "headers"]);
    registry.replace(answering(&backend, "auth")).unwrap();
    assert_eq!(ids(&registry), ["waf", "auth", "headers"], "a new one stands where the old one stood");
    registry.unload("waf").unwrap();
    assert_eq!(ids(&registry), ["auth", "headers"]);
    assert!(registry.find("waf").is_none());
}

#[test]
fn what_cannot_be_done_is_said() {
    let (backend, registry) = (status(0), Registry::new());
    registry.insert(answering(&backend, "waf")).unwrap();
    let exists = RegistryError::Exists { id: "waf".into() };
    assert_eq!(registry.insert(answering(&backend, "waf")).unwrap_err(), exists);
    let unknown = RegistryError::Unknown { id: "auth".into() };
    assert_eq!(registry.replace(answering(&backend, "auth")).unwrap_err(), unknown);
    assert_eq!(registry.unload("auth").unwrap_err(), unknown);
    assert_eq!(registry.chain(&["waf", "auth"]).unwrap_err(), unknown);
    assert_eq!(backend.counts.alive(), 1, "the filters that were not taken are gone");
}

#[test]
fn transactions_in_flight_end_on_the_old_filter() {
    let (old_backend, new_backend, registry) = (status(0), status(403), Registry::new());
    registry.insert(answering(&old_backend, "waf")).unwrap();
    let chain = registry.chain(&["waf"]).unwrap();
    let none = fields(&[]);
    let mut in_flight = chain.begin();
    assert_eq!(in_flight.request_head(&head(&none)), HeadDecision::Continue);

    let replaced = registry.replace(answering(&new_backend, "waf")).unwrap();
    let old = Arc::downgrade(&replaced);
    drop((replaced, chain));
    let mut next = registry.chain(&["waf"]).unwrap().begin();
    assert!(matches!(next.request_head(&head(&none)), HeadDecision::Respond(reply) if reply.status == 403));

    assert_eq!(in_flight.request_head(&head(&none)), HeadDecision::Continue, "still on the old one");
    assert!(old.upgrade().is_some());
    drop(in_flight);
    assert!(old.upgrade().is_none());
    assert_eq!(old_backend.counts.alive(), 0, "with all its instances");
    assert_eq!(new_backend.counts.alive(), 1);
}

#[test]
fn metadata_say_what_was_loaded() {
    let backend = status(0);
    let wasm = super::mock::wasm(ALL);
    let filter = answering(&backend, "waf");
    let metadata = filter.metadata();
    assert_eq!((&*metadata.id, &*metadata.name, metadata.backend), ("waf", "waf", "mock"));
    assert_eq!((metadata.module_bytes, metadata.sha256), (wasm.len(), ModuleDigest::of(&wasm)));
    assert_eq!(metadata.cid, ModuleDigest::of(&wasm).cid());
    assert_eq!(
        metadata.phases.iter().collect::<Vec<_>>(),
        vec![ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]]
    );
}
