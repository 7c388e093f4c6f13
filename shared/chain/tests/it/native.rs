//! Balances, owners and metadata from contracts, with and without Multicall3.

use arrakis_chain::{ChainError, Token, TokenStandard};
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, AnvilOptions, MULTICALL3, address_of, tokens};

use crate::support::{Answer, Faults, RpcProxy, client, played_token};

fn token(contract: Address, standard: TokenStandard, ids: &[u64]) -> Token {
    Token {
        contract,
        standard,
        ids: ids.iter().map(|id| U256::from(*id)).collect(),
    }
}

async fn anvil(multicall: bool) -> Anvil {
    Anvil::start_with(AnvilOptions {
        multicall,
        ..AnvilOptions::default()
    })
    .await
}

#[tokio::test]
async fn balances_of_many_holders_equal_the_ledger() {
    for multicall in [true, false] {
        let anvil = anvil(multicall).await;
        let played = played_token(&anvil, 30, 9).await;
        let bgt = token(played.address(), TokenStandard::Erc20, &[]);
        let holders: Vec<Address> = (4_900..5_400).map(address_of).collect();
        let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
        let client = client(&[&proxy.url()]);
        let read = client.balances(&bgt, &holders, None).await.unwrap();
        let ledger = anvil.ledger();
        let wanted: Vec<U256> = holders
            .iter()
            .map(|holder| ledger.balance(played.address(), *holder))
            .collect();
        assert_eq!(read, wanted);
        assert!(wanted.iter().any(|balance| *balance > U256::ZERO));
        let calls = proxy.count("eth_call");
        assert_eq!(calls, if multicall { 3 } else { 500 });
    }
}

#[tokio::test]
async fn balance_at_an_earlier_block_is_that_of_the_block() {
    let anvil = anvil(true).await;
    let (chani, stilgar) = (address_of(1), address_of(2));
    let bgt = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    bgt.claim(chani, tokens(70)).await;
    let before = anvil.head().await;
    bgt.transfer(chani, stilgar, tokens(10)).await;
    let client = client(&[anvil.url()]);
    let bgt = token(bgt.address(), TokenStandard::Erc20, &[]);
    let holders = [chani, stilgar];
    let at = |at| client.balances(&bgt, &holders, at);
    assert_eq!(at(Some(before)).await.unwrap(), [tokens(70), U256::ZERO]);
    assert_eq!(at(None).await.unwrap(), [tokens(60), tokens(10)]);
    assert!(client.has_balance(&bgt, chani, tokens(60)).await.unwrap());
    assert!(!client.has_balance(&bgt, chani, tokens(60) + U256::ONE).await.unwrap());
}

#[tokio::test]
async fn block_before_multicall_is_read_call_by_call() {
    let anvil = anvil(false).await;
    let chani = address_of(1);
    let bgt = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    bgt.claim(chani, 5).await;
    let before = anvil.head().await;
    let code = multicall_code(&Anvil::start().await).await;
    anvil.set_code(MULTICALL3, &code).await;
    anvil.mine(2).await;
    let client = client(&[anvil.url()]);
    let bgt = token(bgt.address(), TokenStandard::Erc20, &[]);
    let read = client
        .balances(&bgt, &[chani, address_of(2)], Some(before))
        .await
        .unwrap();
    assert_eq!(read, [U256::from(5), U256::ZERO]);
}

