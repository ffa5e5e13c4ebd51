//! `ARGS|!ARGS:token|&REQUEST_HEADERS:'/^x-/'`: what a rule looks at.

use picket_seclang::Variable;

use super::ast::{Selector, Target, TargetMode};
use super::lex::closing_quote;
use super::pattern::ascii_pattern;
use super::template::Template;

/// What a list of targets says.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Those that are understood, in order.
    pub list: Vec<Target>,
    /// Why a target is left out and the rest can stay.
    pub warnings: Vec<String>,
    /// Why the list cannot be understood.
    pub error: Option<String>,
}

/// Reads a list separated by `|`; where `commas`, also by commas, as updates of targets are written.
pub(super) fn parse_targets(text: &[u8], commas: bool) -> Targets {
    let mut targets = Targets::default();
    let mut rest = text;
    loop {
        let (part, behind) = split(rest, commas);
        match parse_target(part.trim_ascii()) {
            Ok(target) => targets.list.push(target),
            Err(Fault::Leave(warning)) => targets.warnings.push(warning),
            Err(Fault::Wrong(error)) => {
                targets.error = Some(error);
                return targets;
            }
        }
        match behind {
            Some(behind) => rest = behind,
            None => return targets,
        }
    }
}

/// Why a target is not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// It never holds anything here; a rule can do without it.
    Leave(String),
    /// It is not understood.
    Wrong(String),
}

/// The first target and what follows its separator.
fn split(text: &[u8], commas: bool) -> (&[u8], Option<&[u8]>) {
    let end = target_end(text, commas);
    (text.get(..end).unwrap_or(text), text.get(end + 1..).filter(|_| end < text.len()))
}

fn target_end(text: &[u8], commas: bool) -> usize {
    let separates = |at: usize| match text.get(at) {
        None | Some(b'|') => true,
        Some(b',') => commas && text.get(at + 1..).is_some_and(starts_target),
        Some(_) => false,
    };
    let mut at = 0;
    while at < text.len() && text.get(at) != Some(&b':') {
        if separates(at) {
            return at;
        }
        at += 1;
    }
    at += 1;
    match text.get(at) {
        Some(b'\'') => {
            let behind = text.get(at + 1..).unwrap_or_default();
            at += closing_quote(behind).map_or(0, |length| length + 2);
        }
        Some(b'/') => {
            // The slash that ends a regex has a separator or nothing behind it.
            let mut end = at + 1;
            while end < text.len() {
                match text.get(end) {
                    Some(b'\\') => end += 1,
                    Some(b'/') if text.get(end + 1).is_none_or(u8::is_ascii_whitespace) => return end + 1,
                    Some(b'/') if separates(end + 1) => return end + 1,
                    _ => {}
                }
                end += 1;
            }
        }
        _ => {}
    }
    while at < text.len() && !separates(at) {
        at += 1;
    }
    at.min(text.len())
}

/// Whether a text begins with a variable's name, so that a comma before it separates.
fn starts_target(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"!").or_else(|| text.strip_prefix(b"&")).unwrap_or(text);
    // No name is longer; bounds the search.
    let text = text.get(..64).unwrap_or(text);
    let end = text.iter().position(|byte| matches!(byte, b':' | b'|' | b',')).unwrap_or(text.len());
    Variable::from_name(text.get(..end).unwrap_or_default().trim_ascii()).is_some()
}

/// Reads one target.
pub(super) fn parse_target(text: &[u8]) -> Result<Target, Fault> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    let (mode, rest) = match text.split_first() {
        Some((b'!', rest)) => (TargetMode::Exclude, rest),
        Some((b'&', rest)) => (TargetMode::Count, rest),
        _ => (TargetMode::Inspect, text),
    };
    let rest = rest.trim_ascii();
    let (name, key) = match rest.iter().position(|byte| *byte == b':') {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    let name = name.trim_ascii();
    let key = key.map(<[u8]>::trim_ascii);
    if name.is_empty() {
        return Err(Fault::Wrong("a target is empty".into()));
    }
    let Some(mut variable) = Variable::from_name(name) else {
        return Err(Fault::Wrong(format!("unknown variable {}", String::from_utf8_lossy(name))));
    };
    if variable == Variable::Xml {
        variable = match key.map(unquoted) {
            None | Some(b"/*") => Variable::Xml,
            Some(b"//@*") => Variable::XmlAttributes,
            Some(_) => {
                return Err(Fault::Leave(format!(
                    "of XPath only /* and //@* are there: {} is left out",
                    shown()
                )));
            }
        };
        return Ok(Target { mode, variable, selector: Selector::All });
    }
    let selector = match key {
        None => Selector::All,
        Some(_) if !variable.is_collection() => {
            return Err(Fault::Wrong(format!("{} has no keys: {}", variable.name(), shown())));
        }
        Some(key) => parse_selector(key).ok_or_else(|| Fault::Wrong(format!("no key in {}", shown())))?,
    };
    Ok(Target { mode, variable, selector })
}

