//! The wallet page: static files without a build step, in `page/`, and the headers with which they are served.
//!
//! `index.html` is the response to `/verify/{token}` for every token, without a look-up: a preview of the link changes nothing. It
//! refers to the other files as `../assets/verify/{name}`.

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFile {
    /// Its name, the last segment of its path.
    pub name: &'static str,
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// Content of the file.
    pub bytes: &'static [u8],
}

/// Value of `Content-Security-Policy` for the page and its files: nothing inline, and no other host.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

macro_rules! files {
    ($($name:literal $media_type:literal),* $(,)?) => {
        [$(PageFile {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../page/", $name)),
        }),*]
    };
}

const INDEX: PageFile = PageFile {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    bytes: include_bytes!("../page/index.html"),
};

/// The files to which the page refers.
pub const FILES: [PageFile; 9] = files! {
    "api.js" "text/javascript; charset=utf-8",
    "app.js" "text/javascript; charset=utf-8",
    "clock.js" "text/javascript; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "panels.js" "text/javascript; charset=utf-8",
    "texts.js" "text/javascript; charset=utf-8",
    "verify.css" "text/css; charset=utf-8",
    "view.js" "text/javascript; charset=utf-8",
    "wallets.js" "text/javascript; charset=utf-8",
};

/// The page itself: the response to `/verify/{token}`.
#[must_use]
pub const fn index() -> PageFile {
    INDEX
}

/// The file of this name, for `/assets/verify/{name}`.
#[must_use]
pub fn file(name: &str) -> Option<PageFile> {
    FILES.into_iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &PageFile) -> &'static str {
        std::str::from_utf8(file.bytes).unwrap()
    }

    #[test]
    fn page_has_nothing_inline_and_refers_to_no_other_host() {
        for file in FILES.iter().chain([&INDEX]) {
            let text = text(file);
            for forbidden in [
                "<style",
                "style=",
                " onclick=\"",
                "innerHTML",
                "javascript:",
                "eval(",
                "<script>",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.name);
            }
            for (at, _) in text.match_indices("https://").chain(text.match_indices("http://")) {
                let address = &text[at..(at + 34).min(text.len())];
                // The name of a namespace.
                assert!(
                    address.starts_with("http://www.w3.org/2000/svg"),
                    "{}: {address}",
                    file.name
                );
            }
        }
    }

    #[test]
    fn every_file_is_listed_and_every_reference_exists() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != INDEX.name)
            .collect();
        names.sort();
        assert_eq!(names, FILES.map(|file| file.name));
        for (at, path) in text(&INDEX).match_indices("../assets/verify/") {
            let rest = &text(&INDEX)[at + path.len()..];
            let name = &rest[..rest.find('"').unwrap()];
            assert!(file(name).is_some(), "{name}");
        }
        assert_eq!(file("../Cargo.toml"), None);
    }
}
