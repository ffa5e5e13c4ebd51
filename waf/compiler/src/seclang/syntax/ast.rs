//! What the parser hands on: resolved rules in file order, settings, and what was wrong.

use core::fmt;
use core::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

pub use picket_seclang::Variable;

use super::operator::OperatorKind;
use super::template::Template;

/// Everything the files say, after inheritance, removals and updates.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Settings of the engine, bodies and logs.
    pub directives: Directives,
    /// Rules and markers in file order.
    pub items: Vec<Item>,
    /// What was noticed: what reading says in file order, then what resolving says.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that were read, rule files and data files, in the order of their first use.
    pub files: Vec<SourceFile>,
}

impl Configuration {
    /// The rules in file order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.items.iter().filter_map(|item| match item {
            Item::Rule(rule) => Some(rule),
            Item::Marker(_) => None,
        })
    }

    /// Whether a diagnostic says that something was left out.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was given or included.
    pub file: Arc<str>,
    /// The line a directive starts on, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Accepted; has no effect here.
    Note,
    /// Kept, but probably not what was meant.
    Warning,
    /// Left out: a rule with its chain, a directive, or a file.
    Error,
}

/// Something the files say that is not done as said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
    /// The rule that was left out because of it, if it has an id.
    pub rule_left_out: Option<u32>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{}: {level}: {}", self.place, self.text)?;
        match self.rule_left_out {
            Some(id) => write!(f, " (rule {id} left out)"),
            None => Ok(()),
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it was found.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Whether it is a data file of an operator, not a rule file.
    pub is_data: bool,
}

/// What stands in the list of rules.
#[derive(Debug, Clone)]
pub enum Item {
    /// A rule with its chain.
    Rule(Rule),
    /// `SecMarker`: where `skipAfter` goes on.
    Marker(Marker),
}

/// `SecMarker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Its name; `skipAfter` compares it as it is.
    pub name: Vec<u8>,
    /// Where it stands.
    pub place: Place,
}

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// 1: the request's head has come.
    RequestHeaders = 1,
    /// 2: the request's body has come.
    RequestBody = 2,
    /// 3: the response's head has come.
    ResponseHeaders = 3,
    /// 4: the response's body has come.
    ResponseBody = 4,
    /// 5: the transaction is logged.
    Logging = 5,
}

impl Phase {
    /// The phase of this number.
    pub const fn from_number(number: u8) -> Option<Phase> {
        Some(match number {
            1 => Phase::RequestHeaders,
            2 => Phase::RequestBody,
            3 => Phase::ResponseHeaders,
            4 => Phase::ResponseBody,
            5 => Phase::Logging,
            _ => return None,
        })
    }

    /// The number in rules.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// How much a match matters; 0 is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are syslog's")]
pub enum Severity {
    Emergency = 0,
    Alert = 1,
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// A `SecRule` or `SecAction` with the links chained to it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The number that logs, removals and updates name it by; unique, not 0.
    pub id: u32,
    /// When it runs.
    pub phase: Phase,
    /// What happens when all links match; `block` is resolved already.
    pub disruption: Disruption,
    /// Whether the rule says `block`, or nothing, and so leaves it to `SecDefaultAction`.
    pub blocks_by_default: bool,
    /// Status of `deny` (default 403) and `redirect` (default 302), if any is said.
    pub status: Option<u16>,
    /// `skip`: how many of the phase's following rules are passed over on a match.
    pub skip: u32,
    /// `skipAfter`: the name of the marker at which to go on after a match.
    pub skip_after: Option<Vec<u8>>,
    /// Whether a match is logged: the rule's word, or else the default action's.
    pub log: bool,
    /// Whether a match makes the transaction worth the audit log, by the same rule.
    pub audit_log: bool,
    /// The conditions, at least one: the rule itself, then its chain. All must match, in turn.
    pub links: Vec<Link>,
}

impl Rule {
    /// The rule's own condition.
    pub fn head(&self) -> &Link {
        self.links.first().expect("the resolver makes no rule without a link")
    }

    /// The message of the first link that has one.
    pub fn message(&self) -> Option<&Template> {
        self.links.iter().find_map(|link| link.message.as_ref())
    }
}

/// What a match does to the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Disruption {
    /// Nothing: go on.
    #[default]
    Pass,
    /// Answer with the status.
    Deny,
    /// Close the connection.
    Drop,
    /// Stop looking, let it through.
    Allow(AllowScope),
    /// Answer with a redirection to this address.
    Redirect(Template),
}

