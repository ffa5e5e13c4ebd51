//! A rule as it was compiled, read back from the blob.

use std::fmt;

use picket_seclang::format::{
    Action, Matcher, NONE, Part, Pipeline, Record, Rule, Section, Target, Template, Text, TextRecord, action,
    disruptive, flag, operator, part, processor, target,
};
use picket_seclang::transform::Transformation;
use picket_seclang::{BlobError, RuleSet, Variable};
use serde::Serialize;

use super::summary::operator_name;

/// Why there is no explanation.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExplainError {
    /// The blob is none.
    Blob(BlobError),
    /// No rule of this id is in it: there was none, it was left out, or folding has done its work.
    NoSuchRule(u32),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExplainError::Blob(error) => write!(f, "{error}"),
            ExplainError::NoSuchRule(id) => {
                write!(f, "rule {id} is not in the ruleset: there is none, or its work was done ahead")
            }
        }
    }
}

impl std::error::Error for ExplainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ExplainError::Blob(error) => Some(error),
            ExplainError::NoSuchRule(_) => None,
        }
    }
}

/// A rule as it was compiled.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Its id.
    pub id: u32,
    /// Its phase, 1 to 5.
    pub phase: u8,
    /// Its place among the rules and links of the phase, from 1.
    pub place: usize,
    /// Rules and links of the phase.
    pub of: usize,
    /// Whether it runs only where the scan finds something, and looks at nothing else.
    pub scanned: bool,
    /// Whether it runs in every transaction; others wait for what they cannot match without.
    pub always: bool,
    /// What a match does to the transaction.
    pub disruption: String,
    /// The rule at which the phase goes on after a match; 0: its end.
    pub skips_to: Option<u32>,
    /// Itself and what is chained to it.
    pub links: Vec<ExplainedLink>,
}

/// One condition of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedLink {
    /// File and line.
    pub source: String,
    /// What it looks at.
    pub targets: Vec<String>,
    /// Transformations, in their order.
    pub transformations: Vec<String>,
    /// The operator; none for what always matches.
    pub operator: Option<ExplainedOperator>,
    /// `msg`
    pub message: String,
    /// `logdata`
    pub logdata: String,
    /// `severity`
    pub severity: Option<u8>,
    /// `tag`s
    pub tags: Vec<String>,
    /// What it does.
    pub actions: Vec<String>,
}

/// An operator.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedOperator {
    /// Its name, with `@`, and `!` where it is negated.
    pub name: String,
    /// Its argument; where sources are left out, what is known of it.
    pub argument: String,
    /// Bytes of its data.
    pub bytes: usize,
    /// Length of the shortest value that matches.
    pub min_len: u16,
    /// Byte sets of which each must have a byte in the value.
    pub needs: Vec<String>,
    /// Whether a literal announces it.
    pub announced: bool,
    /// Rules that share it.
    pub shared: usize,
}

/// Reads a rule back.
///
/// # Errors
/// [`ExplainError`] if the blob is none, or has no such rule.
pub fn explain(blob: &[u8], id: u32) -> Result<Explanation, ExplainError> {
    let reader = Reader { rules: RuleSet::load(blob).map_err(ExplainError::Blob)? };
    let rules = reader.rules;
    let at = (0..rules.rule_count())
        .find(|&at| rules.rule(at).id == id && id != 0)
        .ok_or(ExplainError::NoSuchRule(id))?;
    let rule = rules.rule(at);
    let meta = rules.meta();
    let starts = [meta.phase1, meta.phase2, meta.phase3, meta.phase4, meta.phase5, meta.rules];
    let phase = starts.iter().take(5).rposition(|&start| start as usize <= at).unwrap_or(0);
    let (first, end) = (starts[phase] as usize, starts[phase + 1] as usize);
    let links = (at..=at + usize::from(rule.links)).map(|link| reader.link(&rules.rule(link))).collect();
    Ok(Explanation {
        id,
        phase: phase as u8 + 1,
        place: at - first + 1,
        of: end.saturating_sub(first),
        scanned: rule.flags & flag::SCANNED != 0,
        always: rule.flags & flag::LEAVES == 0 && reader.runs_always(at),
        disruption: reader.disruption(&rule),
        skips_to: (rule.skip_to != NONE)
            .then(|| if rule.skip_to as usize >= end { 0 } else { rules.rule(rule.skip_to as usize).id }),
        links,
    })
}

