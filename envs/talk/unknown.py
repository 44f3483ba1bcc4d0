"""What the agent cannot know, and how it says so; names of tasks that do not exist."""

import zlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from .intent import Intent
from .names import name_key, name_styles

# Right whatever was asked that it cannot know.
DONT_KNOW = (
    "I don't know. I only know my tasks and the pictures that I am shown.",
    "I cannot know that. I only know my tasks and the pictures that I am shown.",
)
UNKNOWN_TASK = ("I don't know a task of that name.", "I know no task of that name.")

UNKNOWN = (
    Intent(
        name="weather",
        wordings=(
            "What is the weather like?",
            "Will it rain tomorrow?",
            "How is the weather in {place}?",
            "Is it cold in {place}?",
            "Will it snow in {place}?",
            "What is the temperature outside?",
            "Is the sun shining?",
            "How hot is it in {place}?",
            "What is the forecast for {place}?",
            "Do I need an umbrella?",
        ),
        held_out=("Is it raining in {place}?", "What will the weather be tomorrow?"),
        answers=("I don't know the weather. I cannot look outside.",),
    ),
    Intent(
        name="time",
        wordings=(
            "What time is it?",
            "What day is it?",
            "What is the date today?",
            "Which year is it?",
            "What is the time in {place}?",
            "Is it late?",
            "Which month is it?",
            "Is it Monday?",
            "Do you know the time?",
            "When is Easter this year?",
        ),
        held_out=("Which day is today?", "Can you see what time it is?"),
        answers=("I don't know. I have no clock.",),
    ),
    Intent(
        name="news",
        wordings=(
            "What is in the news?",
            "What happened today?",
            "Who won the match yesterday?",
            "Who is the president?",
            "What is new in {place}?",
            "Who won the election?",
            "What is the price of gold?",
            "How are the stocks doing?",
            "Tell me the news.",
            "What happened in {place} last week?",
        ),
        held_out=("Any news today?", "Who won the world cup?"),
        answers=("I don't know any news. I cannot look anything up.",),
    ),
    Intent(
        name="people",
        wordings=(
            "Who is {person}?",
            "Do you know {person}?",
            "When was {person} born?",
            "What did {person} do?",
            "Tell me about {person}.",
            "Where does {person} live?",
            "How old is {person}?",
            "What do you think of {person}?",
            "Is {person} still alive?",
            "Was {person} a good person?",
        ),
        held_out=("Who was {person}?", "What is known about {person}?"),
        answers=("I don't know any people. I only know my tasks and pictures.",),
    ),
    Intent(
        name="world",
        wordings=(
            "What is the capital of {place}?",
            "How many people live in {place}?",
            "Where is {place}?",
            "How do I cook {thing}?",
            "What is {thing}?",
            "How far is it to {place}?",
            "Why is the sky blue?",
            "How deep is the sea?",
            "Who invented {thing}?",
            "Tell me something about {place}.",
            "What does {thing} cost?",
            "How does {thing} work?",
        ),
        held_out=("What is the history of {place}?", "Where can I buy {thing}?", "What language is spoken in {place}?"),
        answers=("I don't know the world beyond my tasks and pictures.",),
    ),
    Intent(
        name="arithmetic",
        wordings=(
            "What is {a} times {b}?",
            "What is {a} plus {b}?",
            "How much is {a} minus {b}?",
            "Calculate {a} * {b}.",
            "What is {a} + {b}?",
            "How much is {a} divided by {b}?",
            "Multiply {a} by {b}.",
            "Add {a} and {b}.",
            "What is the root of {a}?",
            "Is {a} a prime number?",
        ),
        held_out=("What do {a} and {b} add up to?", "Compute {a} times {b}."),
        answers=("I don't know. I cannot calculate.",),
    ),
    Intent(
        name="opinion",
        wordings=(
            "What is your favourite color?",
            "Which task do you like best?",
            "Do you like {thing}?",
            "What do you think about politics?",
            "Is {place} beautiful?",
            "What is the best film?",
            "What music do you like?",
            "Is {thing} better than {other}?",
            "Who will win?",
            "What is the meaning of life?",
        ),
        held_out=("What is your favourite food?", "What is your view of {thing}?"),
        answers=("I have no opinions. I am a program.",),
    ),
    Intent(
        name="user",
        wordings=(
            "What is my name?",
            "How old am I?",
            "Where do I live?",
            "Who am I?",
            "What did I do yesterday?",
            "Do you know me?",
            "What am I thinking?",
            "What did I say last time?",
            "Do you remember me?",
            "What do I look like?",
        ),
        held_out=("Do you know who I am?", "Where am I?"),
        answers=("I don't know anything about you.",),
    ),
    Intent(
        name="advice",
        wordings=(
            "Should I buy a house?",
            "What should I eat today?",
            "I have a headache, what should I take?",
            "Write a poem about {thing}.",
            "Tell me a joke.",
            "Write a program for me.",
            "Book a flight to {place}.",
            "Order {thing} for me.",
            "Play some music.",
            "Write an essay about {place}.",
            "Send a message to {person}.",
        ),
        held_out=("Write a story about {thing}.", "Which car should I buy?"),
        answers=("I cannot do that. I play tasks, describe pictures and answer short questions.",),
    ),
)


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split(","))


