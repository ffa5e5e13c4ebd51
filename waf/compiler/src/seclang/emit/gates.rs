//! What wakes a rule.
//!
//! A rule runs to no effect where one of its links cannot match and those before it leave nothing behind.
//! So each rule waits for something without which some link of it cannot match: a candidate of the scan, a
//! value of a collection that most messages have none of, a body. Only what no link can wait for runs in
//! every transaction.
//!
//! What a link leaves behind, though a later one does not match:
//! - variables that its `setvar` sets. Only those are admitted that no other rule can see ([`words`]).
//! - `MATCHED_VAR`. No link but the head waits, if any rule could see what another rule has left there.
//! - TX.0 to TX.9. Where a rule sees what others have left there, the engine makes up for the rules that it
//!   has passed over ([`flag::LEAVES`], [`flag::OBSERVES`]).

use std::collections::{BTreeMap, BTreeSet};

use picket_seclang::Variable;
#[cfg(doc)]
use picket_seclang::format::flag;
use picket_seclang::format::is_stored;
use picket_seclang::format::operator::UTF8_ENCODING;
use picket_seclang::operator::parse_number;
use picket_seclang::scan::layout::KEY;
use picket_seclang::transform::Transformation;

use super::super::program::{Program, link_templates, regex};
use super::super::scan::SHORTEST;
use super::super::syntax::{
    Action, Disruption, Link, OperatorKind, Piece, Rule, Selector, SetOperation, Target, TargetMode, Template,
};
use super::Plan;
use super::matchers::{Matcher, Matchers, matches_whole};
use crate::regex as patterns;

/// What a rule waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nothing: it runs in every transaction.
    Always,
    /// Candidates of its head, which are all that its head looks at.
    Head,
    /// Candidates of the operator of a link.
    Link(usize),
    /// Candidates of these matchers behind the targets of a link, which matters but for them.
    Words(usize, Vec<usize>),
    /// Any value of the targets of a link.
    Value(usize),
    /// A request with a body.
    Body,
    /// Another value of one of these variables in TX than a transaction begins with.
    Changed(Vec<Vec<u8>>),
}

impl Gate {
    /// The link whose targets matchers are to look at for the rule.
    pub fn watched(&self) -> Option<usize> {
        match self {
            Gate::Head => Some(0),
            Gate::Link(link) | Gate::Words(link, _) => Some(*link),
            Gate::Always | Gate::Value(_) | Gate::Body | Gate::Changed(_) => None,
        }
    }
}

/// What rules see that others have left behind.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Whether any rule sees the variable that matched last.
    matched: bool,
    /// The rules, by their place in the program, that see TX.0 to TX.9.
    captures: BTreeSet<usize>,
}

impl Leftovers {
    pub fn of(program: &Program) -> Self {
        let mut seen = Leftovers::default();
        for (at, step) in program.steps.iter().enumerate() {
            let mut own = Own { matched: false, captured: false };
            let mut late = Vec::new();
            for link in &step.rule.links {
                let mut link = link.clone();
                for target in &link.targets {
                    let is_capture = match target.variable {
                        Variable::Tx => may_be_capture(target),
                        other => other == Variable::Rule,
                    };
                    seen.note(at, own, is_matched(target.variable), is_capture);
                }
                if let Some(operator) = &link.operator {
                    seen.note_template(at, own, &operator.argument);
                    own.matched = true;
                }
                own.captured |= captures(&link);
                link.operator = None;
                link.targets.clear();
                late.push((link, own));
            }
            for (mut link, own) in late {
                link_templates(&mut link).iter().for_each(|template| seen.note_template(at, own, template));
            }
            if let Disruption::Redirect(to) = &step.rule.disruption {
                seen.note_template(at, own, to);
            }
        }
        seen
    }

    /// Whether the rule at a place of the program sees TX.0 to TX.9 as others left them.
    pub fn observes(&self, step: usize) -> bool {
        self.captures.contains(&step)
    }

    fn note(&mut self, step: usize, own: Own, is_matched: bool, is_capture: bool) {
        self.matched |= is_matched && !own.matched;
        if is_capture && !own.captured {
            self.captures.insert(step);
        }
    }

