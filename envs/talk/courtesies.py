"""Greetings, thanks and other courtesies, and how the agent returns them."""

from .intent import Intent

GREETING = Intent(
    name="greeting",
    alone=True,
    wordings=(
        "Hello!",
        "Hello, can we talk?",
        "Hi!",
        "Hi there!",
        "Hey!",
        "Hello there.",
        "Good morning!",
        "Good evening.",
        "Hello Gato!",
        "Hi Gato.",
        "Nice to meet you.",
    ),
    held_out=("Hey Gato!", "Good afternoon!", "Greetings."),
    answers=(
        "Hello! I am Gato. Ask me about a task or a picture.",
        "Hello! What would you like to know about my tasks?",
    ),
)
THANKS = Intent(
    name="thanks",
    alone=True,
    wordings=(
        "Thanks!",
        "Thank you!",
        "Thank you very much.",
        "Thanks a lot!",
        "Many thanks.",
        "Great, thanks.",
        "Okay, thank you.",
        "That helps, thank you.",
        "Thanks for the answer.",
        "Cool, thanks!",
    ),
    held_out=("Thank you so much!", "Perfect, thanks.", "Thanks for your help."),
    answers=("You are welcome.", "You are welcome. Ask me more if you like."),
)
GOODBYE = Intent(
    name="goodbye",
    alone=True,
    wordings=(
        "Goodbye!",
        "Bye!",
        "Bye bye.",
        "See you later.",
        "See you!",
        "I have to go.",
        "That is all for today.",
        "Good night!",
        "Goodbye Gato.",
        "Farewell.",
    ),
    held_out=("See you tomorrow!", "Bye for now.", "I am leaving now."),
    answers=("Goodbye!", "Goodbye! Come back any time."),
)
HOW_ARE_YOU = Intent(
    name="how_are_you",
    wordings=(
        "How are you?",
        "How are you doing?",
        "How do you feel today?",
        "How is it going?",
        "What is up?",
        "Are you well?",
        "How have you been?",
        "Is everything fine with you?",
        "How are you today?",
        "All good?",
    ),
    held_out=("How is your day?", "Are you okay?", "How are things?"),
    answers=(
        "I am a program and have no moods, but I am ready. Ask me about a task.",
        "I am ready. A program has no moods.",
    ),
)
HELP = Intent(
    name="help",
    wordings=(
        "Help!",
        "What can I ask you?",
        "How do I use you?",
        "What should I ask?",
        "I need help.",
        "Give me an example of a question.",
        "What can we talk about?",
        "How does this work?",
        "What do you want me to ask?",
        "I do not know what to ask.",
        "Can you help me?",
    ),
    held_out=("What questions can I ask?", "What may I ask you?", "What topics do you know?"),
    answers=(
        "Ask me who I am, what a task is about, or what is in a picture.",
        "You can ask who I am, what a task is about, or what is in a picture.",
    ),
)
