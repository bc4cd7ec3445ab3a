"""Answers that are no answer: a model declines, asks for more, or writes a placeholder."""

from __future__ import annotations

import re

_NOT = (
    r"(?:can(?:no|')?t|can not|could(?:n't| not)|won't|will not|wouldn't|unable|not able|not allowed|not permitted"
    r"|decline|refuse|not comfortable|rather not|prefer not|don't|do not|not sure|apologi[sz]e|sorry|afraid)"
)
_HELPING = (
    r"(?:am|are|was|have|will|would|must|should|regret|do|feel|be|to|that|an?|bit|really|just|simply|currently|still|also"
    r"|honestly|unfortunately|fully|truly|very|so|deeply|terribly|afraid|sorry,?|but|i)"
)
_REFUSAL = re.compile(
    r"(?:(?:unfortunately|regrettably|(?:(?:my|our) )?apologies|hmm+|well|oh|no|hello|hi|thank(?:s| you)[^.!,]{0,40}"
    r"|i (?:understand|appreciate|see)[^.!?]{0,80}?)[,.!:;]*\s+(?:but )?)*"
    rf"(?:(?:i|we)(?:'\w+)?(?: {_HELPING})* {_NOT}\b"
    r"|(?:i'm|we're|i am|we are) (?:an?|just an?|only an?) (?:\w+ )?(?:ai|language model|assistant)\b"
    r"|(?:so |very |really )?sorry\b|(?:my |our )?apolog(?:y|ies)\b"
    r"|as an? (?:\w+ )?(?:ai|language model|\w* ?assistant|artificial)\b"
    r"|(?:this|that|it) (?:is|goes) (?:beyond|outside)\b"
    r"|i(?:'d| would)? need (?:more|additional|further|some)\b"
    r"|it(?:'s| is| would be| might be| would not be) (?:not |im|in|un)?\s?(?:possible|appropriate|ethical)"
    r" (?:for me|to)\b"
    r"|(?:the|this|its|your) (?:\w+ )?(?:items?|products?|titles?|descriptions?|information|data|details?|input|prompt)"
    r"\b[^.!?]{0,40} (?:is|are|was|were|has been) (?:missing|empty|unknown|unavailable|insufficient|incomplete"
    r"|not (?:given|provided|available|enough|sufficient|known|clear))\b"
    r"|(?-i:[Cc]annot|[Cc]an't|[Cc]ould not) be (?:determined|inferred|established)\b"
    r"|(?:please|kindly|(?:could|can|would) you)(?: please)? (?:provide|share|give|send|clarify|specify|tell)\b"
    r"|it (?:seems|looks|appears)\b[^.]{0,60}\b(?:no|not|missing|incomplete|empty|cut off)\b"
    r"|(?:there is|there's|there are) (?:not enough|insufficient|no) (?:\w+ )?(?:information|data|details?)\b"
    r"|(?:this|the|your) (?:request|prompt|content) (?:violates|cannot|can't|was flagged|is against)"
    r"|(?:insert|enter|write|add|your) (?:[\w']+ ){1,6}here\b"
    r"|(?-i:Unable|Cannot|Can't|Could not|Couldn't) (?:to )?\w"
    r"|(?-i:No|Not enough|Insufficient|Lacking) (?:\w+ )?(?:information|data|context|details?|profile|answer)\b"
    r"|(?-i:Not|None) (?:available|applicable|provided|found|specified|known|enough)\b"
    r"|(?-i:Request|Access|Content|Error|Response)\b:? ?(?:\w+ )?"
    r"(?:denied|declined|blocked|filter(?:ed)?|refused|removed|\d{3})\b"
    r"|(?:je suis )?désolée?\b|je ne peux\b|malheureusement\b|(?:lo )?(?:siento|lamento)\b|no puedo\b|no tengo\b"
    r"|(?:es )?tut mir leid\b|leider\b|ich kann\b.{0,30}\b(?:nicht|kein\w*)\b|entschuldig"
    r"|mi dispiace\b|non posso\b|purtroppo\b|desculpe\b|não posso\b|infelizmente\b|het spijt\b|helaas\b|przepraszam\b"
    r"|niestety\b|üzgünüm\b|beklager\b|извините|простите|к сожалению|я не могу|عذر|آسف"
    r"|很?抱歉|对不起|對不起|我无法|我無法|申し訳|すみません|죄송|미안)",
    re.IGNORECASE,
)


def declines(text: str) -> bool:
    """Whether a text begins as one does that declines to answer."""
    return bool(_REFUSAL.match(text.replace("’", "'").strip(" \"'*“”\n")))
