//! The source of a ruleset: rules, what they look at, and the pipelines they share.

use std::collections::BTreeMap;

use picket_abi::Severity;
use picket_waf::{Transformation, Variable};
use serde::Deserialize;

use crate::error::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    pipeline: Vec<PipelineEntry>,
    rule: Vec<RuleEntry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    /// Names that checks on all headers leave out.
    ignore: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineEntry {
    name: String,
    transformations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    id: u32,
    message: String,
    severity: String,
    category: String,
    #[serde(default)]
    tags: Vec<String>,
    detect: Vec<DetectEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectEntry {
    targets: Vec<String>,
    #[serde(default)]
    pipeline: Pipelines,
    #[serde(default)]
    op: Operator,
    #[serde(default)]
    patterns: Vec<String>,
    /// Overrides what the patterns' structure says.
    #[serde(default)]
    literals: Vec<String>,
}

/// One pipeline, or several: the patterns run over what each makes of a value.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pipelines {
    One(String),
    Several(Vec<String>),
}

impl Default for Pipelines {
    fn default() -> Self {
        Pipelines::Several(Vec::new())
    }
}

/// What a check asks of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    #[default]
    Rx,
    NotRx,
    Absent,
}

/// A variable, or one name in it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub variable: Variable,
    pub name: Option<String>,
    pub exclude: bool,
}

impl Target {
    /// Whether it is every header.
    pub(crate) fn is_all_headers(&self) -> bool {
        self.variable == Variable::RequestHeaders && self.name.is_none()
    }
}

pub(crate) struct Check {
    pub targets: Vec<Target>,
    /// At least one; the one without transformations if the source names none.
    pub pipelines: Vec<Vec<Transformation>>,
    pub operator: Operator,
    pub patterns: Vec<String>,
    /// Literals of which one occurs wherever a pattern matches; empty: the compiler finds them.
    pub literals: Vec<String>,
}

pub(crate) struct Rule {
    pub id: u32,
    pub message: String,
    pub severity: Severity,
    pub category: String,
    pub tags: Vec<String>,
    pub checks: Vec<Check>,
}

pub(crate) struct Source {
    /// Names of headers that only checks which name them look at.
    pub ignored_headers: Vec<String>,
    pub rules: Vec<Rule>,
}

impl Source {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(Error::Syntax)?;
        let mut pipelines = BTreeMap::new();
        for entry in file.pipeline {
            let mut transformations = Vec::new();
            for name in &entry.transformations {
                transformations.push(Transformation::from_name(name).ok_or_else(|| {
                    Error::rule(
                        0,
                        format!("pipeline {}", entry.name),
                        format!("unknown transformation {name}"),
                    )
                })?);
            }
            pipelines.insert(entry.name, transformations);
        }
        let mut rules: Vec<Rule> = Vec::new();
        for entry in file.rule {
            if rules.iter().any(|rule| rule.id == entry.id) {
                return Err(Error::rule(entry.id, "id", "another rule has it already"));
            }
            let mut rule = Rule::parse(entry, &pipelines)?;
            for check in &mut rule.checks {
                if check.targets.iter().any(Target::is_all_headers) {
                    check.targets.extend(file.headers.ignore.iter().map(|name| Target {
                        variable: Variable::RequestHeaders,
                        name: Some(name.clone()),
                        exclude: true,
                    }));
                }
            }
            rules.push(rule);
        }
        Ok(Source { ignored_headers: file.headers.ignore, rules })
    }
}

impl Rule {
    fn parse(entry: RuleEntry, pipelines: &BTreeMap<String, Vec<Transformation>>) -> Result<Self, Error> {
        let id = entry.id;
        let severity = [Severity::Notice, Severity::Warning, Severity::Error, Severity::Critical]
            .into_iter()
            .find(|severity| severity.name() == entry.severity)
            .ok_or_else(|| {
                Error::rule(id, &entry.severity, "unknown severity (critical, error, warning, notice)")
            })?;
        let mut checks = Vec::new();
        for detect in entry.detect {
            let names = match &detect.pipeline {
                Pipelines::One(name) => std::slice::from_ref(name),
                Pipelines::Several(names) => names,
            };
            let mut wanted = Vec::new();
            for name in names {
                let steps = pipelines.get(name).ok_or_else(|| {
                    Error::rule(id, format!("pipeline {name}"), "there is none of that name")
                })?;
                wanted.push(steps.clone());
            }
            if wanted.is_empty() {
                wanted.push(Vec::new());
            }
            let mut targets = Vec::new();
            for target in &detect.targets {
                targets.push(parse_target(id, target)?);
            }
            if (detect.operator_is_absent()) != detect.patterns.is_empty() {
                return Err(Error::rule(id, "patterns", "needed, except with op = \"absent\""));
            }
            checks.push(Check {
                targets,
                pipelines: wanted,
                operator: detect.op,
                patterns: detect.patterns,
                literals: detect.literals,
            });
        }
        Ok(Rule { id, message: entry.message, severity, category: entry.category, tags: entry.tags, checks })
    }
}

impl DetectEntry {
    fn operator_is_absent(&self) -> bool {
        self.op == Operator::Absent
    }
}

fn parse_target(id: u32, target: &str) -> Result<Target, Error> {
    let (exclude, rest) = match target.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, target),
    };
    let (name, selector) = match rest.split_once(':') {
        Some((name, selector)) => (name, Some(selector.to_owned())),
        None => (rest, None),
    };
    let variable =
        Variable::from_name(name).ok_or_else(|| Error::rule(id, target, "there is no such variable"))?;
    if exclude && selector.is_none() {
        return Err(Error::rule(id, target, "an exclusion needs a name: !VARIABLE:name"));
    }
    if variable == Variable::HeaderCount && selector.is_none() {
        return Err(Error::rule(id, target, "needs the name of a header"));
    }
    Ok(Target { variable, name: selector, exclude })
}
