//! Tables flattened to settings, so that a guest needs no parser for a configuration language.

use picket_abi::{Octets, SeqBuf, Setting, Value};

/// The settings that a filter is configured with: nested tables and lists are flattened with dots
/// (`allow.0.path`), in the order they were written. Dates become text.
///
/// ```
/// let table: toml::Table = "mode = 'detect'\nallow = [{ rule = 942100, path = '/admin' }]".parse().unwrap();
/// let settings = picket::config::settings(&table);
/// let keys: Vec<String> = settings.iter().map(|setting| setting.key.to_string()).collect();
/// assert_eq!(keys, ["mode", "allow.0.rule", "allow.0.path"]);
/// ```
pub fn settings(table: &toml::Table) -> SeqBuf<Setting<'static>> {
    let mut settings = SeqBuf::new();
    for (key, value) in table {
        push(&mut settings, key.clone(), value);
    }
    settings
}

fn push(settings: &mut SeqBuf<Setting<'static>>, key: String, value: &toml::Value) {
    let date;
    let value = match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                push(settings, format!("{key}.{name}"), value);
            }
            return;
        }
        toml::Value::Array(elements) => {
            for (n, value) in elements.iter().enumerate() {
                push(settings, format!("{key}.{n}"), value);
            }
            return;
        }
        toml::Value::Boolean(value) => Value::Bool(*value),
        toml::Value::Integer(value) => Value::Int(*value),
        toml::Value::Float(value) => Value::Float(*value),
        toml::Value::String(text) => Value::Text(text.as_str().into()),
        toml::Value::Datetime(value) => {
            date = value.to_string();
            Value::Text(date.as_str().into())
        }
    };
    settings.push(Setting { key: Octets(key.as_bytes()), value });
}
