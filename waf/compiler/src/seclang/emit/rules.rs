//! Records of rules, and what hangs on them: targets, actions, templates, tags.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use picket_seclang::Variable;
use picket_seclang::format::{
    Action as ActionRecord, MADE_UP16, NONE, NONE16, Part, Record, Rule as RuleRecord,
    Target as TargetRecord, Template as TemplateRecord, Text, action, disruptive, flag, part, processor,
    target,
};
use picket_seclang::operator::parse_number;

use super::super::error::{Error, fit};
use super::super::program::{Concern, literal, written};
use super::super::syntax::{
    Action, AllowScope, AuditMode, AuditParts, BodyProcessor, Control, Disruption, EngineMode, Link, Piece,
    Rule, Selector, SetOperation, Target, TargetMode, Template,
};
use super::pool::{BitSets, Bytes, Runs};

/// Everything that records refer to.
pub(super) struct Pools {
    pub strings: Bytes,
    pub data: Bytes,
    pub targets: Runs,
    pub actions: Runs,
    pub parts: Runs,
    pub tags: Runs,
    pub rule_sets: BitSets,
    pub tx: TxNames,
    /// Regexes of keys.
    pub keys: HashMap<String, Vec<u8>>,
}

/// Names in TX and their numbers.
pub(super) struct TxNames {
    pub names: Vec<Vec<u8>>,
    known: BTreeMap<Vec<u8>, u16>,
}

impl TxNames {
    /// The captures have the numbers that they are named by; all other names that are known by now follow
    /// in their order, so that it does not depend on which rules are left in which order they are looked
    /// at.
    pub fn new(names: &BTreeSet<Vec<u8>>) -> Result<Self, Error> {
        let mut numbers = TxNames { names: Vec::new(), known: BTreeMap::new() };
        for capture in b'0'..=b'9' {
            numbers.number(&[capture])?;
        }
        for name in names {
            numbers.number(name)?;
        }
        Ok(numbers)
    }

    pub fn number(&mut self, name: &[u8]) -> Result<u16, Error> {
        let name = name.to_ascii_lowercase();
        if let Some(&number) = self.known.get(&name) {
            return Ok(number);
        }
        let number = fit("names in TX", self.names.len(), usize::from(NONE16) - 1)?;
        self.names.push(name.clone());
        self.known.insert(name, number);
        Ok(number)
    }

    pub fn known(&self, name: &[u8]) -> Option<u16> {
        self.known.get(name).copied()
    }
}

/// A rule of the program with the number of its first record.
pub(super) struct Placed<'a> {
    pub rule: &'a Rule,
    pub record: usize,
}

/// What a link's record needs to know that others have worked out.
pub(super) struct Place {
    pub pipeline: usize,
    pub matcher: usize,
    pub scanned: bool,
    pub leaves: bool,
    pub observes: bool,
    pub skip_to: u32,
}

/// What every key that a pattern fits begins with, in lower case; nothing where that is not plain.
fn beginning(pattern: &str) -> Vec<u8> {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else { return Vec::new() };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut text: Vec<u8> = rest.bytes().take_while(plain).map(|byte| byte.to_ascii_lowercase()).collect();
    if rest.as_bytes().get(text.len()).is_some_and(|byte| matches!(byte, b'*' | b'?' | b'+' | b'{')) {
        text.pop();
    }
    text
}

impl Pools {
    pub fn template(&mut self, template: &Template) -> Result<TemplateRecord, Error> {
        let mut parts = Vec::new();
        for piece in &template.pieces {
            parts.push(match piece {
                Piece::Literal(text) => {
                    Part { kind: part::LITERAL, variable: 0, slot: NONE16, text: self.strings.add(text)? }
                }
                Piece::Macro { variable: Variable::Tx, key: Some(key) } => Part {
                    kind: part::TX,
                    variable: Variable::Tx as u8,
                    slot: self.tx.number(key)?,
                    text: self.strings.add(&key.to_ascii_lowercase())?,
                },
                Piece::Macro { variable, key } => Part {
                    kind: part::VARIABLE,
                    variable: *variable as u8,
                    slot: NONE16,
                    text: self.strings.add(&key.as_deref().unwrap_or_default().to_ascii_lowercase())?,
                },
            });
        }
        let (first, parts) = self.parts.add("parts of a text", &parts)?;
        Ok(TemplateRecord { first, parts })
    }

