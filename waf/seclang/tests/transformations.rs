//! The transformations: cases from their documented behaviour, and laws that hold for any bytes.

use picket_seclang::transform::{Transformation, Trigger};

/// A name, an input, and what it comes to.
const CASES: &[(&str, &[u8], &[u8])] = &[
    ("base64Decode", b"VGVzdENhc2U=", b"TestCase"),
    ("base64Decode", b"VGVzdENhc2UxMg==", b"TestCase12"),
    ("base64Decode", b"VGVz\r\ndENh\nc2U=", b"TestCase"),
    ("base64Decode", b"VGVz dENh", b"VGVz dENh"),
    ("base64Decode", b"VGVz!", b"VGVz!"),
    ("base64Decode", b"====", b"===="),
    ("base64Decode", b"VGVz  ", b"Tes"),
    ("base64Decode", b"", b""),
    ("base64DecodeExt", b"P.HNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", b"<script>alert(1)</script>"),
    ("base64DecodeExt", b"VGVz!!dENh", b"TestCa"),
    ("base64DecodeExt", b"_-8=", b"\xff\xef"),
    ("base64DecodeExt", b"VGVzdENhc2U", b"TestCase"),
    ("base64Encode", b"TestCase", b"VGVzdENhc2U="),
    ("base64Encode", b"\0\xff", b"AP8="),
    ("base64Encode", b"abc", b"YWJj"),
    ("base64Encode", b"", b""),
    ("cmdLine", b"C^OMMAND /C DIR", b"command/c dir"),
    ("cmdLine", b"\"c:\\dir\"  , ; dir (x)", b"c:dir dir(x)"),
    ("cmdLine", b"cat\t\r\n /etc/passwd", b"cat/etc/passwd"),
    ("cmdLine", b"plain words", b"plain words"),
    ("compressWhitespace", b"  a \t\n\x0b\x0c\r b ", b" a b "),
    ("compressWhitespace", b"\ta", b" a"),
    ("compressWhitespace", b"a b", b"a b"),
    ("compressWhitespace", b"a\xa0b", b"a\xa0b"),
    (
        "cssDecode",
        b"test\\a\\b\\f\\n\\r\\t\\v\\?\\'\\\"\\0\\12\\123\\1234\\12345\\123456\\ff01\\ff5e\\\n\\0  string",
        b"test\n\x0b\x0fnrtv?'\"\0\x12#4EV!~\0 string",
    ),
    ("cssDecode", b"ja\\vas\\cript", b"javas\x0cript"),
    ("cssDecode", b"\\0000611", b"a1"),
    ("cssDecode", b"\\61 b", b"ab"),
    ("cssDecode", b"tail\\", b"tail"),
    ("cssDecode", b"\\00ff1c \\1ff1c", b"<\x1c"),
    ("escapeSeqDecode", b"\\a\\b\\f\\n\\r\\t\\v\\?\\'\\\"\\\\", b"\x07\x08\x0c\n\r\t\x0b?'\"\\"),
    ("escapeSeqDecode", b"\\x41\\X4a\\101\\0\\18\\777", b"AJA\0\x018\xff"),
    ("escapeSeqDecode", b"\\xag\\8\\", b"xag8\\"),
    ("hexDecode", b"54657374", b"Test"),
    ("hexDecode", b"546", b"T"),
    ("hexEncode", b"Test\0\xff", b"5465737400ff"),
    ("htmlEntityDecode", b"&lt;b&gt;&amp;&quot;&nbsp;&LT", b"<b>&\"\xa0<"),
    ("htmlEntityDecode", b"&#x3c;&#X3C&#60;&#60 &#60a", b"<<<< <a"),
    ("htmlEntityDecode", b"&apos;&ltx;&#;&#x;&;&", b"&apos;&ltx;&#;&#x;&;&"),
    ("htmlEntityDecode", b"&#316;&#99999999999999999999;", b"<\xff"),
    (
        "jsDecode",
        b"\\a\\b\\f\\n\\r\\t\\v\\?\\'\\\"\\0\\12\\123\\1234\\x50\\uff41\\uff01\\u0041",
        b"\x07\x08\x0c\n\r\t\x0b?'\"\0\nSS4P\x61!A",
    ),
    ("jsDecode", b"\\400\\u00\\xz\\", b" 0u00xz\\"),
    ("length", b"", b"0"),
    ("length", b"0123456789ab", b"12"),
    ("lowercase", b"AbC\xc4", b"abc\xc4"),
    ("uppercase", b"AbC\xe4", b"ABC\xe4"),
    ("md5", b"", b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"),
    ("sha1", b"", b"\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09"),
    ("normalizePath", b"/foo/bar/../baz/./q//r", b"/foo/baz/q/r"),
    ("normalisePath", b"../../a//b", b"../../a/b"),
    ("normalizePath", b"/../../etc/passwd", b"/etc/passwd"),
    ("normalizePath", b"./a", b"a"),
    ("normalizePath", b"/a/..", b""),
    ("normalizePath", b"a/.", b"a"),
    ("normalizePath", b".", b""),
    ("normalizePath", b"a\\b", b"a\\b"),
    ("normalizePathWin", b"\\foo\\..\\bar\\\\x", b"/bar/x"),
    ("normalisePathWin", b"c:\\a\\.\\b\\", b"c:/a/b/"),
    ("parityEven7bit", b"aA\x07", b"\xe1A\x87"),
    ("parityOdd7bit", b"aA\x07", b"a\xc1\x07"),
    ("parityZero7bit", b"\xe1\xc1a", b"aAa"),
    ("removeComments", b"a/*b*/ c", b"a c"),
    ("removeComments", b"a<!--b--> c--d", b"a c"),
    ("removeComments", b"a#b", b"a"),
    ("removeComments", b"a/*b", b"a "),
    ("removeCommentsChar", b"a/*b*/c<!--d-->e--f#g", b"abcdefg"),
    ("removeCommentsChar", b"//**", b"/*"),
    ("removeNulls", b"\0a\0\0b\0", b"ab"),
    ("removeWhitespace", b" a\t\xa0b\r\n", b"ab"),
    ("removeWhitespace", "a\u{a0}b".as_bytes(), b"ab"),
    ("replaceComments", b"a/*b*/c/**/d/*e", b"a c d "),
    ("replaceComments", b"a*/b", b"a*/b"),
    ("replaceNulls", b"a\0b", b"a b"),
    ("sqlHexDecode", b"0x414243 and 0X4g 0x4", b"ABC and 0X4g 0x4"),
    ("sqlHexDecode", b"00x41", b"0A"),
    ("sqlHexDecode", b"0x41420x43", b"ABC"),
    ("trim", b" \t a b \n", b"a b"),
    ("trimLeft", b" \t a b \n", b"a b \n"),
    ("trimRight", b" \t a b \n", b" \t a b"),
    ("urlDecode", b"a+b%20%2b%zz%4", b"a b +%zz%4"),
    ("urlDecode", b"%u0041", b"%u0041"),
    ("urlDecodeUni", b"a+%41%u0041%uff1c%U0161%u00g1%u00", b"a AA<a%u00g1%u00"),
    ("urlEncode", b"a b*c/\xff", b"a+b*c%2f%ff"),
    ("utf8toUnicode", "aé<日😀".as_bytes(), b"a%u00e9<%u65e5%u1f600"),
    ("utf8toUnicode", "\u{e0041}\u{10ffff}".as_bytes(), b"%ue0041%u10ffff"),
    ("utf8toUnicode", b"\xc0\xbc", b"%u003c\xc0"),
    ("utf8toUnicode", b"\xe9a\xff\0b", b"a\xffb"),
];

fn apply(t: Transformation, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if t.apply(input, &mut out) { out } else { input.to_vec() }
}

#[test]
fn documented_cases() {
    for (name, input, expected) in CASES {
        let t = Transformation::from_name(name).unwrap();
        let got = apply(t, input);
        assert_eq!(
            got.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{name} of {}",
            input.escape_ascii()
        );
    }
    for t in Transformation::ALL {
        assert!(CASES.iter().any(|c| Transformation::from_name(c.0) == Some(*t)), "no case for {}", t.name());
    }
}

#[test]
fn names_and_numbers_lead_back() {
    for (number, t) in Transformation::ALL.iter().enumerate() {
        assert_eq!(*t as usize, number);
        assert_eq!(Transformation::from_u8(number as u8), Some(*t));
        assert_eq!(Transformation::from_name(t.name()), Some(*t));
        assert_eq!(Transformation::from_name(&t.name().to_uppercase()), Some(*t));
    }
    assert_eq!(Transformation::from_u8(Transformation::ALL.len() as u8), None);
    assert_eq!(Transformation::from_name("none"), None);
    assert_eq!(Transformation::from_name("normalisepathwin"), Some(Transformation::NormalizePathWin));
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Bytes of a few alphabets, each rich in what some transformation looks for.
    fn value(&mut self) -> Vec<u8> {
        const ALPHABETS: &[&[u8]] = &[
            b"\\ux0123456789abcfFnrtv'\"\n \0g",
            b"%uU+0123456789abcdefFz \0",
            b"&#xX0123456789;ltgampquonbs",
            b"./\\ab:",
            b"/*<!->#- a",
            b"\xc0\xc2\xe0\xed\xf0\xf4\xf5\x80\xa0\xbf a\0",
            b"ABCabc0129+/-_= \r\n!",
            b" \t\r\n\x0b\x0c\xa0ab,;^\"'(/",
            b"0xX14aAfFgG \0",
        ];
        let len = self.below(24);
        let alphabet = ALPHABETS.get(self.below(ALPHABETS.len() + 1)).copied();
        (0..len)
            .map(|_| match alphabet {
                Some(a) => a[self.below(a.len())],
                None => self.next() as u8,
            })
            .collect()
    }
}

#[test]
fn any_value() {
    let mut random = Random(1);
    let mut out = Vec::new();
    for _ in 0..200_000 {
        let value = random.value();
        for &t in Transformation::ALL {
            let changed = t.apply(&value, &mut out);
            let context = || format!("{} of {}", t.name(), value.escape_ascii());
            if changed {
                assert_ne!(out, value, "{}", context());
                assert!(out.len() <= 20.max(6 * value.len()), "{}", context());
            }
            if let Trigger::Bytes(set) = t.trigger() {
                let triggered = value.iter().any(|b| set[usize::from(b >> 6)] >> (b & 63) & 1 != 0);
                assert!(triggered || !changed, "{}", context());
            }
        }
    }
}

/// Each byte of a trigger changes some value together with bytes that are none: the sets are tight.
#[test]
fn triggers_are_tight() {
    let mut random = Random(2);
    let mut out = Vec::new();
    let mut idle: Vec<(Transformation, u8)> = Vec::new();
    for &t in Transformation::ALL {
        let Trigger::Bytes(set) = t.trigger() else { continue };
        let has = |b: u8| set[usize::from(b >> 6)] >> (b & 63) & 1 != 0;
        for byte in (0..=255).filter(|b| has(*b)) {
            let found = (0..20_000).any(|_| {
                let value: Vec<u8> = random.value().into_iter().chain([byte]).collect();
                let value: Vec<u8> =
                    value.into_iter().map(|b| if b == byte || !has(b) { b } else { byte }).collect();
                t.apply(&value, &mut out)
            });
            if !found {
                idle.push((t, byte));
            }
        }
    }
    assert_eq!(idle, []);
}
