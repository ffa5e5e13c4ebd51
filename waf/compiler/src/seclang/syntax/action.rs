//! Action lists: `id:1,phase:2,deny,msg:'a, b',t:none`.

use picket_seclang::Variable;
use picket_seclang::transform::Transformation;

use super::ast::{Action, AllowScope, Disruption, Level, Phase, SetOperation, Severity};
use super::control::parse_control;
use super::lex::closing_quote;
use super::template::Template;

/// What an action list says, before inheritance.
#[derive(Debug, Clone, Default)]
pub(super) struct Actions {
    pub id: Option<u32>,
    pub phase: Option<Phase>,
    pub disruption: Option<Decision>,
    pub status: Option<u16>,
    pub skip: Option<u32>,
    pub skip_after: Option<Vec<u8>>,
    pub log: Option<bool>,
    pub audit_log: Option<bool>,
    pub chain: bool,
    pub capture: bool,
    pub multi_match: bool,
    /// In order; `None` is `t:none`.
    pub transformations: Vec<Option<&'static str>>,
    pub message: Option<Template>,
    pub log_data: Option<Template>,
    pub severity: Option<Severity>,
    pub tags: Vec<Template>,
    pub version: Option<String>,
    pub revision: Option<String>,
    pub maturity: Option<u8>,
    pub accuracy: Option<u8>,
    pub effects: Vec<Action>,
    /// What is noticed; with [`Level::Error`] the list is not understood.
    pub problems: Vec<(Level, String)>,
}

/// A disruptive action as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// `block`: the default action's.
    Block,
    /// Any other.
    Is(Disruption),
}

impl Actions {
    fn problem(&mut self, level: Level, text: impl Into<String>) {
        self.problems.push((level, text.into()));
    }

    /// Whether something in the list is not understood.
    pub(super) fn is_wrong(&self) -> bool {
        self.problems.iter().any(|(level, _)| *level == Level::Error)
    }

    fn template(&mut self, value: &[u8]) -> Template {
        let (template, unknown) = Template::parse(value);
        for name in unknown {
            self.problem(Level::Warning, format!("unknown macro %{{{name}}} stays text"));
        }
        template
    }
}

/// One entry of a list: its name and its value without quotes.
type Entry<'a> = (&'a [u8], Option<Vec<u8>>);

/// Takes the first entry off a list.
fn entry(text: &[u8]) -> Result<(Entry<'_>, &[u8]), String> {
    let text = text.trim_ascii_start();
    let name_end = text.iter().position(|byte| matches!(byte, b':' | b',')).unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let name = name.trim_ascii();
    let Some(rest) = rest.strip_prefix(b":") else {
        return Ok(((name, None), rest.get(1..).unwrap_or_default()));
    };
    let mut rest = rest.trim_ascii_start();
    let unclosed = || format!("a quote in {} is never closed", String::from_utf8_lossy(name));
    let mut value = Vec::new();
    if let Some(inside) = rest.strip_prefix(b"'") {
        let length = closing_quote(inside).ok_or_else(unclosed)?;
        unescape(inside.get(..length).unwrap_or_default(), &mut value);
        let behind = inside.get(length + 1..).unwrap_or_default().trim_ascii_start();
        return match behind.split_first() {
            None => Ok(((name, Some(value)), behind)),
            Some((b',', behind)) => Ok(((name, Some(value)), behind)),
            Some(_) => {
                Err(format!("something follows the quoted value of {}", String::from_utf8_lossy(name)))
            }
        };
    }
    // Blanks at the end go, except those in quotes.
    let mut kept = 0;
    let mut before = b':';
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b',' => break,
            b'\'' if before == b'=' => {
                let length = closing_quote(behind).ok_or_else(unclosed)?;
                unescape(behind.get(..length).unwrap_or_default(), &mut value);
                rest = behind.get(length + 1..).unwrap_or_default();
                kept = value.len();
            }
            _ => value.push(byte),
        }
        before = byte;
    }
    let trimmed = value.trim_ascii_end().len();
    value.truncate(trimmed.max(kept));
    Ok(((name, Some(value)), rest))
}

/// `\'` becomes `'`; other backslashes stay.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'\'')) => {}
            (b'\\', Some(b'\\')) => {
                out.extend_from_slice(b"\\\\");
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
}

/// Reads a list. What it says is kept even where parts are wrong, so that a chain goes on.
pub(super) fn parse_actions(text: &[u8]) -> Actions {
    let mut actions = Actions::default();
    let mut rest = text;
    while !rest.trim_ascii().is_empty() {
        match entry(rest) {
            Ok(((name, value), behind)) => {
                rest = behind;
                if name.is_empty() && value.is_none() {
                    continue;
                }
                let name = String::from_utf8_lossy(name).into_owned();
                if let Err(text) = apply(&mut actions, &name, value.as_deref()) {
                    actions.problem(Level::Error, text);
                }
            }
            Err(text) => {
                actions.problem(Level::Error, text);
                return actions;
            }
        }
    }
    actions
}

