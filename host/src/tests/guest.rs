use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use picket_abi::{Configure, Phase, Setting, Value};

use super::mock::{
    ALL, MockBackend, environment, fields, head, load, load_configured, policy, pooled, proceed, respond,
    wasm,
};
use crate::{
    BodyDecision, Chain, ConfigureBuf, Error, Filter, GuestFault, HeadDecision, LoadError, NoServices,
    Source, Trap,
};

fn silent() -> MockBackend {
    MockBackend::new(|_, _, _| Ok(proceed()))
}

#[test]
fn the_input_buffer_is_asked_for_once() {
    let backend = silent();
    let chain = Chain::new(vec![Arc::new(load(&backend, "f", ALL, policy()))]);
    let mut transaction = chain.begin();
    transaction.request_head(&head(&fields(&[("Host", "h")])));
    transaction.request_body(&[0; 4000], false);
    assert_eq!(backend.counts.inputs(), 1);
    transaction.request_body(&[0; 5000], false);
    assert_eq!(backend.counts.inputs(), 2, "a longer message needs more room");
    transaction.request_body(&[0; 8000], true);
    assert_eq!(backend.counts.inputs(), 2, "of which there is some to spare");
}

#[test]
fn a_message_without_room_is_a_failure() {
    let backend = silent();
    let mut policy = policy();
    policy.limits.chunk_bytes = 1 << 20;
    let chain = Chain::new(vec![Arc::new(load(&backend, "f", ALL, policy))]);
    let mut transaction = chain.begin();
    let decision = transaction.request_body(&[0; 40_000], true);
    assert!(matches!(decision, BodyDecision::Respond(reply) if reply.status == 503));
    let error = &transaction.report().failures[0].error;
    assert!(matches!(error, Error::Guest(GuestFault::InputRefused { len }) if *len > 40_000), "{error:?}");
}

#[test]
fn a_pool_keeps_as_many_as_it_may() {
    let backend = silent();
    let filter = Arc::new(load(&backend, "f", ALL, pooled(2)));
    let chain = Chain::new(vec![filter.clone()]);
    let none = fields(&[]);
    let mut transactions: Vec<_> = (0..3).map(|_| chain.begin()).collect();
    for transaction in &mut transactions {
        transaction.request_head(&head(&none));
    }
    assert_eq!(backend.counts.instances(), 3, "that of loading is the first");
    drop(transactions);
    assert_eq!((backend.counts.alive(), filter.live_instances()), (2, 2));

    chain.begin().request_head(&head(&none));
    assert_eq!(backend.counts.instances(), 3, "an idle one does");
    drop((filter, chain));
    assert_eq!(backend.counts.alive(), 0);
}

#[test]
fn a_failed_instance_never_comes_back() {
    let backend =
        MockBackend::new(
            |_, _, calls| {
                if calls == 1 { Err(Error::Trap(Trap::Unreachable)) } else { Ok(proceed()) }
            },
        );
    let chain = Chain::new(vec![Arc::new(load(&backend, "f", ALL, pooled(8)))]);
    let none = fields(&[]);
    let mut decisions = (0..3).map(|_| chain.begin().request_head(&head(&none)));
    assert_eq!(decisions.next(), Some(HeadDecision::Continue));
    assert!(matches!(decisions.next(), Some(HeadDecision::Respond(_))));
    assert_eq!(decisions.next(), Some(HeadDecision::Continue), "a new instance counts from the start");
    assert_eq!((backend.counts.instances(), backend.counts.alive()), (2, 1));
}

fn configuration() -> ConfigureBuf {
    let mut configuration = ConfigureBuf::default();
    configuration.settings.push(Setting { key: "mode".into(), value: Value::Text("detect".into()) });
    configuration.data = vec![1, 2, 3];
    configuration
}

const CONFIGURES: &[Phase] = &[Phase::Configure, Phase::RequestHead];

#[test]
fn each_instance_is_configured() {
    let backend = MockBackend::new(|phase, message, _| {
        if phase == Phase::Configure {
            let configure = Configure::decode(message).unwrap();
            let setting = configure.settings.iter().next().unwrap();
            assert_eq!((setting.key, setting.value), ("mode".into(), Value::Text("detect".into())));
            assert_eq!(configure.data, [1, 2, 3][..]);
        }
        Ok(proceed())
    });
    let filter = Arc::new(load_configured(&backend, "f", CONFIGURES, policy(), configuration()));
    assert_eq!(backend.counts.configured(), 1, "so that a bad configuration shows at load");
    let chain = Chain::new(vec![filter]);
    let none = fields(&[]);
    for _ in 0..2 {
        let mut transaction = chain.begin();
        transaction.request_head(&head(&none));
        transaction.request_head(&head(&none));
    }
    assert_eq!(backend.counts.configured(), 3);
}

#[test]
fn without_a_configuration_only_the_first_instance_is_asked() {
    let backend = silent();
    let chain = Chain::new(vec![Arc::new(load(&backend, "f", CONFIGURES, policy()))]);
    chain.begin().request_head(&head(&fields(&[])));
    assert_eq!((backend.counts.instances(), backend.counts.configured()), (2, 1));
}

#[test]
fn a_refused_configuration_is_a_load_error_with_the_guests_reason() {
    let backend = MockBackend::new(|_, _, _| {
        let mut refusal = respond(400);
        if let picket_abi::ActionBuf::Respond { body, .. } = &mut refusal.action {
            *body = b"threshold: not a number".to_vec();
        }
        Ok(refusal)
    });
    let wasm = wasm(CONFIGURES);
    let source = Source { id: "f", wasm: &wasm };
    let error =
        Filter::load(&backend, source, policy(), configuration(), environment(NoServices)).unwrap_err();
    let message = "threshold: not a number".into();
    assert_eq!(error, LoadError::Configure(GuestFault::ConfigurationRefused { message }.into()));
    assert_eq!(backend.counts.alive(), 0);
}
