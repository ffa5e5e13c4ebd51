//! Every message survives its own encoding, and no bytes make a decoder panic.

use picket_abi::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;

fn encoded<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; encoded_len(message)];
    let len = encode(message, &mut bytes).unwrap();
    assert_eq!(len, bytes.len(), "encoded_len is exact");
    bytes
}

fn list<M: Serialize>(elements: impl IntoIterator<Item = M>) -> Vec<u8> {
    elements.into_iter().flat_map(|element| encoded(&element)).collect()
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((bytes(), bytes()), 0..8)
}

fn headers(pairs: &Pairs) -> Vec<Header<'_>> {
    pairs.iter().map(|(name, value)| Header { name: Octets(name), value: Octets(value) }).collect()
}

fn peer() -> impl Strategy<Value = Peer> {
    let addr = prop_oneof![
        Just(PeerAddr::Unknown),
        any::<[u8; 4]>().prop_map(PeerAddr::V4),
        any::<[u8; 16]>().prop_map(PeerAddr::V6),
    ];
    (addr, any::<u16>()).prop_map(|(addr, port)| Peer { addr, port })
}

fn version() -> impl Strategy<Value = HttpVersion> {
    prop_oneof![
        Just(HttpVersion::Http09),
        Just(HttpVersion::Http10),
        Just(HttpVersion::Http11),
        Just(HttpVersion::Http2),
        Just(HttpVersion::Http3),
    ]
}

/// An action, without borrowing.
#[derive(Clone, Debug)]
enum Plan {
    Continue,
    Modify(Vec<(u8, Vec<u8>, Vec<u8>)>, Option<Vec<u8>>),
    Respond(u16, Pairs, Vec<u8>),
    Redirect(u16, Vec<u8>),
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        Just(Plan::Continue),
        (vec((0..3_u8, bytes(), bytes()), 0..6), proptest::option::of(bytes()))
            .prop_map(|(changes, body)| Plan::Modify(changes, body)),
        (200..=599_u16, pairs(), bytes())
            .prop_map(|(status, headers, body)| Plan::Respond(status, headers, body)),
        (prop_oneof![Just(301), Just(302), Just(303), Just(307), Just(308)], bytes())
            .prop_map(|(status, location)| Plan::Redirect(status, location)),
    ]
}

/// Encodes the outcome of `plan` and hands it to `check`, with its bytes.
fn with_outcome(
    plan: &Plan,
    score: u32,
    matches: &[(u32, u8, Pairs)],
    check: impl FnOnce(Outcome<'_>, &[u8]),
) {
    let list_of = |plan: &Plan| match plan {
        Plan::Modify(changes, _) => list(changes.iter().map(|(kind, name, value)| {
            let header = Header { name: Octets(name), value: Octets(value) };
            match kind {
                0 => HeaderOp::Set(header),
                1 => HeaderOp::Append(header),
                _ => HeaderOp::Remove(header.name),
            }
        })),
        Plan::Respond(_, pairs, _) => list(headers(pairs)),
        _ => Vec::new(),
    };
    let fields = list_of(plan);
    let action = match plan {
        Plan::Continue => Action::Continue,
        Plan::Modify(_, body) => {
            Action::Modify { headers: Seq::from_encoded(&fields), body: body.as_deref().map(Octets) }
        }
        Plan::Respond(status, _, body) => {
            Action::Respond { status: *status, headers: Seq::from_encoded(&fields), body: Octets(body) }
        }
        Plan::Redirect(status, location) => Action::Redirect { status: *status, location: Octets(location) },
    };
    let tags: Vec<Vec<u8>> =
        matches.iter().map(|(_, _, pairs)| list(pairs.iter().map(|(tag, _)| Octets(tag)))).collect();
    let matches = list(matches.iter().zip(&tags).map(|((rule_id, severity, pairs), tags)| {
        let text = |at: usize| Octets(pairs.get(at).map_or(&[], |(_, text)| text));
        Match {
            rule_id: *rule_id,
            severity: Severity::try_from(*severity).unwrap(),
            score: u32::from(*severity),
            category: text(0),
            message: text(1),
            location: text(2),
            matched: text(3),
            value: text(4),
            transformations: text(5),
            tags: Seq::from_encoded(tags),
        }
    }));
    let audit = list([Octets(b"one"), Octets(b""), Octets(b"\xff")]);
    let outcome = Outcome {
        action,
        verdict: Verdict { score, matches: Seq::from_encoded(&matches), tags: Seq::from_encoded(&audit) },
    };
    let bytes = encoded(&outcome);
    check(outcome, &bytes);
}

fn matches() -> impl Strategy<Value = Vec<(u32, u8, Pairs)>> {
    vec((any::<u32>(), 2..=5_u8, pairs()), 0..4)
}

/// Decodes as everything that there is, and looks at all of it.
fn decode_as_everything(bytes: &[u8]) {
    fn walk<'a, T: Element<'a> + std::fmt::Debug>(seq: Seq<'a, T>) {
        // Ends, even where the bytes are no list: every element takes at least one byte.
        assert!(seq.iter().count() <= seq.encoded().len());
        let _ = format!("{seq:?}");
        let _ = seq.check();
    }
    if let Ok(configure) = Configure::decode(bytes) {
        walk(configure.settings);
    }
    if let Ok(head) = RequestHead::decode(bytes) {
        walk(head.headers);
        let _ = (head.path(), head.query(), head.headers.first(b"host"));
    }
    if let Ok(head) = ResponseHead::decode(bytes) {
        walk(head.headers);
    }
    let _ = format!("{:?}", BodyChunk::decode(bytes));
    let _ = format!("{:?}", FailureReport::decode(bytes));
    let _ = format!("{:?}", TransactionLog::decode(bytes));
    let _ = format!("{:?}", FetchRequest::decode(bytes));
    let _ = format!("{:?}", FetchResponse::decode(bytes).map(|response| response.headers.iter().count()));
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert!(manifest.name.len() <= MAX_NAME_LEN);
        let _ = (manifest.phases.iter().count(), manifest.capabilities.iter().count());
    }
    match Outcome::decode(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        // What has been accepted is sound in all its depth, and is itself when sent on.
        Ok(outcome) => {
            let Verdict { matches, tags, .. } = outcome.verdict;
            assert_eq!((matches.check(), tags.check()), (Ok(()), Ok(())));
            for matched in matches {
                assert_eq!(matched.tags.check(), Ok(()));
                walk(matched.tags);
            }
            assert_eq!(Outcome::decode(&encoded(&outcome)), Ok(outcome));
        }
    }
}

