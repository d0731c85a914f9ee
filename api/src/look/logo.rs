//! `logo`: a small image file, read once, known for what it is and how large it is shown.

use std::{io::ErrorKind, path::Path};

use imagesize::{ImageType, blob_size, image_type};
use roxmltree::{Document, Node, ParsingOptions};
use shared::written::file;

use super::reading::Entry;

/// It is loaded by every visitor.
const LONGEST_FILE: u64 = 64 * 1024;
/// Where it is shown, in CSS pixels: never larger than this and never distorted.
const WIDEST: f64 = 220.0;
const TALLEST: f64 = 40.0;
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
        format!("is not well-formed, so that no browser shows it: {error}; mend the file")
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