fn number<N: core::str::FromStr>(name: &str, value: Option<&[u8]>) -> Result<N, String> {
    let text = value.map(<[u8]>::trim_ascii).and_then(|text| core::str::from_utf8(text).ok());
    let number = text.filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{name} has no fitting number: {:?}", text.unwrap_or_default()))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Actions of ModSecurity that have no effect here, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("append", "a rule cannot change a body"),
    ("prepend", "a rule cannot change a body"),
    ("pause", "an answer is never held back"),
    ("deprecatevar", "kept variables do not decay"),
    ("sanitisearg", "the audit log holds no arguments but those matched"),
    ("sanitisematched", "the audit log cuts values short instead"),
    ("sanitisematchedbytes", "the audit log cuts values short instead"),
    ("sanitiserequestheader", "the audit log is masked by its own settings"),
    ("sanitiseresponseheader", "the audit log is masked by its own settings"),
    ("xmlns", "XML is looked at without namespaces"),
];

fn apply(actions: &mut Actions, name: &str, value: Option<&[u8]>) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let lower = lower.as_str();
    let needed = || value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} has no value"));
    match lower {
        "id" => {
            let id: u32 = number(name, value)?;
            if id == 0 {
                return Err("id is 0".into());
            }
            actions.id = Some(id);
        }
        "phase" => actions.phase = Some(phase(needed()?)?),
        "msg" => actions.message = Some(actions.template(value.unwrap_or_default())),
        "logdata" => actions.log_data = Some(actions.template(value.unwrap_or_default())),
        "tag" => {
            let tag = actions.template(needed()?);
            actions.tags.push(tag);
        }
        "ver" => actions.version = Some(text(value.unwrap_or_default())),
        "rev" => actions.revision = Some(text(value.unwrap_or_default())),
        "severity" => actions.severity = Some(severity(needed()?)?),
        "maturity" => actions.maturity = Some(number(name, value)?),
        "accuracy" => actions.accuracy = Some(number(name, value)?),
        "status" => {
            let status: u16 = number(name, value)?;
            if !(100..=599).contains(&status) {
                return Err(format!("status {status} is none"));
            }
            actions.status = Some(status);
        }
        "block" => actions.disruption = Some(Decision::Block),
        "pass" => actions.disruption = Some(Decision::Is(Disruption::Pass)),
        "deny" => actions.disruption = Some(Decision::Is(Disruption::Deny)),
        "drop" => actions.disruption = Some(Decision::Is(Disruption::Drop)),
        "allow" => {
            let scope = match value.map(<[u8]>::to_ascii_lowercase).as_deref() {
                None | Some(b"") => AllowScope::Transaction,
                Some(b"phase") => AllowScope::Phase,
                Some(b"request") => AllowScope::Request,
                Some(other) => return Err(format!("allow:{} is none", String::from_utf8_lossy(other))),
            };
            actions.disruption = Some(Decision::Is(Disruption::Allow(scope)));
        }
        "redirect" => {
            let address = actions.template(needed()?);
            actions.disruption = Some(Decision::Is(Disruption::Redirect(address)));
        }
        "proxy" => {
            actions.problem(Level::Warning, "proxy is not there: the request is denied instead");
            actions.disruption = Some(Decision::Is(Disruption::Deny));
        }
        "log" => (actions.log, actions.audit_log) = (Some(true), Some(true)),
        "nolog" => (actions.log, actions.audit_log) = (Some(false), Some(false)),
        "auditlog" => actions.audit_log = Some(true),
        "noauditlog" => actions.audit_log = Some(false),
        "capture" => actions.capture = true,
        "chain" => actions.chain = true,
        "multimatch" => actions.multi_match = true,
        "t" => transformation(actions, needed()?)?,
        "skip" => actions.skip = Some(number(name, value)?),
        "skipafter" => actions.skip_after = Some(needed()?.to_vec()),
        "setvar" => set_variable(actions, needed()?)?,
        "expirevar" => expire(actions, needed()?)?,
        "initcol" => open(actions, needed()?)?,
        "setsid" => open_as(actions, Variable::Session, needed()?),
        "setuid" => open_as(actions, Variable::User, needed()?),
        "setrsc" => open_as(actions, Variable::Resource, needed()?),
        "setenv" => {
            let (name, value) = pair(needed()?);
            let (name, value) = (actions.template(name), actions.template(value.unwrap_or_default()));
            actions.effects.push(Action::SetEnv { name, value });
        }
        "ctl" => match parse_control(needed()?)? {
            Ok(control) => actions.effects.push(Action::Control(control)),
            Err(note) => actions.problem(Level::Note, note),
        },
        "exec" => actions.problem(Level::Warning, "exec is not there: a rule cannot run a program"),
        _ => match WITHOUT_EFFECT.iter().find(|(known, _)| *known == lower) {
            Some((_, why)) => actions.problem(Level::Note, format!("{name} has no effect here: {why}")),
            None => return Err(format!("unknown action {name}")),
        },
    }
    Ok(())
}