    fn target(&mut self, target: &Target) -> Result<TargetRecord, Error> {
        let mut flags = match target.mode {
            TargetMode::Inspect => 0,
            TargetMode::Count => target::COUNT,
            TargetMode::Exclude => target::EXCLUDE,
        };
        let (mut key, mut regex, mut slot) = (Text::default(), Text::default(), NONE16);
        match &target.selector {
            // A key with macros is replaced or refused before.
            Selector::All | Selector::Macro(_) => {}
            Selector::Key(text) => {
                flags |= target::KEY;
                key = self.strings.add(&text.to_ascii_lowercase())?;
                if target.variable == Variable::Tx {
                    slot = self.tx.number(text)?;
                }
            }
            Selector::Pattern(pattern) => {
                flags |= target::REGEX;
                let bytes = self.keys.get(pattern).cloned().unwrap_or_default();
                regex = self.data.add(&bytes)?;
                let beginning = beginning(pattern);
                if beginning.len() + 1 == pattern.len() {
                    flags |= target::BEGINS;
                }
                key = self.strings.add(&beginning)?;
            }
        }
        Ok(TargetRecord { variable: target.variable as u8, flags, slot, key, regex })
    }

    /// Marks the actions that set names in TX of which none has a number: none begins as they do.
    pub fn mark_actions(&mut self, names: &[Vec<u8>]) {
        for record in self.actions.bytes.chunks_exact_mut(ActionRecord::LEN) {
            let mut action = ActionRecord::read(record);
            let parts = self.parts.bytes.get(action.name.first as usize * Part::LEN..).unwrap_or(&[]);
            let first = Part::read(parts);
            if action.kind > action::UNSET
                || action.collection != Variable::Tx as u8
                || action.slot != NONE16
                || action.name.parts == 0
                || first.kind != part::LITERAL
            {
                continue;
            }
            let (at, len) = (first.text.at as usize, first.text.len as usize);
            let start = self.strings.bytes.get(at..at + len).unwrap_or(&[]).to_ascii_lowercase();
            if !names.iter().any(|name| name.starts_with(&start)) {
                action.slot = MADE_UP16;
                let mut bytes = Vec::with_capacity(ActionRecord::LEN);
                action.write(&mut bytes);
                record.copy_from_slice(&bytes);
            }
        }
    }

    /// Marks the targets in TX whose patterns fit no name that has a number.
    pub fn mark_made_up(&mut self, names: &[Vec<u8>]) {
        let mut cache = picket_regex::Cache::default();
        for record in self.targets.bytes.chunks_exact_mut(TargetRecord::LEN) {
            let mut target = TargetRecord::read(record);
            if target.variable != Variable::Tx as u8 || target.flags & target::REGEX == 0 {
                continue;
            }
            let (at, len) = (target.regex.at as usize, target.regex.len as usize);
            let regex = picket_regex::Regex::new(self.data.bytes.get(at..at + len).unwrap_or(&[]));
            if !names.iter().any(|name| regex.is_match(&mut cache, name)) {
                target.flags |= target::MADE_UP;
                let mut bytes = Vec::with_capacity(TargetRecord::LEN);
                target.write(&mut bytes);
                record.copy_from_slice(&bytes);
            }
        }
    }

