//! The wizard's state, its transitions, and the end of its session.

use std::collections::BTreeMap;

use arrakis_db::{ProfileStandard, TokenProfileId, TokenProfileIdError};
use arrakis_domain::Address;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::services::Services;
use crate::synthesis::{Manifest, Structure};

/// A step of the wizard. The job of the deploy ends it: COMPLETE when the job has succeeded, FAILED when it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Step {
    /// What the wizard does.
    Init,
    /// The chain of the token.
    ChainSelect,
    /// The token.
    AssetConfig,
    /// Theme and rule set.
    EligibilityRules,
    /// Existing roles that stand for roles of the theme.
    RoleMapping,
    /// Whether the theme's channels belong to the community.
    ChannelStructure,
    /// The plan.
    Review,
    /// The deploy is requested.
    Deploy,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 8] = [
        Self::Init,
        Self::ChainSelect,
        Self::AssetConfig,
        Self::EligibilityRules,
        Self::RoleMapping,
        Self::ChannelStructure,
        Self::Review,
        Self::Deploy,
    ];

    /// The name in custom ids and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::ChainSelect => "chain_select",
            Self::AssetConfig => "asset_config",
            Self::EligibilityRules => "eligibility_rules",
            Self::RoleMapping => "role_mapping",
            Self::ChannelStructure => "channel_structure",
            Self::Review => "review",
            Self::Deploy => "deploy",
        }
    }

    /// Its number, from 1.
    pub fn number(self) -> usize {
        Self::ALL
            .iter()
            .position(|step| *step == self)
            .map_or(1, |index| index + 1)
    }

    fn neighbour(self, offset: isize) -> Option<Self> {
        let index = self.number().checked_add_signed(offset)?;
        Self::ALL.get(index.checked_sub(1)?).copied()
    }
}

/// The token of the community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The stored token profile; `None` for one that the deploy stores.
    pub profile: Option<TokenProfileId>,
    /// Address of the contract.
    pub contract: Address,
    /// What counts.
    pub standard: ProfileStandard,
    /// Name, as the contract has it.
    pub name: String,
    /// Symbol, as the contract has it.
    pub symbol: String,
    /// Decimals, as the contract has them.
    pub decimals: u8,
    /// The token has no logs before this block.
    pub start_block: u64,
}

impl Asset {
    /// The id of the token profile that a deploy stores for this token. Token profiles are shared by all communities, so the id follows from
    /// every choice of an admin: two admins who choose differently store two profiles, and neither changes the ranking of the other.
    ///
    /// # Errors
    /// None for a standard of [`ProfileStandard`]; the type of the id checks its characters.
    pub fn wizard_profile_id(&self, chain_id: u64) -> Result<TokenProfileId, TokenProfileIdError> {
        let chosen = format!("{chain_id}:{}:{}:{}", self.contract, self.standard, self.start_block);
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, chosen.as_bytes());
        TokenProfileId::new(format!("{}-{}", self.standard, hash.simple()))
    }
}

/// The state of the wizard in one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wizard {
    /// The server.
    pub guild: u64,
    /// Its name.
    pub name: String,
    /// The present step.
    pub step: Step,
    /// The chain.
    pub chain_id: Option<u64>,
    /// The token.
    pub asset: Option<Asset>,
    /// Id of the theme, and of its rule set.
    pub rules: Option<(String, String)>,
    /// Existing roles by the theme's key.
    pub roles: BTreeMap<String, u64>,
    /// The role of the theme for which a role of the server is being chosen.
    pub picked: Option<String>,
    /// What of the theme's server belongs to the community.
    pub structure: Option<Structure>,
}

impl Wizard {
    /// The wizard at its first step.
    pub const fn new(guild: u64, name: String) -> Self {
        Self {
            guild,
            name,
            step: Step::Init,
            chain_id: None,
            asset: None,
            rules: None,
            roles: BTreeMap::new(),
            picked: None,
            structure: None,
        }
    }

    /// Whether the present step has what it needs.
    pub const fn is_step_complete(&self) -> bool {
        match self.step {
            Step::Init | Step::RoleMapping => true,
            Step::ChainSelect => self.chain_id.is_some(),
            Step::AssetConfig => self.asset.is_some(),
            Step::EligibilityRules => self.rules.is_some(),
            Step::ChannelStructure => self.structure.is_some(),
            // The deploy is a button of its own.
            Step::Review | Step::Deploy => false,
        }
    }

    /// Goes to the next step; false if the present one is not complete.
    pub fn advance(&mut self) -> bool {
        match self.step.neighbour(1) {
            Some(next) if self.is_step_complete() => {
                self.step = next;
                true
            }
            _ => false,
        }
    }

