-- The constraints that 0014 added without a look at existing rows. Validation reads the whole table and blocks no reader and no writer.
set local lock_timeout = '2s';
alter table token_profiles
    validate constraint token_profiles_standard,
    validate constraint token_profiles_bgt_has_addresses,
    validate constraint token_profiles_only_bgt_has_addresses,
    validate constraint token_profiles_nft_has_no_decimals,
    validate constraint token_profiles_ids_of_nfts;
alter table eligibility_health_status
    validate constraint eligibility_health_status_mismatches,
    validate constraint eligibility_health_status_finalized_block;
