use std::string::String;
use std::vec;
use std::vec::Vec;

use super::Transformation::{self, *};

/// What `input` becomes; itself where the transformation says that nothing changed.
fn apply(transformation: Transformation, input: &[u8]) -> Vec<u8> {
    let mut out = vec![b'?'; 3];
    if transformation.apply(input, &mut out) { out } else { input.to_vec() }
}

#[track_caller]
fn check<const N: usize>(transformation: Transformation, cases: [(&[u8], &[u8]); N]) {
    for (input, expected) in cases {
        let actual = apply(transformation, input);
        assert_eq!(
            String::from_utf8_lossy(&actual),
            String::from_utf8_lossy(expected),
            "{} of {:?}",
            transformation.name(),
            String::from_utf8_lossy(input)
        );
        assert_eq!(actual, expected);
    }
}

#[test]
fn names_and_numbers_lead_back() {
    for (number, &transformation) in Transformation::ALL.iter().enumerate() {
        assert_eq!(usize::from(transformation as u8), number);
        assert_eq!(Transformation::from_number(number as u8), Some(transformation));
        assert_eq!(Transformation::from_name(transformation.name()), Some(transformation));
        assert!(transformation.triggers().is_empty() != transformation.trigger_literals().is_empty());
    }
    assert_eq!(Transformation::from_number(200), None);
    assert_eq!(Transformation::from_name("rot13"), None);
}

#[test]
fn percent_escapes_are_peeled_off() {
    check(
        UrlDecodeDeep,
        [
            (b"plain + text", b"plain + text"),
            (b"%27%20or%201", b"' or 1"),
            (b"%2527", b"'"),
            (b"%25%32%37", b"'"),
            (b"%252525252527", b"%2527"),
            (b"%u0027%U003c", b"'<"),
            (b"%uff1cscript%uFF1E", b"<script>"),
            (b"%u00e9", "é".as_bytes()),
            (b"100%", b"100%"),
            (b"100%2", b"100%2"),
            (b"%zz%u12%2f", b"%zz%u12/"),
            (b"%ud800x", b"x"),
            (b"%00", b"\0"),
        ],
    );
}

#[test]
fn lenient_utf8_becomes_ascii() {
    check(
        Utf8Fold,
        [
            ("Čeština, Français, 中文".as_bytes(), "Čeština, Français, 中文".as_bytes()),
            (b"..\xc0\xaf..\xc1\x9c", b"../..\\"),
            (b"\xc0\xae\xc0\xae\xc0\x2f", b"../"),
            (b"\xe0\x80\xaf\xf0\x80\x80\xaf\xf8\x80\x80\x80\xaf\xfc\x80\x80\x80\x80\xaf", b"////"),
            ("＜ｓｃｒｉｐｔ＞".as_bytes(), b"<script>"),
            ("ʼ or ‘1’ ＝ “1”".as_bytes(), b"' or '1' = \"1\""),
            ("‹img›".as_bytes(), b"<img>"),
            ("<ſcrıpt>".as_bytes(), b"<script>"),
            (b"union\xa0select\xc2\xa0x", b"union select x"),
            ("uni\u{200b}on \u{feff}x".as_bytes(), b"union x"),
            // A continuation byte is no blank, and broken sequences stay.
            ("à".as_bytes(), "à".as_bytes()),
            (b"\xe4\xb8", b"\xe4\xb8"),
            (b"\xff\xfe<", b"\xff\xfe<"),
            // Latin-1, not an overlong form.
            (b"\xc0 la carte", b"\xc0 la carte"),
        ],
    );
}

#[test]
fn character_references_are_resolved() {
    check(
        HtmlEntityDecode,
        [
            (b"a & b && c; &x", b"a & b && c; &x"),
            (b"&lt;script&gt;", b"<script>"),
            (b"&ltimg src&gt", b"<img src>"),
            (b"&LT;&Lt;", b"<<"),
            (b"&#60;&#x3c;&#X3C;&#0000000060;&#x00003c", b"<<<<<"),
            (b"&#106&#97&#118&#97", b"java"),
            (b"javascript&colon;alert&lpar;1&rpar;", b"javascript:alert(1)"),
            (b"java&Tab;script&NewLine;", b"java\tscript\n"),
            (b"&amp;lt;", b"<"),
            (b"&amp;amp;lt;", b"&lt;"),
            (b"&#0;a&#x110000;b&#99999999999999;c", b"abc"),
            (b"&#233;", "é".as_bytes()),
            (b"&#x;&#;", b"&#x;&#;"),
            (b"&colonel", b"&colonel"),
        ],
    );
}

#[test]
fn script_escapes_are_resolved() {
    check(
        JsDecode,
        [
            (b"plain", b"plain"),
            (b"\\x3cscript\\u003e", b"<script>"),
            (b"\\u{3c}\\u{0000003C}", b"<<"),
            (b"\\74\\074\\0743", b"<<<3"),
            (b"\\477", b"'7"),
            (b"\\x3", b"x3"),
            (b"\\u12", b"u12"),
            (b"al\\ert\\n\\'", b"alert\n'"),
            (b"\\\\", b"\\"),
            (b"end\\", b"end\\"),
            (b"\\\xc3\xa9", b"\xc3\xa9"),
        ],
    );
}

