//! Rules in SecLang, and the compiled rulesets that modules carry.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use picket_host::{AttachError, attach};
use picket_seclang::format::{MAGIC, Section, TextRecord, engine, switch};
use picket_seclang::{BlobError, RuleSet};

use crate::config::RulesConfig;

/// A compiled ruleset and what it came from.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The blob.
    pub blob: Vec<u8>,
    /// Every file that was read for it.
    pub files: Vec<PathBuf>,
    /// What there is to say about them: one line each.
    pub remarks: Vec<String>,
}

/// Why there is no ruleset.
#[derive(Debug)]
#[non_exhaustive]
pub enum RulesError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is a damaged ruleset, or one of another version.
    Blob {
        /// The file.
        file: PathBuf,
        /// Why.
        source: BlobError,
    },
    /// The rules are faulty: every mistake with file and line.
    Compile(String),
    /// This build cannot compile rules.
    NoCompiler {
        /// The file that is none of a compiled ruleset.
        file: PathBuf,
    },
    /// The module does not take them.
    Attach(AttachError),
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RulesError::Unreadable { file, .. } => write!(f, "{} cannot be read", file.display()),
            RulesError::Blob { file, .. } => write!(f, "{} is not taken as a ruleset", file.display()),
            RulesError::Compile(mistakes) => f.write_str(mistakes),
            RulesError::NoCompiler { file } => write!(
                f,
                "{} is no compiled ruleset, and this build (without the feature `rules`) compiles none: \
                 use `picket rules compile` of another build",
                file.display()
            ),
            RulesError::Attach(_) => f.write_str("the module does not take the rules"),
        }
    }
}

impl std::error::Error for RulesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RulesError::Unreadable { source, .. } => Some(source),
            RulesError::Blob { source, .. } => Some(source),
            RulesError::Attach(source) => Some(source),
            RulesError::Compile(_) | RulesError::NoCompiler { .. } => None,
        }
    }
}

impl Rules {
    /// Reads a compiled ruleset, or compiles rule files.
    ///
    /// # Errors
    /// [`RulesError`] with the file at fault.
    pub fn load(config: &RulesConfig) -> Result<Rules, RulesError> {
        if let [file] = config.files.as_slice()
            && begins_as_blob(file)
        {
            let blob =
                fs::read(file).map_err(|source| RulesError::Unreadable { file: file.clone(), source })?;
            RuleSet::load(&blob).map_err(|source| RulesError::Blob { file: file.clone(), source })?;
            return Ok(Rules { blob, files: vec![file.clone()], remarks: Vec::new() });
        }
        load_text(config)
    }

    /// A module that carries them.
    ///
    /// # Errors
    /// [`RulesError::Attach`] if the module takes no data, has some, or has no room.
    pub fn bake(&self, module: &[u8]) -> Result<Vec<u8>, RulesError> {
        // Every instance would carry the words of the rules, which only `explain` reads.
        #[cfg(feature = "rules")]
        if let Ok(stripped) = picket_waf_compiler::seclang::strip_sources(&self.blob) {
            return attach(module, &stripped).map_err(RulesError::Attach);
        }
        attach(module, &self.blob).map_err(RulesError::Attach)
    }
}

/// Whether a file is a compiled ruleset, damaged or not.
fn begins_as_blob(file: &Path) -> bool {
    use io::Read as _;
    let mut start = [0; MAGIC.len()];
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
}

/// What the audit log says of a rule beside what the match does.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleFacts {
    pub file: String,
    pub line: u32,
    /// 0 to 7, or nothing.
    pub severity: Option<u8>,
    pub version: String,
    pub revision: String,
    pub maturity: u8,
    pub accuracy: u8,
}

/// A loaded ruleset, as far as the gateway itself has to know it.
#[derive(Debug)]
pub(crate) struct RulesInfo {
    facts: HashMap<u32, RuleFacts>,
    /// Whether the engine acts, as ModSecurity's logs call it.
    pub engine: &'static str,
    /// Components that signed the ruleset.
    pub components: Vec<String>,
    /// Bytes of a request's body that have to be there before it can be judged.
    pub request_window: u64,
    /// The same of a response's, if its media type is one of `response_types`.
    pub response_window: u64,
    /// In lower case.
    pub response_types: Vec<String>,
}

impl RulesInfo {
    pub(crate) fn of(blob: &[u8]) -> Result<RulesInfo, BlobError> {
        let rules = RuleSet::from_trusted(blob)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let facts = (0..rules.rule_count())
            .map(|index| rules.rule(index))
            .filter(|rule| rule.id != 0)
            .map(|rule| {
                let facts = RuleFacts {
                    file: text(rules.text(rule.file)),
                    line: rule.line,
                    severity: (rule.severity <= 7).then_some(rule.severity),
                    version: text(rules.text(rule.version)),
                    revision: text(rules.text(rule.revision)),
                    maturity: rule.maturity,
                    accuracy: rule.accuracy,
                };
                (rule.id, facts)
            })
            .collect();
        let meta = rules.meta();
        let on = |bit: u32| meta.switches & bit != 0;
        Ok(RulesInfo {
            facts,
            engine: match meta.engine {
                engine::OFF => "Disabled",
                engine::DETECTION_ONLY => "DetectionOnly",
                _ => "Enabled",
            },
            components: text(rules.text(meta.component))
                .split(", ")
                .filter(|component| !component.is_empty())
                .map(str::to_owned)
                .collect(),
            // One byte more tells a body that is too long from one that just fits.
            request_window: if on(switch::REQUEST_BODY) { u64::from(meta.request_body_limit) + 1 } else { 0 },
            response_window: if on(switch::RESPONSE_BODY) {
                u64::from(meta.response_body_limit) + 1
            } else {
                0
            },
            response_types: (0..rules.count::<TextRecord>(Section::ResponseTypes))
                .map(|index| text(rules.text(rules.record(Section::ResponseTypes, index))))
                .collect(),
        })
    }

