//! A signer at an OpenBao of its own.

use std::time::Duration;

use arrakis_config::{LoginMethod, TransitLogin, TransitSettings};
use arrakis_security::signing::{TransitOptions, TransitSigner};
use arrakis_test_support::{AppRole, OpenBao};

pub(crate) const KEY: &str = "arrakis";
pub(crate) const ROLE: &str = "signer";

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// An OpenBao with a key and a role that may use it.
pub(crate) async fn server() -> (OpenBao, AppRole) {
    let bao = OpenBao::start().await;
    bao.create_key(KEY).await;
    let role = bao.create_role(ROLE, KEY, LONG, LONG).await;
    (bao, role)
}

pub(crate) fn settings(bao: &OpenBao, role: &AppRole) -> TransitSettings {
    TransitSettings {
        address: bao.url().parse().unwrap(),
        ca_file: None,
        namespace: None,
        mount: "transit".to_owned(),
        key: KEY.to_owned(),
        login: TransitLogin {
            mount: "approle".to_owned(),
            method: LoginMethod::AppRole {
                role_id: role.role_id.clone(),
                secret_id_file: role.secret_id_file.clone(),
            },
        },
    }
}

pub(crate) fn signer(bao: &OpenBao, role: &AppRole) -> TransitSigner {
    TransitSigner::new(&settings(bao, role), &TransitOptions::default()).unwrap()
}
