use arrakis_config::{Reader, Service, Source};
use arrakis_ingestor::Config;
use arrakis_runtime::Runtime;
use arrakis_test_support::TestVhost;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use twilight_gateway::{ConfigBuilder, Intents, Shard, ShardId};

/// The URL to which twilight connects has version, encoding and compression. A feature of the crate sets the compression.
#[tokio::test]
async fn gateway_url_has_version_10_json_and_compression() {
    arrakis_runtime::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let config = ConfigBuilder::new("a.b.c".to_owned(), Intents::GUILDS)
        .proxy_url(url)
        .build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let connecting = tokio::spawn(async move { shard.next().await.is_some() });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = [0; 256];
    let count = socket.read(&mut request).await.unwrap();
    let line = String::from_utf8_lossy(&request[..count]);
    let line = line.lines().next().unwrap_or_default();
    let compression = match (cfg!(feature = "zstd"), cfg!(feature = "zlib")) {
        (true, _) => "&compress=zstd-stream",
        (false, true) => "&compress=zlib-stream",
        (false, false) => "",
    };
    assert_eq!(line, format!("GET /?v=10&encoding=json{compression} HTTP/1.1"));
    connecting.abort();
}

/// Discord requires one from every client: <https://discord.com/developers/docs/reference#user-agent>
#[tokio::test]
async fn rest_and_gateway_requests_have_the_user_agent() {
    let rest = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vhost = TestVhost::create().await;
    let base = format!("http://{}/api/v10", rest.local_addr().unwrap());
    let pairs = [
        ("DISCORD_TOKEN", "MTIz.GaBcDe.example".to_owned()),
        ("DISCORD_API_BASE", base),
        ("AMQP_URL", vhost.url()),
    ];
    arrakis_runtime::install_crypto_provider();
    let config = Reader::load(Service::Ingestor, Source::pairs(pairs), Config::read).unwrap();
    let ingestor = tokio::spawn(arrakis_ingestor::serve(config, Runtime::for_test(Service::Ingestor)));
    let (mut socket, _) = rest.accept().await.unwrap();
    let asked = request(&mut socket).await;
    let body = format!(
        "{{\"url\":\"ws://{}\",\"shards\":1,\"session_start_limit\":{{\"total\":1000,\"remaining\":1000,\
         \"reset_after\":1000,\"max_concurrency\":1}}}}",
        gateway.local_addr().unwrap()
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await.unwrap();
    let (mut socket, _) = gateway.accept().await.unwrap();
    let connected = request(&mut socket).await;
    ingestor.abort();
    for (call, request) in [("GET /api/v10/gateway/bot ", asked), ("GET /?v=10", connected)] {
        assert!(request.starts_with(call), "{request}");
        let agents: Vec<_> = request
            .lines()
            .filter_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("user-agent: ")
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(agents.len(), 1, "{request}");
        assert!(
            agents[0].starts_with("discordbot (https://") && agents[0].ends_with(')'),
            "{request}"
        );
    }
}

/// The head of a request.
async fn request(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 1_024];
    while !text.contains("\r\n\r\n") {
        let count = socket.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}