    /// The record of a link.
    pub fn link(
        &mut self,
        rule: &Rule,
        link: &Link,
        head: bool,
        place: &Place,
        all: &[Placed<'_>],
    ) -> Result<RuleRecord, Error> {
        let mut flags = 0;
        let mut set = |condition: bool, bit: u32| flags |= if condition { bit } else { 0 };
        set(link.operator.as_ref().is_some_and(|operator| operator.negated), flag::NEGATED);
        set(link.capture, flag::CAPTURE);
        set(link.multi_match, flag::MULTI_MATCH);
        set(link.log, flag::LOG);
        set(link.audit_log, flag::AUDIT_LOG);
        set(place.scanned, flag::SCANNED);
        set(place.leaves, flag::LEAVES);
        set(place.observes, flag::OBSERVES);
        set(link.operator.is_none(), flag::UNCONDITIONAL);
        set(!head, flag::LINK);
        set(link.targets.iter().any(|target| target.mode == TargetMode::Exclude), flag::EXCLUDES);
        let targets = link.targets.iter().map(|target| self.target(target)).collect::<Result<Vec<_>, _>>()?;
        let (targets, target_count) = self.targets.add("targets of a rule", &targets)?;
        let mut actions = Vec::new();
        for action in &link.actions {
            actions.extend(self.action(action, all)?);
        }
        let (actions, action_count) = self.actions.add("actions of a rule", &actions)?;
        let mut tags = Vec::new();
        for tag in &link.tags {
            tags.push(self.strings.add(&written(tag))?);
        }
        let (tags, tag_count) = self.tags.add("tags of a rule", &tags)?;
        let mut record = RuleRecord {
            id: if head { rule.id } else { 0 },
            flags,
            line: link.place.line,
            file: self.strings.add(link.place.file.as_bytes())?,
            targets,
            target_count,
            pipeline: fit("pipelines", place.pipeline, usize::from(u16::MAX))?,
            matcher: fit("matchers", place.matcher, usize::from(u16::MAX))?,
            actions,
            action_count,
            links: 0,
            skip_to: NONE,
            disruptive: disruptive::PASS,
            status: 0,
            redirect: TemplateRecord::default(),
            severity: link.severity.map_or(255, |severity| severity as u8),
            maturity: link.maturity.unwrap_or(0),
            accuracy: link.accuracy.unwrap_or(0),
            message: self.optional(link.message.as_ref())?,
            logdata: self.optional(link.log_data.as_ref())?,
            tags,
            tag_count,
            version: self.strings.add(link.version.as_deref().unwrap_or_default().as_bytes())?,
            revision: self.strings.add(link.revision.as_deref().unwrap_or_default().as_bytes())?,
        };
        if head {
            record.links = fit("links of a chain", rule.links.len() - 1, usize::from(u16::MAX))?;
            record.skip_to = place.skip_to;
            record.status = rule.status.unwrap_or(0);
            record.disruptive = match &rule.disruption {
                Disruption::Pass => disruptive::PASS,
                Disruption::Deny => disruptive::DENY,
                Disruption::Drop => disruptive::DROP,
                Disruption::Redirect(to) => {
                    record.redirect = self.template(to)?;
                    disruptive::REDIRECT
                }
                Disruption::Allow(AllowScope::Transaction) => disruptive::ALLOW,
                Disruption::Allow(AllowScope::Phase) => disruptive::ALLOW_PHASE,
                Disruption::Allow(AllowScope::Request) => disruptive::ALLOW_REQUEST,
            };
        }
        Ok(record)
    }

    fn optional(&mut self, template: Option<&Template>) -> Result<TemplateRecord, Error> {
        template.map_or(Ok(TemplateRecord::default()), |template| self.template(template))
    }

    /// Name and number of a variable that an action sets.
    fn variable(&mut self, collection: Variable, name: &Template) -> Result<(u16, TemplateRecord), Error> {
        match name.as_literal() {
            Some(name) if collection == Variable::Tx => {
                Ok((self.tx.number(name)?, TemplateRecord::default()))
            }
            Some(name) => {
                let lower = literal(name.to_ascii_lowercase());
                Ok((NONE16, self.template(&lower)?))
            }
            None => Ok((NONE16, self.template(name)?)),
        }
    }

    /// The value of a sum: as a number if it is known.
    fn summand(&mut self, value: &Template) -> Result<(i64, TemplateRecord), Error> {
        match value.as_literal() {
            Some(text) => Ok((parse_number(text), TemplateRecord::default())),
            None => Ok((0, self.template(value)?)),
        }
    }

    /// The record of an action; none for what has no effect here.
    fn action(&mut self, from: &Action, all: &[Placed<'_>]) -> Result<Option<ActionRecord>, Error> {
        let mut record = ActionRecord { slot: NONE16, index: NONE, ..ActionRecord::default() };
        match from {
            Action::SetVar { collection, name, operation } => {
                record.collection = *collection as u8;
                (record.slot, record.name) = self.variable(*collection, name)?;
                match operation {
                    SetOperation::Set(value) => {
                        record.kind = action::SET;
                        record.value = self.template(value)?;
                    }
                    SetOperation::Add(value) => {
                        record.kind = action::ADD;
                        (record.number, record.value) = self.summand(value)?;
                    }
                    SetOperation::Subtract(value) => {
                        record.kind = action::SUBTRACT;
                        (record.number, record.value) = self.summand(value)?;
                    }
                    SetOperation::Remove => record.kind = action::UNSET,
                }
            }
            Action::ExpireVar { collection, name, seconds } => {
                record.kind = action::EXPIRE;
                record.collection = *collection as u8;
                (record.slot, record.name) = self.variable(*collection, name)?;
                (record.number, record.value) = self.summand(seconds)?;
            }
            Action::OpenCollection { collection, key } => {
                record.kind = match collection {
                    Variable::Session | Variable::User | Variable::Resource => action::SET_KEY,
                    _ => action::INIT_COLLECTION,
                };
                record.collection = *collection as u8;
                record.name = self.template(key)?;
            }
            Action::SetEnv { name, value } => {
                record.kind = action::SET_ENV;
                record.name = self.template(name)?;
                record.value = self.template(value)?;
            }
            Action::Control(control) => {
                if !self.control(control, all, &mut record)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(record))
    }

    fn control(
        &mut self,
        control: &Control,
        all: &[Placed<'_>],
        record: &mut ActionRecord,
    ) -> Result<bool, Error> {
        match control {
            Control::RuleEngine(mode) => {
                record.kind = action::CTL_ENGINE;
                record.number = i64::from(engine_number(*mode));
            }
            Control::RemoveById(_)
            | Control::RemoveByTag(_)
            | Control::RemoveByMessage(_)
            | Control::RemoveTargetById(..)
            | Control::RemoveTargetByTag(..)
            | Control::RemoveTargetByMessage(..) => {
                let Some(concern) = Concern::new(control) else { return Ok(false) };
                let mut meant: BTreeSet<usize> = BTreeSet::new();
                for placed in all {
                    let links = concern.links(placed.rule).enumerate();
                    meant.extend(links.filter(|(_, meant)| *meant).map(|(link, _)| placed.record + link));
                }
                if meant.is_empty() {
                    return Ok(false);
                }
                match concern.target {
                    None => record.kind = action::CTL_REMOVE_RULES,
                    Some(target) => {
                        record.kind = action::CTL_REMOVE_TARGET;
                        let target = self.target(target)?;
                        record.number = i64::from(self.targets.add("targets", &[target])?.0);
                    }
                }
                record.index = self.rule_sets.add([meant])?;
            }
            Control::RequestBodyProcessor(parser) => {
                record.kind = action::CTL_PROCESSOR;
                record.number = match parser {
                    BodyProcessor::UrlEncoded => processor::URLENCODED,
                    BodyProcessor::Multipart => processor::MULTIPART,
                    BodyProcessor::Json => processor::JSON,
                    BodyProcessor::Xml => processor::XML,
                };
            }
            Control::RequestBodyAccess(on) => {
                record.kind = action::CTL_REQUEST_BODY;
                record.number = i64::from(*on);
            }
            Control::ForceRequestBodyVariable(on) => {
                record.kind = action::CTL_FORCE_BODY;
                record.number = i64::from(*on);
            }
            Control::ResponseBodyAccess(on) => {
                record.kind = action::CTL_RESPONSE_BODY;
                record.number = i64::from(*on);
            }
            Control::AuditEngine(mode) => {
                record.kind = action::CTL_AUDIT_ENGINE;
                record.number = match mode {
                    AuditMode::Off => 0,
                    AuditMode::On => 1,
                    AuditMode::RelevantOnly => 2,
                };
            }
            Control::AuditLogParts(parts) => {
                record.kind = action::CTL_AUDIT_PARTS;
                let text = match parts {
                    AuditParts::Set(parts) => parts.clone(),
                    AuditParts::Add(parts) => format!("+{parts}"),
                    AuditParts::Remove(parts) => format!("-{parts}"),
                };
                record.name = self.template(&literal(text.into_bytes()))?;
            }
            // A transaction's limits are those of its listener.
            Control::RequestBodyLimit(_) | Control::ResponseBodyLimit(_) => return Ok(false),
        }
        Ok(true)
    }
}

pub(super) fn engine_number(mode: EngineMode) -> u8 {
    use picket_seclang::format::engine;
    match mode {
        EngineMode::On => engine::ON,
        EngineMode::Off => engine::OFF,
        EngineMode::DetectionOnly => engine::DETECTION_ONLY,
    }
}
