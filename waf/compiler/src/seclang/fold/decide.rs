//! What a rule does when TX is what is known of it.

use picket_seclang::operator as op;
use picket_seclang::transform::Transformation;

use super::super::program::{disrupts, fixed, tx_name};
use super::super::syntax::{
    Action, Link, OperatorKind, Piece, Rule, Selector, SetOperation, Target, TargetMode, Template, Variable,
};
use super::env::{Env, Value};

/// Whether a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Always: all of its links do.
    Matches,
    /// Never, and it leaves nothing behind in trying.
    Fails,
    /// That depends on the request.
    Open,
}

/// A rule in the light of what is known.
pub(super) struct Decision {
    pub outcome: Outcome,
    /// TX behind the rule: if it matches, or may match.
    pub after: Env,
    /// What `after` says was set, in order; only where the outcome is [`Outcome::Matches`].
    pub sets: Vec<(Vec<u8>, Value)>,
}

/// Judges a rule, its links in turn: what a link sets, the next ones see. If `keeps_matches`, a link that
/// matches leaves something behind even if it sets nothing.
pub(super) fn decide(rule: &Rule, env: &Env, open: bool, keeps_matches: bool) -> Decision {
    let mut after = env.clone();
    let mut sets = Vec::new();
    let mut outcome = if open { Outcome::Open } else { Outcome::Matches };
    let mut touched = false;
    for link in &rule.links {
        match link_outcome(link, &after) {
            _ if open => {}
            Outcome::Fails if touched => outcome = Outcome::Open,
            // Whatever the links before it say.
            Outcome::Fails => {
                return Decision { outcome: Outcome::Fails, after: env.clone(), sets: Vec::new() };
            }
            Outcome::Open => outcome = Outcome::Open,
            Outcome::Matches => {}
        }
        let certain = outcome == Outcome::Matches;
        touched |= keeps_matches || link.capture || !link.actions.is_empty();
        for action in &link.actions {
            apply(action, certain, &mut after, &mut sets);
        }
    }
    if outcome == Outcome::Open {
        for (name, value) in &mut sets {
            *value = Value::Unknown;
            after.set(name.clone(), Value::Unknown);
        }
    }
    Decision { outcome, after, sets }
}

/// Whether nothing but TX can tell that the rule has matched.
pub(super) fn is_pure(rule: &Rule) -> bool {
    !disrupts(rule)
        && rule.links.iter().all(|link| {
            !link.log
                && !link.audit_log
                && !link.capture
                && link.severity.is_none()
                && link.actions.iter().all(|action| {
                    matches!(action, Action::SetVar { collection, name, .. }
                        if tx_name(*collection, name).is_some())
                })
        })
}

/// Whether the rule reads what the match of another left behind: then no match may vanish.
pub(super) fn reads_last_match(rule: &Rule) -> bool {
    use Variable::{MatchedVar, MatchedVarName, MatchedVars, MatchedVarsNames};
    let last =
        |variable: Variable| matches!(variable, MatchedVar | MatchedVarName | MatchedVars | MatchedVarsNames);
    let reads = |template: &Template| {
        template.pieces.iter().any(|piece| matches!(piece, Piece::Macro { variable, .. } if last(*variable)))
    };
    let head = rule.head();
    match &head.operator {
        Some(operator) => {
            head.targets.iter().any(|target| last(target.variable)) || reads(&operator.argument)
        }
        None => {
            head.message.iter().chain(&head.log_data).any(reads)
                || head.actions.iter().any(|action| match action {
                    Action::SetVar { name, operation, .. } => {
                        reads(name)
                            || match operation {
                                SetOperation::Set(value)
                                | SetOperation::Add(value)
                                | SetOperation::Subtract(value) => reads(value),
                                SetOperation::Remove => false,
                            }
                    }
                    Action::OpenCollection { key, .. } => reads(key),
                    Action::SetEnv { value, .. } => reads(value),
                    Action::ExpireVar { .. } | Action::Control(_) => false,
                })
        }
    }
}

/// Does to `env` what an action does to TX: if it is certain to run, what it says; else what it sets
/// is unknown.
fn apply(action: &Action, certain: bool, env: &mut Env, sets: &mut Vec<(Vec<u8>, Value)>) {
    let (collection, name, operation) = match action {
        Action::SetVar { collection, name, operation } => (*collection, name, Some(operation)),
        Action::ExpireVar { collection, name, .. } => (*collection, name, None),
        _ => return,
    };
    if collection != Variable::Tx {
        return;
    }
    let Some(name) = fixed(name).or_else(|| env.expand(name)) else {
        let prefix = match name.pieces.first() {
            Some(Piece::Literal(text)) => text.to_ascii_lowercase(),
            _ => Vec::new(),
        };
        env.forget_prefix(prefix);
        return;
    };
    let name = name.to_ascii_lowercase();
    let value = match operation {
        Some(operation) if certain => result(operation, env.value(&name), env),
        _ => Value::Unknown,
    };
    env.set(name.clone(), value.clone());
    sets.push((name, value));
}

