"""The test bot in nextcord. What it does and prints is described in tests/it/libraries/mod.rs."""

import asyncio
import io
import os
import sys

import nextcord

# This constant alone points it at the emulator: the gateway's address comes from GET /gateway.
nextcord.http.Route.BASE = os.environ["EMULATOR_API"] + "/v10"


def saw(text: str) -> None:
    print(text, flush=True)


class More(nextcord.ui.View):
    @nextcord.ui.button(label="More", style=nextcord.ButtonStyle.primary, custom_id="more")
    async def more(self, button: nextcord.ui.Button, interaction: nextcord.Interaction) -> None:
        saw(f"button {button.custom_id} on {interaction.message.embeds[0].title}")
        await interaction.response.edit_message(content="harvested", view=None)
        file = nextcord.File(io.BytesIO(b"sand"), filename="sand.txt")
        message = await interaction.channel.send("wurm", file=file)
        message = await message.edit(content="worm")
        await message.add_reaction("🌊")
        saw(f"message {message.content} with {message.attachments[0].filename}")
        role = nextcord.utils.get(interaction.guild.roles, name="Fremen")
        await interaction.user.add_roles(role, reason="rode a worm")


class Bot(nextcord.Client):
    async def on_ready(self) -> None:
        saw(f"ready as {self.user.name}")
        guild = self.guilds[0]
        channels = ",".join(sorted(channel.name for channel in guild.channels))
        roles = ",".join(sorted(role.name for role in guild.roles))
        saw(f"server {guild.name} with channels {channels} and roles {roles}")
        members = ",".join(sorted(member.name for member in guild.members))
        saw(f"members {members}")
        await self.sync_all_application_commands()
        await self.change_presence(status=nextcord.Status.dnd)
        saw("command registered")

    async def on_member_update(self, before: nextcord.Member, after: nextcord.Member) -> None:
        if len(before.roles) < len(after.roles):
            saw(f"{after.name} has a role more")

    async def on_member_join(self, member: nextcord.Member) -> None:
        saw(f"{member.name} joined")

    async def on_resumed(self) -> None:
        saw("resumed")


async def main() -> None:
    intents = nextcord.Intents(guilds=True, members=True, messages=True, reactions=True, message_content=True)
    watching = nextcord.Activity(type=nextcord.ActivityType.watching, name="the sands")
    # It would otherwise also register commands by itself as soon as it connects.
    rollout = dict.fromkeys(
        ("rollout_associate_known", "rollout_delete_unknown", "rollout_register_new", "rollout_update_known"), False
    )
    bot = Bot(intents=intents, activity=watching, **rollout)

    @bot.slash_command(description="Harvest spice")
    async def spice(interaction: nextcord.Interaction, amount: int = nextcord.SlashOption(description="How much")) -> None:
        saw(f"command spice {amount} of {interaction.user.display_name}")
        await interaction.response.defer()
        await interaction.edit_original_message(content="harvesting")
        embed = nextcord.Embed(title="Harvest", colour=0xC2B280).add_field(name="Spice", value="3")
        await interaction.followup.send(embed=embed, view=More())
        saw("command answered")

    running = asyncio.create_task(bot.start(os.environ["EMULATOR_TOKEN"]))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await bot.close()
    await running


asyncio.run(main())
