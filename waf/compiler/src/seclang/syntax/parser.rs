//! Files to raw rules: directives are read in order, included files where they are included.

use core::fmt;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::action::{Actions, parse_actions};
use super::ast::{
    Configuration, DataFile, Diagnostic, Directives, Level, Marker, Operator, Phase, Place, SourceFile,
    Target,
};
use super::control::{matching, parse_ids};
use super::digest::sha256;
use super::lex::{Directive, Lexer};
use super::loader::{Loader, Memory, clean, expand};
use super::operator::parse_operator;
use super::resolve::{self, Update, UpdateKind, Which};
use super::settings::{self, Setting};
use super::target::parse_targets;

/// Largest file, in bytes.
pub const MAX_FILE: usize = 16 << 20;
/// Most bytes in all files.
pub const MAX_TOTAL: usize = 64 << 20;
/// Most rule files, counting a file as often as it is included.
pub const MAX_FILES: usize = 4096;
/// How deep files may include files.
pub const MAX_DEPTH: usize = 16;
/// Most rules, links of chains included.
pub const MAX_RULES: usize = 65_535;
/// Most removals and updates.
pub const MAX_UPDATES: usize = 16_384;

/// Why there is no configuration at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file that was asked for cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is more than may be.
    Limit {
        /// Where the limit was met.
        place: Place,
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { path, source } => write!(f, "{}: cannot be read: {source}", path.display()),
            Error::Limit { place, what, limit } => write!(f, "{place}: more than {limit} {what}"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Error::Read { source, .. } => Some(source),
            Error::Limit { .. } => None,
        }
    }
}

/// Parses files in order, as if one included them all. A path may have `*`, `?` and `[…]`.
///
/// # Errors
/// [`Error::Read`] if one of the given files cannot be read, [`Error::Limit`] if there is too much.
/// Everything else is among the [`diagnostics`](Configuration::diagnostics).
///
/// ```
/// use picket_waf_compiler::seclang::syntax::{Memory, parse_files};
///
/// let files = Memory::new()
///     .with("main.conf", "SecRuleEngine On\nInclude rules/*.conf\n")
///     .with("rules/a.conf", "SecRule ARGS \"@contains x\" \"id:1,phase:2,deny\"\n");
/// let configuration = parse_files(&["main.conf".into()], &files).unwrap();
/// assert_eq!(configuration.rules().next().unwrap().id, 1);
/// assert!(configuration.diagnostics.is_empty());
/// ```
pub fn parse_files(paths: &[PathBuf], loader: &dyn Loader) -> Result<Configuration, Error> {
    let mut parser = Parser::new(loader);
    for path in paths {
        let found = expand(loader, path);
        if found.is_empty() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no file fits");
            return Err(Error::Read { path: path.clone(), source });
        }
        for path in found {
            let bytes = parser.read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            parser.file(&path, &bytes)?;
        }
    }
    Ok(parser.finish())
}

/// Parses a text that includes nothing and names no data files.
///
/// # Errors
/// As [`parse_files`].
pub fn parse_str(name: &str, text: &str) -> Result<Configuration, Error> {
    let files = Memory::new();
    let mut parser = Parser::new(&files);
    parser.note_file(Path::new(name), text.as_bytes(), false);
    parser.file(Path::new(name), text.as_bytes())?;
    Ok(parser.finish())
}

/// A `SecRule` or `SecAction` as read.
#[derive(Debug)]
pub(super) struct RawLink {
    pub place: Place,
    pub source: String,
    pub targets: Vec<Target>,
    pub operator: Option<Operator>,
    pub actions: Actions,
    /// It is not understood; its chain is left out.
    pub broken: bool,
}

/// What stands in a list of rules, as read.
#[derive(Debug)]
pub(super) enum RawItem {
    Link(Box<RawLink>),
    Marker(Marker),
}

/// A `SecDefaultAction`, and how many items stand before it.
#[derive(Debug)]
pub(super) struct DefaultActions {
    pub before: usize,
    pub actions: Actions,
}

/// Everything read, for the resolver.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub directives: Directives,
    pub items: Vec<RawItem>,
    pub defaults: Vec<DefaultActions>,
    pub updates: Vec<Update>,
    pub diagnostics: Vec<Diagnostic>,
    pub files: Vec<SourceFile>,
}

struct Parser<'l> {
    loader: &'l dyn Loader,
    raw: Raw,
    /// Phases that have a default action.
    defaulted: BTreeSet<Phase>,
    /// Paths of the files that were read.
    seen: HashSet<PathBuf>,
    /// Data files by path: several rules may name the same.
    data: HashMap<PathBuf, Arc<[u8]>>,
    /// Files that are being read, the innermost last.
    stack: Vec<PathBuf>,
    total: usize,
    opened: usize,
    links: usize,
}

