//! What the components of the wizard do, and their custom ids.

use uuid::Uuid;

use crate::wizard::Step;

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "onboard";
macro_rules! actions {
    ($($variant:ident = $name:literal $(in $step:ident)?, $doc:literal;)*) => {
        /// What a component of the wizard does: the first argument of its custom id.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = $doc] $variant,)*
        }

        impl Action {
            /// The action of this name.
            pub fn read(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The step to which its input belongs; `None` for an action of every step.
            pub fn step(self) -> Option<Step> {
                match self {
                    $(Self::$variant => actions!(@step $($step)?),)*
                }
            }
        }
    };
    (@step) => { None };
    (@step $step:ident) => { Some(Step::$step) };
}

actions! {
    Next = "next", "Goes to the next step.";
    Back = "back", "Goes back one step.";
    Cancel = "cancel", "Ends the wizard.";
    Restart = "restart", "Begins again.";
    Progress = "progress", "Shows the present step, and the progress of a deploy.";
    Chain = "chain" in ChainSelect, "Chooses the chain.";
    Token = "token" in AssetConfig, "Chooses a stored token.";
    Contract = "contract" in AssetConfig, "Opens the modal for a contract.";
    Asset = "asset" in AssetConfig, "The modal for a contract.";
    Rules = "rules" in EligibilityRules, "Chooses theme and rule set.";
    Pick = "pick" in RoleMapping, "Chooses a role of the theme.";
    Role = "role" in RoleMapping, "Chooses the role of the server that stands for it.";
    Clear = "clear" in RoleMapping, "Removes the choices of roles.";
    Structure = "structure" in ChannelStructure, "Chooses whether channels belong to the community.";
    Deploy = "deploy" in Review, "Requests the deploy.";
}

/// The custom id of a component.
pub fn custom_id(action: Action, session: Uuid, argument: Option<&str>) -> String {
    match argument {
        Some(argument) => format!("{NAME}:{}:{session}:{argument}", action.name()),
        None => format!("{NAME}:{}:{session}", action.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_read_by_its_name() {
        for action in [
            Action::Next,
            Action::Chain,
            Action::Role,
            Action::Deploy,
            Action::Progress,
        ] {
            assert_eq!(Action::read(action.name()), Some(action));
        }
        assert_eq!(Action::read("other"), None);
        assert_eq!(
            (Action::Next.step(), Action::Chain.step()),
            (None, Some(Step::ChainSelect))
        );
    }
}
