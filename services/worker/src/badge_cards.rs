//! Draws badge cards beside the async threads. Drawing takes milliseconds of CPU, so that few cards are drawn at once and the others
//! wait: a rush for `/badges` does not delay the defers of other commands.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrakis_badge_card::{Card, CardError, CardTemplate};
use arrakis_domain::{BadgeId, Rank, Theme, ThemeId, TierId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::failure::Failure;

/// Cards that are drawn at once; each has up to 12 MB of pixels.
const MAX_AT_ONCE: usize = 2;

/// Draws cards, and keeps the drawn badges of each theme. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BadgeCards(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    templates: Mutex<HashMap<ThemeId, Arc<CardTemplate>>>,
}

/// What a card shows; see [`Card`].
#[derive(Debug, Clone)]
pub struct CardRequest {
    /// Theme of the community.
    pub theme: Arc<Theme>,
    /// The member's name.
    pub name: String,
    /// The member's tier.
    pub tier: Option<TierId>,
    /// The member's rank.
    pub rank: Option<Rank>,
    /// Full days since the member joined.
    pub tenure_days: u32,
    /// Badges that the member holds.
    pub badges: BTreeSet<BadgeId>,
    /// Name of the community.
    pub community: String,
}

impl Default for BadgeCards {
    fn default() -> Self {
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            templates: Mutex::default(),
        }))
    }
}

impl BadgeCards {
    /// Draws a card as a PNG image.
    ///
    /// # Errors
    /// A permanent failure if the theme's art cannot be drawn.
    pub async fn draw(&self, request: CardRequest) -> Result<Vec<u8>, Failure> {
        let shared = Arc::clone(&self.0);
        let permit = Arc::clone(&shared.permits)
            .acquire_owned()
            .await
            .map_err(Failure::retry)?;
        let drawing = spawn_blocking(move || {
            // A command that is stopped does not stop the drawing, which keeps its permit.
            let _permit = permit;
            shared.draw(&request)
        });
        let drawn = drawing
            .await
            .map_err(|error| Failure::permanent(format!("drawing a badge card: {error}")))?;
        drawn.map_err(|error| Failure::permanent(format!("drawing a badge card: {error}")))
    }
}

impl Shared {
    fn draw(&self, request: &CardRequest) -> Result<Vec<u8>, CardError> {
        let tier = request.tier.as_ref().and_then(|tier| request.theme.tier(tier));
        let card = Card {
            name: &request.name,
            tier: tier.map(|tier| (tier.name.as_str(), tier.color)),
            rank: request.rank,
            tenure_days: request.tenure_days,
            badges: &request.badges,
            community: &request.community,
        };
        self.template(&request.theme)?.draw(&card)
    }

    /// The badges of a theme, drawn at its first card. Themes are loaded once, at the start.
    fn template(&self, theme: &Theme) -> Result<Arc<CardTemplate>, CardError> {
        let mut templates = self.templates.lock();
        if let Some(template) = templates.get(&theme.id) {
            return Ok(Arc::clone(template));
        }
        let template = Arc::new(CardTemplate::new(theme)?);
        templates.insert(theme.id.clone(), Arc::clone(&template));
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::theme;

    fn request(name: &str) -> CardRequest {
        CardRequest {
            theme: theme("basic"),
            name: name.to_owned(),
            tier: TierId::new("gold").ok(),
            rank: Rank::new(3),
            tenure_days: 5,
            badges: BTreeSet::new(),
            community: "Community".to_owned(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cards_are_drawn_a_few_at_a_time() {
        let cards = BadgeCards::default();
        let permits = Arc::clone(&cards.0.permits);
        let held = permits.acquire_many(u32::try_from(MAX_AT_ONCE).unwrap()).await.unwrap();
        let waiting = tokio::spawn({
            let cards = cards.clone();
            async move { cards.draw(request("Chani")).await }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished(), "no permit is free");
        drop(held);
        let image = waiting.await.unwrap().unwrap();
        assert!(image.starts_with(b"\x89PNG"));
        assert_eq!(permits.available_permits(), MAX_AT_ONCE, "the permit was given back");
        assert_eq!(cards.0.templates.lock().len(), 1);
    }

    #[tokio::test]
    async fn command_that_is_stopped_gives_its_permit_back() {
        let cards = BadgeCards::default();
        for _ in 0..3 * MAX_AT_ONCE {
            let mut drawing = Box::pin(cards.draw(request("Chani")));
            let _ = futures_util::poll!(&mut drawing);
        }
        cards.draw(request("Chani")).await.unwrap();
    }
}
