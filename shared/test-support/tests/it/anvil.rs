use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, AnvilOptions, address_of, eventually, tokens};
use serde_json::json;

/// Balance of an ERC-20 holder on the chain.
async fn balance(anvil: &Anvil, token: Address, holder: Address) -> U256 {
    let data = format!("0x70a08231{}{}", "0".repeat(24), &holder.to_string()[2..]);
    let result = anvil
        .rpc("eth_call", json!([{"to": token, "data": data}, "latest"]))
        .await;
    result.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn ledger_equals_the_chain() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    let (chani, stilgar) = (address_of(1), address_of(2));
    token.claim(chani, tokens(70)).await;
    token.burn(chani, tokens(1)).await;
    let block = anvil.head().await;
    anvil
        .in_one_block(async {
            token.mint(stilgar, 5).await;
            token.transfer(chani, stilgar, tokens(9)).await;
        })
        .await;
    token.claim_many(&[(chani, U256::ONE), (stilgar, U256::ONE)]).await;
    let ledger = anvil.ledger();
    for holder in [chani, stilgar, token.distributor(), address_of(3)] {
        assert_eq!(
            balance(&anvil, token.address(), holder).await,
            ledger.balance(token.address(), holder),
            "{holder}"
        );
    }
    let blocks: Vec<u64> = ledger
        .of(token.address())
        .map(|movement| movement.block.unwrap())
        .collect();
    assert_eq!(
        blocks,
        [
            block - 1,
            block - 1,
            block,
            block + 1,
            block + 1,
            block + 2,
            block + 2,
            block + 2,
            block + 2
        ]
    );
    let total: U256 = ledger.balances(token.address()).into_values().sum();
    assert_eq!(total, tokens(69) + U256::from(7));
}

#[tokio::test]
async fn reorganised_actions_are_gone_from_chain_and_ledger() {
    let anvil = Anvil::start_with(AnvilOptions {
        chain_id: 5,
        ..AnvilOptions::default()
    })
    .await;
    assert_eq!(anvil.rpc("eth_chainId", json!([])).await, "0x5");
    let token = anvil.deploy_erc20("Spice", "SPICE", 0).await;
    let chani = address_of(1);
    token.mint(chani, 1).await;
    token.mint(chani, 2).await;
    token.mint(chani, 4).await;
    let head = anvil.head().await;
    let hash = async || {
        anvil
            .rpc("eth_getBlockByNumber", json!([format!("0x{:x}", head - 1), false]))
            .await["hash"]
            .clone()
    };
    let before = hash().await;
    anvil.reorg(2).await;
    assert_eq!(anvil.head().await, head);
    assert_ne!(hash().await, before);
    assert_eq!(balance(&anvil, token.address(), chani).await, U256::ONE);
    token.mint(chani, 8).await;
    assert_eq!(balance(&anvil, token.address(), chani).await, U256::from(9));
    anvil.rollback(1).await;
    assert_eq!(anvil.head().await, head);
    assert_eq!(
        balance(&anvil, token.address(), chani).await,
        anvil.ledger().balance(token.address(), chani)
    );
}

#[tokio::test]
async fn chain_ends_with_its_last_clone() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc721("Fremkit", "FK").await;
    let pid = anvil.process().pid().unwrap();
    drop(anvil);
    token.mint(address_of(1), 1).await;
    drop(token);
    let gone = || std::future::ready(!std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists());
    eventually(gone, "the process to be gone").await;
}

#[tokio::test]
#[should_panic(expected = "reverted")]
async fn reverted_action_fails_the_test() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Spice", "SPICE", 0).await;
    token.burn(address_of(1), 1).await;
}
