r"""Turn conversations into token ids: the only place where text becomes ids.

With a chat template the tokenizer renders the conversation, and a steering prompt is its
system message (or, where the template refuses one, a prefix of the first user turn, as is a
system message of the data). Without one, the format is stated here (`plain`):

    [System: {steering}\n\n]Human: {turn}\n\nAssistant: {turn}\n\n … Human: {turn}\n\nAssistant:

and a response follows after one space. Query and response are tokenised apart and their
ids concatenated: tokenising the joined text may merge tokens across the boundary. A response
ends as the template ends the assistant's turn (`turn_end`).

Text of queries and responses is never read as special tokens or as a turn of its own
(`forgery`). `writing` makes text of turns, `tokens` makes ids of text, and `format` makes of
both what the package gives.
"""

from neat_align.prompts.chat.conversation import Conversation
from neat_align.prompts.chat.format import PromptFormat, conversation_problems
from neat_align.prompts.chat.plain import plain_text

__all__ = ["Conversation", "PromptFormat", "conversation_problems", "plain_text"]
