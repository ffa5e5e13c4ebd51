//! What a failure means for the transaction: fail closed and fail open.

use std::sync::Arc;

use picket_host::abi::{Phase, TransactionLog};
use picket_host::{BodyDecision, Chain, FailureKind, HeadDecision, OnFailure, Policy, Reply, ReplyCause};

use crate::stage::{attack, backends, calm, failed_closed, filter, policy, serve};

fn on_failure(on_failure: OnFailure) -> Policy {
    Policy { on_failure, ..policy() }
}

#[test]
fn fail_closed_answers_with_the_status_of_the_policy() {
    for backend in backends() {
        let bad = filter(backend, "traps", on_failure(OnFailure::FailClosed { status: 451 }));
        let good = filter(backend, "good", policy());
        let chain = Chain::new(vec![Arc::clone(&bad), Arc::clone(&good)]);
        let (decision, report) = serve(&chain, &attack(b"!"));
        assert_eq!(decision, failed_closed(&bad, 451, FailureKind::Trap), "{}", backend.name());
        let cause = ReplyCause::Failure(FailureKind::Trap);
        assert_eq!(report.answered_by, Some((Arc::clone(bad.id()), cause)));
        assert_eq!(good.counters().calls, 0, "{}: nobody behind it is asked", backend.name());
    }
}

#[test]
fn fail_open_goes_on_without_the_filter() {
    for backend in backends() {
        let bad = filter(backend, "traps", on_failure(OnFailure::FailOpen));
        let good = filter(backend, "good", policy());
        let chain = Chain::new(vec![Arc::clone(&bad), Arc::clone(&good)]);
        let (decision, report) = serve(&chain, &attack(b"!"));
        assert!(
            matches!(&decision, HeadDecision::Respond(Reply { status: 204, filter, .. }) if filter == good.id()),
            "{}: {decision:?}",
            backend.name()
        );
        assert_eq!(report.failures.len(), 1);
        assert_eq!((&report.failures[0].filter, report.failures[0].phase), (bad.id(), Phase::RequestHead));
    }
}

#[test]
fn fail_open_alone_lets_the_request_pass() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "traps", on_failure(OnFailure::FailOpen))]);
        let (decision, report) = serve(&chain, &attack(b"!"));
        assert_eq!((decision, report.failures.len()), (HeadDecision::Continue, 1), "{}", backend.name());
        assert_eq!(report.answered_by, None);
    }
}

#[test]
fn a_filter_that_has_failed_is_not_called_again_in_the_transaction() {
    for backend in backends() {
        let bad = filter(backend, "late_failure", on_failure(OnFailure::FailOpen));
        let chain = Chain::new(vec![Arc::clone(&bad)]);
        let mut transaction = chain.begin();
        assert_eq!(transaction.request_head(&calm()), HeadDecision::Continue);
        assert_eq!(transaction.request_body(b"one", false), BodyDecision::Continue);
        assert_eq!(transaction.request_body(b"two", true), BodyDecision::Continue);
        let report = transaction.finish(&TransactionLog::default());
        let phases: Vec<Phase> = report.failures.iter().map(|failure| failure.phase).collect();
        assert_eq!(phases, [Phase::RequestBody], "{}", backend.name());
        assert_eq!(bad.counters().calls, 2, "{}: head and the first piece", backend.name());
    }
}

#[test]
fn a_failure_in_the_log_answers_nobody() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "late_failure", policy())]);
        let (decision, report) = serve(&chain, &calm());
        assert_eq!(decision, HeadDecision::Continue, "{}", backend.name());
        assert_eq!(report.failures.len(), 1, "{}", backend.name());
        assert_eq!(report.answered_by, None, "{}", backend.name());
    }
}
