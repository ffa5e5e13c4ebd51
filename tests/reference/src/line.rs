//! The lines that libmodsecurity logs, taken apart.
//!
//! ```text
//! ModSecurity: Warning. Matched "Operator `Rx' with parameter `…' against variable `ARGS:x' (Value: `…' )
//! [file "…"] [line "7"] [id "942100"] [rev ""] [msg "…"] [data "…"] [severity "2"] [ver "…"] … [tag "…"] …
//! ```
//!
//! Nothing in a line is escaped, so that a request can write what looks like a field. The fields are
//! looked for in their order, which is enough for tests that do not try.

use picket_ftw::LoggedRule;

/// The rule that `line` tells of; `None` if it tells of none.
pub(crate) fn parse(line: String) -> Option<LoggedRule> {
    let (head, fields) = line.split_once("\"] [id \"")?;
    let (id, fields) = fields.split_once("\"]")?;
    let id = id.parse().ok()?;
    let between = |open: &str, close: &str| {
        let (_, rest) = fields.split_once(open)?;
        rest.split_once(close).map(|(value, _)| value.to_owned())
    };
    let variable = |text: &str, open: &str, close: &str| {
        let (_, rest) = text.split_once(open)?;
        rest.split_once(close).map(|(value, _)| value.to_owned())
    };
    let severity = between("\"] [severity \"", "\"]").and_then(|text| text.parse().ok());
    let tags = fields.split("[tag \"").skip(1).filter_map(|rest| rest.split_once("\"]"));
    Some(LoggedRule {
        id,
        msg: between("[msg \"", "\"] [data \"").unwrap_or_default(),
        data: between("\"] [data \"", "\"] [severity \"").unwrap_or_default(),
        var_name: variable(head, "against variable `", "' (Value").unwrap_or_default(),
        var_value: variable(head, "' (Value: `", "' )").unwrap_or_default(),
        severity,
        tags: tags.map(|(tag, _)| tag.to_owned()).collect(),
        line: Some(line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = "ModSecurity: Warning. Matched \"Operator `Rx' with parameter `x' against variable \
                    `ARGS:a' (Value: `v' ) [file \"/r.conf\"] [line \"7\"] [id \"942100\"] [rev \"\"] \
                    [msg \"m\"] [data \"d [id \"1\"]\"] [severity \"2\"] [ver \"1\"] [tag \"t\"] [tag \"u\"]";
        let rule = parse(line.to_owned()).unwrap();
        assert_eq!((rule.id, &rule.msg[..], &rule.data[..]), (942_100, "m", "d [id \"1\"]"));
        assert_eq!((&rule.var_name[..], &rule.var_value[..]), ("ARGS:a", "v"));
        assert_eq!((rule.severity, rule.tags), (Some(2), vec!["t".to_owned(), "u".to_owned()]));
        assert_eq!(rule.line.as_deref(), Some(line));
        assert_eq!(parse("ModSecurity: something else".to_owned()), None);
    }
}
