//! Which variables the engine keeps values of.

use crate::Variable;

/// Whether the engine keeps values of the variable, so that they can be scanned: only stored
/// variables have slots ([`VariableInfo`](super::VariableInfo)), and only a rule all of whose targets are stored (and not
/// counted) can be [`flag::SCANNED`](super::flag::SCANNED). The values of all others are worked out when a rule asks.
///
/// A scalar that is stored has one value in each phase from the one in which it becomes known, empty
/// where the message has none, as in ModSecurity 3; the values of `XML:/*` and `XML://@*` are as
/// many as the body has.
#[must_use]
pub const fn is_stored(variable: Variable) -> bool {
    matches!(
        variable,
        Variable::Args
            | Variable::ArgsGet
            | Variable::ArgsPost
            | Variable::ArgsNames
            | Variable::ArgsGetNames
            | Variable::ArgsPostNames
            | Variable::QueryString
            | Variable::RequestUri
            | Variable::RequestUriRaw
            | Variable::RequestFilename
            | Variable::RequestBasename
            | Variable::PathInfo
            | Variable::RequestLine
            | Variable::RequestMethod
            | Variable::RequestProtocol
            | Variable::RequestHeaders
            | Variable::RequestHeadersNames
            | Variable::RequestCookies
            | Variable::RequestCookiesNames
            | Variable::RequestBody
            | Variable::FullRequest
            | Variable::Files
            | Variable::FilesNames
            | Variable::FilesSizes
            | Variable::FilesTmpContent
            | Variable::MultipartFilename
            | Variable::MultipartName
            | Variable::MultipartPartHeaders
            | Variable::RemoteAddr
            | Variable::RemoteHost
            | Variable::RemoteUser
            | Variable::ServerName
            | Variable::AuthType
            | Variable::UniqueId
            | Variable::ResponseStatus
            | Variable::ResponseProtocol
            | Variable::ResponseHeaders
            | Variable::ResponseHeadersNames
            | Variable::ResponseContentType
            | Variable::ResponseBody
            | Variable::StatusLine
            | Variable::Xml
            | Variable::XmlAttributes
    )
}
