//! `ctl`: settings for the rest of a transaction.

use core::ops::RangeInclusive;

use super::ast::{AuditMode, AuditParts, BodyProcessor, Control, EngineMode, Matching, Target};
use super::pattern::ascii_pattern;
use super::target::{Fault, parse_target};

/// Reads `name=value`. The inner error is a note: accepted, without effect.
pub(super) fn parse_control(text: &[u8]) -> Result<Result<Control, String>, String> {
    let at = text.iter().position(|byte| *byte == b'=').ok_or("ctl has no value")?;
    let (name, value) = text.split_at(at);
    let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let shown = || String::from_utf8_lossy(value).into_owned();
    let wrong = || format!("ctl:{name} does not take {}", shown());
    let lower = name.to_ascii_lowercase();
    let control = match lower.as_str() {
        "ruleengine" => Control::RuleEngine(engine_mode(value).ok_or_else(wrong)?),
        "ruleremovebyid" => Control::RemoveById(parse_ids(value).ok_or_else(wrong)?),
        "ruleremovebytag" => Control::RemoveByTag(matching(value).ok_or_else(wrong)?),
        "ruleremovebymsg" => Control::RemoveByMessage(matching(value).ok_or_else(wrong)?),
        "ruleremovetargetbyid" | "ruleremovetargetbytag" | "ruleremovetargetbymsg" => {
            let at = value.iter().position(|byte| *byte == b';').ok_or_else(wrong)?;
            let (which, target) = value.split_at(at);
            let which = which.trim_ascii();
            let target = match parse_removed(target.get(1..).unwrap_or_default()) {
                Ok(target) => target,
                Err(Fault::Leave(note)) => return Ok(Err(note)),
                Err(Fault::Wrong(text)) => return Err(format!("ctl:{name}: {text}")),
            };
            match lower.as_str() {
                "ruleremovetargetbyid" => {
                    Control::RemoveTargetById(parse_ids(which).ok_or_else(wrong)?, target)
                }
                "ruleremovetargetbytag" => {
                    Control::RemoveTargetByTag(matching(which).ok_or_else(wrong)?, target)
                }
                _ => Control::RemoveTargetByMessage(matching(which).ok_or_else(wrong)?, target),
            }
        }
        "requestbodyprocessor" => Control::RequestBodyProcessor(processor(value).ok_or_else(wrong)?),
        "requestbodyaccess" => Control::RequestBodyAccess(switch(value).ok_or_else(wrong)?),
        "requestbodylimit" => Control::RequestBodyLimit(parse_number(value).ok_or_else(wrong)?),
        "forcerequestbodyvariable" => Control::ForceRequestBodyVariable(switch(value).ok_or_else(wrong)?),
        "responsebodyaccess" => Control::ResponseBodyAccess(switch(value).ok_or_else(wrong)?),
        "responsebodylimit" => Control::ResponseBodyLimit(parse_number(value).ok_or_else(wrong)?),
        "auditengine" => Control::AuditEngine(audit_mode(value).ok_or_else(wrong)?),
        "auditlogparts" => Control::AuditLogParts(audit_parts(value).ok_or_else(wrong)?),
        "debugloglevel" | "hashengine" | "hashenforcement" => {
            return Ok(Err(format!("ctl:{name} has no effect here: there is no such engine or log")));
        }
        "parsexmlintoargs" => {
            return Ok(Err(format!("ctl:{name} has no effect here: XML is not put among the arguments")));
        }
        _ => return Err(format!("unknown ctl:{name}")),
    };
    Ok(Ok(control))
}

/// The target of a removal, which may be written with or without `!`.
fn parse_removed(text: &[u8]) -> Result<Target, Fault> {
    let text = text.trim_ascii();
    parse_target(text.strip_prefix(b"!").unwrap_or(text))
}

/// `1`, `1-5`, several of them separated by blanks or commas; sorted, none touches the next.
pub(super) fn parse_ids(text: &[u8]) -> Option<Vec<RangeInclusive<u32>>> {
    let text = core::str::from_utf8(text).ok()?;
    let parts = text.split([' ', '\t', ',']).filter(|part| !part.is_empty());
    let mut ids: Vec<_> = parts.map(parse_id_range).collect::<Option<_>>()?;
    ids.sort_by_key(|range| *range.start());
    let mut joined: Vec<RangeInclusive<u32>> = Vec::new();
    for range in ids {
        match joined.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => joined.push(range),
        }
    }
    (!joined.is_empty()).then_some(joined)
}

/// Whether ranges, as [`parse_ids`] gives them, hold an id.
pub(super) fn holds(ids: &[RangeInclusive<u32>], id: u32) -> bool {
    let behind = ids.partition_point(|range| *range.start() <= id);
    behind.checked_sub(1).and_then(|at| ids.get(at)).is_some_and(|range| range.contains(&id))
}

fn parse_id_range(text: &str) -> Option<RangeInclusive<u32>> {
    let id = |text: &str| parse_number(text.trim().as_bytes()).and_then(|id| u32::try_from(id).ok());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (id(first)?, id(last)?);
    (first <= last).then_some(first..=last)
}

