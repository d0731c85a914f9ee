//! `accent`: one colour for both themes, or one for each. It draws thin lines and the mark, so that it must be told from
//! what lies behind it (WCAG 2.2, 1.4.11: 3:1).

use std::fmt;

use super::reading::Entry;

const LEAST_CONTRAST: f64 = 3.0;
const KEYS: [&str; 2] = ["dark", "light"];

/// A theme of the page.
#[derive(Debug, Clone, Copy)]
struct Theme {
    name: &'static str,
    /// `--bg` and `--surface` of the style sheet.
    backgrounds: [Colour; 2],
    /// What a colour is mixed with until it can be seen.
    opposite: Colour,
}

const DARK: Theme = Theme {
    name: "dark",
    backgrounds: [Colour([0x0a, 0x0d, 0x16]), Colour([0x11, 0x16, 0x24])],
    opposite: Colour([0xff; 3]),
};
const LIGHT: Theme = Theme {
    name: "light",
    backgrounds: [Colour([0xf4, 0xf6, 0xfa]), Colour([0xff; 3])],
    opposite: Colour([0; 3]),
};

/// A colour of the sRGB space, displayed as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// The accent of each theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent {
    /// In the dark theme.
    pub dark: Colour,
    /// In the light one, and on paper.
    pub light: Colour,
}

impl Default for Accent {
    /// As `style.css` has it.
    fn default() -> Accent {
        let blue = Colour([0x52, 0x71, 0xff]);
        Accent { dark: blue, light: blue }
    }
}

impl Accent {
    /// What overrides the style sheet's.
    pub fn css(&self) -> String {
        format!(":root {{ --accent: light-dark({}, {}); }}\n", self.light, self.dark)
    }
}

/// Reads one colour or two.
pub(super) fn read(entry: &Entry<'_>) -> Result<Accent, String> {
    if let Some(mut each) = entry.section() {
        let (dark, light) = (each.take("dark", |c| of(c, DARK)), each.take("light", |c| of(c, LIGHT)));
        each.refuse_the_rest(&KEYS);
        let built_in = Accent::default();
        return Ok(Accent { dark: dark.unwrap_or(built_in.dark), light: light.unwrap_or(built_in.light) });
    }
    let written =
        entry.string("a colour like \"#5271ff\", or { dark = \"#5271ff\", light = \"#5271ff\" }")?;
    let colour = parse(written)?;
    for (theme, pair) in [(DARK, [nearest(colour, DARK), colour]), (LIGHT, [colour, nearest(colour, LIGHT)])]
    {
        let [dark, light] = pair;
        let instead = format!("a pair, such as accent = {{ dark = \"{dark}\", light = \"{light}\" }}");
        check(colour, theme, &instead)?;
    }
    Ok(Accent { dark: colour, light: colour })
}

fn of(entry: &Entry<'_>, theme: Theme) -> Result<Colour, String> {
    let colour = parse(entry.string("a colour like \"#5271ff\"")?)?;
    check(colour, theme, &format!("one like \"{}\"", nearest(colour, theme)))?;
    Ok(colour)
}

/// Refuses a colour that can't be told from a background of the theme.
fn check(colour: Colour, theme: Theme, instead: &str) -> Result<(), String> {
    let (ratio, background) = weakest(colour, theme);
    if ratio >= LEAST_CONTRAST {
        return Ok(());
    }
    // Cut, never rounded up: 2.999 is not 3.
    let ratio = (ratio * 100.0).floor() / 100.0;
    Err(format!(
        "has a contrast of {ratio:.2}:1 with {background} of the {} theme, and less than 3:1 is hard to see; \
         write {instead}",
        theme.name
    ))
}

/// The least contrast with a background of the theme, and that background.
fn weakest(colour: Colour, theme: Theme) -> (f64, Colour) {
    let ratios = theme.backgrounds.map(|background| (contrast(colour, background), background));
    if ratios[0].0 <= ratios[1].0 { ratios[0] } else { ratios[1] }
}