/// Code of Multicall3 on another chain.
async fn multicall_code(other: &Anvil) -> String {
    let code = other
        .rpc("eth_getCode", serde_json::json!([MULTICALL3, "latest"]))
        .await;
    code.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nfts_are_counted_and_owned_by_id() {
    for multicall in [true, false] {
        let anvil = anvil(multicall).await;
        let (chani, stilgar) = (address_of(1), address_of(2));
        let nft = anvil.deploy_erc721("Fremkit", "FK").await;
        nft.mint_consecutive(chani, 1, 5).await;
        nft.transfer(chani, stilgar, 3).await;
        nft.burn(chani, 4).await;
        let client = client(&[anvil.url()]);
        let any = token(nft.address(), TokenStandard::Erc721, &[]);
        let listed = token(nft.address(), TokenStandard::Erc721, &[1, 2, 3, 4, 99]);
        let both = [chani, stilgar];
        assert_eq!(
            client.balances(&any, &both, None).await.unwrap(),
            [3, 1].map(U256::from)
        );
        assert_eq!(
            client.balances(&listed, &both, None).await.unwrap(),
            [2, 1].map(U256::from)
        );
        let owns = async |token: &Token, holder, ids: &[u64]| {
            let ids: Vec<U256> = ids.iter().map(|id| U256::from(*id)).collect();
            client.owns_nft(token, holder, &ids).await.unwrap()
        };
        assert!(owns(&any, chani, &[]).await && owns(&any, stilgar, &[3]).await);
        assert!(!owns(&any, chani, &[3, 4, 99]).await && !owns(&any, address_of(3), &[]).await);
        assert!(
            owns(&listed, stilgar, &[]).await
                && !owns(&token(nft.address(), TokenStandard::Erc721, &[5]), stilgar, &[]).await
        );
    }
}

/// `ownerOf` of an id below 3 never ends; of another id it uses 800,000 gas and returns the contract's own address.
const GREEDY_OWNERS: &str = "600360043510601e576175305b6001900380600c573060005260206000f35b601e56";

#[tokio::test]
async fn call_that_fails_in_a_batch_is_repeated_alone() {
    let anvil = anvil(true).await;
    let contract = address_of(77_777);
    anvil.set_code(contract, GREEDY_OWNERS).await;
    let proxy = RpcProxy::start(anvil.url(), Faults::default()).await;
    let client = client(&[&proxy.url()]);
    // The first call of the batch leaves a sixty-fourth of the gas, which is not enough for the second one.
    let listed = token(contract, TokenStandard::Erc721, &[0, 4]);
    assert_eq!(client.get_balance(&listed, contract).await.unwrap(), U256::ONE);
    assert_eq!(proxy.count("eth_call"), 3, "the batch, and each of its two calls alone");
}

#[tokio::test]
async fn balances_of_several_ids_are_summed() {
    for multicall in [true, false] {
        let anvil = anvil(multicall).await;
        let contract = anvil.deploy_erc1155().await;
        let holders: Vec<Address> = (0..150).map(|number| address_of(1_000 + number)).collect();
        for (index, holder) in (0_u64..).zip(&holders).filter(|(index, _)| index % 10 == 0) {
            contract.mint(*holder, index % 3, index + 1).await;
            contract.mint(*holder, 2, 1).await;
        }
        let client = client(&[anvil.url()]);
        let counted = token(contract.address(), TokenStandard::Erc1155, &[0, 2, 7]);
        let read = client.balances(&counted, &holders, None).await.unwrap();
        let ledger = anvil.ledger();
        let counts = |id| counted.ids.contains(&id);
        let wanted: Vec<U256> = holders
            .iter()
            .map(|holder| ledger.balance_of_ids(contract.address(), *holder, counts))
            .collect();
        assert_eq!(read, wanted);
        assert!(client.owns_nft(&counted, holders[0], &[]).await.unwrap());
        assert!(!client.owns_nft(&counted, holders[1], &[]).await.unwrap());
    }
}

#[tokio::test]
async fn token_without_what_the_request_needs_is_a_lasting_error() {
    let anvil = anvil(true).await;
    let contract = anvil.deploy_erc1155().await;
    let client = client(&[anvil.url()]);
    let holder = address_of(1);
    let holders = [holder, address_of(2)];
    let nothing = address_of(77);
    let refused = |result: Result<Vec<U256>, ChainError>, text: &str| {
        let error = result.unwrap_err();
        assert!(!error.is_temporary() && error.to_string().contains(text), "{error}");
    };
    for standard in [TokenStandard::Erc20, TokenStandard::Erc721] {
        refused(
            client.balances(&token(nothing, standard, &[]), &holders, None).await,
            "no contract",
        );
        refused(
            client.balances(&token(nothing, standard, &[]), &[holder], None).await,
            "no contract",
        );
        refused(
            client
                .balances(&token(contract.address(), standard, &[]), &holders, None)
                .await,
            "reverted",
        );
    }
    refused(
        client
            .balances(&token(nothing, TokenStandard::Erc721, &[1]), &holders, None)
            .await,
        "no contract",
    );
    refused(
        client
            .balances(&token(nothing, TokenStandard::Erc1155, &[1]), &holders, None)
            .await,
        "no contract",
    );
    refused(
        client
            .balances(&token(contract.address(), TokenStandard::Erc1155, &[]), &holders, None)
            .await,
        "needs ids",
    );
    let erc20 = token(nothing, TokenStandard::Erc20, &[]);
    assert!(!client.owns_nft(&erc20, holder, &[]).await.unwrap_err().is_temporary());
    assert!(!client.metadata(nothing).await.unwrap_err().is_temporary());
    assert!(client.balances(&erc20, &[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn metadata_are_read_where_the_contract_has_them() {
    for multicall in [true, false] {
        let anvil = anvil(multicall).await;
        let bgt = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
        let multi = anvil.deploy_erc1155().await;
        let client = client(&[anvil.url()]);
        let metadata = client.metadata(bgt.address()).await.unwrap();
        assert_eq!(metadata.name.as_deref(), Some("Bera Governance Token"));
        assert_eq!((metadata.symbol.as_deref(), metadata.decimals), (Some("BGT"), Some(18)));
        assert_eq!(client.metadata(multi.address()).await.unwrap(), Default::default());
    }
}

#[tokio::test]
async fn failure_of_every_endpoint_is_a_temporary_error() {
    let anvil = anvil(true).await;
    let proxy = RpcProxy::start(
        anvil.url(),
        Faults {
            answer: Answer::Html,
            ..Faults::default()
        },
    )
    .await;
    let client = client(&[&proxy.url()]);
    let bgt = token(address_of(1), TokenStandard::Erc20, &[]);
    assert!(
        client
            .get_balance(&bgt, address_of(2))
            .await
            .unwrap_err()
            .is_temporary()
    );
}

/// Futures of the client run in tasks of a multi-threaded runtime.
#[tokio::test]
async fn futures_can_be_spawned() {
    fn spawnable<T>(future: impl Future<Output = T> + Send + 'static) {
        drop(future);
    }
    let client = client(&["http://127.0.0.1:1"]);
    spawnable(async move {
        let bgt = token(address_of(1), TokenStandard::Erc20, &[]);
        let _ = client.balances(&bgt, &[address_of(1)], None).await;
        let _ = client.owns_nft(&bgt, address_of(1), &[]).await;
        let _ = client.metadata(address_of(1)).await;
        let _ = client.finalized().await;
        let _ = client
            .transfers(crate::support::of(address_of(1), TokenStandard::Erc20), 0, 1)
            .next()
            .await;
    });
}
