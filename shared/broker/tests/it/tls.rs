//! AMQP over TLS, with an authority of one's own: a door that ends TLS, in front of the broker.

use std::sync::Arc;

use arrakis_broker::{BrokerConnection, BrokerSettings, ConnectionOptions, ConnectionState, Message, Pipeline};
use arrakis_contracts::names;
use arrakis_one_thread::SingleThreadRuntime;
use arrakis_test_support::eventually;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::world::{World, all_confirmed, join};

/// Listens with a certificate for `localhost` and forwards to the broker of `url`. Returns the settings of this listener.
async fn door(url: &str) -> BrokerSettings {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (scheme_and_login, place) = url.rsplit_once('@').unwrap();
    let (broker, path) = place.split_once('/').unwrap();
    let broker = broker.to_owned();
    let login = scheme_and_login.strip_prefix("amqp://").unwrap();
    let settings = BrokerSettings {
        ca_pem: Some(authority.pem()),
        ..BrokerSettings::new(format!("amqps://{login}@localhost:{port}/{path}"))
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(socket).await else {
                    return;
                };
                let mut outside = TcpStream::connect(broker).await.unwrap();
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    settings
}

/// Joins, and interactions larger than a TLS record, are confirmed in their order.
async fn carries(world: &World, connection: BrokerConnection) {
    let mut sender = Pipeline::start(connection, world.pipeline_options(), CancellationToken::new()).0;
    let ids: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        assert!(sender.room().await);
        sender.send(join(id.clone())).unwrap();
        if number % 50 == 0 {
            assert!(sender.room().await);
            let (id, body) = (format!("large-{number}"), vec![b'x'; 300_000]);
            let large = Message::new(names::EVENTS, "interaction.command.x", id, "INTERACTION_CREATE", body);
            sender.send(large).unwrap();
        }
    }
    all_confirmed(&sender).await;
    assert_eq!(sender.progress().resent, 0);
    assert_eq!(world.take_all(names::EVENTS_GUILD, 300).await, ids);
    assert_eq!(world.take_all(names::INTERACTIONS, 6).await.len(), 6);
}

#[tokio::test]
async fn unknown_certificate_is_refused_and_a_configured_authority_accepted() {
    let world = World::new().await;
    let settings = door(&world.vhost.url()).await;
    let unknown = BrokerConnection::open(
        &BrokerSettings::new(settings.url.expose()),
        "test of an unknown authority",
    );
    let is_refused =
        async || matches!(unknown.state(), ConnectionState::Connecting { reason } if reason.contains("AMQP_CA_FILE"));
    eventually(is_refused, "a certificate of an unknown authority to be refused").await;
    unknown.close().await;
    let connection = BrokerConnection::open(&settings, "test of TLS");
    carries(&world, connection.clone()).await;
    connection.close().await;
    world.finish(&[]).await;
}

/// TLS is between lapin and the socket that runs the tasks.
#[test]
fn single_threaded_process_connects_with_tls() {
    let thread = SingleThreadRuntime::new().unwrap();
    thread.clone().run(async move {
        let world = World::new().await;
        let options = ConnectionOptions {
            single_thread: Some(thread),
            ..ConnectionOptions::default()
        };
        let connection = BrokerConnection::open_with(&door(&world.vhost.url()).await, "test of TLS", options);
        carries(&world, connection.clone()).await;
        let name = async { std::thread::current().name().unwrap_or_default().to_owned() };
        assert_eq!(tokio::spawn(name).await.unwrap(), "lapin-io-loop");
        connection.close().await;
        assert_eq!(connection.state(), ConnectionState::Closed);
        world.finish(&[]).await;
    });
}
