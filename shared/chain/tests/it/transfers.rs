//! Transfers of each standard, compared with what the test played.

use arrakis_chain::{TokenStandard, TransferFilter};
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, address_of, tokens};

use crate::support::{all, assert_equals_ledger, batches, client, of, played_token, transfers};

const ZERO: Address = Address::from_bytes([0; 20]);

#[tokio::test]
async fn erc20_claims_burns_and_transfers_are_read() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    let (chani, stilgar) = (address_of(1), address_of(2));
    token.mint(chani, U256::MAX - tokens(1_000)).await;
    token.burn(chani, U256::MAX - tokens(1_000)).await;
    token.claim(chani, tokens(70)).await;
    anvil
        .in_one_block(async {
            token.claim(stilgar, tokens(500)).await;
            token.transfer(stilgar, chani, tokens(5)).await;
            token.transfer(chani, chani, 0).await;
        })
        .await;
    anvil.finalize().await;
    let client = client(&[anvil.url()]);
    let read = all(&client, of(token.address(), TokenStandard::Erc20)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert!(read.iter().all(|transfer| transfer.token_id.is_none()));
    assert_eq!(anvil.ledger().balance(token.address(), chani), tokens(75));
    let block = client.block(read[0].block_number).await.unwrap().unwrap();
    assert_eq!(block.hash, read[0].block_hash);
}

#[tokio::test]
async fn parties_of_a_filter_select_transfers() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 8, 3).await;
    let nft = anvil.deploy_erc721("Fremkit", "FK").await;
    nft.mint_consecutive(address_of(1), 1, 5).await;
    nft.transfer(address_of(1), address_of(2), 3).await;
    anvil.finalize().await;
    let client = client(&[anvil.url()]);
    let to = client.finalized().await.unwrap().number;
    for (contract, standard, from, receiver) in [
        (token.address(), TokenStandard::Erc20, Some(token.distributor()), None),
        (token.address(), TokenStandard::Erc20, None, Some(ZERO)),
        (
            token.address(),
            TokenStandard::Erc20,
            Some(ZERO),
            Some(token.distributor()),
        ),
        (nft.address(), TokenStandard::Erc721, Some(ZERO), None),
        (nft.address(), TokenStandard::Erc721, None, Some(address_of(2))),
    ] {
        let filter = TransferFilter {
            contract,
            standard,
            from,
            to: receiver,
        };
        let read = transfers(&client, filter, 0, to).await.unwrap();
        let ledger = anvil.ledger();
        let matches = |party: Address, wanted: Option<Address>| wanted.is_none_or(|wanted| wanted == party);
        let played = ledger
            .of(contract)
            .filter(|m| matches(m.from, from) && matches(m.to, receiver));
        let played: Vec<_> = played.map(|m| (m.from, m.to, m.id, m.amount)).collect();
        assert!(!played.is_empty());
        assert_eq!(
            read.iter()
                .map(|t| (t.from, t.to, t.token_id, t.amount))
                .collect::<Vec<_>>(),
            played
        );
    }
}

#[tokio::test]
async fn erc721_mints_moves_burns_and_consecutive_mints_are_read() {
    let anvil = Anvil::start().await;
    let nft = anvil.deploy_erc721("Fremkit", "FK").await;
    nft.mint(address_of(1), 7).await;
    nft.mint_consecutive(address_of(2), 100, 149).await;
    nft.transfer(address_of(1), address_of(2), 7).await;
    nft.burn(address_of(2), 120).await;
    nft.mint(address_of(1), U256::MAX).await;
    anvil.finalize().await;
    let read = all(&client(&[anvil.url()]), of(nft.address(), TokenStandard::Erc721)).await;
    assert_equals_ledger(&read, &anvil.ledger(), nft.address());
    assert_eq!(read.len(), 54);
    assert!(read.iter().all(|transfer| transfer.amount == U256::ONE));
}

