"""The test bot in interactions.py. What it does and prints is described in tests/it/libraries/mod.rs."""

import asyncio
import io
import os
import sys

import interactions
from interactions.api.http.route import Route

# This constant alone points it at the emulator: the gateway's address comes from GET /gateway.
Route.BASE = os.environ["EMULATOR_API"] + "/v10"

bot = interactions.Client(
    # "All" has bits that Discord does not document.
    intents=interactions.Intents.ALL,
    activity=interactions.Activity(name="the sands", type=interactions.ActivityType.WATCHING),
    # It would otherwise also register commands by itself as soon as it connects.
    sync_interactions=False,
)


def saw(text: str) -> None:
    print(text, flush=True)


@interactions.listen(interactions.events.Startup)
async def on_startup(_: interactions.events.Startup) -> None:
    saw(f"ready as {bot.user.username}")
    guild = bot.guilds[0]
    channels = ",".join(sorted(channel.name for channel in guild.channels))
    roles = ",".join(sorted(role.name for role in guild.roles))
    saw(f"server {guild.name} with channels {channels} and roles {roles}")
    members = ",".join(sorted(member.username for member in guild.members))
    saw(f"members {members}")
    await bot.synchronise_interactions()
    await bot.change_presence(status=interactions.Status.DO_NOT_DISTURB)
    saw("command registered")


@interactions.slash_command("spice", description="Harvest spice")
@interactions.slash_option("amount", "How much", interactions.OptionType.INTEGER, required=True)
async def spice(context: interactions.SlashContext, amount: int) -> None:
    saw(f"command spice {amount} of {context.author.display_name}")
    await context.defer()
    # The answer to a deferred command is sent by editing it.
    await context.send("harvesting")
    embed = interactions.Embed(title="Harvest", color=0xC2B280).add_field("Spice", "3")
    more = interactions.Button(style=interactions.ButtonStyle.PRIMARY, label="More", custom_id="more")
    await context.send(embeds=embed, components=more)
    saw("command answered")


@interactions.component_callback("more")
async def more(context: interactions.ComponentContext) -> None:
    saw(f"button {context.custom_id} on {context.message.embeds[0].title}")
    await context.edit_origin(content="harvested", components=[])
    file = interactions.File(io.BytesIO(b"sand"), file_name="sand.txt")
    message = await context.channel.send("wurm", files=file)
    message = await message.edit(content="worm")
    # Before the next await: the library shares the object with its cache, where a late MESSAGE_CREATE restores the first text.
    seen = f"message {message.content} with {message.attachments[0].filename}"
    await message.add_reaction("🌊")
    saw(seen)
    role = next(role for role in context.guild.roles if role.name == "Fremen")
    await context.member.add_role(role, reason="rode a worm")


@interactions.listen(interactions.events.MemberUpdate)
async def on_member_update(event: interactions.events.MemberUpdate) -> None:
    # `add_role` changes the cached member, so `before` has the role already.
    if any(role.name == "Fremen" for role in event.after.roles):
        saw(f"{event.after.username} has a role more")


@interactions.listen(interactions.events.MemberAdd)
async def on_member_add(event: interactions.events.MemberAdd) -> None:
    saw(f"{event.member.username} joined")


@interactions.listen(interactions.events.Resume)
async def on_resume(_: interactions.events.Resume) -> None:
    saw("resumed")


async def main() -> None:
    running = asyncio.create_task(bot.astart(os.environ["EMULATOR_TOKEN"]))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # `stop` waits without end for the gateway task after a session was resumed.
    running.cancel()
    os._exit(0)


asyncio.run(main())