/// What `setvar` makes of a value.
fn result(operation: &SetOperation, old: &Value, env: &Env) -> Value {
    let sum = |value: &Template, sign: i64| {
        let old = match old {
            Value::Absent => 0,
            Value::Known(text) => number(text)?,
            Value::Unknown => return None,
        };
        let value = number(&env.expand(value)?)?;
        let sum = old + sign * value;
        // Beyond that an engine may wrap or stop: not for the compiler to say.
        i32::try_from(sum).ok().map(|sum| sum.to_string().into_bytes())
    };
    let value = match operation {
        SetOperation::Set(value) => env.expand(value),
        SetOperation::Add(value) => sum(value, 1),
        SetOperation::Subtract(value) => sum(value, -1),
        SetOperation::Remove => return Value::Absent,
    };
    value.map_or(Value::Unknown, Value::Known)
}

/// A number without doubt: digits, perhaps a sign, few enough.
fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn link_outcome(link: &Link, env: &Env) -> Outcome {
    let Some(operator) = &link.operator else { return Outcome::Matches };
    if link.multi_match && !link.transformations.is_empty() {
        return Outcome::Open;
    }
    let mut values = Vec::new();
    for target in &link.targets {
        match target_value(target, env) {
            Some(value) => values.extend(value),
            None => return Outcome::Open,
        }
    }
    let Some(argument) = env.expand(&operator.argument) else { return Outcome::Open };
    let mut matches = 0;
    for mut value in values {
        for name in &link.transformations {
            let Some(transformation) = Transformation::from_name(name) else { return Outcome::Open };
            let mut out = Vec::new();
            if transformation.apply(&value, &mut out) {
                value = out;
            }
        }
        let Some(found) = test(operator.kind, &value, &argument) else { return Outcome::Open };
        matches += usize::from(found != operator.negated);
    }
    match matches {
        0 => Outcome::Fails,
        1 => Outcome::Matches,
        // Its variables are set once for each value.
        _ if link.actions.is_empty() => Outcome::Matches,
        _ => Outcome::Open,
    }
}

/// What a target of TX shows: nothing where the name is absent. `None`: that is not known.
fn target_value(target: &Target, env: &Env) -> Option<Option<Vec<u8>>> {
    let key = match target {
        Target {
            mode: TargetMode::Inspect,
            variable: Variable::Tx,
            selector: Selector::Pattern(pattern),
        } => {
            return env.has_none_like(pattern).then_some(None);
        }
        Target { variable: Variable::Tx, selector: Selector::Key(key), .. } => key,
        _ => return None,
    };
    let mode = target.mode;
    let value = env.value(&key.to_ascii_lowercase()).clone();
    match (mode, value) {
        (_, Value::Unknown) | (TargetMode::Exclude, _) => None,
        (TargetMode::Inspect, Value::Known(text)) => Some(Some(text)),
        (TargetMode::Inspect, Value::Absent) => Some(None),
        (TargetMode::Count, Value::Known(_)) => Some(Some(b"1".into())),
        (TargetMode::Count, Value::Absent) => Some(Some(b"0".into())),
    }
}

/// The operator on a value; `None` for those that the compiler does not run.
fn test(kind: OperatorKind, value: &[u8], argument: &[u8]) -> Option<bool> {
    Some(match kind {
        OperatorKind::Eq => op::eq(value, argument),
        OperatorKind::Ge => op::ge(value, argument),
        OperatorKind::Gt => op::gt(value, argument),
        OperatorKind::Le => op::le(value, argument),
        OperatorKind::Lt => op::lt(value, argument),
        OperatorKind::StrEq => op::streq(value, argument),
        OperatorKind::Contains => op::contains(value, argument),
        OperatorKind::ContainsWord => op::contains_word(value, argument),
        OperatorKind::BeginsWith => op::begins_with(value, argument),
        OperatorKind::EndsWith => op::ends_with(value, argument),
        OperatorKind::Within => op::within(value, argument),
        OperatorKind::StrMatch => op::str_match(value, argument),
        OperatorKind::UnconditionalMatch => true,
        OperatorKind::NoMatch => false,
        _ => return None,
    })
}