#[tokio::test]
async fn consecutive_mint_of_too_many_ids_is_an_error_that_names_the_block() {
    let anvil = Anvil::start().await;
    let nft = anvil.deploy_erc721("Fremkit", "FK").await;
    nft.mint(address_of(1), 1).await;
    nft.announce_consecutive(address_of(1), U256::ZERO, U256::MAX).await;
    let block = anvil.head().await;
    anvil.finalize().await;
    let client = client(&[anvil.url()]);
    let to = client.finalized().await.unwrap().number;
    let mut reader = client.transfers(of(nft.address(), TokenStandard::Erc721), 0, to);
    let error = loop {
        match reader.next().await {
            Ok(Some(batch)) => assert!(batch.to.number < block),
            Ok(None) => panic!("the event was read"),
            Err(error) => break error,
        }
    };
    assert!(!error.is_temporary());
    assert!(error.to_string().contains(&format!("block {block}")), "{error}");
}

#[tokio::test]
async fn erc1155_single_and_batch_transfers_are_read() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc1155().await;
    let (chani, stilgar) = (address_of(1), address_of(2));
    token.mint(chani, 1, 10).await;
    let batch: Vec<(U256, U256)> = [(1, 5), (2, 6), (2, 7)]
        .map(|(id, amount)| (U256::from(id), U256::from(amount)))
        .into();
    token.transfer_batch(ZERO, stilgar, &batch).await;
    token.transfer_batch(stilgar, chani, &batch[..2]).await;
    token.transfer_batch(stilgar, chani, &[]).await;
    token.burn(chani, 2, 1).await;
    anvil.finalize().await;
    let read = all(&client(&[anvil.url()]), of(token.address(), TokenStandard::Erc1155)).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
    assert_eq!(read[1].log_index, read[3].log_index);
}

#[tokio::test]
async fn log_of_the_other_standard_is_an_error_that_names_the_transaction() {
    let anvil = Anvil::start().await;
    let nft = anvil.deploy_erc721("Fremkit", "FK").await;
    nft.mint(address_of(1), 7).await;
    let token = played_token(&anvil, 2, 2).await;
    let client = client(&[anvil.url()]);
    let to = client.finalized().await.unwrap().number;
    for (contract, standard, name) in [
        (nft.address(), TokenStandard::Erc20, "ERC-20"),
        (token.address(), TokenStandard::Erc721, "ERC-721"),
    ] {
        let first = anvil.ledger().of(contract).next().unwrap().block.unwrap();
        let error = transfers(&client, of(contract, standard), 0, to).await.unwrap_err();
        assert!(!error.is_temporary(), "{error}");
        let text = error.to_string();
        for part in ["transaction 0x", name, &contract.to_string(), &format!("block {first}")] {
            assert!(text.contains(part), "{text}");
        }
    }
    // Another event: the endpoint does not return it.
    assert_eq!(all(&client, of(token.address(), TokenStandard::Erc1155)).await, []);
}

#[tokio::test]
async fn reorganisation_changes_the_hash_of_a_batchs_last_block() {
    let anvil = Anvil::start().await;
    let token = played_token(&anvil, 3, 2).await;
    let client = client(&[anvil.url()]);
    let to = client.finalized().await.unwrap().number;
    let filter = of(token.address(), TokenStandard::Erc20);
    let before = batches(client.transfers(filter, 0, to), 0).await.unwrap();
    let last = before.last().unwrap().to;
    assert_eq!(client.block(last.number).await.unwrap(), Some(last));
    anvil.reorg(anvil.head().await - last.number + 1).await;
    let now = client.block(last.number).await.unwrap().unwrap();
    assert_ne!(now.hash, last.hash);
    token.claim(address_of(9), 9).await;
    anvil.finalize().await;
    let read = all(&client, filter).await;
    assert_equals_ledger(&read, &anvil.ledger(), token.address());
}

#[tokio::test]
async fn range_without_blocks_has_no_batch() {
    let anvil = Anvil::start().await;
    let client = client(&[anvil.url()]);
    let filter = of(address_of(1), TokenStandard::Erc20);
    assert_eq!(client.transfers(filter, 5, 4).next().await.unwrap(), None);
    anvil.mine(5).await;
    let empty = batches(client.transfers(filter, 0, 3), 0).await.unwrap();
    assert_eq!(empty.len(), 1);
    assert_eq!((empty[0].to.number, empty[0].transfers.len()), (3, 0));
}
