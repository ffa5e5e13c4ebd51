//! What is kept from one request to the next, and what is freed.

use std::sync::{Arc, Weak};

use picket_host::abi::TransactionLog;
use picket_host::{Chain, Error, Filter, HeadDecision, Limit, Registry};

use crate::stage::{assert_serves, attack, backends, calm, filter, load, policy, pooled, serve};

#[test]
fn fresh_instances_share_nothing() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "state", policy())]);
        for _ in 0..3 {
            assert_eq!(serve(&chain, &calm()).0, HeadDecision::Continue, "{}", backend.name());
        }
    }
}

#[test]
fn pooled_instances_are_used_again() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "state", pooled(policy()))]);
        assert_eq!(serve(&chain, &calm()).0, HeadDecision::Continue, "{}", backend.name());
        let (decision, _) = serve(&chain, &calm());
        assert!(matches!(decision, HeadDecision::Respond(_)), "{}: {decision:?}", backend.name());
    }
}

#[test]
fn an_instance_that_trapped_is_not_used_again() {
    for backend in backends() {
        let filter = filter(backend, "traps", pooled(policy()));
        let chain = Chain::new(vec![Arc::clone(&filter)]);
        assert_eq!(serve(&chain, &calm()).0, HeadDecision::Continue);
        assert_eq!(filter.counters().instances, 1, "{}: the one of loading", backend.name());
        assert!(matches!(serve(&chain, &attack(b"!")).0, HeadDecision::Respond(_)));
        assert_eq!(filter.live_instances(), 0, "{}", backend.name());
        assert_eq!(serve(&chain, &calm()).0, HeadDecision::Continue);
        assert_eq!(filter.counters().instances, 2, "{}", backend.name());
    }
}

#[test]
fn no_more_instances_than_allowed_are_alive() {
    for backend in backends() {
        let mut policy = policy();
        policy.limits.instances = 2;
        let filter = filter(backend, "raw_result", policy);
        let chain = Chain::new(vec![Arc::clone(&filter)]);
        let mut transactions = [chain.begin(), chain.begin(), chain.begin()];
        for transaction in &mut transactions {
            transaction.request_head(&calm());
        }
        let [first, _second, third] = transactions;
        assert_eq!(third.report().failures[0].error, Error::Limit(Limit::Instances { instances: 2 }));
        assert_eq!(filter.live_instances(), 2, "{}", backend.name());

        first.finish(&TransactionLog::default());
        assert_eq!(filter.live_instances(), 1, "{}", backend.name());
        assert_eq!(serve(&chain, &calm()).0, HeadDecision::Continue, "{}", backend.name());
    }
}

#[test]
fn a_replaced_filter_is_freed_with_its_last_transaction() {
    for backend in backends() {
        let registry = Registry::new();
        registry.insert(load(backend, "state", policy()).unwrap()).unwrap();
        let mut in_flight = registry.chain(&["state"]).unwrap().begin();
        assert_eq!(in_flight.request_head(&calm()), HeadDecision::Continue);

        let replaced = registry.replace(load(backend, "state", policy()).unwrap()).unwrap();
        let old = Arc::downgrade(&replaced);
        drop(replaced);
        assert!(old.upgrade().is_some(), "{}: the transaction holds it", backend.name());
        // Its second request, on the same instance: it is the old one's state that answers.
        assert!(matches!(in_flight.request_head(&calm()), HeadDecision::Respond(_)));
        drop(in_flight);
        assert!(old.upgrade().is_none(), "{}: nobody holds it any more", backend.name());
    }
}

#[test]
fn two_hundred_reloads_leave_nothing_behind() {
    for backend in backends() {
        let registry = Registry::new();
        let mut old: Vec<Weak<Filter>> = Vec::new();
        registry.insert(load(backend, "state", pooled(policy())).unwrap()).unwrap();
        for _ in 0..200 {
            let chain = registry.chain(&["state"]).unwrap();
            let mut in_flight: Vec<_> = (0..20).map(|_| chain.begin()).collect();
            for transaction in &mut in_flight {
                assert_eq!(transaction.request_head(&calm()), HeadDecision::Continue, "{}", backend.name());
            }
            let replaced = registry.replace(load(backend, "state", pooled(policy())).unwrap()).unwrap();
            assert_eq!(replaced.live_instances(), 20, "{}", backend.name());
            old.push(Arc::downgrade(&replaced));
        }
        // 4,000 instances have lived, twice as many as the pool of wasmtime has room for.
        assert!(old.iter().all(|filter| filter.strong_count() == 0), "{}", backend.name());
        assert_eq!(registry.find("state").unwrap().live_instances(), 1, "{}", backend.name());
        assert_serves(backend);
    }
}
