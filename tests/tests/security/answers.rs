//! Guests whose words are not what they are said to be: addresses, lengths, outcomes, header fields.

use picket_host::abi::{ActionBuf, DecodeError, Header, HeaderOp, OutcomeBuf, PackedSlice, Phase, SeqBuf};
use picket_host::{BodyDecision, Chain, Error, GuestFault, HeadDecision, Limit};

use crate::stage::{assert_attack, assert_serves, attack, backends, calm, filter, policy, serve};

const MEMORY: usize = 65_536;

/// The guest returns this.
#[track_caller]
fn assert_result(ptr: u32, len: u32, expected: impl Into<Error>) {
    let result = PackedSlice { ptr, len }.pack().to_le_bytes();
    let expected = expected.into();
    assert_attack("raw_result", policy(), &result, || expected.clone());
}

#[track_caller]
fn assert_out_of_bounds(ptr: u32, len: u32) {
    let slice = PackedSlice { ptr, len };
    assert_result(ptr, len, GuestFault::OutcomeOutOfBounds { slice, memory: MEMORY });
}

/// The guest answers with this outcome.
#[track_caller]
fn assert_outcome(action: ActionBuf, expected: GuestFault) {
    let mut bytes = Vec::new();
    OutcomeBuf { action, ..OutcomeBuf::default() }.encode_into(&mut bytes);
    assert_attack("echo", policy(), &bytes, || expected.clone().into());
}

#[test]
fn an_outcome_behind_the_memory_is_not_read() {
    assert_out_of_bounds(0x1_0000, 1);
    assert_out_of_bounds(0x7fff_0000, 10);
    assert_out_of_bounds(u32::MAX, 1);
}

#[test]
fn an_outcome_over_the_end_of_the_memory_is_not_read() {
    assert_out_of_bounds(0xffff, 2);
    assert_out_of_bounds(0xff00, 0x101);
    assert_out_of_bounds(u32::MAX, 2);
}

