//! Messages of the seeded servers, so that they look used.
//!
//! An author is an index in the list of members, which begins with the owner and continues by rank: low indexes may write in
//! every channel. Oldest message first.

/// Author, channel, text.
pub(super) type SeedMessage = (usize, &'static str, &'static str);

/// The messages of a theme's server.
pub(super) fn of_theme(theme: &str) -> &'static [SeedMessage] {
    match theme {
        "sietch" => SIETCH,
        "basic" => BASIC,
        _ => &[],
    }
}

/// Age of a message in minutes: some minutes apart, the newest a little while ago.
pub(super) fn minutes_ago(line: usize, lines: usize) -> u64 {
    let behind = (lines - line) as u64;
    3 + behind * 7 + (behind * 5) % 4
}

const SIETCH: &[SeedMessage] = &[
    (
        2,
        "water-discipline",
        "**Water discipline.** Be kind, share what you know, sell nothing here. Nobody of the sietch ever writes to you first to ask for a key or a signature. 🌊",
    ),
    (
        3,
        "announcements",
        "📣 The census is drawn anew every six hours. Type `/position` to see your rank, your holding and what the next tier takes.",
    ),
    (
        3,
        "announcements",
        "New this week: **Jump to me** below `/leaderboard` opens the page with your own line.",
    ),
    (
        4,
        "introductions",
        "Here since the first harvest. I keep the maps of the false wall. 🧭",
    ),
    (9, "introductions", "I repair stillsuits, badly. Ask somebody else."),
    (
        5,
        "spice",
        "Down four in a hundred since the last harvest. I am not selling.",
    ),
    (8, "spice", "Nobody asked you to. 😄"),
    (
        6,
        "spice",
        "For the record: the threshold for the 69th seat has gone up every week this month.",
    ),
    (
        7,
        "water-shares",
        "💧 I shared my water with the one who carried me over the false wall.",
    ),
    (
        11,
        "support",
        "My wallet shows the wrong tier since this morning. What do I do?",
    ),
    (
        3,
        "support",
        "Was it moved today? Only what is held when the census is drawn counts. `/position` shows what was counted.",
    ),
    (11, "support", "It was. Thank you, all is well again. ✅"),
    (6, "general", "Good morning, sietch. 🌅 Who has the watch tonight?"),
    (9, "general", "I do. Somebody bring coffee."),
    (5, "general", "There is no coffee. There is spice coffee."),
    (9, "general", "Then somebody bring spice coffee. ☕"),
    (
        8,
        "general",
        "Did anybody see the leaderboard? Rank 70 is within two hundred of the last seat.",
    ),
    (
        4,
        "general",
        "`/threshold` says 1,500 and it is rising. Sixty-nine seats, sixty-nine knives. ⚔️",
    ),
    (
        10,
        "general",
        "I was 71st yesterday. Today I am 68th and nobody has congratulated me.",
    ),
    (7, "general", "Congratulations. 🎉 Try to stay."),
    (10, "general", "That is the nicest thing anybody has said to me here."),
    (
        6,
        "general",
        "The role came within a second, by the way. I moved the tokens, and at the next census the bot had me as Fedaykin.",
    ),
    (12, "general", "Does it take the role away as fast?"),
    (4, "general", "It does. The desert takes the weak. 🐛"),
    (12, "general", "Noted."),
    (
        5,
        "general",
        "New people arrive at the cave entrance in the evening. Be kind to them, we were all thirsty once. 💧",
    ),
    (
        8,
        "general",
        "I wrote down what every badge is for: `/badges` lists them, and `/profile` shows who has which.",
    ),
    (10, "general", "I have two and did not know it."),
    (
        7,
        "general",
        "The contributor badge is given by the council. The others come by themselves.",
    ),
    (9, "general", "Worm sign south of the ridge. Stay off the open sand. 🐛"),
    (6, "general", "Seen. Everybody in before moonrise. 🌙"),
    (11, "general", "In. Seals are good."),
    (4, "general", "Then a quiet night to all. May your water be safe."),
];

const BASIC: &[SeedMessage] = &[
    (
        2,
        "rules",
        "Be kind, stay on topic, no advertising. Nobody here will ask you for a key.",
    ),
    (
        2,
        "announcements",
        "📣 The ranking is drawn every six hours. `/position` shows where you stand.",
    ),
    (3, "bot-commands", "What do I type to see my rank?"),
    (5, "bot-commands", "`/position`. And `/leaderboard` for everybody's."),
    (4, "general", "Morning, all. The market opens in an hour."),
    (6, "general", "Has anybody moved up since yesterday?"),
    (3, "general", "Silver since last night. 🥈"),
    (5, "general", "Well done! Gold is 40 places away."),
    (3, "general", "Then I will need a while."),
    (7, "general", "The lounge for gold is quiet anyway. 😄"),
    (4, "general", "What does `/threshold` say today?"),
    (6, "general", "Up a little. See for yourself, it answers in a blink."),
    (
        8,
        "general",
        "Just joined, and the bot gave me a role before I had read the rules. 👀",
    ),
    (5, "general", "Welcome! That is how it goes here."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_in_chronological_order() {
        for lines in [SIETCH, BASIC] {
            let times: Vec<_> = (0..lines.len()).map(|line| minutes_ago(line, lines.len())).collect();
            assert!(times.is_sorted_by(|before, after| before > after), "{times:?}");
        }
    }

    #[test]
    fn most_messages_are_in_one_channel() {
        for lines in [SIETCH, BASIC] {
            let general = lines.iter().filter(|(_, channel, _)| *channel == "general").count();
            assert!(general * 2 > lines.len());
        }
    }
}
