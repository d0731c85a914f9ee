//! `logo`: a small image file, read once, known for what it is and how large it is shown.

use std::{io::ErrorKind, path::Path};

use imagesize::{ImageType, blob_size, image_type};
use roxmltree::{Document, Node, ParsingOptions};
use shared::{printable::one_line, written::file};

use super::reading::Entry;

/// It is loaded by every visitor.
const LONGEST_FILE: u64 = 64 * 1024;
/// Where it is shown, in CSS pixels: never larger than this and never distorted.
const WIDEST: f64 = 220.0;
const TALLEST: f64 = 40.0;
/// Of what the reader of an SVG says, in characters: it may quote the file.
const LONGEST_REASON: usize = 200;
const SVG: &str = "http://www.w3.org/2000/svg";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Drawn by the browser; may hold scripts, which never run.
    Svg,
    /// Pixels.
    Png,
    /// Pixels.
    Webp,
    /// Pixels.
    Jpeg,
}

/// The logo.
#[derive(Debug, Clone, PartialEq)]
pub struct Logo {
    /// What it is.
    pub kind: Kind,
    /// The file.
    pub bytes: Vec<u8>,
    /// As it is shown, in CSS pixels.
    pub width: u32,
    /// As it is shown, in CSS pixels.
    pub height: u32,
}

impl Kind {
    fn of_ending(path: &Path) -> Option<Kind> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "svg" => Some(Kind::Svg),
            "png" => Some(Kind::Png),
            "webp" => Some(Kind::Webp),
            "jpg" | "jpeg" => Some(Kind::Jpeg),
            _ => None,
        }
    }

    fn of_content(bytes: &[u8]) -> Option<Kind> {
        let begin = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
        match image_type(bytes) {
            Ok(ImageType::Png) => Some(Kind::Png),
            Ok(ImageType::Webp) => Some(Kind::Webp),
            Ok(ImageType::Jpeg) => Some(Kind::Jpeg),
            _ => begin.starts_with(b"<").then_some(Kind::Svg),
        }
    }

    /// What it is called in its name and in messages.
    pub const fn ending(self) -> &'static str {
        match self {
            Kind::Svg => "svg",
            Kind::Png => "png",
            Kind::Webp => "webp",
            Kind::Jpeg => "jpg",
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Kind::Svg => "image/svg+xml",
            Kind::Png => "image/png",
            Kind::Webp => "image/webp",
            Kind::Jpeg => "image/jpeg",
        }
    }
}

/// Reads the file; a relative path begins at the folder of the page file.
pub(super) fn read(entry: &Entry<'_>) -> Result<Logo, String> {
    let path = entry.reading.folder.join(entry.string("the path of an image file in quotes")?);
    let kind = Kind::of_ending(&path).ok_or_else(|| {
        "ends in none of .svg, .png, .webp, .jpg and .jpeg; write the path of such a file".to_owned()
    })?;
    let bytes = file::bounded(&path, LONGEST_FILE).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            format!("is {error}, and every visitor loads it; write the path of a smaller file")
        }
        _ => format!("can't be read: {error}; a relative path begins at the folder of this file"),
    })?;
    of(kind, bytes)
}

fn of(kind: Kind, bytes: Vec<u8>) -> Result<Logo, String> {
    let name = kind.ending().to_uppercase();
    match Kind::of_content(&bytes) {
        Some(found) if found == kind => {}
        Some(found) => {
            let ending = found.ending();
            return Err(format!("is no {name} file but a .{ending}; rename it, and write its new name here"));
        }
        None => return Err(format!("is no {name} file; write the path of one that is")),
    }
    let (width, height) = match kind {
        Kind::Svg => drawn_size(&bytes)?,
        _ => pixels(&bytes).ok_or_else(|| format!("is a broken {name} file; write it anew"))?,
    };
    let scale = (WIDEST / width).min(TALLEST / height);
    // Pixels are not blown up.
    let scale = if kind == Kind::Svg { scale } else { scale.min(1.0) };
    let shown = |length: f64| (length * scale).round().max(1.0) as u32;
    Ok(Logo { kind, width: shown(width), height: shown(height), bytes })
}

fn pixels(bytes: &[u8]) -> Option<(f64, f64)> {
    let size = blob_size(bytes).ok()?;
    let sides = (u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?);
    (sides.0 > 0 && sides.1 > 0).then(|| (sides.0.into(), sides.1.into()))
}

/// What a browser makes of the size of an SVG: width and height, else the sides of the viewBox.
fn drawn_size(bytes: &[u8]) -> Result<(f64, f64), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8; save the file as UTF-8".to_owned())?;
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let reason = one_line(&error.to_string(), LONGEST_REASON);
        format!("is not well-formed, so that no browser shows it: {reason}; mend the file")
    })?;
    let root = document.root_element();
    if root.tag_name().name() != "svg" || root.tag_name().namespace() != Some(SVG) {
        return Err(format!(
            "does not begin with <svg xmlns=\"{SVG}\">, so that no browser shows it; add that"
        ));
    }
    let side = |name| root.attribute(name).and_then(length);
    let sides = side("width").zip(side("height")).or_else(|| view_box(root));
    sides.ok_or_else(|| "has no size; give its <svg> a viewBox, like viewBox=\"0 0 120 40\"".to_owned())
}

