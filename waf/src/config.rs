//! The configuration of a WAF instance.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use picket_abi::{Configure, Value};

use crate::blob::RuleSet;
use crate::request::push_decimal;

/// What happens when the score reaches the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The request is answered with [`Config::block_status`].
    #[default]
    Block,
    /// The request goes on; the matches are reported.
    Detect,
}

/// An exception. A match that fits everything the entry names is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Number of the rule; `None`: any.
    pub rule: Option<u32>,
    /// The path as it was sent; a `*` at the end stands for anything. `None`: any.
    pub path: Option<Vec<u8>>,
    /// Name of the argument, cookie or header, without regard to letter case; a `*` at the end
    /// stands for anything. `None`: any.
    pub arg: Option<Vec<u8>>,
}

impl Allow {
    pub(crate) fn fits(&self, rule: u32, path: &[u8], name: &[u8]) -> bool {
        self.rule.is_none_or(|wanted| wanted == rule)
            && self.path.as_ref().is_none_or(|wanted| matches(wanted, path, <[u8]>::eq))
            && self.arg.as_ref().is_none_or(|wanted| matches(wanted, name, <[u8]>::eq_ignore_ascii_case))
    }
}

fn matches(pattern: &[u8], value: &[u8], eq: fn(&[u8], &[u8]) -> bool) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => value.get(..prefix.len()).is_some_and(|front| eq(front, prefix)),
        None => eq(value, pattern),
    }
}

/// The configuration of a WAF instance.
///
/// Its settings, as [`Configure`] carries them: `mode` (`"block"` or `"detect"`), `threshold`,
/// `block_status`, `explain`, and `allow.N.rule`, `allow.N.path`, `allow.N.arg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What happens at the threshold.
    pub mode: Mode,
    /// Score at which a request is an attack; at least 1.
    pub threshold: u32,
    /// Status of a blocked request, 400 to 599.
    pub block_status: u16,
    /// Whether matches carry the value and the transformations that led to them.
    pub explain: bool,
    /// Exceptions.
    pub allow: Vec<Allow>,
}

impl Default for Config {
    fn default() -> Self {
        Config { mode: Mode::Block, threshold: 5, block_status: 403, explain: false, allow: Vec::new() }
    }
}

/// A setting that the WAF does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    key: Vec<u8>,
    problem: Problem,
}

/// Put into words only for whoever shows it: a guest on a board does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Text(&'static str),
    NotWithin(u32, u32),
}

impl ConfigError {
    #[cold]
    fn new(key: &[u8], problem: &'static str) -> Self {
        ConfigError { key: key.to_vec(), problem: Problem::Text(problem) }
    }

    /// The setting's key.
    pub fn key(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Text(text) => write!(f, "{}: {text}", self.key()),
            Problem::NotWithin(min, max) => {
                write!(f, "{}: expected a whole number from {min} to {max}", self.key())
            }
        }
    }
}

impl core::error::Error for ConfigError {}

fn number<T>(key: &[u8], value: Value<'_>, min: T, max: T) -> Result<T, ConfigError>
where
    T: TryFrom<i64> + PartialOrd + Into<u32> + Copy,
{
    value
        .as_int()
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| *number >= min && *number <= max)
        .ok_or_else(|| ConfigError { key: key.to_vec(), problem: Problem::NotWithin(min.into(), max.into()) })
}

fn allow_key(index: usize) -> Vec<u8> {
    let mut key = b"allow.".to_vec();
    push_decimal(&mut key, u32::try_from(index).unwrap_or(u32::MAX));
    key
}

fn text<'a>(key: &[u8], value: Value<'a>) -> Result<&'a [u8], ConfigError> {
    value.as_text().map(|text| text.bytes()).ok_or_else(|| ConfigError::new(key, "expected a text"))
}

impl Config {
    /// Reads the settings of a configure phase. What is not set keeps its default.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that is unknown, of the wrong type or out of range.
    pub fn parse(configure: &Configure<'_>) -> Result<Self, ConfigError> {
        if configure.settings.is_empty() {
            return Ok(Config::default());
        }
        Self::parse_settings(configure)
    }

    // Inlined, an interpreter that translates what is called would translate it for nothing.
    #[inline(never)]
    fn parse_settings(configure: &Configure<'_>) -> Result<Self, ConfigError> {
        let mut config = Config::default();
        for setting in configure.settings {
            let (key, value) = (setting.key.bytes(), setting.value);
            match key {
                b"mode" => {
                    config.mode = match text(key, value)? {
                        b"block" => Mode::Block,
                        b"detect" => Mode::Detect,
                        _ => return Err(ConfigError::new(key, "expected \"block\" or \"detect\"")),
                    }
                }
                b"threshold" => config.threshold = number(key, value, 1, u32::MAX)?,
                b"block_status" => config.block_status = number(key, value, 400, 599)?,
                b"explain" => {
                    config.explain =
                        value.as_bool().ok_or_else(|| ConfigError::new(key, "expected true or false"))?;
                }
                _ => config.parse_allow(key, value)?,
            }
        }
        for (index, allow) in config.allow.iter().enumerate() {
            if *allow == Allow::default() {
                return Err(ConfigError::new(&allow_key(index), "needs at least one of rule, path and arg"));
            }
        }
        Ok(config)
    }

    /// Refuses an exception for a rule that is not there: it would except nothing, and nobody would notice.
    ///
    /// # Errors
    /// [`ConfigError`] names the exception.
    pub(crate) fn check_rules(&self, rules: &RuleSet<'_>) -> Result<(), ConfigError> {
        for (index, allow) in self.allow.iter().enumerate() {
            if let Some(id) = allow.rule
                && !(0..rules.rule_count()).any(|rule| rules.rule(rule).id == id)
            {
                let mut key = allow_key(index);
                key.extend_from_slice(b".rule");
                return Err(ConfigError::new(&key, "there is no rule of that number"));
            }
        }
        Ok(())
    }

    /// `allow.N.field`; entries come in order.
    fn parse_allow(&mut self, key: &[u8], value: Value<'_>) -> Result<(), ConfigError> {
        let unknown =
            || ConfigError::new(key, "unknown key (known: mode, threshold, block_status, explain, allow)");
        let mut parts = key.strip_prefix(b"allow.").ok_or_else(unknown)?.splitn(2, |&byte| byte == b'.');
        let index = parts
            .next()
            .and_then(|index| core::str::from_utf8(index).ok()?.parse::<usize>().ok())
            .filter(|&index| index <= self.allow.len())
            .ok_or_else(unknown)?;
        let field = parts.next().ok_or_else(unknown)?;
        if index == self.allow.len() {
            self.allow.push(Allow::default());
        }
        let entry = &mut self.allow[index];
        match field {
            b"rule" => entry.rule = Some(number(key, value, 1, u32::MAX)?),
            b"path" => entry.path = Some(text(key, value)?.to_vec()),
            b"arg" => entry.arg = Some(text(key, value)?.to_vec()),
            _ => return Err(ConfigError::new(key, "unknown key (known: rule, path, arg)")),
        }
        Ok(())
    }
}