    fn note_template(&mut self, step: usize, own: Own, template: &Template) {
        for piece in &template.pieces {
            if let Piece::Macro { variable, key } = piece {
                let is_capture = match variable {
                    Variable::Tx => key.as_deref().is_none_or(is_capture),
                    // Its texts may name them.
                    other => *other == Variable::Rule,
                };
                self.note(step, own, is_matched(*variable), is_capture);
            }
        }
    }
}

/// What a rule itself has left when one of its texts is put together.
#[derive(Clone, Copy)]
struct Own {
    matched: bool,
    captured: bool,
}

fn is_matched(variable: Variable) -> bool {
    matches!(
        variable,
        Variable::MatchedVar | Variable::MatchedVarName | Variable::MatchedVars | Variable::MatchedVarsNames
    )
}

fn is_capture(name: &[u8]) -> bool {
    matches!(name, [b'0'..=b'9'])
}

fn may_be_capture(target: &Target) -> bool {
    match &target.selector {
        Selector::Key(key) => is_capture(key),
        Selector::Pattern(pattern) => {
            regex(pattern).is_none_or(|regex| (b'0'..=b'9').any(|digit| regex.is_match(&[digit])))
        }
        Selector::All | Selector::Macro(_) => true,
    }
}

/// Whether a match of the link sets TX.0.
fn captures(link: &Link) -> bool {
    link.capture
        && link.operator.as_ref().is_some_and(|operator| {
            !operator.negated
                && matches!(
                    operator.kind,
                    OperatorKind::Rx
                        | OperatorKind::RxGlobal
                        | OperatorKind::Pm
                        | OperatorKind::PmFromFile
                        | OperatorKind::DetectSqli
                        | OperatorKind::DetectXss
                )
        })
}

/// How often what a gate waits for is there, in steps: the less the better.
fn rank(gate: &Gate, rule: &Rule, plans: &[Plan], matchers: &Matchers) -> u8 {
    match gate {
        Gate::Words(..) => 0,
        Gate::Head | Gate::Link(_) => {
            let at = gate.watched().unwrap_or(0);
            let matcher = plans[at].matcher.map(|matcher| &matchers.list[matcher]);
            match matcher.and_then(|matcher| matcher.literals.as_ref()) {
                Some(literals) if is_ordinary(&rule.links[at], literals) => 4,
                Some(_) => 1,
                None => 3,
            }
        }
        Gate::Body => 2,
        Gate::Value(at) => match rule.links[*at].targets.iter().all(|target| match target.selector {
            Selector::Key(_) => true,
            _ => target.mode == TargetMode::Exclude,
        }) {
            true => 2,
            false => 3,
        },
        Gate::Changed(_) | Gate::Always => u8::MAX,
    }
}

/// Whether such literals are in the line of nearly every request.
fn is_ordinary(link: &Link, literals: &[Vec<u8>]) -> bool {
    const LINE: &[u8] = b"get / http/1.1";
    let of_line = |target: &Target| {
        matches!(target.variable, Variable::RequestLine | Variable::RequestMethod | Variable::RequestProtocol)
    };
    link.targets.iter().any(of_line)
        && literals.iter().any(|literal| LINE.windows(literal.len()).any(|part| part == literal))
}

