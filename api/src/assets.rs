//! The page's static files, compiled in and compressed once. Their names carry a hash of their content, so that an
//! answer may be kept for ever: another content is another name.

use std::sync::LazyLock;

use crate::{body::Body, snapshot::Overall};

/// What the routes may say about every asset.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// A static file of the page.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its name under `/status/assets/`, such as `style.0123456789abcdef.css`.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub body: Body,
}

/// The style sheet.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_bytes!("../static/style.css"))
});
/// The script.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("status", "js", "text/javascript; charset=utf-8", include_bytes!("../static/status.js"))
});
/// The icon of the tab where no state is told.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::icon("favicon", include_bytes!("../static/favicon.svg")));
/// The icon of the tab where all is well.
pub static OPERATIONAL: LazyLock<Asset> =
    LazyLock::new(|| Asset::icon("operational", include_bytes!("../static/operational.svg")));
/// The icon of the tab in a partial outage.
pub static PARTIAL: LazyLock<Asset> =
    LazyLock::new(|| Asset::icon("partial", include_bytes!("../static/partial.svg")));
/// The icon of the tab in a major outage.
pub static MAJOR: LazyLock<Asset> =
    LazyLock::new(|| Asset::icon("major", include_bytes!("../static/major.svg")));
/// The icon of the tab where nothing is known.
pub static UNKNOWN: LazyLock<Asset> =
    LazyLock::new(|| Asset::icon("unknown", include_bytes!("../static/unknown.svg")));
/// What must run before the first paint. It stands in every page itself, not under an address.
pub const EARLY: &str = include_str!("../static/early.js");

/// All of them.
pub fn all() -> [&'static Asset; 7] {
    [&STYLE, &SCRIPT, &ICON, &OPERATIONAL, &PARTIAL, &MAJOR, &UNKNOWN]
}

/// The icon of the tab in this overall state.
pub fn icon(overall: Overall) -> &'static Asset {
    match overall {
        Overall::Operational => &OPERATIONAL,
        Overall::Partial => &PARTIAL,
        Overall::Major => &MAJOR,
        Overall::Unknown => &UNKNOWN,
    }
}

/// The asset of that name, the hash included.
pub fn find(name: &str) -> Option<&'static Asset> {
    all().into_iter().find(|asset| asset.name == name)
}

impl Asset {
    fn icon(stem: &str, bytes: &'static [u8]) -> Asset {
        Asset::new(stem, "svg", "image/svg+xml", bytes)
    }

    fn new(stem: &str, ending: &str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
        Asset { name: format!("{stem}.{}.{ending}", digest(bytes)), content_type, body: Body::new(bytes) }
    }
}

/// Sixteen digits that differ where the bytes do.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("{:016x}", fnv1a(bytes))
}

/// FNV-1a, 64 bits: tells versions of our own files apart, nothing more.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_as_published() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn an_asset_is_found_by_its_whole_name_only() {
        for asset in all() {
            assert!(find(&asset.name).is_some_and(|found| std::ptr::eq(found, asset)));
            let (stem, rest) = asset.name.split_once('.').unwrap();
            let (hash, ending) = rest.split_once('.').unwrap();
            assert_eq!(hash.len(), 16);
            assert!(find(&format!("{stem}.{ending}")).is_none());
            assert!(find(&format!("{stem}.{:0>16}.{ending}", 0)).is_none());
        }
        for part in ["", ".", "css", "../static/style.css"] {
            assert!(find(part).is_none(), "{part}");
        }
    }

    #[test]
    fn the_icons_differ_in_shape_and_not_only_in_colour() {
        let shape = |icon: &Asset| {
            let svg = String::from_utf8(icon.body.identity().bytes.to_vec()).unwrap();
            svg.split('"').step_by(2).collect::<String>() + svg.split(" d=").nth(1).unwrap_or_default()
        };
        let mut shapes = [&ICON, &OPERATIONAL, &PARTIAL, &MAJOR, &UNKNOWN].map(|icon| shape(icon));
        shapes.sort();
        assert!(shapes.windows(2).all(|pair| pair[0] != pair[1]), "{shapes:?}");
    }

    #[test]
    fn the_script_is_at_most_ten_kibibytes() {
        let length = SCRIPT.body.identity().bytes.len() + EARLY.len();
        assert!(length <= 10 * 1024, "{length} bytes");
    }
}
