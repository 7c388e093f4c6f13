use std::time::{Duration, Instant};

use arrakis_db::ApiKeyScope::UsersExport;
use arrakis_test_support::eventually;
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{TestApi, address};

#[tokio::test]
async fn export_is_empty_without_users() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    assert_eq!(api.get_as(&key, "/admin/users/export").await.ok(), json!({"users": []}));
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await;
    let rows = "id,discord_id,telegram_id,name,status,suspended_until,primary_wallet,wallets,created_at,updated_at\r\nend,0,,,,,,,,\r\n";
    assert_eq!((csv.status, csv.text.as_str()), (200, rows));
}

#[tokio::test]
async fn export_has_every_user_once_in_both_formats() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    // More than one page of the export.
    let count = 501;
    let mut tx = api.database.global().await.unwrap();
    for number in 1..=count {
        let user = arrakis_db::UserId::new(number).unwrap();
        let cause = arrakis_db::registry::Cause {
            source: arrakis_db::registry::EventSource::DiscordVerification,
            at: time::OffsetDateTime::now_utc(),
        };
        let account = arrakis_db::registry::Account::Discord(user);
        tx.registry().create(account, "Member", cause).await.unwrap();
    }
    tx.commit().await.unwrap();
    let body = api.get_as(&key, "/admin/users/export?format=json").await.ok();
    let mut ids: Vec<u64> = body["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["discord_id"].as_str().unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=count).collect::<Vec<_>>());
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await;
    assert_eq!(csv.text.matches("\r\n").count() as u64, count + 2);
    assert!(csv.text.ends_with(&format!("\r\nend,{count},,,,,,,,\r\n")));
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    let disposition = csv.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"arrakis-users-") && disposition.ends_with(".csv\""));
}

#[tokio::test]
async fn name_that_is_a_formula_becomes_text() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    let member = api.member(7, "=HYPERLINK(\"http://x\",\"y\")", address(1), &[]).await;
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await.text;
    let start = format!(
        "{},7,,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",active,,{w},{w},",
        member.identity,
        w = address(1)
    );
    assert!(csv.lines().nth(1).unwrap().starts_with(&start), "{csv}");
}