/// Chooses what a rule waits for, and tells whether links before the one that cannot match without it leave
/// captures.
pub(super) fn choose(
    program: &Program,
    rule: &Rule,
    plans: &[Plan],
    matchers: &mut Matchers,
    leftovers: &Leftovers,
    init: &[(Vec<u8>, Vec<u8>)],
) -> (Gate, bool) {
    let mut gates = Vec::new();
    let mut leaves = false;
    for (at, (link, plan)) in rule.links.iter().zip(plans).enumerate() {
        if at > 0 {
            let before = &rule.links[at - 1];
            leaves |= captures(before);
            if leftovers.matched || leaves && !rule.links[..at].iter().all(|link| is_steady(rule, link)) {
                break;
            }
            if let Some(gate) = words(program, rule, plans, matchers, at) {
                gates.push((gate, leaves));
            }
            if before.actions.iter().any(|action| matches!(action, Action::SetVar { .. })) {
                break;
            }
        }
        let matcher = plan.matcher.filter(|_| plan.scans).map(|matcher| &matchers.list[matcher]);
        match matcher {
            Some(_) if at == 0 => gates.push((Gate::Head, false)),
            // Without a literal it would be a candidate for nearly every value, but for bytes that few have.
            Some(matcher) if matcher.literals.is_some() || matcher.operator == UTF8_ENCODING => {
                gates.push((Gate::Link(at), leaves))
            }
            _ => {}
        }
        if needs_value(link, plan) {
            gates.push((Gate::Value(at), leaves));
        }
        if needs_body(rule, link, plan) {
            gates.push((Gate::Body, leaves));
        }
    }
    let rank = |gate: &Gate| rank(gate, rule, plans, matchers);
    // A head that announces itself looks at its candidates alone, which is worth more than another gate that
    // is somewhat rarer.
    let head = gates.first().is_some_and(|(gate, _)| *gate == Gate::Head) && rank(&Gate::Head) < 4;
    if head && !gates.iter().any(|(gate, _)| matches!(gate, Gate::Words(..))) {
        return (Gate::Head, false);
    }
    // The first of the best.
    let best = gates.into_iter().min_by_key(|(gate, _)| rank(gate));
    best.unwrap_or_else(|| (changed(rule, plans, init).map_or(Gate::Always, Gate::Changed), false))
}

/// Whether what the link matches is the same in a later phase.
fn is_steady(rule: &Rule, link: &Link) -> bool {
    link.operator.as_ref().is_some_and(|operator| operator.argument.as_literal().is_some())
        && link.targets.iter().all(|target| {
            is_stored(target.variable)
                && (rule.phase.number() > 1
                    || matches!(
                        target.variable,
                        Variable::RequestHeaders
                            | Variable::RequestHeadersNames
                            | Variable::RequestCookies
                            | Variable::RequestCookiesNames
                            | Variable::RequestLine
                            | Variable::RequestMethod
                            | Variable::RequestProtocol
                            | Variable::RequestUri
                            | Variable::RequestUriRaw
                            | Variable::RequestFilename
                            | Variable::RequestBasename
                            | Variable::QueryString
                            | Variable::ArgsGet
                            | Variable::ArgsGetNames
                    ))
        })
}

/// Whether the link's condition is false of the number 0.
fn fails_for_zero(link: &Link, plan: &Plan) -> bool {
    fails_for(link, plan, 0)
}

/// Whether the link's condition is false of a number.
fn fails_for(link: &Link, plan: &Plan, number: i64) -> bool {
    let Some(operator) = &link.operator else { return false };
    let Some(argument) = operator.argument.as_literal() else { return false };
    let argument = parse_number(argument);
    let holds = match operator.kind {
        OperatorKind::Eq => number == argument,
        OperatorKind::Ge => number >= argument,
        OperatorKind::Gt => number > argument,
        OperatorKind::Le => number <= argument,
        OperatorKind::Lt => number < argument,
        _ => return false,
    };
    plan.list.is_empty() && holds == operator.negated
}