fn view_box(root: Node<'_, '_>) -> Option<(f64, f64)> {
    let numbers = root.attribute("viewBox")?.split([' ', ',', '\t', '\n']).filter(|part| !part.is_empty());
    let numbers: Vec<f64> = numbers.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let &[_, _, width, height] = &*numbers else { return None };
    side(width).zip(side(height))
}

/// A length in CSS pixels; `None` for a share of something, like `100%`.
fn length(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(text.len());
    let per_unit = match &text[unit..] {
        "" | "px" => 1.0,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 96.0 / 25.4,
        _ => return None,
    };
    side(text[..unit].trim().parse::<f64>().ok()? * per_unit)
}

/// A side that can be shown.
fn side(length: f64) -> Option<f64> {
    (length > 0.0 && length < 1e6).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn svg(attributes: &str) -> Result<(u32, u32), String> {
        let text = format!("<svg xmlns=\"{SVG}\" {attributes}/>");
        of(Kind::Svg, text.into()).map(|logo| (logo.width, logo.height))
    }

    #[test]
    fn a_drawing_fills_its_place_and_keeps_its_shape() {
        for (attributes, size) in [
            ("viewBox='0 0 40 40'", (40, 40)),
            ("viewBox='-5,-5 , 24.5 7'", (140, 40)),
            ("viewBox='0 0 1000 10'", (220, 2)),
            ("viewBox='0 0 1 1000'", (1, 40)),
            ("width='120' height='40px' viewBox='0 0 1 1'", (120, 40)),
            ("width='1in' height='48pt'", (60, 40)),
            ("width='100%' height='100%' viewBox='0 0 30 60'", (20, 40)),
            ("width='80' viewBox='0 0 30 60'", (20, 40)),
        ] {
            assert_eq!(svg(attributes), Ok(size), "{attributes}");
        }
        for bad in [
            "",
            "width='0' height='1'",
            "width='1e999' height='1'",
            "width='NaN' height='inf'",
            "viewBox='0 0 1'",
            "viewBox='0 0 1 -1'",
            "viewBox='0 0 1 x'",
        ] {
            assert!(svg(bad).unwrap_err().starts_with("has no size"), "{bad}");
        }
    }

    #[test]
    fn pictures_of_every_kind_are_known_by_their_first_bytes_and_never_blown_up() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x08\x08\x06\0\0\0";
        let webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x0f\xc0\x01\0\0\0\0\0";
        let jpeg =
            b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x08\0\x10\x03\x01";
        for (kind, bytes) in [(Kind::Png, &png[..]), (Kind::Webp, webp), (Kind::Jpeg, jpeg)] {
            let logo = of(kind, bytes.to_vec()).unwrap();
            assert_eq!((logo.width, logo.height), (16, 8), "{kind:?}");
            for other in [Kind::Png, Kind::Webp, Kind::Jpeg, Kind::Svg].into_iter().filter(|k| *k != kind) {
                assert!(of(other, bytes.to_vec()).is_err(), "{kind:?} as {other:?}");
            }
            assert!(of(kind, bytes[..16].to_vec()).unwrap_err().ends_with("write it anew"), "{kind:?}");
        }
    }

    #[test]
    fn entities_that_grow_without_end_and_elements_of_any_depth_do_no_harm() {
        let entities: String =
            (1..20).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(20))).collect();
        let text = format!(
            "<!DOCTYPE svg [<!ENTITY e0 \"x\">{entities}]><svg xmlns=\"{SVG}\" viewBox=\"0 0 1 1\">&e19;</svg>"
        );
        assert!(of(Kind::Svg, text.into()).unwrap_err().starts_with("is not well-formed"));
        let deep = format!(
            "<svg xmlns=\"{SVG}\" viewBox=\"0 0 1 1\">{}{}</svg>",
            "<g>".repeat(9_000),
            "</g>".repeat(9_000)
        );
        assert!(deep.len() < 64 * 1024);
        assert!(of(Kind::Svg, deep.into()).is_ok());
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(
            start in prop::sample::select(vec![
                &b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8", b"<svg ", b"<?xml", b"",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            for kind in [Kind::Png, Kind::Webp, Kind::Jpeg, Kind::Svg] {
                match of(kind, [start, &rest].concat()) {
                    Ok(logo) => prop_assert!((1..=220).contains(&logo.width) && (1..=40).contains(&logo.height)),
                    Err(said) => prop_assert!(said.chars().all(shared::printable::is_printable), "{:?}", said),
                }
            }
        }
    }
}