impl<'l> Parser<'l> {
    fn new(loader: &'l dyn Loader) -> Self {
        Parser {
            loader,
            raw: Raw::default(),
            defaulted: BTreeSet::new(),
            seen: HashSet::new(),
            data: HashMap::new(),
            stack: Vec::new(),
            total: 0,
            opened: 0,
            links: 0,
        }
    }

    fn finish(self) -> Configuration {
        resolve::resolve(self.raw)
    }

    fn say(&mut self, level: Level, place: &Place, text: impl Into<String>) {
        let (place, text) = (place.clone(), text.into());
        self.raw.diagnostics.push(Diagnostic { level, place, text, rule_left_out: None });
    }

    fn note_file(&mut self, path: &Path, bytes: &[u8], is_data: bool) {
        if self.seen.insert(path.to_owned()) {
            let (path, sha256) = (path.to_owned(), sha256(bytes));
            self.raw.files.push(SourceFile { path, bytes: bytes.len(), sha256, is_data });
        }
    }

    fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        let bytes = self.loader.read(path, MAX_FILE)?;
        self.note_file(path, &bytes, false);
        Ok(bytes)
    }

    fn file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let file: Arc<str> = path.to_string_lossy().into();
        let start = Place { file: Arc::clone(&file), line: 1 };
        self.total += bytes.len();
        if self.total > MAX_TOTAL {
            return Err(Error::Limit { place: start, what: "bytes of rules", limit: MAX_TOTAL });
        }
        self.opened += 1;
        if self.opened > MAX_FILES {
            return Err(Error::Limit { place: start, what: "rule files", limit: MAX_FILES });
        }
        self.stack.push(path.to_owned());
        let mut lexer = Lexer::new(bytes);
        while let Some(read) = lexer.next() {
            match read {
                Ok(directive) => {
                    let place = Place { file: Arc::clone(&file), line: directive.line };
                    self.directive(place, &directive, bytes)?;
                }
                Err(error) => {
                    let place = Place { file: Arc::clone(&file), line: error.line };
                    let name = String::from_utf8_lossy(&error.name).into_owned();
                    self.say(Level::Error, &place, format!("{name}: {}", error.text));
                    if name.eq_ignore_ascii_case("SecRule") || name.eq_ignore_ascii_case("SecAction") {
                        self.lost_rule(place);
                    }
                }
            }
        }
        self.stack.pop();
        Ok(())
    }

    /// A rule of which nothing is known breaks the chain it stands in.
    fn lost_rule(&mut self, place: Place) {
        let continues = matches!(self.raw.items.last(), Some(RawItem::Link(link)) if link.actions.chain);
        if continues {
            self.raw.items.push(RawItem::Link(Box::new(RawLink {
                place,
                source: String::new(),
                targets: Vec::new(),
                operator: None,
                actions: Actions::default(),
                broken: true,
            })));
        }
    }

    fn directive(&mut self, place: Place, directive: &Directive, bytes: &[u8]) -> Result<(), Error> {
        let name = String::from_utf8_lossy(&directive.name).into_owned();
        if let Some(warning) = directive.warning {
            self.say(Level::Warning, &place, format!("{name} {warning}"));
        }
        let arguments = directive.arguments.as_slice();
        let source = bytes.get(directive.range.clone()).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "secrule" => return self.rule(place, arguments, source),
            "secaction" => return self.action(place, arguments, source),
            "secmarker" => match arguments {
                [name] => self.raw.items.push(RawItem::Marker(Marker { name: name.clone(), place })),
                _ => self.say(Level::Error, &place, "SecMarker takes one name"),
            },
            "secdefaultaction" => match arguments {
                [list] => self.default_action(&place, list),
                _ => self.say(Level::Error, &place, "SecDefaultAction takes one list of actions"),
            },
            "include" | "includeoptional" => {
                return self.include(&place, arguments, name.eq_ignore_ascii_case("IncludeOptional"));
            }
            "secruleremovebyid"
            | "secruleremovebytag"
            | "secruleremovebymsg"
            | "secruleupdatetargetbyid"
            | "secruleupdatetargetbytag"
            | "secruleupdatetargetbymsg"
            | "secruleupdateactionbyid" => {
                if self.raw.updates.len() >= MAX_UPDATES {
                    return Err(Error::Limit { place, what: "removals and updates", limit: MAX_UPDATES });
                }
                if let Err(text) = self.update(&place, &name, arguments) {
                    self.say(Level::Error, &place, format!("{name}: {text}"));
                }
            }
            _ => match settings::apply(&mut self.raw.directives, &name, arguments) {
                Setting::Taken => {}
                Setting::NoEffect(why) => {
                    self.say(Level::Note, &place, format!("{name} has no effect here: {why}"));
                }
                Setting::Wrong(text) => self.say(Level::Error, &place, text),
                Setting::Unknown => {
                    self.say(Level::Warning, &place, format!("unknown directive {name} is left out"));
                }
            },
        }
        Ok(())
    }

    fn count_link(&mut self, place: &Place) -> Result<(), Error> {
        self.links += 1;
        if self.links > MAX_RULES {
            return Err(Error::Limit { place: place.clone(), what: "rules", limit: MAX_RULES });
        }
        Ok(())
    }

    fn rule(&mut self, place: Place, arguments: &[Vec<u8>], source: &[u8]) -> Result<(), Error> {
        self.count_link(&place)?;
        let empty = Vec::new();
        let (targets, operator, actions, mut broken) = match arguments {
            [targets, operator] => (targets, operator, &empty, false),
            [targets, operator, actions] => (targets, operator, actions, false),
            [targets, operator, actions, ..] => (targets, operator, actions, true),
            _ => (&empty, &empty, &empty, true),
        };
        if broken {
            let text =
                format!("SecRule takes targets, an operator and actions, not {} arguments", arguments.len());
            self.say(Level::Error, &place, text);
        }
        let actions = self.actions(&place, actions);
        broken |= actions.is_wrong();
        if arguments.len() < 2 {
            self.push_link(place, source, Vec::new(), None, actions, true);
            return Ok(());
        }
        let targets = parse_targets(targets, false);
        for warning in targets.warnings {
            self.say(Level::Warning, &place, warning);
        }
        let inspects = |target: &Target| target.mode != super::ast::TargetMode::Exclude;
        let wrong = targets
            .error
            .or_else(|| (!targets.list.iter().any(inspects)).then(|| "no target is left to look at".into()));
        if let Some(text) = wrong {
            broken = true;
            self.say(Level::Error, &place, text);
        }
        let operator = match parse_operator(operator) {
            Ok(parsed) => {
                for warning in parsed.warnings {
                    self.say(Level::Warning, &place, warning);
                }
                self.load(&place, parsed.operator)
            }
            Err(text) => Err(text),
        };
        let operator = match operator {
            Ok(operator) => Some(operator),
            Err(text) => {
                self.say(Level::Error, &place, text);
                broken = true;
                None
            }
        };
        self.push_link(place, source, targets.list, operator, actions, broken);
        Ok(())
    }

    fn action(&mut self, place: Place, arguments: &[Vec<u8>], source: &[u8]) -> Result<(), Error> {
        self.count_link(&place)?;
        let list = arguments.first().map(Vec::as_slice).unwrap_or_default();
        let actions = self.actions(&place, list);
        let mut broken = actions.is_wrong();
        if arguments.len() != 1 {
            self.say(Level::Error, &place, "SecAction takes one list of actions");
            broken = true;
        }
        self.push_link(place, source, Vec::new(), None, actions, broken);
        Ok(())
    }

    fn push_link(
        &mut self,
        place: Place,
        source: &[u8],
        targets: Vec<Target>,
        operator: Option<Operator>,
        actions: Actions,
        broken: bool,
    ) {
        let source = String::from_utf8_lossy(source).into_owned();
        let link = RawLink { place, source, targets, operator, actions, broken };
        self.raw.items.push(RawItem::Link(Box::new(link)));
    }

    /// Reads a list of actions and says what is wrong with it.
    fn actions(&mut self, place: &Place, text: &[u8]) -> Actions {
        let mut actions = parse_actions(text);
        for (level, text) in core::mem::take(&mut actions.problems) {
            if level == Level::Error {
                // Asked for again by `is_wrong`.
                actions.problems.push((level, String::new()));
            }
            self.say(level, place, text);
        }
        actions
    }

    /// Reads the files that an operator names.
    fn load(&mut self, place: &Place, mut operator: Operator) -> Result<Operator, String> {
        if !operator.kind.takes_files() {
            return Ok(operator);
        }
        let folder = Path::new(&*place.file).parent().unwrap_or(Path::new("")).to_owned();
        for name in operator.raw.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()) {
            let name = core::str::from_utf8(name).map_err(|_| "the name of a data file is no text")?;
            if name.starts_with("http://") || name.starts_with("https://") {
                return Err(format!("{name} is not fetched: a data file must be there"));
            }
            let path = clean(&folder.join(name));
            let bytes = match self.data.get(&path) {
                Some(bytes) => Arc::clone(bytes),
                None => {
                    let bytes = self.loader.read(&path, MAX_FILE);
                    let bytes =
                        bytes.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                    self.total += bytes.len();
                    if self.total > MAX_TOTAL {
                        return Err(format!("{}: more than {MAX_TOTAL} bytes in all files", path.display()));
                    }
                    self.note_file(&path, &bytes, true);
                    let bytes: Arc<[u8]> = bytes.into();
                    self.data.insert(path.clone(), Arc::clone(&bytes));
                    bytes
                }
            };
            operator.data.push(DataFile { path, bytes });
        }
        Ok(operator)
    }

    fn include(&mut self, place: &Place, arguments: &[Vec<u8>], optional: bool) -> Result<(), Error> {
        let name = match arguments {
            [name] => core::str::from_utf8(name).ok(),
            _ => None,
        };
        let Some(name) = name else {
            self.say(Level::Error, place, "Include takes one path");
            return Ok(());
        };
        if self.stack.len() >= MAX_DEPTH {
            return Err(Error::Limit { place: place.clone(), what: "levels of Include", limit: MAX_DEPTH });
        }
        let folder = Path::new(&*place.file).parent().unwrap_or(Path::new(""));
        let found = expand(self.loader, &folder.join(name));
        if found.is_empty() && !optional {
            self.say(Level::Error, place, format!("Include {name}: no file fits"));
        }
        for path in found {
            let path = clean(&path);
            if self.stack.iter().any(|open| clean(open) == path) {
                self.say(Level::Error, place, format!("{} includes itself", path.display()));
                continue;
            }
            match self.read(&path) {
                Ok(bytes) => self.file(&path, &bytes)?,
                Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.say(Level::Error, place, format!("{} cannot be read: {error}", path.display()));
                }
            }
        }
        Ok(())
    }

    fn default_action(&mut self, place: &Place, list: &[u8]) {
        let actions = self.actions(place, list);
        if actions.is_wrong() {
            return;
        }
        match resolve::check_default(&actions) {
            Ok(warnings) => {
                for warning in warnings {
                    self.say(Level::Warning, place, warning);
                }
                if !self.defaulted.insert(actions.phase.unwrap_or(Phase::RequestBody)) {
                    let text = "the phase has a SecDefaultAction already: this one is for rules behind it";
                    self.say(Level::Note, place, text);
                }
                self.raw.defaults.push(DefaultActions { before: self.raw.items.len(), actions });
            }
            Err(text) => self.say(Level::Error, place, format!("SecDefaultAction: {text}")),
        }
    }

    fn update(&mut self, place: &Place, name: &str, arguments: &[Vec<u8>]) -> Result<(), String> {
        let lower = name.to_ascii_lowercase();
        let first = arguments.first().ok_or("no argument")?;
        let ids = |text: &[u8]| {
            parse_ids(text)
                .map(Which::Ids)
                .ok_or_else(|| format!("{:?} are no ids", String::from_utf8_lossy(text)))
        };
        let text = |text: &[u8]| {
            let matching = matching(text).ok_or("the pattern is empty or wrong")?;
            matching.matcher()
        };
        let by = |text_of: &[u8]| match lower.as_bytes() {
            [.., b'i', b'd'] => ids(text_of),
            [.., b't', b'a', b'g'] => Ok(Which::Tag(text(text_of)?)),
            _ => Ok(Which::Message(text(text_of)?)),
        };
        let (which, kind) = if lower.starts_with("secruleremove") {
            match lower.ends_with("id") {
                true => (ids(&arguments.join(&b' '))?, UpdateKind::Remove),
                false if arguments.len() == 1 => (by(first)?, UpdateKind::Remove),
                false => return Err("takes one pattern".into()),
            }
        } else if lower == "secruleupdateactionbyid" {
            let [id, list] = arguments else { return Err("takes an id and actions".into()) };
            let colon = id.iter().position(|byte| *byte == b':');
            let (id, offset) = match colon {
                Some(at) => (id.get(..at).unwrap_or_default(), id.get(at + 1..)),
                None => (id.as_slice(), None),
            };
            let offset = match offset {
                None => 0,
                Some(text) => core::str::from_utf8(text)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or("the link's number is none")?,
            };
            let actions = self.actions(place, list);
            if actions.is_wrong() {
                return Err("the actions are not understood".into());
            }
            (ids(id)?, UpdateKind::Actions(offset, Box::new(actions)))
        } else {
            let (targets, replaced) = match arguments {
                [_, targets] => (targets, None),
                [_, targets, replaced] => (targets, Some(replaced)),
                _ => return Err("takes rules and targets".into()),
            };
            let mut read = |text: &[u8]| {
                let targets = parse_targets(text, true);
                for warning in targets.warnings {
                    self.say(Level::Warning, place, warning);
                }
                match targets.error {
                    Some(error) => Err(error),
                    None => Ok(targets.list),
                }
            };
            let added = read(targets)?;
            let replaced = replaced.map_or(Ok(Vec::new()), |replaced| read(replaced))?;
            (by(first)?, UpdateKind::Targets { added, replaced })
        };
        self.raw.updates.push(Update { place: place.clone(), which, kind });
        Ok(())
    }
}
