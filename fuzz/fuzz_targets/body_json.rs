//! JSON, against `serde_json`: both take the same documents, and find the same values in them.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Report, limits};
use picket_seclang::body::{Limits, Scratch, json};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Flattens a document; numbers are left out, since they are told as they are written.
struct Flatten<'o> {
    name: Vec<u8>,
    out: &'o mut Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl<'de> DeserializeSeed<'de> for Flatten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Flatten<'_> {
    fn tell<E>(self, value: Option<&[u8]>) -> Result<(), E> {
        self.out.push((self.name, value.map(<[u8]>::to_vec)));
        Ok(())
    }
}

impl<'de> Visitor<'de> for Flatten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.tell(Some(b""))
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.tell(Some(if value { b"true" } else { b"false" }))
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.tell(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.tell(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.tell(None)
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.tell(Some(value.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let name = [&self.name, format!(".{index}").as_bytes()].concat();
            if items.next_element_seed(Flatten { name, out: &mut *self.out })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            let key = if key.is_empty() { "empty-key" } else { &key };
            let name = [&self.name, &b"."[..], key.as_bytes()].concat();
            members.next_value_seed(Flatten { name, out: &mut *self.out })?;
        }
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let mut scratch = Scratch::new();
    let small = limits(choice);
    let mut report = Report::default();
    let result = json(body, &small, &mut scratch, &mut report);
    report.check(&small, body.len(), result.err().as_ref());

    // With buffers used before, and no limit that counts here.
    let wide = Limits { arguments: usize::MAX, reported: usize::MAX, depth: 100_000, ..Limits::default() };
    let mut whole = Report::default();
    let result = json(body, &wide, &mut scratch, &mut whole);
    assert!(whole.0.starts_with(&report.0), "limits change what is told before them");

    let mut expected = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let theirs = Flatten { name: b"json".to_vec(), out: &mut expected }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match (result, theirs) {
        (Ok(()), Ok(())) => {
            let found: Vec<_> = whole.args().collect();
            assert_eq!(found.len(), expected.len());
            for ((name, value), (expected_name, expected)) in found.into_iter().zip(&expected) {
                assert_eq!(name, expected_name, "{}", name.escape_ascii());
                match expected {
                    Some(expected) => assert_eq!(value, expected, "{}", value.escape_ascii()),
                    None => assert!(value.first().is_some_and(|&b| b == b'-' || b.is_ascii_digit())),
                }
            }
        }
        (Err(fault), Ok(())) => panic!("refused, and is JSON: {fault}"),
        (Ok(()), Err(error)) => {
            // What is deliberately taken: nothing at all, more white space, half a surrogate pair; what
            // `serde_json` does not take: deep nesting, numbers that no float holds.
            let theirs_only = body.is_empty()
                || body.iter().any(|byte| matches!(byte, 0x0b | 0x0c))
                || ["recursion", "out of range", "surrogate", "hex escape"]
                    .iter()
                    .any(|reason| error.to_string().contains(reason));
            assert!(theirs_only, "taken, and is not JSON: {error}");
        }
        (Err(_), Err(_)) => {}
    }
});
