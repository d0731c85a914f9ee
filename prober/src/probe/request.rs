//! What is sent: the head of a request.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use ureq::http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONNECTION, HOST},
};
use url::Url;

use super::redirect::wire_form;
use crate::{
    broken::Broken,
    target::{Method, Target},
};

/// A request for `url`. Custom headers and the credentials of the target's URL go along only where the
/// target's own origin is asked (`at_origin`); custom headers weigh more than ours.
pub(super) fn request(
    target: &Target,
    method: Method,
    url: &Url,
    at_origin: bool,
) -> Result<Request<()>, Broken> {
    let mut request = Request::new(());
    *request.method_mut() = method.into();
    *request.uri_mut() = wire_form(url).ok_or(Broken::Request("its URL can't be sent"))?;
    let headers = request.headers_mut();
    // The connection is closed after the answer whatever the server thinks: then it may as well know.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if at_origin {
        add_own(headers, target)?;
    }
    Ok(request)
}

impl From<Method> for ureq::http::Method {
    fn from(method: Method) -> ureq::http::Method {
        match method {
            Method::Head => ureq::http::Method::HEAD,
            Method::Get => ureq::http::Method::GET,
        }
    }
}

fn add_own(headers: &mut HeaderMap, target: &Target) -> Result<(), Broken> {
    if let Some(credentials) = basic_credentials(&target.url) {
        headers.insert(AUTHORIZATION, credentials);
    }
    let custom =
        target.headers.iter().map(|(name, value)| parse(name, value)).collect::<Result<Vec<_>, _>>()?;
    for (name, _) in &custom {
        headers.remove(name);
    }
    for (name, value) in custom {
        // Two hosts in one request would be refused before it is sent.
        if name == HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    Ok(())
}

fn parse(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Broken> {
    let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
    let (Ok(name), Ok(mut value)) = parsed else {
        return Err(Broken::Request("one of its headers can't be sent"));
    };
    value.set_sensitive(true);
    Ok((name, value))
}

/// RFC 7617, in UTF-8, of a URL's userinfo.
fn basic_credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(value).expect("base64 is ASCII");
    value.set_sensitive(true);
    Some(value)
}
