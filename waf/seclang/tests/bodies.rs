//! What the body parsers and the request parser report. Expectations about well-formed and merely odd bodies were
//! compared with libmodsecurity; where this engine is stricter on purpose the test's name says so.

use picket_seclang::body::{
    Fault, Limits, MultipartFlags, Processor, Scratch, Sink, json, multipart, urlencoded, xml,
};
use picket_seclang::request::{
    RequestParts, arguments, auth_type, basename, content_length, cookies, remote_user, server_name,
};
use proptest::prelude::*;

/// Everything reported, as text, in order.
#[derive(Default)]
struct Seen {
    args: Vec<(String, String)>,
    files: Vec<(String, String, usize)>,
    parts: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    text: Option<String>,
    attributes: Vec<String>,
    bytes: usize,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Sink for Seen {
    fn arg(&mut self, name: &[u8], value: &[u8]) {
        self.bytes += name.len() + value.len();
        self.args.push((text(name), text(value)));
    }
    fn file(&mut self, field: &[u8], filename: &[u8], content: &[u8]) {
        self.files.push((text(field), text(filename), content.len()));
    }
    fn part(&mut self, name: &[u8], filename: &[u8]) {
        self.parts.push((text(name), text(filename)));
    }
    fn part_header(&mut self, part: &[u8], line: &[u8]) {
        self.bytes += part.len() + line.len();
        self.headers.push((text(part), text(line)));
    }
    fn xml_text(&mut self, content: &[u8]) {
        self.bytes += content.len();
        self.text = Some(text(content));
    }
    fn xml_attribute(&mut self, value: &[u8]) {
        self.bytes += value.len();
        self.attributes.push(text(value));
    }
}

fn pairs(seen: &[(String, String)]) -> Vec<(&str, &str)> {
    seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn read_json(body: &[u8]) -> (Seen, Result<(), Fault>) {
    let mut seen = Seen::default();
    let result = json(body, &Limits::default(), &mut Scratch::new(), &mut seen);
    (seen, result)
}

fn read_xml(body: &[u8]) -> (Seen, Result<(), Fault>) {
    let mut seen = Seen::default();
    let result = xml(body, &Limits::default(), &mut Scratch::new(), &mut seen);
    (seen, result)
}

fn read_multipart(content_type: &str, body: &[u8]) -> (Seen, MultipartFlags, Result<(), Fault>) {
    let (mut seen, mut flags) = (Seen::default(), MultipartFlags::default());
    let result = multipart(
        content_type.as_bytes(),
        body,
        &Limits::default(),
        &mut Scratch::new(),
        &mut flags,
        &mut seen,
    );
    (seen, flags, result)
}

const TYPE: &str = "multipart/form-data; boundary=b";

/// A part with this `Content-Disposition`, these further header lines and this data.
fn part(disposition: &str, headers: &str, data: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n{data}\r\n")
}

fn one(disposition: &str, headers: &str, data: &str) -> (Seen, MultipartFlags, Result<(), Fault>) {
    read_multipart(TYPE, format!("{}--b--\r\n", part(disposition, headers, data)).as_bytes())
}

#[test]
fn forms_are_decoded() {
    let mut seen = Seen::default();
    let mut scratch = Scratch::new();
    let limits = Limits::default();
    let invalid =
        urlencoded(b"a=1&b%5b%5D=x+y%2B&c&=d&&e=f=g&h=%zz%4&", b'&', &limits, &mut scratch, &mut seen);
    assert_eq!(invalid, Ok(true));
    let expected =
        [("a", "1"), ("b[]", "x y+"), ("c", ""), ("", "d"), ("", ""), ("e", "f=g"), ("h", "%zz%4")];
    assert_eq!(pairs(&seen.args), expected);

    let mut seen = Seen::default();
    assert_eq!(urlencoded(b"a=1;b=2", b';', &limits, &mut scratch, &mut seen), Ok(false));
    assert_eq!(pairs(&seen.args), [("a", "1"), ("b", "2")]);
}

#[test]
fn arguments_beyond_the_limit_are_a_fault() {
    let limits = Limits { arguments: 2, ..Limits::default() };
    let mut seen = Seen::default();
    let fault = urlencoded(b"a=1&b=2&c=3", b'&', &limits, &mut Scratch::new(), &mut seen).unwrap_err();
    assert_eq!((fault.processor, seen.args.len()), (Processor::UrlEncoded, 2));
    let mut seen = Seen::default();
    let fault = json(b"[1,2,3]", &limits, &mut Scratch::new(), &mut seen).unwrap_err();
    assert_eq!((fault.processor, seen.args.len()), (Processor::Json, 2));
}

#[test]
fn json_is_flattened() {
    let (seen, result) =
        read_json(br#" {"a":[1,{"b":2},[3]],"":4,"c":{"":null},"d":true,"e":{},"a":-1.5E+3} "#);
    assert_eq!(result, Ok(()));
    let expected = [
        ("json.a.0", "1"),
        ("json.a.1.b", "2"),
        ("json.a.2.0", "3"),
        ("json.empty-key", "4"),
        ("json.c.empty-key", ""),
        ("json.d", "true"),
        ("json.a", "-1.5E+3"),
    ];
    assert_eq!(pairs(&seen.args), expected);
    for (body, value) in [(&b"5"[..], "5"), (b"\"x\"", "x"), (b"\x0b\x0cfalse\n", "false")] {
        let (seen, result) = read_json(body);
        assert_eq!((pairs(&seen.args), result), (vec![("json", value)], Ok(())));
    }
    for body in ["", "[]", "{}", "[[],{}]"] {
        let (seen, result) = read_json(body.as_bytes());
        assert_eq!((seen.args.len(), result), (0, Ok(())), "{body}");
    }
}

#[test]
fn json_strings_are_decoded() {
    let cases: [(&[u8], &str); 7] = [
        (br#""\n\t\/\b\f\r\"\\""#, r#"\n\t/\x08\x0c\r\"\\"#),
        (br#""a\u00e9\u20ACz""#, r"a\xc3\xa9\xe2\x82\xacz"),
        (br#""\ud83d\ude00""#, r"\xf0\x9f\x98\x80"),
        (br#""\ud83dx\ud83d\u0041""#, "?x?A"),
        (br#""\ude00""#, r"\xed\xb8\x80"),
        (br#""\u0000b""#, r"\x00b"),
        ("\"0123456789ä0123456789\"".as_bytes(), r"0123456789\xc3\xa40123456789"),
    ];
    for (body, value) in cases {
        let (seen, result) = read_json(body);
        assert_eq!((pairs(&seen.args), result), (vec![("json", value)], Ok(())));
    }
}

#[test]
fn malformed_json_is_a_fault_at_its_place() {
    let cases: [(&[u8], usize, &str); 20] = [
        (b" ", 1, "ends before"),
        (b"{\"a\":1}x", 7, "Trailing"),
        (b"{\"a\":01}", 6, "after a value"),
        (b"[1 2]", 3, "after a value"),
        (b"[1,]", 3, "value expected"),
        (b"{\"a\":1,}", 7, "key"),
        (b"{1:2}", 1, "key"),
        (b"{\"a\" 1}", 5, "':'"),
        (b"[1", 2, "inside a container"),
        (b"\"abc", 4, "inside a string"),
        (b"\"a\x01\"", 2, "control"),
        (b"\"\\x\"", 1, "escape"),
        (b"\"\\u12g4\"", 1, "hexadecimal"),
        (b"\"ab\xff\"", 3, "UTF-8"),
        (b"\"\xc0\x80\"", 1, "UTF-8"),
        (b"tru", 0, "value expected"),
        (b"truex", 4, "Trailing"),
        (b"-", 1, "digit"),
        (b"1.e", 2, "digit"),
        (b"'a'", 0, "value expected"),
    ];
    for (body, offset, reason) in cases {
        let fault = read_json(body).1.unwrap_err();
        assert_eq!(fault.offset, offset, "{}: {fault}", text(body));
        assert!(fault.reason.contains(reason), "{}: {fault}", text(body));
    }
    let (seen, result) = read_json(b"{\"a\":\"attack\",");
    assert_eq!(pairs(&seen.args), [("json.a", "attack")]);
    assert_eq!(
        result.unwrap_err().to_string(),
        "JSON parsing error: JSON: An object's key (a string) expected (byte 14)."
    );
}

#[test]
fn deep_json_is_bounded_in_depth_and_in_what_it_reports() {
    let limits = Limits { depth: 3, ..Limits::default() };
    let read = |body: &[u8], limits: &Limits| {
        let mut seen = Seen::default();
        let result = json(body, limits, &mut Scratch::new(), &mut seen);
        (seen.bytes, result)
    };
    assert_eq!(read(b"[[[1]]]", &limits).1, Ok(()));
    let fault = read(b"[[[[1]]]]", &limits).1.unwrap_err();
    assert_eq!((fault.offset, fault.reason), (4, "Parsing depth limit exceeded"));

    // A name of 200 kB for each of 20,000 values.
    let body = [&b"[".repeat(9_999)[..], &b"1,".repeat(20_000)].concat();
    let (bytes, result) = read(&body, &Limits { arguments: usize::MAX, ..Limits::default() });
    assert!(bytes <= Limits::default().reported && result.is_err(), "{bytes}");
}

#[test]
fn multipart_fields_and_files_are_reported() {
    let body = [
        part("name=\"a\"", "", "x\r\ny\n"),
        part("name=f; filename=\"C:\\dir\\n.txt\"", "content-type:  text/plain \r\n", "--content--"),
        "--b--".to_owned(),
    ]
    .concat();
    let (seen, flags, result) = read_multipart(TYPE, body.as_bytes());
    assert_eq!(result, Ok(()));
    assert_eq!(pairs(&seen.args), [("a", "x\\r\\ny\\n")]);
    assert_eq!(seen.files, [("f".to_owned(), "C:\\\\dir\\\\n.txt".to_owned(), 11)]);
    assert_eq!(pairs(&seen.parts), [("a", ""), ("f", "C:\\\\dir\\\\n.txt")]);
    let expected = [
        ("a", "Content-Disposition: form-data; name=\\\"a\\\""),
        ("f", "Content-Disposition: form-data; name=f; filename=\\\"C:\\\\dir\\\\n.txt\\\""),
        ("f", "content-type:  text/plain "),
    ];
    assert_eq!(pairs(&seen.headers), expected);
    assert!(!flags.strict_error(), "{flags:?}");
    // A second boundary sets it; `--content--` at the start of a line looked like one.
    assert_eq!(flags.unmatched_boundary, 1);
}

#[test]
fn every_multipart_irregularity_has_its_flag() {
    let good = format!("{}--b--\r\n", part("name=a", "", "v"));
    let base = MultipartFlags { crlf_line: true, unmatched_boundary: 2, ..MultipartFlags::default() };
    assert_eq!(read_multipart(TYPE, good.as_bytes()).1, base);
    let cases: [(&str, String, MultipartFlags); 14] = [
        (
            "multipart/form-data; boundary=\"b\"",
            good.clone(),
            MultipartFlags { boundary_quoted: true, ..base },
        ),
        (
            "multipart/form-data; boundary =b",
            good.clone(),
            MultipartFlags { boundary_whitespace: true, ..base },
        ),
        ("multipart/form-data boundary=b", good.clone(), MultipartFlags { missing_semicolon: true, ..base }),
        ("Multipart/form-data;boundary=b; charset=utf-8", good.clone(), base),
        (TYPE, format!("before\r\n{good}"), MultipartFlags { data_before: true, ..base }),
        (TYPE, format!("{good}after"), MultipartFlags { data_after: true, ..base }),
        (TYPE, good.replace("\r\n", "\n"), MultipartFlags { lf_line: true, crlf_line: false, ..base }),
        (TYPE, good.replace("--\r\n", "--\n"), MultipartFlags { lf_line: true, ..base }),
        (TYPE, good.replace("v\r\n", "v\n"), MultipartFlags { lf_line: true, ..base }),
        (
            TYPE,
            good.replace("name=a\r\n", "name=a\r\nX: 1\r\n 2\r\n"),
            MultipartFlags { header_folding: true, ..base },
        ),
        (
            TYPE,
            good.replace("name=a\r\n", "name=a\r\nX: 1\r\n\x0b2\r\n"),
            MultipartFlags { header_folding: true, invalid_header_folding: true, ..base },
        ),
        (TYPE, good.replace("name=a", "name='a'"), MultipartFlags { invalid_quoting: true, ..base }),
        (
            TYPE,
            good.replace("v\r\n--b--\r\n", "v\r\n -- --b\r\n--b--"),
            MultipartFlags { unmatched_boundary: 1, ..base },
        ),
        (TYPE, good.replace("v\r\n", "--b\r\n"), MultipartFlags { invalid_part: true, ..base }),
    ];
    for (content_type, body, expected) in cases {
        let (seen, flags, result) = read_multipart(content_type, body.as_bytes());
        assert_eq!((flags, result), (expected, Ok(())), "{content_type} {body}");
        assert_eq!(seen.args.len(), 1, "{content_type} {body}");
        let regular = flags == base || flags.unmatched_boundary == 1;
        assert_eq!(flags.strict_error(), !regular, "{content_type} {body}");
        assert_eq!(flags.crlf_lf_lines(), flags.lf_line && flags.crlf_line);
    }
}

#[test]
fn folded_headers_are_joined() {
    let (seen, _, result) = one("name=a", "X:  1 \r\n\t 2\r\n  3\r\n", "v");
    assert_eq!(result, Ok(()));
    assert_eq!(seen.headers.last(), Some(&("a".to_owned(), "X: 1  2 3".to_owned())));
}

#[test]
fn dispositions_are_read() {
    let cases = [
        ("name=\"a;b\\\"c\\\\d\\e\"", "a;b\"c\\d\\e"),
        ("name=a", "a"),
        ("name=\"a\";", "a"),
        ("name=a; filename=\"\"", "a"),
        ("name=\"a'b\"", "a'b"),
    ];
    for (disposition, name) in cases {
        let (seen, flags, result) = one(disposition, "", "v");
        assert_eq!(result, Ok(()), "{disposition}");
        assert_eq!(seen.args, [(text(name.as_bytes()), "v".to_owned())], "{disposition}");
        assert!(!flags.invalid_quoting, "{disposition}");
    }
    let (seen, _, result) = one("name=a; filename=f; filename*=UTF-8''%e2%82%ac", "", "v");
    assert_eq!((seen.files.len(), result), (1, Ok(())));
}

#[test]
fn malformed_dispositions_are_faults_whose_data_is_inspected() {
    for disposition in [
        "",
        "name",
        "name=",
        "name=\"a",
        "name=\"a\\",
        "name=\"\"",
        "name=a; name=b",
        "name=a; filename=f; filename=g",
        "name=a; x=y",
        "name = a ; ",
        "Name=a",
        "name=\"a\" x",
        "name=a; filename = f",
        "name=a; filename*=UTF-8''x",
        "name=a; filename=f; filename*=x",
        "name=a; filename=f; filename*=UTF-8''%2",
        "name=a; filename=f; filename*=UTF-8''a b",
    ] {
        let (seen, flags, result) = one(disposition, "", "attack");
        let fault = result.expect_err(disposition);
        assert_eq!((fault.processor, fault.offset), (Processor::Multipart, 5), "{disposition}: {fault}");
        assert!(flags.strict_error(), "{disposition}");
        let inspected = seen.args.iter().any(|(_, value)| value == "attack") || seen.files.len() == 1;
        assert!(inspected, "{disposition}");
    }
}

#[test]
fn malformed_parts_do_not_hide_the_next_one() {
    for headers in [
        "X\r\n",
        ": y\r\n",
        "X y: z\r\n",
        "\x0eX: z\r\n",
        "X: a\r\nx: b\r\n",
        "Content-Disposition: form-data; name=b\r\n",
        "X: a\0b\r\n",
    ] {
        let body = [part("name=a", headers, "1"), part("name=c", "", "2"), "--b--\r\n".to_owned()].concat();
        let (seen, flags, result) = read_multipart(TYPE, body.as_bytes());
        assert!(result.is_err() && flags.strict_error(), "{headers:?}");
        assert_eq!(pairs(&seen.args), [("a", "1"), ("c", "2")], "{headers:?}");
    }
    let long = format!("X: {}\r\n", "y".repeat(5000));
    assert!(one("name=a", &long, "v").2.unwrap_err().reason.contains("4096"));
    assert!(one("name=a", &"y".repeat(5000), "v").2.is_err());
    let text = one("name=a", "X y: z\r\n", "v").2.unwrap_err().to_string();
    assert_eq!(
        text,
        "Multipart parsing error: Multipart: Invalid part header (contains invalid character) (byte 45)."
    );
}

#[test]
fn malformed_boundaries_are_faults() {
    for content_type in [
        "",
        "text/plain; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=b\"",
        "multipart/form-data; Boundary=b",
        "multipart/form-data; boundaryx=b",
        "multipart/form-data; boundary=b@",
        "multipart/form-data; boundary=b; boundary=c",
        "multipart/form-data; charset=x; boundary=b",
        "multipart/form-data; boundary=boundary=",
    ] {
        let (_, flags, result) = read_multipart(content_type, b"");
        let fault = result.expect_err(content_type);
        assert!(flags.strict_error() && fault.offset <= content_type.len(), "{content_type}");
    }
    let good = part("name=a", "", "v");
    for (end, reason) in [
        ("", "Final boundary missing"),
        ("--b", "Final boundary missing"),
        ("--b-\r\n", "Invalid boundary"),
        ("--b \r\n", "Invalid boundary"),
        ("--bc\r\n", "Invalid boundary"),
        ("-- b\r\n", "Invalid boundary (whitespace)"),
    ] {
        let fault = read_multipart(TYPE, format!("{good}{end}").as_bytes()).2.expect_err(end);
        assert_eq!(fault.reason, reason, "{end}");
    }
    let quoted =
        read_multipart("multipart/form-data; boundary=\"b\"", format!("{good}--\"b\"\r\n").as_bytes());
    assert_eq!(quoted.2.unwrap_err().reason, "Invalid boundary (quotes)");
    assert_eq!(read_multipart(TYPE, b"x\r\n").2.unwrap_err().reason, "No boundaries found in payload");
    assert_eq!(read_multipart(TYPE, b"").2, Ok(()));
}

#[test]
fn xml_text_and_attributes_are_reported() {
    let (seen, result) = read_xml(
        b"\xef\xbb\xbf<?xml version=\"1.0\" encoding='utf-8'?><!-- c --><a x=\"1&amp;2\" y='z\n\tw' xmlns:p='urn:p'>t&lt;\
          <b p:q=''>u</b><![CDATA[<v>]]><!-- c --><?pi d?>w&#65;&#x20aC;\r\n</a >\n<?end?>",
    );
    assert_eq!(result, Ok(()));
    assert_eq!(seen.text.as_deref(), Some("t<u<v>wA\\xe2\\x82\\xac\\n"));
    assert_eq!(seen.attributes, ["1&2", "z  w", ""]);
    let (seen, result) = read_xml(b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe9'>\xe9</a>");
    assert_eq!((result, seen.text.as_deref()), (Ok(()), Some("\\xc3\\xa9")));
    assert_eq!(read_xml(b"<a/>").0.text.as_deref(), Some(""));
}

#[test]
fn xml_entities_are_expanded_within_bounds() {
    let (seen, result) =
        read_xml(b"<!DOCTYPE a [<!ENTITY y '1&x;2'><!ENTITY x \"evil\">]><a z='&x;'>&y;</a>");
    assert_eq!((result, seen.text.as_deref()), (Ok(()), Some("1evil2")));
    assert_eq!(seen.attributes, ["evil"]);
    let (seen, result) = read_xml(b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>1&x;2</a>");
    assert_eq!((result, seen.text.as_deref()), (Ok(()), Some("12")));

    // Ten levels of ten: 10^10 bytes if expanded.
    let mut laughs = String::from("<!DOCTYPE a [<!ENTITY e0 'ha'>");
    for level in 1..=10 {
        laughs += &format!("<!ENTITY e{level} '{}'>", format!("&e{};", level - 1).repeat(10));
    }
    for level in [7, 10] {
        let (seen, result) = read_xml(format!("{laughs}]><a>&e{level};</a>").as_bytes());
        assert!(result.is_err() && seen.bytes <= Limits::default().reported, "{}", seen.bytes);
    }
    assert!(read_xml(b"<!DOCTYPE a [<!ENTITY x '&x;'>]><a>&x;</a>").1.is_err());
}

#[test]
fn malformed_xml_is_a_fault() {
    let cases: [&[u8]; 44] = [
        b"",
        b"text",
        b"<a>",
        b"</a>",
        b"<a></b>",
        b"<a><b></a></b>",
        b"<a/><b/>",
        b"<a/>text",
        b"text<a/>",
        b"<a x=1/>",
        b"<a x/>",
        b"<a x='1' x='2'/>",
        b"<a x='1'y='2'/>",
        b"<a x='<'/>",
        b"<a x='1/>",
        b"<1/>",
        b"< a/>",
        b"<a / >",
        b"<a>&nope;</a>",
        b"<a>&amp</a>",
        b"<a>&#0;</a>",
        b"<a>&#xd800;</a>",
        b"<a>&#;</a>",
        b"<a>&#99999999999;</a>",
        b"<a>\x01</a>",
        b"<a>\xff</a>",
        b"<a>\xef\xbf\xbe</a>",
        b"<a>]]></a>",
        b"<a><![CDATA[x]]</a>",
        b"<a><!-- a -- b --></a>",
        b"<a><!-- a</a>",
        b" <?xml version='1.0'?><a/>",
        b"<?xml encoding='utf-8'?><a/>",
        b"<?xml version='1.0' standalone='maybe'?><a/>",
        b"<?xml version='1.0' encoding='utf-16'?><a/>",
        b"<a><?XML x?></a>",
        b"<a><!DOCTYPE a></a>",
        b"<![CDATA[x]]><a/>",
        b"<!DOCTYPE a [<!ENTITY % p 'x'>%p;]><a/>",
        b"<!DOCTYPE a [<!ENTITY x '<b>1</b>'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ELEMENT a ANY><a/>",
        b"<!DOCTYPE a PUBLIC 'p'><a/>",
        b"<a/>\0",
        b"<a>\xc0\x80</a>",
    ];
    for body in cases {
        let fault = read_xml(body).1.expect_err(&text(body));
        assert!(fault.processor == Processor::Xml && fault.offset <= body.len(), "{}: {fault}", text(body));
    }
    let deep = |levels: usize| [b"<a>".repeat(levels), b"</a>".repeat(levels)].concat();
    assert_eq!(read_xml(&deep(256)).1, Ok(()));
    assert!(read_xml(&deep(257)).1.is_err());
    // What came before the fault is inspected.
    let (seen, result) = read_xml(b"<a b='x'>attack<");
    assert!(result.is_err());
    assert_eq!((seen.text.as_deref(), seen.attributes), (Some("attack"), vec!["x".to_owned()]));
}

#[test]
fn processors_are_chosen() {
    let of = |value: &str| Processor::of_content_type(value.as_bytes());
    assert_eq!(of("Application/x-www-form-urlencoded; charset=utf-8"), Some(Processor::UrlEncoded));
    assert_eq!(of("multipart/form-data; boundary=x"), Some(Processor::Multipart));
    assert_eq!((of("application/json"), of("text/xml"), of("")), (None, None, None));
    for processor in [Processor::UrlEncoded, Processor::Multipart, Processor::Json, Processor::Xml] {
        assert_eq!(Processor::from_name(processor.name().to_lowercase().as_bytes()), Some(processor));
    }
    assert_eq!(Processor::from_name(b"YAML"), None);
}

#[test]
fn targets_are_split_before_they_are_decoded() {
    let cases = [
        ("/a%20b/c%2fd?x=%41+b", "/a b/c/d", "/a b/c/d?x=A+b", Some("d"), "x=%41+b"),
        ("http://h/p/q%41?z=1", "http://h/p/qA", "/p/qA?z=1", Some("qA"), "z=1"),
        ("/a%3fb=1?c=2%", "/a?b=1", "/a?b=1?c=2%", Some("a?b=1"), "c=2%"),
        ("/a#frag?x=1", "/a", "/a", Some("a"), ""),
        ("/a?b?c#d", "/a", "/a?b?c", Some("a"), "b?c"),
        ("h:80/p", "h:80/p", "h:80/p", Some("p"), ""),
        ("http://h", "http://h", "http://h", Some("h"), ""),
        ("/a/", "/a/", "/a/", None, ""),
        ("/a\\b", "/a\\b", "/a\\b", Some("b"), ""),
        ("*", "*", "*", None, ""),
        ("/%u0041%zz%4", "/%u0041%zz%4", "/%u0041%zz%4", Some("%u0041%zz%4"), ""),
        ("", "", "", None, ""),
    ];
    for (target, filename, uri, base, query) in cases {
        let parts = RequestParts::of(b"GET", target.as_bytes(), b"HTTP/1.1");
        let (mut name, mut whole, mut line) = (Vec::new(), b"kept".to_vec(), Vec::new());
        parts.write_filename(&mut name);
        parts.write_uri(&mut whole);
        parts.write_line(&mut line);
        assert_eq!(name, filename.as_bytes(), "{target}");
        assert_eq!(whole, format!("kept{uri}").as_bytes(), "{target}");
        assert_eq!(line, format!("GET {target} HTTP/1.1").as_bytes());
        assert_eq!(basename(&name), base.map(str::as_bytes), "{target}");
        assert_eq!(parts.query, query.as_bytes(), "{target}");
    }
}

#[test]
fn queries_cookies_and_headers_are_split() {
    let mut seen = Vec::new();
    let mut each = |name: &[u8], value: &[u8]| seen.push((text(name), text(value)));
    cookies(b"  a = 1 ;;=x; b==2;c;d=\"1;2\"; e=%41+ \t", &mut each);
    let expected = [("a ", " 1 "), ("b", "=2"), ("c", ""), ("d", "\\\"1"), ("2\\\"", ""), ("e", "%41+")];
    assert_eq!(pairs(&seen), expected);
    let mut count = 0;
    assert!(!arguments(b"", b'&', &mut Scratch::new(), &mut |_, _| count += 1));
    assert!(arguments(b"%", b'&', &mut Scratch::new(), &mut |_, _| count += 1));
    assert_eq!(count, 1);

    assert_eq!(server_name(b"example.org:8080"), b"example.org");
    assert_eq!(server_name(b"[::1]:80"), b"[::1]");
    assert_eq!(server_name(b""), b"");
    let mut user = Vec::new();
    assert!(remote_user(b"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &mut user));
    assert_eq!((&user[..], auth_type(b"Bearer x")), (&b"Aladdin"[..], &b"Bearer"[..]));
    assert!(!remote_user(b"Basic QWxhZGRpbg==", &mut user) && user == b"Aladdin");
    assert!(!remote_user(b"Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &mut user));
    assert_eq!([content_length(b"10"), content_length(b"1x"), content_length(b"")], [Some(10), None, None]);
    assert_eq!(content_length(b"99999999999999999999"), None);
}

/// Bytes that parsers care about, mixed with any.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        prop::sample::select(vec![
            &b"--b"[..],
            b"--b--",
            b"\r\n",
            b"\n",
            b"--",
            b"Content-Disposition: form-data; name=\"a\"",
            b"; filename=f",
            b"\r\n\r\n",
            b"{\"a\":",
            b"[",
            b"]",
            b"}",
            b",",
            b"\"",
            b"\\u00e9",
            b"\\",
            b"1",
            b"true",
            b"<a>",
            b"</a>",
            b"<a b='",
            b"'>",
            b"&amp;",
            b"&#65;",
            b"<!DOCTYPE a [",
            b"<!ENTITY x 'y'>",
            b"]>",
            b"&x;",
            b"<![CDATA[",
            b"]]>",
            b"<?xml version='1.0'?>",
            b"%41",
            b"%",
            b"&",
            b"=",
            b"+",
            b";",
            b" ",
            b":",
            b"\xc3",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever comes, nothing panics, faults are inside the body, and what is reported is bounded.
    #[test]
    fn any_body_is_read_within_bounds(body in body(), quoted in any::<bool>()) {
        let limits = Limits { arguments: 20, depth: 10, parts: 10, part_headers: 5, reported: 400 };
        let mut scratch = Scratch::new();
        let kind = if quoted { "multipart/form-data; boundary=\"b\"" } else { TYPE };
        for parser in 0..4 {
            let mut seen = Seen::default();
            let mut flags = MultipartFlags::default();
            let result = match parser {
                0 => urlencoded(&body, b'&', &limits, &mut scratch, &mut seen).map(|_| ()),
                1 => json(&body, &limits, &mut scratch, &mut seen),
                2 => xml(&body, &limits, &mut scratch, &mut seen),
                _ => multipart(kind.as_bytes(), &body, &limits, &mut scratch, &mut flags, &mut seen),
            };
            if let Err(fault) = result {
                prop_assert!(fault.offset <= body.len(), "{}", fault);
                prop_assert!(parser != 3 || flags.strict_error());
            }
            prop_assert!(seen.args.len() <= 20 && seen.parts.len() <= 10);
            prop_assert!(seen.bytes <= 2 * 400 + body.len(), "{}", seen.bytes);
        }
    }

    /// A value that is encoded comes back as it was.
    #[test]
    fn forms_and_json_and_multipart_return_what_was_sent(value in "\\PC{0,40}") {
        let mut encoded = b"a=".to_vec();
        for byte in value.bytes() {
            encoded.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
        let mut seen = Seen::default();
        let invalid = urlencoded(&encoded, b'&', &Limits::default(), &mut Scratch::new(), &mut seen);
        prop_assert_eq!(invalid, Ok(false));
        let expected = vec![("a".to_owned(), text(value.as_bytes()))];
        prop_assert_eq!(&seen.args, &expected);

        let mut encoded = String::new();
        for unit in value.encode_utf16() {
            encoded += &format!("\\u{unit:04x}");
        }
        let (seen, result) = read_json(format!("{{\"a\":\"{encoded}\"}}").as_bytes());
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(pairs(&seen.args), vec![("json.a", expected[0].1.as_str())]);

        prop_assume!(!value.starts_with("--"));
        let (seen, _, result) = one("name=a", "", &value);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(&seen.args, &expected);
    }

    /// A body cut anywhere is a fault, or as short as it can be; what is reported is what comes first in the whole.
    #[test]
    fn cuts_are_faults(cut in 0usize..1000) {
        let good = br#"{"a":["x\ny",{"b":true}],"c":{"d":"e"},"f":null}"#;
        let at = cut % good.len();
        let (whole, (seen, result)) = (read_json(good).0, read_json(&good[..at]));
        prop_assert!(result.is_err() || at == 0);
        prop_assert!(whole.args.starts_with(&seen.args));

        let good = [part("name=a", "X: y\r\n", "1"), part("name=f; filename=g", "", "2"), "--b--".to_owned()].concat();
        let at = cut % good.len();
        prop_assert!(read_multipart(TYPE, &good.as_bytes()[..at]).2.is_err() || at == 0);

        let good = b"<a b='c'>d<e>f</e><![CDATA[g]]></a>";
        let at = cut % good.len();
        let (seen, result) = read_xml(&good[..at]);
        prop_assert!(result.is_err());
        prop_assert!("dfg".starts_with(seen.text.as_deref().unwrap_or_default()));
    }
}