/// The variables in TX of which one must have another value than at the beginning for the rule to do
/// anything: it compares them with a number, or adds to a score what nothing has been added to.
fn changed(rule: &Rule, plans: &[Plan], init: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<Vec<u8>>> {
    let value = |name: &[u8]| {
        let is = |(known, _): &&(Vec<u8>, Vec<u8>)| known.eq_ignore_ascii_case(name);
        init.iter().find(is).map(|(_, value)| value.as_slice())
    };
    // As the engine has it: a number that is written in another way is a text.
    let number = |name: &[u8]| {
        let number: i64 = std::str::from_utf8(value(name)?).ok()?.parse().ok()?;
        (number.to_string().as_bytes() == value(name)?).then_some(number)
    };
    let (head, plan) = (rule.links.first()?, plans.first()?);
    let mut names = BTreeSet::new();
    if head.operator.is_some() {
        for target in &head.targets {
            let Selector::Key(key) = &target.selector else { return None };
            // What is not there is not asked.
            let fails =
                value(key).is_none() || number(key).is_some_and(|number| fails_for(head, plan, number));
            if target.variable != Variable::Tx || target.mode != TargetMode::Inspect || !fails {
                return None;
            }
            names.insert(key.to_ascii_lowercase());
        }
    } else {
        let silent = rule.links.len() == 1
            && rule.disruption == Disruption::Pass
            && !(rule.log || rule.audit_log || head.log || head.audit_log)
            && head.severity.is_none()
            && rule.skip == 0
            && rule.skip_after.is_none();
        for action in &head.actions {
            let Action::SetVar { collection: Variable::Tx, name, operation } = action else { return None };
            let name = name.as_literal().filter(|_| silent)?;
            let by = match operation {
                SetOperation::Set(text) if text.as_literal() == Some(value(name)?) => None,
                SetOperation::Add(by) | SetOperation::Subtract(by) => match by.pieces.as_slice() {
                    [Piece::Macro { variable: Variable::Tx, key: Some(key) }]
                        if number(name).is_some() && number(key) == Some(0) =>
                    {
                        Some(key)
                    }
                    _ => return None,
                },
                _ => return None,
            };
            names.extend(by.map(|key| key.to_ascii_lowercase()));
            names.insert(name.to_ascii_lowercase());
        }
    }
    // Captures come and go unseen.
    let is_plain = |name: &Vec<u8>| !is_capture(name);
    (!names.is_empty() && names.iter().all(is_plain)).then(|| names.into_iter().collect())
}

/// Whether the link matches nothing where its targets have no value.
fn needs_value(link: &Link, plan: &Plan) -> bool {
    let mut any = false;
    link.operator.is_some()
        && link.targets.iter().all(|target| {
            any |= target.mode != TargetMode::Exclude;
            let collection = target.variable.is_collection() && is_stored(target.variable);
            match target.mode {
                TargetMode::Exclude => true,
                TargetMode::Inspect => {
                    collection || matches!(target.variable, Variable::Xml | Variable::XmlAttributes)
                }
                TargetMode::Count => collection && fails_for_zero(link, plan),
            }
        })
        && any
}

/// Whether the link matches nothing without a body.
fn needs_body(rule: &Rule, link: &Link, plan: &Plan) -> bool {
    let inspected = || link.targets.iter().filter(|target| target.mode != TargetMode::Exclude);
    let fails_for_nothing = || {
        link.operator.as_ref().is_some_and(|operator| {
            operator.kind == OperatorKind::StrEq
                && !operator.negated
                && operator.argument.as_literal().is_some_and(|text| !text.is_empty())
                && plan.list.iter().all(|step| *step == Transformation::Lowercase)
        })
    };
    rule.phase.number() >= 2
        && inspected().next().is_some()
        && inspected().all(|target| {
            target.mode == TargetMode::Inspect
                && match target.variable {
                    Variable::ReqbodyProcessor
                    | Variable::ReqbodyErrorMsg
                    | Variable::ReqbodyProcessorErrorMsg => fails_for_nothing(),
                    Variable::ReqbodyError
                    | Variable::ReqbodyProcessorError
                    | Variable::RequestBodyLength
                    | Variable::FilesCombinedSize
                    | Variable::MultipartStrictError
                    | Variable::MultipartUnmatchedBoundary
                    | Variable::MultipartBoundaryQuoted
                    | Variable::MultipartBoundaryWhitespace
                    | Variable::MultipartCrlfLfLines
                    | Variable::MultipartDataAfter
                    | Variable::MultipartDataBefore
                    | Variable::MultipartFileLimitExceeded
                    | Variable::MultipartHeaderFolding
                    | Variable::MultipartInvalidHeaderFolding
                    | Variable::MultipartInvalidPart
                    | Variable::MultipartInvalidQuoting
                    | Variable::MultipartLfLine
                    | Variable::MultipartMissingSemicolon => fails_for_zero(link, plan),
                    _ => false,
                }
        })
}

/// A `setvar` of a link: its name, and the text before and behind the capture that is its value.
struct Setting<'a> {
    link: usize,
    name: &'a Template,
    before: Vec<u8>,
    digit: u8,
    behind: Vec<u8>,
}

