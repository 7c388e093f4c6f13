// The test bot in Eris. What it does and prints is described in tests/it/libraries/mod.rs.
const Eris = require("eris");
const https = require("https");
const net = require("net");

const saw = (text) => console.log(text);

// Eris supports HTTPS only. Its option `rest.agent` makes the connections, here plain ones to the emulator.
const api = new URL(process.env.EMULATOR_API);
const agent = new https.Agent({ keepAlive: true });
agent.createConnection = () => net.connect(Number(api.port), api.hostname);

const client = new Eris(`Bot ${process.env.EMULATOR_TOKEN}`, {
  rest: { domain: api.hostname, agent },
  intents: ["guilds", "guildMembers", "guildMessages", "guildMessageReactions", "messageContent"],
});

client.once("ready", async () => {
  saw(`ready as ${client.user.username}`);
  const guild = client.guilds.find(() => true);
  const channels = guild.channels.map((channel) => channel.name).sort();
  const roles = guild.roles.map((role) => role.name).sort();
  saw(`server ${guild.name} with channels ${channels} and roles ${roles}`);
  await guild.fetchAllMembers();
  saw(`members ${guild.members.map((member) => member.username).sort()}`);
  const amount = { type: 4, name: "amount", description: "How much", required: true };
  await client.createCommand({ type: 1, name: "spice", description: "Harvest spice", options: [amount] });
  client.editStatus("dnd", [{ name: "the sands", type: 3 }]);
  saw("command registered");
});

client.on("interactionCreate", async (interaction) => {
  if (interaction instanceof Eris.CommandInteraction) {
    const { name, options } = interaction.data;
    saw(`command ${name} ${options[0].value} of ${interaction.member.nick}`);
    await interaction.defer();
    await interaction.editOriginalMessage({ content: "harvesting" });
    await interaction.createFollowup({
      embeds: [{ title: "Harvest", color: 0xc2b280, fields: [{ name: "Spice", value: "3" }] }],
      components: [{ type: 1, components: [{ type: 2, style: 1, label: "More", custom_id: "more" }] }],
    });
    saw("command answered");
  } else if (interaction instanceof Eris.ComponentInteraction) {
    saw(`button ${interaction.data.custom_id} on ${interaction.message.embeds[0].title}`);
    await interaction.editParent({ content: "harvested", components: [] });
    const file = { file: Buffer.from("sand"), name: "sand.txt" };
    const message = await client.createMessage(interaction.channel.id, { content: "wurm" }, file);
    const edited = await message.edit("worm");
    await message.addReaction("🌊");
    saw(`message ${edited.content} with ${message.attachments[0].filename}`);
    const role = client.guilds.get(interaction.guildID).roles.find((known) => known.name === "Fremen");
    await interaction.member.addRole(role.id, "rode a worm");
  }
});

client.on("guildMemberUpdate", (guild, member, before) => {
  if (before && before.roles.length < member.roles.length) saw(`${member.username} has a role more`);
});
client.on("guildMemberAdd", (guild, member) => saw(`${member.username} joined`));
client.on("shardResume", () => saw("resumed"));
client.on("error", (error) => { if (!/Connection reset|ECONNRESET|abnormal|1006/.test(`${error} ${error.code}`)) saw(`error ${error}`); });

process.stdin.on("end", () => { client.disconnect({ reconnect: false }); agent.destroy(); setTimeout(() => process.exit(0), 200); }).resume();
client.connect();
