//! What every catalogue does.

use std::sync::Arc;

use arrakis_domain::Plan;
use arrakis_vault::catalogue::CatalogueError;
use arrakis_vault::sign::{Algorithm, Signature};
use arrakis_vault::{BackupRecord, Catalogue, Cursor, ListRequest, Operation, RecordKind, ServerId, StateVersion, Use};
use time::Duration;
use uuid::Uuid;

use crate::support::{NOW, OTHER_SERVER, SERVER};

fn record(server: ServerId, kind: RecordKind, number: i64) -> BackupRecord {
    BackupRecord {
        id: Uuid::new_v4(),
        kind,
        server,
        workspace: "default".to_owned(),
        created: NOW + Duration::seconds(number),
        state: Some(StateVersion {
            lineage: "lineage".to_owned(),
            serial: 7,
        }),
        message: Some("before the ◌ sandstorm".to_owned()),
        plan: Plan::Premium,
        size: 1_234,
        checksum: "ab".repeat(32),
        expires: None,
        signature: Some(Signature {
            algorithm: Algorithm::Ed25519,
            key: "0123456789abcdef".to_owned(),
            version: 1,
            value: "AA==".to_owned(),
        }),
    }
}

fn request(limit: usize) -> ListRequest {
    ListRequest {
        server: SERVER,
        kind: RecordKind::Backup,
        limit,
        after: None,
        now: Some(NOW),
    }
}

pub(super) async fn run(catalogue: Arc<dyn Catalogue>) {
    records_are_listed_newest_first(&*catalogue).await;
    insertion_can_be_repeated(&*catalogue).await;
    expired_records_are_not_listed(&*catalogue).await;
    plans_are_kept(&*catalogue).await;
    uses_are_counted_once(&*catalogue).await;
    concurrent_uses_do_not_exceed_the_limit(&catalogue).await;
}

async fn records_are_listed_newest_first(catalogue: &dyn Catalogue) {
    assert_eq!(catalogue.servers().await.unwrap(), []);
    assert_eq!(catalogue.list(&request(20)).await.unwrap().records, []);
    let mut records: Vec<_> = (0..7)
        .map(|number| record(SERVER, RecordKind::Backup, number / 2))
        .collect();
    for record in &records {
        catalogue.insert(record).await.unwrap();
    }
    let snapshot = record(SERVER, RecordKind::Snapshot, 0);
    let of_other = record(OTHER_SERVER, RecordKind::Backup, 0);
    catalogue.insert(&snapshot).await.unwrap();
    catalogue.insert(&of_other).await.unwrap();
    records.sort_by_key(|record| (record.created, record.id));
    records.reverse();
    for limit in [1, 2, 3, 7, 20] {
        let mut found = Vec::new();
        let mut wanted = request(limit);
        loop {
            let page = catalogue.list(&wanted).await.unwrap();
            assert!(page.records.len() <= limit && page.damaged.is_empty());
            found.extend(page.records);
            match page.next {
                // A cursor survives as text.
                Some(next) => wanted.after = Some(next.as_str().parse::<Cursor>().unwrap()),
                None => break,
            }
        }
        assert_eq!(found, records, "{limit} at a time");
    }
    assert_eq!(catalogue.servers().await.unwrap(), [SERVER, OTHER_SERVER]);
    assert_eq!(catalogue.get(snapshot.id, None).await.unwrap(), Some(snapshot.clone()));
    assert_eq!(
        catalogue.get(snapshot.id, Some(SERVER)).await.unwrap(),
        Some(snapshot.clone())
    );
    assert_eq!(catalogue.get(of_other.id, Some(SERVER)).await.unwrap(), None);
    assert_eq!(catalogue.get(Uuid::new_v4(), Some(SERVER)).await.unwrap(), None);
    for record in records.iter().chain([&snapshot, &of_other]) {
        catalogue.delete(record).await.unwrap();
        catalogue.delete(record).await.unwrap();
        assert_eq!(catalogue.get(record.id, Some(record.server)).await.unwrap(), None);
    }
    assert_eq!(catalogue.servers().await.unwrap(), []);
}

async fn insertion_can_be_repeated(catalogue: &dyn Catalogue) {
    let mut record = record(SERVER, RecordKind::Backup, 0);
    record.message = None;
    record.state = None;
    catalogue.insert(&record).await.unwrap();
    catalogue.insert(&record).await.unwrap();
    let mut other = record.clone();
    other.size += 1;
    let error = catalogue.insert(&other).await.unwrap_err();
    assert!(matches!(error, CatalogueError::Exists { .. }), "{error:?}");
    assert_eq!(catalogue.get(record.id, None).await.unwrap(), Some(record.clone()));
    catalogue.delete(&record).await.unwrap();
}