_SLOTS: Mapping[str, Sequence[str]] = {
    "place": _split("Paris,London,Berlin,Tokyo,Rome,France,Italy,Japan,Brazil,Kenya,India,Canada,New York,Sydney"),
    "person": _split("Einstein,Shakespeare,Marie Curie,Mozart,Napoleon,Picasso,Ada Lovelace,Darwin,Cleopatra,Gandhi"),
    "thing": _split("bread,coffee,a bicycle,the internet,a violin,soup,chocolate,a telescope,a train,cheese"),
    "other": _split("tea,rain,a boat,the radio,a piano,rice,sugar,a mirror,a plane,milk"),
}
_GAMES = _split(
    "Chess,Minecraft,Fortnite,StarCraft,Doom,Quake,Checkers,Poker,Monopoly,Scrabble,Half-Life,Zelda,Portal,"
    "Civilization,Counter-Strike,Angry Birds,Candy Crush,Mancala,Reversi,Ludo,Bridge,Dota,Overcooked,Football Manager"
)
_FIRST_WORDS = _split(
    "Dragon,Crystal,Silver,Garden,Rocket,Pirate,Castle,Desert,Ocean,Shadow,Thunder,Copper,Forest,Comet,Marble,Velvet,"
    "Winter,Tiger,Bubble,Lantern,Puzzle,Ninja,Turbo,Magic"
)
_LAST_WORDS = _split(
    "Quest,Builder,Kitchen,Racer,Tower,Factory,Farm,Battle,Jumper,Painter,Tunnel,Voyage,Hunter,Parade,Mixer,Island,"
    "Climber,Arena,Juggler,Bridge,Harvest,Orchestra"
)
_SYLLABLES = _split("zor,bla,mek,fu,tri,quo,vex,lin,gar,po,shu,wib,nak,del,rop,yam,kli,dro,foo,bar,baz,zum")
_HELD_OUT_SHARE = 5  # one made-up name of so many is never drawn for training


def topic_words(rng: np.random.Generator) -> dict[str, str]:
    """Draws what fills the braces of the wordings of `UNKNOWN`."""
    drawn = {slot: str(rng.choice(list(words))) for slot, words in _SLOTS.items()}
    return drawn | {slot: str(rng.integers(11, 1000)) for slot in ("a", "b")}


def made_up_name(rng: np.random.Generator, words: Sequence[str], keys: Collection[str], *, held_out: bool) -> str:
    """Draws the name of a task that does not exist, in one of the ways that names are written.

    Args:
        words: of the names of real tasks; some names are two of these, paired as no task is.
        keys: of the names of real tasks (`name_key`); no name drawn is one of these, or made of parts of one.
        held_out: whether the name is one of those kept back for the exam.
    """
    while True:
        drawn = _drawn_name(rng, words)
        key = name_key(drawn)
        parts = [name_key(word) for word in drawn.split()]
        is_real = any(all(part in real for part in parts) for real in keys)
        if not is_real and held_out == (zlib.crc32(key.encode()) % _HELD_OUT_SHARE == 0):
            styles = name_styles(drawn.split())
            return styles[int(rng.integers(len(styles)))]


def _drawn_name(rng: np.random.Generator, words: Sequence[str]) -> str:
    kind = rng.random()
    if kind < 0.15:
        return str(rng.choice(_GAMES))
    if kind < 0.4:
        return f"{rng.choice(_FIRST_WORDS)} {rng.choice(_LAST_WORDS)}"
    if kind < 0.6:
        return "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))).capitalize()
    if kind < 0.8 and words:
        first, last = str(rng.choice(list(words))), str(rng.choice(_LAST_WORDS))
        return f"{first} {last}"
    if words:
        return " ".join(str(word) for word in rng.choice(list(words), 2))
    return f"{rng.choice(_FIRST_WORDS)} {rng.choice(_FIRST_WORDS)}"