fn unquoted(key: &[u8]) -> &[u8] {
    key.strip_prefix(b"'").and_then(|key| key.strip_suffix(b"'")).unwrap_or(key)
}

fn parse_selector(key: &[u8]) -> Option<Selector> {
    let key = unquoted(key);
    if let Some(pattern) = key.strip_prefix(b"/").and_then(|key| key.strip_suffix(b"/")) {
        if pattern.is_empty() {
            return None;
        }
        return Some(Selector::Pattern(ascii_pattern(pattern).replace("\\/", "/")));
    }
    if key.is_empty() {
        return None;
    }
    let (template, _) = Template::parse(key);
    if template.as_literal().is_none() {
        return Some(Selector::Macro(template));
    }
    Some(Selector::Key(key.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetMode::{Count, Exclude, Inspect};

    fn parse(text: &str) -> Vec<Target> {
        let targets = parse_targets(text.as_bytes(), false);
        assert_eq!((targets.error, targets.warnings), (None, vec![]), "{text}");
        targets.list
    }

    fn target(mode: TargetMode, variable: Variable, selector: Selector) -> Target {
        Target { mode, variable, selector }
    }

    fn key(key: &str) -> Selector {
        Selector::Key(key.as_bytes().to_vec())
    }

    fn pattern(pattern: &str) -> Selector {
        Selector::Pattern(pattern.into())
    }

    #[test]
    fn modes_names_and_keys() {
        let expected = [
            target(Inspect, Variable::Args, Selector::All),
            target(Exclude, Variable::Args, key("a.b[]")),
            target(Count, Variable::RequestHeaders, key("Host")),
            target(Inspect, Variable::RequestUri, Selector::All),
        ];
        assert_eq!(parse("args|!ARGS:a.b[] | &request_headers:Host|REQUEST_URI"), expected);
        assert_eq!(parse("ARGS:'a|b c'"), [target(Inspect, Variable::Args, key("a|b c"))]);
        assert_eq!(parse("ARGS:a:b"), [target(Inspect, Variable::Args, key("a:b"))]);
    }

    #[test]
    fn keys_can_be_regexes() {
        let expected = [
            target(Exclude, Variable::Args, pattern("^a|b/c$")),
            target(Inspect, Variable::Tx, pattern("^x_")),
            target(Inspect, Variable::Args, pattern("it's")),
        ];
        assert_eq!(parse(r"!ARGS:/^a|b\/c$/|TX:'/^x_/'|ARGS:/it's/"), expected);
    }

    #[test]
    fn keys_can_be_macros() {
        let (template, _) = Template::parse(b"n_%{REMOTE_ADDR}");
        assert_eq!(parse("TX:n_%{REMOTE_ADDR}"), [target(Inspect, Variable::Tx, Selector::Macro(template))]);
    }

    #[test]
    fn xml_has_two_forms() {
        assert_eq!(
            parse("XML:/*|XML://@*|ARGS"),
            [
                target(Inspect, Variable::Xml, Selector::All),
                target(Inspect, Variable::XmlAttributes, Selector::All),
                target(Inspect, Variable::Args, Selector::All),
            ]
        );
        let targets = parse_targets(b"ARGS|XML:/a/b", false);
        assert_eq!((targets.list.len(), targets.warnings.len(), targets.error), (1, 1, None));
    }

    #[test]
    fn commas_separate_only_in_updates() {
        assert_eq!(parse_targets(b"!ARGS:a,!ARGS:b", true).list.len(), 2);
        assert_eq!(parse_targets(b"!ARGS:/a,b/,!ARGS:b", true).list.len(), 2);
        assert_eq!(parse("!ARGS:a,!ARGS:b").len(), 1);
        assert_eq!(parse_targets(b"!ARGS:a,b", true).list, [target(Exclude, Variable::Args, key("a,b"))]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| parse_targets(text.as_bytes(), false).error.unwrap_or_default();
        assert_eq!(error("ARGS|NOTHING:x"), "unknown variable NOTHING");
        assert_eq!(error("REMOTE_ADDR:x"), "REMOTE_ADDR has no keys: REMOTE_ADDR:x");
        assert_eq!(error("ARGS:"), "no key in ARGS:");
        assert_eq!(error("ARGS||TX:a"), "a target is empty");
        assert_eq!(error(""), "a target is empty");
    }
}
