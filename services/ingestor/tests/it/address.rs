use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use twilight_gateway::{ConfigBuilder, Intents, Shard, ShardId};

/// Version, encoding and compression stand in the address that twilight connects to; compression is what was compiled in.
#[tokio::test]
async fn the_gateway_is_asked_for_version_10_json_and_compression() {
    arrakis_runtime::install_crypto();
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
