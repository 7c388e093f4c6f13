//! The permissions to sign, where commands and workers meet, with a signing service that counts what it has done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arrakis_config::Secret;
use arrakis_db::mfa;
use arrakis_db::{Actor, Database, NewAuditEntry, UserId};
use arrakis_kill_switch::{KillSwitchControl, KillSwitchSettings, StepOutcome, TurnOff, TurnOffError};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, RevokeSigning, RevokeSigningError, RevokedSigning};
use arrakis_security::mfa::{ProtectedOperation, SecretCipher};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use time::OffsetDateTime;

use crate::kill_switch::{cache, enrol};
use crate::platform::{KILL_SWITCH_CREDENTIAL, Platform};

/// A signing service.
#[derive(Debug, Default)]
struct Signing {
    permits: AtomicBool,
    restored: AtomicU32,
    /// Where the kill switch is turned on while the permissions are restored.
    turned_on_meanwhile: Mutex<Option<Database>>,
}

#[async_trait]
impl RevokeSigning for Signing {
    async fn revoke_all(&self) -> Result<RevokedSigning, RevokeSigningError> {
        self.permits.store(false, Ordering::SeqCst);
        Ok(RevokedSigning::default())
    }

    async fn restore(&self) -> Result<(), RevokeSigningError> {
        self.permits.store(true, Ordering::SeqCst);
        self.restored.fetch_add(1, Ordering::SeqCst);
        let database = self.turned_on_meanwhile.lock().take();
        if let Some(database) = database {
            append_on(&database).await;
        }
        Ok(())
    }
}

/// Turns the kill switch on in PostgreSQL.
async fn append_on(database: &Database) {
    let on = KillSwitch::changed(KillSwitchScope::Platform, true, 0, "stilgar", "again");
    let mut tx = database.global().await.unwrap();
    assert!(tx.kill_switches().append(&on, None).await.unwrap());
    let entry = NewAuditEntry {
        actor: Actor::System("test".to_owned()),
        action: "kill_switch.on",
        subject: "platform",
        reason: None,
        detail: json!({}),
    };
    tx.audit(&entry).await.unwrap();
    tx.commit().await.unwrap();
}

/// The kill switch of a platform, which the user 7 may turn off.
fn control(platform: &Platform, signing: Arc<Signing>) -> KillSwitchControl {
    let proxy = format!("http://{}", platform.proxy).parse().unwrap();
    let settings = KillSwitchSettings {
        proxies: Some((vec![proxy], Secret::new(KILL_SWITCH_CREDENTIAL))),
        operators: vec![7],
        ..KillSwitchSettings::default()
    };
    let database = Some(platform.database.clone());
    KillSwitchControl::new(&settings, database, cache(platform), Some(signing)).unwrap()
}

/// The code of `off` is checked while another command turns the kill switch on again, or off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_that_another_command_precedes_restores_no_permission_to_sign() {
    let platform = Platform::start().await;
    let signing = Arc::new(Signing::default());
    let control = control(&platform, Arc::clone(&signing));
    let key = SecretCipher::generate_key("test").unwrap();
    let cipher: SecretCipher = key.parse().unwrap();
    let user = UserId::new(7).unwrap();
    let code = enrol(&platform, &key, user).await;
    let stilgar = || Actor::Operator("stilgar".to_owned());
    control.turn_on(stilgar(), "a leaked token").await;
    // The row of the user is locked until this transaction ends.
    let mut held = platform.database.global().await.unwrap();
    let operation = ProtectedOperation::KillSwitchOff;
    let now = OffsetDateTime::now_utc();
    mfa::verify(&mut held, &cipher, user, "000000", operation, now)
        .await
        .unwrap();
    let off = TurnOff {
        user,
        code: &code,
        reason: "the end",
    };
    let on = async {
        platform.lock_is_awaited().await;
        control.turn_on(stilgar(), "it goes on").await;
        drop(held);
    };
    let (ended, ()) = tokio::join!(control.turn_off(Some(&cipher), off), on);
    let error = ended.unwrap_err();
    assert!(matches!(error, TurnOffError::TurnedOnAgain { .. }), "{error}");
    assert_eq!(signing.restored.load(Ordering::SeqCst), 0);
    assert!(!signing.permits.load(Ordering::SeqCst));
}

/// The kill switch is turned on between the end in PostgreSQL and the end of the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_during_which_it_is_turned_on_leaves_no_permission_to_sign() {
    let platform = Platform::start().await;
    let signing = Arc::new(Signing::default());
    let control = control(&platform, Arc::clone(&signing));
    let key = SecretCipher::generate_key("test").unwrap();
    let cipher: SecretCipher = key.parse().unwrap();
    let user = UserId::new(7).unwrap();
    let code = enrol(&platform, &key, user).await;
    control
        .turn_on(Actor::Operator("stilgar".to_owned()), "a leaked token")
        .await;
    *signing.turned_on_meanwhile.lock() = Some(platform.database.clone());
    let off = TurnOff {
        user,
        code: &code,
        reason: "the end",
    };
    let report = control.turn_off(Some(&cipher), off).await.unwrap();
    assert_eq!(signing.restored.load(Ordering::SeqCst), 1);
    assert!(!signing.permits.load(Ordering::SeqCst));
    let step = report
        .steps
        .iter()
        .find(|step| step.name == "permissions to sign")
        .unwrap();
    assert!(
        step.outcome == StepOutcome::Failed && step.detail.contains("turned on again"),
        "{step}"
    );
}
