//! Art of badges: SVG files of a theme folder, which are not trusted. The check accepts still pictures that refer to nothing
//! outside of themselves and take little time to draw; everything else is refused with its reason.

use roxmltree::{Document, Node, ParsingOptions, TextPos};

use crate::problem::{Problem, SourceLocation};

/// Folder of the art within a theme folder.
pub(crate) const ART_FOLDER: &str = "badges";
/// Largest file, in bytes. Those of the built-in themes have less than 4,000.
pub(crate) const MAX_ART_BYTES: usize = 32 << 10;
/// Most elements of a picture.
const MAX_ELEMENTS: usize = 400;
/// Most levels of nested elements.
const MAX_DEPTH: usize = 12;
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// Elements that a picture may have. No text (fonts differ), no images, styles, scripts and animations, no filters, masks and
/// patterns (costly), and no `use`, which multiplies elements.
const ELEMENTS: [&str; 16] = [
    "svg",
    "title",
    "desc",
    "defs",
    "g",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
];

/// Name of the art of a badge in the files of a theme.
pub(crate) fn art_file(badge: &str) -> String {
    format!("{ART_FOLDER}/{badge}.svg")
}

/// The badge to which a file of a theme is the art; `None` for another file.
pub(crate) fn badge_of(file: &str) -> Option<&str> {
    file.strip_prefix(ART_FOLDER)?.strip_prefix('/')?.strip_suffix(".svg")
}

/// The problems of one file; `name` is its path in messages.
pub(crate) fn check(name: &str, source: &str) -> Vec<Problem> {
    if source.len() > MAX_ART_BYTES {
        return vec![Problem::about(name, too_large(source.len()))];
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 10_000,
        ..ParsingOptions::default()
    };
    let document = match Document::parse_with_options(source, options) {
        Ok(document) => document,
        Err(error) => {
            let reason = format!("this is not an SVG file: {error}");
            return vec![problem(name, source, error.pos(), reason)];
        }
    };
    let refusals = document_refusals(&document).into_iter();
    refusals
        .map(|(at, reason)| problem(name, source, document.text_pos_at(at), reason))
        .collect()
}

/// Reason for the refusal of a file of this size, in bytes.
pub(crate) fn too_large(bytes: usize) -> String {
    format!("the file has {bytes} bytes; the art of a badge may have {MAX_ART_BYTES}")
}

fn problem(name: &str, source: &str, at: TextPos, reason: String) -> Problem {
    let line = usize::try_from(at.row).unwrap_or_default().saturating_sub(1);
    let text = source.lines().nth(line).unwrap_or_default();
    let location = SourceLocation::new(u64::from(at.row), u64::from(at.col), text);
    Problem::at_location(name, location, reason)
}

/// Positions and reasons; only the first element of each kind is reported.
fn document_refusals(document: &Document<'_>) -> Vec<(usize, String)> {
    let root = document.root_element();
    let mut refusals = Vec::new();
    if let Err(reason) = check_root(root) {
        refusals.push((root.range().start, reason));
    }
    let mut refused: Vec<&str> = Vec::new();
    for (index, element) in root.descendants().filter(Node::is_element).enumerate() {
        let at = element.range().start;
        if index == MAX_ELEMENTS {
            refusals.push((at, format!("the picture has more than {MAX_ELEMENTS} elements")));
            break;
        }
        if element.ancestors().filter(Node::is_element).count() > MAX_DEPTH {
            refusals.push((at, format!("elements are nested more than {MAX_DEPTH} levels deep")));
            break;
        }
        let tag = element.tag_name().name();
        if !is_allowed(element) && !refused.contains(&tag) {
            refused.push(tag);
            let reason = format!(
                "art of a badge cannot have the element `{tag}`; shapes, groups, gradients and clip paths are allowed"
            );
            refusals.push((at, reason));
        }
        refusals.extend(attribute_refusals(element));
    }
    refusals
}

fn is_allowed(element: Node<'_, '_>) -> bool {
    let tag = element.tag_name();
    tag.namespace() == Some(SVG_NAMESPACE) && ELEMENTS.contains(&tag.name())
}

