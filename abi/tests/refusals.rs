//! What a host refuses to take from a guest, each with the error that says why.

use picket_abi::*;
use serde::Serialize;

fn encoded<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; encoded_len(message)];
    encode(message, &mut bytes).unwrap();
    bytes
}

/// The error of an outcome that acts so.
#[track_caller]
fn refusal(action: Action<'_>) -> DecodeError {
    Outcome::decode(&encoded(&Outcome { action, ..Outcome::default() })).unwrap_err()
}

/// The error of an outcome whose verdict is that.
#[track_caller]
fn verdict_refusal(verdict: Verdict<'_>) -> DecodeError {
    Outcome::decode(&encoded(&Outcome { verdict, ..Outcome::default() })).unwrap_err()
}

#[test]
fn no_outcome_at_all() {
    assert_eq!(Outcome::decode(&[]), Err(DecodeError::Malformed { what: "outcome", offset: 0 }));
    assert_eq!(Outcome::decode(&[4, 0, 0, 0]), Err(DecodeError::Malformed { what: "outcome", offset: 0 }));
    // A list longer than the message.
    assert_eq!(
        Outcome::decode(&[0, 0, 0xff, 0x7f]),
        Err(DecodeError::Malformed { what: "outcome", offset: 0 })
    );
    // A score of more than 32 bits.
    let too_long = [0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0];
    assert_eq!(Outcome::decode(&too_long), Err(DecodeError::Malformed { what: "outcome", offset: 0 }));
}

#[test]
fn bytes_behind_the_outcome() {
    let error = Outcome::decode(&[0, 0, 0, 0, 7, 7]).unwrap_err();
    assert_eq!(error, DecodeError::TrailingBytes { what: "outcome", excess: 2 });
    assert_eq!(error.to_string(), "2 bytes left over behind the outcome");
}

#[test]
fn statuses_that_no_answer_has() {
    for status in [0, 100, 101, 199, 600, 999, u16::MAX] {
        let error = refusal(Action::Respond { status, headers: Seq::EMPTY, body: Octets(b"") });
        assert_eq!(error, DecodeError::OutOfRange { what: "response status", value: status.into() });
    }
    for status in [0, 200, 300, 304, 305, 306, 309, 400] {
        let error = refusal(Action::Redirect { status, location: "/".into() });
        assert_eq!(error, DecodeError::OutOfRange { what: "redirect status", value: status.into() });
    }
}

#[test]
fn a_bad_element_names_its_place_in_its_list() {
    // The second header lacks the last byte of its value.
    let headers = [1, b'a', 1, b'1', 1, b'b', 2, b'2'];
    let expected = DecodeError::Malformed { what: "header", offset: 4 };
    let headers = Seq::from_encoded(&headers);
    assert_eq!(refusal(Action::Respond { status: 200, headers, body: Octets(b"") }), expected);
    assert_eq!(expected.to_string(), "malformed header at byte 4");

    // There is no operation 3.
    let changes = Seq::from_encoded(&[2, 1, b'a', 3, 1, b'b']);
    assert_eq!(
        refusal(Action::Modify { headers: changes, body: None }),
        DecodeError::Malformed { what: "header operation", offset: 3 }
    );

    let tags = Seq::from_encoded(&[1, b'a', 9]);
    assert_eq!(
        verdict_refusal(Verdict { tags, ..Verdict::default() }),
        DecodeError::Malformed { what: "octets", offset: 2 }
    );
}

#[test]
fn a_bad_element_inside_a_match_is_found() {
    let whole = encoded(&Match { rule_id: 1, tags: Seq::from_encoded(&[1, b't']), ..Match::default() });
    let broken = encoded(&Match { rule_id: 2, tags: Seq::from_encoded(&[5, b't']), ..Match::default() });
    let list = [whole.clone(), broken].concat();
    let matches = Seq::from_encoded(&list);
    assert_eq!(
        verdict_refusal(Verdict { matches, ..Verdict::default() }),
        // The offset of the match in its list, plus that of the tag in the list of tags.
        DecodeError::Malformed { what: "octets", offset: whole.len() }
    );
}

#[test]
fn a_severity_that_is_none() {
    for severity in [0, 1, 6, 255] {
        let mut matched = encoded(&Match::default());
        matched[1] = severity;
        assert_eq!(
            verdict_refusal(Verdict { matches: Seq::from_encoded(&matched), ..Verdict::default() }),
            DecodeError::Malformed { what: "match", offset: 0 }
        );
    }
}

#[test]
fn a_manifest_that_is_none() {
    let manifest =
        Manifest { name: "n".into(), version: "1".into(), kind: "k".into(), ..Manifest::default() };
    assert!(Manifest::decode(&encoded(&manifest)).is_ok());

    let long = "n".repeat(MAX_NAME_LEN + 1);
    let error = Manifest::decode(&encoded(&Manifest { name: long.as_str().into(), ..manifest })).unwrap_err();
    assert_eq!(error, DecodeError::OutOfRange { what: "manifest name", value: 65 });
    for byte in [0, b'\n', 0x1b, 0x7f, 0x80, 0xff] {
        let kind = [b'a', byte];
        let error = Manifest::decode(&encoded(&Manifest { kind: Octets(&kind), ..manifest })).unwrap_err();
        assert_eq!(error, DecodeError::OutOfRange { what: "manifest kind", value: byte.into() });
    }

    let mut bytes = encoded(&manifest);
    bytes.push(0);
    assert_eq!(Manifest::decode(&bytes), Err(DecodeError::TrailingBytes { what: "manifest", excess: 1 }));
    // Bits without a meaning: phase 7, capability 7.
    let phases = [1, b'n', 1, b'1', 1, b'k', 0x80, 0, 0];
    assert_eq!(Manifest::decode(&phases), Err(DecodeError::OutOfRange { what: "phase set", value: 0x80 }));
    let capabilities = [1, b'n', 1, b'1', 1, b'k', 2, 0x80, 1, 0];
    assert_eq!(
        Manifest::decode(&capabilities),
        Err(DecodeError::OutOfRange { what: "capability set", value: 0x80 })
    );
}

#[test]
fn a_fetch_with_a_bad_header() {
    let request = FetchRequest {
        method: "GET".into(),
        uri: "http://example.org/".into(),
        headers: Seq::from_encoded(&[1]),
        ..FetchRequest::default()
    };
    assert_eq!(
        FetchRequest::decode(&encoded(&request)),
        Err(DecodeError::Malformed { what: "header", offset: 0 })
    );
}

#[test]
fn errors_stay_small() {
    // They travel in every result on the hot path.
    assert!(size_of::<DecodeError>() <= 32);
    assert!(size_of::<EncodeError>() <= 16);
}
