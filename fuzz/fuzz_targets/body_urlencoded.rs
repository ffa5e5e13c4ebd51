//! Forms, against splitting and decoding the slow way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Fields, Report, limits};
use picket_seclang::body::{Limits, Scratch, urlencoded};

fn decode(text: &[u8], invalid: &mut bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hex = |at: usize| text.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (text[at], hex(at + 1), hex(at + 2)) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (byte, ..) => {
                *invalid |= byte == b'%';
                out.push(byte);
            }
        }
        at += 1;
    }
    out
}

fn naive(body: &[u8], separator: u8) -> (Fields, bool) {
    let mut invalid = false;
    let mut pairs: Vec<&[u8]> = body.split(|&byte| byte == separator).collect();
    if pairs.last().is_some_and(|last| last.is_empty()) {
        pairs.pop();
    }
    let args = pairs
        .into_iter()
        .map(|pair| {
            let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            (decode(&pair[..at], &mut invalid), decode(value, &mut invalid))
        })
        .collect();
    (args, invalid)
}

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, separator], body)) = data.split_first_chunk() else { return };
    let separator = if separator & 1 == 0 { b'&' } else { b';' };
    let mut scratch = Scratch::new();
    for limits in
        [limits(choice), Limits { arguments: usize::MAX, reported: usize::MAX, ..Limits::default() }]
    {
        let mut report = Report::default();
        let result = urlencoded(body, separator, &limits, &mut scratch, &mut report);
        let (expected, invalid) = naive(body, separator);
        let found: Vec<_> = report.args().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        match result {
            Ok(found_invalid) => assert_eq!((found, found_invalid), (expected, invalid)),
            Err(fault) => {
                assert!(limits.arguments != usize::MAX, "a limit where there is none: {fault}");
                assert_eq!(found, expected[..found.len()]);
                assert!(fault.offset <= body.len(), "{fault}");
            }
        }
        if limits.reported != usize::MAX {
            report.check(&limits, body.len(), result.err().as_ref());
        }
    }
});