/// Decimal digits and nothing else.
pub(super) fn parse_number(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// A tag or message to compare with, or a pattern if it has what makes one.
pub(super) fn matching(text: &[u8]) -> Option<Matching> {
    if text.is_empty() {
        return None;
    }
    let is_pattern = text.iter().any(|byte| br"\.+*?()[]{}|^$".contains(byte));
    let matching = match is_pattern {
        true => Matching::Pattern(ascii_pattern(text)),
        false => Matching::Equal(text.to_vec()),
    };
    matching.matcher().is_ok().then_some(matching)
}

pub(super) fn switch(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

pub(super) fn engine_mode(value: &[u8]) -> Option<EngineMode> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Some(EngineMode::On),
        b"off" => Some(EngineMode::Off),
        b"detectiononly" => Some(EngineMode::DetectionOnly),
        _ => None,
    }
}

pub(super) fn audit_mode(value: &[u8]) -> Option<AuditMode> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Some(AuditMode::On),
        b"off" => Some(AuditMode::Off),
        b"relevantonly" => Some(AuditMode::RelevantOnly),
        _ => None,
    }
}

fn processor(value: &[u8]) -> Option<BodyProcessor> {
    match value.to_ascii_lowercase().as_slice() {
        b"urlencoded" => Some(BodyProcessor::UrlEncoded),
        b"multipart" => Some(BodyProcessor::Multipart),
        b"json" => Some(BodyProcessor::Json),
        b"xml" => Some(BodyProcessor::Xml),
        _ => None,
    }
}

/// Letters of audit log parts, in upper case.
pub(super) fn parse_parts(value: &[u8]) -> Option<String> {
    let letters: Vec<u8> = value.to_ascii_uppercase();
    letters.iter().all(u8::is_ascii_uppercase).then_some(())?;
    String::from_utf8(letters).ok()
}

fn audit_parts(value: &[u8]) -> Option<AuditParts> {
    match value.split_first()? {
        (b'+', rest) => parse_parts(rest).map(AuditParts::Add),
        (b'-', rest) => parse_parts(rest).map(AuditParts::Remove),
        _ => parse_parts(value).map(AuditParts::Set),
    }
}

#[cfg(test)]
mod tests {
    use picket_seclang::Variable;

    use super::super::ast::{Selector, TargetMode};
    use super::*;

    fn parse(text: &str) -> Control {
        parse_control(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn settings_of_a_transaction() {
        assert_eq!(parse("ruleEngine=detectiononly"), Control::RuleEngine(EngineMode::DetectionOnly));
        assert_eq!(parse("requestBodyProcessor=XML"), Control::RequestBodyProcessor(BodyProcessor::Xml));
        assert_eq!(parse("forceRequestBodyVariable=On"), Control::ForceRequestBodyVariable(true));
        assert_eq!(parse("auditEngine=RelevantOnly"), Control::AuditEngine(AuditMode::RelevantOnly));
        assert_eq!(parse("auditLogParts=+ec"), Control::AuditLogParts(AuditParts::Add("EC".into())));
        assert_eq!(parse("responseBodyLimit=10"), Control::ResponseBodyLimit(10));
    }

    #[test]
    fn ids_are_sorted_and_joined() {
        let ids = parse_ids(b"9, 1-3 4,2-2\t20-30,4294967295").unwrap();
        assert_eq!(ids, [1..=4, 9..=9, 20..=30, u32::MAX..=u32::MAX]);
        for (id, inside) in
            [(0, false), (1, true), (4, true), (5, false), (25, true), (31, false), (u32::MAX, true)]
        {
            assert_eq!(holds(&ids, id), inside, "{id}");
        }
        assert_eq!(parse_ids(b" , "), None);
    }

    #[test]
    fn removals() {
        assert_eq!(parse("ruleRemoveById=1,5-7"), Control::RemoveById(vec![1..=1, 5..=7]));
        assert_eq!(parse("ruleRemoveByTag=a/b"), Control::RemoveByTag(Matching::Equal(b"a/b".to_vec())));
        assert_eq!(parse("ruleRemoveByMsg=^a"), Control::RemoveByMessage(Matching::Pattern("^a".into())));
        let selector = Selector::Key(b"a;b".to_vec());
        let target = Target { mode: TargetMode::Inspect, variable: Variable::Args, selector };
        assert_eq!(
            parse("ruleRemoveTargetById=1-2;ARGS:a;b"),
            Control::RemoveTargetById(vec![1..=2], target.clone())
        );
        assert_eq!(
            parse("ruleRemoveTargetByTag=x;!ARGS:a;b"),
            Control::RemoveTargetByTag(Matching::Equal(b"x".to_vec()), target)
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for wrong in [
            "ruleEngine",
            "ruleEngine=maybe",
            "ruleRemoveById=x",
            "ruleRemoveById=7-5",
            "ruleRemoveByTag=(",
            "x=1",
        ] {
            assert!(parse_control(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse_control(b"ruleRemoveTargetById=1;NIX").is_err());
        assert!(parse_control(b"ruleRemoveTargetById=1").is_err());
        assert!(parse_control(b"debugLogLevel=3").unwrap().is_err());
    }
}