/// The gate of a rule like
///
/// ```text
/// SecRule REQUEST_BASENAME "@rx \.([^.]+)$" "capture,setvar:'tx.extension=.%{tx.1}/',chain"
///     SecRule TX:extension "@within .bak/ .ini/ .sql/"
/// ```
///
/// where no other rule can see the variable: what is captured must begin with one of the words of the list,
/// so that no value without one of them makes the rule match.
fn words(program: &Program, rule: &Rule, plans: &[Plan], matchers: &mut Matchers, at: usize) -> Option<Gate> {
    let (link, plan) = (&rule.links[at], &plans[at]);
    let operator = link.operator.as_ref()?;
    let list = operator.argument.as_literal()?;
    let [target] = link.targets.as_slice() else { return None };
    if operator.kind != OperatorKind::Within
        || operator.negated
        || target.variable != Variable::Tx
        || target.mode != TargetMode::Inspect
        || !plan.list.iter().all(|step| *step == Transformation::Lowercase)
    {
        return None;
    }
    let setting = only_setting(rule)?;
    let from = &rule.links[setting.link];
    let is_regex = from.operator.as_ref().is_some_and(|operator| operator.kind == OperatorKind::Rx);
    let stored = from.targets.iter().all(|target| {
        target.mode == TargetMode::Exclude || target.mode == TargetMode::Inspect && is_stored(target.variable)
    });
    if setting.link >= at || !is_regex || !captures(from) || from.multi_match || !stored {
        return None;
    }
    let mut words = words_between(list, &setting.before, &setting.behind)?;
    words.extend(names_seen_elsewhere(program, rule, target, &setting)?);
    if words.iter().any(Vec::is_empty) {
        return None;
    }
    // A word that is too short for a literal is all that is captured, or the list goes on behind it.
    let (short, mut literals): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.len() < SHORTEST);
    literals.extend(short.iter().map(|word| [word, &*setting.behind].concat()));
    let pattern = from.operator.as_ref().and_then(|operator| operator.argument.as_literal());
    let whole = setting.digit == b'0'
        && pattern.is_some_and(|pattern| matches_whole(&String::from_utf8_lossy(pattern)));
    if literals.iter().any(|literal| literal.len() < SHORTEST) || !whole && !short.is_empty() {
        return None;
    }
    let gate = Matcher {
        operator: picket_seclang::format::operator::NEVER,
        min_len: 1,
        source: b"words of a list".to_vec(),
        scans: true,
        ..Matcher::default()
    };
    let mut numbers = Vec::new();
    // The scan compares a few bytes of a literal. Of a longer one the length tells more.
    let mut groups: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for literal in literals {
        let len = if literal.len() > KEY { literal.len() } else { SHORTEST };
        groups.entry(len).or_default().push(literal);
    }
    for (min_len, literals) in groups {
        numbers.push(matchers.list.len());
        matchers.list.push(Matcher { literals: Some(literals), min_len, ..gate.clone() });
    }
    if let Some(len) = short.iter().map(Vec::len).max() {
        numbers.push(matchers.list.len());
        matchers.list.push(Matcher { max_len: Some(len), ..gate });
    }
    Some(Gate::Words(setting.link, numbers))
}

/// The one `setvar` of a rule, if it sets a variable in TX to a capture with text around it.
fn only_setting(rule: &Rule) -> Option<Setting<'_>> {
    let mut settings = rule.links.iter().enumerate().flat_map(|(at, link)| {
        let set = |action: &&Action| matches!(action, Action::SetVar { .. });
        link.actions.iter().filter(set).map(move |action| (at, action))
    });
    let (link, action) = settings.next()?;
    let Action::SetVar { collection: Variable::Tx, name, operation: SetOperation::Set(value) } = action
    else {
        return None;
    };
    let [
        Piece::Literal(before),
        Piece::Macro { variable: Variable::Tx, key: Some(key) },
        Piece::Literal(behind),
    ] = value.pieces.as_slice()
    else {
        return None;
    };
    let [digit @ b'0'..=b'9'] = key.as_slice() else { return None };
    // A variable that the last link sets is set on a match alone; it may be any.
    let last = rule.links.len() - 1;
    if link == last || settings.any(|(at, _)| at != last) {
        return None;
    }
    Some(Setting { link, name, before: before.clone(), digit: *digit, behind: behind.clone() })
}

