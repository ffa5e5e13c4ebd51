//! Which route takes a request.

use std::borrow::Cow;

use crate::config::HostPattern;

/// Routes in the order in which they are tried: narrower hosts first, then longer paths.
pub(crate) struct Router<T> {
    routes: Vec<(HostPattern, String, T)>,
}

impl<T> Router<T> {
    pub(crate) fn new(routes: impl IntoIterator<Item = (HostPattern, String, T)>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_by_key(|(host, path, _)| std::cmp::Reverse((host.rank(), path.len())));
        Router { routes }
    }

    /// The first route that takes the host (lower case, no port) and the path (normal).
    ///
    /// A host that has a route of its own does not fall back to the routes of all hosts for paths
    /// that it does not name: those may lead where the operator did not mean to let it.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&T> {
        let narrowest = self.routes.iter().find(|(pattern, _, _)| pattern.matches(host))?.0.rank();
        self.routes
            .iter()
            .filter(|(pattern, _, _)| pattern.rank() == narrowest && pattern.matches(host))
            .find(|(_, prefix, _)| is_prefix(prefix, path))
            .map(|(_, _, route)| route)
    }
}

/// Whether `path` begins with all segments of `prefix`.
fn is_prefix(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// The path as routes compare it: percent-encoded unreserved characters decoded, empty and `.`
/// segments dropped, `..` resolved. The upstream is sent the path as it came; this is only so that
/// no spelling of a path leads around the chain that guards it.
pub(crate) fn normal_path(path: &str) -> Cow<'_, str> {
    let plain = |segment: &str| !matches!(segment, "" | "." | "..");
    let trailing = path.ends_with('/');
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if path.starts_with('/')
        && !path.contains(['%', '\\'])
        && (inner.is_empty() && path == "/" || inner.split('/').all(plain))
    {
        return Cow::Borrowed(path);
    }
    // Some servers take a backslash for a slash, and nothing of value is spelled with one.
    let decoded = decode(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len() + 1);
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() || trailing {
        normal.push('/');
    }
    Cow::Owned(normal)
}

/// Decodes `%hh` where that is visible ASCII other than `%`; everything else stays as it is.
fn decode(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let byte = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_graphic() && byte != b'%' => {
                decoded.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Router<usize> {
        Router::new(
            routes.iter().enumerate().map(|(n, (host, path))| (host.parse().unwrap(), (*path).to_owned(), n)),
        )
    }

    #[test]
    fn the_narrowest_host_and_the_longest_path_win() {
        let router = router(&[
            ("*", "/"),
            ("*.example.org", "/"),
            ("www.example.org", "/"),
            ("www.example.org", "/api"),
            ("www.example.org", "/api/v2/"),
            ("*.deep.example.org", "/only"),
        ]);
        for (host, path, expected) in [
            ("elsewhere.net", "/api", Some(0)),
            ("", "/", Some(0)),
            ("a.example.org", "/api", Some(1)),
            ("www.example.org", "/", Some(2)),
            ("www.example.org", "/apis", Some(2)),
            ("www.example.org", "/api", Some(3)),
            ("www.example.org", "/api/v2", Some(3)),
            ("www.example.org", "/api/v2/x", Some(4)),
            ("x.deep.example.org", "/only/this", Some(5)),
            ("x.deep.example.org", "/", None),
        ] {
            assert_eq!(router.find(host, path).copied(), expected, "{host}{path}");
        }
    }

    #[test]
    fn no_spelling_leads_around_a_prefix() {
        for spelled in [
            "/admin/x",
            "//admin/x",
            "/./admin/x",
            "/public/../admin/x",
            "/%61dmin/x",
            "/%61%64min%2Fx",
            "/public/%2e%2E/admin/x",
            "/..;/../admin/x",
            "\\admin\\x",
        ] {
            assert_eq!(normal_path(spelled), "/admin/x", "{spelled}");
        }
        for (spelled, normal) in [
            ("/", "/"),
            ("", "/"),
            ("/a/", "/a/"),
            ("/..", "/"),
            ("/a%20b/%", "/a%20b/%"),
            ("/%c3%a9", "/%c3%a9"),
        ] {
            assert_eq!(normal_path(spelled), normal, "{spelled}");
        }
    }
}
