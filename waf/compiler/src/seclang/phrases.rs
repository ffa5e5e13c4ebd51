//! Phrase sets for `@pm` and `@pmFromFile`: reading them, and building their tables.

use std::collections::HashSet;

use picket_seclang::scan::layout::{PREFIX, prefix_slot};

/// The phrases of an `@pm` argument: separated by white space, with `|20 3a|` for bytes in
/// hexadecimal and a backslash before `:`, `;`, `"` and itself. As in ModSecurity, bytes that are
/// written in hexadecimal separate too if they are white space, quotes around the whole are
/// dropped, and an argument with another escape is taken as it stands.
#[must_use]
pub fn parse_argument(argument: &[u8]) -> Vec<Vec<u8>> {
    let decoded = decode_argument(argument);
    decoded
        .as_deref()
        .unwrap_or(argument)
        .split(|&byte| is_space(byte))
        .filter(|phrase| !phrase.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn decode_argument(argument: &[u8]) -> Option<Vec<u8>> {
    let argument = argument.trim_ascii_start();
    let argument = match argument {
        [b'"', inner @ .., b'"'] => inner,
        _ => argument,
    };
    let mut decoded = Vec::with_capacity(argument.len());
    let mut hexadecimal = false;
    let mut digits = Vec::new();
    let mut bytes = argument.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'|' => {
                hexadecimal = !hexadecimal;
                digits.clear();
            }
            b'\\' => match bytes.next() {
                Some(escaped @ (b':' | b';' | b'\\' | b'"')) => decoded.push(escaped),
                Some(_) => return None,
                None => {}
            },
            b' ' if hexadecimal => {}
            _ if hexadecimal => {
                digits.push(char::from(byte).to_digit(16).unwrap_or(0) as u8);
                if let [high, low] = digits[..] {
                    decoded.push(high << 4 | low);
                    digits.clear();
                }
            }
            _ => decoded.push(byte),
        }
    }
    Some(decoded)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The phrases of a file: a line each, blanks included, without its line end. Lines that are blank
/// or whose first sign is a `#` are none.
#[must_use]
pub fn parse_file(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| line.iter().find(|&&byte| !is_space(byte)).is_some_and(|&first| first != b'#'))
        .map(<[u8]>::to_vec)
        .collect()
}

/// The phrases that can be the first to be found, folded and sorted. A phrase that has another in it
/// never is, unless the other is at its end: there the longer one is reported.
#[must_use]
pub fn reduce(phrases: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut folded: Vec<Vec<u8>> = phrases
        .iter()
        .filter(|phrase| !phrase.is_empty())
        .map(|phrase| phrase.to_ascii_lowercase())
        .collect();
    folded.sort();
    folded.dedup();
    let all: HashSet<&[u8]> = folded.iter().map(Vec::as_slice).collect();
    let lengths = lengths(&folded);
    let ends_early = |phrase: &[u8]| {
        let head = &phrase[..phrase.len() - 1];
        lengths
            .iter()
            .take_while(|&&len| len <= head.len())
            .any(|&len| head.windows(len).any(|part| all.contains(part)))
    };
    folded.iter().filter(|phrase| !ends_early(phrase)).cloned().collect()
}