/// What a text between `before` and `behind` begins with, if the whole is part of a list.
fn words_between(list: &[u8], before: &[u8], behind: &[u8]) -> Option<Vec<Vec<u8>>> {
    let find = |text: &[u8], part: &[u8]| text.windows(part.len()).position(|window| window == part);
    let mut words = BTreeSet::new();
    for at in 0..list.len() {
        // In lower case: the link's transformation may be that, and literals have no case.
        if let Some(rest) = list[at..].strip_prefix(before)
            && let Some(end) = find(rest, behind)
        {
            words.insert(rest[..end].to_ascii_lowercase());
        }
    }
    Some(words.into_iter().collect())
}

/// Whether no other rule can see the variable: literals without which a name is not one that another rule
/// looks at, or `None`.
fn names_seen_elsewhere(
    program: &Program,
    rule: &Rule,
    own: &Target,
    setting: &Setting<'_>,
) -> Option<Vec<Vec<u8>>> {
    // The name's beginning; the whole name, if the capture is not its end.
    let (start, whole) = match setting.name.pieces.as_slice() {
        [Piece::Literal(name)] => (name.to_ascii_lowercase(), true),
        [Piece::Literal(name), Piece::Macro { variable: Variable::Tx, key: Some(key) }]
            if **key == [setting.digit] =>
        {
            (name.to_ascii_lowercase(), false)
        }
        _ => return None,
    };
    let may_be = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        if whole { name == start } else { name.starts_with(&start) }
    };
    // A name that is made up elsewhere, of which this is the beginning.
    let may_become = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        start.starts_with(&name) || !whole && name.starts_with(&start)
    };
    // The link looks at this variable and no other.
    match &own.selector {
        Selector::Key(key) if whole && may_be(key) => {}
        Selector::Pattern(pattern)
            if !whole && pattern.to_ascii_lowercase().as_bytes().strip_prefix(b"^") == Some(&start) => {}
        _ => return None,
    }
    let mut literals = Vec::new();
    for step in &program.steps {
        let same = std::ptr::eq(&step.rule, rule);
        for link in &step.rule.links {
            for target in link.targets.iter().filter(|target| target.variable == Variable::Tx) {
                match &target.selector {
                    _ if same && target == own => {}
                    Selector::Key(key) if !may_be(key) => {}
                    Selector::Pattern(pattern) if whole => {
                        if regex(pattern)?.is_match(&start) {
                            return None;
                        }
                    }
                    Selector::Pattern(pattern) => literals.extend(literals_behind(pattern, &start)?),
                    _ => return None,
                }
            }
            for action in &link.actions {
                if let Action::SetVar { collection: Variable::Tx, name, .. } = action
                    && !(same && name == setting.name)
                {
                    let clash = match (name.as_literal(), name.pieces.first()) {
                        (Some(name), _) => may_be(name),
                        (None, Some(Piece::Literal(beginning))) => may_become(beginning),
                        _ => true,
                    };
                    if clash {
                        return None;
                    }
                }
            }
            let mut link = link.clone();
            for template in link_templates(&mut link) {
                let clash = |piece: &Piece| {
                    matches!(piece, Piece::Macro { variable: Variable::Tx, key }
                        if key.as_deref().is_none_or(may_be))
                };
                if template.pieces.iter().any(clash) {
                    return None;
                }
            }
        }
        if let Disruption::Redirect(to) = &step.rule.disruption
            && to.pieces.iter().any(|piece| matches!(piece, Piece::Macro { variable: Variable::Tx, .. }))
        {
            return None;
        }
    }
    Some(literals)
}

/// Literals of which one is behind a name's beginning, if a key's pattern fits the name.
fn literals_behind(pattern: &str, start: &[u8]) -> Option<Vec<Vec<u8>>> {
    let options = patterns::Options { case_insensitive: true, ..patterns::Options::default() };
    let required = patterns::requirements(pattern, &options).ok()?;
    let literals = required.literals.filter(|_| required.signs.is_empty())?;
    let apart = |literal: &Vec<u8>| {
        let within = start.windows(literal.len()).any(|part| part == literal);
        let across = (1..literal.len()).any(|len| start.ends_with(&literal[..len]));
        literal.len() >= SHORTEST && !within && !across
    };
    literals.iter().all(apart).then_some(literals)
}
