//! Reading a filter's settings, with errors that name the setting.

use alloc::format;

use picket_abi::{Configure, Value};

use crate::filter::ConfigError;

/// Typed access to [`Configure::settings`].
///
/// ```
/// # use picket_guest::{ConfigError, Configure, Settings};
/// # fn configure(config: &Configure<'_>) -> Result<(), ConfigError> {
/// config.allow_only(&["realm", "limit", "keys."])?;
/// let realm = config.text("realm")?.unwrap_or("api");
/// let limit = config.int("limit")?.unwrap_or(100);
/// for (name, value) in config.under("keys.") {
///     // `keys.alice = "…"`: the name is `alice`
/// }
/// # let _ = (realm, limit); Ok(())
/// # }
/// ```
pub trait Settings<'a> {
    /// The value of `key`, if it is set. Of several the last one counts.
    fn value(&self, key: &str) -> Option<Value<'a>>;

    /// The text at `key`, if it is set.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not text in UTF-8.
    fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError>;

    /// The whole number at `key`, if it is set.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not a whole number.
    fn int(&self, key: &str) -> Result<Option<i64>, ConfigError>;

    /// The truth value at `key`, if it is set.
    ///
    /// # Errors
    /// [`ConfigError`] if it is neither `true` nor `false`.
    fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError>;

    /// The settings whose key begins with `prefix`, in order, with the rest of the key: for
    /// `list.`, the entries of a list or table called `list`. A key that is not UTF-8 is none.
    fn under(&self, prefix: &str) -> impl Iterator<Item = (&'a str, Value<'a>)>;

    /// Refuses settings that are not named here: a misspelt one would be ignored. A name with a dot
    /// at its end admits everything that begins with it.
    ///
    /// # Errors
    /// [`ConfigError`] with the first unknown setting.
    fn allow_only(&self, known: &[&str]) -> Result<(), ConfigError>;
}

impl<'a> Settings<'a> for Configure<'a> {
    fn value(&self, key: &str) -> Option<Value<'a>> {
        self.settings.iter().filter(|setting| setting.key == key).last().map(|setting| setting.value)
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        typed(self.value(key), key, "text", |value| value.as_text().and_then(|text| text.as_str()))
    }

    fn int(&self, key: &str) -> Result<Option<i64>, ConfigError> {
        typed(self.value(key), key, "a whole number", Value::as_int)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        typed(self.value(key), key, "true or false", Value::as_bool)
    }

    fn under(&self, prefix: &str) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.settings
            .iter()
            .filter_map(move |setting| Some((setting.key.as_str()?.strip_prefix(prefix)?, setting.value)))
    }

    fn allow_only(&self, known: &[&str]) -> Result<(), ConfigError> {
        let is_known = |key: &[u8]| {
            known.iter().any(|known| {
                key == known.as_bytes() || (known.ends_with('.') && key.starts_with(known.as_bytes()))
            })
        };
        match self.settings.iter().find(|setting| !is_known(&setting.key)) {
            None => Ok(()),
            Some(unknown) => Err(ConfigError::new(format!(
                "unknown setting `{}`; there are: {}",
                unknown.key,
                known.join(", ")
            ))),
        }
    }
}

fn typed<'a, T>(
    value: Option<Value<'a>>,
    key: &str,
    wanted: &str,
    convert: impl FnOnce(Value<'a>) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    match value {
        None => Ok(None),
        Some(value) => match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(ConfigError::new(format!("setting `{key}` must be {wanted}"))),
        },
    }
}