/// How far `allow` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowScope {
    /// `allow`: the rest of the transaction, except logging.
    Transaction,
    /// `allow:phase`: the rest of this phase.
    Phase,
    /// `allow:request`: the rest of the request's phases.
    Request,
}

/// One condition of a rule and what it does when it matches.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where it stands.
    pub place: Place,
    /// The directive as it stands in the file; what is not UTF-8 is replaced.
    pub source: String,
    /// What is looked at; empty for `SecAction`. Exclusions and updates are among them.
    pub targets: Vec<Target>,
    /// The test; `None` for `SecAction`, which always matches.
    pub operator: Option<Operator>,
    /// The names of the transformations in order, inherited ones first, `none` resolved.
    pub transformations: Vec<String>,
    /// Whether the operator runs after each transformation instead of after the last.
    pub multi_match: bool,
    /// Whether the groups of a match are kept as `TX:0` to `TX:9`.
    pub capture: bool,
    /// `msg`.
    pub message: Option<Template>,
    /// `logdata`.
    pub log_data: Option<Template>,
    /// `severity`.
    pub severity: Option<Severity>,
    /// `tag`s in order.
    pub tags: Vec<Template>,
    /// `ver`.
    pub version: Option<String>,
    /// `rev`.
    pub revision: Option<String>,
    /// `maturity`, 1 to 9.
    pub maturity: Option<u8>,
    /// `accuracy`, 1 to 9.
    pub accuracy: Option<u8>,
    /// Whether this link's match is logged: its own word, or else the rule's.
    pub log: bool,
    /// Whether it is worth the audit log, by the same rule.
    pub audit_log: bool,
    /// What else a match does, in order.
    pub actions: Vec<Action>,
}

/// One of the things a link looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is for.
    pub mode: TargetMode,
    /// The variable.
    pub variable: Variable,
    /// Which of a collection's keys.
    pub selector: Selector,
}

/// What a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetMode {
    /// Its values are looked at.
    Inspect,
    /// `&`: how many values there are is looked at.
    Count,
    /// `!`: other targets' values that it selects are not looked at.
    Exclude,
}

/// Which keys of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All of them, or a variable without keys.
    All,
    /// The key; compared without regard to ASCII case.
    Key(Vec<u8>),
    /// Keys that the regex finds a match in, without regard to case. ASCII; other bytes are `\xHH`.
    Pattern(String),
    /// The key is known when the rule runs.
    Macro(Template),
}

/// The test of a link.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Which.
    pub kind: OperatorKind,
    /// `!`: the link matches what the test does not.
    pub negated: bool,
    /// The argument, with macros.
    pub argument: Template,
    /// The argument as it stands, for regexes and for display; see [`Operator::pattern`].
    pub raw: Vec<u8>,
    /// What the files hold that the argument names, in order.
    pub data: Vec<DataFile>,
}

/// A data file of an operator.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Where it was found.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Arc<[u8]>,
}

/// What a match does besides disrupting and logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `setvar`.
    SetVar {
        /// `TX` or one of the kept collections.
        collection: Variable,
        /// The key.
        name: Template,
        /// What happens to it.
        operation: SetOperation,
    },
    /// `expirevar`: the variable is gone after so many seconds.
    ExpireVar {
        /// One of the kept collections, or `TX`.
        collection: Variable,
        /// The key.
        name: Template,
        /// Seconds.
        seconds: Template,
    },
    /// `initcol`, `setsid`, `setuid`, `setrsc`: opens a kept collection under a key.
    OpenCollection {
        /// `IP`, `GLOBAL`, `SESSION`, `USER` or `RESOURCE`.
        collection: Variable,
        /// The key.
        key: Template,
    },
    /// `setenv`.
    SetEnv {
        /// The name.
        name: Template,
        /// The value.
        value: Template,
    },
    /// `ctl`.
    Control(Control),
}

/// What `setvar` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOperation {
    /// `=value`; without a value `1`.
    Set(Template),
    /// `=+value`.
    Add(Template),
    /// `=-value`.
    Subtract(Template),
    /// `!name`.
    Remove,
}