#[tokio::test]
async fn csv_has_semicolons_on_request() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    let member = api.member(7, "Chani; =1+1, of \"Tabr\"", address(1), &[]).await;
    let csv = api
        .get_as(&key, "/admin/users/export?format=csv&delimiter=semicolon")
        .await;
    let mut lines = csv.text.lines();
    assert!(
        lines.next().unwrap().starts_with("id;discord_id;telegram_id;name;"),
        "{}",
        csv.text
    );
    let start = format!("{};7;;\"Chani; '=1+1, of \"\"Tabr\"\"\";active;;", member.identity);
    assert!(lines.next().unwrap().starts_with(&start), "{}", csv.text);
    assert_eq!(lines.next(), Some("end;1;;;;;;;;"));
    for query in ["format=json&delimiter=semicolon", "format=csv&delimiter=tab"] {
        api.get_as(&key, &format!("/admin/users/export?{query}"))
            .await
            .assert_problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn format_is_negotiated() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    let accept = async |accept: &str, query: &str| {
        let request = api.request(Method::GET, &format!("/admin/users/export{query}"));
        let answer = api.send(request.bearer_auth(&key).header("accept", accept)).await;
        (
            answer.status,
            answer
                .header("content-type")
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
        )
    };
    let (json, csv) = ((200, "application/json".to_owned()), (200, "text/csv".to_owned()));
    assert_eq!(accept("*/*", "").await, json);
    assert_eq!(accept("text/csv", "").await, csv);
    assert_eq!(accept("text/html, text/csv;q=0.9, */*;q=0.1", "").await, csv);
    assert_eq!(accept("text/csv", "?format=json").await, json);
    assert_eq!(accept("image/png", "").await.0, 406);
    api.get_as(&key, "/admin/users/export?format=xml")
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn key_of_one_community_exports_its_members_only() {
    let api = TestApi::start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    api.member(1, "Here", address(1), &[here]).await;
    api.member(2, "Elsewhere", address(2), &[elsewhere]).await;
    let key = api.key(Some(here), &[UsersExport]).await;
    let body = api.get_as(&key, "/admin/users/export").await.ok();
    assert_eq!(body["users"].as_array().unwrap().len(), 1);
    assert_eq!(body["users"][0]["name"], "Here");
}

/// So many users with long names: an export of them is larger than what the sockets buffer.
async fn fill(api: &TestApi, count: u32) {
    let mut owner = PgConnection::connect(&api.test_database.owner_url()).await.unwrap();
    let sql = format!(
        "insert into user_identities (identity_id, discord_user_id, display_name, status, created_at, updated_at)
         select gen_random_uuid(), number, repeat('x', 200), 'active', now(), now() from generate_series(1, {count}) as number"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut owner).await.unwrap();
}

/// An export whose client has read the head of the answer and nothing more.
async fn begun_export(api: &TestApi, key: &str, format: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    let mut stream = socket.connect(api.address).await.unwrap();
    let request = format!(
        "GET /admin/users/export?format={format} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    stream
}

/// The rest of an answer, up to the end of the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut received)).await;
    // A reset is an end as well.
    let _ = read.expect("the connection is still open");
    String::from_utf8_lossy(&received).into_owned()
}

async fn open_connections(api: &TestApi) -> f64 {
    api.metric("arrakis_http_connections{listener=\"api\"}")
}

#[track_caller]
fn assert_cut_off(received: &str, format: &str) {
    assert!(!received.ends_with("0\r\n\r\n"), "the body has its last chunk");
    match format {
        "json" => assert!(!received.contains("]}"), "the JSON is complete"),
        _ => assert!(!received.contains("\r\nend,"), "the CSV has its last row"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_ends_when_its_key_is_revoked_or_expires_also_for_a_client_that_does_not_read() {
    let api = TestApi::start().await;
    fill(&api, 40_000).await;
    for format in ["json", "csv"] {
        let (id, revoked) = api.key_until(None, &[UsersExport], time::Duration::days(1)).await;
        let (_, expiring) = api.key_until(None, &[UsersExport], time::Duration::seconds(3)).await;
        let streams = [
            begun_export(&api, &revoked, format).await,
            begun_export(&api, &expiring, format).await,
        ];
        assert_eq!(open_connections(&api).await, 2.0);
        let mut tx = api.admin.database().global().await.unwrap();
        assert!(tx.revoke_platform_api_key(id, "stilgar").await.unwrap());
        tx.commit().await.unwrap();
        let began = Instant::now();
        eventually(
            async || open_connections(&api).await == 0.0,
            "both connections to be closed",
        )
        .await;
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        for stream in streams {
            assert_cut_off(&rest(stream).await, format);
        }
    }
    // A key that stays valid exports everything.
    let key = api.key(None, &[UsersExport]).await;
    let whole = api.get_as(&key, "/admin/users/export?format=csv").await;
    assert!(whole.text.ends_with("\r\nend,40000,,,,,,,,\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_has_two_exports_at_a_time() {
    let api = TestApi::start().await;
    fill(&api, 40_000).await;
    let key = api.key(None, &[UsersExport]).await;
    let first = begun_export(&api, &key, "json").await;
    let second = begun_export(&api, &key, "json").await;
    let refused = api.get_as(&key, "/admin/users/export").await;
    refused.assert_problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), Some("10"));
    let other = api.key(None, &[UsersExport]).await;
    drop(begun_export(&api, &other, "json").await);
    drop(first);
    let again = async || {
        let request = api.request(Method::HEAD, "/admin/users/export").bearer_auth(&key);
        api.send(request).await.status == 200
    };
    eventually(again, "the end of the first export to be noticed").await;
    drop(second);
}
