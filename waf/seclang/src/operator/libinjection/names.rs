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

/// The starts of the names of events, without `on`, by their first letter, which is left out, and
/// separated by commas. A name that starts with another one is not listed.
const EVENTS: [&str; 26] = [
    "bort,ctivate,ctive,ddsourcebuffer,ddstream,ddtrack,fterprint,nimationcancel,\
     nimationend,nimationiteration,nimationstart,udioend,udioprocess,udiostart,\
     utocomplete",
    "eforeactivate,eforecopy,eforecut,eforeinput,eforeload,eforepaste,eforeprint,\
     eforeunload,eginevent,locked,lur,oundary,ufferedamountlow",
    "ached,ancel,anplay,hange,hargingchange,hargingtimechange,hecking,lick,lose,\
     omplete,ompositionend,ompositionstart,ompositionupdate,onnect,ontextmenu,\
     ontrollerchange,opy,uechange,ut",
    "ataavailable,atachannel,blclick,evicechange,evicemotion,eviceorientation,\
     ischargingtimechange,isconnect,omactivate,omcharacterdatamodified,omcontentloaded,\
     omfocusin,omfocusout,omnodeinserted,omnoderemoved,omsubtreemodified,ownloading,rag,\
     rop,urationchange",
    "mptied,ncrypted,nd,nter,rror,xit",
    "etch,inish,ocus,ormchange,orminput",
    "amepadconnected,amepaddisconnected,esturechange,estureend,esturescrollend,\
     esturescrollstart,esturescrollupdate,esturestart,esturetap,otpointercapture",
    "ashchange",
    "cecandidate,ceconnectionstatechange,cegatheringstatechange,nactive,nput,nstall,\
     nvalid",
    "",
    "eydown,eypress,eystatuseschange,eyup",
    "anguagechange,eavepictureinpicture,evelchange,oad,ostpointercapture",
    "ark,erchantvalidation,essage,ousedown,ouseenter,ouseleave,ousemove,ouseout,\
     ouseover,ouseup,ousewheel,ute",
    "egotiationneeded,exttrack,omatch,oupdate",
    "bsolete,ffline,nline,pen,rientationchange,verconstrained,verflowchanged",
    "agehide,ageshow,aste,ause,ayerdetailchange,aymentauthorized,aymentmethodchange,\
     aymentmethodselected,lay,ointercancel,ointerdown,ointerenter,ointerleave,\
     ointerlockchange,ointerlockerror,ointermove,ointerout,ointerover,ointerup,opstate,\
     revioustrack,rocessorerror,rogress,ropertychange",
    "",
    "atechange,eadystatechange,ejectionhandled,emove,eset,esize,esourcetimingbufferfull,\
     esult,esume",
    "croll,earch,ecuritypolicyviolation,eeked,eeking,elect,hippingaddresschange,\
     hippingcontactselected,hippingmethodselected,hippingoptionchange,how,\
     ignalingstatechange,lotchange,oundend,oundstart,ourceclose,ourceended,ourceopen,\
     peechend,peechstart,queeze,talled,tart,tatechange,top,torage,ubmit,uccess,uspend",
    "extinput,imeout,imeupdate,oggle,onechange,ouchcancel,ouchend,ouchforcechange,\
     ouchmove,ouchstart,rack,ransitioncancel,ransitionend,ransitionrun,ransitionstart",
    "ncapturederror,nhandledrejection,nload,nmute,pdate,pgradeneeded",
    "alidatemerchant,ersionchange,isibilitychange,olumechange",
    "aiting,ebglcontextchanged,ebglcontextcreationerror,ebglcontextlost,\
     ebglcontextrestored,ebkitanimationend,ebkitanimationiteration,ebkitanimationstart,\
     ebkitbeforetextinserted,ebkitbeginfullscreen,\
     ebkitcurrentplaybacktargetiswirelesschanged,ebkitendfullscreen,ebkitfullscreenchange,\
     ebkitfullscreenerror,ebkitkeyadded,ebkitkeyerror,ebkitkeymessage,\
     ebkitmouseforcechanged,ebkitmouseforcedown,ebkitmouseforceup,ebkitmouseforcewillbegin,\
     ebkitneedkey,ebkitnetworkinfochange,ebkitplaybacktargetavailabilitychanged,\
     ebkitpresentationmodechanged,ebkitregionoversetchange,ebkitremovesourcebuffer,\
     ebkitsourceclose,ebkitsourceended,ebkitsourceopen,ebkitspeechchange,\
     ebkittransitionend,ebkitwillrevealbottom,ebkitwillrevealleft,ebkitwillrevealright,\
     ebkitwillrevealtop,heel,rite",
    "",
    "",
    "oom",
];

/// Whether what follows `on` in an attribute's name starts with the name of an event.
pub(super) fn is_event(name: &[u8]) -> bool {
    let [first, rest @ ..] = name else { return false };
    let letter = first.to_ascii_lowercase().wrapping_sub(b'a');
    let Some(list) = EVENTS.get(usize::from(letter)).filter(|list| !list.is_empty()) else { return false };
    list.as_bytes()
        .split(|b| *b == b',')
        .any(|event| rest.get(..event.len()).is_some_and(|start| start.eq_ignore_ascii_case(event)))
}