/// The colour itself, or the first on its way to white or black that can be seen.
fn nearest(colour: Colour, theme: Theme) -> Colour {
    let steps = (0..=255).map(|step| colour.mixed(theme.opposite, step));
    let mut seen = steps.filter(|mixed| weakest(*mixed, theme).0 >= LEAST_CONTRAST);
    seen.next().unwrap_or(theme.opposite)
}

/// WCAG 2.2, contrast ratio: from 1 to 21.
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (one.luminance(), other.luminance());
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

impl Colour {
    /// WCAG 2.2, relative luminance: from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = self.0.map(|channel| match f64::from(channel) / 255.0 {
            dim if dim <= 0.04045 => dim / 12.92,
            bright => ((bright + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    /// `step` of 255 on the way to the other.
    fn mixed(self, other: Colour, step: u16) -> Colour {
        let channel = |n: usize| {
            let sum = u16::from(self.0[n]) * (255 - step) + u16::from(other.0[n]) * step;
            u8::try_from(sum / 255).expect("a mean of bytes is a byte")
        };
        Colour([channel(0), channel(1), channel(2)])
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

fn parse(text: &str) -> Result<Colour, String> {
    let digits: Option<Vec<u8>> = text
        .strip_prefix('#')
        .and_then(|digits| digits.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect());
    match digits.as_deref() {
        Some(&[r, g, b]) => Ok(Colour([r * 17, g * 17, b * 17])),
        Some(&[r, rr, g, gg, b, bb]) => Ok(Colour([r * 16 + rr, g * 16 + gg, b * 16 + bb])),
        _ => Err("is not a colour in hexadecimal; write six digits behind a #, like \"#5271ff\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STYLE: &str = include_str!("../../static/style.css");

    fn colour(text: &str) -> Colour {
        parse(text).unwrap()
    }

    #[test]
    fn contrasts_are_those_that_wcag_gives() {
        for (one, other, ratio) in [
            ("#000", "#fff", 21.0),
            ("#fff", "#ffffff", 1.0),
            ("#777777", "#fff", 4.48),
            ("#0000ff", "#fff", 8.59),
        ] {
            assert!((contrast(colour(one), colour(other)) - ratio).abs() < 0.005, "{one} {other}");
        }
    }

    #[test]
    fn backgrounds_and_the_built_in_accent_are_those_of_the_style_sheet() {
        let token = |name: &str| {
            let value = STYLE.split(&format!("--{name}: ")).nth(1).unwrap().split(';').next().unwrap();
            match value
                .strip_prefix("light-dark(")
                .and_then(|pair| pair.trim_end_matches(')').split_once(", "))
            {
                Some((light, dark)) => [colour(light), colour(dark)],
                None => [colour(value); 2],
            }
        };
        let [bg, surface, accent] = ["bg", "surface", "accent"].map(token);
        assert_eq!(LIGHT.backgrounds, [bg[0], surface[0]]);
        assert_eq!(DARK.backgrounds, [bg[1], surface[1]]);
        assert_eq!(accent, [Accent::default().light, Accent::default().dark]);
    }

    #[test]
    fn the_built_in_accent_is_seen_in_both_themes() {
        for theme in [DARK, LIGHT] {
            assert_eq!(check(Accent::default().dark, theme, ""), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn what_is_proposed_instead_is_accepted(bytes in any::<[u8; 3]>()) {
            for theme in [DARK, LIGHT] {
                let proposed = nearest(Colour(bytes), theme);
                prop_assert_eq!(check(proposed, theme, ""), Ok(()));
                prop_assert_eq!(colour(&proposed.to_string()), proposed);
            }
        }

        #[test]
        fn no_accent_breaks_out_of_the_style_sheet(text in "#[0-9a-f]{3,8}|#?[ -~]{0,12}|.{0,8}") {
            if let Ok(colour) = parse(&text) {
                let css = Accent { dark: colour, light: colour }.css();
                let built_in = Accent::default().css();
                prop_assert_eq!(css.replace(&colour.to_string(), "#5271ff"), built_in);
            }
        }
    }
}
