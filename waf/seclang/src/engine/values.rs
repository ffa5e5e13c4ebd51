//! Values that are worked out when a rule asks for them.

use alloc::vec::Vec;

use super::store::{Digits, Value, number};
use super::transaction::Transaction;
use crate::Variable;
use crate::body::Processor;
use crate::format::*;

const EMPTY: Value<'static> = Value::Fixed(b"");

/// A point in time, in UTC.
struct Clock {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    /// Since midnight.
    seconds: i64,
}

impl Clock {
    /// From seconds since 1970 (the algorithm is Howard Hinnant's `civil_from_days`).
    fn at(seconds: i64) -> Clock {
        let days = seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Clock {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            weekday: (days + 4).rem_euclid(7),
            seconds: seconds.rem_euclid(86_400),
        }
    }
}

fn flag(set: bool) -> Value<'static> {
    Value::Int(i64::from(set))
}

impl<'r> Transaction<'r> {
    /// A value as a number.
    pub(super) fn number_of(&self, value: Value<'r>) -> i64 {
        match value {
            Value::Int(number) => number,
            Value::None => 0,
            Value::Fixed(text) => number(text),
            Value::Stored(span) => number(self.store.bytes(span)),
        }
    }

    /// The value of a variable without keys: there is always one, if only an empty one.
    #[inline(never)]
    pub(super) fn scalar(&mut self, variable: Variable) -> Value<'r> {
        if is_stored(variable) {
            let entry = self.store.find(variable, b"");
            return entry.map_or(EMPTY, |entry| Value::Stored(entry.value));
        }
        let flags = self.multipart;
        let text = |value: Option<&'static str>| value.map_or(EMPTY, |text| Value::Fixed(text.as_bytes()));
        match variable {
            Variable::ArgsCombinedSize => Value::Int(self.args_size as i64),
            Variable::FilesCombinedSize => Value::Int(self.files_size as i64),
            Variable::RequestBodyLength => Value::Int(self.body_length as i64),
            Variable::FullRequestLength => Value::Int((self.head_length + self.body_length) as i64),
            Variable::MultipartStrictError => flag(flags.strict_error()),
            Variable::MultipartUnmatchedBoundary => Value::Int(i64::from(flags.unmatched_boundary)),
            Variable::MultipartBoundaryQuoted => flag(flags.boundary_quoted),
            Variable::MultipartBoundaryWhitespace => flag(flags.boundary_whitespace),
            Variable::MultipartCrlfLfLines => flag(flags.crlf_lf_lines()),
            Variable::MultipartDataAfter => flag(flags.data_after),
            Variable::MultipartDataBefore => flag(flags.data_before),
            Variable::MultipartFileLimitExceeded => flag(flags.file_limit_exceeded),
            Variable::MultipartHeaderFolding => flag(flags.header_folding),
            Variable::MultipartInvalidHeaderFolding => flag(flags.invalid_header_folding),
            Variable::MultipartInvalidPart => flag(flags.invalid_part),
            Variable::MultipartInvalidQuoting => flag(flags.invalid_quoting),
            Variable::MultipartLfLine => flag(flags.lf_line),
            Variable::MultipartMissingSemicolon => flag(flags.missing_semicolon),
            Variable::ReqbodyError | Variable::ReqbodyProcessorError => flag(self.body_error.is_some()),
            Variable::ReqbodyErrorMsg | Variable::ReqbodyProcessorErrorMsg => {
                self.body_error.map_or(EMPTY, Value::Stored)
            }
            Variable::ReqbodyProcessor => text(self.processor.map(Processor::name)),
            Variable::UrlencodedError => flag(self.urlencoded_error),
            Variable::InboundDataError => flag(self.inbound_error),
            Variable::OutboundDataError => flag(self.outbound_error),
            Variable::Status => match self.response_status {
                0 => Value::Int(200),
                status => Value::Int(i64::from(status)),
            },
            Variable::ResponseContentLength => Value::Int(self.response_length as i64),
            Variable::RemotePort => Value::Int(i64::from(self.client_port)),
            Variable::ServerPort => Value::Int(i64::from(self.server_port)),
            Variable::Duration => {
                let now = self.services.now_us();
                Value::Int((now.saturating_sub(self.started) / 1000) as i64)
            }
            Variable::HighestSeverity => Value::Int(i64::from(self.highest_severity)),
            Variable::MatchedVar => match self.matched.value {
                Value::None => EMPTY,
                value => value,
            },
            Variable::MatchedVarName => {
                let matched = self.matched;
                self.keep_name(&matched)
            }
            Variable::SessionId => self.collection_key(Variable::Session),
            Variable::UserId => self.collection_key(Variable::User),
            Variable::WebAppId => Value::Fixed(self.rules.text(self.meta.web_app_id)),
            Variable::MscPcreError | Variable::MscPcreLimitsExceeded => Value::Int(0),
            Variable::Time
            | Variable::TimeDay
            | Variable::TimeEpoch
            | Variable::TimeHour
            | Variable::TimeMin
            | Variable::TimeMon
            | Variable::TimeSec
            | Variable::TimeWday
            | Variable::TimeYear => self.clock(variable),
            _ => EMPTY,
        }
    }

    fn clock(&mut self, variable: Variable) -> Value<'r> {
        let epoch = (self.services.now_us() / 1_000_000) as i64;
        let clock = Clock::at(epoch);
        let (hour, minute, second) = (clock.seconds / 3600, clock.seconds / 60 % 60, clock.seconds % 60);
        Value::Int(match variable {
            Variable::TimeDay => clock.day,
            Variable::TimeEpoch => epoch,
            Variable::TimeHour => hour,
            Variable::TimeMin => minute,
            Variable::TimeMon => clock.month - 1,
            Variable::TimeSec => second,
            Variable::TimeWday => clock.weekday,
            Variable::TimeYear => clock.year,
            _ => {
                let two = |number: i64| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
                let text = [two(hour), two(minute), two(second)].join(&b':');
                return Value::Stored(self.store.keep(&text));
            }
        })
    }

    /// The value that a macro stands for: that of a scalar, or the first under a key.
    pub(super) fn lookup(&mut self, variable: Variable, key: &'r [u8]) -> Value<'r> {
        match variable {
            Variable::Tx => {
                for slot in 0..self.store.tx.len() {
                    if self.tx_name(slot).eq_ignore_ascii_case(key) {
                        return self.store.tx.get(slot).copied().unwrap_or_default();
                    }
                }
                self.store.named(variable, key)
            }
            Variable::Rule => self.rule_value(key),
            Variable::MatchedVars | Variable::MatchedVarsNames => match self.matched_vars.first().copied() {
                Some(first) if variable == Variable::MatchedVars => first.value,
                Some(first) => self.keep_name(&first),
                None => Value::None,
            },
            _ if variable == Variable::Env || variable.is_persistent() => self.store.named(variable, key),
            _ if variable.is_collection() || matches!(variable, Variable::Xml | Variable::XmlAttributes) => {
                self.store.find(variable, key).map_or(Value::None, |entry| Value::Stored(entry.value))
            }
            _ => self.scalar(variable),
        }
    }

    /// The name of a variable in TX by its number.
    pub(super) fn tx_name(&self, slot: usize) -> &'r [u8] {
        self.rules.text(self.rules.record(Section::TxNames, slot))
    }

    /// A property of the rule that runs: RULE.
    pub(super) fn rule_value(&mut self, key: &[u8]) -> Value<'r> {
        let rule = self.rules.rule(self.current);
        let template = match key {
            b"id" => return Value::Int(i64::from(rule.id)),
            b"severity" if rule.severity <= 7 => return Value::Int(i64::from(rule.severity)),
            b"rev" => return Value::Fixed(self.rules.text(rule.revision)),
            b"ver" => return Value::Fixed(self.rules.text(rule.version)),
            b"msg" => rule.message,
            b"logdata" => rule.logdata,
            _ => return Value::None,
        };
        // Only text: a message that names RULE.msg would go on for ever.
        let mut text = Vec::new();
        for part in self.rules.parts(template) {
            match part.kind {
                part::LITERAL => text.extend_from_slice(self.rules.text(part.text)),
                part::TX => {
                    let value = self.store.tx.get(usize::from(part.slot)).copied().unwrap_or_default();
                    text.extend_from_slice(self.store.text(value, &mut Digits::default()));
                }
                _ => {}
            }
        }
        Value::Stored(self.store.keep(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn days_have_their_dates() {
        let date = |seconds| {
            let clock = Clock::at(seconds);
            (clock.year, clock.month, clock.day, clock.weekday, clock.seconds)
        };
        assert_eq!(date(0), (1970, 1, 1, 4, 0));
        assert_eq!(date(951_782_399), (2000, 2, 28, 1, 86_399));
        assert_eq!(date(951_782_400), (2000, 2, 29, 2, 0));
        assert_eq!(date(1_767_225_600), (2026, 1, 1, 4, 0));
        assert_eq!(date(-1), (1969, 12, 31, 3, 86_399));
    }
}
