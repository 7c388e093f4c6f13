//! A small Discord client in the browser, served beside the control API.
//!
//! Owns the assets (plain HTML, CSS and JavaScript modules; no build step) and the reads that only a page needs: the view of
//! one member (`view.rs`), the stream of change notifications (`changes.rs`), the newest traffic. Actions use the control API,
//! so that scripts can do everything that the page can. To add an asset, add its line to `ASSETS`.

mod changes;
mod view;

use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::AppState;

/// Number of earlier records that the traffic panel shows when it is opened.
const RECENT: usize = 100;

/// Path, media type, content.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("assets/index.html")),
    (
        "/assets/app.css",
        "text/css; charset=utf-8",
        include_bytes!("assets/app.css"),
    ),
    (
        "/assets/emoji.woff2",
        "font/woff2",
        include_bytes!("assets/emoji.woff2"),
    ),
    (
        "/assets/emoji-font-license.txt",
        "text/plain; charset=utf-8",
        include_bytes!("emoji-font-license.txt"),
    ),
    ("/assets/icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    ("/assets/api.js", SCRIPT, include_bytes!("assets/api.js")),
    ("/assets/app.js", SCRIPT, include_bytes!("assets/app.js")),
    ("/assets/components.js", SCRIPT, include_bytes!("assets/components.js")),
    ("/assets/composer.js", SCRIPT, include_bytes!("assets/composer.js")),
    ("/assets/dialogs.js", SCRIPT, include_bytes!("assets/dialogs.js")),
    ("/assets/dom.js", SCRIPT, include_bytes!("assets/dom.js")),
    ("/assets/listbox.js", SCRIPT, include_bytes!("assets/listbox.js")),
    ("/assets/markdown.js", SCRIPT, include_bytes!("assets/markdown.js")),
    ("/assets/messages.js", SCRIPT, include_bytes!("assets/messages.js")),
    ("/assets/switcher.js", SCRIPT, include_bytes!("assets/switcher.js")),
    ("/assets/traffic.js", SCRIPT, include_bytes!("assets/traffic.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The page runs only its own scripts. Styles may be inline (colours of roles); images may come from any URL that a bot sends.
const POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src * data:; frame-ancestors 'none'; base-uri 'none'";

/// The page, to be merged with the control API.
pub fn router(app: AppState) -> Router {
    let mut router = Router::new();
    for &(path, kind, content) in ASSETS {
        router = router.route(path, get(move || async move { asset(kind, content) }));
    }
    router
        .route("/page/view", get(view::view))
        .route("/page/everyone", get(view::everyone))
        .route("/page/changes", get(changes::changes))
        .route("/page/traffic", get(recent_traffic))
        .with_state(app)
}

/// `GET /page/traffic`: the newest records, oldest first. The control API's stream has those that follow.
async fn recent_traffic(State(app): State<AppState>) -> Json<serde_json::Value> {
    let kept = app.traffic.since(0);
    let recent: Vec<_> = kept
        .iter()
        .skip(kept.len().saturating_sub(RECENT))
        .map(|entry| &**entry)
        .collect();
    Json(serde_json::json!(recent))
}

fn asset(kind: &'static str, content: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // The browser must use the assets of a newer build at once.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/assets");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = if name == "index.html" {
                "/".to_owned()
            } else {
                format!("/assets/{name}")
            };
            assert!(
                ASSETS.iter().any(|(served, ..)| *served == path),
                "{name} is not in ASSETS"
            );
        }
    }
}
