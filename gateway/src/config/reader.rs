//! A cursor over parsed TOML that remembers where everything stands and which keys were asked for.
//!
//! Serde would lose the position of everything that is wrong in meaning only (an address that does
//! not parse, a name that nothing bears), and stops at the first mistake. This reads on, so that
//! one run lists all of them.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// Collects the problems of one text.
pub(super) struct Reader<'a> {
    text: &'a str,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Reader { text, problems: RefCell::default() }
    }

    /// Notes a problem with `key`, which stands at byte `offset`.
    pub(super) fn problem(&self, offset: usize, key: &str, message: impl Into<String>) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let problem = Problem {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
            message: message.into(),
        };
        self.problems.borrow_mut().push((offset, problem));
    }

    /// The problems, in the order of the text.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(offset, _)| *offset);
        problems.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// A table that is being read. Dropping it unfinished is a mistake: [`Section::finish`] is what
/// finds the unknown keys.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    offset: usize,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(reader: &'a Reader<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Section { reader, path: String::new(), offset: 0, table: table.get_ref(), asked: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.push(key);
        let value = self.table.get(key)?;
        Some(Entry {
            reader: self.reader,
            path: join(&self.path, key),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of `key`; its absence is a problem.
    pub(super) fn required(&mut self, key: &'static str) -> Option<Entry<'a>> {
        let entry = self.entry(key);
        if entry.is_none() {
            self.problem(format!("`{key}` is missing"));
        }
        entry
    }

    /// Every entry of a table whose keys are names chosen by the user.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        self.table.iter().map(|(key, value)| {
            let name = key.get_ref().as_ref();
            let entry = Entry {
                reader: self.reader,
                path: join(&self.path, name),
                span: key.span(),
                value: value.get_ref(),
            };
            (name, entry)
        })
    }

    /// Notes a problem with the table itself.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(self.offset, &self.path, message);
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let message = unknown("key", name, self.asked.iter().copied());
                self.reader.problem(key.span().start, &join(&self.path, name), message);
            }
        }
    }
}

/// A value that is being read.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    reader: &'a Reader<'a>,
    path: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Entry<'a> {
    /// The value as it was parsed.
    pub(super) fn value(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// Notes a problem with the value.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(self.span.start, &self.path, message);
    }

    /// Notes a problem with something inside the value, which stands at byte `offset`.
    pub(super) fn problem_at(&self, offset: usize, message: impl Into<String>) {
        self.reader.problem(offset, &self.path, message);
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.problem(format!("expected {what}, found {}", described(self.value)));
        None
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.expected("text"),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number between `least` and `most`.
    pub(super) fn number(&self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(digits) = self.value else { return self.expected("a whole number") };
        match u64::from_str_radix(&digits.as_str().replace('_', ""), digits.radix()) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.problem(format!("{digits} is not between {least} and {most}"));
                None
            }
        }
    }

    /// Text that `T` understands.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.with(T::from_str)
    }

    /// Text that `parse` understands.
    pub(super) fn with<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.text()?)
            .map_err(|error| self.problem(format!("{:?}: {error}", self.text().unwrap_or_default())))
            .ok()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.problem(unknown("value", text, words.iter().map(|(word, _)| *word)));
        }
        found
    }

    /// A count of bytes: a whole number, or text with a unit.
    pub(super) fn size(&self, least: u64, most: u64) -> Option<u64> {
        let size = match self.value {
            DeValue::Integer(_) => return self.number(least, most),
            DeValue::String(_) => self.with(super::units::size)?,
            _ => return self.expected("a size such as \"64KiB\""),
        };
        if (least..=most).contains(&size) {
            return Some(size);
        }
        self.problem(format!("{size} bytes are not between {least} and {most}"));
        None
    }

    /// A span of time, as text with a unit; zero only where it has a meaning.
    pub(super) fn duration(&self) -> Option<std::time::Duration> {
        match self.value {
            DeValue::String(_) => self.with(super::units::duration),
            _ => self.expected("a time with its unit, such as \"10s\" or \"250ms\""),
        }
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Vec<Entry<'a>> {
        let DeValue::Array(elements) = self.value else {
            self.expected::<()>("a list");
            return Vec::new();
        };
        elements
            .iter()
            .enumerate()
            .map(|(n, element)| Entry {
                reader: self.reader,
                path: format!("{}.{n}", self.path),
                span: element.span(),
                value: element.get_ref(),
            })
            .collect()
    }

    /// The table that the value is.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Section {
                reader: self.reader,
                path: self.path.clone(),
                offset: self.span.start,
                table,
                asked: Vec::new(),
            }),
            _ => self.expected("a table"),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Notes that nothing bears the name that the value is.
    pub(super) fn unknown_name<'n>(&self, what: &str, name: &str, known: impl Iterator<Item = &'n str>) {
        self.problem(unknown(what, name, known));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// "unknown key `x`", with the nearest of the known words if one is near, else with all of them.
fn unknown<'n>(what: &str, word: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min();
    match nearest {
        // A third of the letters wrong is a slip; more is another word.
        Some((distance, candidate)) if distance <= candidate.len().max(word.len()).div_ceil(3) => {
            format!("unknown {what} `{word}` (did you mean `{candidate}`?)")
        }
        Some(_) => format!("unknown {what} `{word}` (there is: {})", known.join(", ")),
        None => format!("unknown {what} `{word}` (there is none)"),
    }
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("conect", "connect", 1), ("urls", "rule", 3)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
