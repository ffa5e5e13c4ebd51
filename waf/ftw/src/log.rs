//! A logged rule as a line of a server's error log.

use std::fmt::Write as _;

use crate::LoggedRule;

/// The line that ModSecurity 3 would write for `rule`, as far as tests look at it: `[id "…"]`,
/// `[msg "…"]`, `[data "…"]`, `[severity "…"]`, `[tag "…"]` and the variable that matched. An engine that
/// wrote a line of its own is quoted instead.
///
/// ```
/// let rule = picket_ftw::LoggedRule {
///     id: 100,
///     msg: "no such thing".into(),
///     var_name: "ARGS:a".into(),
///     ..Default::default()
/// };
/// let line = picket_ftw::log_line(&rule);
/// assert!(line.contains(r#"[id "100"] [msg "no such thing"]"#) && line.contains("ARGS:a"));
/// ```
pub fn log_line(rule: &LoggedRule) -> String {
    if let Some(line) = &rule.line {
        return line.clone();
    }
    let mut line = String::from("ModSecurity: Warning. Matched");
    // Writing to a string cannot fail.
    let _ = write!(line, " against variable `{}' (Value: `{}')", rule.var_name, one_line(&rule.var_value));
    let _ = write!(line, " [id \"{}\"] [msg \"{}\"]", rule.id, one_line(&rule.msg));
    let _ = write!(line, " [data \"{}\"]", one_line(&rule.data));
    if let Some(severity) = rule.severity {
        let _ = write!(line, " [severity \"{severity}\"]");
    }
    for tag in &rule.tags {
        let _ = write!(line, " [tag \"{}\"]", one_line(tag));
    }
    line
}

/// Text as it may stand in a line: control characters in hexadecimal, as ModSecurity writes them.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_control() {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