async fn expired_records_are_not_listed(catalogue: &dyn Catalogue) {
    let records: Vec<_> = (0..3)
        .map(|number| record(SERVER, RecordKind::Backup, number))
        .collect();
    for record in &records {
        catalogue.insert(record).await.unwrap();
    }
    catalogue.set_expiry(&records[2], Some(NOW)).await.unwrap();
    catalogue
        .set_expiry(&records[1], Some(NOW + Duration::HOUR))
        .await
        .unwrap();
    let listed = async |now| {
        let request = ListRequest { now, ..request(1) };
        let page = catalogue.list(&request).await.unwrap();
        (
            page.records.into_iter().map(|record| record.id).collect::<Vec<_>>(),
            page.next.is_some(),
        )
    };
    assert_eq!(listed(Some(NOW)).await, (vec![records[1].id], true));
    assert_eq!(listed(Some(NOW + Duration::HOUR)).await, (vec![records[0].id], false));
    assert_eq!(listed(None).await, (vec![records[2].id], true));
    let read = catalogue.get(records[2].id, None).await.unwrap().unwrap();
    assert!(read.is_expired(NOW) && read.expires.is_some_and(|expires| expires.nanosecond() == 0));
    catalogue.set_expiry(&records[2], None).await.unwrap();
    assert_eq!(
        catalogue.get(records[2].id, None).await.unwrap().as_ref(),
        Some(&records[2])
    );
    let missing = record(SERVER, RecordKind::Backup, 9);
    let error = catalogue.set_expiry(&missing, Some(NOW)).await.unwrap_err();
    assert!(matches!(error, CatalogueError::NotFound { .. }), "{error:?}");
    for record in &records {
        catalogue.delete(record).await.unwrap();
    }
}

async fn plans_are_kept(catalogue: &dyn Catalogue) {
    assert_eq!(catalogue.plan(SERVER).await.unwrap(), Plan::Free);
    catalogue.set_plan(SERVER, Plan::Premium).await.unwrap();
    assert_eq!(catalogue.plan(SERVER).await.unwrap(), Plan::Premium);
    assert_eq!(catalogue.plan(OTHER_SERVER).await.unwrap(), Plan::Free);
    catalogue.set_plan(SERVER, Plan::Free).await.unwrap();
    assert_eq!(catalogue.plan(SERVER).await.unwrap(), Plan::Free);
}

fn new_use(operation: Operation, days: i64) -> Use {
    Use::new(SERVER, Plan::Free, operation, NOW + Duration::days(days)).unwrap()
}

async fn uses_are_counted_once(catalogue: &dyn Catalogue) {
    let uses: Vec<_> = (0..4).map(|_| new_use(Operation::Restore, 0)).collect();
    for counted in &uses[..3] {
        assert!(catalogue.take(counted).await.unwrap());
        assert!(catalogue.take(counted).await.unwrap(), "the same use again");
    }
    assert!(!catalogue.take(&uses[3]).await.unwrap());
    assert!(
        catalogue.take(&new_use(Operation::Restore, 1)).await.unwrap(),
        "the next day"
    );
    assert!(
        catalogue.take(&new_use(Operation::Backup, 0)).await.unwrap(),
        "another operation"
    );
    catalogue.give_back(&uses[0]).await.unwrap();
    catalogue.give_back(&uses[0]).await.unwrap();
    assert!(catalogue.take(&uses[3]).await.unwrap());
    assert!(!catalogue.take(&uses[0]).await.unwrap());
    let single = new_use(Operation::SnapshotRestore, 0);
    catalogue.give_back(&single).await.unwrap();
    assert!(catalogue.take(&single).await.unwrap());
    catalogue.give_back(&single).await.unwrap();
    assert!(catalogue.take(&new_use(Operation::SnapshotRestore, 0)).await.unwrap());
}

async fn concurrent_uses_do_not_exceed_the_limit(catalogue: &Arc<dyn Catalogue>) {
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let catalogue = Arc::clone(catalogue);
        takers.spawn(async move { catalogue.take(&new_use(Operation::Snapshot, 0)).await.unwrap() });
    }
    let taken = takers.join_all().await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 3, "{taken:?}");
}
