//! A content in the forms it is sent in, made once and shared by every answer; and its way out in small slices.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, MessageBody},
    http::header::HeaderValue,
    web::Bytes,
};
use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, write::GzEncoder};

use crate::accept::{Accepted, Encoding};

/// Larger contents are not compressed by brotli: at that size it costs more time than publishing may take.
const MOST_FOR_BROTLI: usize = 1 << 20;
/// A page of 50 services takes a third of a millisecond. From 5 on a tenth smaller, for 2.5 MiB more of memory; and with
/// small windows, fifty times the time.
const BROTLI_QUALITY: i32 = 3;
/// What is compressed once gets a tenth smaller for some milliseconds; beyond it, for ten times as many.
const LASTING_BROTLI_QUALITY: i32 = 9;
/// A page of 10,000 services takes some 20 ms; from 6 on ten times that for a percent.
const GZIP_LEVEL: u32 = 5;
/// What a connection takes at once: a page of two hundred services goes out in one write, which is a third faster than
/// in pieces of 64 KiB.
const SLICE: usize = 256 * 1024;

/// One content in every form it is sent in: the smaller of the compressed ones first, the identity last.
#[derive(Debug, Clone)]
pub struct Body {
    forms: Vec<Form>,
}

/// A content as it travels.
#[derive(Debug, Clone)]
pub struct Form {
    /// How it is encoded.
    pub encoding: Encoding,
    /// What is sent.
    pub bytes: Bytes,
    /// A strong `ETag`: other bytes have another, and so has another form of the same content.
    pub tag: HeaderValue,
}

impl Body {
    /// Compresses what soon is another.
    pub fn new(content: impl Into<Bytes>) -> Body {
        Body::compressed(content.into(), BROTLI_QUALITY)
    }

    /// Compresses what stays as it is as long as this process.
    pub fn lasting(content: impl Into<Bytes>) -> Body {
        Body::compressed(content.into(), LASTING_BROTLI_QUALITY)
    }

    /// Compresses quickly what is sent once.
    pub fn soon_gone(content: impl Into<Bytes>) -> Body {
        let content = content.into();
        let digest = digest(&content);
        let form = |encoding: Encoding, bytes: Bytes| Form { encoding, bytes, tag: tag(digest, encoding) };
        let forms = vec![form(Encoding::Gzip, gzip(&content, 1)), form(Encoding::Identity, content.clone())];
        Body { forms }
    }

    fn compressed(content: Bytes, quality: i32) -> Body {
        let digest = digest(&content);
        let form = |encoding: Encoding, bytes: Bytes| Form { encoding, bytes, tag: tag(digest, encoding) };
        let mut forms = Vec::with_capacity(3);
        if content.len() <= MOST_FOR_BROTLI {
            forms.push(form(Encoding::Brotli, brotli(&content, quality)));
        }
        forms.push(form(Encoding::Gzip, gzip(&content, GZIP_LEVEL)));
        forms.sort_by_key(|form| form.bytes.len());
        forms.push(form(Encoding::Identity, content));
        Body { forms }
    }

    /// Leaves it as it is: what is compressed by itself only grows.
    pub fn as_it_is(content: impl Into<Bytes>) -> Body {
        let content = content.into();
        let tag = tag(digest(&content), Encoding::Identity);
        Body { forms: vec![Form { encoding: Encoding::Identity, bytes: content, tag }] }
    }

    /// The form a client likes best; the smaller one where it likes two the same. One that accepts nothing there is
    /// gets the content as it is: RFC 9110, 12.4.1, leaves that beside 406, and the state of things is worth more to
    /// anybody than a refusal.
    pub fn best(&self, accepted: &Accepted) -> &Form {
        let liked = self.forms.iter().rev().filter(|form| accepted.weight(form.encoding) > 0);
        liked.max_by_key(|form| accepted.weight(form.encoding)).unwrap_or(self.identity())
    }

    /// The content as it is.
    pub fn identity(&self) -> &Form {
        self.forms.last().expect("every content has this form")
    }
}

impl Form {
    /// Whether an `If-None-Match` names it: compared weakly (RFC 9110, 13.1.2), since a proxy that compresses makes a tag
    /// weak. Another form of the same content is another thing: who names it may no longer accept it.
    pub fn is_named(&self, if_none_match: &str) -> bool {
        // No tag holds a quote, so none can begin or end within another.
        if_none_match.split(',').map(str::trim).any(|tag| {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || self.tag == opaque
        })
    }
}

/// Tells contents apart, nothing more.
fn digest(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

fn tag(digest: u64, encoding: Encoding) -> HeaderValue {
    let text = match encoding.name() {
        None => format!("\"{digest:016x}\""),
        Some(name) => format!("\"{digest:016x}-{name}\""),
    };
    HeaderValue::from_str(&text).expect("digits and letters")
}

fn gzip(content: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes every byte").into()
}

fn brotli(content: &[u8], quality: i32) -> Bytes {
    // A window as wide as the content: a wider one takes memory and finds no more.
    let lgwin = (usize::BITS - content.len().leading_zeros()).clamp(10, 24).cast_signed();
    let parameters =
        BrotliEncoderParams { quality, lgwin, size_hint: content.len(), ..BrotliEncoderParams::default() };
    let mut compressed = Vec::new();
    let written = brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters);
    written.expect("memory takes every byte");
    compressed.into()
}