struct Reader<'a> {
    rules: RuleSet<'a>,
}

impl Reader<'_> {
    fn text(&self, text: Text) -> String {
        String::from_utf8_lossy(self.rules.text(text)).into_owned()
    }

    fn template(&self, template: Template) -> String {
        let mut out = String::new();
        for Part { kind, variable, text, .. } in self.rules.parts(template) {
            if kind == part::LITERAL {
                out += &self.text(text);
                continue;
            }
            let name = Variable::from_u8(variable).map_or("?", Variable::name).to_ascii_lowercase();
            out += &format!("%{{{name}");
            if text.len > 0 {
                out += ".";
                out += &self.text(text);
            }
            out += "}";
        }
        out
    }

    fn target(&self, record: &Target) -> String {
        let mut out = String::new();
        if record.flags & target::COUNT != 0 {
            out += "&";
        }
        if record.flags & target::EXCLUDE != 0 {
            out += "!";
        }
        out += Variable::from_u8(record.variable).map_or("?", Variable::name);
        if record.flags & target::KEY != 0 {
            out += ":";
            out += &self.text(record.key);
        }
        if record.flags & target::REGEX != 0 {
            out += &format!(":/regex of {} bytes/", record.regex.len);
        }
        out
    }

    fn link(&self, rule: &Rule) -> ExplainedLink {
        let pipeline: Pipeline = self.rules.record(Section::Pipelines, usize::from(rule.pipeline));
        let names = self.rules.data(pipeline.transformations).iter();
        let name =
            |&number: &u8| Transformation::from_u8(number).map_or("?", Transformation::name).to_owned();
        let mut notes = Vec::new();
        for (bit, note) in [
            (flag::CAPTURE, "capture"),
            (flag::MULTI_MATCH, "multiMatch"),
            (flag::LOG, "log"),
            (flag::AUDIT_LOG, "auditlog"),
        ] {
            if rule.flags & bit != 0 {
                notes.push(note.to_owned());
            }
        }
        notes.extend(self.rules.actions(rule).map(|action| self.action(&action)));
        ExplainedLink {
            source: format!("{}:{}", self.text(rule.file), rule.line),
            targets: self.rules.targets(rule).map(|target| self.target(&target)).collect(),
            transformations: names.map(name).collect(),
            operator: (rule.flags & flag::UNCONDITIONAL == 0).then(|| self.operator(rule)),
            message: self.template(rule.message),
            logdata: self.template(rule.logdata),
            severity: (rule.severity < 8).then_some(rule.severity),
            tags: self.rules.tags(rule).map(|tag| String::from_utf8_lossy(tag).into_owned()).collect(),
            actions: notes,
        }
    }

    fn operator(&self, rule: &Rule) -> ExplainedOperator {
        let number = usize::from(rule.matcher);
        let matcher = self.rules.matcher(number);
        let negated = if rule.flags & flag::NEGATED != 0 { "!" } else { "" };
        let meta = self.rules.meta();
        let silent = self.rules.section(Section::MatcherSets);
        let word = meta.silent as usize * meta.matcher_words as usize + number / 32;
        let is_silent = u32::read(silent.get(word * 4..).unwrap_or(&[])) >> (number % 32) & 1 != 0;
        ExplainedOperator {
            name: format!("{negated}@{}", operator_name(matcher.operator)),
            argument: self.argument(number, &matcher),
            bytes: matcher.data.len as usize,
            min_len: matcher.min_len,
            needs: (0..64)
                .filter(|bit| matcher.needs >> bit & 1 != 0)
                .map(|bit| self.byte_set(bit))
                .collect(),
            announced: rule.flags & flag::SCANNED != 0 && !is_silent,
            shared: usize::from(matcher.use_count),
        }
    }

    fn argument(&self, number: usize, matcher: &Matcher) -> String {
        let sources = self.rules.section(Section::Sources);
        if !sources.is_empty() {
            let text: TextRecord = self.rules.record(Section::Sources, number);
            let text = sources.get(text.at as usize..).and_then(|rest| rest.get(..text.len as usize));
            return String::from_utf8_lossy(text.unwrap_or(&[])).into_owned();
        }
        match matcher.operator {
            _ if matcher.argument.parts > 0 => self.template(matcher.argument),
            operator::EQ..=operator::LT => matcher.number.to_string(),
            _ => format!("({} bytes)", matcher.data.len),
        }
    }

    /// The bytes of a set, from the scan's table of what is in which.
    fn byte_set(&self, bit: u32) -> String {
        let table =
            self.rules.section(Section::Scan).get(picket_seclang::scan::layout::HEADER..).unwrap_or(&[]);
        let is_in =
            |byte: &u8| u64::read(table.get(usize::from(*byte) * u64::LEN..).unwrap_or(&[])) >> bit & 1 != 0;
        let mut out = String::new();
        let mut byte = 0;
        while let Some(first) = (byte..=255u8).find(is_in) {
            let last = (first..=255).take_while(is_in).last().unwrap_or(first);
            out += &first.escape_ascii().to_string();
            if last > first {
                if last > first + 1 {
                    out += "-";
                }
                out += &last.escape_ascii().to_string();
            }
            match last.checked_add(1) {
                Some(next) => byte = next,
                None => break,
            }
        }
        format!("[{out}]")
    }

    fn disruption(&self, rule: &Rule) -> String {
        let status = if rule.status == 0 { String::new() } else { format!(" ({})", rule.status) };
        match rule.disruptive {
            disruptive::PASS => "pass".into(),
            disruptive::DENY => format!("deny{status}"),
            disruptive::DROP => "drop".into(),
            disruptive::REDIRECT => format!("redirect to {}{status}", self.template(rule.redirect)),
            disruptive::ALLOW => "allow".into(),
            disruptive::ALLOW_PHASE => "allow:phase".into(),
            disruptive::ALLOW_REQUEST => "allow:request".into(),
            other => format!("disruption {other}"),
        }
    }

    fn action(&self, record: &Action) -> String {
        let collection =
            Variable::from_u8(record.collection).map_or("?", Variable::name).to_ascii_lowercase();
        let name = if record.slot >= picket_seclang::format::MADE_UP16 {
            self.template(record.name)
        } else {
            self.text(self.rules.record(Section::TxNames, usize::from(record.slot)))
        };
        let value =
            if record.value.parts > 0 { self.template(record.value) } else { record.number.to_string() };
        let text = self.template(record.value);
        let rules = || format!("{} rules", self.set_len(record.index));
        let on = if record.number == 0 { "off" } else { "on" };
        match record.kind {
            action::SET => format!("setvar:{collection}.{name}={text}"),
            action::ADD => format!("setvar:{collection}.{name}=+{value}"),
            action::SUBTRACT => format!("setvar:{collection}.{name}=-{value}"),
            action::UNSET => format!("setvar:!{collection}.{name}"),
            action::EXPIRE => format!("expirevar:{collection}.{name}={value}"),
            action::INIT_COLLECTION | action::SET_KEY => format!("initcol:{collection}={name}"),
            action::SET_ENV => format!("setenv:{name}={text}"),
            action::CTL_ENGINE => format!(
                "ctl:ruleEngine={}",
                match record.number {
                    0 => "Off",
                    1 => "On",
                    _ => "DetectionOnly",
                }
            ),
            action::CTL_REMOVE_RULES => format!("ctl: removes {}", rules()),
            action::CTL_REMOVE_TARGET => format!(
                "ctl: removes {} from {}",
                self.target(&self.rules.target(usize::try_from(record.number).unwrap_or(usize::MAX))),
                rules()
            ),
            action::CTL_PROCESSOR => format!(
                "ctl:requestBodyProcessor={}",
                match record.number {
                    processor::URLENCODED => "URLENCODED",
                    processor::MULTIPART => "MULTIPART",
                    processor::XML => "XML",
                    processor::JSON => "JSON",
                    _ => "none",
                }
            ),
            action::CTL_REQUEST_BODY => format!("ctl:requestBodyAccess={on}"),
            action::CTL_FORCE_BODY => format!("ctl:forceRequestBodyVariable={on}"),
            action::CTL_AUDIT_ENGINE => format!(
                "ctl:auditEngine={}",
                match record.number {
                    0 => "Off",
                    1 => "On",
                    _ => "RelevantOnly",
                }
            ),
            action::CTL_AUDIT_PARTS => format!("ctl:auditLogParts={name}"),
            action::CTL_RESPONSE_BODY => format!("ctl:responseBodyAccess={on}"),
            other => format!("action {other}"),
        }
    }

    fn runs_always(&self, rule: usize) -> bool {
        let set = self.rules.section(Section::RuleSets);
        set.get(rule / 8).is_some_and(|byte| byte >> (rule % 8) & 1 != 0)
    }

    fn set_len(&self, set: u32) -> usize {
        let words = self.rules.meta().rule_words as usize;
        let bytes = self.rules.section(Section::RuleSets);
        let set = bytes.get((set as usize).saturating_mul(words * 4)..).unwrap_or(&[]);
        set.iter().take(words * 4).map(|byte| byte.count_ones() as usize).sum()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.always, self.scanned) {
            (true, _) => "always",
            (false, true) => "where the scan finds something",
            (false, false) => "where a link of it can match",
        };
        writeln!(
            f,
            "rule {}: phase {}, place {} of {}; runs {how}",
            self.id, self.phase, self.place, self.of
        )?;
        write!(f, "on a match: {}", self.disruption)?;
        match self.skips_to {
            Some(0) => writeln!(f, ", goes on at the end of the phase")?,
            Some(id) => writeln!(f, ", goes on at rule {id}")?,
            None => writeln!(f)?,
        }
        for (number, link) in self.links.iter().enumerate() {
            let what = if number == 0 { "condition" } else { "chained" };
            writeln!(f, "{what} ({})", link.source)?;
            writeln!(
                f,
                "  looks at   {}",
                if link.targets.is_empty() { "-".into() } else { link.targets.join("|") }
            )?;
            if !link.transformations.is_empty() {
                writeln!(f, "  behind     {}", link.transformations.join(", "))?;
            }
            match &link.operator {
                Some(operator) => {
                    writeln!(f, "  for        {} {}", operator.name, operator.argument)?;
                    write!(
                        f,
                        "  which is   {} bytes, values from {} bytes",
                        operator.bytes, operator.min_len
                    )?;
                    if operator.announced {
                        write!(f, ", announced by a literal")?;
                    }
                    if operator.shared > 1 {
                        write!(f, ", shared by {} rules", operator.shared)?;
                    }
                    writeln!(f)?;
                    if !operator.needs.is_empty() {
                        writeln!(f, "  with each  {}", operator.needs.join(" "))?;
                    }
                }
                None => writeln!(f, "  always matches")?,
            }
            for (name, text) in [("says", &link.message), ("with data", &link.logdata)] {
                if !text.is_empty() {
                    writeln!(f, "  {name:<10} {text}")?;
                }
            }
            if let Some(severity) = link.severity {
                writeln!(f, "  severity   {severity}")?;
            }
            if !link.tags.is_empty() {
                writeln!(f, "  tags       {}", link.tags.join(", "))?;
            }
            if !link.actions.is_empty() {
                writeln!(f, "  does       {}", link.actions.join(", "))?;
            }
        }
        Ok(())
    }
}
