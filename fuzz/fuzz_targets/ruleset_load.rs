//! Damaged rulesets: whatever bytes are taken for one, a request runs through, and it ends.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Exchange, Memory, RICH, blob, drive};
use picket_seclang::format::{HEADER_LEN, Record, Rule, SECTIONS, Section};
use picket_seclang::{RuleSet, checksum};

/// Few rules, so that damage hits what matters.
const SMALL: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecAction "id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:tx.s=3,setvar:ip.n=+1"
SecRule ARGS|REQUEST_HEADERS|!REQUEST_HEADERS:Host "@rx (?i)(un|se)lect\s+(\w+)" "id:2,phase:2,log,capture,t:urlDecodeUni,t:lowercase,multiMatch,msg:'%{TX.1} %{MATCHED_VAR}',setvar:'tx.s=+%{tx.s}',tag:'x',chain"
    SecRule MATCHED_VARS "@pm one two three" "t:none,ctl:ruleRemoveTargetById=3;ARGS:a"
SecRule ARGS:a|ARGS:/^b/ "@within %{TX.1}" "id:3,phase:2,log,pass,skipAfter:E"
SecRule &ARGS|TX:s "@gt 1" "id:4,phase:2,log,pass,redirect:'http://%{REQUEST_HEADERS.Host}/'"
SecMarker E
SecRule REQUEST_BODY|FILES|XML:/* "@detectSQLi" "id:5,phase:2,log,deny,t:base64Decode,t:cmdLine"
SecRule RESPONSE_BODY "@validateByteRange 32-126" "id:6,phase:4,log,deny"
"#;

static BLOBS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [blob(SMALL, true, true), blob(RICH, true, true)]);

const REQUEST: &[u8] = b"POST /a?a=one&b=union%20all%20select&bc=x HTTP/1.1\nHost: e\nX: UNION two\n\
    Content-Type: application/x-www-form-urlencoded\n\na=select three&c=c2VsZWN0IDE=&d=1' or 1=1--\n\
    --response--\nHTTP/1.1 200 OK\nContent-Type: text/html\n\n\xff body";

fn number(blob: &[u8], at: usize) -> usize {
    blob.get(at..at + 4)
        .map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

fn damaged(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut blob = u.choose(&*BLOBS)?.clone();
    for _ in 0..u.int_in_range(1..=8u8)? {
        let entry = HEADER_LEN + 8 * u.choose_index(SECTIONS)?;
        let (start, len) = (number(&blob, entry), number(&blob, entry + 4));
        if u.ratio(1, 10u8)? {
            // A section that is elsewhere, or shorter.
            let at = entry + if u.arbitrary()? { 4 } else { 0 };
            let wrong = u.int_in_range(0..=blob.len() as u32)?;
            blob[at..at + 4].copy_from_slice(&wrong.to_le_bytes());
            continue;
        }
        // Most of the tables begin with what matters most.
        let reach = if u.arbitrary()? { len.min(64) } else { len };
        if reach == 0 {
            continue;
        }
        let at = start + u.choose_index(reach)?;
        let bytes: &[u8] = match u.int_in_range(0..=5u8)? {
            0 => &[0xff; 4],
            1 => &[0; 4],
            2 => &[0xff, 0xff],
            3 => &[u.arbitrary()?],
            4 => &u.arbitrary::<[u8; 2]>()?,
            _ => &u.arbitrary::<[u8; 4]>()?,
        };
        for (place, byte) in blob.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }
    tame(&mut blob);
    Ok(blob)
}

/// Counts of 65,535 in a rule are multiplied with one another: that ends, but late. What bounds such a
/// ruleset's time is the host's fuel, so here they are kept small.
fn tame(blob: &mut [u8]) {
    let entry = HEADER_LEN + 8 * Section::Rules as usize;
    let (start, len) = (number(blob, entry), number(blob, entry + 4));
    let Some(rules) = start.checked_add(len).and_then(|end| blob.get_mut(start..end)) else { return };
    for record in rules.chunks_exact_mut(Rule::LEN) {
        let mut rule = Rule::read(record);
        rule.target_count = rule.target_count.min(40);
        rule.action_count = rule.action_count.min(40);
        rule.links = rule.links.min(40);
        let mut bytes = Vec::new();
        rule.write(&mut bytes);
        record.copy_from_slice(&bytes);
    }
}

fn run(blob: &[u8], exchange: &Exchange) {
    let checked = RuleSet::load(blob);
    let Ok(rules) = RuleSet::from_trusted(blob) else {
        assert!(checked.is_err(), "what is trusted is refused, what is checked is taken");
        return;
    };
    let store = Memory::default();
    let seen = drive(rules, exchange, None, &store);
    assert!(seen.matches.len() <= 256);
    // What it left in the store is read too.
    let _ = drive(rules, exchange, None, &store);
}

fuzz_target!(init: LazyLock::force(&BLOBS), |data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let usual = Exchange::of(REQUEST);
    if choice == 0 {
        // Any bytes, with the checksum right.
        let mut blob = rest.to_vec();
        if blob.len() >= HEADER_LEN {
            let sum = checksum(&blob);
            blob[12..16].copy_from_slice(&sum.to_le_bytes());
        }
        return run(&blob, &usual);
    }
    let mut u = Unstructured::new(rest);
    let Ok(blob) = damaged(&mut u) else { return };
    run(&blob, &usual);
    if let Ok(more) = <&[u8]>::arbitrary_take_rest(u)
        && !more.is_empty()
    {
        run(&blob, &Exchange::of(more));
    }
});
