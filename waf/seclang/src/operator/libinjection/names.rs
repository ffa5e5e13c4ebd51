//! Names of HTML that run script, or lead to it.
//!
//! The sets are libinjection's (BSD-3-Clause, see `COPYING` in this folder).

/// What an attribute's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Harmless,
    /// Dangerous with any value.
    Black,
    /// Its value is a URL.
    Url,
    /// Its value is a style, dangerous in any case.
    Style,
    /// Its value is the name of an attribute.
    Indirect,
}

pub(super) const ATTRIBUTES: &[(&[u8], Attribute)] = &[
    (b"action", Attribute::Url),
    (b"attributename", Attribute::Indirect),
    (b"by", Attribute::Url),
    (b"background", Attribute::Url),
    (b"dataformatas", Attribute::Black),
    (b"datasrc", Attribute::Black),
    (b"dynsrc", Attribute::Url),
    (b"filter", Attribute::Style),
    (b"formaction", Attribute::Url),
    (b"folder", Attribute::Url),
    (b"from", Attribute::Url),
    (b"handler", Attribute::Url),
    (b"href", Attribute::Url),
    (b"lowsrc", Attribute::Url),
    (b"poster", Attribute::Url),
    (b"src", Attribute::Url),
    (b"style", Attribute::Style),
    (b"to", Attribute::Url),
    (b"values", Attribute::Url),
    (b"xlink:href", Attribute::Url),
];

pub(super) const ELEMENTS: &[&[u8]] = &[
    b"applet",
    b"base",
    b"comment",
    b"embed",
    b"frame",
    b"frameset",
    b"handler",
    b"iframe",
    b"import",
    b"isindex",
    b"link",
    b"listener",
    b"meta",
    b"noscript",
    b"object",
    b"script",
    b"style",
    b"vmlframe",
    b"xml",
    b"xss",
];

/// Schemes of URLs, in upper case, as far as they need to be told.
pub(super) const SCHEMES: &[&[u8]] = &[b"DATA", b"VIEW-SOURCE", b"JAVA", b"VBSCRIPT"];