/// The picture is square, because all badges have the same place on a card.
fn check_root(root: Node<'_, '_>) -> Result<(), String> {
    if root.tag_name().name() != "svg" || root.tag_name().namespace() != Some(SVG_NAMESPACE) {
        return Err(format!(
            "the outermost element is not `<svg xmlns=\"{SVG_NAMESPACE}\">`"
        ));
    }
    let view = root.attribute("viewBox").ok_or("the attribute `viewBox` is missing")?;
    let separated = view.split([' ', ',', '\t', '\n']).filter(|part| !part.is_empty());
    let numbers: Vec<Option<f32>> = separated.map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(_), Some(_), Some(width), Some(height)]
            if (1.0..=10_000.0).contains(width) && (width - height).abs() < 0.01 =>
        {
            Ok(())
        }
        _ => Err(format!(
            "the `viewBox` \"{view}\" is not a square of 1 to 10,000 units, like \"0 0 96 96\""
        )),
    }
}

fn attribute_refusals(element: Node<'_, '_>) -> Vec<(usize, String)> {
    let mut refusals = Vec::new();
    for attribute in element.attributes() {
        let (name, value) = (attribute.name(), attribute.value());
        let reason = if name == "href" {
            format!("art of a badge cannot refer to \"{value}\", nor to anything else by `href`")
        } else if refers_outside(value) {
            format!("art of a badge cannot refer to anything outside of the file, as `{name}` does")
        } else if name == "stroke-dasharray" || (name == "style" && value.contains("stroke-dasharray")) {
            "dashed lines are not allowed, because their cost is not bounded; draw the dashes as a path".to_owned()
        } else if (name == "clip-path" || (name == "style" && value.contains("clip-path")))
            && element.ancestors().any(|outer| outer.tag_name().name() == "clipPath")
        {
            // A hundred clip paths whose two children are each clipped by the next one cost 2^100 drawings.
            "a clip path and what is in it cannot be clipped, because the cost is not bounded".to_owned()
        } else if !matches!(name, "id" | "class") && has_large_number(value) {
            format!("`{name}` has a number of 100,000 or more; the picture needs a smaller scale")
        } else {
            continue;
        };
        refusals.push((attribute.range().start, reason));
    }
    refusals
}

/// Whether a value has a `url(…)` other than a reference to an element of the same file.
fn refers_outside(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut references = lower.split("url(").skip(1);
    references.any(|rest| !rest.trim_start_matches([' ', '\t', '\n', '\'', '"']).starts_with('#'))
}