proptest! {
    #[test]
    fn configure_round_trips(settings in vec((bytes(), any::<i64>(), any::<f64>(), bytes(), 0..4_u8), 0..8), data in bytes()) {
        let values: Vec<Setting<'_>> = settings
            .iter()
            .map(|(key, int, float, text, kind)| Setting {
                key: Octets(key),
                value: match kind {
                    0 => Value::Bool(*int > 0),
                    1 => Value::Int(*int),
                    // NaN is not equal to itself.
                    2 => Value::Float(if float.is_nan() { 0.5 } else { *float }),
                    _ => Value::Text(Octets(text)),
                },
            })
            .collect();
        let encoded_settings = list(values.iter().copied());
        let configure = Configure { settings: Seq::from_encoded(&encoded_settings), data: Octets(&data) };
        let bytes = encoded(&configure);
        let decoded = Configure::decode(&bytes).unwrap();
        prop_assert_eq!(decoded, configure);
        prop_assert!(decoded.settings.iter().eq(values));
    }

    #[test]
    fn heads_round_trip(
        texts in vec(bytes(), 5),
        client in peer(),
        https in any::<bool>(),
        version in version(),
        pairs in pairs(),
        end in any::<bool>(),
        status in any::<u16>(),
    ) {
        let fields = headers(&pairs);
        let list = list(fields.iter().copied());
        let head = RequestHead {
            request_id: Octets(&texts[0]),
            route: Octets(&texts[1]),
            client,
            scheme: if https { Scheme::Https } else { Scheme::Http },
            version,
            method: Octets(&texts[2]),
            authority: Octets(&texts[3]),
            target: Octets(&texts[4]),
            headers: Seq::from_encoded(&list),
            end,
            protocol: Octets(&texts[3]),
        };
        let bytes = encoded(&head);
        let decoded = RequestHead::decode(&bytes).unwrap();
        prop_assert_eq!(decoded, head);
        prop_assert!(decoded.headers.iter().eq(fields.iter().copied()));
        prop_assert_eq!(decoded.headers.check(), Ok(()));

        let head = ResponseHead { status, version, headers: Seq::from_encoded(&list), end };
        let bytes = encoded(&head);
        prop_assert_eq!(ResponseHead::decode(&bytes), Ok(head));
    }

    #[test]
    fn small_messages_round_trip(
        numbers in any::<[u64; 3]>(),
        status in any::<u16>(),
        flag in any::<bool>(),
        text in bytes(),
        source in prop_oneof![Just(FailureSource::Upstream), Just(FailureSource::Client), Just(FailureSource::Filter)],
    ) {
        let chunk = BodyChunk { offset: numbers[0], end: flag, data: Octets(&text) };
        assert_eq!(BodyChunk::decode(&encoded(&chunk)), Ok(chunk));
        let report = FailureReport { source, status, message: Octets(&text) };
        assert_eq!(FailureReport::decode(&encoded(&report)), Ok(report));
        let log = TransactionLog {
            status,
            answered_by_filter: flag,
            request_bytes: numbers[0],
            response_bytes: numbers[1],
            duration_us: numbers[2],
        };
        assert_eq!(TransactionLog::decode(&encoded(&log)), Ok(log));
    }

    #[test]
    fn fetches_round_trip(texts in vec(bytes(), 3), pairs in pairs(), timeout_ms in any::<u32>(), status in any::<u16>()) {
        let list = list(headers(&pairs));
        let request = FetchRequest {
            method: Octets(&texts[0]),
            uri: Octets(&texts[1]),
            headers: Seq::from_encoded(&list),
            body: Octets(&texts[2]),
            timeout_ms,
        };
        assert_eq!(FetchRequest::decode(&encoded(&request)), Ok(request));
        let response = FetchResponse { status, headers: Seq::from_encoded(&list), body: Octets(&texts[2]) };
        assert_eq!(FetchResponse::decode(&encoded(&response)), Ok(response));
    }

    #[test]
    fn manifests_round_trip(
        texts in vec("[ -~]{0,64}", 3),
        phases in vec(0..7_usize, 0..7),
        capabilities in vec(0..7_usize, 0..7),
        body_window in any::<u32>(),
    ) {
        let manifest = Manifest {
            name: texts[0].as_str().into(),
            version: texts[1].as_str().into(),
            kind: texts[2].as_str().into(),
            phases: phases.iter().fold(PhaseSet::EMPTY, |set, &phase| set.with(Phase::ALL[phase])),
            capabilities: capabilities.iter().fold(CapabilitySet::EMPTY, |set, &one| set.with(Capability::ALL[one])),
            body_window,
        };
        assert_eq!(Manifest::decode(&encoded(&manifest)), Ok(manifest));
    }

    #[test]
    fn outcomes_round_trip(plan in plan(), score in any::<u32>(), matches in matches()) {
        with_outcome(&plan, score, &matches, |outcome, bytes| {
            let decoded = Outcome::decode(bytes).unwrap();
            assert_eq!(decoded, outcome);
            assert_eq!(decoded.verdict.matches.iter().count(), matches.len());
            assert_eq!(decoded.verdict.tags.iter().count(), 3);
            let ids: Vec<u32> = decoded.verdict.matches.iter().map(|matched| matched.rule_id).collect();
            assert_eq!(ids, matches.iter().map(|(id, _, _)| *id).collect::<Vec<_>>());
        });
    }

    #[test]
    fn an_outcome_that_is_cut_or_continued_is_refused(
        plan in plan(),
        matches in matches(),
        extra in vec(any::<u8>(), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        with_outcome(&plan, 5, &matches, |_, bytes| {
            let mut longer = bytes.to_vec();
            longer.extend(&extra);
            assert_eq!(
                Outcome::decode(&longer),
                Err(DecodeError::TrailingBytes { what: "outcome", excess: extra.len() })
            );
            assert!(Outcome::decode(&bytes[..cut.index(bytes.len())]).is_err());
        });
    }

    #[test]
    fn a_buffer_that_is_too_short_is_an_error(plan in plan(), matches in matches(), cut in any::<proptest::sample::Index>()) {
        with_outcome(&plan, 5, &matches, |outcome, bytes| {
            let capacity = cut.index(bytes.len());
            let mut buffer = vec![0; capacity];
            assert_eq!(encode(&outcome, &mut buffer), Err(EncodeError::BufferFull { capacity }));
        });
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        decode_as_everything(&bytes);
    }

    /// Bytes that are nearly right go further into a decoder than random ones.
    #[test]
    fn damaged_messages_never_panic(
        plan in plan(),
        matches in matches(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        with_outcome(&plan, 9, &matches, |_, bytes| {
            let mut bytes = bytes.to_vec();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            decode_as_everything(&bytes);
        });
    }

    #[test]
    fn packing_a_slice_loses_nothing(ptr in any::<u32>(), len in any::<u32>()) {
        let slice = PackedSlice { ptr, len };
        prop_assert_eq!(PackedSlice::unpack(slice.pack()), slice);
    }
}

/// The owned builders write what the borrowed types read.
#[cfg(feature = "alloc")]
mod owned {
    use super::*;

    proptest! {
        #[test]
        fn owned_outcomes_are_the_borrowed_ones(plan in plan(), score in any::<u32>(), matches in matches()) {
            with_outcome(&plan, score, &matches, |outcome, bytes| {
                let owned = OutcomeBuf::from(outcome);
                assert_eq!(owned.as_outcome(), outcome);
                let mut buffer = vec![1, 2, 3];
                owned.encode_into(&mut buffer);
                assert_eq!(buffer, bytes);
            });
        }

        #[test]
        fn lists_grow_element_by_element(pairs in pairs()) {
            let mut list = SeqBuf::<Header<'static>>::new();
            for header in headers(&pairs) {
                list.push(header);
            }
            prop_assert!(list.iter().eq(headers(&pairs)));
            prop_assert_eq!(list.encoded(), super::list(headers(&pairs)));
            let mut twice = list.clone();
            twice.extend_from_seq(list.as_seq());
            prop_assert_eq!(twice.iter().count(), 2 * pairs.len());
        }
    }

    #[test]
    fn only_an_empty_outcome_is_silent() {
        assert!(OutcomeBuf::default().is_silent());
        let mut tagged = OutcomeBuf::default();
        tagged.verdict.tags.push(Octets(b"seen"));
        assert!(!tagged.is_silent());
        let scored =
            OutcomeBuf { verdict: VerdictBuf { score: 3, ..VerdictBuf::default() }, ..OutcomeBuf::default() };
        assert!(!scored.is_silent());
    }
}