#[test]
fn sql_comments_separate_words() {
    check(
        SqlFold,
        [
            (b"a / b * c - d", b"a / b * c - d"),
            (b"union/**/select", b"union select"),
            (b"union/*x*//*y*/select", b"union select"),
            (b"/*!50000union*/ select", b" union select"),
            (b"/*!union*/", b" union "),
            (b"/*M!100100 union*/", b" union "),
            (b"/*!12345a/**/b*/c", b" a b c"),
            (b"union\t\n select  \x0b1", b"union select 1"),
            (b"1 /* or 1=1", b"1 or 1=1"),
            (b"a*/b", b"a*/b"),
            (b"union--x\nselect", b"union select"),
            (b"union#x\nselect#y\n1", b"union select 1"),
            (b"' or 1=1-- -", b"' or 1=1-- -"),
            (b"admin'#", b"admin'#"),
            (b"/*/**/x", b" x"),
        ],
    );
    check(
        SqlCommentsRemove,
        [
            (b"un/**/ion sel/*x*/ect", b"union select"),
            (b"/*!50000un*/ion", b"union"),
            (b"a--b\nc", b"a--b\nc"),
        ],
    );
}

#[test]
fn urls_lose_their_line_breaks() {
    check(RemoveLineBreaks, [(b"java\tscr\r\nipt:", b"javascript:"), (b"a b", b"a b")]);
    check(RemoveNulls, [(b"scr\0ipt\0", b"script"), (b"a", b"a")]);
}

#[test]
fn shell_quoting_is_undone() {
    check(
        ShellFold,
        [
            (b"it's, isn't it \"so\"", b"it's, isn't it \"so\""),
            (b"; c'a't /et\"c\"/pass''wd", b"; cat /etc/passwd"),
            (b"; who\\ami", b"; whoami"),
            (b"; who$@ami; who${@}ami; who$*ami$9", b"; whoami; whoami; whoami"),
            (b";cat${IFS}/etc/passwd", b";cat /etc/passwd"),
            (b";cat$IFS$9/etc/passwd", b";cat /etc/passwd"),
            (b";cat${IFS%??}x", b";cat x"),
            (b"{cat,/etc/passwd}|x", b"{cat /etc/passwd}|x"),
            (b"{\"a\":1,\"b\":2}/", b"{a:1,b:2}/"),
            (b"p^o^w^e^r^shell", b"powershell"),
            (b"; l\\\ns; l\\\r\ns", b"; ls; ls"),
            (b"| it's", b"| it's"),
            (b"$(id)", b"$(id)"),
            (b"; cat $HOME", b"; cat $HOME"),
        ],
    );
}

#[test]
fn paths_are_normalised() {
    check(
        NormalizePathWin,
        [
            (b"/etc/passwd", b"/etc/passwd"),
            (b"https://example.org/a/b", b"https://example.org/a/b"),
            (b"/etc//passwd", b"/etc/passwd"),
            (b"/etc/./././passwd", b"/etc/passwd"),
            (b"/etc/x/../y/../passwd", b"/etc/passwd"),
            (b"\\etc\\\\passwd", b"/etc/passwd"),
            (b"../../etc/passwd", b"../../etc/passwd"),
            (b"/../../etc/passwd", b"/../../etc/passwd"),
            (b"c:\\windows\\.\\win.ini", b"c:/windows/win.ini"),
            (b"file:////etc//passwd", b"file://etc/passwd"),
            (b"a/..", b"a/.."),
        ],
    );
}

/// Bytes that mean something to some transformation, more often than chance would have them.
fn fragments() -> Vec<&'static [u8]> {
    vec![
        b"%",
        b"%2",
        b"%u",
        b"25",
        b"27",
        b"ff1c",
        b"&",
        b"#",
        b"&#",
        b"x",
        b"lt",
        b"amp;",
        b";",
        b"colon;",
        b"\\",
        b"\\u{",
        b"}",
        b"0",
        b"000000",
        b"3c",
        b"/*",
        b"*/",
        b"!",
        b"M!",
        b"--",
        b"\n",
        b"\r\n",
        b"/",
        b"..",
        b".",
        b"://",
        b"'",
        b"\"",
        b"^",
        b"$",
        b"@",
        b"{",
        b",",
        b"IFS",
        b"${IFS",
        b"\0",
        b"\xc0",
        b"\xaf",
        b"\xe0",
        b"\x80",
        b"\xf0",
        b"\xfc",
        b"\xef\xbc",
        b"\xe2\x80",
        b"\xa0",
        b"a",
        b" ",
        b"\xff",
        b"http://",
        b"tp:",
        b"//",
    ]
}

proptest::proptest! {
    #[test]
    fn any_input_gives_bounded_output_and_honest_triggers(
        picks in proptest::collection::vec(0..fragments().len() + 4, 0..60),
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
    ) {
        let fragments = fragments();
        let mut input = Vec::new();
        let mut noise = noise.into_iter();
        for pick in picks {
            match fragments.get(pick) {
                Some(fragment) => input.extend_from_slice(fragment),
                None => input.extend(noise.next()),
            }
        }
        let lower = input.to_ascii_lowercase();
        for &transformation in Transformation::ALL {
            let mut out = Vec::new();
            let changed = transformation.apply(&input, &mut out);
            if changed {
                assert!(out.len() <= input.len(), "{transformation:?} grew {input:?} to {out:?}");
                assert_ne!(out, input, "{transformation:?} changed nothing");
                let byte = transformation.triggers().iter().any(|t| lower.contains(t));
                let is_harmless = |end: usize| {
                    transformation.harmless_literals().iter().any(|t| lower[..end].ends_with(t))
                };
                let literal = transformation.trigger_literals().iter().any(|t| {
                    (t.len()..=lower.len()).any(|end| lower[..end].ends_with(t) && !is_harmless(end))
                });
                assert!(byte || literal, "{transformation:?} changed {input:?} without a trigger");
            }
        }
    }
}