/// The starts of the names of events, without `on`, in order. A name that starts with another one is
/// not listed.
#[rustfmt::skip]
static EVENTS: [&[u8]; 254] = [
    b"abort", b"activate", b"active", b"addsourcebuffer", b"addstream", b"addtrack", b"afterprint",
    b"animationcancel", b"animationend", b"animationiteration", b"animationstart", b"audioend",
    b"audioprocess", b"audiostart", b"autocomplete", b"beforeactivate", b"beforecopy", b"beforecut",
    b"beforeinput", b"beforeload", b"beforepaste", b"beforeprint", b"beforeunload", b"beginevent",
    b"blocked", b"blur", b"boundary", b"bufferedamountlow", b"cached", b"cancel", b"canplay", b"change",
    b"chargingchange", b"chargingtimechange", b"checking", b"click", b"close", b"complete",
    b"compositionend", b"compositionstart", b"compositionupdate", b"connect", b"contextmenu",
    b"controllerchange", b"copy", b"cuechange", b"cut", b"dataavailable", b"datachannel", b"dblclick",
    b"devicechange", b"devicemotion", b"deviceorientation", b"dischargingtimechange", b"disconnect",
    b"domactivate", b"domcharacterdatamodified", b"domcontentloaded", b"domfocusin", b"domfocusout",
    b"domnodeinserted", b"domnoderemoved", b"domsubtreemodified", b"downloading", b"drag", b"drop",
    b"durationchange", b"emptied", b"encrypted", b"end", b"enter", b"error", b"exit", b"fetch", b"finish",
    b"focus", b"formchange", b"forminput", b"gamepadconnected", b"gamepaddisconnected", b"gesturechange",
    b"gestureend", b"gesturescrollend", b"gesturescrollstart", b"gesturescrollupdate", b"gesturestart",
    b"gesturetap", b"gotpointercapture", b"hashchange", b"icecandidate", b"iceconnectionstatechange",
    b"icegatheringstatechange", b"inactive", b"input", b"install", b"invalid", b"keydown", b"keypress",
    b"keystatuseschange", b"keyup", b"languagechange", b"leavepictureinpicture", b"levelchange", b"load",
    b"lostpointercapture", b"mark", b"merchantvalidation", b"message", b"mousedown", b"mouseenter",
    b"mouseleave", b"mousemove", b"mouseout", b"mouseover", b"mouseup", b"mousewheel", b"mute",
    b"negotiationneeded", b"nexttrack", b"nomatch", b"noupdate", b"obsolete", b"offline", b"online",
    b"open", b"orientationchange", b"overconstrained", b"overflowchanged", b"pagehide", b"pageshow",
    b"paste", b"pause", b"payerdetailchange", b"paymentauthorized", b"paymentmethodchange",
    b"paymentmethodselected", b"play", b"pointercancel", b"pointerdown", b"pointerenter", b"pointerleave",
    b"pointerlockchange", b"pointerlockerror", b"pointermove", b"pointerout", b"pointerover", b"pointerup",
    b"popstate", b"previoustrack", b"processorerror", b"progress", b"propertychange", b"ratechange",
    b"readystatechange", b"rejectionhandled", b"remove", b"reset", b"resize", b"resourcetimingbufferfull",
    b"result", b"resume", b"scroll", b"search", b"securitypolicyviolation", b"seeked", b"seeking",
    b"select", b"shippingaddresschange", b"shippingcontactselected", b"shippingmethodselected",
    b"shippingoptionchange", b"show", b"signalingstatechange", b"slotchange", b"soundend", b"soundstart",
    b"sourceclose", b"sourceended", b"sourceopen", b"speechend", b"speechstart", b"squeeze", b"stalled",
    b"start", b"statechange", b"stop", b"storage", b"submit", b"success", b"suspend", b"textinput",
    b"timeout", b"timeupdate", b"toggle", b"tonechange", b"touchcancel", b"touchend", b"touchforcechange",
    b"touchmove", b"touchstart", b"track", b"transitioncancel", b"transitionend", b"transitionrun",
    b"transitionstart", b"uncapturederror", b"unhandledrejection", b"unload", b"unmute", b"update",
    b"upgradeneeded", b"validatemerchant", b"versionchange", b"visibilitychange", b"volumechange",
    b"waiting", b"webglcontextchanged", b"webglcontextcreationerror", b"webglcontextlost",
    b"webglcontextrestored", b"webkitanimationend", b"webkitanimationiteration", b"webkitanimationstart",
    b"webkitbeforetextinserted", b"webkitbeginfullscreen", b"webkitcurrentplaybacktargetiswirelesschanged",
    b"webkitendfullscreen", b"webkitfullscreenchange", b"webkitfullscreenerror", b"webkitkeyadded",
    b"webkitkeyerror", b"webkitkeymessage", b"webkitmouseforcechanged", b"webkitmouseforcedown",
    b"webkitmouseforceup", b"webkitmouseforcewillbegin", b"webkitneedkey", b"webkitnetworkinfochange",
    b"webkitplaybacktargetavailabilitychanged", b"webkitpresentationmodechanged",
    b"webkitregionoversetchange", b"webkitremovesourcebuffer", b"webkitsourceclose", b"webkitsourceended",
    b"webkitsourceopen", b"webkitspeechchange", b"webkittransitionend", b"webkitwillrevealbottom",
    b"webkitwillrevealleft", b"webkitwillrevealright", b"webkitwillrevealtop", b"wheel", b"write", b"zoom",
];

/// How long the longest is.
const LONGEST: usize = 44;

/// Whether what follows `on` in an attribute's name starts with the name of an event.
pub(super) fn is_event(name: &[u8]) -> bool {
    let mut lower = [0; LONGEST];
    for (to, byte) in lower.iter_mut().zip(name) {
        *to = byte.to_ascii_lowercase();
    }
    // None starts with another, so only the last one that is not above the name can be its start.
    let after = EVENTS.partition_point(|event| *event <= lower.as_slice());
    after.checked_sub(1).and_then(|at| EVENTS.get(at)).is_some_and(|event| lower.starts_with(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_by_their_starts() {
        assert!(EVENTS.windows(2).all(|pair| pair[0] < pair[1] && !pair[1].starts_with(pair[0])));
        assert!(EVENTS.iter().all(|event| event.len() <= LONGEST && is_event(event)));
        assert!(is_event(b"CLICK") && is_event(b"clickety") && is_event(b"webkitkeyaddedX"));
        for none in [&b""[..], b"clic", b"zz", b"\xff", b"a"] {
            assert!(!is_event(none), "{}", none.escape_ascii());
        }
    }
}