#[test]
fn a_negative_length_is_a_long_one() {
    let bytes = policy().limits.output_bytes;
    assert_result(0, -1_i32 as u32, Limit::Output { bytes, actual: u32::MAX });
    assert_result(1024, i32::MIN as u32, Limit::Output { bytes, actual: 1 << 31 });
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_memory_is_looked_at() {
    let bytes = policy().limits.output_bytes;
    let actual = bytes as u32 + 1;
    assert_result(0, actual, Limit::Output { bytes, actual });
}

#[test]
fn an_address_without_a_length_is_no_outcome() {
    let error = DecodeError::Malformed { what: "outcome", offset: 0 };
    assert_result(1024, 0, GuestFault::OutcomeMalformed(error));
}

#[test]
fn garbage_is_no_outcome() {
    let malformed = |what, offset| GuestFault::OutcomeMalformed(DecodeError::Malformed { what, offset });
    let garbage: [(&[u8], GuestFault); 6] = [
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", malformed("outcome", 0)),
        (b"{\"action\":1}", malformed("outcome", 0)),
        // Continue, then a verdict whose list says it is longer than everything there is.
        (b"\x00\x00\xff\xff\xff\xff\x0f\x00", malformed("outcome", 0)),
        // A list of header operations that holds none.
        (b"\x01\x02\x09\x09\x00\x00\x00\x00", malformed("header operation", 0)),
        (
            b"\x00\x00\x00\x00!",
            GuestFault::OutcomeMalformed(DecodeError::TrailingBytes { what: "outcome", excess: 1 }),
        ),
        (
            b"\x02\x65\x00\x00\x00\x00\x00",
            GuestFault::OutcomeMalformed(DecodeError::OutOfRange { what: "response status", value: 101 }),
        ),
    ];
    for (bytes, expected) in garbage {
        assert_attack("echo", policy(), bytes, || expected.clone().into());
    }
}

fn set(name: &'static str, value: &'static str) -> ActionBuf {
    let mut headers = SeqBuf::new();
    headers.push(HeaderOp::Set(Header { name: name.into(), value: value.into() }));
    ActionBuf::Modify { headers, body: None }
}

fn append(name: &'static str, value: &'static str) -> ActionBuf {
    let mut headers = SeqBuf::new();
    headers.push(HeaderOp::Append(Header { name: name.into(), value: value.into() }));
    ActionBuf::Modify { headers, body: None }
}

fn respond(name: &'static str, value: &'static str) -> ActionBuf {
    let mut headers = SeqBuf::new();
    headers.push(Header { name: name.into(), value: value.into() });
    ActionBuf::Respond { status: 200, headers, body: Vec::new() }
}

#[test]
fn a_value_cannot_break_out_of_its_line() {
    let invalid = |offset, byte| GuestFault::InvalidHeader { part: "value", offset, byte: Some(byte) };
    for action in [set, append, respond] {
        assert_outcome(action("X-Note", "fine\r\nSet-Cookie: admin=1"), invalid(4, b'\r'));
        assert_outcome(action("X-Note", "a\nb"), invalid(1, b'\n'));
        assert_outcome(action("X-Note", "\0"), invalid(0, 0));
    }
    let location = b"/next\r\nX-Evil: 1".to_vec();
    let invalid = GuestFault::InvalidHeader { part: "location", offset: 5, byte: Some(b'\r') };
    assert_outcome(ActionBuf::Redirect { status: 302, location }, invalid);
}

#[test]
fn a_name_is_a_token() {
    let invalid = |offset, byte| GuestFault::InvalidHeader { part: "name", offset, byte };
    for action in [set, append, respond] {
        assert_outcome(action("X-A\r\nX-B", "1"), invalid(3, Some(b'\r')));
        assert_outcome(action("X A", "1"), invalid(1, Some(b' ')));
        assert_outcome(action(":path", "/admin"), invalid(0, Some(b':')));
        assert_outcome(action("", "1"), invalid(0, None));
    }
}

#[test]
fn the_framing_is_the_hosts() {
    for action in [set, append, respond] {
        for (name, reserved) in [
            ("Content-Length", "content-length"),
            ("transfer-encoding", "transfer-encoding"),
            ("CONNECTION", "connection"),
        ] {
            assert_outcome(action(name, "0"), GuestFault::ReservedHeader { name: reserved });
        }
    }
    let mut headers = SeqBuf::new();
    headers.push(HeaderOp::Remove("Content-Length".into()));
    let remove = ActionBuf::Modify { headers, body: None };
    assert_outcome(remove, GuestFault::ReservedHeader { name: "content-length" });
}

#[test]
fn a_head_that_has_gone_cannot_be_changed() {
    let mut bytes = Vec::new();
    OutcomeBuf { action: set("X-Late", "1"), ..OutcomeBuf::default() }.encode_into(&mut bytes);
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "echo", policy())]);
        let mut transaction = chain.begin();
        assert_eq!(transaction.request_head(&calm()), HeadDecision::Continue);
        let decision = transaction.request_body(&bytes, true);
        assert!(matches!(decision, BodyDecision::Respond(reply) if reply.status == 503));
        let error = &transaction.report().failures[0].error;
        assert_eq!(
            *error,
            GuestFault::LateHeaders { phase: Phase::RequestBody }.into(),
            "{}",
            backend.name()
        );
        assert_serves(backend);
    }
}

#[test]
fn an_input_buffer_outside_the_memory_is_not_written() {
    for (name, ptr) in
        [("input_out_of_bounds", 0x1_0000), ("input_past_the_end", 0xfff0), ("input_wraps", u32::MAX)]
    {
        for backend in backends() {
            let chain = Chain::new(vec![filter(backend, name, policy())]);
            let (_, report) = serve(&chain, &calm());
            let slice = PackedSlice { ptr, len: 4096 };
            let expected: Error = GuestFault::InputOutOfBounds { slice, memory: MEMORY }.into();
            assert_eq!(report.failures[0].error, expected, "{} {name}", backend.name());
            assert_serves(backend);
        }
    }
}

#[test]
fn a_guest_without_room_refuses_the_message() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "input_refused", policy())]);
        let (_, report) = serve(&chain, &attack(b"0123456789"));
        assert!(
            matches!(report.failures[0].error, Error::Guest(GuestFault::InputRefused { len }) if len < 100),
            "{}: {report:?}",
            backend.name()
        );
        assert_serves(backend);
    }
}

#[test]
fn an_input_buffer_over_the_guests_own_data_harms_the_guest_alone() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "input_odd", policy())]);
        let (decision, report) = serve(&chain, &attack(b"overwritten"));
        assert_eq!((decision, report.failures.len()), (HeadDecision::Continue, 0), "{}", backend.name());
        assert_serves(backend);
    }
}
