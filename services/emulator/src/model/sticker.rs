//! Stickers of servers. <https://discord.com/developers/docs/resources/sticker#sticker-object>

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::Id;

/// File format of a sticker; the number is Discord's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are those of Discord's table of sticker format types"
)]
pub enum StickerFormat {
    Png = 1,
    Apng = 2,
    Lottie = 3,
    Gif = 4,
}

/// A sticker of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticker {
    /// Snowflake of the sticker.
    pub id: Id,
    /// 2–30 characters.
    pub name: String,
    /// 2–100 characters, or empty.
    pub description: Option<String>,
    /// Suggestion tags, up to 200 characters: the name of a Unicode emoji.
    pub tags: String,
    /// Format of the file.
    pub format: StickerFormat,
    /// Whether it is usable; `false` after the boost for its slot ended.
    pub available: bool,
    /// Server that owns it.
    pub guild_id: Id,
    /// User who uploaded it; REST renders it as `user`.
    pub user_id: Id,
}

impl Serialize for Sticker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Discord's number for a sticker of a server, as opposed to one of a sticker pack.
        const GUILD: u8 = 2;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("name", &self.name)?;
        out.serialize_entry("tags", &self.tags)?;
        out.serialize_entry("type", &GUILD)?;
        out.serialize_entry("format_type", &(self.format as u8))?;
        out.serialize_entry("description", &self.description)?;
        out.serialize_entry("available", &self.available)?;
        out.serialize_entry("guild_id", &self.guild_id)?;
        out.end()
    }
}