    /// Goes back one step; false at the first one, and once the deploy is requested.
    pub fn go_back(&mut self) -> bool {
        match self.step.neighbour(-1) {
            Some(before) if self.step != Step::Deploy => {
                self.step = before;
                self.picked = None;
                true
            }
            _ => false,
        }
    }

    /// Chooses the chain. Another one than before discards the token.
    pub fn choose_chain(&mut self, chain_id: u64) {
        if self.chain_id != Some(chain_id) {
            self.asset = None;
        }
        self.chain_id = Some(chain_id);
    }

    /// Chooses theme and rule set. Another theme than before discards the roles, whose keys are the theme's.
    pub fn choose_rules(&mut self, theme: &str, rule_set: &str) {
        if self.rules.as_ref().is_none_or(|(before, _)| before != theme) {
            self.roles.clear();
            self.picked = None;
        }
        self.rules = Some((theme.to_owned(), rule_set.to_owned()));
    }

    /// The manifest of what was chosen; `None` while something is missing.
    pub fn manifest(&self) -> Option<Manifest> {
        let (theme, rule_set) = self.rules.clone()?;
        Some(Manifest {
            theme,
            rule_set,
            structure: self.structure?,
            roles: self.roles.clone(),
        })
    }
}

/// Ends the session of a deploy whose end its admin was shown. Without Redis the session ends when its time is over.
pub(crate) async fn end_deployed(services: &Services, id: Uuid) {
    let ended = match services.cache.session_by_id::<Wizard>(id).await {
        Ok(Some(session)) if session.data.step == Step::Deploy => services.cache.end_session(&session).await.map(drop),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::info!(%error, "the session of a deploy was not ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset() -> Asset {
        Asset {
            profile: None,
            contract: Address::from_bytes([1; 20]),
            standard: ProfileStandard::Erc20,
            name: "Spice".to_owned(),
            symbol: "SPICE".to_owned(),
            decimals: 18,
            start_block: 0,
        }
    }

    fn complete() -> Wizard {
        let mut wizard = Wizard::new(1, "Arrakeen".to_owned());
        wizard.choose_chain(1);
        wizard.asset = Some(asset());
        wizard.choose_rules("basic", "ranked");
        wizard.structure = Some(Structure::Whole);
        wizard
    }

    #[test]
    fn steps_are_left_in_order_up_to_the_review() {
        let mut wizard = complete();
        let mut seen = vec![wizard.step];
        while wizard.advance() {
            seen.push(wizard.step);
        }
        assert_eq!(seen, Step::ALL[..7]);
        while wizard.go_back() {}
        assert_eq!(wizard.step, Step::Init);
    }

    #[test]
    fn incomplete_step_is_not_left() {
        let mut wizard = Wizard::new(1, "Arrakeen".to_owned());
        assert!(wizard.advance());
        assert!(!wizard.advance());
        assert_eq!(wizard.step, Step::ChainSelect);
        wizard.choose_chain(5);
        assert!(wizard.advance());
        assert!(!wizard.advance());
    }

    #[test]
    fn nothing_goes_back_from_the_deploy() {
        let mut wizard = complete();
        wizard.step = Step::Deploy;
        assert!(!wizard.go_back() && !wizard.advance());
    }

    #[test]
    fn profile_id_follows_from_every_choice() {
        let id = |asset: &Asset, chain| asset.wizard_profile_id(chain).unwrap();
        let others = [
            Asset {
                contract: Address::from_bytes([2; 20]),
                ..asset()
            },
            Asset {
                standard: ProfileStandard::Erc1155,
                ..asset()
            },
            Asset {
                start_block: 7,
                ..asset()
            },
        ];
        assert_eq!(id(&asset(), u64::MAX), id(&asset(), u64::MAX));
        assert_ne!(id(&asset(), 1), id(&asset(), 2));
        for other in others {
            assert_ne!(id(&other, 1), id(&asset(), 1), "{other:?}");
        }
    }

    #[test]
    fn another_chain_discards_the_token_and_another_theme_the_roles() {
        let mut wizard = complete();
        wizard.roles.insert("gold".to_owned(), 7);
        wizard.choose_chain(1);
        wizard.choose_rules("basic", "other");
        assert!(wizard.asset.is_some() && !wizard.roles.is_empty());
        wizard.choose_chain(2);
        wizard.choose_rules("sietch", "balance");
        assert!(wizard.asset.is_none() && wizard.roles.is_empty());
    }

    #[test]
    fn session_of_every_step_is_read_again() {
        let mut wizard = complete();
        for step in Step::ALL {
            wizard.step = step;
            let stored = serde_json::to_vec(&wizard).unwrap();
            assert_eq!(serde_json::from_slice::<Wizard>(&stored).unwrap(), wizard);
        }
        let stored = serde_json::to_value(&wizard).unwrap();
        assert_eq!(stored["step"], "DEPLOY");
    }
}