fn phase(value: &[u8]) -> Result<Phase, String> {
    let value = text(value).to_ascii_lowercase();
    let phase = match value.as_str() {
        "request" => Some(Phase::RequestBody),
        "response" => Some(Phase::ResponseBody),
        "logging" => Some(Phase::Logging),
        _ => value.parse().ok().and_then(Phase::from_number),
    };
    phase.ok_or_else(|| format!("unknown phase {value}"))
}

fn severity(value: &[u8]) -> Result<Severity, String> {
    const ALL: [(&str, Severity); 8] = [
        ("emergency", Severity::Emergency),
        ("alert", Severity::Alert),
        ("critical", Severity::Critical),
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("notice", Severity::Notice),
        ("info", Severity::Info),
        ("debug", Severity::Debug),
    ];
    let value = text(value);
    let by_name = ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(&value));
    let by_number = || value.parse::<usize>().ok().and_then(|number| ALL.get(number));
    let found = by_name.or_else(by_number).map(|(_, severity)| *severity);
    found.ok_or_else(|| format!("unknown severity {value}"))
}

fn transformation(actions: &mut Actions, value: &[u8]) -> Result<(), String> {
    let name = text(value);
    if name.eq_ignore_ascii_case("none") {
        actions.transformations.push(None);
        return Ok(());
    }
    let known = Transformation::from_name(&name).ok_or_else(|| format!("unknown transformation {name}"))?;
    actions.transformations.push(Some(known.name()));
    Ok(())
}

/// `name=value`, at the first `=` that is not in a macro's key.
fn pair(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (text.get(..at).unwrap_or_default().trim_ascii(), text.get(at + 1..)),
        None => (text.trim_ascii(), None),
    }
}

/// `collection.key`, for collections that rules can write.
fn key<'a>(action: &str, text: &'a [u8]) -> Result<(Variable, &'a [u8]), String> {
    let shown = || String::from_utf8_lossy(text);
    let at = text.iter().position(|byte| matches!(byte, b'.' | b':'));
    let (name, key) = match at {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &b""[..]),
    };
    let collection = Variable::from_name(name)
        .filter(|variable| variable.is_collection() && variable.is_writable() && *variable != Variable::Env)
        .ok_or_else(|| format!("{action} cannot set {}", shown()))?;
    if key.is_empty() {
        return Err(format!("{action} names no variable: {}", shown()));
    }
    Ok((collection, key))
}

fn set_variable(actions: &mut Actions, value: &[u8]) -> Result<(), String> {
    let value = value.trim_ascii_start();
    let (removes, value) = match value.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (name, new) = pair(value);
    let (collection, name) = key("setvar", name)?;
    let name = actions.template(name);
    let operation = match (removes, new) {
        (true, None) => SetOperation::Remove,
        (true, Some(_)) => return Err("setvar removes and sets at once".into()),
        (false, None) => SetOperation::Set(Template::literal(b"1")),
        (false, Some(new)) => match new.split_first() {
            Some((b'+', by)) => SetOperation::Add(actions.template(by.trim_ascii())),
            Some((b'-', by)) => SetOperation::Subtract(actions.template(by.trim_ascii())),
            _ => SetOperation::Set(actions.template(new)),
        },
    };
    actions.effects.push(Action::SetVar { collection, name, operation });
    Ok(())
}

fn expire(actions: &mut Actions, value: &[u8]) -> Result<(), String> {
    let (name, seconds) = pair(value);
    let (collection, name) = key("expirevar", name)?;
    let seconds = seconds.ok_or("expirevar names no time")?;
    let (name, seconds) = (actions.template(name), actions.template(seconds.trim_ascii()));
    actions.effects.push(Action::ExpireVar { collection, name, seconds });
    Ok(())
}

fn open(actions: &mut Actions, value: &[u8]) -> Result<(), String> {
    let (name, key) = pair(value);
    let collection = Variable::from_name(name)
        .filter(|variable| variable.is_persistent())
        .ok_or_else(|| format!("initcol cannot open {}", String::from_utf8_lossy(name)))?;
    let key = key.filter(|key| !key.is_empty()).ok_or("initcol names no key")?;
    open_as(actions, collection, key);
    Ok(())
}

fn open_as(actions: &mut Actions, collection: Variable, key: &[u8]) {
    let key = actions.template(key);
    actions.effects.push(Action::OpenCollection { collection, key });
}

#[cfg(test)]
#[path = "action_tests.rs"]
mod tests;