    /// What is known of a rule.
    pub(crate) fn rule(&self, id: u32) -> Option<&RuleFacts> {
        self.facts.get(&id)
    }

    /// Bytes of a response's body that are held back.
    pub(crate) fn response_window(&self, headers: &HeaderMap) -> u64 {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        match self.response_types.iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
            true => self.response_window,
            false => 0,
        }
    }
}

#[cfg(feature = "rules")]
use compile::load as load_text;

#[cfg(not(feature = "rules"))]
fn load_text(config: &RulesConfig) -> Result<Rules, RulesError> {
    Err(RulesError::NoCompiler { file: config.files.first().cloned().unwrap_or_default() })
}

#[cfg(feature = "rules")]
pub use compile::{Compilation, compile, compile_text};

#[cfg(feature = "rules")]
mod compile {
    use std::io;
    use std::path::{Path, PathBuf};

    use picket_waf_compiler::seclang::syntax::{self, Diagnostic, FileSystem, Level, Loader};
    use picket_waf_compiler::seclang::{self, BASE, Summary};

    use super::{Rules, RulesError};
    use crate::config::RulesConfig;

    /// What compiling came to.
    #[derive(Debug)]
    pub struct Compilation {
        /// The ruleset.
        pub blob: Vec<u8>,
        /// What it consists of.
        pub summary: Summary,
        /// Everything there is to say about the rules.
        pub diagnostics: Vec<Diagnostic>,
        /// Every file that was read.
        pub files: Vec<PathBuf>,
    }

    /// The files as one: what names them stands in memory, so that a recommended base can come first.
    struct Entry {
        text: String,
    }

    const ENTRY: &str = "picket-rules";
    const BASE_NAME: &str = "picket-base.conf";

    impl Loader for Entry {
        fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some(ENTRY) => Ok(self.text.clone().into_bytes()),
                Some(BASE_NAME) => Ok(BASE.as_bytes().to_vec()),
                _ => FileSystem.read(path, limit),
            }
        }

        fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
            FileSystem.list(folder)
        }
    }

    /// Compiles rule files.
    ///
    /// # Errors
    /// [`RulesError::Compile`] with every mistake. With `strict` that is everything that is not
    /// understood; without, such rules are left out and the rest is compiled.
    pub fn compile(config: &RulesConfig, strict: bool) -> Result<Compilation, RulesError> {
        let compiled = compile_text(&entry_text(config)?, strict)?;
        // What the entry says is to read these files: without one of them there would be fewer rules than
        // anybody thinks.
        let prefix = format!("{ENTRY}:");
        let missing: Vec<String> = compiled
            .diagnostics
            .iter()
            .filter(|said| said.level == Level::Error && said.place.to_string().starts_with(&prefix))
            .map(|said| said.text.clone())
            .collect();
        if missing.is_empty() { Ok(compiled) } else { Err(RulesError::Compile(missing.join("\n"))) }
    }

    /// The directives that read the files of `config`.
    fn entry_text(config: &RulesConfig) -> Result<String, RulesError> {
        let mut text = String::new();
        if config.base {
            text.push_str(&format!("Include {BASE_NAME}\n"));
        }
        for file in &config.files {
            let name = file.to_str().filter(|name| !name.contains(['"', '\n']));
            let Some(name) = name else {
                return Err(RulesError::Compile(format!(
                    "{}: a name that no directive can hold",
                    file.display()
                )));
            };
            text.push_str(&format!("Include \"{name}\"\n"));
        }
        Ok(text)
    }

    /// Compiles directives; paths in them start from the working directory.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile_text(text: &str, strict: bool) -> Result<Compilation, RulesError> {
        let loader = Entry { text: text.to_owned() };
        let faulty = |error: String| RulesError::Compile(error);
        let configuration = syntax::parse_files(&[PathBuf::from(ENTRY)], &loader)
            .map_err(|error| faulty(error.to_string()))?;
        let files = configuration
            .files
            .iter()
            .map(|file| file.path.clone())
            .filter(|path| !matches!(path.to_str(), Some(ENTRY | BASE_NAME)))
            .collect();
        let options = seclang::Options { strict, ..seclang::Options::default() };
        let compiled =
            seclang::compile(configuration, &options).map_err(|error| faulty(error.to_string()))?;
        Ok(Compilation {
            blob: compiled.blob,
            summary: compiled.summary,
            diagnostics: compiled.diagnostics,
            files,
        })
    }

    pub(super) fn load(config: &RulesConfig) -> Result<Rules, RulesError> {
        let Compilation { blob, diagnostics, files, .. } = compile(config, false)?;
        if !config.lenient {
            // Nothing is left out here, so none of them is to say so.
            let mistakes: Vec<String> = diagnostics
                .iter()
                .filter(|said| said.level == Level::Error)
                .map(|said| {
                    let rule = said.rule_left_out.map_or_else(String::new, |id| format!(" (rule {id})"));
                    format!("{}: error: {}{rule}", said.place, said.text)
                })
                .collect();
            if !mistakes.is_empty() {
                return Err(RulesError::Compile(format!(
                    "{}\nmend the rules, or have what is faulty left out (--lenient, or `lenient = true` in a filter)",
                    mistakes.join("\n")
                )));
            }
        }
        let remarks =
            diagnostics.iter().filter(|said| said.level != Level::Note).map(ToString::to_string).collect();
        Ok(Rules { blob, files, remarks })
    }
}