/// `ctl`: settings for the rest of this transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// `ruleEngine`.
    RuleEngine(EngineMode),
    /// `ruleRemoveById`; ranges of ids are sorted and do not touch.
    RemoveById(Vec<RangeInclusive<u32>>),
    /// `ruleRemoveByTag`.
    RemoveByTag(Matching),
    /// `ruleRemoveByMsg`.
    RemoveByMessage(Matching),
    /// `ruleRemoveTargetById`.
    RemoveTargetById(Vec<RangeInclusive<u32>>, Target),
    /// `ruleRemoveTargetByTag`.
    RemoveTargetByTag(Matching, Target),
    /// `ruleRemoveTargetByMsg`.
    RemoveTargetByMessage(Matching, Target),
    /// `requestBodyProcessor`.
    RequestBodyProcessor(BodyProcessor),
    /// `requestBodyAccess`.
    RequestBodyAccess(bool),
    /// `requestBodyLimit`, bytes.
    RequestBodyLimit(u64),
    /// `forceRequestBodyVariable`.
    ForceRequestBodyVariable(bool),
    /// `responseBodyAccess`.
    ResponseBodyAccess(bool),
    /// `responseBodyLimit`, bytes.
    ResponseBodyLimit(u64),
    /// `auditEngine`.
    AuditEngine(AuditMode),
    /// `auditLogParts`.
    AuditLogParts(AuditParts),
}

/// How tags and messages are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Equal to this.
    Equal(Vec<u8>),
    /// Equal to this, or the regex finds a match.
    Pattern(String),
}

/// How `ctl:auditLogParts` changes the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditParts {
    /// These alone.
    Set(String),
    /// These too.
    Add(String),
    /// Not these.
    Remove(String),
}

/// A parser of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for what they parse")]
pub enum BodyProcessor {
    UrlEncoded,
    Multipart,
    Json,
    Xml,
}

/// `SecRuleEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineMode {
    /// Rules run and disrupt.
    On,
    /// No rule runs.
    Off,
    /// Rules run and do not disrupt.
    DetectionOnly,
}

/// `SecAuditEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditMode {
    /// All transactions are logged.
    On,
    /// None is.
    Off,
    /// Those with a match or a status worth it.
    RelevantOnly,
}

/// What happens to a body over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitAction {
    /// The message is refused.
    Reject,
    /// What came before the limit is looked at.
    ProcessPartial,
}

/// Settings; `None` where no file says anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `SecRuleEngine`.
    pub rule_engine: Option<EngineMode>,
    /// `SecRequestBodyAccess`.
    pub request_body_access: Option<bool>,
    /// `SecRequestBodyLimit`, bytes.
    pub request_body_limit: Option<u64>,
    /// `SecRequestBodyNoFilesLimit`, bytes.
    pub request_body_no_files_limit: Option<u64>,
    /// `SecRequestBodyLimitAction`.
    pub request_body_limit_action: Option<LimitAction>,
    /// `SecRequestBodyJsonDepthLimit`, levels.
    pub request_body_json_depth_limit: Option<u32>,
    /// `SecArgumentsLimit`, arguments.
    pub arguments_limit: Option<u32>,
    /// `SecUploadFileLimit`, files.
    pub upload_file_limit: Option<u32>,
    /// `SecResponseBodyAccess`.
    pub response_body_access: Option<bool>,
    /// `SecResponseBodyLimit`, bytes.
    pub response_body_limit: Option<u64>,
    /// `SecResponseBodyLimitAction`.
    pub response_body_limit_action: Option<LimitAction>,
    /// `SecResponseBodyMimeType`, lower case, after `SecResponseBodyMimeTypesClear`.
    pub response_body_mime_types: Option<Vec<String>>,
    /// `SecAuditEngine`.
    pub audit_engine: Option<AuditMode>,
    /// `SecAuditLog`: a path.
    pub audit_log: Option<String>,
    /// `SecAuditLogParts`.
    pub audit_log_parts: Option<String>,
    /// `SecAuditLogRelevantStatus`: a regex over the status.
    pub audit_log_relevant_status: Option<String>,
    /// `SecArgumentSeparator`.
    pub argument_separator: Option<u8>,
    /// `SecCollectionTimeout`, seconds.
    pub collection_timeout: Option<u32>,
    /// `SecComponentSignature`s in order.
    pub component_signatures: Vec<String>,
    /// `SecWebAppId`.
    pub web_app_id: Option<String>,
}