/// Whether a value has a number with more than five digits before the point, or an exponent above 5. Colours have no such numbers.
fn has_large_number(value: &str) -> bool {
    let is_color = |word: &&str| word.trim_start().starts_with('#');
    let words = value.split([' ', ',', ';', ':']).filter(|word| !is_color(word));
    words.into_iter().any(|word| {
        let integers = word.split(|character: char| !character.is_ascii_digit() && character != '.');
        let is_long = |number: &str| {
            let digits = number.split('.').next().unwrap_or_default().trim_start_matches('0');
            digits.len() > 5
        };
        let exponents = word.split(['e', 'E']).skip(1).map(|rest| rest.trim_start_matches('+'));
        let exponent = |rest: &str| {
            let end = rest
                .find(|character: char| !character.is_ascii_digit())
                .unwrap_or(rest.len());
            rest[..end].parse::<u32>().unwrap_or(if end > 3 { u32::MAX } else { 0 })
        };
        integers.into_iter().any(is_long) || exponents.into_iter().any(|rest| exponent(rest) > 5)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(inner: &str) -> String {
        format!("<svg xmlns=\"{SVG_NAMESPACE}\" viewBox=\"0 0 96 96\">\n{inner}\n</svg>")
    }

    fn reasons(source: &str) -> String {
        let problems = check("market/badges/active.svg", source);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn plain_picture_is_accepted() {
        let picture = svg("<defs><linearGradient id='a'><stop offset='0'/></linearGradient></defs>
            <g fill='url(#a)' clip-path='url( \"#b\" )' style='fill:url(#a)'><path d='M0 0h9'/></g>");
        assert_eq!(reasons(&picture), "");
    }

    #[test]
    fn whatever_refers_outside_is_refused_with_its_line() {
        let refused = reasons(&svg("<path fill='URL(https://example.com/a.svg#b)'/>"));
        assert!(
            refused.starts_with("market/badges/active.svg:2:7: art of a badge cannot refer to anything outside"),
            "{refused}"
        );
        for hostile in [
            "<image href='file:///etc/passwd'/>",
            "<image xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='data:image/png;base64,AAAA'/>",
            "<use href='#a'/>",
            "<linearGradient href='other.svg#a'/>",
            "<g style='filter: url(\"x.svg#f\")'/>",
            "<g mask='url(#a) url(b.svg#c)'/>",
        ] {
            assert!(reasons(&svg(hostile)).contains("cannot"), "{hostile}");
        }
    }

    #[test]
    fn costly_and_active_content_is_refused() {
        for tag in [
            "script",
            "style",
            "text",
            "filter",
            "mask",
            "pattern",
            "animate",
            "foreignObject",
            "switch",
            "symbol",
        ] {
            let refused = reasons(&svg(&format!("<{tag}/>")));
            assert!(
                refused.contains(&format!("cannot have the element `{tag}`")),
                "{refused}"
            );
        }
        assert!(reasons(&svg("<path xmlns='urn:other'/>")).contains("element `path`"));
        assert!(reasons(&svg("<path stroke-dasharray='.001'/>")).contains("dashed lines"));
        assert!(reasons(&svg("<path style='stroke-dasharray:.001'/>")).contains("dashed lines"));
        assert!(
            reasons(&svg(&"<g>".repeat(400))).contains("not an SVG file"),
            "not closed"
        );
        let deep = format!("{}{}", "<g>".repeat(20), "</g>".repeat(20));
        assert!(reasons(&svg(&deep)).contains("12 levels deep"));
        assert!(reasons(&svg(&"<g/>".repeat(500))).contains("more than 400 elements"));
        assert!(reasons(&svg(&" ".repeat(MAX_ART_BYTES))).contains("the art of a badge may have 32768"));
    }

    #[test]
    fn document_that_is_no_square_picture_is_refused() {
        assert!(reasons("").contains("not an SVG file"));
        assert!(reasons("<!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>").contains("not an SVG file"));
        assert!(reasons("<svg viewBox='0 0 9 9'/>").contains("outermost element"));
        let root = |attributes: &str| reasons(&format!("<svg xmlns='{SVG_NAMESPACE}' {attributes}/>"));
        assert!(root("").contains("`viewBox` is missing"));
        for view in [
            "0 0 96 48",
            "0 0 0 0",
            "0 0 NaN NaN",
            "0 0 96",
            "0 0 1e9 1e9",
            "0 0 -9 -9",
            "a b c d",
        ] {
            assert!(root(&format!("viewBox='{view}'")).contains("is not a square"), "{view}");
        }
        assert_eq!(root("viewBox='0,0, 64,64'"), "");
    }

    #[test]
    fn numbers_that_the_renderer_cannot_hold_are_refused() {
        for value in [
            "M-1e9-1e9H1",
            "M0 0h1E+6",
            "M0 0H100000",
            "M-999999.5 1",
            "1e99999999999",
        ] {
            assert!(
                reasons(&svg(&format!("<path d='{value}'/>"))).contains("100,000 or more"),
                "{value}"
            );
        }
        assert!(reasons(&svg("<g transform='scale(1234567)'/>")).contains("100,000 or more"));
        for value in [
            "M0 0h99999.123456789",
            "M1e-9 1e5",
            "M.0000001 000000.5",
            "m28.5 53.5 15 12.5",
        ] {
            assert_eq!(reasons(&svg(&format!("<path d='{value}'/>"))), "", "{value}");
        }
        assert_eq!(
            reasons(&svg(
                "<g id='layer1000000' fill='#999999' style='fill:#123456;stroke: #999999'/>"
            )),
            ""
        );
    }

    #[test]
    fn file_names_lead_to_badges() {
        assert_eq!(badge_of(&art_file("active")), Some("active"));
        assert_eq!(badge_of("badges.yaml"), None);
        assert_eq!(badge_of("badges/active.png"), None);
    }
}