/// The lengths that occur, ascending.
pub(crate) fn lengths(literals: &[Vec<u8>]) -> Vec<usize> {
    let mut lengths: Vec<usize> = literals.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The phrases as literals for the [scan](super::scan): one occurs wherever a phrase does. `None` if
/// a phrase is shorter than a literal can be: then only [`bytes`] tells where the set may match.
#[must_use]
pub fn literals(phrases: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let reduced = reduce(phrases);
    let set: HashSet<&[u8]> = reduced.iter().map(Vec::as_slice).collect();
    let has_suffix = |phrase: &[u8]| (1..phrase.len()).any(|from| set.contains(&phrase[from..]));
    reduced
        .iter()
        .all(|phrase| phrase.len() >= 2)
        .then(|| reduced.iter().filter(|phrase| !has_suffix(phrase)).cloned().collect())
}

/// A byte set that has a byte in every phrase: the least usual one of each.
#[must_use]
pub fn bytes(phrases: &[Vec<u8>]) -> [u64; 4] {
    let mut set = [0u64; 4];
    let mut add = |byte: u8| set[usize::from(byte / 64)] |= 1 << (byte % 64);
    for phrase in reduce(phrases) {
        let rarity = |&&byte: &&u8| match byte {
            b'a'..=b'z' => 0,
            b'0'..=b'9' | b' ' => 1,
            b'.' | b'-' | b'_' | b'/' | b',' | b'=' | b':' => 2,
            _ => 3,
        };
        if let Some(&byte) = phrase.iter().max_by_key(|byte| (rarity(byte), **byte)) {
            add(byte);
            add(byte.to_ascii_uppercase());
        }
    }
    set
}

/// Builds the tables of a [`PhraseSet`](picket_seclang::scan::PhraseSet).
#[must_use]
pub fn build(phrases: &[Vec<u8>]) -> Vec<u8> {
    let phrases = reduce(phrases);
    let mut prefixes: Vec<(u32, usize)> = phrases
        .iter()
        .map(|phrase| {
            let prefix = &phrase[..phrase.len().min(PREFIX)];
            (prefix.iter().fold(0, |prefix, &byte| prefix << 8 | u32::from(byte)), prefix.len())
        })
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    // Eight to sixteen slots a prefix: about one position in twelve passes by chance.
    let bits = (prefixes.len() * 8).next_power_of_two().ilog2().clamp(6, 24);
    let mut filter = vec![0u8; 1 << (bits - 3)];
    let mut short = 0;
    for (prefix, len) in prefixes {
        let slot = prefix_slot(prefix, len, bits);
        filter[(slot >> 3) as usize] |= 1 << (slot & 7);
        if len < PREFIX {
            short |= 1 << len;
        }
    }
    let text: Vec<u8> = phrases.concat();
    let wide = text.len() > usize::from(u16::MAX);
    let mut built = (phrases.len() as u32).to_le_bytes().to_vec();
    built.extend([bits as u8, short, if wide { 4 } else { 2 }, 0]);
    built.extend(filter);
    let mut offset = 0u32;
    for len in std::iter::once(0).chain(phrases.iter().map(Vec::len)) {
        offset += len as u32;
        built.extend(&offset.to_le_bytes()[..if wide { 4 } else { 2 }]);
    }
    built.extend(text);
    built
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use picket_seclang::scan::PhraseSet;
    use proptest::prelude::*;

    use super::super::scan::tests::data_files;
    use super::*;

    fn words(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    /// The phrase that ends first, the longest of those that end there: tried one after the other.
    fn naive(phrases: &[Vec<u8>], value: &[u8]) -> Option<Range<usize>> {
        let value = value.to_ascii_lowercase();
        (1..=value.len()).find_map(|end| {
            let ends_here = phrases
                .iter()
                .filter(|phrase| !phrase.is_empty() && value[..end].ends_with(&phrase.to_ascii_lowercase()));
            ends_here.map(Vec::len).max().map(|len| end - len..end)
        })
    }

    fn check(phrases: &[Vec<u8>], value: &[u8]) {
        let built = build(phrases);
        let found = PhraseSet::new(&built).find(value);
        assert_eq!(found, naive(phrases, value), "{}", value.escape_ascii());
        if found.is_some() {
            let folded = value.to_ascii_lowercase();
            if let Some(literals) = literals(phrases) {
                assert!(literals.iter().any(|it| folded.windows(it.len()).any(|part| part == it)));
            }
            let set = bytes(phrases);
            assert!(value.iter().any(|&byte| set[usize::from(byte / 64)] >> (byte % 64) & 1 != 0));
        }
    }

    #[test]
    fn arguments_are_read_as_modsecurity_reads_them() {
        let cases: [(&str, &[&str]); 8] = [
            ("gzip  deflate\tbr ", &["gzip", "deflate", "br"]),
            ("\"one two\"", &["one", "two"]),
            ("a|3a 3B|b c", &["a:;b", "c"]),
            ("a|20|b", &["a", "b"]),
            (r#"a\:b \\c \"d"#, &["a:b", r"\c", "\"d"]),
            (r"a\n |3a|", &[r"a\n", "|3a|"]),
            ("( )", &["(", ")"]),
            ("", &[]),
        ];
        for (argument, expected) in cases {
            assert_eq!(parse_argument(argument.as_bytes()), words(expected), "{argument}");
        }
    }

    #[test]
    fn files_have_a_phrase_a_line() {
        let text = b"# a comment\r\n\r\none two\r\n  # another\n three#\n  \n/four";
        assert_eq!(parse_file(text), words(&["one two", " three#", "/four"]));
        assert!(parse_file(b"").is_empty());
    }

    #[test]
    fn the_first_to_end_is_found_then_the_longest() {
        let phrases = words(&["SELECT", "lec", "xselect", "ect from", "t", "inform", "form"]);
        for value in ["a SELeCT from", "xselec", "et", "inform", "reform", "", "f", "fo", "FORM"] {
            check(&phrases, value.as_bytes());
        }
        let built = build(&words(&["form", "inform", "ormation"]));
        assert_eq!(PhraseSet::new(&built).find(b"more INFORMation"), Some(5..11));
    }

    #[test]
    fn short_phrases_are_found_anywhere() {
        let phrases = words(&["(", "?>", "abc"]);
        for value in ["(", "x(", "(x", "?>", "x?>", "?>x", "abc", "xABC", "ab", "?", ">", "a(?>", ""] {
            check(&phrases, value.as_bytes());
        }
        for value in ["", "a", "ab", "abc"] {
            check(&[], value.as_bytes());
            check(&words(&[""]), value.as_bytes());
        }
    }

    #[test]
    fn damaged_bytes_find_nothing_and_never_panic() {
        let good = build(&words(&["select", "union", "ab", "c", "etc/passwd"]));
        let value = b"a value with select, union, /etc/passwd and more";
        for len in 0..good.len() {
            let _ = PhraseSet::new(&good[..len]).find(value);
        }
        for at in 0..good.len() {
            for damage in [1u8, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= damage;
                if let Some(range) = PhraseSet::new(&bytes).find(value) {
                    assert!(value.get(range).is_some());
                }
            }
        }
    }

    #[test]
    fn files_of_the_rule_set_are_found_as_by_an_automaton() {
        let Some(files) = data_files() else { return };
        let mut haystacks: Vec<Vec<u8>> = vec![include_str!("scan_sample.txt").into()];
        for (_, phrases) in &files {
            for (number, phrase) in phrases.iter().enumerate() {
                haystacks.push(phrase.clone());
                if number % 4 == 0 {
                    let next = &phrases[(number * 7 + 1) % phrases.len()];
                    let cut = phrase.len() - phrase.len() / 3;
                    haystacks.push([&phrase[..cut], &next.to_ascii_uppercase(), b"/", phrase].concat());
                }
            }
        }
        for (name, phrases) in &files {
            let built = build(phrases);
            let text: usize = phrases.iter().map(|phrase| phrase.len() + 1).sum();
            assert!(built.len() < text + text * 3 / 10 + 32, "{name}: {} of {text}", built.len());
            let set = PhraseSet::new(&built);
            let automaton = aho_corasick::AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(phrases)
                .expect("the phrases of a file are few enough");
            for haystack in &haystacks {
                // Of the matches that end first, the one that begins first.
                let mut expected: Option<Range<usize>> = None;
                for found in automaton.find_overlapping_iter(haystack) {
                    match &mut expected {
                        Some(first) if found.end() > first.end => break,
                        Some(first) => first.start = first.start.min(found.start()),
                        None => expected = Some(found.range()),
                    }
                }
                assert_eq!(set.find(haystack), expected, "{name}: {}", haystack.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_but_what_is_there_is_found(
            phrases in prop::collection::vec("[abA (]{0,6}", 0..40),
            values in prop::collection::vec("[abA (]{0,24}", 1..20),
        ) {
            let phrases: Vec<Vec<u8>> = phrases.into_iter().map(String::into_bytes).collect();
            for value in values {
                check(&phrases, value.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_a_phrase(
            phrases in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 1..30),
            filler in prop::collection::vec(any::<u8>(), 0..20),
            pick in any::<prop::sample::Index>(),
        ) {
            let value = [&filler[..], pick.get(&phrases[..]).as_slice(), &filler].concat();
            check(&phrases, &value);
        }

        #[test]
        fn any_bytes_are_a_set(bytes in prop::collection::vec(any::<u8>(), 0..80), value in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = PhraseSet::new(&bytes).find(&value);
        }
    }
}