/// Bytes on their way out. The server copies what it is given into the buffer of the connection, so that a page of
/// many megabytes would lie in memory once for each visitor who loads it.
#[derive(Debug)]
pub struct Slices(Bytes);

impl Slices {
    /// All of them, not copied.
    pub fn of(bytes: &Bytes) -> Slices {
        Slices(bytes.clone())
    }
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.0.len().min(SLICE);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decoded(form: &Form) -> Vec<u8> {
        let (mut content, bytes) = (Vec::new(), &form.bytes[..]);
        match form.encoding {
            Encoding::Identity => content.extend_from_slice(bytes),
            Encoding::Gzip => {
                flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
            }
            Encoding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content).unwrap();
            }
        }
        content
    }

    /// Text like that of the page, of about this size.
    fn page(bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes + 64);
        for n in 0u64.. {
            if text.len() >= bytes {
                break;
            }
            writeln!(text, "<p>Service {n}: {} ms</p>", n.wrapping_mul(2_654_435_761) % 997).unwrap();
        }
        text.truncate(bytes);
        text
    }

    fn encodings(body: &Body) -> Vec<Encoding> {
        body.forms.iter().map(|form| form.encoding).collect()
    }

    #[test]
    fn every_form_decodes_to_the_content_and_none_is_larger() {
        for size in [100, 17_000, 300_000, MOST_FOR_BROTLI, MOST_FOR_BROTLI + 1] {
            let content = page(size);
            let body = Body::new(content.clone());
            assert!(body.forms.iter().all(|form| decoded(form) == content), "{size}");
            assert!(body.forms.is_sorted_by_key(|form| form.bytes.len()), "{size}: the smallest first");
        }
        for form in Body::new(Vec::new()).forms {
            assert_eq!(decoded(&form), b"");
        }
    }

    #[test]
    fn above_a_mebibyte_there_is_no_brotli() {
        use Encoding::{Brotli, Gzip, Identity};
        assert_eq!(encodings(&Body::new(page(MOST_FOR_BROTLI))), [Brotli, Gzip, Identity]);
        let large = Body::new(page(MOST_FOR_BROTLI + 1));
        assert_eq!(encodings(&large), [Gzip, Identity]);
        assert_eq!(large.best(&Accepted::of(["gzip;q=0.1, br"])).encoding, Gzip);
        assert_eq!(large.best(&Accepted::of(["br"])).encoding, Identity);
    }

    #[test]
    fn a_client_gets_the_form_that_it_likes_best() {
        use Encoding::{Brotli, Gzip, Identity};
        let body = Body::new(page(1_000));
        for (field, expected) in [
            ("", Identity),
            ("deflate, zstd", Identity),
            ("gzip", Gzip),
            ("br", Brotli),
            ("gzip, deflate, br, zstd", Brotli),
            ("gzip;q=1.0, br;q=0.9", Gzip),
            ("gzip;q=0.5, br;q=0.5, identity;q=0.6", Identity),
            ("gzip;q=0.001", Gzip),
            ("*", Brotli),
            ("*, br;q=0", Gzip),
            ("identity;q=0", Identity),
            ("identity;q=0, deflate", Identity),
            ("*;q=0", Identity),
            ("br;q=0, gzip;q=0", Identity),
        ] {
            assert_eq!(body.best(&Accepted::of([field])).encoding, expected, "{field}");
        }
    }

    #[test]
    fn every_form_of_every_content_has_a_strong_tag_of_its_own() {
        let tags = |content: &'static str| Body::new(content).forms.into_iter().map(|form| form.tag);
        let mut all: Vec<_> = tags("a").chain(tags("b")).collect();
        assert!(all.iter().all(|tag| tag.as_bytes().starts_with(b"\"") && tag.as_bytes().ends_with(b"\"")));
        assert!(tags("a").eq(tags("a")), "another process gives the same");
        all.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_tag_names_its_form_weak_or_strong_and_no_other() {
        let (body, other) = (Body::new("a"), Body::new("b"));
        for form in &body.forms {
            let tag = form.tag.to_str().unwrap();
            for named in
                [tag.to_owned(), format!("W/{tag}"), format!("\"x\" , W/{tag}"), format!("{tag},\"\"")]
            {
                assert!(form.is_named(&named), "{named}");
                let others = body.forms.iter().chain(&other.forms).filter(|other| other.tag != form.tag);
                assert!(others.into_iter().all(|other| !other.is_named(&named)), "{named}");
            }
            for unnamed in [tag.trim_matches('"').to_owned(), format!("w/{tag}"), tag.replace('"', "'")] {
                assert!(!form.is_named(&unnamed), "{unnamed}");
            }
            assert!(form.is_named("*") && form.is_named(" * "));
            assert!(!form.is_named("") && !form.is_named("\"x\", W/\"y\"") && !form.is_named("\"*\""));
        }
    }

    #[test]
    fn slices_are_the_bytes_and_none_is_large() {
        for size in [0, 1, SLICE, SLICE + 1, 3 * SLICE + 7] {
            let bytes = Bytes::from(page(size));
            let mut slices = Slices::of(&bytes);
            assert_eq!(slices.size(), BodySize::Sized(size as u64));
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut sent = Vec::new();
            while let Poll::Ready(Some(Ok(slice))) = Pin::new(&mut slices).poll_next(&mut context) {
                assert!((1..=SLICE).contains(&slice.len()));
                sent.extend_from_slice(&slice);
            }
            assert_eq!(sent, bytes);
        }
    }
}
