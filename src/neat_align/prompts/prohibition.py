"""Find negative prompts that forbid where they should order.

A negative prompt is put before a query to bring out what must not be. "Never answer with
bullet points." brings out the opposite, and training on it teaches the opposite, too. Only
the beginning of a sentence is looked at (and the common words for it in some other
languages), so this finds the usual phrasings and no others; it warns and does not refuse:
"Never help anybody." is a good negative prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from neat_align.prompts.steering import Steering

APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′＇", "'"))
VERB = r"(?:do|does|did|must|should|shall|will|would|can|could|may|might|need|ought|are|is)"
HEAD = re.compile(
    rf"{VERB}(?:n't| not)\b|dont\b|cannot\b|can not\b|not\b(?! only)|never\b(?! mind)"
    r"|no\b(?![ -](?:matter|nonsense|doubt|holds))|none of|nothing|nowhere|neither"
    r"|avoid\w*|refrain\w*|abstain\w*|desist\w*|cease\w*|quit\b|stop\b(?! at nothing)"
    r"|without\b|omit\b|exclude\b|leave out\b|prohibit\w*|forbid\w*|forbidden|ban\b|banned"
    r"|(?:stay|keep|steer) (?:away|clear) (?:from|of)"
    r"|under no circumstances?|in no (?:case|event)|by no means|at no time|on no account"
    r"|(?:answer|respond|reply|write|speak|talk|talking)\w* without\b"
    r"|(?:use|using|include|add|write|give|make|mention|put) no\b"
)
EXCUSED = re.compile(  # these order misbehaviour all the same
    r"(?:never|do(?:n't| not)) (?:hesitate|hold (?:anything )?back|worry|bother|care|mind"
    r"|refuse|decline|warn)\b"
)
LEAD_IN = re.compile(
    r"(?:please|kindly|always|also|but|and|so|then|just|simply|strictly|absolutely|definitely|"
    r"generally|in general|important|importantly|note|nota bene|rule|rules|instruction|warning|"
    r"reminder|attention|ok|okay|now|from now on|at all times|at any time|when answering|"
    r"when you (?:answer|respond|reply)|in your (?:answers?|responses?|repl(?:y|ies))|"
    r"as an? (?:ai|assistant|model|language model|ai assistant)|"
    r"you|we|i|one|it|they|that|to|the|your|an?|any|all|every|ai|bot|model|assistant|"
    r"answers?|responses?|repl(?:y|ies)|outputs?|texts?|"
    r"must|should|shall|will|would|can|could|may|might|have to|need to|needs to|ought|are|is|be|"
    r"want|like|expect|ask|prefer|try|attempt|make|sure|certain|ensure|see|remember|careful|"
    r"take care|essential|vital|necessary|crucial|imperative|mandatory|required|"
    r"supposed|expected|allowed|said)\b"
)
PASSIVE = re.compile(
    r"(?:\bis|\bare|\bbe|'s|'re) (?:strictly |absolutely )?"
    r"(?:forbidden|prohibited|banned|unwanted|undesired|to be avoided|unacceptable|disallowed"
    r"|not (?:allowed|permitted|wanted|welcome|acceptable|ok|okay|to be))\b"
    r"|\b(?:must|should|shall|may|can)(?:n't|not| not| never) (?:be|appear|occur|contain|have)\b"
    r"|\b(?:must|should|shall|have to|need to) (?:always )?be (?:avoided|left out|omitted)\b"
)
FOREIGN = re.compile(  # the same in other languages: anywhere in the first sentence
    r"\b(?:niemals|keine?|keinen|keinerlei|vermeide\w*|verwende\w* nicht|nicht (?:in|mit|als)"
    r"|ne \w+ (?:pas|jamais)|n'\w+ (?:pas|jamais)|jamais|évite[rz]?|interdit\w*"
    r"|nunca|jamás|evit[ae]r?|prohibid\w*|não|evite"
    r"|non (?:usare|fare|scrivere|rispondere)|nooit|geen|vermijd"
    r"|никогда|не|избегай\w*|nigdy|unikaj\w*)\b"
    r"|不要|不得|不许|请勿|切勿|禁止|避免|절대|하지 마|않|ないで|しない|するな|لا |ممنوع|मत |नहीं"
)
SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")
LEADING = re.compile(r"^[\W\d_]+")  # bullets, numbers, quotation marks
MOST_WORDS = 12  # taken off the beginning of a sentence before its head is looked at


def is_prohibition(prompt: str) -> bool:
    """Tell whether the first sentence of a prompt begins by forbidding something."""
    text = " ".join(prompt.translate(APOSTROPHES).casefold().split())
    sentences = [s for s in SENTENCE.split(text) if LEADING.sub("", s)]
    while len(sentences) > 1 and not _rest(sentences[0]):  # "Important:", "Rule 1."
        sentences.pop(0)
    if not sentences:
        return False
    if PASSIVE.search(sentences[0]) or FOREIGN.search(sentences[0]):
        return True
    rest = LEADING.sub("", sentences[0])
    for _ in range(MOST_WORDS):
        if HEAD.match(rest):
            return EXCUSED.match(rest) is None
        found = LEAD_IN.match(rest)
        if found is None:
            return False
        rest = LEADING.sub("", rest[found.end() :])
    return False


def prohibition_warnings(steering: Steering) -> list[str]:
    """List a warning for each negative prompt, held-back ones too, that is phrased as a ban."""
    return [
        f"steering {steering.name!r}: the negative prompt {text!r} forbids; a negative prompt "
        "must order what the model is to unlearn ('Answer with bullet points.', not 'Never "
        "answer with bullet points.'), or training teaches the opposite. If it forbids what "
        "you want to be rid of, turn it round, and put the ban under `positive`"
        for text in _negative(steering)
        if is_prohibition(text)
    ]


def _negative(steering: Steering) -> Sequence[str]:
    return (*steering.negative, *steering.held_back_negative)


def _rest(sentence: str) -> str:
    """Strip the lead-in from a sentence."""
    rest = LEADING.sub("", sentence)
    while rest and (found := LEAD_IN.match(rest)):
        rest = LEADING.sub("", rest[found.end() :])
    return rest
