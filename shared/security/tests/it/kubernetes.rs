//! The login by a service account of Kubernetes. Its API is a double that reviews tokens; OpenBao is real.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrakis_config::{LoginMethod, TransitLogin, TransitSettings};
use arrakis_security::signing::{SignError, Signer, TransitOptions, TransitSigner};
use arrakis_test_support::{AppRole, OpenBao};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::setup::{KEY, ROLE, server, settings};

const UID: &str = "d77f89bc-9055-11e7-a068-0800276d99bf";

/// The API of a cluster, which reviews tokens.
struct Cluster {
    url: String,
    accepts: Arc<AtomicBool>,
}

impl Cluster {
    async fn start() -> Self {
        let accepts = Arc::new(AtomicBool::new(true));
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .with_state(Arc::clone(&accepts));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, accepts }
    }
}

async fn review(State(accepts): State<Arc<AtomicBool>>) -> Json<Value> {
    let user = json!({"username": "system:serviceaccount:arrakis:worker", "uid": UID});
    Json(json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "status": {"authenticated": accepts.load(Ordering::Relaxed), "user": user},
    }))
}

/// The token of a service account. OpenBao lets the cluster check the signature.
fn token() -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:arrakis:worker",
        "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 4_102_444_800_u32,
        "kubernetes.io": {"namespace": "arrakis", "serviceaccount": {"name": "worker", "uid": UID}},
    });
    format!(
        "{}.{}.{}",
        part(&header),
        part(&claims),
        URL_SAFE_NO_PAD.encode("signature")
    )
}

/// The settings of a signer that logs in by the token in a file.
async fn kubernetes(bao: &OpenBao, role: &AppRole, cluster: &Cluster, token_file: PathBuf) -> TransitSettings {
    let authority = rcgen::generate_simple_self_signed(vec!["cluster".to_owned()]).unwrap();
    bao.root(
        Method::POST,
        "sys/auth/kubernetes",
        Some(&json!({"type": "kubernetes"})),
    )
    .await;
    let config = json!({
        "kubernetes_host": cluster.url,
        "kubernetes_ca_cert": authority.cert.pem(),
        "disable_local_ca_jwt": true,
    });
    bao.root(Method::POST, "auth/kubernetes/config", Some(&config)).await;
    let properties = json!({
        "bound_service_account_names": "worker",
        "bound_service_account_namespaces": "arrakis",
        "token_type": "service",
        "token_policies": ROLE,
        "token_ttl": 3600,
    });
    bao.root(Method::POST, "auth/kubernetes/role/worker", Some(&properties))
        .await;
    TransitSettings {
        login: TransitLogin {
            mount: "kubernetes".to_owned(),
            method: LoginMethod::Kubernetes {
                role: "worker".to_owned(),
                token_file,
            },
        },
        ..settings(bao, role)
    }
}

#[tokio::test]
async fn service_account_signs_until_the_cluster_refuses_its_token() {
    let (bao, role) = server().await;
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, token()).unwrap();
    let settings = kubernetes(&bao, &role, &cluster, file).await;
    let signer = TransitSigner::new(&settings, &TransitOptions::default()).unwrap();
    let signature = signer.sign(b"message").await.unwrap();
    assert_eq!(signature.key, KEY);
    signer.verify(b"message", &signature).await.unwrap();
    cluster.accepts.store(false, Ordering::Relaxed);
    let other = TransitSigner::new(&settings, &TransitOptions::default()).unwrap();
    let refused = other.sign(b"message").await.unwrap_err();
    assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
}
