//! Bodies in several pieces: the native engine gets them whole, a module in chunks.

use picket::regression::Native;
use picket_ftw::{Engine as _, Exchange};
use picket_tests::backends;

use crate::{crs, noise, operators_rules, request, sandbox};

const WORDS: [&str; 8] = ["lorem", "garden", "Anna", "London", "blue", "delivery", "morning", "window"];

fn prose(length: usize, seed: usize) -> String {
    let mut text = String::new();
    for n in seed.. {
        if text.len() >= length {
            break;
        }
        text.push_str(WORDS[(n * n + n / 3) % WORDS.len()]);
        text.push(' ');
    }
    text
}

/// A JSON document of about that size: few values, each of some length.
fn json(length: usize) -> Vec<u8> {
    let mut orders = Vec::new();
    for n in 0.. {
        if n * 512 >= length {
            break;
        }
        orders.push(serde_json::json!({ "id": n, "note": prose(480, n) }));
    }
    serde_json::json!({ "orders": orders }).to_string().into_bytes()
}

fn multipart(file: &[u8], field: &str) -> Vec<u8> {
    let mut body = format!(
        "--Xa83kfl2\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n{field}\r\n\
         --Xa83kfl2\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--Xa83kfl2--\r\n");
    body
}

fn cases() -> Vec<(&'static str, Exchange, Option<u16>)> {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    const MULTIPART: &str = "multipart/form-data; boundary=Xa83kfl2";
    let sql = "1' UNION SELECT login,password FROM users-- -";
    let post = |kind, body: &[u8]| request("/account", &[], Some((kind, body)));
    let with_attack = |body: Vec<u8>| {
        let mut body = String::from_utf8(body).expect("it is text");
        body.insert_str(body.len() - 3, &format!(",\"last\":\"{sql}\""));
        body.into_bytes()
    };
    vec![
        ("JSON, 64 KiB", post(JSON, &json(64 << 10)), None),
        ("JSON, 64 KiB, attack at its end", post(JSON, &with_attack(json(64 << 10))), Some(403)),
        ("JSON, 200 KiB", post(JSON, &json(200 << 10)), Some(413)),
        ("JSON, 200 KiB, attack", post(JSON, &with_attack(json(200 << 10))), Some(413)),
        (
            "form, 40 KiB",
            post(FORM, format!("text={}", prose(40 << 10, 1).replace(' ', "+")).as_bytes()),
            None,
        ),
        ("multipart, 8 KiB", post(MULTIPART, &multipart(&noise(8 << 10), "Holiday")), None),
        ("multipart, 16 KiB", post(MULTIPART, &multipart(&noise(16 << 10), "Holiday")), None),
        ("multipart, 100 KiB", post(MULTIPART, &multipart(&noise(100 << 10), "Holiday")), None),
        ("multipart, 1 MiB", post(MULTIPART, &multipart(&noise(1 << 20), "Holiday")), None),
        ("multipart, attack", post(MULTIPART, &multipart(&noise(40 << 10), sql)), Some(403)),
        ("bytes, 100 KiB", post("application/octet-stream", &noise(100 << 10)), Some(403)),
    ]
}

/// A body is judged the same whatever pieces it comes in.
#[test]
fn verdicts_do_not_depend_on_the_pieces() {
    let Some(crs) = crs() else { return };
    let rules = operators_rules(crs, 1);
    let mut native = Native::new(rules.blob.clone()).expect("what was just compiled is sound");
    let mut wrong = Vec::new();
    for (what, exchange, expected) in &cases() {
        let one = native.run(exchange).expect("the native engine runs everything");
        let ids = |observed: &picket_ftw::Observed| -> Vec<u32> {
            observed.rules.iter().map(|rule| rule.id).collect()
        };
        println!("{what}: {:?} by {:?}", one.interruption, ids(&one));
        for backend in backends() {
            let two = match sandbox(&**backend, &rules).run(exchange) {
                Ok(two) => two,
                Err(error) => {
                    wrong.push(format!("{what}: {}: {error}", backend.name()));
                    continue;
                }
            };
            if (one.interruption, ids(&one)) != (two.interruption, ids(&two)) {
                let shown: Vec<_> = two
                    .rules
                    .iter()
                    .map(|rule| (rule.id, &rule.msg, &rule.var_name, &rule.var_value))
                    .collect();
                wrong.push(format!(
                    "{what}: native {:?}, {} {:?} {shown:?}",
                    one.interruption,
                    backend.name(),
                    two.interruption
                ));
            }
        }
        if one.interruption != *expected {
            let shown: Vec<_> =
                one.rules.iter().map(|rule| (rule.id, &rule.msg, &rule.var_name, &rule.var_value)).collect();
            wrong.push(format!("{what}: {:?} instead of {expected:?}: {shown:?}", one.interruption));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
